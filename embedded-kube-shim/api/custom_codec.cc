#include "embedded-kube-shim/api/custom_codec.h"

#include "core/base/strings.h"
#include "core/json/parse.h"
#include "core/text/base64.h"
#include "core/text/yaml.h"
#include "embedded-kube-shim/api/custom_schema.h"
#include "embedded-kube-shim/api/status.h"

namespace skerry::kube {
namespace {

using json::Value;

std::string Summary(std::string_view body) {
  if (body.empty()) return "<empty>";
  const auto head = body.substr(0, 30);
  const std::string shown = body[0] == '{' ? std::string(head) : text::Hex(head);
  return body.size() > head.size() ? shown + " ..." : shown;
}

Error Unrecognized(std::string_view kind, std::string_view why, std::string_view body) {
  return BadRequestError(Cat("the object provided is unrecognized (must be of type ", kind, "): ", why, " (", Summary(body), ")"));
}

std::string_view JsonType(const Value& value) { return value.is_array() ? "array" : value.is_string() ? "string" : value.is_bool() ? "bool" : value.is_object() ? "object" : "number"; }

GroupVersionKind KindOf(const Value& document) {
  GroupVersionKind gvk;
  const auto api_version = document["apiVersion"].Str();
  const auto slash = api_version.find('/');
  gvk.version = slash == api_version.npos ? api_version : api_version.substr(slash + 1);
  if (slash != api_version.npos) gvk.group = api_version.substr(0, slash);
  gvk.kind = document["kind"].Str();
  return gvk;
}

// The document and how it says what it is; problems in upstream's words.
Result<Value> ParseDocument(std::string_view kind, Encoding encoding, std::string_view body, std::vector<std::string>& strict, std::size_t* yaml_duplicates) {
  Value document;
  if (encoding == Encoding::kYaml) {
    std::vector<text::YamlDuplicate> repeated;
    text::YamlOptions options;
    options.duplicates = &repeated;
    auto parsed = text::ParseYaml(body, options);
    if (!parsed && parsed.error().code() == Code::kTooLarge) return parsed;
    if (!parsed) return std::unexpected(Unrecognized(kind, parsed.error().message(), body));
    for (const auto& duplicate : repeated) strict.push_back(duplicate.Text());
    *yaml_duplicates = strict.size();
    document = std::move(*parsed);
  } else {
    std::vector<std::string> repeated;
    json::ParseOptions options;
    options.duplicates = &repeated;
    auto parsed = json::Parse(body, options);
    if (!parsed && parsed.error().code() == Code::kTooLarge) return parsed;
    if (!parsed) return std::unexpected(Unrecognized(kind, Cat("couldn't get version/kind; json parse error: ", parsed.error().message()), body));
    for (const auto& path : repeated) strict.push_back(Cat("duplicate field ", Quote(path)));
    document = std::move(*parsed);
  }
  if (!document.is_object() && !document.is_null())
    return std::unexpected(Unrecognized(kind, Cat("couldn't get version/kind; json parse error: json: cannot unmarshal ", JsonType(document),
                                                  " into Go value of type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }"), body));
  for (const std::string_view name : {"apiVersion", "kind"}) {
    const Value& text = document[name];
    if (!text.is_null() && !text.is_string())
      return std::unexpected(Unrecognized(kind, Cat("couldn't get version/kind; json parse error: json: cannot unmarshal ", JsonType(text), " into Go struct field .", name, " of type string"), body));
  }
  if (document["kind"].Str().empty()) return std::unexpected(Unrecognized(kind, Cat("Object 'Kind' is missing in '", body, "'"), body));
  return document;
}

void AddUnknown(const Coerced& coerced, std::vector<std::string>& strict) {
  constexpr std::size_t kMost = 100;
  for (const auto& path : coerced.unknown)
    if (strict.size() < kMost) strict.push_back(Cat("unknown field ", Quote(path)));
}

}  // namespace

Result<Decoded> DecodeCustomBody(const GroupVersionKind& expected, SchemaPtr schema, Encoding encoding, std::string_view body) {
  Decoded out;
  TRY(out.object, ParseDocument(expected.kind, encoding, body, out.strict_errors, &out.yaml_duplicates));
  out.gvk = KindOf(out.object);
  const bool same_version = out.gvk.group == expected.group && out.gvk.version == expected.version;
  const auto coerced = CoerceCustom(schema, same_version ? std::string_view(expected.kind) : std::string_view(), out.object);
  if (!coerced.error.empty())
    return std::unexpected(BadRequestError(Cat(out.gvk.kind, " in version ", Quote(out.gvk.version), " cannot be handled as a ", expected.kind, ": ", coerced.error)));
  AddUnknown(coerced, out.strict_errors);
  return out;
}

Result<Decoded> DecodeCustomValue(SchemaPtr schema, Value document) {
  Decoded out;
  out.gvk = KindOf(document);
  const auto coerced = CoerceCustom(schema, out.gvk.kind, document);
  if (!coerced.error.empty()) return Fail(Code::kBadRequest, coerced.error);
  AddUnknown(coerced, out.strict_errors);
  out.object = std::move(document);
  return out;
}

}  // namespace skerry::kube
