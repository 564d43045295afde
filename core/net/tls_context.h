#pragma once
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <memory>

#include "core/net/tls.h"

// Inside core/net only: OpenSSL objects behind tls.h.
namespace skerry::net {

template <auto Free>
struct OsslDelete {
  template <class T>
  void operator()(T* p) const {
    Free(p);
  }
};
using CtxPtr = std::unique_ptr<SSL_CTX, OsslDelete<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, OsslDelete<SSL_free>>;
using X509Ptr = std::unique_ptr<X509, OsslDelete<X509_free>>;
using PkeyPtr = std::unique_ptr<EVP_PKEY, OsslDelete<EVP_PKEY_free>>;
using BioPtr = std::unique_ptr<BIO, OsslDelete<BIO_free_all>>;

struct TlsCertificate::Impl {
  X509Ptr leaf;
  PkeyPtr key;
  STACK_OF(X509)* chain = nullptr;
  ~Impl() { sk_X509_pop_free(chain, X509_free); }
};

struct TlsServerContext::Snapshot {
  CtxPtr context;
  TlsServerConfig config;
  std::string alpn_wire;
};

struct TlsClientContext::Impl {
  CtxPtr context;
  ServerVerification verification = ServerVerification::kFull;
};

std::string OsslError(std::string_view what);   // takes the newest entry of this thread's error queue and clears it
std::shared_ptr<const crypto::PeerCertificate> ReadCertificate(X509* certificate);

}  // namespace skerry::net
