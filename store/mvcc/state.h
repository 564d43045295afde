#pragma once
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <set>
#include <thread>

#include "core/base/guarded.h"
#include "store/store.h"

// What readers, watches and the commit thread share. The commit thread alone changes the data; everybody holds the lock for a bounded
// number of steps only, so that neither side waits long for the other.
namespace skerry::store {

inline constexpr std::size_t kCommitsPerLock = 1024;   // of the history, looked at in one go

// One revision of the history.
struct Commit {
  Revision revision = 0;
  Clock::MonoTime at;
  std::int64_t wall_ms = 0;
  std::int64_t bytes = 0;
  bool logged = false;   // has a log record on the backend
  std::shared_ptr<const std::vector<Event>> events;
};

struct WatchState {
  std::string prefix;
  Revision position = 0;    // everything up to here was returned (meaningful while `pending`)
  bool pending = false;     // something above `position` may match; when false, the position is the store's revision
  bool wake_wanted = false;
  std::shared_ptr<std::function<void()>> wake;
};

struct State {
  std::map<std::string, Version, std::less<>> current;
  std::deque<Commit> log;        // revisions (horizon, revision], gaps where a revision was burned
  std::int64_t log_bytes = 0;
  Revision revision = 1;
  Revision horizon = 1;
  std::set<WatchState*> watches;   // owned by their Watch, which removes itself
  bool waking = false;             // the commit thread is calling wakes
  bool closed = false;

  std::deque<Commit>::const_iterator LogAfter(Revision revision) const;   // the first commit above
  // Drops the history up to and including `revision`, which becomes the horizon. Returns the log records to delete from the backend.
  std::vector<Revision> Trim(Revision revision);
};

struct Shared {
  mutable Guarded<State> state;
  std::condition_variable waking_done;
  std::thread::id commit_thread;   // written before the first watch exists
  std::atomic<Revision> revision{1}, horizon{1};   // copies of the state's, for readers without the lock
  std::vector<std::string> volatile_prefixes;
  Revision opened_at = 1;          // volatile history before it is lost
  bool IsVolatile(std::string_view key) const;
  bool TouchesVolatile(std::string_view prefix) const;   // some key under `prefix` may be volatile
};

// kGone, kInvalid or nothing: may history be read from `revision` on?
Result<> CheckHistory(const Shared& shared, const State& state, std::string_view prefix, Revision revision);

// List in bounded steps under the lock; the page is consistent at one revision all the same, because what commits in between is
// undone from the log.
Result<Page> ListPage(const Shared& shared, std::string_view prefix, const ListOptions& options);
Result<std::optional<Entry>> GetAt(const Shared& shared, std::string_view key, Revision at);

Result<std::unique_ptr<Watch>> NewWatch(std::shared_ptr<Shared> shared, std::string_view prefix, Revision after,
                                        std::shared_ptr<std::function<void()>> wake);
// Marks the watches that `commit` concerns. Under the lock, before the state's revision advances to the commit's.
void NoteCommit(State& state, const Commit& commit);
// Calls the wakes of the marked watches, each once, without the lock; a Watch being destroyed waits for the end of it.
void CallWakes(Shared& shared);

std::int64_t HistoryBytes(const std::vector<Event>& events);   // what a commit's events keep in memory, roughly

}  // namespace skerry::store
