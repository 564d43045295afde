#include "tests/fault/store_ledger.h"

#include <zlib.h>

#include "core/base/strings.h"

namespace skerry::fault_test {
namespace {

std::uint32_t Crc(std::string_view s) {
  return static_cast<std::uint32_t>(::crc32_z(0, reinterpret_cast<const unsigned char*>(s.data()), s.size()));
}
int Number(std::string_view s) { return static_cast<int>(ParseInt(s).value_or(-1)); }

}  // namespace

std::string ValueOf(int writer, int sequence) {
  std::string value = Cat(writer, ":", sequence, ":");
  const std::size_t size = (static_cast<std::size_t>(writer) * 7919 + static_cast<std::size_t>(sequence) * 104729) % 2000;
  value.append(size, static_cast<char>('a' + (writer + sequence) % 26));
  return value;
}

void Ledger::Fail(std::string what) {
  if (failures_.size() < 50) failures_.push_back(std::move(what));
}

void Ledger::NoteRevision(store::Revision revision) {
  if (std::exchange(first_of_run_, false)) newest_before_run_ = newest_;
  ++acknowledged_;
  if (!revisions_.insert(revision).second) Fail(Cat("revision ", revision, " was answered twice"));
  if (revision <= newest_before_run_)
    Fail(Cat("revision ", revision, " was used again: the previous run had reached ", newest_before_run_));
  newest_ = std::max(newest_, revision);
}

void Ledger::StartRun() {
  first_of_run_ = true;
  refused_ = false;
  ForgetBeyond();
}

void Ledger::ForgetBeyond() {
  expected_.insert(beyond_.begin(), beyond_.end());
  beyond_.clear();
}

void Ledger::Line(std::string_view line) {
  const auto w = Split(line, ' ');
  const auto id = [&] { return std::pair(Number(w[1]), Number(w[2])); };
  switch (line.empty() ? ' ' : line[0]) {
    case 'S': {
      Write write{std::string(w[4]), std::nullopt};
      if (w[3] == "p") write.content = ValueOf(Number(w[1]), Number(w[2]));
      keys_[write.key].in_flight[id()] = write.content;
      pending_[id()] = std::move(write);
      return;
    }
    case 'A': {
      const Write& write = pending_.at(id());
      KeyState& key = keys_[write.key];
      key.acknowledged = write.content;
      key.in_flight.clear();   // one writer per key, one write at a time: everything before is settled
      pending_.erase(id());
      if (w[3] != "0") NoteRevision(ParseInt(w[3]).value());
      return;
    }
    case 'E': refused_ = true; return;
    case 'I': ++counter_in_flight_; return;
    case 'J': ++counter_; [[fallthrough]];
    case 'K': --counter_in_flight_; return;
    case 'V': NoteRevision(ParseInt(w[1]).value()); return;
    case 'W':
      expected_.erase(std::string(line.substr(2)));
      beyond_.emplace_back(line.substr(2));
      return;
    case 'P':
      for (const std::string& seen : beyond_) {
        const auto e = Split(seen, ' ');
        Replay(ParseInt(e[0]).value(), e[1] == "d", std::string(e[2]), static_cast<std::uint32_t>(ParseUint(e[3]).value()));
      }
      beyond_.clear();
      position_ = ParseInt(w[1]).value();
      return;
    default: Fail(Cat("unexpected line: ", line));
  }
}

void Ledger::Replay(store::Revision revision, bool deleted, const std::string& key, std::uint32_t crc) {
  if (revision < replayed_ || revision <= position_)
    Fail(Cat("the watch went back to revision ", revision, " from ", std::max(replayed_, position_)));
  if (revision > replayed_) replayed_keys_.clear();
  replayed_ = revision;
  if (!replayed_keys_.insert(key).second) Fail(Cat("the watch said revision ", revision, " of ", key, " twice"));
  if (deleted ? !replica_.contains(key) : false) Fail(Cat("the watch deleted ", key, ", which it had never shown"));
  if (deleted) replica_.erase(key);
  if (!deleted) replica_[key] = crc;
}

void Ledger::CheckKeys(const std::map<std::string, std::string>& actual) {
  for (auto& [name, key] : keys_) {
    const auto it = actual.find(name);
    const Content now = it == actual.end() ? std::nullopt : std::optional(it->second);
    bool explained = now == key.acknowledged;
    for (const auto& [id, content] : key.in_flight) explained |= now == content;
    const auto shown = [](const Content& c) { return c ? c->substr(0, 20) : std::string("(absent)"); };
    if (!explained) Fail(Cat(name, " is ", shown(now), "; answered was ", shown(key.acknowledged)));
    key = {now, {}};
  }
  for (const auto& [name, value] : actual) {
    if (name != kCounter && !keys_.contains(name)) Fail(Cat(name, " was never written"));
  }
}

void Ledger::CheckCounter(const std::map<std::string, std::string>& actual) {
  const auto it = actual.find(kCounter);
  const std::int64_t now = it == actual.end() ? 0 : ParseInt(it->second).value_or(-1);
  if (now < counter_ || now > counter_ + counter_in_flight_) {
    Fail(Cat("the counter is ", now, "; answered were ", counter_, " and unanswered ", counter_in_flight_));
  }
  counter_ = now;
  counter_in_flight_ = 0;
}

void Ledger::CheckWatch(store::Store& store, const std::map<std::string, std::string>& actual) {
  ForgetBeyond();
  auto watch = store.Subscribe(kPrefix, position_, nullptr);
  if (!watch) return Fail(Cat("the watch does not resume at ", position_, ": ", watch.error().message()));
  for (;;) {
    auto events = (*watch)->TryNext();
    if (!events) return Fail(Cat("the watch resumed at ", position_, " ends: ", events.error().message()));
    if (events->empty()) break;
    for (const store::Event& e : *events) {
      const bool deleted = e.type == store::Event::Type::kDelete;
      const std::uint32_t crc = Crc(e.entry.value.Load().view());
      Replay(e.entry.modified, deleted, e.entry.key, crc);
      expected_.erase(Cat(e.entry.modified, deleted ? " d " : " p ", e.entry.key, " ", crc));
    }
  }
  for (const std::string& lost : expected_) Fail(Cat("an event that was seen before the crash is gone: ", lost));
  expected_.clear();
  position_ = (*watch)->position();
  std::map<std::string, std::uint32_t> want;
  for (const auto& [name, value] : actual) want[name] = Crc(value);
  if (want != replica_) Fail(Cat("what the watch said (", replica_.size(), " keys) is not what the store holds (", want.size(), " keys)"));
  replica_ = std::move(want);
}

void Ledger::Check(store::Store& store) {
  const auto page = store.List(kPrefix, {});
  if (!page) return Fail(Cat("list: ", page.error().message()));
  std::map<std::string, std::string> actual;
  for (const store::Entry& e : page->entries) actual[e.key] = e.value.Load().view();
  if (store.current() < newest_) Fail(Cat("the store is at revision ", store.current(), " but had answered ", newest_));
  CheckKeys(actual);
  CheckCounter(actual);
  CheckWatch(store, actual);
  pending_.clear();
}

}  // namespace skerry::fault_test
