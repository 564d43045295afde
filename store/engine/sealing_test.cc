#include <catch2/catch.hpp>

#include <map>
#include <set>

#include "core/base/strings.h"
#include "store/engine/sealing.h"

using namespace skerry;
using namespace skerry::store;

namespace {

// Turns every octet around and remembers where it was; enough to tell plain from sealed.
class Mirror final : public RecordSealer {
 public:
  std::string writes_with;           // empty = plain
  std::set<std::string, std::less<>> known;
  std::string KeyFor(std::string_view key, std::string_view plain) const override {
    return key.find("/secrets/") != key.npos || plain.find("/secrets/") != plain.npos ? writes_with : std::string();
  }
  std::string Seal(std::string_view, std::string_view key, std::string_view plain) const override { return Turn(Cat(key, "|", plain)); }
  Result<std::string> Open(std::string_view name, std::string_view key, std::string_view sealed) const override {
    if (!known.contains(name)) return Fail(Code::kInvalid, Cat("no key ", name));
    auto text = Turn(sealed);
    if (!text.starts_with(Cat(key, "|"))) return Fail(Code::kCorruption, "moved");
    return text.substr(key.size() + 1);
  }

 private:
  static std::string Turn(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = static_cast<char>(~c);
    return out;
  }
};

// Shows what is on the disk below the sealing backend.
class Shared final : public Backend {
 public:
  explicit Shared(std::map<std::string, std::string>& disk) : disk_(disk) {}
  Result<> Commit(const WriteSet& writes) override {
    for (const auto& op : writes.ops) {
      if (op.value) disk_[op.key] = *op.value;
      else disk_.erase(op.key);
    }
    return {};
  }
  Result<> Scan(std::string_view from, std::string_view to, const Visitor& visit) const override {
    for (auto at = disk_.lower_bound(std::string(from)); at != disk_.end() && at->first < to; ++at) TRY_VOID(visit(at->first, at->second));
    return {};
  }
  Result<> Checkpoint(const std::string&) override { return {}; }
  Health health() const noexcept override { return Health::kGood; }
  Error HealthError() const override { return Error(Code::kUnavailable, ""); }
  void TryRecover() override {}

 private:
  std::map<std::string, std::string>& disk_;
};

std::map<std::string, std::string> Read(Backend& backend) {
  std::map<std::string, std::string> out;
  REQUIRE(backend.Scan(std::string(1, '\0'), std::string(1, '\xff'), [&](std::string_view key, std::string_view value) -> Result<> {
    out.emplace(key, value);
    return {};
  }));
  return out;
}

}  // namespace

TEST_CASE("what is sealed is read as it was written, and a change of keys writes it again", "[store]") {
  std::map<std::string, std::string> disk;
  auto first = std::make_shared<Mirror>();
  first->writes_with = "k1";
  first->known = {"k1"};
  std::map<std::string, std::string> written;
  {
    const auto backend = NewSealingBackend(std::make_unique<Shared>(disk), first);
    WriteSet writes;
    for (int i = 0; i < 600; ++i) writes.ops.push_back({Cat("c/core/secrets/d/s", i), Cat("\x01plain text ", i)});
    writes.ops.push_back({"c/core/configmaps/d/a", "\x01open"});
    writes.ops.push_back({"l1", "\x01log of /secrets/ too"});
    for (const auto& op : writes.ops) written[op.key] = *op.value;
    REQUIRE(backend->Commit(writes));
    CHECK(Read(*backend) == written);
  }
  CHECK(disk.at("c/core/configmaps/d/a") == "\x01open");
  for (const auto& [key, value] : disk)
    if (key != "c/core/configmaps/d/a") CHECK(value.find("plain text") == value.npos);

  auto second = std::make_shared<Mirror>();
  second->writes_with = "k2";
  second->known = {"k1", "k2"};
  const auto rotated = NewSealingBackend(std::make_unique<Shared>(disk), second);
  const auto count = RewriteStale(*rotated);
  REQUIRE(count);
  CHECK(*count == 601);
  second->known = {"k2"};   // the old key is needed no more
  CHECK(Read(*rotated) == written);
  CHECK(*RewriteStale(*rotated) == 0);

  second->writes_with = "";
  CHECK(*RewriteStale(*rotated) == 601);
  CHECK(disk.at("c/core/secrets/d/s0") == "\x01plain text 0");
}

TEST_CASE("sealed records are refused without their key, and under another name", "[store]") {
  std::map<std::string, std::string> disk;
  auto sealer = std::make_shared<Mirror>();
  sealer->writes_with = "k1";
  sealer->known = {"k1"};
  const auto backend = NewSealingBackend(std::make_unique<Shared>(disk), sealer);
  REQUIRE(backend->Commit({{{"c/core/secrets/d/a", "\x01text"}}}));
  const auto ignore = [](std::string_view, std::string_view) -> Result<> { return {}; };
  const auto plain = NewSealingBackend(std::make_unique<Shared>(disk), nullptr);
  const auto refused = plain->Scan("a", "z", ignore);
  REQUIRE(!refused);
  CHECK(refused.error().message().find("\"k1\"") != std::string::npos);
  disk["c/core/secrets/d/b"] = disk["c/core/secrets/d/a"];
  CHECK(!backend->Scan("a", "z", ignore));
}
