#include <arpa/inet.h>
#include <openssl/pem.h>

#include <algorithm>
#include <span>

#include "core/base/random.h"
#include "core/base/strings.h"
#include "core/crypto/certificate.h"
#include "core/crypto/openssl.h"

namespace skerry::crypto {
namespace {

constexpr std::chrono::minutes kBackdate{5};   // a client whose clock is a little behind must accept a new certificate

using ExtensionPtr = OpenSslPtr<X509_EXTENSION, ::X509_EXTENSION_free>;

bool AddEntry(X509_NAME* name, int nid, const std::string& value) {
  return ::X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(value.data()), static_cast<int>(value.size()), -1, 0) == 1;
}

Result<> WriteName(X509_NAME* name, const Subject& subject) {
  for (const std::string& organization : subject.organizations) {
    if (!AddEntry(name, NID_organizationName, organization)) return OpenSslFail(Code::kInvalid, "organization");
  }
  if (!subject.common_name.empty() && !AddEntry(name, NID_commonName, subject.common_name)) return OpenSslFail(Code::kInvalid, "common name");
  return {};
}

void PushText(GENERAL_NAMES* names, int type, const std::string& value) {
  ASN1_IA5STRING* text = ::ASN1_IA5STRING_new();
  ::ASN1_STRING_set(text, value.data(), static_cast<int>(value.size()));
  GENERAL_NAME* name = ::GENERAL_NAME_new();
  ::GENERAL_NAME_set0_value(name, type, text);
  sk_GENERAL_NAME_push(names, name);
}

// Built from typed values, never from a configuration text: a name cannot smuggle in another.
Result<NamesPtr> Alternatives(const Subject& subject) {
  NamesPtr names(sk_GENERAL_NAME_new_null());
  for (const std::string& dns : subject.dns_names) PushText(names.get(), GEN_DNS, dns);
  for (const std::string& uri : subject.uris) PushText(names.get(), GEN_URI, uri);
  for (const std::string& email : subject.emails) PushText(names.get(), GEN_EMAIL, email);
  for (const std::string& address : subject.ip_addresses) {
    unsigned char bytes[16];
    const int size = ::inet_pton(AF_INET, address.c_str(), bytes) == 1 ? 4 : ::inet_pton(AF_INET6, address.c_str(), bytes) == 1 ? 16 : 0;
    if (size == 0) return Fail(Code::kInvalid, Cat("not an IP address: ", Quote(address)));
    ASN1_OCTET_STRING* octets = ::ASN1_OCTET_STRING_new();
    ::ASN1_OCTET_STRING_set(octets, bytes, size);
    GENERAL_NAME* name = ::GENERAL_NAME_new();
    ::GENERAL_NAME_set0_value(name, GEN_IPADD, octets);
    sk_GENERAL_NAME_push(names.get(), name);
  }
  return names;
}

// `config` is one of our constants.
bool AddExtension(X509* certificate, X509V3_CTX* context, int nid, const char* config) {
  const ExtensionPtr extension(::X509V3_EXT_conf_nid(nullptr, context, nid, config));
  return extension && ::X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool SetTimes(X509* certificate, Clock::Wall from, Clock::Wall to) {
  return ::ASN1_TIME_set(X509_getm_notBefore(certificate), std::chrono::system_clock::to_time_t(from)) &&
         ::ASN1_TIME_set(X509_getm_notAfter(certificate), std::chrono::system_clock::to_time_t(to));
}

bool SetSerial(X509* certificate) {
  unsigned char bytes[16];
  Random::System().Fill(std::as_writable_bytes(std::span(bytes)));
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7f) | 0x40);   // positive, and always 16 bytes long
  const OpenSslPtr<BIGNUM, ::BN_free> number(::BN_bin2bn(bytes, sizeof bytes, nullptr));
  return ::BN_to_ASN1_INTEGER(number.get(), ::X509_get_serialNumber(certificate)) != nullptr;
}

std::string Pem(X509* certificate) {
  const BioPtr out(::BIO_new(::BIO_s_mem()));
  ::PEM_write_bio_X509(out.get(), certificate);
  return TakeBio(out);
}

Result<X509Ptr> ReadOne(std::string_view pem) {
  X509Ptr certificate(::PEM_read_bio_X509(ReadBio(pem).get(), nullptr, nullptr, const_cast<char*>("")));
  if (!certificate) return OpenSslFail(Code::kInvalid, "read certificate of the authority");
  return certificate;
}

}  // namespace

