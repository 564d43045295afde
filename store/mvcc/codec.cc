#include "store/mvcc/codec.h"

#include <lz4.h>

#include <algorithm>
#include <limits>

namespace skerry::store {
namespace {

constexpr char kFormat = 1, kPackedFormat = 2;
constexpr unsigned char kFlagDeleted = 1, kFlagPrevious = 2, kFlagPacked = 4;
constexpr std::size_t kLeastPacked = 512, kMostPacked = 64 << 10;

void PutVarint(std::string& out, std::uint64_t v) {
  while (v >= 0x80) {
    out += static_cast<char>(v | 0x80);
    v >>= 7;
  }
  out += static_cast<char>(v);
}

void PutBytes(std::string& out, std::string_view bytes) {
  PutVarint(out, bytes.size());
  out += bytes;
}

void PutCrc(std::string& out, std::string_view key) {
  const std::uint32_t crc = Crc32(out, Crc32(key));
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(crc >> shift);
}

std::unexpected<Error> Damaged(std::string_view key, std::string_view why) {
  std::string shown = key.starts_with(kLogTag) ? "log record" : "record " + std::string(key.substr(0, 200));
  return Fail(Code::kCorruption, shown + ": " + std::string(why));
}

// Reads a record whose checksum is already known to be right; the checks left guard against a writer's bug and hostile files.
class Reader {
 public:
  explicit Reader(std::string_view rest) : rest_(rest) {}
  bool Varint(std::int64_t* out) {
    std::uint64_t v = 0;
    for (int shift = 0; shift < 63; shift += 7) {
      if (rest_.empty()) return false;
      const auto b = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      v |= static_cast<std::uint64_t>(b & 0x7f) << shift;
      if (b & 0x80) continue;
      if (b == 0 && shift > 0) return false;
      *out = static_cast<std::int64_t>(v);
      return true;
    }
    return false;
  }
  bool Byte(unsigned char* out) {
    if (rest_.empty()) return false;
    *out = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    return true;
  }
  bool Octets(std::string_view* out) {
    std::int64_t size = 0;
    if (!Varint(&size) || static_cast<std::uint64_t>(size) > rest_.size()) return false;
    *out = rest_.substr(0, static_cast<std::size_t>(size));
    rest_.remove_prefix(static_cast<std::size_t>(size));
    return true;
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

bool MayBePacked(std::size_t previous, std::size_t next) { return std::min(previous, next) >= kLeastPacked && std::max(previous, next) <= kMostPacked; }

// The previous value told by the new one; nothing when that does not make it much shorter.
std::string Pack(std::string_view next, std::string_view previous) {
  LZ4_stream_t stream;
  LZ4_initStream(&stream, sizeof stream);
  LZ4_loadDict(&stream, next.data(), static_cast<int>(next.size()));
  std::string out;
  out.resize_and_overwrite(previous.size() / 2, [&](char* to, std::size_t size) {
    return static_cast<std::size_t>(LZ4_compress_fast_continue(&stream, previous.data(), to, static_cast<int>(previous.size()), static_cast<int>(size), 1));
  });
  return out;
}

// The body between the format byte and the checksum.
Result<std::string_view> Open(std::string_view key, std::string_view record, char newest = kFormat) {
  if (record.size() < 5) return Damaged(key, "too short");
  const std::string_view covered = record.substr(0, record.size() - 4);
  std::uint32_t crc = 0;
  for (int i = 3; i >= 0; --i) crc = crc << 8 | static_cast<unsigned char>(record[covered.size() + static_cast<std::size_t>(i)]);
  if (crc != Crc32(covered, Crc32(key))) return Damaged(key, "wrong checksum");
  if (covered.front() < kFormat || covered.front() > newest) return Damaged(key, "unknown record format");
  return covered.substr(1);
}

bool ReadChange(Reader& in, Revision revision, LogChange* out) {
  unsigned char flags = 0;
  std::string_view key;
  if (!in.Byte(&flags) || flags > (kFlagPrevious | kFlagPacked) || flags == kFlagPacked || !in.Octets(&key) || key.empty()) return false;
  out->key = key;
  out->deleted = flags & kFlagDeleted;
  if (!(flags & kFlagPrevious)) return !out->deleted;
  Version v;
  std::int64_t size = 0;
  std::string_view value;
  if (!in.Varint(&v.created) || !in.Varint(&v.modified) || ((flags & kFlagPacked) && !in.Varint(&size)) || !in.Octets(&value)) return false;
  if (v.created < 1 || v.created > v.modified || v.modified >= revision) return false;
  if (flags & kFlagPacked) {
    out->size = static_cast<std::size_t>(size);
    if (!MayBePacked(out->size, out->size) || value.empty() || value.size() >= out->size) return false;
    out->packed = value;
  } else {
    v.value = Bytes(std::string(value));
  }
  out->previous = std::move(v);
  return true;
}

}  // namespace

std::string CurrentKey(std::string_view user_key) {
  std::string key;
  key.reserve(user_key.size() + 1);
  key += kCurrentTag;
  key += user_key;
  return key;
}

std::string LogKey(Revision revision) {
  std::string key(1, kLogTag);
  for (int shift = 56; shift >= 0; shift -= 8) key += static_cast<char>(static_cast<std::uint64_t>(revision) >> shift);
  return key;
}

std::string MetaKey(std::string_view name) { return std::string(1, kMetaTag) + std::string(name); }

Result<Revision> ParseLogKey(std::string_view key) {
  if (key.size() != 9 || key.front() != kLogTag) return Damaged(key, "malformed key");
  std::uint64_t v = 0;
  for (const char c : key.substr(1)) v = v << 8 | static_cast<unsigned char>(c);
  if (v == 0 || v > static_cast<std::uint64_t>(std::numeric_limits<Revision>::max())) return Damaged(key, "malformed key");
  return static_cast<Revision>(v);
}

std::string EncodeCurrent(std::string_view backend_key, const Version& version) {
  std::string out;
  out.reserve(version.value.size() + 25);
  out += kFormat;
  PutVarint(out, static_cast<std::uint64_t>(version.created));
  PutVarint(out, static_cast<std::uint64_t>(version.modified));
  out += version.value.Load().view();
  PutCrc(out, backend_key);
  return out;
}

Result<Version> DecodeCurrent(std::string_view backend_key, std::string_view record) {
  TRY(const std::string_view body, Open(backend_key, record));
  Reader in(body);
  Version v;
  if (!in.Varint(&v.created) || !in.Varint(&v.modified) || v.created < 1 || v.created > v.modified)
    return Damaged(backend_key, "malformed");
  v.value = Bytes(std::string(in.rest()));
  return v;
}

std::string EncodeLog(std::string_view backend_key, std::int64_t wall_ms, const std::vector<Event>& events) {
  std::string out(1, kFormat);
  PutVarint(out, static_cast<std::uint64_t>(std::max<std::int64_t>(wall_ms, 0)));
  PutVarint(out, events.size());
  for (const Event& e : events) {
    const bool deleted = e.type == Event::Type::kDelete;
    const Bytes previous = e.previous ? e.previous->value.Load() : Bytes();
    std::string packed;
    if (!deleted && e.previous && MayBePacked(previous.size(), e.entry.value.size())) packed = Pack(e.entry.value.Load().view(), previous.view());
    if (!packed.empty()) out[0] = kPackedFormat;
    out += static_cast<char>((deleted ? kFlagDeleted : 0) | (e.previous ? kFlagPrevious : 0) | (packed.empty() ? 0 : kFlagPacked));
    PutBytes(out, e.entry.key);
    if (!e.previous) continue;
    PutVarint(out, static_cast<std::uint64_t>(e.previous->created));
    PutVarint(out, static_cast<std::uint64_t>(e.previous->modified));
    if (!packed.empty()) PutVarint(out, previous.size());
    PutBytes(out, packed.empty() ? previous.view() : std::string_view(packed));
  }
  PutCrc(out, backend_key);
  return out;
}

Result<LogRecord> DecodeLog(std::string_view backend_key, std::string_view record) {
  TRY(const Revision revision, ParseLogKey(backend_key));
  TRY(const std::string_view body, Open(backend_key, record, kPackedFormat));
  Reader in(body);
  LogRecord log;
  std::int64_t count = 0;
  // A change takes at least three bytes: this bounds the reservation by the record's size.
  if (!in.Varint(&log.wall_ms) || !in.Varint(&count) || count == 0 || static_cast<std::uint64_t>(count) > body.size() / 3) {
    return Damaged(backend_key, "malformed");
  }
  log.changes.resize(static_cast<std::size_t>(count));
  for (LogChange& change : log.changes) {
    if (!ReadChange(in, revision, &change)) return Damaged(backend_key, "malformed change");
  }
  if (!in.rest().empty()) return Damaged(backend_key, "trailing bytes");
  const bool packed = std::any_of(log.changes.begin(), log.changes.end(), [](const LogChange& c) { return !c.packed.empty(); });
  if (packed != (record.front() == kPackedFormat)) return Damaged(backend_key, "malformed");
  return log;
}

bool Unpack(std::string_view new_value, LogChange* change) {
  if (!MayBePacked(change->size, new_value.size())) return false;
  std::string out;
  out.resize_and_overwrite(change->size, [&](char* to, std::size_t size) {
    const int n = LZ4_decompress_safe_usingDict(change->packed.data(), to, static_cast<int>(change->packed.size()), static_cast<int>(size), new_value.data(),
                                                static_cast<int>(new_value.size()));
    return n < 0 ? 0 : static_cast<std::size_t>(n);
  });
  if (out.size() != change->size) return false;
  change->previous->value = Bytes(std::move(out));
  change->packed.clear();
  return true;
}

std::string EncodeMeta(std::string_view backend_key, Revision revision) {
  std::string out(1, kFormat);
  PutVarint(out, static_cast<std::uint64_t>(revision));
  PutCrc(out, backend_key);
  return out;
}

Result<Revision> DecodeMeta(std::string_view backend_key, std::string_view record) {
  TRY(const std::string_view body, Open(backend_key, record));
  Reader in(body);
  Revision revision = 0;
  if (!in.Varint(&revision) || revision < 1 || !in.rest().empty()) return Damaged(backend_key, "malformed");
  return revision;
}

}  // namespace skerry::store
