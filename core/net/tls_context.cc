#include "core/net/tls_context.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <mutex>

#include "core/base/strings.h"
#include "core/crypto/certificate.h"

namespace skerry::net {
namespace {

BioPtr TextBio(std::string_view text) { return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

int NoPassword(char*, int, int, void*) { return -1; }

// Every certificate of a bundle; anything else in it is an error, an empty bundle too.
Result<std::vector<X509Ptr>> ParseCertificates(std::string_view pem, std::string_view what) {
  const BioPtr bio = TextBio(pem);
  std::vector<X509Ptr> out;
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr)) out.emplace_back(next);
  const auto last = ERR_peek_last_error();
  const bool at_end = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
  if (out.empty() || !at_end) return Fail(Code::kInvalid, OsslError(Cat(what, ": no valid PEM certificate")));
  ERR_clear_error();
  return out;
}

Result<std::string> AlpnWire(const std::vector<std::string>& protocols) {
  std::string wire;
  for (const auto& p : protocols) {
    if (p.empty() || p.size() > 255) return Fail(Code::kInvalid, "ALPN protocol names have 1 to 255 bytes");
    wire += static_cast<char>(p.size());
    wire += p;
  }
  return wire;
}

void ApplyCommonOptions(SSL_CTX* context) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context, 1);
}

int AcceptAnyCertificate(int, X509_STORE_CTX*) { return 1; }   // the verdict is read after the handshake

int SelectAlpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in, unsigned in_size, void* arg) {
  const auto* wire = static_cast<const std::string*>(arg);
  unsigned char* chosen = nullptr;
  const int r = SSL_select_next_proto(&chosen, out_size, reinterpret_cast<const unsigned char*>(wire->data()),
                                      static_cast<unsigned>(wire->size()), in, in_size);
  if (r != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_NOACK;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

int SelectCertificate(SSL* ssl, void* arg) {
  const auto* snapshot = static_cast<const TlsServerContext::Snapshot*>(arg);
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  try {
    const auto chosen = snapshot->config.select(ToLower(name ? name : ""));
    if (!chosen) return 1;
    const auto& c = chosen->impl();
    return SSL_use_cert_and_key(ssl, c.leaf.get(), c.key.get(), c.chain, 1);
  } catch (...) {
    return 0;
  }
}

Result<> UseIdentity(SSL_CTX* context, const TlsIdentity& identity) {
  TRY(auto certificate, TlsCertificate::Create(identity));
  const auto& c = certificate->impl();
  if (SSL_CTX_use_cert_and_key(context, c.leaf.get(), c.key.get(), c.chain, 1) != 1) {
    return Fail(Code::kInvalid, OsslError("certificate not usable"));
  }
  return {};
}

Result<> TrustBundle(SSL_CTX* context, std::string_view pem, std::string_view what) {
  TRY(auto authorities, ParseCertificates(pem, what));
  X509_STORE* store = SSL_CTX_get_cert_store(context);
  for (const auto& a : authorities) {
    if (X509_STORE_add_cert(store, a.get()) != 1) return Fail(Code::kInvalid, OsslError(what));
  }
  return {};
}

Result<> AskForClientCertificates(SSL_CTX* context, const TlsServerConfig& config) {
  // Tickets would carry a verdict past a change of the bundle.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context, 0);
  TRY(auto authorities, ParseCertificates(config.client_ca_pem, "client CA bundle"));
  TRY_VOID(TrustBundle(context, config.client_ca_pem, "client CA bundle"));
  for (const auto& a : authorities) SSL_CTX_add_client_CA(context, a.get());
  if (config.client_auth == ClientAuth::kRequire) {
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  } else {
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, AcceptAnyCertificate);
  }
  return {};
}

Result<std::shared_ptr<const TlsServerContext::Snapshot>> BuildServer(TlsServerConfig config) {
  auto out = std::make_shared<TlsServerContext::Snapshot>();
  out->context.reset(SSL_CTX_new(TLS_server_method()));
  SSL_CTX* context = out->context.get();
  if (context == nullptr) return Fail(Code::kInternal, OsslError("TLS context"));
  ApplyCommonOptions(context);
  if (!config.identity.empty()) {
    TRY_VOID(UseIdentity(context, config.identity));
  } else if (!config.select) {
    return Fail(Code::kInvalid, "a TLS server needs a certificate");
  }
  if (config.client_auth != ClientAuth::kNone) {
    TRY_VOID(AskForClientCertificates(context, config));
  } else {
    static constexpr unsigned char kSessions[] = "skerry";
    SSL_CTX_set_session_id_context(context, kSessions, sizeof kSessions - 1);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);   // stateless tickets only
  }
  TRY(out->alpn_wire, AlpnWire(config.alpn));
  out->config = std::move(config);
  if (!out->alpn_wire.empty()) SSL_CTX_set_alpn_select_cb(context, SelectAlpn, &out->alpn_wire);
  if (out->config.select) SSL_CTX_set_cert_cb(context, SelectCertificate, out.get());
  return out;
}

std::chrono::system_clock::time_point FromAsn1(const ASN1_TIME* t) {
  std::tm parts = {};
  if (ASN1_TIME_to_tm(t, &parts) != 1) return {};
  return std::chrono::system_clock::from_time_t(timegm(&parts));
}

