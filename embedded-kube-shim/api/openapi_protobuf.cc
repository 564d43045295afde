#include <bit>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/openapi.h"
#include "embedded-kube-shim/api/openapi_documents.h"

// JSON of OpenAPI v2 -> the messages of gnostic's OpenAPIv2.proto, which is what old clients download. One function a message.
namespace skerry::kube {

namespace {

using json::Value;

class Message {
 public:
  void Text(int number, std::string_view text) {
    Tag(number, 2);
    Varint(text.size());
    bytes_ += text;
  }
  void NonEmpty(int number, const Value& text) {
    if (!text.Str().empty()) Text(number, text.Str());
  }
  void Bool(int number, const Value& value) {
    if (!value.Bool()) return;
    Tag(number, 0);
    Varint(1);
  }
  void Int(int number, const Value& value) {
    if (value.Int() == 0) return;
    Tag(number, 0);
    Varint(static_cast<std::uint64_t>(value.Int()));
  }
  void Double(int number, const Value& value) {
    if (!value.is_number() || value.Double() == 0) return;
    Tag(number, 1);
    auto bits = std::bit_cast<std::uint64_t>(value.Double());
    for (int i = 0; i < 8; ++i, bits >>= 8) bytes_ += static_cast<char>(bits & 0xff);
  }
  void Texts(int number, const Value& list) {
    for (const auto& item : list.Items()) Text(number, item.Str());
  }
  void Sub(int number, const Message& message) { Text(number, message.bytes_); }
  const std::string& bytes() const { return bytes_; }
  std::string Take() { return std::move(bytes_); }

