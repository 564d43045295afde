#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/result.h"

// What mvcc needs from an engine: an ordered map of bytes with an atomic, durable write. mvcc alone gives keys and values a meaning.
namespace skerry::store {

struct WriteSet {
  struct Op {
    std::string key;
    std::optional<std::string> value;   // nullopt = delete
  };
  std::vector<Op> ops;                  // a key appears once
};

class Backend {
 public:
  enum class Health : std::uint8_t {
    kGood,
    kLowSpace,   // the disk was full; what was kept back is free now, for writes that lead to deletions
    kFailing,    // every write is refused until TryRecover succeeds
  };
  using Visitor = std::function<Result<>(std::string_view key, std::string_view value)>;

  virtual ~Backend() = default;
  // Commit thread only. Atomic, durable on success. After an error it is unknown whether the writes are on disk (a later Commit that
  // touches the same keys settles it), and health() may have changed. kUnavailable, kCorruption.
  virtual Result<> Commit(const WriteSet& writes) = 0;
  // In key order, from <= key < to. Any thread. Sees at least every Commit that returned before.
  virtual Result<> Scan(std::string_view from, std::string_view to, const Visitor& visit) const = 0;
  virtual Result<> Checkpoint(const std::string& directory) = 0;
  virtual Health health() const noexcept = 0;
  virtual Error HealthError() const = 0;   // one line with cause and remedy; only while health() is not kGood
  virtual void TryRecover() = 0;           // commit thread only, on a timer while health() is not kGood
};

}  // namespace skerry::store
