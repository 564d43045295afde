#include "embedded-kube-shim/api/go_value.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

#include "core/base/strings.h"

namespace skerry::kube {

namespace {

std::vector<const json::Member*> SortedMembers(const json::Value& value) {
  std::vector<const json::Member*> members;
  for (const auto& member : value.Members()) members.push_back(&member);
  std::sort(members.begin(), members.end(), [](const json::Member* a, const json::Member* b) { return a->key < b->key; });
  return members;
}

}  // namespace

std::string GoFloat(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  // Go switches to the exponent form below 1e-4 and from 1e21 on.
  const double magnitude = std::fabs(value);
  const bool exponent = magnitude != 0 && (magnitude < 1e-4 || magnitude >= 1e21);
  char buffer[400];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, exponent ? std::chars_format::scientific : std::chars_format::fixed);
  return std::string(buffer, end.ptr);
}

std::string GoPrint(const json::Value& value) {
  switch (value.kind()) {
    case json::Value::Kind::kNull: return "<nil>";
    case json::Value::Kind::kBool: return value.Bool() ? "true" : "false";
    case json::Value::Kind::kInt: return std::to_string(value.Int());
    case json::Value::Kind::kDouble: return GoFloat(value.Double());
    case json::Value::Kind::kString: return std::string(value.Str());
    case json::Value::Kind::kArray: {
      std::string out = "[";
      for (const auto& item : value.Items()) {
        if (out.size() > 1) out += ' ';
        out += GoPrint(item);
      }
      return out + "]";
    }
    case json::Value::Kind::kObject: {
      std::string out = "map[";
      for (const auto* member : SortedMembers(value)) {
        if (out.size() > 4) out += ' ';
        out += member->key + ":" + GoPrint(member->value);
      }
      return out + "]";
    }
  }
  return {};
}

std::string GoSyntax(const json::Value& value) {
  switch (value.kind()) {
    case json::Value::Kind::kString: return Quote(value.Str());
    case json::Value::Kind::kArray: {
      std::string out;
      for (const auto& item : value.Items()) out += (out.empty() ? "" : ", ") + GoSyntax(item);
      return "[]interface {}{" + out + "}";
    }
    case json::Value::Kind::kObject: {
      std::string out;
      for (const auto* member : SortedMembers(value)) out += (out.empty() ? "" : ", ") + Quote(member->key) + ":" + GoSyntax(member->value);
      return "map[string]interface {}{" + out + "}";
    }
    case json::Value::Kind::kNull: return "interface {}(nil)";
    default: return GoPrint(value);
  }
}

std::string_view GoKind(const json::Value& value) {
  switch (value.kind()) {
    case json::Value::Kind::kNull: return "invalid";
    case json::Value::Kind::kBool: return "bool";
    case json::Value::Kind::kInt: return "int64";
    case json::Value::Kind::kDouble: return "float64";
    case json::Value::Kind::kString: return "string";
    case json::Value::Kind::kArray: return "slice";
    case json::Value::Kind::kObject: return "map";
  }
  return "invalid";
}

std::string_view GoType(const json::Value& value) {
  if (value.is_null()) return "<nil>";
  if (value.is_array()) return "[]interface {}";
  if (value.is_object()) return "map[string]interface {}";
  return GoKind(value);
}

}  // namespace skerry::kube
