#pragma once
#include <condition_variable>
#include <deque>
#include <map>
#include <set>
#include <thread>

#include "core/base/guarded.h"
#include "store/engine/backend.h"
#include "store/mvcc/stage.h"
#include "store/mvcc/state.h"

namespace skerry::store {

// What a backend holds, checked.
struct Loaded {
  State state;
  Revision reserved = 0;               // no revision above it was ever used
  std::vector<Revision> stale_log;     // log records behind the horizon that still are on the backend
};
Result<Loaded> Load(const Backend& backend, const Clock& clock);

enum class Origin : std::uint8_t { kOwn, kCopy };   // kCopy: a checkpoint opened for the first time

// Revisions, group commit, history and watches over any backend.
//
// One thread commits. It takes all that waits, judges each batch (Stage), makes one backend write of what changed, applies it to the
// state, tells the feed, wakes the watches and answers. A failed write burns the revisions it used, and because it may be on disk all
// the same, the next write restores what the keys concerned ought to be (`doubtful_`).
class MvccStore final : public Store {
 public:
  static Result<std::unique_ptr<MvccStore>> Open(Options options, std::unique_ptr<Backend> backend, Origin origin);
  ~MvccStore() override;

  Result<std::optional<Entry>> Get(std::string_view key, Revision at) const override { return GetAt(*shared_, key, at); }
  Result<Page> List(std::string_view prefix, const ListOptions& options) const override { return ListPage(*shared_, prefix, options); }
  void Submit(Batch batch, std::move_only_function<void(Result<Outcome>)> done) override;
  Result<std::unique_ptr<Watch>> Subscribe(std::string_view prefix, Revision after, std::shared_ptr<std::function<void()>> wake) override;
  void SetFeed(Feed* feed) override { feed_.store(feed); }
  Result<> Checkpoint(const std::string& directory) override { return backend_->Checkpoint(directory); }
  Revision current() const noexcept override { return shared_->revision.load(); }
  Revision horizon() const noexcept override { return shared_->horizon.load(); }
  Result<> Compact(Revision revision) override;
  Result<> Healthy() const override;

 private:
  struct Pending {
    Batch batch;
    std::move_only_function<void(Result<Outcome>)> done;
    std::optional<Error> refused;   // answered in its turn, never judged
    Revision compact_to = 0;        // > 0: not a batch but the end of the history up to here
    std::size_t bytes = 0;
  };
  struct Inbox {
    std::deque<Pending> queue;
    std::size_t bytes = 0;
    bool stopping = false;
    std::size_t wanted = 0;   // > 0: the commit thread lets a group grow, up to so many
  };
  using Writes = std::map<std::string, std::optional<std::string>>;

  MvccStore(Options options, std::unique_ptr<Backend> backend, Loaded loaded);
  void Push(Pending pending);
  static void Queue(Inbox& inbox, Pending pending);

  // All below: commit thread.
  void Run();
  std::vector<Pending> TakeGroup(bool* stopping);
  std::chrono::nanoseconds Patience() const;
  std::chrono::steady_clock::time_point NextTimer() const;
  void CommitGroup(std::vector<Pending>& group);
  std::vector<Result<Outcome>> TryGroup(const std::vector<Pending>& group, const Error* low_space, bool* failed);
  enum class Trim : std::uint8_t { kWhenWorthIt, kNow };
  Result<> Persist(std::vector<Commit>& commits);
  Result<> Write(Writes writes, Trim trim);
  void GiveUpDiskLog(std::vector<Commit>& commits);
  void Apply(std::vector<Commit> commits);
  void TrimHistory();
  void TrimTo(State& state, Revision revision);
  Result<> CompactNow(Revision revision);
  void RetryBackend();
  void Close();

  const Options options_;
  const std::unique_ptr<Backend> backend_;
  const std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
  std::atomic<Feed*> feed_{nullptr};
  Guarded<Inbox> inbox_;
  std::condition_variable arrived_;

  // Commit thread only.
  Revision next_ = 2;                       // the next revision to give out
  Revision reserved_ = 0;                   // durable: reopening starts above it
  std::vector<Revision> stale_log_;         // deleted together with a later write
  Revision disk_horizon_ = 1;               // the horizon on the backend is at least this; the log there may have gaps below
  std::set<std::string> doubtful_;          // backend keys of failed writes
  std::chrono::steady_clock::time_point next_retry_;
  std::size_t last_group_ = 0;              // so many batches
  std::chrono::nanoseconds last_write_{0};  // to the backend: so long

  std::thread thread_;   // last: joined in the destructor
};

}  // namespace skerry::store
