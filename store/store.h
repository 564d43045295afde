#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/clock.h"
#include "core/base/result.h"
#include "store/value.h"

// A revisioned key-value store (etcd's data model). Every commit has one revision; a revision is never reused: not after a failed
// commit, a crash, a lost volatile commit or a restored backup. Revisions grow but have gaps. The first revision of a store is 1.
namespace skerry::store {

using Revision = std::int64_t;

struct Version {
  Value value;
  Revision created = 0, modified = 0;
};

struct Entry {
  std::string key;
  Value value;
  Revision created = 0, modified = 0;
};

struct Event {
  enum class Type : std::uint8_t { kPut, kDelete, kBookmark } type = Type::kPut;
  Entry entry;                       // kDelete: the last value, with modified = the revision of the deletion
  std::optional<Version> previous;   // kPut of an existing key, kDelete: what was there before
};

struct Page {
  std::vector<Entry> entries;
  Revision revision = 0;             // the revision this page shows
  bool more = false;
  std::int64_t remaining = 0;        // entries after this page
};

struct ListOptions {
  std::string from_key;              // inclusive; empty = start of the prefix
  std::size_t limit = 0;             // 0 = no limit
  Revision at = 0;                   // 0 = latest
};

// Plain data: built on the caller's thread, applied whole at one new revision or not at all. Expectations see the batches committed
// before it, those of the same group included. A batch whose puts all equal the current values commits nothing. When a key appears
// in more than one op, the last one counts.
struct Batch {
  struct Expect {
    std::string key;
    Revision modified = 0;           // 0 = must not exist, -1 = must exist
  };
  struct Op {
    std::string key;                 // 1 … kMaxKey bytes
    std::optional<Bytes> value;      // nullopt = delete; deleting what is absent is no change. At most kMaxValue bytes
  };
  std::vector<Expect> expects;
  std::vector<Op> ops;
  // A full disk keeps some space back. Batches that only delete may always use it; set this for a put that leads to a deletion
  // (grace period, removal of a finalizer).
  bool may_use_reserve = false;
};

inline constexpr std::size_t kMaxKey = 4096;
inline constexpr std::size_t kMaxValue = 32 << 20;

struct Outcome {
  Revision revision = 0;             // of this commit; when nothing changed, the newest `modified` among the entries the ops name
                                     // (the store's revision if there is none); when an expectation failed, 0
  bool changed = true;
  // When an expectation failed (conflict = true): its index and the entry now under that key (nullopt = absent), for the caller's retry.
  bool conflict = false;
  std::size_t failed_expect = 0;
  std::optional<Entry> current;
};

// A subscription. Ordered, unique, atomic per revision, resumable. A consumer that falls behind the horizon is closed with kGone and
// must list again; a commit never waits for a watcher. One thread at a time; may outlive the store.
class Watch {
 public:
  virtual ~Watch() = default;  // unsubscribes; its wake is not called afterwards (waits for a call in progress)
  // Whole revisions, a bounded number of them: call until it returns nothing. kGone = fell behind, kCancelled = the store is closed.
  virtual Result<std::vector<Event>> TryNext() = 0;
  // Every event up to this revision has been returned: where to resume, and what a bookmark may say.
  virtual Revision position() const = 0;
};

// Called on the commit thread after the group's fsync and before any `done` or watcher of the group. This feed is how caches become
// visible before a write is acknowledged. Must not block and must not call the store.
class Feed {
 public:
  virtual ~Feed() = default;
  // Once per batch that changed something, in revision order.
  virtual void OnCommit(Revision revision, const std::vector<Event>& events) = 0;
  virtual void OnGroupEnd(Revision) {}                                              // once per commit group: wake subscribers here
};

// Thread-safe. Reads never wait for a commit's disk write, and hold commits up only for microseconds.
class Store {
 public:
  virtual ~Store() = default;                               // pending Submits answer kCancelled
  // Reads of the past (at > 0): kGone behind the horizon, kInvalid for a revision that does not exist yet.
  virtual Result<std::optional<Entry>> Get(std::string_view key, Revision at = 0) const = 0;
  virtual Result<Page> List(std::string_view prefix, const ListOptions& options) const = 0;
  // `done` runs once, on the commit thread, after the group's fsync: it must only hand over (post to a shard, wake a waiter).
  // A failed expectation is an Outcome, not an error. Errors: kUnavailable (disk full or failing; retryable, and the write may
  // still have happened if the process dies right afterwards), kTooMany (queue full), kInvalid and kTooLarge (see Batch),
  // kCancelled (shutdown before the commit), kCorruption.
  virtual void Submit(Batch batch, std::move_only_function<void(Result<Outcome>)> done) = 0;
  // Events with revision > after, in order. kGone if `after` is behind the horizon (for a prefix that touches volatile ones: before
  // the last open), kInvalid if it does not exist yet. `wake` (may be null) is called from the commit thread when there may be
  // something new, once per commit group for all watches that share it; it must only hand over. Call TryNext once after Subscribe.
  virtual Result<std::unique_ptr<Watch>> Subscribe(std::string_view prefix, Revision after,
                                                   std::shared_ptr<std::function<void()>> wake) = 0;
  // One feed for the process. Set before the first Submit; replays nothing: the consumer lists first.
  virtual void SetFeed(Feed* feed) = 0;
  // Online; `directory` must not exist or be empty. The copy opens as a store of its own whose revisions start far above, so that
  // clients of the original cannot take one for the other. kAlreadyExists, kUnavailable; kUnsupported on the memory engine.
  virtual Result<> Checkpoint(const std::string& directory) = 0;
  virtual Revision current() const noexcept = 0;
  virtual Revision horizon() const noexcept = 0;                   // oldest revision that List(at) and Subscribe(after) can serve
  // Ends the history at `revision` now (tests and operators). The horizon also advances by age and size. kInvalid if in the future.
  virtual Result<> Compact(Revision revision) = 0;
  // For readiness: kUnavailable while writes are refused (with the cause), kCorruption.
  virtual Result<> Healthy() const = 0;
};

struct Options {
  std::string directory;                                    // ignored by the memory engine
  std::vector<std::string> volatile_prefixes;               // live in memory, share the revision counter, gone after a restart
  std::chrono::seconds history_age{300};                    // 0 = no limit by age
  std::int64_t history_bytes = 64 << 20;
  bool sync = true;                                         // false only in tests that say why
  std::int64_t ballast_bytes = 32 << 20;                    // kept back for deletes on a full disk
  std::chrono::milliseconds retry_interval{2000};           // how often a refused disk is tried again
  const Clock* clock = &Clock::System();
};

// Errors: kUnavailable (locked by another process, not writable), kUnsupported (written by a newer version), kCorruption; one line each,
// naming the directory and the remedy.
Result<std::unique_ptr<Store>> OpenRocksStore(Options options);
std::unique_ptr<Store> NewMemoryStore(Options options = {});

// Submits and waits. For threads that may block; never from `done`, a wake or a feed.
Result<Outcome> SubmitAndWait(Store& store, Batch batch);

}  // namespace skerry::store
