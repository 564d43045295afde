#pragma once
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/crypto/key.h"

// Inside core/crypto only: owners of OpenSSL objects.
namespace skerry::crypto {

template <auto Free>
struct OpenSslDelete {
  template <class T>
  void operator()(T* p) const {
    Free(p);
  }
};
template <class T, auto Free>
using OpenSslPtr = std::unique_ptr<T, OpenSslDelete<Free>>;

inline void FreeNames(GENERAL_NAMES* names) { ::GENERAL_NAMES_free(names); }
inline void FreeCertificates(STACK_OF(X509) * stack) { sk_X509_pop_free(stack, ::X509_free); }
inline void FreeExtensions(STACK_OF(X509_EXTENSION) * stack) { sk_X509_EXTENSION_pop_free(stack, ::X509_EXTENSION_free); }

using BigPtr = OpenSslPtr<BIGNUM, ::BN_free>;
using BioPtr = OpenSslPtr<BIO, ::BIO_free_all>;
using PkeyPtr = OpenSslPtr<EVP_PKEY, ::EVP_PKEY_free>;
using MdContextPtr = OpenSslPtr<EVP_MD_CTX, ::EVP_MD_CTX_free>;
using X509Ptr = OpenSslPtr<X509, ::X509_free>;
using X509RequestPtr = OpenSslPtr<X509_REQ, ::X509_REQ_free>;
using NamesPtr = OpenSslPtr<GENERAL_NAMES, FreeNames>;
using CertificatesPtr = OpenSslPtr<STACK_OF(X509), FreeCertificates>;
using ExtensionsPtr = OpenSslPtr<STACK_OF(X509_EXTENSION), FreeExtensions>;

// "what: reason" from the newest entry of this thread's error queue, which is cleared.
std::unexpected<Error> OpenSslFail(Code code, std::string_view what);

// Never null: some readers take a null pointer as something else than nothing.
inline const unsigned char* Data(std::string_view s) { return reinterpret_cast<const unsigned char*>(s.empty() ? "" : s.data()); }
BioPtr ReadBio(std::string_view bytes);   // borrows
std::string TakeBio(const BioPtr& bio);

// Shared by PrivateKey and PublicKey.
struct KeyImpl {
  PkeyPtr key;
};

}  // namespace skerry::crypto
