#pragma once
#include <compare>
#include <string>
#include <string_view>
#include <vector>

#include "core/json/value.h"

// The Pod Security Standards as checks of a pod (metadata and spec), each from a minor version of Kubernetes on.
namespace skerry::kube::pod_security {

enum class Level : std::uint8_t { kPrivileged, kBaseline, kRestricted };
std::string_view NameOf(Level level);

struct LevelVersion {
  Level level = Level::kPrivileged;
  int minor = kLatest;                  // 25 = v1.25
  auto operator<=>(const LevelVersion&) const = default;
  std::string Text() const;             // "restricted:v1.25", "baseline:latest"

  static constexpr int kLatest = 1 << 20;
};

struct Violation {
  std::string reason, detail;           // "host namespaces", "hostNetwork=true"; detail may be empty
};

// In the standard's order; empty = allowed.
std::vector<Violation> Evaluate(const LevelVersion& policy, const json::Value& metadata, const json::Value& spec);
std::string Reasons(const std::vector<Violation>& violations);   // "a, b"
std::string Details(const std::vector<Violation>& violations);   // "a (x), b (y)"

}  // namespace skerry::kube::pod_security
