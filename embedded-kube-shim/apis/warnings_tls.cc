#include "core/base/strings.h"
#include "core/crypto/certificate.h"
#include "core/crypto/key.h"
#include "core/text/base64.h"
#include "embedded-kube-shim/apis/warnings.h"

namespace skerry::kube::warnings {
namespace {

using crypto::PemBlock;

std::string Types(const std::vector<PemBlock>& blocks) {
  std::string out = "[";
  for (const PemBlock& block : blocks) out += (out.size() > 1 ? " " : "") + block.type;
  return out + "]";
}

bool IsKey(const PemBlock& block) { return block.type == "PRIVATE KEY" || block.type.ends_with(" PRIVATE KEY"); }

}  // namespace

std::string TlsPairProblem(std::string_view certificate, std::string_view key) {
  const auto certificate_pem = text::FromBase64(certificate), key_pem = text::FromBase64(key);
  const auto certificates = crypto::PemBlocks(certificate_pem ? *certificate_pem : std::string());
  const PemBlock* leaf = nullptr;
  for (const PemBlock& block : certificates)
    if (!leaf && block.type == "CERTIFICATE") leaf = &block;
  if (certificates.empty()) return "tls: failed to find any PEM data in certificate input";
  if (!leaf && certificates.size() == 1 && certificates[0].type.ends_with("PRIVATE KEY"))
    return "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched";
  if (!leaf) return Cat("tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks of the following types: ", Types(certificates));
  const auto keys = crypto::PemBlocks(key_pem ? *key_pem : std::string());
  bool found = false;
  for (const PemBlock& block : keys) found = found || IsKey(block);
  if (keys.empty()) return "tls: failed to find any PEM data in key input";
  if (!found && keys.size() == 1 && keys[0].type == "CERTIFICATE") return "tls: found a certificate rather than a key in the PEM for the private key";
  if (!found) return Cat("tls: failed to find PEM block with type ending in \"PRIVATE KEY\" in key input after skipping PEM blocks of the following types: ", Types(keys));
  if (!crypto::ParseCertificate(leaf->der)) return "x509: malformed certificate";
  const auto holder = crypto::PublicKey::FromPem(crypto::CertificatePem(leaf->der));
  const auto owner = crypto::PrivateKey::FromPem(*key_pem);
  if (!holder) return {};   // a kind of key that cannot be compared here
  if (!owner) return "tls: failed to parse private key";
  if ((holder->type() == crypto::KeyType::kRsa) != (owner->type() == crypto::KeyType::kRsa)) return "tls: private key type does not match public key type";
  return holder->ToDer() == owner->Public().ToDer() ? std::string() : "tls: private key does not match public key";
}

}  // namespace skerry::kube::warnings
