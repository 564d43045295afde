#include "store/engine/rocksdb/rocks_backend.h"

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/checkpoint.h>
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>

#include "core/base/fault.h"
#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/telemetry/log.h"
#include "store/engine/rocksdb/torn_tail.h"

namespace skerry::store {
namespace {

// RocksDB's own log says nothing that an operator could act on, and must not become a file that grows.
class SilentLogger final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, va_list) override {}
};

std::string_view NameOf(Backend::Health h) {
  return h == Backend::Health::kGood       ? "good"
         : h == Backend::Health::kLowSpace ? "low space: only deletions are taken"
                                           : "failing: no write is taken";
}

rocksdb::Options DbOptions(bool create) {
  rocksdb::Options o;
  o.create_if_missing = create;
  o.info_log = std::make_shared<SilentLogger>();
  o.stats_dump_period_sec = 0;
  o.stats_persist_period_sec = 0;
  o.write_buffer_size = 4 << 20;
  o.max_write_buffer_number = 2;
  o.max_background_jobs = 2;
  o.max_open_files = 128;
  // Nothing is read from here while the store is open, so young files may pile up: each compaction writes all of a small database again.
  o.level0_file_num_compaction_trigger = 12;
  o.level0_slowdown_writes_trigger = 32;
  o.level0_stop_writes_trigger = 48;
  o.manifest_preallocation_size = 64 << 10;
  o.max_manifest_file_size = 4 << 20;
  o.keep_log_file_num = 1;
  o.level_compaction_dynamic_level_bytes = true;
  o.compression = rocksdb::kLZ4Compression;
  o.bottommost_compression = rocksdb::kZSTD;
  o.bottommost_compression_opts.enabled = true;
  o.bottommost_compression_opts.level = 1;
  // The default would silently drop what follows damage in the middle of the write-ahead log.
  o.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  o.track_and_verify_wals_in_manifest = true;
  o.avoid_flush_during_recovery = true;
  o.avoid_flush_during_shutdown = true;
  o.skip_stats_update_on_db_open = true;
  // One thread writes: nothing to coordinate.
  o.allow_concurrent_memtable_write = false;
  o.enable_write_thread_adaptive_yield = false;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(2 << 20);
  table.cache_index_and_filter_blocks = true;
  table.format_version = 5;
  table.block_size = 32 << 10;   // read from end to end only: larger blocks are smaller and cheaper to compress
  o.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return o;
}

rocksdb::Slice ToSlice(std::string_view s) { return rocksdb::Slice(s.data(), s.size()); }
std::string_view ToView(const rocksdb::Slice& s) { return {s.data(), s.size()}; }

// A database that was open once has a write-ahead log. RocksDB itself would not miss the newest one.
bool HasLog(const std::string& db) {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(db.c_str()), ::closedir);
  while (dir) {
    const dirent* entry = ::readdir(dir.get());
    if (!entry) return false;
    if (std::string_view(entry->d_name).ends_with(".log")) return true;
  }
  return false;
}

bool IsDamage(const rocksdb::Status& s) {
  return s.IsCorruption() || s.IsNotFound() || (s.IsIOError() && s.subcode() == rocksdb::Status::kPathNotFound);
}

}  // namespace

RocksBackend::RocksBackend(const Options& options, OpenedDirectory directory)
    : directory_(options.directory),
      sync_(options.sync),
      lock_(std::move(directory.lock)),
      ballast_(options.directory, options.ballast_bytes) {}

RocksBackend::~RocksBackend() {
  if (db_) rocksdb::CancelAllBackgroundWork(db_.get(), false);
  if (compactor_.joinable()) compactor_.join();
}

Result<std::unique_ptr<RocksBackend>> RocksBackend::Open(const Options& options, OpenedDirectory directory) {
  const bool create = directory.state == DirectoryState::kCreating;
  const std::string db = options.directory + "/db";
  if (create) TRY_VOID(MakeDirectoriesDurably(db));
  struct stat st;
  const bool lost_log = directory.state == DirectoryState::kReady && !HasLog(db);
  if (!create && (lost_log || ::stat((db + "/CURRENT").c_str(), &st) != 0)) {
    return Fail(Code::kCorruption, Cat("store ", options.directory, ": files are missing in db/; restore a backup"));
  }
  std::unique_ptr<RocksBackend> backend(new RocksBackend(options, std::move(directory)));
  if (auto r = backend->OpenDb(create); !r) {
    if (backend->health() != Health::kLowSpace) return std::unexpected(std::move(r).error());
    TRY_VOID(backend->OpenDb(create));   // the ballast has been released meanwhile
  }
  if (backend->health() == Health::kGood && !backend->ballast_.Restore()) backend->SetHealth(Health::kLowSpace);
  return backend;
}

Result<> RocksBackend::OpenDb(bool create) {
  rocksdb::DB* db = nullptr;
  const std::string path = directory_ + "/db";
  rocksdb::Status s = rocksdb::DB::Open(DbOptions(create), path, &db);
  if (s.IsCorruption()) {
    const auto cut = CutTornTails(path);
    if (cut && *cut) log::Warn("a write that was cut off by a crash and never acknowledged was dropped", {{"store", directory_}});
    if (cut && *cut) s = rocksdb::DB::Open(DbOptions(create), path, &db);
  }
  if (s.ok()) {
    db_.reset(db);
    return {};
  }
  if (s.IsNoSpace() && health_ == Health::kGood) {
    ballast_.Release();
    SetHealth(Health::kLowSpace);
  }
  return std::unexpected(Describe(s));
}

