#include "cmd/skerry/sealing.h"

#include <map>
#include <vector>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/crypto/seal.h"
#include "core/text/base64.h"
#include "core/text/yaml.h"

namespace skerry::cmd {
namespace {

constexpr std::string_view kOwn = "skerry-local";

// Which records a rule means: a piece of their storage key ("/core/secrets/"), or every object.
struct Rule {
  std::vector<std::string> pieces;
  std::string key;                   // writes with it; empty = plain
};

class Sealer final : public store::RecordSealer {
 public:
  std::map<std::string, crypto::Sealer, std::less<>> keys;
  std::vector<Rule> rules;

  // A log record holds what several keys had before: one that names a sealed key is sealed whole.
  std::string KeyFor(std::string_view backend_key, std::string_view plain) const override {
    if (backend_key.empty() || backend_key[0] == 'm') return {};
    const std::string_view where = backend_key[0] == 'c' ? backend_key : plain;
    for (const auto& rule : rules)
      for (const auto& piece : rule.pieces)
        if (where.find(piece) != where.npos) return rule.key;
    return {};
  }
  std::string Seal(std::string_view name, std::string_view backend_key, std::string_view plain) const override { return keys.find(name)->second.Seal(plain, backend_key); }
  Result<std::string> Open(std::string_view name, std::string_view backend_key, std::string_view sealed) const override {
    const auto key = keys.find(name);
    if (key == keys.end()) return Fail(Code::kInvalid, Cat("holds records sealed with the key ", Quote(name), "; keep it among the providers until a start has written them again"));
    return key->second.Open(sealed, backend_key);
  }
};

Result<crypto::Sealer> OwnKey(const std::string& directory) {
  const std::string path = directory + "/sealing.key";
  auto key = ReadFile(path, 1 << 10);
  if (!key) {
    if (key.error().code() != Code::kNotFound) return std::unexpected(std::move(key).error());
    key = crypto::Sealer::GenerateKey();
    TRY_VOID(MakeDirectories(directory, 0700));
    TRY_VOID(WriteFileDurably(path, *key, 0600));
  }
  auto sealer = crypto::Sealer::Create(*key);
  if (!sealer) return std::unexpected(std::move(sealer).error().Wrap(path));
  return sealer;
}

// "secrets" -> "/core/secrets/", "deployments.apps" -> "/apps/deployments/", "*.apps" -> "/apps/", "*." -> "/core/", "*.*" -> "/".
std::string PieceOf(std::string_view resource) {
  const auto dot = resource.find('.');
  const std::string_view name = resource.substr(0, dot), group = dot == resource.npos ? std::string_view() : resource.substr(dot + 1);
  if (name == "*") return group == "*" ? "/" : Cat("/", group.empty() ? std::string_view("core") : group, "/");
  return Cat("/", group.empty() ? std::string_view("core") : group, "/", name, "/");
}

Result<std::string> AddProvider(Sealer& sealer, const json::Value& provider, const std::string& at) {
  if (provider.size() != 1) return Fail(Code::kInvalid, Cat(at, ": names one provider"));
  if (provider.Find("identity")) return std::string();
  const auto* aes = provider.Find("aesgcm");
  if (!aes) return Fail(Code::kInvalid, Cat(at, ": only aesgcm and identity are supported"));
  std::string first;
  for (const auto& key : (*aes)["keys"].Items()) {
    const std::string name(key["name"].Str());
    if (name.empty() || name == kOwn || name.find(':') != name.npos) return Fail(Code::kInvalid, Cat(at, ".aesgcm.keys: a name is missing or holds a colon"));
    const auto secret = text::FromBase64(key["secret"].Str());
    auto made = secret ? crypto::Sealer::Create(*secret) : Result<crypto::Sealer>(Fail(Code::kInvalid, ""));
    if (!made) return Fail(Code::kInvalid, Cat(at, ".aesgcm.keys: the secret of ", Quote(name), " is not 32 bytes in base64"));
    if (!sealer.keys.emplace(name, std::move(*made)).second) return Fail(Code::kInvalid, Cat(at, ".aesgcm.keys: ", Quote(name), " is used twice; names must be unique"));
    if (first.empty()) first = name;
  }
  if (first.empty()) return Fail(Code::kInvalid, Cat(at, ".aesgcm.keys: at least one is needed"));
  return first;
}

Result<> Configure(Sealer& sealer, std::string_view text) {
  TRY(const json::Value document, text::ParseYaml(text));
  if (document["kind"].Str() != "EncryptionConfiguration" || !document["apiVersion"].Str().starts_with("apiserver.config.k8s.io/"))
    return Fail(Code::kInvalid, "expected an EncryptionConfiguration of apiserver.config.k8s.io/v1");
  std::size_t number = 0;
  for (const auto& entry : document["resources"].Items()) {
    const auto at = Cat("resources[", number++, "]");
    Rule rule;
    for (const auto& resource : entry["resources"].Items()) rule.pieces.push_back(PieceOf(resource.Str()));
    if (rule.pieces.empty()) return Fail(Code::kInvalid, Cat(at, ".resources: at least one is needed"));
    if (entry["providers"].size() == 0) return Fail(Code::kInvalid, Cat(at, ".providers: at least one is needed"));
    std::size_t provider_number = 0;
    for (const auto& provider : entry["providers"].Items()) {
      TRY(auto key, AddProvider(sealer, provider, Cat(at, ".providers[", provider_number, "]")));
      if (provider_number++ == 0) rule.key = std::move(key);
    }
    sealer.rules.push_back(std::move(rule));
  }
  if (sealer.rules.empty()) return Fail(Code::kInvalid, "resources: at least one entry is needed");
  return {};
}

}  // namespace

Result<std::shared_ptr<const store::RecordSealer>> LoadSealer(const std::string& pki_directory, const std::string& configuration_file) {
  auto sealer = std::make_shared<Sealer>();
  TRY(auto own, OwnKey(pki_directory));
  sealer->keys.emplace(std::string(kOwn), std::move(own));
  if (configuration_file.empty()) {
    sealer->rules.push_back({{"/core/secrets/"}, std::string(kOwn)});
    return std::shared_ptr<const store::RecordSealer>(std::move(sealer));
  }
  TRY(const std::string text, ReadFile(configuration_file, 1 << 20));
  if (auto done = Configure(*sealer, text); !done) return std::unexpected(std::move(done).error().Wrap(configuration_file));
  return std::shared_ptr<const store::RecordSealer>(std::move(sealer));
}

}  // namespace skerry::cmd
