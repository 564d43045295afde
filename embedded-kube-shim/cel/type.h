#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "embedded-kube-shim/cel/decl_type.h"

// Types of the checker.
namespace skerry::kube::cel {

class Type;
using TypePtr = std::shared_ptr<const Type>;

class Type {
 public:
  TypeKind kind = TypeKind::kDyn;
  std::string name;               // of objects, library types ("net.IP", "optional_type") and type parameters
  std::vector<TypePtr> params;    // list: element; map: key, value; type: of what; library types: theirs
  DeclTypePtr decl;               // objects: their fields; null for opaque structs of libraries

  bool IsDynOrError() const { return kind == TypeKind::kDyn || kind == TypeKind::kError; }
  bool IsOptional() const { return kind == TypeKind::kOpaque && name == "optional_type"; }
};

TypePtr Simple(TypeKind kind);
TypePtr ListOf(TypePtr element);
TypePtr MapOf(TypePtr key, TypePtr value);
TypePtr TypeOf(TypePtr of);
TypePtr OptionalOf(TypePtr inner);
TypePtr Param(std::string name);
TypePtr StructType(std::string name);    // a library's named struct: "kubernetes.Quantity"
TypePtr OpaqueType(std::string name);    // a library's value type: "net.IP"
TypePtr FromDecl(const DeclTypePtr& decl);

bool SameType(const Type& a, const Type& b);
// As messages print it: "list(string)", "map(string, dyn)", "timestamp", "selfType1.spec".
std::string TypeText(const Type& type);
// The name that type(x) and identifiers carry: "int", "list", "google.protobuf.Timestamp", …
std::string RuntimeName(const Type& type);

// A function's shape in our notation: "string.(int, A) -> list(A)" (member), "(int, int) -> int" (global). Single capitals are parameters;
// quantity, url, ip, … are library types by their full names.
struct Signature {
  bool is_member = false;
  std::vector<TypePtr> arguments;   // the receiver first
  TypePtr result;
  bool has_params = false;
};
Signature ParseSignature(std::string_view text);   // our own tables: malformed text is a bug

}  // namespace skerry::kube::cel
