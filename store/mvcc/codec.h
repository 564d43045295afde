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
//   log      = 0x01 wall-ms:varint count:varint change{count} crc
//   change   = flags:u8 key:bytes [ created:varint modified:varint value:bytes ]      flags: 1 = deleted, 2 = a previous version follows
//   meta     = 0x01 revision:varint crc                               ("reserved": no revision above it was ever used; "horizon")
//   bytes    = length:varint octet{length}
//   varint   = LEB128, shortest form, at most 2^63-1
//   crc      = u32le, CRC-32 (zlib) over the backend key and everything before it
//
// A log record holds only previous values: the new value of a change is the previous value of the key's next change, or the current one.
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
  std::optional<Version> previous;
};

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
