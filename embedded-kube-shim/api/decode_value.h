#pragma once
#include <string>
#include <vector>

#include "core/base/result.h"
#include "embedded-kube-shim/api/schema.h"

// The typing pass of decoding: checks a parsed document against a schema in document order, converts scalars to their canonical form,
// removes unknown and duplicate members. Speaks of errors as Go's decoder does.
namespace skerry::kube {

struct TypeCheck {
  std::string error;                // the first type error; empty = none
  std::vector<std::string> strict;  // unknown and duplicate fields, in order of appearance, each once
};
TypeCheck CheckTypes(SchemaPtr schema, json::Value& document);

// RFC 3339 text -> canonical UTC text ("2024-01-02T03:04:05Z", or with six decimals). Error text as Go's time.Parse reports it.
Result<std::string> CanonicalTime(std::string_view text, bool micro);

}  // namespace skerry::kube