 private:
  void Tag(int number, int type) { Varint(static_cast<std::uint64_t>(number) << 3 | static_cast<std::uint64_t>(type)); }
  void Varint(std::uint64_t value) {
    for (; value > 127; value >>= 7) bytes_ += static_cast<char>((value & 127) | 128);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

// Values of any kind travel as YAML text, of which JSON is a part.
Message Any(const Value& value) {
  Message out;
  out.Text(2, value.Dump() + "\n");
  return out;
}

Message Named(std::string_view name, const Message& value) {
  Message out;
  out.Text(1, name);
  out.Sub(2, value);
  return out;
}

void Extensions(Message& out, int number, const Value& object) {
  for (const auto& member : object.Members())
    if (member.key.starts_with("x-")) out.Sub(number, Named(member.key, Any(member.value)));
}

Message SchemaMessage(const Value& v) {
  Message out;
  out.NonEmpty(1, v["$ref"]);
  out.NonEmpty(2, v["format"]);
  out.NonEmpty(3, v["title"]);
  out.NonEmpty(4, v["description"]);
  if (!v["default"].is_null()) out.Sub(5, Any(v["default"]));
  out.Double(6, v["multipleOf"]);
  out.Double(7, v["maximum"]);
  out.Bool(8, v["exclusiveMaximum"]);
  out.Double(9, v["minimum"]);
  out.Bool(10, v["exclusiveMinimum"]);
  out.Int(11, v["maxLength"]);
  out.Int(12, v["minLength"]);
  out.NonEmpty(13, v["pattern"]);
  out.Int(14, v["maxItems"]);
  out.Int(15, v["minItems"]);
  out.Bool(16, v["uniqueItems"]);
  out.Int(17, v["maxProperties"]);
  out.Int(18, v["minProperties"]);
  out.Texts(19, v["required"]);
  for (const auto& item : v["enum"].Items()) out.Sub(20, Any(item));
  if (const Value& additional = v["additionalProperties"]; !additional.is_null()) {
    Message either;
    if (additional.is_object()) either.Sub(1, SchemaMessage(additional));
    else either.Bool(2, additional);
    out.Sub(21, either);
  }
  if (!v["type"].Str().empty()) {
    Message type;
    type.Text(1, v["type"].Str());
    out.Sub(22, type);
  }
  if (!v["items"].is_null()) {
    Message items;
    items.Sub(1, SchemaMessage(v["items"]));
    out.Sub(23, items);
  }
  for (const auto& item : v["allOf"].Items()) out.Sub(24, SchemaMessage(item));
  if (v["properties"].size() > 0) {
    Message properties;
    for (const auto& member : v["properties"].Members()) properties.Sub(1, Named(member.key, SchemaMessage(member.value)));
    out.Sub(25, properties);
  }
  Extensions(out, 31, v);
  return out;
}

// One entry of "parameters": a body, or one in the query or path.
Message ParametersItemMessage(const Value& v) {
  const std::string_view in = v["in"].Str();
  Message parameter;
  if (in == "body") {
    Message body;
    body.NonEmpty(1, v["description"]);
    body.NonEmpty(2, v["name"]);
    body.NonEmpty(3, v["in"]);
    body.Bool(4, v["required"]);
    body.Sub(5, SchemaMessage(v["schema"]));
    parameter.Sub(1, body);
  } else {
    const bool path = in == "path";
    Message sub;
    sub.Bool(1, v["required"]);
    sub.NonEmpty(2, v["in"]);
    sub.NonEmpty(3, v["description"]);
    sub.NonEmpty(4, v["name"]);
    sub.NonEmpty(path ? 5 : 6, v["type"]);
    sub.NonEmpty(path ? 6 : 7, v["format"]);
    sub.Bool(path ? 19 : 20, v["uniqueItems"]);
    Message other;
    other.Sub(path ? 4 : 3, sub);
    parameter.Sub(2, other);
  }
  Message out;
  out.Sub(1, parameter);
  return out;
}

Message ResponsesMessage(const Value& v) {
  Message out;
  for (const auto& member : v.Members()) {
    Message response;
    response.NonEmpty(1, member.value["description"]);
    if (!member.value["schema"].is_null()) {
      Message item;
      item.Sub(1, SchemaMessage(member.value["schema"]));
      response.Sub(2, item);
    }
    Message value;
    value.Sub(1, response);
    out.Sub(1, Named(member.key, value));
  }
  return out;
}

Message OperationMessage(const Value& v) {
  Message out;
  out.Texts(1, v["tags"]);
  out.NonEmpty(3, v["description"]);
  out.NonEmpty(5, v["operationId"]);
  out.Texts(6, v["produces"]);
  out.Texts(7, v["consumes"]);
  for (const auto& parameter : v["parameters"].Items()) out.Sub(8, ParametersItemMessage(parameter));
  out.Sub(9, ResponsesMessage(v["responses"]));
  out.Texts(10, v["schemes"]);
  Extensions(out, 13, v);
  return out;
}

Message PathItemMessage(const Value& v) {
  static constexpr std::pair<std::string_view, int> kMethods[] = {{"get", 2}, {"put", 3}, {"post", 4}, {"delete", 5}, {"options", 6}, {"head", 7}, {"patch", 8}};
  Message out;
  for (const auto& [method, number] : kMethods)
    if (const Value* operation = v.Find(method)) out.Sub(number, OperationMessage(*operation));
  for (const auto& parameter : v["parameters"].Items()) out.Sub(9, ParametersItemMessage(parameter));
  return out;
}

Message SecurityDefinitionsMessage(const Value& v) {
  Message out;
  for (const auto& member : v.Members()) {
    Message key;
    key.NonEmpty(1, member.value["type"]);
    key.NonEmpty(2, member.value["name"]);
    key.NonEmpty(3, member.value["in"]);
    key.NonEmpty(4, member.value["description"]);
    Message item;
    item.Sub(2, key);
    out.Sub(1, Named(member.key, item));
  }
  return out;
}

}  // namespace

std::string OpenApiV2Protobuf(const Registry& registry, const RemoteOpenApis& remote) {
  const Value head = openapi::V2Head();
  Message info;
  info.NonEmpty(1, head.At({"info", "title"}));
  info.NonEmpty(2, head.At({"info", "version"}));
  Message paths, definitions;
  openapi::WriteV2(registry, remote, {[&](const std::string& path, const Value& item) { paths.Sub(2, Named(path, PathItemMessage(item))); },
                              [&](const std::string& name, const Value& schema) { definitions.Sub(1, Named(name, SchemaMessage(schema))); }});
  Message out;
  out.NonEmpty(1, head["swagger"]);
  out.Sub(2, info);
  out.Sub(8, paths);
  out.Sub(9, definitions);
  for (const auto& requirement : head["security"].Items()) {
    Message entry;
    for (const auto& member : requirement.Members()) {
      Message scopes;
      scopes.Texts(1, member.value);
      entry.Sub(1, Named(member.key, scopes));
    }
    out.Sub(12, entry);
  }
  out.Sub(13, SecurityDefinitionsMessage(head["securityDefinitions"]));
  return out.Take();
}

}  // namespace skerry::kube
