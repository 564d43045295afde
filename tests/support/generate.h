#pragma once
#include "core/base/random.h"
#include "embedded-kube-shim/api/schema.h"

// Objects of a type, made up from a seed: valid for decoding, not necessarily for the rules of their kind.
namespace skerry::testing {

struct GenerateOptions {
  int max_depth = 9;          // what lies deeper is left out
  unsigned field_percent = 30;   // how many of the fields that need not be there are there
  bool zeros = true;          // false, 0, "" and empty lists and maps may occur
  bool protobuf = false;      // nothing that messages do not carry: the kind of an object inside another
};
json::Value Generate(kube::SchemaPtr schema, Random& random, const GenerateOptions& options = {});
// The same with the group, version and kind of a top-level definition and a name.
json::Value GenerateObject(kube::SchemaPtr schema, const std::string& api_version, const std::string& kind, Random& random, const GenerateOptions& options = {});

// Any JSON document. Integers and short texts; few keys, so that two documents have much in common.
json::Value GenerateJson(Random& random, int max_depth);

// Changes one place somewhere inside: another type, nothing, an odd text, an odd number, twice the same item.
void Mutate(json::Value& value, Random& random);

}  // namespace skerry::testing
