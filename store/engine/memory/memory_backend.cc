#include "store/engine/memory/memory_backend.h"

#include "core/base/fault.h"

namespace skerry::store {

Result<> MemoryBackend::Commit(const WriteSet& writes) {
  SKERRY_FAULT("store.commit.before_sync");
  if (!disk_) return {};
  if (disk_->failing) {
    health_ = Health::kFailing;
    return std::unexpected(HealthError());
  }
  if (disk_->full && health_ == Health::kGood) {
    health_ = Health::kLowSpace;
    return std::unexpected(HealthError());
  }
  {
    auto records = disk_->records.Lock();
    for (const WriteSet::Op& op : writes.ops) {
      if (op.value) records->insert_or_assign(op.key, *op.value);
      if (!op.value) records->erase(op.key);
    }
  }
  ++disk_->commits;
  SKERRY_FAULT("store.commit.after_sync");
  return {};
}

Result<> MemoryBackend::Scan(std::string_view from, std::string_view to, const Visitor& visit) const {
  if (!disk_) return {};
  auto records = disk_->records.Lock();
  for (auto it = records->lower_bound(from); it != records->end() && it->first < to; ++it) TRY_VOID(visit(it->first, it->second));
  return {};
}

Result<> MemoryBackend::Checkpoint(const std::string&) { return Fail(Code::kUnsupported, "the memory store has nothing to copy"); }

Error MemoryBackend::HealthError() const {
  if (health_ == Health::kLowSpace) return Error(Code::kUnavailable, "no space left for the memory store");
  return Error(Code::kUnavailable, "the memory store was told to fail");
}

void MemoryBackend::TryRecover() {
  if (!disk_ || disk_->failing) return;
  health_ = disk_->full ? Health::kLowSpace : Health::kGood;
}

}  // namespace skerry::store
