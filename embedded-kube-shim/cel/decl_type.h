#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/json/value.h"

// Declared types of data: what a schema says about a JSON value, as the type checker, the cost estimate and the views of values need it.
namespace skerry::kube::cel {

enum class TypeKind : std::uint8_t { kError, kDyn, kNull, kBool, kInt, kUint, kDouble, kString, kBytes, kDuration, kTimestamp, kList, kMap, kType, kOpaque, kObject, kParam };

class DeclType;
class Type;
struct DeclField;
const DeclField& AnyField();
using DeclTypePtr = std::shared_ptr<const DeclType>;

struct DeclField {
  std::string json_name;   // as in the document; the key of `fields` is the escaped name that expressions use
  DeclTypePtr type;
  bool required = false;
};

// Immutable once published.
class DeclType {
 public:
  TypeKind kind = TypeKind::kDyn;
  std::string name;                                       // of objects: "selfType1.spec"
  DeclTypePtr key, element;                               // of maps and lists
  std::map<std::string, DeclField, std::less<>> fields;   // of objects
  std::uint64_t max_elements = 0;                         // worst size(): bytes of a text, items, members
  std::int64_t min_size = 1;                              // least bytes in JSON
  enum class List : std::uint8_t { kAtomic, kSet, kMap } list = List::kAtomic;
  std::vector<std::string> map_keys;                      // of list maps
  bool nullable = false, int_or_string = false;
  std::shared_ptr<const Type> checked_type;         // not null: the type that checking found, instead of what is said here
  bool any_field = false;                                 // of objects: every field exists and is dynamic
  enum class Text : std::uint8_t { kPlain, kByte, kDuration, kDate, kDateTime } text = Text::kPlain;
  const DeclField* FindField(std::string_view escaped) const {
    const auto at = fields.find(escaped);
    if (at != fields.end()) return &at->second;
    return any_field ? &AnyField() : nullptr;
  }
};

enum class SchemaRole : std::uint8_t { kValue, kResourceRoot };   // a root (or embedded resource) always has apiVersion, kind, metadata.{name,generateName}

inline constexpr std::int64_t kMaxRequestBytes = 3 * 1024 * 1024;

// From a structural OpenAPI schema (the JSON of a CRD: type, properties, items, additionalProperties, x-kubernetes-*, …). Objects are named
// `root_name` and paths below it. Null when the schema says too little to type it (an array without items, nothing at all); properties of
// that kind are left out of their object. Bounded by the schema's own depth.
DeclTypePtr FromSchema(const json::Value& schema, SchemaRole role, std::string_view root_name);

DeclTypePtr DynDecl();
DeclTypePtr SimpleDecl(TypeKind kind);                    // bool, int, double, string without limits, …
DeclTypePtr ListDecl(DeclTypePtr element, std::uint64_t max_elements);
DeclTypePtr MapDecl(DeclTypePtr value, std::uint64_t max_elements);
// name → type; every field optional and not escaped further.
DeclTypePtr ObjectDecl(std::string name, std::vector<std::pair<std::string, DeclTypePtr>> fields);
inline DeclTypePtr StringDecl() { return SimpleDecl(TypeKind::kString); }

// How often data of that least size fits into one request: the worst number of times a rule inside unbounded lists runs.
std::uint64_t MaxCardinality(std::int64_t min_size);

// "a-b" → "a__dash__b", "namespace" → "__namespace__"; empty when the name cannot be an identifier at all.
std::string EscapeName(std::string_view name);
std::string UnescapeName(std::string_view escaped);

}  // namespace skerry::kube::cel
