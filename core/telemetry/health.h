#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/guarded.h"
#include "core/base/result.h"

// Named health checks behind /livez, /readyz and /healthz. Thread-safe.
namespace skerry::telemetry {

class Health {
 public:
  // kLive: a failure asks for a restart. kReady: a failure only keeps traffic away. A live check also counts as a ready check.
  enum class Kind : std::uint8_t { kLive, kReady };
  using Check = std::function<Result<>()>;   // quick and non-blocking; called from any thread, one call at a time

  struct Line {
    std::string name;
    std::string error;   // empty = ok
  };
  struct Report {
    bool ok = true;
    std::vector<Line> lines;                      // in order of registration, excluded ones left out
    std::vector<std::string> unknown_excludes;    // names in `exclude` that no check has
    // "[+]ping ok\n…readyz check passed\n"; reasons are withheld, as they may name internals: they belong in the log.
    std::string Text(std::string_view endpoint) const;
  };

  void Register(std::string name, Kind kind, Check check);   // replaces a check of that name
  void Unregister(std::string_view name);
  Report Run(Kind kind, const std::vector<std::string>& exclude = {}) const;
  // One check alone; kNotFound when there is none of that name.
  Result<> RunOne(std::string_view name) const;

 private:
  struct Entry {
    std::string name;
    Kind kind;
    Check check;
  };
  mutable Guarded<std::vector<Entry>> entries_;
};

}  // namespace skerry::telemetry
