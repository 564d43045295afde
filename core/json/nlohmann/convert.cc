#include "core/json/nlohmann/convert.h"

namespace skerry::json {

nlohmann::json ToNlohmann(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::kNull: return nullptr;
    case Value::Kind::kBool: return value.Bool();
    case Value::Kind::kInt: return value.Int();
    case Value::Kind::kDouble:
      if (value.is_uint()) return value.Uint();
      return value.Double();
    case Value::Kind::kString: return std::string(value.Str());
    case Value::Kind::kArray: {
      nlohmann::json out = nlohmann::json::array();
      for (const Value& item : value.Items()) out.push_back(ToNlohmann(item));
      return out;
    }
    case Value::Kind::kObject: break;
  }
  nlohmann::json out = nlohmann::json::object();
  for (const Member& m : value.Members()) out[m.key] = ToNlohmann(m.value);
  return out;
}

Value FromNlohmann(const nlohmann::json& value) {
  switch (value.type()) {
    case nlohmann::json::value_t::boolean: return value.get<bool>();
    case nlohmann::json::value_t::number_integer: return value.get<std::int64_t>();
    case nlohmann::json::value_t::number_unsigned: return value.get<std::uint64_t>();
    case nlohmann::json::value_t::number_float: return value.get<double>();
    case nlohmann::json::value_t::string: return value.get_ref<const std::string&>();
    case nlohmann::json::value_t::array: {
      Value out = Value::Array();
      for (const auto& item : value) out.Append(FromNlohmann(item));
      return out;
    }
    case nlohmann::json::value_t::object: {
      Value out = Value::Object();
      for (const auto& [key, item] : value.items()) out.MutableMembers().push_back({key, FromNlohmann(item)});
      return out;
    }
    default: return {};
  }
}

}  // namespace skerry::json
