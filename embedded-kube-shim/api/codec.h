#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "core/json/value.h"
#include "embedded-kube-shim/api/field_error.h"
#include "embedded-kube-shim/api/resource_def.h"

// Bytes <-> objects, typed by a schema.
namespace skerry::kube {

enum class Encoding : std::uint8_t { kJson, kYaml, kProtobuf };

struct Decoded {
  json::Value object;                       // canonical: typed, pruned of unknown fields, in upstream's field order, empty fields dropped but for lists and maps that the body spells out
  GroupVersionKind gvk;                     // as written in the body; empty parts when absent
  std::vector<std::string> strict_errors;   // `unknown field "spec.foo"`, `duplicate field "spec.bar"`, in upstream's order
  std::size_t yaml_duplicates = 0;          // so many of the first ones are YAML's own (`line 6: key "data" already set in map`)
};

// Decodes the body of a write to a resource of kind `expected` into the canonical form of `schema`. Errors: kBadRequest with upstream's
// whole message ("<Kind> in version … cannot be handled as a <Kind>: …", "the object provided is unrecognized …"). A body of another
// registered kind decodes as what it is: compare Decoded::gvk. With field validation Strict the caller fails on strict_errors with
// StrictDecodingError(), with Warn it sends them as warnings.
Result<Decoded> DecodeBody(const GroupVersionKind& expected, SchemaPtr schema, Encoding encoding, std::string_view body);
Error StrictDecodingError(const GroupVersionKind& expected, const Decoded& decoded);
// The same for a schema with a GVK of its own (options, reviews).
Result<Decoded> Decode(SchemaPtr schema, Encoding encoding, std::string_view body);
// The same for a document that is parsed already (a patch result).
Result<Decoded> DecodeValue(SchemaPtr schema, json::Value document);
// Typed canonical form in place: quantities, times, null vs empty, always-emitted structs, field order. Idempotent.
// What was decoded and defaulted keeps empty lists where Go tells them from null (ownership and messages do, too); what is stored has null.
enum class Empties : std::uint8_t { kNull, kKeep };
void Canonicalize(SchemaPtr schema, json::Value& object, Empties empties = Empties::kNull);
// Fills defaults: the schema's and those of the kind (apis/defaults_*.cc for built-ins). Idempotent. `object` is canonical before and after.
void ApplyDefaults(const ResourceDef& def, const Version& version, json::Value& object);
// Everything upstream validates for this kind by rule (metadata included): constraint table and generic metadata checks.
// `old` is null on create. Order of errors is upstream's.
void Validate(const ResourceDef& def, const Version& version, std::string_view subresource, const json::Value& object, const json::Value* old, FieldErrors& errors);

// The refusal of an object: upstream names some kinds by another group, and reviews by none.
Error InvalidObjectError(const ResourceDef& def, std::string_view name, const FieldErrors& errors);

// Protobuf (application/vnd.kubernetes.protobuf): the message alone, and the "k8s\0" envelope around runtime.Unknown.
Result<std::string> EncodeProtobuf(SchemaPtr schema, const json::Value& object);
// The same from the text of a canonical object as it is stored, appended to `out`, without building the object. False when the text holds
// anything unexpected: nothing is appended then, and EncodeProtobuf has to do it.
bool TranscodeProtobuf(SchemaPtr schema, std::string_view json, std::string& out);
std::string ProtobufEnvelope(std::string_view api_version, std::string_view kind, std::string_view message);
struct ProtobufBody { std::string api_version, kind; std::string_view message; std::string content_type; };
Result<ProtobufBody> ParseProtobufEnvelope(std::string_view body);

// Looks up the built-in definition "io.k8s.api.core.v1.Pod" (also meta types: DeleteOptions, Status, Table, WatchEvent). Null when unknown.
SchemaPtr FindBuiltinSchema(std::string_view definition);
SchemaPtr FindBuiltinSchema(const GroupVersionKind& gvk);
// Every definition, sorted by name (for OpenAPI).
std::vector<SchemaPtr> AllBuiltinSchemas();
// Registers every built-in resource of the default-on list, with its strategies. Defined in embedded-kube-shim/apis (link kube_apis).
void RegisterBuiltins(Registry& registry);

}  // namespace skerry::kube
