#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "store/store.h"

// The disk format, version 1. Keys and values of the backend:
//
//   key      = "c" user-key | "l" revision:u64be | "m" name          (current entry, log of one commit, meta)
//   current  = 0x01 created:varint modified:varint value crc
//   log      = (0x01 | 0x02) wall-ms:varint count:varint change{count} crc             0x02: at least one change is packed
//   change   = flags:u8 key:bytes [ created:varint modified:varint [size:varint] value:bytes ]
//              flags: 1 = deleted, 2 = a previous version follows, 4 = its value, of `size` bytes, is packed: an LZ4 block with the new
//              value as its dictionary; only in 0x02, with 2 and without 1, both values of 512 B to 64 KiB and `value` shorter than `size`
//   meta     = 0x01 revision:varint crc                               ("reserved": no revision above it was ever used; "horizon")
//   bytes    = length:varint octet{length}
//   varint   = LEB128, shortest form, at most 2^63-1
//   crc      = u32le, CRC-32 (zlib) over the backend key and everything before it
//
// A log record holds only previous values: the new value of a change is the previous value of the key's next change, or the current one.
// A large object mostly changes in a few places, so that its previous value takes few bytes beside the new one.
// Decoders answer kCorruption for anything an encoder cannot have written.
namespace skerry::store {

inline constexpr char kCurrentTag = 'c', kLogTag = 'l', kMetaTag = 'm';

std::string CurrentKey(std::string_view user_key);
std::string LogKey(Revision revision);
std::string MetaKey(std::string_view name);
Result<Revision> ParseLogKey(std::string_view key);

struct LogChange {
  std::string key;
  bool deleted = false;
  std::optional<Version> previous;   // without its value while that is packed
  std::string packed;                // empty when nothing is
  std::size_t size = 0;              // of the value that is packed
};

// Gives a change with a packed value that value. False: it is not told by `new_value`.
bool Unpack(std::string_view new_value, LogChange* change);

struct LogRecord {
  std::int64_t wall_ms = 0;
  std::vector<LogChange> changes;
};

std::string EncodeCurrent(std::string_view backend_key, const Version& version);
Result<Version> DecodeCurrent(std::string_view backend_key, std::string_view record);
std::string EncodeLog(std::string_view backend_key, std::int64_t wall_ms, const std::vector<Event>& events);
Result<LogRecord> DecodeLog(std::string_view backend_key, std::string_view record);
std::string EncodeMeta(std::string_view backend_key, Revision revision);
Result<Revision> DecodeMeta(std::string_view backend_key, std::string_view record);

std::uint32_t Crc32(std::string_view bytes, std::uint32_t seed = 0);

}  // namespace skerry::store
