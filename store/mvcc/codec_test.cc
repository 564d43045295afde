#include "store/mvcc/codec.h"

#include <zlib.h>

#include <catch2/catch.hpp>

#include <map>

#include "core/base/random.h"
#include "store/store_fixture.h"

namespace skerry::store {
namespace {

std::string ToHex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    out += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
    out += "0123456789abcdef"[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

std::vector<Event> SomeEvents() {
  Event created, changed, deleted;
  created.entry = Entry{"/a", Bytes("new"), 300, 300};
  changed.entry = Entry{"/b", Bytes("new"), 5, 300};
  changed.previous = Version{Bytes("old"), 5, 200};
  deleted.type = Event::Type::kDelete;
  deleted.entry = Entry{"/c", Bytes("was"), 7, 300};
  deleted.previous = Version{Bytes("was"), 7, 7};
  return {created, changed, deleted};
}

// A long text of which another one differs in two places.
std::string LongText(std::string_view first, std::string_view second) {
  SeededRandom random(7);
  std::string out(first);
  for (int i = 0; i < 2000; ++i) out += static_cast<char>(random.Below(256));
  out += second;
  for (int i = 0; i < 1000; ++i) out += static_cast<char>(random.Below(256));
  return out;
}

std::vector<Event> LongEvents() {
  Event changed;
  changed.entry = Entry{"/b", Bytes(LongText("new", "other")), 5, 300};
  changed.previous = Version{Bytes(LongText("old", "some")), 5, 200};
  return {changed};
}

// Every record with one byte changed in every way that matters, and every truncation, must be refused.
template <class Decode>
void RefusesDamage(const std::string& good, const Decode& decode) {
  REQUIRE(decode(good));
  for (std::size_t i = 0; i < good.size(); ++i) {
    INFO("byte " << i);
    CHECK(decode(good.substr(0, i)).error().code() == Code::kCorruption);
    for (const int flip : {0x01, 0x80, 0xff}) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ flip);
      CHECK(decode(bad).error().code() == Code::kCorruption);
    }
  }
  CHECK(decode(good + '\0').error().code() == Code::kCorruption);
}

}  // namespace

TEST_CASE("records of format 1 have these bytes", "[store]") {
  const std::string key = CurrentKey("/a");
  CHECK(key == "c/a");
  CHECK(ToHex(LogKey(0x0102030405060708)) == "6c0102030405060708");
  CHECK(ToHex(EncodeCurrent(key, Version{Bytes("value"), 2, 300})) == "0102ac0276616c7565" "cec8904c");
  CHECK(ToHex(EncodeMeta("mreserved", 1'000'001)) == "01c1843d" "1795c3de");
  const std::string log = EncodeLog(LogKey(300), 1'700'000'000'000, SomeEvents());
  CHECK(ToHex(log) ==
        "0180d095ffbc31" "03" "00022f61" "02022f6205c801036f6c64" "03022f63070703776173" "d2a178be");
}

TEST_CASE("a checksum is zlib's, whatever the length, the place in memory and the seed", "[store]") {
  SeededRandom random(41);
  std::string bytes(9000, '\0');
  for (char& c : bytes) c = static_cast<char>(random.Below(256));
  const auto check = [&](std::size_t from, std::size_t size, std::uint32_t seed) {
    const auto part = std::string_view(bytes).substr(from, size);
    return Crc32(part, seed) == ::crc32_z(seed, reinterpret_cast<const unsigned char*>(part.data()), part.size());
  };
  bool same = true;
  for (std::size_t size = 0; size <= 400; ++size)
    for (const std::uint32_t seed : {0u, 1u, 0xffffffffu, 0x12345678u}) same = same && check(size % 17, size, seed);
  for (int i = 0; i < 500; ++i) same = same && check(random.Below(64), random.Below(8900), static_cast<std::uint32_t>(random.Below(1ull << 32)));
  CHECK(same);
  CHECK(Crc32("123456789") == 0xcbf43926);
}

