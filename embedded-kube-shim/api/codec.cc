#include "embedded-kube-shim/api/codec.h"

#include "core/json/parse.h"
#include <iterator>

#include "core/base/strings.h"
#include "core/json/parse.h"
#include "core/text/base64.h"
#include "core/text/yaml.h"
#include "embedded-kube-shim/api/custom_codec.h"
#include "embedded-kube-shim/api/decode_value.h"
#include "embedded-kube-shim/api/protobuf_wire.h"
#include "embedded-kube-shim/api/raw_json.h"
#include "embedded-kube-shim/api/status.h"

namespace skerry::kube {
namespace {

using json::Value;

GroupVersionKind ParseGvk(std::string_view api_version, std::string_view kind) {
  GroupVersionKind gvk;
  const auto slash = api_version.find('/');
  if (slash == api_version.npos) {
    gvk.version = api_version;
  } else {
    gvk.group = api_version.substr(0, slash);
    gvk.version = api_version.substr(slash + 1);
  }
  gvk.kind = kind;
  return gvk;
}

// The start of a body as error messages show it.
std::string Summary(std::string_view body) {
  if (body.empty()) return "<empty>";
  const std::string_view head = body.substr(0, 30);
  const std::string shown = body[0] == '{' ? std::string(head) : text::Hex(head);
  return body.size() > head.size() ? shown + " ..." : shown;
}

Error Unrecognized(std::string_view kind, std::string_view why, std::string_view body) {
  return BadRequestError(Cat("the object provided is unrecognized (must be of type ", kind, "): ", why, " (", Summary(body), ")"));
}

Result<Value> RequireObject(std::string_view kind, Value document, std::string_view body) {
  if (document.is_null()) return Value::Object();
  if (document.is_object()) return document;
  return std::unexpected(Unrecognized(kind, Cat("couldn't get version/kind; json parse error: json: cannot unmarshal ",
                                                document.is_array() ? "array" : document.is_string() ? "string" : document.is_bool() ? "bool" : "number",
                                                " into Go value of type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }"),
                                      body));
}

Result<Value> ParseJson(std::string_view kind, SchemaPtr schema, std::string_view body) {
  json::ParseOptions options;
  options.keep_duplicates = true;
  auto document = HoldsRawJson(schema) ? json::ParseBodyAsWritten(body) : json::Parse(body, options);
  if (!document && document.error().code() == Code::kTooLarge) return document;
  if (!document) return std::unexpected(Unrecognized(kind, Cat("couldn't get version/kind; json parse error: ", document.error().message()), body));
  for (const std::string_view member : {"apiVersion", "kind"})
    if (const Value* value = document->is_object() ? document->Find(member) : nullptr; value && !value->is_string() && !value->is_null())
      return std::unexpected(Unrecognized(kind, Cat("couldn't get version/kind; json parse error: json: cannot unmarshal ",
                                                    value->is_array() ? "array" : value->is_object() ? "object" : value->is_bool() ? "bool" : "number", " into Go struct field .", member, " of type string"),
                                          body));
  return RequireObject(kind, *std::move(document), body);
}

Result<Value> ParseYaml(std::string_view kind, std::string_view body, std::vector<std::string>& duplicates) {
  std::vector<text::YamlDuplicate> repeated;
  text::YamlOptions options;
  options.duplicates = &repeated;
  auto document = text::ParseYaml(body, options);
  if (!document && document.error().code() == Code::kTooLarge) return document;
  if (!document) return std::unexpected(Unrecognized(kind, document.error().message(), body));
  for (const text::YamlDuplicate& duplicate : repeated) duplicates.push_back(duplicate.Text());
  return RequireObject(kind, *std::move(document), body);
}

// What the body says it is, with what it leaves out filled in from the request.
GroupVersionKind KindOf(const Value& document, const GroupVersionKind& expected) {
  GroupVersionKind gvk = ParseGvk(document["apiVersion"].Str(), document["kind"].Str());
  if (gvk.kind.empty()) gvk.kind = expected.kind;
  if (gvk.version.empty() && gvk.group.empty()) gvk.group = expected.group, gvk.version = expected.version;
  return gvk;
}

std::string_view SchemeName(std::string_view group) {
  if (group == "apiextensions.k8s.io") return "pkg/apiserver/apiserver.go:55";
  if (group == "apiregistration.k8s.io") return "pkg/apiserver/scheme/scheme.go:28";
  return "pkg/api/legacyscheme/scheme.go:30";
}

Error CannotHandle(const GroupVersionKind& shown, const GroupVersionKind& expected, std::string_view why) {
  return BadRequestError(Cat(shown.kind, " in version ", Quote(shown.version), " cannot be handled as a ", expected.kind, ": ", why));
}

Error NotRegistered(const GroupVersionKind& gvk, const GroupVersionKind& expected) {
  // Known there, though no longer served.
  if (gvk.kind == "CustomResourceDefinition" && gvk.kind == expected.kind && gvk.api_version() == "apiextensions.k8s.io/v1beta1")
    return BadRequestError(Cat("the API version in the data (", gvk.api_version(), ") does not match the expected API version (", expected.api_version(), ")"));
  return CannotHandle(gvk, expected, Cat("no kind ", Quote(gvk.kind), " is registered for version ", Quote(gvk.api_version()), " in scheme ", Quote(SchemeName(expected.group))));
}

Result<Decoded> Typed(SchemaPtr schema, const GroupVersionKind& shown, const GroupVersionKind& expected, Value document) {
  Decoded out;
  out.gvk = ParseGvk(document["apiVersion"].Str(), document["kind"].Str());
  TypeCheck check = CheckTypes(schema, document);
  if (!check.error.empty()) return std::unexpected(CannotHandle(shown, expected, check.error));
  out.strict_errors = std::move(check.strict);
  Canonicalize(schema, document, Empties::kKeep);
  ForgetLayout(schema, document, Layout::kKeepRaw);
  out.object = std::move(document);
  return out;
}

}  // namespace

namespace {

Result<Decoded> DecodeProtobufBody(const GroupVersionKind& expected, SchemaPtr schema, std::string_view body) {
  auto envelope = ParseProtobufEnvelope(body);
  if (!envelope) return std::unexpected(Unrecognized(expected.kind, envelope.error().message(), body));
  GroupVersionKind gvk = ParseGvk(envelope->api_version, envelope->kind);
  if (gvk.kind.empty()) gvk.kind = expected.kind;
  if (gvk.version.empty()) gvk.group = expected.group, gvk.version = expected.version;
  SchemaPtr typed = gvk == expected ? schema : FindBuiltinSchema(gvk);
  if (!typed || typed->openapi) return std::unexpected(NotRegistered(gvk, expected));
  Decoded out;
  if (!wire::DecodeMessage(typed, envelope->message, out.object, 0)) return std::unexpected(Unrecognized(expected.kind, "unexpected EOF", body));
  out.gvk = ParseGvk(envelope->api_version, envelope->kind);
  out.object.Set("kind") = Value(gvk.kind);
  out.object.Set("apiVersion") = Value(gvk.api_version());
  // Messages carry text for quantities and the like; the typing pass makes it canonical and catches what is none.
  TypeCheck check = CheckTypes(typed, out.object);
  if (!check.error.empty()) return std::unexpected(Unrecognized(expected.kind, check.error, body));
  Canonicalize(typed, out.object);
  return out;
}

}  // namespace

Result<Decoded> DecodeBody(const GroupVersionKind& expected, SchemaPtr schema, Encoding encoding, std::string_view body) {
  if (encoding == Encoding::kProtobuf) return DecodeProtobufBody(expected, schema, body);
  if (schema && schema->custom) return DecodeCustomBody(expected, schema, encoding, body);
  std::vector<std::string> duplicates;
  TRY(Value document, encoding == Encoding::kYaml ? ParseYaml(expected.kind, body, duplicates) : ParseJson(expected.kind, schema, body));
  const GroupVersionKind gvk = KindOf(document, expected);
  if (gvk != expected && gvk.group.empty() && gvk.version == "v1" && gvk.kind == "List")
    return std::unexpected(CannotHandle(gvk, expected, Cat("converting (v1.List) to (", expected.group.empty() ? std::string("core") : expected.group.substr(0, expected.group.find('.')), ".", expected.kind, "): unknown conversion")));
  if (gvk != expected && !FindBuiltinSchema(gvk)) return std::unexpected(NotRegistered(gvk, expected));
  SchemaPtr typed = gvk == expected ? schema : FindBuiltinSchema(gvk);
  TRY(Decoded out, Typed(typed, gvk, expected, std::move(document)));
  out.yaml_duplicates = duplicates.size();
  out.strict_errors.insert(out.strict_errors.begin(), std::make_move_iterator(duplicates.begin()), std::make_move_iterator(duplicates.end()));
  return out;
}

Error StrictDecodingError(const GroupVersionKind& expected, const Decoded& decoded) {
  GroupVersionKind shown = decoded.gvk;
  if (shown.kind.empty()) shown.kind = expected.kind;
  if (shown.version.empty()) shown.version = expected.version;
  std::string yaml;
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < decoded.strict_errors.size(); ++i) {
    if (i < decoded.yaml_duplicates) yaml += Cat("\n  ", decoded.strict_errors[i]);
    else texts.push_back(decoded.strict_errors[i]);
  }
  if (!yaml.empty()) texts.insert(texts.begin(), "yaml: unmarshal errors:" + yaml);
  return CannotHandle(shown, expected, Cat("strict decoding error: ", Join(texts, ", ")));
}

Result<Decoded> Decode(SchemaPtr schema, Encoding encoding, std::string_view body) {
  GroupVersionKind expected;
  if (!schema->gvks.empty()) {
    const auto parts = Split(schema->gvks.front(), '/');
    expected = {std::string(parts[0]), std::string(parts[1]), std::string(parts[2])};
  }
  return DecodeBody(expected, schema, encoding, body);
}

Result<Decoded> DecodeValue(SchemaPtr schema, json::Value document) {
  if (schema->custom) return DecodeCustomValue(schema, std::move(document));
  Decoded out;
  out.gvk = ParseGvk(document["apiVersion"].Str(), document["kind"].Str());
  TypeCheck check = CheckTypes(schema, document);
  if (!check.error.empty()) return Fail(Code::kBadRequest, std::move(check.error));
  out.strict_errors = std::move(check.strict);
  Canonicalize(schema, document, Empties::kKeep);
  out.object = std::move(document);
  return out;
}

}  // namespace skerry::kube
