#include <algorithm>

#include "store/mvcc/state.h"

namespace skerry::store {
namespace {

constexpr std::size_t kStepsPerLock = 512;

// The store under a prefix as it was at one revision: current entries overlaid with what later commits replaced.
class PastView {
 public:
  PastView(const Shared& shared, std::string_view prefix, std::string_view from, Revision at)
      : shared_(shared), prefix_(prefix), cursor_(std::max(prefix, from)), seen_(at) {}

  bool done() const { return done_; }
  // Takes up to kStepsPerLock keys further. False: the history in between is gone.
  template <class Visit>
  bool Step(const Visit& visit) {
    auto state = shared_.state.Lock();
    if (seen_ < state->horizon) return false;
    if (!CatchUp(*state)) return true;
    auto now = state->current.lower_bound(cursor_);
    auto past = overlay_.lower_bound(cursor_);
    const std::string* last = nullptr;
    for (std::size_t steps = 0; steps < kStepsPerLock; ++steps) {
      const bool have_now = now != state->current.end() && now->first.starts_with(prefix_);
      const bool have_past = past != overlay_.end();
      if (!have_now && !have_past) {
        done_ = true;
        return true;
      }
      const bool take_past = have_past && (!have_now || past->first <= now->first);
      if (take_past) {
        last = &past->first;
        if (past->second) visit(past->first, *past->second);
        if (have_now && now->first == past->first) ++now;
        ++past;
        continue;
      }
      last = &now->first;
      visit(now->first, now->second);
      ++now;
    }
    cursor_ = *last + '\0';
    return true;
  }

 private:
  // True when the overlay undoes everything up to the store's revision; otherwise there is more to take in under the next lock.
  bool CatchUp(const State& state) {
    auto it = state.LogAfter(seen_);
    for (std::size_t taken = 0; it != state.log.end(); ++it, ++taken) {
      if (taken == kCommitsPerLock) return false;
      for (const Event& e : *it->events) {
        if (e.entry.key.starts_with(prefix_)) overlay_.try_emplace(e.entry.key, e.previous);
      }
      seen_ = it->revision;
    }
    seen_ = state.revision;
    return true;
  }

  const Shared& shared_;
  const std::string_view prefix_;
  std::string cursor_;
  Revision seen_;   // the overlay undoes the commits up to here
  bool done_ = false;
  std::map<std::string, std::optional<Version>, std::less<>> overlay_;
};

Entry MakeEntry(std::string_view key, const Version& v) { return Entry{std::string(key), v.value, v.created, v.modified}; }

}  // namespace

Result<Page> ListPage(const Shared& shared, std::string_view prefix, const ListOptions& options) {
  for (;;) {
    Page page;
    {
      auto state = shared.state.Lock();
      if (options.at != 0) TRY_VOID(CheckHistory(shared, *state, prefix, options.at));
      page.revision = options.at != 0 ? options.at : state->revision;
    }
    PastView view(shared, prefix, options.from_key, page.revision);
    bool intact = true;
    while (intact && !view.done()) {
      intact = view.Step([&](const std::string& key, const Version& version) {
        if (options.limit == 0 || page.entries.size() < options.limit) {
          page.entries.push_back(MakeEntry(key, version));
        } else {
          ++page.remaining;
        }
      });
    }
    page.more = page.remaining > 0;
    if (intact) return page;
    // The history ended behind our back: the past is gone, the present is read again.
  }
}

Result<std::optional<Entry>> GetAt(const Shared& shared, std::string_view key, Revision at) {
  auto state = shared.state.Lock();
  if (at != 0) {
    TRY_VOID(CheckHistory(shared, *state, key, at));
    for (auto it = state->LogAfter(at); it != state->log.end(); ++it) {
      for (const Event& e : *it->events) {
        if (e.entry.key != key) continue;
        return e.previous ? std::optional(MakeEntry(key, *e.previous)) : std::nullopt;
      }
    }
  }
  const auto found = state->current.find(key);
  if (found == state->current.end()) return std::nullopt;
  return MakeEntry(key, found->second);
}

}  // namespace skerry::store