Result<std::string> CreateRequest(const Subject& subject, const PrivateKey& key) {
  const X509RequestPtr request(::X509_REQ_new());
  ::X509_REQ_set_version(request.get(), 0);
  TRY_VOID(WriteName(::X509_REQ_get_subject_name(request.get()), subject));
  TRY(const NamesPtr names, Alternatives(subject));
  if (sk_GENERAL_NAME_num(names.get()) > 0) {
    const ExtensionsPtr extensions(sk_X509_EXTENSION_new_null());
    sk_X509_EXTENSION_push(extensions.get(), ::X509V3_EXT_i2d(NID_subject_alt_name, 0, names.get()));
    ::X509_REQ_add_extensions(request.get(), extensions.get());
  }
  EVP_PKEY* raw = key.impl().key.get();
  const BioPtr out(::BIO_new(::BIO_s_mem()));
  if (::X509_REQ_set_pubkey(request.get(), raw) != 1 || ::X509_REQ_sign(request.get(), raw, ::EVP_sha256()) <= 0 || ::PEM_write_bio_X509_REQ(out.get(), request.get()) != 1) {
    return OpenSslFail(Code::kInternal, "sign certificate request");
  }
  return TakeBio(out);
}

Result<CertificateAuthority> CertificateAuthority::Create(std::string_view common_name, std::chrono::seconds lifetime, Clock::Wall now) {
  PrivateKey key = PrivateKey::GenerateP256();
  const X509Ptr certificate(::X509_new());
  X509* c = certificate.get();
  X509_NAME* name = ::X509_get_subject_name(c);
  TRY_VOID(WriteName(name, Subject{.common_name = std::string(common_name)}));
  X509V3_CTX context;
  X509V3_set_ctx(&context, c, c, nullptr, nullptr, 0);
  EVP_PKEY* raw = key.impl().key.get();
  const bool good = ::X509_set_version(c, X509_VERSION_3) == 1 && SetSerial(c) && SetTimes(c, now - kBackdate, now + lifetime) && ::X509_set_issuer_name(c, name) == 1 &&
                    ::X509_set_pubkey(c, raw) == 1 && AddExtension(c, &context, NID_basic_constraints, "critical,CA:TRUE") &&
                    AddExtension(c, &context, NID_key_usage, "critical,digitalSignature,keyEncipherment,keyCertSign,cRLSign") &&
                    AddExtension(c, &context, NID_subject_key_identifier, "hash") && ::X509_sign(c, raw, ::EVP_sha256()) > 0;
  if (!good) return OpenSslFail(Code::kInternal, "make certificate of the authority");
  return CertificateAuthority(Pem(c), std::move(key));
}

Result<CertificateAuthority> CertificateAuthority::Load(std::string_view certificate_pem, std::string_view key_pem) {
  TRY(const X509Ptr certificate, ReadOne(certificate_pem));
  TRY(PrivateKey key, PrivateKey::FromPem(key_pem));
  if (::X509_check_private_key(certificate.get(), key.impl().key.get()) != 1) return OpenSslFail(Code::kInvalid, "certificate and key do not belong together");
  if (::X509_check_ca(certificate.get()) != 1) return Fail(Code::kInvalid, "certificate is not one of an authority");
  return CertificateAuthority(std::string(certificate_pem), std::move(key));
}

Result<std::string> CertificateAuthority::Sign(const Subject& subject, const PublicKey& key, const CertificateTerms& terms, Clock::Wall now) const {
  TRY(const X509Ptr authority, ReadOne(certificate_pem_));
  TRY(const PeerCertificate own, ParseCertificate(certificate_pem_));
  const Clock::Wall end = std::min<Clock::Wall>(now + terms.lifetime, own.not_after);
  const X509Ptr certificate(::X509_new());
  X509* c = certificate.get();
  TRY_VOID(WriteName(::X509_get_subject_name(c), subject));
  TRY(const NamesPtr names, Alternatives(subject));
  X509V3_CTX context;
  X509V3_set_ctx(&context, authority.get(), c, nullptr, nullptr, 0);
  bool good = ::X509_set_version(c, X509_VERSION_3) == 1 && SetSerial(c) && SetTimes(c, now - kBackdate, end) &&
              ::X509_set_issuer_name(c, ::X509_get_subject_name(authority.get())) == 1 && ::X509_set_pubkey(c, key.impl().key.get()) == 1 &&
              AddExtension(c, &context, NID_basic_constraints, "critical,CA:FALSE") &&
              AddExtension(c, &context, NID_key_usage, terms.key_encipherment ? "critical,digitalSignature,keyEncipherment" : "critical,digitalSignature") &&
              AddExtension(c, &context, NID_authority_key_identifier, "keyid");
  if (terms.server || terms.client) {
    good = good && AddExtension(c, &context, NID_ext_key_usage, terms.server && terms.client ? "serverAuth,clientAuth" : terms.server ? "serverAuth" : "clientAuth");
  }
  if (sk_GENERAL_NAME_num(names.get()) > 0) good = good && ::X509_add1_ext_i2d(c, NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT) == 1;
  good = good && ::X509_sign(c, key_.impl().key.get(), ::EVP_sha256()) > 0;
  if (!good) return OpenSslFail(Code::kInternal, "sign certificate");
  return Pem(c);
}

Result<IssuedCertificate> CertificateAuthority::Issue(const Subject& subject, const CertificateTerms& terms, Clock::Wall now) const {
  const PrivateKey key = PrivateKey::GenerateP256();
  TRY(std::string pem, Sign(subject, key.Public(), terms, now));
  return IssuedCertificate{std::move(pem), key.ToPem()};
}

}  // namespace skerry::crypto
