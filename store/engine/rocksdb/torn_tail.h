#pragma once
#include <string>

#include "core/base/result.h"

// RocksDB's log format (write-ahead log and manifest): blocks of 32 KiB, in them fragments
//   crc32c:u32le(masked) length:u16le type:u8 payload            type: 1 full, 2 first, 3 middle, 4 last
//
// A power cut may leave the record that was being written with its later blocks on the disk and its earlier ones not. RocksDB takes a
// log that is merely cut short for what it is, but this for corruption, and refuses to open. The two can be told apart: every record
// is synced before the next one is begun, so damage that no beginning of a record follows is a write that was never acknowledged.
namespace skerry::store {

enum class TailState : std::uint8_t {
  kIntact,    // nothing damaged, or cut short in a way that RocksDB accepts
  kTorn,      // the last record is damaged
  kDamaged,   // a damaged record with others after it: acknowledged data is lost
};

struct Tail {
  TailState state = TailState::kIntact;
  std::size_t good_bytes = 0;   // up to the end of the last whole record before the damage
};
Tail InspectLog(std::string_view content);

// Cuts a torn last record off the newest write-ahead log and the current manifest in `directory`. True when something was cut.
Result<bool> CutTornTails(const std::string& directory);

}  // namespace skerry::store
