#pragma once
#include <atomic>
#include <memory>
#include <shared_mutex>
#include <thread>

#include "store/engine/backend.h"
#include "store/engine/rocksdb/directory.h"
#include "store/store.h"

namespace rocksdb {
class DB;
class Status;
}  // namespace rocksdb

namespace skerry::store {

// RocksDB in `<directory>/db`. Disk full: the ballast is released, RocksDB resumed and the health is kLowSpace until there is room for
// the ballast again. Other failures of the disk: kFailing; TryRecover resumes RocksDB or opens it anew.
class RocksBackend final : public Backend {
 public:
  static Result<std::unique_ptr<RocksBackend>> Open(const Options& options, OpenedDirectory directory);
  ~RocksBackend() override;

  Result<> Commit(const WriteSet& writes) override;
  Result<> Scan(std::string_view from, std::string_view to, const Visitor& visit) const override;
  Result<> Checkpoint(const std::string& directory) override;
  Health health() const noexcept override { return health_.load(); }
  Error HealthError() const override;
  void TryRecover() override;

 private:
  RocksBackend(const Options& options, OpenedDirectory directory);
  Result<> OpenDb(bool create);
  Error Describe(const rocksdb::Status& status) const;
  void NoteFailure(const rocksdb::Status& status);
  void SetHealth(Health health);
  void StartCompaction();
  bool Resume();

  const std::string directory_;
  const bool sync_;
  const UniqueFd lock_;
  Ballast ballast_;
  mutable std::shared_mutex db_mutex_;   // held exclusively only while db_ is replaced
  std::unique_ptr<rocksdb::DB> db_;
  std::atomic<Health> health_{Health::kGood};
  std::atomic<bool> corrupt_{false};     // never recovers
  bool freed_something_ = false;         // commit thread: a compaction may gain space
  std::atomic<bool> compacting_{false};
  std::thread compactor_;                // gives the space of deleted entries back while the disk is full
};

}  // namespace skerry::store
