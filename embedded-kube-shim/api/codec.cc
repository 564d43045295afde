#include "embedded-kube-shim/api/codec.h"

#include "core/json/parse.h"
#include "core/base/strings.h"
#include "core/text/base64.h"
#include "embedded-kube-shim/api/decode_value.h"
#include "embedded-kube-shim/api/protobuf_wire.h"
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

Result<Value> ParseJson(std::string_view kind, std::string_view body) {
  auto parsed = json::Parse(body, {.keep_duplicates = true});   // DecodeValue reports them
  if (!parsed) return std::unexpected(Unrecognized(kind, Cat("couldn't get version/kind; json parse error: ", parsed.error().message()), body));
  Value document = *std::move(parsed);
  if (document.is_null()) document = Value::Object();
  if (!document.is_object())
    return std::unexpected(Unrecognized(kind, Cat("couldn't get version/kind; json parse error: json: cannot unmarshal ",
                                                  document.is_array() ? "array" : document.is_string() ? "string" : document.is_bool() ? "bool" : "number",
                                                  " into Go value of type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }"),
                                        body));
  return document;
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
  if (group == "apiregistration.k8s.io") return "pkg/apiserver/scheme/scheme.go:34";
  return "pkg/api/legacyscheme/scheme.go:30";
}

Error CannotHandle(const GroupVersionKind& shown, const GroupVersionKind& expected, std::string_view why) {
  return BadRequestError(Cat(shown.kind, " in version ", Quote(shown.version), " cannot be handled as a ", expected.kind, ": ", why));
}

Error NotRegistered(const GroupVersionKind& gvk, const GroupVersionKind& expected) {
  return CannotHandle(gvk, expected, Cat("no kind ", Quote(gvk.kind), " is registered for version ", Quote(gvk.api_version()), " in scheme ", Quote(SchemeName(expected.group))));
}

Result<Decoded> Typed(SchemaPtr schema, const GroupVersionKind& shown, const GroupVersionKind& expected, Value document) {
  Decoded out;
  out.gvk = ParseGvk(document["apiVersion"].Str(), document["kind"].Str());
  TypeCheck check = CheckTypes(schema, document);
  if (!check.error.empty()) return std::unexpected(CannotHandle(shown, expected, check.error));
  out.strict_errors = std::move(check.strict);
  Canonicalize(schema, document);
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
  if (encoding == Encoding::kYaml) return Fail(Code::kUnsupported, "YAML is not supported yet");
  TRY(Value document, ParseJson(expected.kind, body));
  const GroupVersionKind gvk = KindOf(document, expected);
  if (gvk != expected && !FindBuiltinSchema(gvk)) return std::unexpected(NotRegistered(gvk, expected));
  SchemaPtr typed = gvk == expected ? schema : FindBuiltinSchema(gvk);
  return Typed(typed, gvk, expected, std::move(document));
}

Error StrictDecodingError(const GroupVersionKind& expected, const Decoded& decoded) {
  GroupVersionKind shown = decoded.gvk;
  if (shown.kind.empty()) shown.kind = expected.kind;
  if (shown.version.empty()) shown.version = expected.version;
  return CannotHandle(shown, expected, Cat("strict decoding error: ", Join(decoded.strict_errors, ", ")));
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
  Decoded out;
  out.gvk = ParseGvk(document["apiVersion"].Str(), document["kind"].Str());
  TypeCheck check = CheckTypes(schema, document);
  if (!check.error.empty()) return Fail(Code::kBadRequest, std::move(check.error));
  out.strict_errors = std::move(check.strict);
  Canonicalize(schema, document);
  out.object = std::move(document);
  return out;
}

}  // namespace skerry::kube
