#include "core/net/tls_testing.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "core/base/strings.h"

namespace skerry::net::testing {
namespace {

std::string ReadOut(BIO* bio) {
  char* data = nullptr;
  const long n = BIO_get_mem_data(bio, &data);
  std::string out(data, static_cast<std::size_t>(n));
  BIO_free(bio);
  return out;
}

X509* Certificate(EVP_PKEY* key, std::string_view subject, long serial, int days) {
  X509* c = X509_new();
  X509_set_version(c, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(c), serial);
  X509_gmtime_adj(X509_getm_notBefore(c), days < 0 ? days * 86400L * 2 : -60);
  X509_gmtime_adj(X509_getm_notAfter(c), days * 86400L);
  X509_set_pubkey(c, key);
  X509_NAME* name = X509_get_subject_name(c);
  for (const auto part : Split(subject, '/')) {
    if (part.empty()) continue;
    const auto equals = part.find('=');
    const std::string field(part.substr(0, equals)), value(part.substr(equals + 1));
    X509_NAME_add_entry_by_txt(name, field.c_str(), MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(value.c_str()), -1, -1, 0);
  }
  return c;
}

void AddExtension(X509* c, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, nullptr, c, nullptr, nullptr, 0);
  X509_EXTENSION* e = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  X509_add_ext(c, e, -1);
  X509_EXTENSION_free(e);
}

std::string Pem(X509* c) {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, c);
  return ReadOut(bio);
}

// Takes both.
TlsIdentity Identity(X509* c, EVP_PKEY* key) {
  TlsIdentity out;
  out.chain_pem = Pem(c);
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  out.key_pem = ReadOut(bio);
  X509_free(c);
  EVP_PKEY_free(key);
  return out;
}

}  // namespace

struct TestCa::Impl {
  EVP_PKEY* key = nullptr;
  X509* certificate = nullptr;
  long serial = 1000;
};

TestCa::TestCa() : impl_(std::make_unique<Impl>().release()) {
  impl_->key = EVP_EC_gen("P-256");
  static std::atomic<int> number{0};
  impl_->certificate = Certificate(impl_->key, Cat("CN=test-ca-", ++number), 1, 10);
  X509_set_issuer_name(impl_->certificate, X509_get_subject_name(impl_->certificate));
  AddExtension(impl_->certificate, NID_basic_constraints, "critical,CA:TRUE");
  X509_sign(impl_->certificate, impl_->key, EVP_sha256());
  pem_ = Pem(impl_->certificate);
}

TestCa::~TestCa() {
  X509_free(impl_->certificate);
  EVP_PKEY_free(impl_->key);
  std::unique_ptr<Impl> owned(impl_);
}

TlsIdentity TestCa::Issue(std::string_view subject, std::string_view names, int days) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* c = Certificate(key, subject, ++impl_->serial, days);
  X509_set_issuer_name(c, X509_get_subject_name(impl_->certificate));
  if (!names.empty()) AddExtension(c, NID_subject_alt_name, std::string(names));
  X509_sign(c, impl_->key, EVP_sha256());
  return Identity(c, key);
}

TlsIdentity SelfSigned(std::string_view subject, std::string_view names, int days) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* c = Certificate(key, subject, 1, days);
  X509_set_issuer_name(c, X509_get_subject_name(c));
  AddExtension(c, NID_subject_alt_name, std::string(names));
  X509_sign(c, key, EVP_sha256());
  return Identity(c, key);
}

}  // namespace skerry::net::testing
