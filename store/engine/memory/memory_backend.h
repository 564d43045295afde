#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <mutex>

#include "core/base/guarded.h"
#include "store/engine/backend.h"

namespace skerry::store {

// Keeps what a disk would keep, so that tests can open a store again over it, damage it, and let writes fail.
class MemoryDisk {
 public:
  using Map = std::map<std::string, std::string, std::less<>>;
  Guarded<Map> records;
  std::atomic<bool> full{false};      // kLowSpace: the write that meets it fails, those after it are judged by mvcc
  std::atomic<bool> failing{false};   // every write fails
  std::atomic<int> commits{0};
};

// Without a disk it keeps nothing: mvcc has everything it serves in memory anyway.
class MemoryBackend final : public Backend {
 public:
  explicit MemoryBackend(std::shared_ptr<MemoryDisk> disk) : disk_(std::move(disk)) {}
  Result<> Commit(const WriteSet& writes) override;
  Result<> Scan(std::string_view from, std::string_view to, const Visitor& visit) const override;
  Result<> Checkpoint(const std::string&) override;
  Health health() const noexcept override { return health_.load(); }
  Error HealthError() const override;
  void TryRecover() override;

 private:
  const std::shared_ptr<MemoryDisk> disk_;
  std::atomic<Health> health_{Health::kGood};
};

}  // namespace skerry::store
