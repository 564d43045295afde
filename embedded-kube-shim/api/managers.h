#pragma once
#include <compare>
#include <map>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/json/value.h"
#include "embedded-kube-shim/api/field_set.h"

// metadata.managedFields decoded: who owns which fields. Private to embedded-kube-shim/api.
namespace skerry::kube {

// Who somebody is for ownership. Appliers keep their identity over API versions.
struct ManagerId {
  std::string manager, operation, api_version, subresource;   // api_version is empty for Apply
  auto operator<=>(const ManagerId&) const = default;
  std::string Text() const;   // as conflicts name it: `"kubectl" with subresource "status" using v1`
};

struct Ownership {
  FieldSet fields;
  std::string api_version;
  bool applied = false;
};

struct Managers {
  std::map<ManagerId, Ownership> fields;
  std::map<ManagerId, std::string> times;   // RFC 3339; may name managers that own nothing

  // `entries` may be null (no managers). kInvalid says what is wrong with an entry.
  static Result<Managers> Decode(const json::Value& entries);
  json::Value Encode() const;               // null when nobody owns anything
  // At most ten Update managers: the oldest are merged into "ancient-changes", one for each API version.
  void Cap();
};

std::string ManagerTime(std::chrono::system_clock::time_point when);

}  // namespace skerry::kube