TEST_CASE("records round-trip", "[store]") {
  const Version v = DecodeCurrent("c/a", EncodeCurrent("c/a", Version{Bytes(std::string("\0\xff", 2)), 1, 1LL << 62})).value();
  CHECK(v.value.Load().view() == std::string_view("\0\xff", 2));
  CHECK(v.modified == 1LL << 62);
  const LogRecord log = DecodeLog(LogKey(300), EncodeLog(LogKey(300), 17, SomeEvents())).value();
  CHECK(log.wall_ms == 17);
  REQUIRE(log.changes.size() == 3);
  CHECK_FALSE(log.changes[0].previous);
  CHECK(log.changes[1].previous->modified == 200);
  CHECK(log.changes[2].deleted);
  CHECK(log.changes[2].previous->value.Load().view() == "was");
}

TEST_CASE("a long previous value that resembles the new one is told by it", "[store]") {
  const std::string record = EncodeLog(LogKey(300), 17, LongEvents());
  CHECK(record.size() < 100);
  LogRecord log = DecodeLog(LogKey(300), record).value();
  REQUIRE(log.changes.size() == 1);
  LogChange& change = log.changes[0];
  CHECK(change.previous->modified == 200);
  REQUIRE_FALSE(change.packed.empty());
  CHECK_FALSE(Unpack("short", &change));
  REQUIRE(Unpack(LongText("new", "other"), &change));
  CHECK(change.previous->value.Load().view() == LongText("old", "some"));
  CHECK(change.packed.empty());
  // Nothing in common, too short, or deleted: as it is.
  auto events = LongEvents();
  events[0].entry.value = Bytes(std::string(3000, 'x'));
  CHECK(DecodeLog(LogKey(300), EncodeLog(LogKey(300), 17, events)).value().changes[0].previous->value.Load().view() == LongText("old", "some"));
  events = LongEvents();
  events[0].type = Event::Type::kDelete;
  CHECK(DecodeLog(LogKey(300), EncodeLog(LogKey(300), 17, events)).value().changes[0].previous->value.Load().view() == LongText("old", "some"));
}

TEST_CASE("hostile packed values are refused or have the size they claim", "[store]") {
  SeededRandom random(5);
  const std::string key = LogKey(300), next = LongText("new", "other"), good = EncodeLog(key, 17, LongEvents());
  int unpacked = 0, refused = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string record = good.substr(0, good.size() - 4);
    for (std::uint64_t n = 1 + random.Below(3); n > 0; --n) record[random.Below(record.size())] = static_cast<char>(random.Next());
    const std::uint32_t crc = Crc32(record, Crc32(key));
    for (int shift = 0; shift < 32; shift += 8) record += static_cast<char>(crc >> shift);
    auto log = DecodeLog(key, record);
    if (!log || log->changes[0].packed.empty()) continue;
    const std::size_t size = log->changes[0].size;
    if (!Unpack(next, &log->changes[0])) ++refused;
    else if (log->changes[0].previous->value.size() == size) ++unpacked;
  }
  CHECK(refused > 100);
  CHECK(unpacked > 10);
}

TEST_CASE("a record damaged or cut at any byte is refused", "[store]") {
  RefusesDamage(EncodeLog(LogKey(300), 17, LongEvents()), [](const std::string& r) { return DecodeLog(LogKey(300), r); });
  RefusesDamage(EncodeCurrent("c/a", Version{Bytes("value"), 2, 300}), [](const std::string& r) { return DecodeCurrent("c/a", r); });
  RefusesDamage(EncodeLog(LogKey(300), 17, SomeEvents()), [](const std::string& r) { return DecodeLog(LogKey(300), r); });
  RefusesDamage(EncodeMeta("mreserved", 300), [](const std::string& r) { return DecodeMeta("mreserved", r); });
}

TEST_CASE("a record under another key is refused", "[store]") {
  CHECK(DecodeCurrent("c/b", EncodeCurrent("c/a", Version{Bytes("value"), 2, 300})).error().code() == Code::kCorruption);
  CHECK(DecodeLog(LogKey(301), EncodeLog(LogKey(300), 17, SomeEvents())).error().code() == Code::kCorruption);
}