Error RocksBackend::Describe(const rocksdb::Status& s) const {
  if (s.IsNoSpace()) return Error(Code::kUnavailable, Cat("store ", directory_, ": no space left on its disk; free some"));
  if (IsDamage(s)) return Error(Code::kCorruption, Cat("store ", directory_, ": damaged (", s.ToString(), "); restore a backup"));
  return Error(Code::kUnavailable, Cat("store ", directory_, ": the disk fails (", s.ToString(), "); check the disk"));
}

Error RocksBackend::HealthError() const {
  if (health_ == Health::kLowSpace) return Describe(rocksdb::Status::NoSpace());
  if (corrupt_) return Error(Code::kCorruption, Cat("store ", directory_, ": damaged while running; restore a backup"));
  return Error(Code::kUnavailable, Cat("store ", directory_, ": the disk fails and is tried again; check the disk"));
}

void RocksBackend::NoteFailure(const rocksdb::Status& s) {
  if (s.IsNoSpace()) {
    ballast_.Release();
    SetHealth(Resume() ? Health::kLowSpace : Health::kFailing);
    return;
  }
  if (s.IsCorruption()) corrupt_ = true;
  log::Error("the store cannot write", {{"store", directory_}, {"reason", s.ToString()}});
  SetHealth(Health::kFailing);
}

void RocksBackend::SetHealth(Health health) {
  if (health_.exchange(health) == health) return;
  freed_something_ = true;   // there may be space to gain from earlier deletions
  log::Write(health == Health::kGood ? log::Level::kInfo : log::Level::kWarn, "the health of the store's disk changed",
             {{"store", directory_}, {"health", NameOf(health)}});
}

void RocksBackend::StartCompaction() {
  if (compacting_ || !std::exchange(freed_something_, false)) return;
  if (compactor_.joinable()) compactor_.join();
  compacting_ = true;
  compactor_ = std::thread([this] {
    const std::shared_lock lock(db_mutex_);
    rocksdb::CompactRangeOptions options;
    options.exclusive_manual_compaction = false;
    if (db_) static_cast<void>(db_->CompactRange(options, nullptr, nullptr));   // a failure shows in the next commit
    compacting_ = false;
  });
}

bool RocksBackend::Resume() {
  {
    const std::shared_lock lock(db_mutex_);
    if (db_ && db_->Resume().ok()) return true;
  }
  // RocksDB gave up on this instance: a new one replays its log.
  const std::unique_lock lock(db_mutex_);
  db_.reset();
  return OpenDb(false).has_value();
}

void RocksBackend::TryRecover() {
  if (corrupt_) return;
  if (health_ == Health::kFailing && !Resume()) return;
  SetHealth(ballast_.Restore() ? Health::kGood : Health::kLowSpace);
  if (health_ == Health::kLowSpace) StartCompaction();
}

Result<> RocksBackend::Commit(const WriteSet& writes) {
  SKERRY_FAULT("store.commit.before_sync");
  rocksdb::WriteBatch batch;
  for (const WriteSet::Op& op : writes.ops) {
    const rocksdb::Status s = op.value ? batch.Put(ToSlice(op.key), ToSlice(*op.value)) : batch.Delete(ToSlice(op.key));
    if (!s.ok()) return std::unexpected(Describe(s));
  }
  rocksdb::WriteOptions options;
  options.sync = sync_;
  rocksdb::Status s;
  {
    const std::shared_lock lock(db_mutex_);
    if (!db_) return std::unexpected(HealthError());
    s = db_->Write(options, &batch);
  }
  if (!s.ok()) {
    NoteFailure(s);
    return std::unexpected(Describe(s));
  }
  freed_something_ |= health_ == Health::kLowSpace;
  SKERRY_FAULT("store.commit.after_sync");
  return {};
}

Result<> RocksBackend::Scan(std::string_view from, std::string_view to, const Visitor& visit) const {
  const std::shared_lock lock(db_mutex_);
  if (!db_) return std::unexpected(HealthError());
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  const rocksdb::Slice end = ToSlice(to);
  options.iterate_upper_bound = &end;
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options));
  for (it->Seek(ToSlice(from)); it->Valid(); it->Next()) TRY_VOID(visit(ToView(it->key()), ToView(it->value())));
  if (!it->status().ok()) return std::unexpected(Describe(it->status()));
  return {};
}

Result<> RocksBackend::Checkpoint(const std::string& directory) {
  TRY_VOID(MakeDirectoriesDurably(directory));
  if (::rmdir(directory.c_str()) != 0) {   // the cheapest proof that it is empty
    const Code code = errno == ENOTEMPTY || errno == EEXIST ? Code::kAlreadyExists : Code::kUnavailable;
    return Fail(code, Cat("checkpoint to ", directory, ": ", ::strerror(errno), "; choose an empty directory"));
  }
  TRY_VOID(MakeDirectoriesDurably(directory));
  {
    const std::shared_lock lock(db_mutex_);
    if (!db_) return std::unexpected(HealthError());
    rocksdb::Checkpoint* raw = nullptr;
    rocksdb::Status s = rocksdb::Checkpoint::Create(db_.get(), &raw);
    const std::unique_ptr<rocksdb::Checkpoint> checkpoint(raw);
    if (s.ok()) s = checkpoint->CreateCheckpoint(directory + "/db");
    if (!s.ok()) return std::unexpected(Error(Code::kUnavailable, Cat("checkpoint to ", directory, ": ", s.ToString())));
  }
  // Without FORMAT the copy does not open: it appears last.
  TRY_VOID(WriteFormat(directory, DirectoryState::kCopy));
  const std::size_t slash = directory.find_last_of('/');
  return SyncDirectory(slash == std::string::npos ? "." : directory.substr(0, std::max<std::size_t>(slash, 1)));
}

}  // namespace skerry::store
