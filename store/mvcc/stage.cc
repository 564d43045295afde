#include "store/mvcc/stage.h"

#include <algorithm>

#include "store/mvcc/codec.h"

namespace skerry::store {
namespace {

// The last op of a key counts.
bool IsOverridden(const std::vector<Batch::Op>& ops, std::size_t index, std::set<std::string_view>* later) {
  if (ops.size() == 1) return false;
  return !later->insert(ops[index].key).second;
}

}  // namespace

std::optional<Version> Stage::Look(std::string_view key) const {
  if (const auto it = staged_.find(key); it != staged_.end()) return it->second;
  auto state = shared_.state.Lock();
  const auto it = state->current.find(key);
  return it == state->current.end() ? std::nullopt : std::optional(it->second);
}

bool Stage::Holds(const Batch::Expect& expect, Outcome* outcome) const {
  const std::optional<Version> now = Look(expect.key);
  const Revision modified = now ? now->modified : 0;
  if (expect.modified == -1 ? now.has_value() : modified == expect.modified) return true;
  if (now) outcome->current = Entry{expect.key, now->value, now->created, now->modified};
  return false;
}

std::vector<Event> Stage::Changes(const Batch& batch) const {
  std::vector<Event> events;
  std::set<std::string_view> later;
  for (std::size_t i = batch.ops.size(); i-- > 0;) {
    if (IsOverridden(batch.ops, i, &later)) continue;
    const Batch::Op& op = batch.ops[i];
    std::optional<Version> before = Look(op.key);
    if (!before && !op.value) continue;
    if (before && op.value && before->value.size() == op.value->size() && before->value.Load().view() == op.value->view()) continue;
    Event e;
    e.type = op.value ? Event::Type::kPut : Event::Type::kDelete;
    e.entry = Entry{op.key, op.value ? Value(*op.value) : before->value, before ? before->created : next_, next_};
    e.previous = std::move(before);
    events.push_back(std::move(e));
  }
  std::reverse(events.begin(), events.end());   // the order in which the batch names them
  return events;
}

Revision Stage::NewestNamed(const Batch& batch) const {
  Revision newest = 0;
  for (const Batch::Op& op : batch.ops) {
    if (const auto now = Look(op.key)) newest = std::max(newest, now->modified);
  }
  if (newest != 0) return newest;
  return commits_.empty() ? shared_.revision.load() : commits_.back().first;
}

Result<Outcome> Stage::Add(const Batch& batch, const Error* low_space) {
  Outcome outcome;
  for (std::size_t i = 0; i < batch.expects.size(); ++i) {
    if (Holds(batch.expects[i], &outcome)) continue;
    outcome.changed = false;
    outcome.conflict = true;
    outcome.failed_expect = i;
    return outcome;
  }
  std::vector<Event> events = Changes(batch);
  if (events.empty()) {
    outcome.changed = false;
    outcome.revision = NewestNamed(batch);
    return outcome;
  }
  const auto needs_space = [&](const Event& e) { return e.type == Event::Type::kPut && !shared_.IsVolatile(e.entry.key); };
  if (low_space && !batch.may_use_reserve && std::any_of(events.begin(), events.end(), needs_space)) {
    return std::unexpected(low_space->Clone());
  }
  outcome.revision = next_++;
  for (const Event& e : events) {
    std::optional<Version> after;
    if (e.type == Event::Type::kPut) after = Version{e.entry.value, e.entry.created, e.entry.modified};
    staged_.insert_or_assign(e.entry.key, std::move(after));
  }
  commits_.emplace_back(outcome.revision, std::move(events));
  return outcome;
}

std::vector<Commit> Stage::TakeCommits(const Clock& clock) {
  std::vector<Commit> commits;
  const auto at = clock.Mono();
  const auto wall = std::chrono::duration_cast<std::chrono::milliseconds>(clock.Now().time_since_epoch()).count();
  for (auto& [revision, events] : commits_) {
    Commit c{revision, at, wall, HistoryBytes(events), false, nullptr};
    c.logged = std::any_of(events.begin(), events.end(), [&](const Event& e) { return !shared_.IsVolatile(e.entry.key); });
    c.events = std::make_shared<const std::vector<Event>>(std::move(events));
    commits.push_back(std::move(c));
  }
  commits_.clear();
  return commits;
}

void Stage::Encode(const Shared& shared, const std::vector<Commit>& commits, std::map<std::string, std::optional<std::string>>* writes) {
  for (const Commit& c : commits) {
    std::vector<Event> mixed;   // filled only when the commit has volatile keys too
    const std::vector<Event>* durable = c.events.get();
    const auto is_volatile = [&](const Event& e) { return shared.IsVolatile(e.entry.key); };
    if (std::any_of(durable->begin(), durable->end(), is_volatile)) {
      std::remove_copy_if(durable->begin(), durable->end(), std::back_inserter(mixed), is_volatile);
      durable = &mixed;
    }
    for (const Event& e : *durable) {
      std::string key = CurrentKey(e.entry.key);
      std::optional<std::string> record;
      if (e.type == Event::Type::kPut) record = EncodeCurrent(key, Version{e.entry.value, e.entry.created, e.entry.modified});
      writes->insert_or_assign(std::move(key), std::move(record));
    }
    if (!c.logged) continue;
    std::string key = LogKey(c.revision);
    std::string record = EncodeLog(key, c.wall_ms, *durable);
    writes->insert_or_assign(std::move(key), std::move(record));
  }
}

}  // namespace skerry::store
