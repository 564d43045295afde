#pragma once
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "core/crypto/key.h"

// X.509 certificates: reading, verifying, and a small authority of our own. Names no library: authenticators and handlers read it.
// Everything here is thread-safe (values, and an immutable authority).
namespace skerry::crypto {

// What a verified X.509 certificate says about its holder.
struct PeerCertificate {
  std::string common_name;                 // last CN of the subject
  std::vector<std::string> organizations;  // every O of the subject, in order
  std::string der;                         // the whole certificate
  std::chrono::system_clock::time_point not_before, not_after;
  std::string serial;                      // upper-case hexadecimal, no separators
  std::vector<std::string> dns_names;      // subject alternative names
  std::vector<std::string> uris;
  std::vector<std::string> ip_addresses;   // as text
  bool is_authority = false;
};

// The first certificate of a PEM text, or one in DER. kBadRequest.
Result<PeerCertificate> ParseCertificate(std::string_view pem_or_der);
Result<std::vector<PeerCertificate>> ParseCertificates(std::string_view pem_bundle);   // at least one
std::string CertificatePem(std::string_view der);

struct PemBlock { std::string type, der; };               // "CERTIFICATE", "EC PRIVATE KEY", ...
std::vector<PemBlock> PemBlocks(std::string_view pem);   // up to the first that is malformed; text between them is skipped

enum class CertificateUse : std::uint8_t { kServer, kClient };
// The first certificate of `chain_pem` (others are intermediates) must lead to one of `authorities_pem` at `now` and be made for `use`.
// kUnauthenticated with the reason, e.g. "certificate has expired".
Result<PeerCertificate> VerifyCertificate(std::string_view chain_pem, std::string_view authorities_pem, CertificateUse use, Clock::Wall now);

struct Subject {
  std::string common_name;
  std::vector<std::string> organizations;
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;   // IPv4 or IPv6 text
  std::vector<std::string> uris;
  std::vector<std::string> emails;
};

// A certificate signing request (PKCS#10) whose own signature has been checked.
struct CertificateRequest {
  Subject subject;
  PublicKey key;
};
Result<CertificateRequest> ParseRequest(std::string_view pem);   // kBadRequest; kUnsupported for its kind of key
Result<std::string> CreateRequest(const Subject& subject, const PrivateKey& key);   // PEM

struct CertificateTerms {
  bool server = false, client = false;     // extended key usages
  bool key_encipherment = false;           // besides digital signature
  std::chrono::seconds lifetime{std::chrono::hours(24 * 365)};
};

struct IssuedCertificate {
  std::string certificate_pem, key_pem;
};

class CertificateAuthority {
 public:
  // A fresh P-256 key and a self-signed certificate for it; valid from five minutes before `now`.
  static Result<CertificateAuthority> Create(std::string_view common_name, std::chrono::seconds lifetime, Clock::Wall now);
  static Result<CertificateAuthority> Load(std::string_view certificate_pem, std::string_view key_pem);   // kInvalid when they do not belong together

  const std::string& certificate_pem() const { return certificate_pem_; }
  std::string key_pem() const { return key_.ToPem(); }

  // A certificate for a key, valid from five minutes before `now`, never beyond the authority's own end. Serial numbers are random.
  Result<std::string> Sign(const Subject& subject, const PublicKey& key, const CertificateTerms& terms, Clock::Wall now) const;
  // The same with a fresh P-256 key.
  Result<IssuedCertificate> Issue(const Subject& subject, const CertificateTerms& terms, Clock::Wall now) const;

 private:
  CertificateAuthority(std::string certificate_pem, PrivateKey key) : certificate_pem_(std::move(certificate_pem)), key_(std::move(key)) {}
  std::string certificate_pem_;
  PrivateKey key_;
};

}  // namespace skerry::crypto