TEST_CASE("hostile records with a right checksum are refused or mean exactly what they say", "[store]") {
  SeededRandom random(3);
  const std::string key = LogKey(300);
  const std::string good = EncodeLog(key, 17, SomeEvents());
  int accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string body = good.substr(0, good.size() - 4);
    for (std::uint64_t n = 1 + random.Below(3); n > 0; --n) body[random.Below(body.size())] = static_cast<char>(random.Next());
    if (random.Below(3) == 0) body.resize(1 + random.Below(body.size()));
    const std::uint32_t crc = Crc32(body, Crc32(key));
    std::string record = body;
    for (int shift = 0; shift < 32; shift += 8) record += static_cast<char>(crc >> shift);
    const auto log = DecodeLog(key, record);
    if (!log) {
      CHECK(log.error().code() == Code::kCorruption);
      continue;
    }
    ++accepted;
    std::vector<Event> events;
    for (const LogChange& c : log->changes) {
      Event e;
      e.type = c.deleted ? Event::Type::kDelete : Event::Type::kPut;
      e.entry.key = c.key;
      e.previous = c.previous;
      events.push_back(std::move(e));
    }
    CHECK(EncodeLog(key, log->wall_ms, events) == record);
  }
  CHECK(accepted > 100);   // the checksum is right, so that the grammar was tested and not only the checksum
}

TEST_CASE("the history of long values is the same after the store was opened again", "[store]") {
  auto disk = std::make_shared<MemoryDisk>();
  const auto open = [&] { return MvccStore::Open({}, std::make_unique<MemoryBackend>(disk), Origin::kOwn).value(); };
  std::map<Revision, std::optional<std::string>> history;
  {
    auto store = open();
    const auto write = [&](std::optional<std::string> value) {
      Batch batch;
      batch.ops.push_back({"/a", value ? std::optional(Bytes(*value)) : std::nullopt});
      batch.ops.push_back({"/short", Bytes(std::to_string(history.size()))});
      const Revision revision = SubmitAndWait(*store, std::move(batch)).value().revision;
      history[revision] = std::move(value);
    };
    for (int i = 0; i < 20; ++i) write(LongText(std::to_string(i), std::to_string(i * i)));
    write(std::nullopt);
    write(std::string(70'000, 'l'));   // too long to be packed
    for (int i = 20; i < 30; ++i) write(LongText(std::to_string(i), std::to_string(i * i)));
    write("short");
  }
  std::size_t bytes = 0;
  {
    auto records = disk->records.Lock();
    for (const auto& [key, record] : *records) bytes += record.size();
  }
  CHECK(bytes < 70'000 + 10 * LongText("", "").size());
  auto store = open();
  for (const auto& [revision, value] : history) {
    const std::optional<Entry> found = store->Get("/a", revision).value();
    REQUIRE(found.has_value() == value.has_value());
    if (value) CHECK(found->value.Load().view() == *value);
  }
}

TEST_CASE("a store with any record damaged at any byte does not open", "[store]") {
  auto disk = std::make_shared<MemoryDisk>();
  const auto open = [&] { return MvccStore::Open({}, std::make_unique<MemoryBackend>(disk), Origin::kOwn); };
  {
    auto store = open().value();
    for (const char* v : {"1", "2"}) static_cast<void>(SubmitAndWait(*store, {{}, {{"/a", Bytes(v)}, {"/b", Bytes(v)}}}));
    static_cast<void>(SubmitAndWait(*store, {{}, {{"/b", std::nullopt}}}));
  }
  MemoryDisk::Map good;
  {
    auto records = disk->records.Lock();
    good = *records;
  }
  REQUIRE(open());
  const auto set = [&](const MemoryDisk::Map& map) {
    auto records = disk->records.Lock();
    *records = map;
  };
  for (const auto& [key, record] : good) {
    for (std::size_t i = 0; i < record.size(); ++i) {
      INFO(ToHex(key) << " byte " << i);
      MemoryDisk::Map bad = good;
      bad[key][i] = static_cast<char>(record[i] ^ 0x10);
      set(bad);
      CHECK(open().error().code() == Code::kCorruption);
      bad[key] = record.substr(0, i);
      set(bad);
      CHECK(open().error().code() == Code::kCorruption);
    }
    MemoryDisk::Map moved = good;
    moved.erase(key);
    moved.emplace("z" + key, record);
    set(moved);
    CHECK(open().error().code() == Code::kCorruption);
  }
  // Whole records that went missing: the log and the entries contradict each other.
  for (const char* lost : {"c/a", "mreserved"}) {
    MemoryDisk::Map bad = good;
    bad.erase(lost);
    set(bad);
    CHECK(open().error().code() == Code::kCorruption);
  }
}

}  // namespace skerry::store
