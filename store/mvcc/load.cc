#include <algorithm>
#include <map>

#include "core/base/strings.h"
#include "store/mvcc/codec.h"
#include "store/mvcc/mvcc_store.h"

namespace skerry::store {
namespace {

struct RawLog {
  Revision revision;
  LogRecord record;
};

// Walks the log from the newest record to the oldest and gives every change its new value: the previous value of the key's next change,
// or the current one. Each link is checked, so that a log which does not belong to these entries is found here and not by a watcher.
class LogRebuilder {
 public:
  explicit LogRebuilder(const State& state) : state_(state) {}

  Result<std::vector<Event>> Rebuild(RawLog& raw) {
    std::vector<Event> events;
    for (LogChange& change : raw.record.changes) {
      TRY(const std::optional<Version> after, After(change.key));
      Event e;
      e.type = change.deleted ? Event::Type::kDelete : Event::Type::kPut;
      if (change.deleted ? after.has_value() : !after || after->modified != raw.revision) return Contradiction(raw.revision, change.key);
      const Revision created = change.previous ? change.previous->created : raw.revision;
      if (after && after->created != created) return Contradiction(raw.revision, change.key);
      if (!change.packed.empty()) {
        if (!Unpack(after->value.Load().view(), &change)) return Contradiction(raw.revision, change.key);
        change.previous->value.Settle();
        CompressValues();
      }
      e.entry = Entry{change.key, after ? after->value : change.previous->value, created, raw.revision};
      e.previous = change.previous;
      events.push_back(std::move(e));
      after_.insert_or_assign(std::move(change.key), std::move(change.previous));
    }
    return events;
  }

 private:
  Result<std::optional<Version>> After(const std::string& key) const {
    if (const auto it = after_.find(key); it != after_.end()) return it->second;
    const auto it = state_.current.find(key);
    return it == state_.current.end() ? std::nullopt : std::optional(it->second);
  }
  static std::unexpected<Error> Contradiction(Revision revision, std::string_view key) {
    return Fail(Code::kCorruption, Cat("the log of revision ", revision, " contradicts the entry ", key.substr(0, 200)));
  }

  const State& state_;
  std::map<std::string, std::optional<Version>> after_;
};

Result<> LoadMeta(std::string_view key, std::string_view value, Loaded* out) {
  TRY(const Revision revision, DecodeMeta(key, value));
  if (key == MetaKey("reserved")) {
    out->reserved = revision;
  } else if (key == MetaKey("horizon")) {
    out->state.horizon = revision;
  } else {
    return Fail(Code::kCorruption, Cat("unknown record ", key.substr(0, 200)));
  }
  return {};
}

Result<> LoadRecord(std::string_view key, std::string_view value, Loaded* out, std::vector<RawLog>* logs) {
  if (key.starts_with(kCurrentTag) && key.size() > 1) {
    TRY(Version version, DecodeCurrent(key, value));
    version.value.Settle();
    CompressValues();
    out->state.revision = std::max(out->state.revision, version.modified);
    out->state.current.emplace_hint(out->state.current.end(), std::string(key.substr(1)), std::move(version));
    return {};
  }
  if (key.starts_with(kLogTag)) {
    TRY(const Revision revision, ParseLogKey(key));
    TRY(LogRecord record, DecodeLog(key, value));
    for (const LogChange& change : record.changes) {
      if (change.previous && change.packed.empty()) change.previous->value.Settle();
    }
    CompressValues();
    out->state.revision = std::max(out->state.revision, revision);
    logs->push_back({revision, std::move(record)});
    return {};
  }
  if (key.starts_with(kMetaTag)) return LoadMeta(key, value, out);
  return Fail(Code::kCorruption, Cat("unknown record ", key.substr(0, 200)));
}

Clock::MonoTime MonoOf(std::int64_t wall_ms, const Clock& clock) {
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(clock.Now().time_since_epoch());
  return clock.Mono() -
         std::max(now - std::chrono::milliseconds(wall_ms), std::chrono::milliseconds(0));  // a clock set back makes nothing newer than now
}

}  // namespace

Result<Loaded> Load(const Backend& backend, const Clock& clock) {
  Loaded out;
  std::vector<RawLog> logs;
  TRY_VOID(backend.Scan("", "\xff", [&](std::string_view key, std::string_view value) { return LoadRecord(key, value, &out, &logs); }));
  State& state = out.state;
  if (state.revision > std::max<Revision>(out.reserved, 1)) {
    return Fail(Code::kCorruption, Cat("revision ", state.revision, " is above the reserved ", out.reserved));
  }
  LogRebuilder rebuilder(state);
  for (std::size_t i = logs.size(); i-- > 0;) {
    RawLog& raw = logs[i];
    if (raw.revision <= state.horizon) {
      out.stale_log.push_back(raw.revision);
      continue;
    }
    TRY(std::vector<Event> events, rebuilder.Rebuild(raw));
    Commit c{raw.revision, MonoOf(raw.record.wall_ms, clock), raw.record.wall_ms, HistoryBytes(events), true, nullptr};
    c.events = std::make_shared<const std::vector<Event>>(std::move(events));
    state.log_bytes += c.bytes;
    state.log.push_front(std::move(c));
  }
  return out;
}

}  // namespace skerry::store
