#pragma once
#include <string>
#include <vector>

#include "core/json/value.h"
#include "embedded-kube-shim/api/field_set.h"
#include "embedded-kube-shim/api/schema.h"

// JSON documents seen through a schema: what structured merge needs (server-side apply). A null Schema, Any and raw types take their
// structure from the value: maps merge, lists and scalars replace.
namespace skerry::kube {

struct TypedField {
  SchemaPtr type = nullptr;
  bool declared = false;   // a named field of the struct (not a map's key)
  bool allowed = false;    // false = the schema does not know it
};
TypedField FieldOf(SchemaPtr schema, std::string_view name);

enum class Duplicates : std::uint8_t { kAllow, kRefuse };
// Problems in upstream's words, each with its path: `.spec.x: field not declared in schema`. Empty = valid.
std::vector<std::string> ValidateTyped(SchemaPtr schema, const json::Value& value, Duplicates duplicates);
// One error as it is, several as a list under "errors:".
std::string JoinProblems(const std::vector<std::string>& problems);

// Adds the fields which Go always writes (zero values of fields without omitempty), so that "absent" means the same on both sides.
void FillAlwaysEmitted(SchemaPtr schema, json::Value& value);

struct Comparison {
  FieldSet added, removed, modified;
  bool Same() const { return added.empty() && removed.empty() && modified.empty(); }
  Comparison Without(const FieldSet& ignored) const { return {added.RecursiveDifference(ignored), removed.RecursiveDifference(ignored), modified.RecursiveDifference(ignored)}; }
};
enum class RawObjects : std::uint8_t { kAsBytes, kAsValues };   // is another order of keys in an embedded raw object a change?
// How the two documents are looked at: as they are; without metadata.managedFields; without these and as if FillAlwaysEmitted() had been
// applied to both.
enum class Seen : std::uint8_t { kAsIs, kWithoutManagers, kAsWritten };
Comparison CompareTyped(SchemaPtr schema, const json::Value& before, const json::Value& after, RawObjects raw = RawObjects::kAsBytes, Seen seen = Seen::kAsIs);
// Embedded raw objects with sorted keys, as they come out of a Go map.
void SortRawObjects(SchemaPtr schema, json::Value& value);
// Integral floating point numbers become integers where the type is one (5.0 in YAML).
void CoerceIntegers(SchemaPtr schema, json::Value& value);
json::Value SortedKeys(const json::Value& value);
// Every field the document sets.
FieldSet FieldsOf(SchemaPtr schema, const json::Value& value);
// Whether FieldsOf(value) without the members of `without` is the set that `stored` (as FieldSet::ToJson made it) encodes. No set is made for it;
// of very large objects the answer may be no. `value` is an object that ValidateTyped passes with Duplicates::kRefuse.
bool SetsExactly(SchemaPtr schema, const json::Value& value, const FieldSet& without, const json::Value& stored);
// `base` overlaid by `config`: maps by key, keyed lists and sets by element, the rest replaced.
json::Value MergeTyped(SchemaPtr schema, const json::Value& base, const json::Value& config);
json::Value RemoveItems(SchemaPtr schema, const json::Value& value, const FieldSet& items);
// What owned fields become when the schema has changed from granular to atomic since they were recorded.
FieldSet ReconcileWithSchema(SchemaPtr schema, const FieldSet& fields);

}  // namespace skerry::kube
