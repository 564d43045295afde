#include "store/engine/sealing.h"

#include <algorithm>

#include "core/base/strings.h"

namespace skerry::store {
namespace {

constexpr std::string_view kMagic = "k8s:enc:aesgcm:v1:";
constexpr std::size_t kRewriteBatch = 256;

// The name of the key and the octets; both empty for a plain record.
std::pair<std::string_view, std::string_view> Parse(std::string_view record) {
  if (!record.starts_with(kMagic)) return {};
  record.remove_prefix(kMagic.size());
  const auto colon = record.find(':');
  if (colon == std::string_view::npos) return {};
  return {record.substr(0, colon), record.substr(colon + 1)};
}

class SealingBackend final : public Backend {
 public:
  SealingBackend(std::unique_ptr<Backend> inner, std::shared_ptr<const RecordSealer> sealer) : inner_(std::move(inner)), sealer_(std::move(sealer)) {}

  Result<> Commit(const WriteSet& writes) override {
    const auto sealable = [&](const WriteSet::Op& op) { return op.value && !sealer_->KeyFor(op.key, *op.value).empty(); };
    if (!sealer_ || std::none_of(writes.ops.begin(), writes.ops.end(), sealable)) return inner_->Commit(writes);
    WriteSet sealed;
    sealed.ops.reserve(writes.ops.size());
    for (const auto& op : writes.ops) sealed.ops.push_back({op.key, op.value ? std::optional(Sealed(op.key, *op.value)) : std::nullopt});
    return inner_->Commit(sealed);
  }

  Result<> Scan(std::string_view from, std::string_view to, const Visitor& visit) const override {
    return inner_->Scan(from, to, [&](std::string_view key, std::string_view record) -> Result<> {
      const auto [name, octets] = Parse(record);
      if (name.empty()) return visit(key, record);
      if (!sealer_) return Fail(Code::kInvalid, Cat("holds records sealed with the key ", Quote(name), ", which is not configured"));
      TRY(const auto plain, sealer_->Open(name, key, octets));
      return visit(key, plain);
    });
  }

  Result<> Checkpoint(const std::string& directory) override { return inner_->Checkpoint(directory); }
  Health health() const noexcept override { return inner_->health(); }
  Error HealthError() const override { return inner_->HealthError(); }
  void TryRecover() override { inner_->TryRecover(); }

  Result<std::size_t> Rewrite() {
    std::size_t count = 0;
    if (!sealer_) return count;
    std::string from(1, '\0');
    const std::string to(1, '\xff');
    for (bool more = true; more;) {
      WriteSet stale;
      more = false;
      auto scanned = inner_->Scan(from, to, [&](std::string_view key, std::string_view record) -> Result<> {
        const auto [name, octets] = Parse(record);
        std::string plain(record);
        if (!name.empty()) {
          TRY(plain, sealer_->Open(name, key, octets));
        }
        if (sealer_->KeyFor(key, plain) == name) return {};
        if (stale.ops.size() == kRewriteBatch) {
          more = true;
          from = key;
          return Fail(Code::kCancelled, "enough for one write");
        }
        stale.ops.push_back({std::string(key), std::move(plain)});
        return {};
      });
      if (!scanned && !more) return std::unexpected(std::move(scanned).error());
      if (stale.ops.empty()) break;
      count += stale.ops.size();
      TRY_VOID(Commit(stale));
    }
    return count;
  }

 private:
  std::string Sealed(std::string_view key, const std::string& plain) const {
    const auto name = sealer_->KeyFor(key, plain);
    return name.empty() ? plain : Cat(kMagic, name, ":", sealer_->Seal(name, key, plain));
  }

  const std::unique_ptr<Backend> inner_;
  const std::shared_ptr<const RecordSealer> sealer_;
};

}  // namespace

std::unique_ptr<Backend> NewSealingBackend(std::unique_ptr<Backend> inner, std::shared_ptr<const RecordSealer> sealer) {
  return std::make_unique<SealingBackend>(std::move(inner), std::move(sealer));
}

Result<std::size_t> RewriteStale(Backend& sealing_backend) { return static_cast<SealingBackend&>(sealing_backend).Rewrite(); }

}  // namespace skerry::store
