#include "store/mvcc/state.h"

#include <algorithm>

#include "core/base/strings.h"

namespace skerry::store {

std::deque<Commit>::const_iterator State::LogAfter(Revision after) const {
  return std::upper_bound(log.begin(), log.end(), after, [](Revision r, const Commit& c) { return r < c.revision; });
}

std::vector<Revision> State::Trim(Revision up_to) {
  std::vector<Revision> logged;
  while (!log.empty() && log.front().revision <= up_to) {
    if (log.front().logged) logged.push_back(log.front().revision);
    log_bytes -= log.front().bytes;
    log.pop_front();
  }
  horizon = std::max(horizon, up_to);
  return logged;
}

bool Shared::IsVolatile(std::string_view key) const {
  return std::any_of(volatile_prefixes.begin(), volatile_prefixes.end(), [&](const std::string& p) { return key.starts_with(p); });
}

bool Shared::TouchesVolatile(std::string_view prefix) const {
  return std::any_of(volatile_prefixes.begin(), volatile_prefixes.end(),
                     [&](const std::string& p) { return prefix.starts_with(p) || p.starts_with(prefix); });
}

Result<> CheckHistory(const Shared& shared, const State& state, std::string_view prefix, Revision revision) {
  if (revision > state.revision) {
    return Fail(Code::kInvalid, Cat("revision ", revision, " does not exist yet; the newest is ", state.revision));
  }
  if (revision < state.horizon) {
    return Fail(Code::kGone, Cat("revision ", revision, " has been compacted; the oldest kept is ", state.horizon));
  }
  if (revision < shared.opened_at && shared.TouchesVolatile(prefix)) {
    return Fail(Code::kGone, Cat("revision ", revision, " of volatile data was lost in a restart; the oldest kept is ", shared.opened_at));
  }
  return {};
}

std::int64_t HistoryBytes(const std::vector<Event>& events) {
  std::size_t bytes = 64;
  for (const Event& e : events)
    bytes += sizeof(Event) + e.entry.key.size() + e.entry.value.size() + (e.previous ? e.previous->value.size() : 0);
  return static_cast<std::int64_t>(bytes);
}

}  // namespace skerry::store
