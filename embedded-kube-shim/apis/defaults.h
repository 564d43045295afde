#pragma once
#include <span>
#include <string_view>

#include "embedded-kube-shim/api/schema.h"

// Defaults of the built-in kinds: the table of data/defaults.txt and the rules of defaults_*.cc, applied to every struct of a tree,
// parents before children. For bodies of subresources, too (TokenRequest, Scale).
namespace skerry::kube {

void ApplyBuiltinDefaults(SchemaPtr schema, json::Value& object);

namespace defaults {

// A rule sees one struct of its definition.
using Rule = void (*)(json::Value& object);
struct NamedRule { std::string_view definition; Rule rule; };
// The rules of one file; defaults.cc knows them all.
std::span<const NamedRule> CoreRules();
std::span<const NamedRule> WorkloadRules();
std::span<const NamedRule> OtherRules();

// True when the member is missing, null, or an empty string, list or map.
bool Lacks(const json::Value& object, std::string_view field);
void SetIfLacking(json::Value& object, std::string_view field, json::Value value);
void SetIfNull(json::Value& object, std::string_view field, json::Value value);   // for pointers: an empty text is a value

}  // namespace defaults
}  // namespace skerry::kube