std::string Utf8(const ASN1_STRING* text) {
  unsigned char* bytes = nullptr;
  const int n = ASN1_STRING_to_UTF8(&bytes, text);
  std::string out;
  if (n >= 0) out.assign(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(n));
  OPENSSL_free(bytes);
  return out;
}

void ReadAlternativeNames(X509* certificate, crypto::PeerCertificate& out) {
  auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type == GEN_DNS) out.dns_names.push_back(Utf8(name->d.dNSName));
    if (name->type == GEN_URI) out.uris.push_back(Utf8(name->d.uniformResourceIdentifier));
  }
  GENERAL_NAMES_free(names);
}

}  // namespace

std::string OsslError(std::string_view what) {
  const auto code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? std::string(what) : Cat(what, ": ", reason);
}

std::shared_ptr<const crypto::PeerCertificate> ReadCertificate(X509* certificate) {
  auto out = std::make_shared<crypto::PeerCertificate>();
  const X509_NAME* subject = X509_get_subject_name(certificate);
  for (int i = 0; i < X509_NAME_entry_count(subject); ++i) {
    const X509_NAME_ENTRY* entry = X509_NAME_get_entry(subject, i);
    const int kind = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
    if (kind == NID_commonName) out->common_name = Utf8(X509_NAME_ENTRY_get_data(entry));
    if (kind == NID_organizationName) out->organizations.push_back(Utf8(X509_NAME_ENTRY_get_data(entry)));
  }
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate, &der);
  if (size > 0) out->der.assign(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  out->not_before = FromAsn1(X509_get0_notBefore(certificate));
  out->not_after = FromAsn1(X509_get0_notAfter(certificate));
  BIGNUM* serial = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr);
  char* hex = BN_bn2hex(serial);
  out->serial = hex ? hex : "";
  OPENSSL_free(hex);
  BN_free(serial);
  ReadAlternativeNames(certificate, *out);
  ERR_clear_error();
  return out;
}

TlsCertificate::TlsCertificate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsCertificate::~TlsCertificate() = default;

Result<std::shared_ptr<const TlsCertificate>> TlsCertificate::Create(const TlsIdentity& identity) {
  TRY(auto chain, ParseCertificates(identity.chain_pem, "certificate chain"));
  auto impl = std::make_unique<Impl>();
  const BioPtr bio = TextBio(identity.key_pem);
  impl->key.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr));
  if (!impl->key) return Fail(Code::kInvalid, OsslError("private key: not valid PEM"));
  impl->leaf = std::move(chain.front());
  if (X509_check_private_key(impl->leaf.get(), impl->key.get()) != 1) return Fail(Code::kInvalid, OsslError("private key and certificate differ"));
  impl->chain = sk_X509_new_null();
  for (std::size_t i = 1; i < chain.size(); ++i) sk_X509_push(impl->chain, chain[i].release());
  return std::make_shared<TlsCertificate>(std::move(impl));
}

struct TlsServerContext::Impl {
  mutable std::mutex mutex;
  std::shared_ptr<const Snapshot> current;   // guarded
};

TlsServerContext::TlsServerContext(std::shared_ptr<const Snapshot> first) : impl_(std::make_unique<Impl>()) { impl_->current = std::move(first); }
TlsServerContext::~TlsServerContext() = default;

Result<std::shared_ptr<TlsServerContext>> TlsServerContext::Create(TlsServerConfig config) {
  TRY(auto snapshot, BuildServer(std::move(config)));
  return std::make_shared<TlsServerContext>(std::move(snapshot));
}

Result<> TlsServerContext::Reload(TlsServerConfig config) {
  TRY(auto snapshot, BuildServer(std::move(config)));
  std::lock_guard lock(impl_->mutex);
  impl_->current = std::move(snapshot);
  return {};
}

std::shared_ptr<const TlsServerContext::Snapshot> TlsServerContext::snapshot() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->current;
}

TlsClientContext::TlsClientContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsClientContext::~TlsClientContext() = default;

Result<std::shared_ptr<const TlsClientContext>> TlsClientContext::Create(const TlsClientConfig& config) {
  auto impl = std::make_unique<Impl>();
  impl->context.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* context = impl->context.get();
  if (context == nullptr) return Fail(Code::kInternal, OsslError("TLS context"));
  ApplyCommonOptions(context);
  impl->verification = config.verification;
  if (config.verification == ServerVerification::kFull) {
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    if (config.ca_pem.empty()) {
      SSL_CTX_set_default_verify_paths(context);
    } else {
      TRY_VOID(TrustBundle(context, config.ca_pem, "CA bundle"));
    }
  }
  if (!config.identity.empty()) TRY_VOID(UseIdentity(context, config.identity));
  TRY(const auto wire, AlpnWire(config.alpn));
  if (!wire.empty()) SSL_CTX_set_alpn_protos(context, reinterpret_cast<const unsigned char*>(wire.data()), static_cast<unsigned>(wire.size()));
  return std::make_shared<TlsClientContext>(std::move(impl));
}

}  // namespace skerry::net
