#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/result.h"

// A revisioned key-value store (etcd's data model). Every commit has one revision; a revision is never reused.
namespace skerry::store {

using Revision = std::int64_t;

struct Entry {
  std::string key;
  Bytes value;
  Revision created = 0, modified = 0;
};

struct Event {
  enum class Type : std::uint8_t { kPut, kDelete, kBookmark } type = Type::kPut;
  Entry entry;                       // kDelete: the last value, with modified = the revision of the deletion
  std::optional<Entry> previous;     // kPut of an existing key, kDelete
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
  Revision at = 0;                   // 0 = latest; kGone behind the horizon
};

// Plain data: built on the caller's thread, applied whole at one new revision or not at all. Expectations see the batches committed
// before it, those of the same group included. A batch whose puts all equal the current values commits nothing.
struct Batch {
  struct Expect {
    std::string key;
    Revision modified = 0;           // 0 = must not exist, -1 = must exist
  };
  struct Op {
    std::string key;
    std::optional<Bytes> value;      // nullopt = delete; deleting what is absent is no change
  };
  std::vector<Expect> expects;
  std::vector<Op> ops;
};

struct Outcome {
  Revision revision = 0;             // of this commit; of the current entry when nothing changed
  bool changed = true;
  // When an expectation failed (conflict = true): its index and the entry now under that key (nullopt = absent), for the caller's retry.
  bool conflict = false;
  std::size_t failed_expect = 0;
  std::optional<Entry> current;
};

// A subscription. Ordered, unique, atomic per revision, resumable. A consumer that falls behind is closed with kGone and must list
// again; a commit never waits for a watcher.
class Watch {
 public:
  virtual ~Watch() = default;                               // unsubscribes; no callback runs afterwards
  virtual Result<std::vector<Event>> TryNext() = 0;         // whole revisions; empty = nothing queued; kGone = fell behind
};

// Called on the commit thread after the group's fsync and before any `done` or watcher of the group. This feed is how caches become
// visible before a write is acknowledged. Must not block and must not call the store.
class Feed {
 public:
  virtual ~Feed() = default;
  virtual void OnCommit(Revision revision, const std::vector<Event>& events) = 0;   // once per batch, in revision order
  virtual void OnGroupEnd(Revision) {}                                              // once per commit group: wake subscribers here
};

// Thread-safe. Reads never block writes.
class Store {
 public:
  virtual ~Store() = default;                               // pending Submits answer kCancelled
  virtual Result<std::optional<Entry>> Get(std::string_view key, Revision at = 0) const = 0;
  virtual Result<Page> List(std::string_view prefix, const ListOptions& options) const = 0;
  // `done` runs once, on the commit thread, after the group's fsync: it must only hand over (post to a shard, wake a waiter).
  // A failed expectation is an Outcome, not an error. Errors: kUnavailable (disk full, read-only; retryable), kCancelled (shutdown
  // before the commit), kCorruption.
  virtual void Submit(Batch batch, std::move_only_function<void(Result<Outcome>)> done) = 0;
  // Events with revision > after, in order. kGone if `after` is behind the horizon (for volatile prefixes: before the last open).
  // `wake` is coalesced to one call per commit group per waker, from the commit thread.
  virtual Result<std::unique_ptr<Watch>> Subscribe(std::string_view prefix, Revision after, std::shared_ptr<std::function<void()>> wake) = 0;
  // One feed for the process. Set before the first Submit; replays nothing.
  virtual void SetFeed(Feed* feed) = 0;
  virtual Result<> Checkpoint(const std::string& directory) = 0;   // online; the copy opens as a store of its own
  virtual Revision current() const noexcept = 0;
  virtual Revision horizon() const noexcept = 0;                   // oldest revision that List(at) and Subscribe(after) can serve
  // Ends the history now at `revision` (tests and operators). The horizon also advances by age and size.
  virtual Result<> Compact(Revision revision) = 0;
};

struct Options {
  std::string directory;                                    // ignored by the memory engine
  std::vector<std::string> volatile_prefixes;               // live in memory, share the revision counter, gone after a restart
  std::chrono::seconds history_age{300};
  std::int64_t history_bytes = 64 << 20;
  bool sync = true;                                         // false only in tests that say why
};

// Errors: kUnavailable (locked by another process, not writable), kUnsupported (written by a newer version), kCorruption; one line each,
// naming the directory and the remedy.
Result<std::unique_ptr<Store>> OpenRocksStore(Options options);
std::unique_ptr<Store> NewMemoryStore(Options options);

}  // namespace skerry::store
