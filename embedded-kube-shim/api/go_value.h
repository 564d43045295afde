#pragma once
#include <string>
#include <string_view>

#include "core/json/value.h"

// JSON values as Go's fmt prints their decoded form: error texts of patches and server-side apply quote them.
namespace skerry::kube {

// "%v": map[a:1 b:[x y]] with sorted keys, nil as <nil>, text bare.
std::string GoPrint(const json::Value& value);
// "%#v" of an interface holding the value: "x", 1, map[string]interface {}{"a":1}, []interface {}{"x"}.
std::string GoSyntax(const json::Value& value);
// reflect.Kind of the decoded value: "string", "int64", "float64", "bool", "map", "slice"; "invalid" for null.
std::string_view GoKind(const json::Value& value);
// Static Go type of the decoded value: "map[string]interface {}", "[]interface {}", "string"…; "<nil>" for null.
std::string_view GoType(const json::Value& value);
// "%v" of a float64.
std::string GoFloat(double value);

}  // namespace skerry::kube
