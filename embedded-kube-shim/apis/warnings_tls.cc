#include "core/base/strings.h"
#include "core/crypto/certificate.h"
#include "core/crypto/key.h"
#include "core/crypto/openssl.h"
#include "core/text/base64.h"
#include "embedded-kube-shim/apis/warnings.h"

#include <openssl/pem.h>

namespace skerry::kube::warnings {
namespace {

struct Block { std::string type, der; };

std::vector<Block> PemBlocks(std::string_view pem) {
  std::vector<Block> out;
  crypto::BioPtr input(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  char *name = nullptr, *header = nullptr;
  unsigned char* data = nullptr;
  long size = 0;
  while (input && PEM_read_bio(input.get(), &name, &header, &data, &size) == 1) {
    out.push_back({name, std::string(reinterpret_cast<char*>(data), static_cast<std::size_t>(size))});
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(data);
  }
  ERR_clear_error();
  return out;
}

std::string Types(const std::vector<Block>& blocks) {
  std::string out = "[";
  for (const Block& block : blocks) out += (out.size() > 1 ? " " : "") + block.type;
  return out + "]";
}

bool IsKey(const Block& block) { return block.type == "PRIVATE KEY" || block.type.ends_with(" PRIVATE KEY"); }

}  // namespace

std::string TlsPairProblem(std::string_view certificate, std::string_view key) {
  const auto certificate_pem = text::FromBase64(certificate), key_pem = text::FromBase64(key);
  const auto certificates = PemBlocks(certificate_pem ? *certificate_pem : std::string());
  const Block* leaf = nullptr;
  for (const Block& block : certificates)
    if (!leaf && block.type == "CERTIFICATE") leaf = &block;
  if (certificates.empty()) return "tls: failed to find any PEM data in certificate input";
  if (!leaf && certificates.size() == 1 && certificates[0].type.ends_with("PRIVATE KEY"))
    return "tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched";
  if (!leaf) return Cat("tls: failed to find \"CERTIFICATE\" PEM block in certificate input after skipping PEM blocks of the following types: ", Types(certificates));
  const auto keys = PemBlocks(key_pem ? *key_pem : std::string());
  bool found = false;
  for (const Block& block : keys) found = found || IsKey(block);
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
