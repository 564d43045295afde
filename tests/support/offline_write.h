#pragma once
#include <memory>
#include <optional>
#include <string_view>

#include "embedded-kube-shim/api/codec.h"

// The part of a write that needs no server: decode, default, prepare, validate, canonical form.
namespace skerry::testing {

class OfflineWriter {
 public:
  OfflineWriter();
  // The answer (object or Status) to a recorded POST; nothing when it goes to a subresource or an unknown resource.
  std::optional<json::Value> Create(std::string_view id, const json::Value& step) const;
  // The answer to a recorded PUT (also of /status) on an object that was created by `created` (a recorded 201 answer).
  std::optional<json::Value> Update(const json::Value& created, const json::Value& step) const;

 private:
  std::unique_ptr<kube::Registry> registry_;
};

// Without what the server or admission adds: uid, times, managed fields, service account tokens.
json::Value Comparable(const json::Value& answer);

}  // namespace skerry::testing
