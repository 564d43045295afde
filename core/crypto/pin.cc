#include "core/crypto/pin.h"

#include <openssl/pem.h>

#include "core/crypto/digest.h"
#include "core/crypto/openssl.h"
#include "core/text/base64.h"

namespace skerry::crypto {
namespace {

bool IsNamelessServer(X509* certificate, const std::string& host, std::time_t now) {
  if (::X509_NAME_entry_count(::X509_get_subject_name(certificate)) > 0 || ::X509_NAME_entry_count(::X509_get_issuer_name(certificate)) > 0) return false;
  if (::X509_cmp_time(::X509_get0_notBefore(certificate), &now) >= 0 || ::X509_cmp_time(::X509_get0_notAfter(certificate), &now) <= 0) return false;
  if (::X509_check_purpose(certificate, X509_PURPOSE_SSL_SERVER, 0) != 1) return false;
  return ::X509_check_host(certificate, host.data(), host.size(), 0, nullptr) == 1 || ::X509_check_ip_asc(certificate, host.c_str(), 0) == 1;
}

}  // namespace

std::string PinsOfNamelessServers(std::string_view authorities_pem, const std::string& host, Clock::Wall now) {
  std::string pins;
  const BioPtr bio = ReadBio(authorities_pem);
  while (const X509Ptr certificate{::PEM_read_bio_X509(bio.get(), nullptr, nullptr, const_cast<char*>(""))}) {
    if (!IsNamelessServer(certificate.get(), host, Clock::Wall::clock::to_time_t(now))) continue;
    unsigned char* der = nullptr;
    const int size = ::i2d_X509_PUBKEY(::X509_get_X509_PUBKEY(certificate.get()), &der);
    if (size <= 0) continue;
    if (!pins.empty()) pins += ';';
    pins += "sha256//" + text::Base64(HashBytes(Hash::kSha256, std::string_view(reinterpret_cast<char*>(der), static_cast<std::size_t>(size))));
    ::OPENSSL_free(der);
  }
  ::ERR_clear_error();   // the end of the text is one
  return pins;
}

}  // namespace skerry::crypto
