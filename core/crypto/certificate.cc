#include "core/crypto/certificate.h"

#include <arpa/inet.h>
#include <openssl/pem.h>

#include <ctime>

#include "core/crypto/openssl.h"

namespace skerry::crypto {
namespace {

std::string Text(const ASN1_STRING* s) {
  unsigned char* utf8 = nullptr;
  const int size = ::ASN1_STRING_to_UTF8(&utf8, s);
  if (size < 0) return {};
  std::string out(reinterpret_cast<char*>(utf8), static_cast<std::size_t>(size));
  ::OPENSSL_free(utf8);
  return out;
}

std::string Raw(const ASN1_STRING* s) {
  return std::string(reinterpret_cast<const char*>(::ASN1_STRING_get0_data(s)), static_cast<std::size_t>(::ASN1_STRING_length(s)));
}

std::string AddressText(std::string_view bytes) {
  char buffer[INET6_ADDRSTRLEN];
  if (bytes.size() == 4 && ::inet_ntop(AF_INET, bytes.data(), buffer, sizeof buffer)) return buffer;
  if (bytes.size() == 16 && ::inet_ntop(AF_INET6, bytes.data(), buffer, sizeof buffer)) return buffer;
  return {};
}

Clock::Wall Time(const ASN1_TIME* t) {
  std::tm parts{};
  if (::ASN1_TIME_to_tm(t, &parts) != 1) return {};
  return std::chrono::system_clock::from_time_t(::timegm(&parts));
}

void ReadName(const X509_NAME* name, Subject* out) {
  for (int i = 0; i < ::X509_NAME_entry_count(name); ++i) {
    const X509_NAME_ENTRY* entry = ::X509_NAME_get_entry(name, i);
    const int nid = ::OBJ_obj2nid(::X509_NAME_ENTRY_get_object(entry));
    if (nid == NID_commonName) out->common_name = Text(::X509_NAME_ENTRY_get_data(entry));
    if (nid == NID_organizationName) out->organizations.push_back(Text(::X509_NAME_ENTRY_get_data(entry)));
  }
}

void ReadAlternatives(const GENERAL_NAMES* names, Subject* out) {
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    switch (name->type) {
      case GEN_DNS: out->dns_names.push_back(Raw(name->d.dNSName)); break;
      case GEN_URI: out->uris.push_back(Raw(name->d.uniformResourceIdentifier)); break;
      case GEN_EMAIL: out->emails.push_back(Raw(name->d.rfc822Name)); break;
      case GEN_IPADD: out->ip_addresses.push_back(AddressText(Raw(name->d.iPAddress))); break;
      default: break;
    }
  }
}

PeerCertificate Describe(X509* certificate) {
  Subject subject;
  ReadName(::X509_get_subject_name(certificate), &subject);
  const NamesPtr names(static_cast<GENERAL_NAMES*>(::X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  ReadAlternatives(names.get(), &subject);
  PeerCertificate out;
  out.common_name = std::move(subject.common_name);
  out.organizations = std::move(subject.organizations);
  out.dns_names = std::move(subject.dns_names);
  out.uris = std::move(subject.uris);
  out.ip_addresses = std::move(subject.ip_addresses);
  out.not_before = Time(::X509_get0_notBefore(certificate));
  out.not_after = Time(::X509_get0_notAfter(certificate));
  out.is_authority = ::X509_check_ca(certificate) == 1;
  const BigPtr serial(::ASN1_INTEGER_to_BN(::X509_get0_serialNumber(certificate), nullptr));
  if (serial) {
    char* hex = ::BN_bn2hex(serial.get());
    out.serial = hex ? hex : "";
    ::OPENSSL_free(hex);
  }
  unsigned char* der = nullptr;
  const int size = ::i2d_X509(certificate, &der);
  if (size > 0) out.der.assign(reinterpret_cast<char*>(der), static_cast<std::size_t>(size));
  ::OPENSSL_free(der);
  return out;
}

Result<CertificatesPtr> ReadBundle(std::string_view pem) {
  CertificatesPtr out(sk_X509_new_null());
  const BioPtr bio = ReadBio(pem);
  while (X509* certificate = ::PEM_read_bio_X509(bio.get(), nullptr, nullptr, const_cast<char*>(""))) sk_X509_push(out.get(), certificate);
  // The loop ends with "no start line" at the end of a good text; anything else is a damaged block.
  const unsigned long last = ::ERR_peek_last_error();
  if (sk_X509_num(out.get()) == 0 || (last != 0 && ERR_GET_REASON(last) != PEM_R_NO_START_LINE)) return OpenSslFail(Code::kBadRequest, "read certificate");
  ::ERR_clear_error();
  return out;
}

}  // namespace

Result<PeerCertificate> ParseCertificate(std::string_view pem_or_der) {
  X509Ptr certificate;
  if (pem_or_der.find("-----BEGIN") != std::string_view::npos) {
    certificate.reset(::PEM_read_bio_X509(ReadBio(pem_or_der).get(), nullptr, nullptr, const_cast<char*>("")));
  } else {
    const auto* p = reinterpret_cast<const unsigned char*>(pem_or_der.data());
    certificate.reset(::d2i_X509(nullptr, &p, static_cast<long>(pem_or_der.size())));
  }
  if (!certificate) return OpenSslFail(Code::kBadRequest, "read certificate");
  return Describe(certificate.get());
}

Result<std::vector<PeerCertificate>> ParseCertificates(std::string_view pem_bundle) {
  TRY(const CertificatesPtr bundle, ReadBundle(pem_bundle));
  std::vector<PeerCertificate> out;
  for (int i = 0; i < sk_X509_num(bundle.get()); ++i) out.push_back(Describe(sk_X509_value(bundle.get(), i)));
  return out;
}

std::vector<PemBlock> PemBlocks(std::string_view pem) {
  std::vector<PemBlock> out;
  const BioPtr input = ReadBio(pem);
  char *name = nullptr, *header = nullptr;
  unsigned char* data = nullptr;
  long size = 0;
  while (PEM_read_bio(input.get(), &name, &header, &data, &size) == 1) {
    out.push_back({name, std::string(reinterpret_cast<char*>(data), static_cast<std::size_t>(size))});
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
  }
  ERR_clear_error();
  return out;
}

std::string CertificatePem(std::string_view der) {
  const BioPtr out(::BIO_new(::BIO_s_mem()));
  ::PEM_write_bio(out.get(), "CERTIFICATE", "", reinterpret_cast<const unsigned char*>(der.data()), static_cast<long>(der.size()));
  return TakeBio(out);
}

Result<PeerCertificate> VerifyCertificate(std::string_view chain_pem, std::string_view authorities_pem, CertificateUse use, Clock::Wall now) {
  TRY(const CertificatesPtr chain, ReadBundle(chain_pem));
  TRY(const CertificatesPtr authorities, ReadBundle(authorities_pem));
  const OpenSslPtr<X509_STORE_CTX, ::X509_STORE_CTX_free> context(::X509_STORE_CTX_new());
  X509* leaf = sk_X509_value(chain.get(), 0);
  if (::X509_STORE_CTX_init(context.get(), nullptr, leaf, chain.get()) != 1) return OpenSslFail(Code::kInternal, "verify certificate");
  ::X509_STORE_CTX_set0_trusted_stack(context.get(), authorities.get());
  ::X509_STORE_CTX_set_time(context.get(), 0, std::chrono::system_clock::to_time_t(now));
  ::X509_STORE_CTX_set_purpose(context.get(), use == CertificateUse::kServer ? X509_PURPOSE_SSL_SERVER : X509_PURPOSE_SSL_CLIENT);
  // An authority of the bundle ends the chain even when it is not self-signed.
  ::X509_STORE_CTX_set_flags(context.get(), X509_V_FLAG_PARTIAL_CHAIN);
  if (::X509_verify_cert(context.get()) != 1) {
    const int error = ::X509_STORE_CTX_get_error(context.get());
    ::ERR_clear_error();
    return Fail(Code::kUnauthenticated, ::X509_verify_cert_error_string(error));
  }
  return Describe(leaf);
}

Result<CertificateRequest> ParseRequest(std::string_view pem) {
  const X509RequestPtr request(::PEM_read_bio_X509_REQ(ReadBio(pem).get(), nullptr, nullptr, const_cast<char*>("")));
  if (!request) return OpenSslFail(Code::kBadRequest, "read certificate request");
  PkeyPtr key(::X509_REQ_get_pubkey(request.get()));
  if (!key || ::X509_REQ_verify(request.get(), key.get()) != 1) return OpenSslFail(Code::kBadRequest, "certificate request is not signed by its key");
  Subject subject;
  ReadName(::X509_REQ_get_subject_name(request.get()), &subject);
  const ExtensionsPtr extensions(::X509_REQ_get_extensions(request.get()));
  if (extensions) {
    const NamesPtr names(static_cast<GENERAL_NAMES*>(::X509V3_get_d2i(extensions.get(), NID_subject_alt_name, nullptr, nullptr)));
    ReadAlternatives(names.get(), &subject);
  }
  TRY(PublicKey public_key, WrapPublicKey(std::make_shared<const KeyImpl>(KeyImpl{std::move(key)})));
  return CertificateRequest{std::move(subject), std::move(public_key)};
}

}  // namespace skerry::crypto
