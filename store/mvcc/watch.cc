#include <algorithm>

#include "core/base/strings.h"
#include "store/mvcc/state.h"

namespace skerry::store {
namespace {

constexpr std::size_t kEventsPerCall = 512;   // exceeded only by a single commit

// A watch has no queue of its own: it is a position in the shared history, which is bounded. Falling behind that bound is kGone.
class HistoryWatch final : public Watch {
 public:
  HistoryWatch(std::shared_ptr<Shared> shared, WatchState watch) : shared_(std::move(shared)), watch_(std::move(watch)) {}

  ~HistoryWatch() override {
    auto state = shared_->state.Lock();
    state->watches.erase(&watch_);
    if (std::this_thread::get_id() != shared_->commit_thread) state.Wait(shared_->waking_done, [&] { return !state->waking; });
  }

  void Register(State& state) { state.watches.insert(&watch_); }

  Result<std::vector<Event>> TryNext() override {
    std::vector<Event> events;
    for (;;) {
      auto state = shared_->state.Lock();
      if (!watch_.pending) {
        if (state->closed && events.empty()) return Fail(Code::kCancelled, "the store is closed");
        return events;
      }
      if (watch_.position < state->horizon) {
        return Fail(Code::kGone,
                    Cat("the watch fell behind: revision ", watch_.position, " has been compacted; the oldest kept is ", state->horizon));
      }
      Take(*state, &events);
      if (!events.empty()) return events;
    }
  }

  Revision position() const override {
    auto state = shared_->state.Lock();
    return watch_.pending ? watch_.position : state->revision;
  }

 private:
  void Take(const State& state, std::vector<Event>* events) {
    auto it = state.LogAfter(watch_.position);
    for (std::size_t commits = 0; it != state.log.end() && commits < kCommitsPerLock && events->size() < kEventsPerCall; ++it, ++commits) {
      for (const Event& e : *it->events) {
        if (e.entry.key.starts_with(watch_.prefix)) events->push_back(e);
      }
      watch_.position = it->revision;
    }
    watch_.pending = it != state.log.end();
  }

  const std::shared_ptr<Shared> shared_;
  WatchState watch_;   // guarded by the state's lock
};

}  // namespace

Result<std::unique_ptr<Watch>> NewWatch(std::shared_ptr<Shared> shared, std::string_view prefix, Revision after,
                                        std::shared_ptr<std::function<void()>> wake) {
  auto state = shared->state.Lock();
  if (state->closed) return Fail(Code::kCancelled, "the store is closed");
  TRY_VOID(CheckHistory(*shared, *state, prefix, after));
  auto watch =
      std::make_unique<HistoryWatch>(shared, WatchState{std::string(prefix), after, after < state->revision, false, std::move(wake)});
  watch->Register(*state);
  return watch;
}

void NoteCommit(State& state, const Commit& commit) {
  for (WatchState* w : state.watches) {
    const bool concerns =
        std::any_of(commit.events->begin(), commit.events->end(), [&](const Event& e) { return e.entry.key.starts_with(w->prefix); });
    if (!concerns) continue;
    if (!w->pending) w->position = state.revision;
    w->pending = w->wake_wanted = true;
  }
}

void CallWakes(Shared& shared) {
  std::vector<std::shared_ptr<std::function<void()>>> wakes;
  std::set<const void*> seen;
  {
    auto state = shared.state.Lock();
    for (WatchState* w : state->watches) {
      if (std::exchange(w->wake_wanted, false) && w->wake && seen.insert(w->wake.get()).second) wakes.push_back(w->wake);
    }
    if (wakes.empty()) return;
    state->waking = true;
  }
  for (const auto& wake : wakes) (*wake)();
  {
    auto state = shared.state.Lock();
    state->waking = false;
  }
  shared.waking_done.notify_all();
}

}  // namespace skerry::store
