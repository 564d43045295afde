#include "embedded-kube-shim/api/openapi.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/openapi_documents.h"
#include "embedded-kube-shim/api/openapi_paths.h"
#include "embedded-kube-shim/api/openapi_schema.h"

namespace skerry::kube {

using json::Value;

namespace openapi {

namespace {

Value Strings(const std::vector<std::string>& list) {
  Value out = Value::Array();
  for (const auto& text : list) out.Append(Value(text));
  return out;
}

Value Parameter(std::string_view name, std::string_view in, Flavor flavor) {
  const ParameterInfo& info = FindParameter(name);
  Value out = Value::Object();
  out.Set("name") = Value(name);
  out.Set("in") = Value(in);
  out.Set("description") = Value(info.description);
  if (in == "path") out.Set("required") = Value(true);
  Value& type = flavor == Flavor::kV2 ? out : out.Set("schema");
  type.Set("type") = Value(info.type);
  type.Set("uniqueItems") = Value(true);
  return out;
}

std::string_view CodeText(int code) {
  switch (code) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    default: return "Unauthorized";
  }
}

Value Responses(const Operation& op, Flavor flavor) {
  Value out = Value::Object();
  for (const int code : op.codes) {
    Value& response = out.Set(Cat(code));
    response.Set("description") = Value(CodeText(code));
    const bool text = op.answer.empty();
    if (code == 401 || (text && flavor == Flavor::kV2 && op.action.empty())) continue;
    Value schema = Value::Object();
    if (text) schema.Set("type") = Value("string");
    else schema = Reference(op.answer, flavor);
    if (flavor == Flavor::kV2) {
      response.Set("schema") = std::move(schema);
      continue;
    }
    for (const auto& type : op.produces) response.Set("content").Set(type).Set("schema") = schema.Clone();
  }
  return out;
}

void SetCommon(Value& out, const Operation& op) {
  if (!op.action.empty()) out.Set("x-kubernetes-action") = Value(op.action);
  if (op.gvk.kind.empty()) return;
  Value& gvk = out.Set("x-kubernetes-group-version-kind");
  gvk.Set("group") = Value(op.gvk.group);
  gvk.Set("kind") = Value(op.gvk.kind);
  gvk.Set("version") = Value(op.gvk.version);
}

Value WriteOperation(const Operation& op, Flavor flavor) {
  Value out = Value::Object();
  if (flavor == Flavor::kV2 && !op.consumes.empty()) out.Set("consumes") = Strings(op.consumes);
  out.Set("tags").Append(Value(op.tag));
  out.Set("description") = Value(op.description);
  out.Set("operationId") = Value(op.id);
  Value parameters;
  if (flavor == Flavor::kV2 && !op.body.empty()) {
    Value body = Value::Object();
    body.Set("name") = Value("body");
    body.Set("in") = Value("body");
    if (op.method != "delete") body.Set("required") = Value(true);
    body.Set("schema") = Reference(op.body, flavor);
    parameters.Append(std::move(body));
  }
  for (const auto name : op.parameters) parameters.Append(Parameter(name, "query", flavor));
  if (!parameters.is_null()) out.Set("parameters") = std::move(parameters);
  if (flavor == Flavor::kV3 && !op.body.empty()) {
    Value& body = out.Set("requestBody");
    for (const auto& type : op.consumes) body.Set("content").Set(type).Set("schema") = Reference(op.body, flavor);
    if (op.method != "delete") body.Set("required") = Value(true);
  }
  if (flavor == Flavor::kV2) {
    out.Set("produces") = Strings(op.produces);
    out.Set("schemes").Append(Value("https"));
  }
  out.Set("responses") = Responses(op, flavor);
  SetCommon(out, op);
  return out;
}

Value WritePath(const Path& path, Flavor flavor) {
  Value out = Value::Object();
  for (const auto& op : path.operations) out.Set(op.method) = WriteOperation(op, flavor);
  for (const auto name : path.parameters) out.Set("parameters").Append(Parameter(name, "path", flavor));
  return out;
}

void AddRefs(const Path& path, std::set<std::string>& refs) {
  for (const auto& op : path.operations) {
    if (!op.answer.empty()) refs.insert(op.answer);
    if (!op.body.empty()) refs.insert(op.body);
  }
}

struct CustomType {
  ResourcePtr def;
  const Version* version;
  std::string_view suffix;
};

std::map<std::string, CustomType> CustomTypes(const Registry& registry) {
  std::map<std::string, CustomType> out;
  const auto all = registry.All();
  for (const auto& def : *all) {
    if (!def->custom) continue;
    for (const auto& version : def->versions) {
      if (!version.served) continue;
      for (const char* suffix : {"", "List"}) out[DefinitionName(*def, version, suffix)] = {def, &version, suffix};
    }
  }
  return out;
}

// Every definition that is reached from `names`, sorted.
std::map<std::string, Value> Closure(const Registry& registry, const std::set<std::string>& names, Flavor flavor) {
  const auto custom = CustomTypes(registry);
  std::map<std::string, Value> out;
  std::vector<std::string> todo(names.begin(), names.end());
  while (!todo.empty()) {
    const std::string name = std::move(todo.back());
    todo.pop_back();
    if (out.contains(name)) continue;
    std::set<std::string> refs;
    const auto found = custom.find(name);
    Value definition = found != custom.end() ? CustomDefinition(*found->second.def, *found->second.version, found->second.suffix, flavor, refs) : Definition(name, flavor, refs);
    if (definition.is_null()) {   // nothing may dangle
      definition = Value::Object();
      definition.Set("type") = Value("object");
    }
    out.emplace(name, std::move(definition));
    todo.insert(todo.end(), refs.begin(), refs.end());
  }
  return out;
}

Value Info() {
  Value out = Value::Object();
  out.Set("title") = Value("Kubernetes");
  out.Set("version") = Value("unversioned");
  return out;
}

Value BearerToken() {
  Value out = Value::Object();
  out.Set("description") = Value("Bearer token in the Authorization header");
  out.Set("type") = Value("apiKey");
  out.Set("name") = Value("authorization");
  out.Set("in") = Value("header");
  return out;
}

void AppendMember(std::string& out, std::string_view key, const Value& value) {
  if (out.back() != '{') out += ',';
  Value(key).DumpTo(out);
  out += ':';
  value.DumpTo(out);
}

}  // namespace

Value V2Head() {
  Value out = Value::Object();
  out.Set("swagger") = Value("2.0");
  out.Set("info") = Info();
  out.Set("securityDefinitions").Set("BearerToken") = BearerToken();
  Value requirement = Value::Object();
  requirement.Set("BearerToken") = Value::Array();
  out.Set("security").Append(std::move(requirement));
  return out;
}

void WriteV2(const Registry& registry, const V2Sink& sink) {
  std::set<std::string> refs;
  std::vector<std::pair<std::string, std::string>> order;   // path, document
  for (const auto& document : Documents(registry))
    for (const auto& path : PathsOf(registry, document)) order.emplace_back(path.path, document);
  std::sort(order.begin(), order.end());
  std::string current;
  std::map<std::string, Path> loaded;   // of the current document: neighbours in the order share it
  for (const auto& [name, document] : order) {
    if (document != current) {
      loaded.clear();
      for (auto& path : PathsOf(registry, document)) {
        std::string key = path.path;
        loaded.emplace(std::move(key), std::move(path));
      }
      current = document;
    }
    AddRefs(loaded[name], refs);
    sink.path(name, WritePath(loaded[name], Flavor::kV2));
  }
  for (const auto& [name, definition] : Closure(registry, refs, Flavor::kV2)) sink.definition(name, definition);
}

namespace {

using Pieces = std::map<std::string, const Value*>;

// Hands on what comes in order, and the others' pieces between it. An own piece replaces another's of the same name.
class Interleaved {
 public:
  Interleaved(Pieces others, const std::function<void(const std::string&, const Value&)>& out) : others_(std::move(others)), out_(out) {}
  void Own(const std::string& name, const Value& piece) {
    UpTo(name);
    others_.erase(name);
    out_(name, piece);
  }
  void Rest() {
    for (const auto& [name, piece] : others_) out_(name, *piece);
    others_.clear();
  }

 private:
  void UpTo(const std::string& name) {
    while (!others_.empty() && others_.begin()->first < name) {
      out_(others_.begin()->first, *others_.begin()->second);
      others_.erase(others_.begin());
    }
  }
  Pieces others_;
  const std::function<void(const std::string&, const Value&)>& out_;
};

}  // namespace

void WriteV2(const Registry& registry, const RemoteOpenApis& remote, const V2Sink& sink) {
  if (remote.empty()) return WriteV2(registry, sink);
  Pieces paths, definitions;
  for (const auto& one : remote) {
    for (const auto& [name, path] : one->paths) paths.emplace(name, &path);
    for (const auto& [name, definition] : one->definitions) definitions.emplace(name, &definition);
  }
  Interleaved all_paths(std::move(paths), sink.path), all_definitions(std::move(definitions), sink.definition);
  bool paths_done = false;
  const auto end_paths = [&] {
    if (!std::exchange(paths_done, true)) all_paths.Rest();
  };
  WriteV2(registry, {[&](const std::string& name, const Value& path) { all_paths.Own(name, path); },
                     [&](const std::string& name, const Value& definition) {
                       end_paths();
                       all_definitions.Own(name, definition);
                     }});
  end_paths();
  all_definitions.Rest();
}

namespace {

// The definition that a schema stands for; empty when it stands for itself.
std::string_view ReferredName(const Value& schema) {
  constexpr std::string_view kPrefix = "#/components/schemas/";
  const Value& all = schema["allOf"];
  const std::string_view ref = all.size() == 1 ? all.Items()[0]["$ref"].Str() : schema["$ref"].Str();
  return ref.starts_with(kPrefix) ? ref.substr(kPrefix.size()) : std::string_view();
}

void ResolveIn(Value& schema, std::set<std::string>& around) {
  std::string name(ReferredName(schema));
  if (!name.empty()) {
    std::set<std::string> refs;
    schema = around.contains(name) ? Value() : Definition(name, Flavor::kV3, refs);
    if (schema.is_null()) {
      schema.Set("type") = "object";
      return;
    }
    around.insert(name);
  }
  for (const std::string_view below : {"items", "additionalProperties"})
    if (Value* found = schema.Find(below); found != nullptr && found->is_object()) ResolveIn(*found, around);
  if (Value* properties = schema.Find("properties"); properties != nullptr && properties->is_object())
    for (auto& member : properties->MutableMembers()) ResolveIn(member.value, around);
  if (!name.empty()) around.erase(name);
}

}  // namespace

}  // namespace openapi

Value ResolvedSchema(const ResourceDef& def, const Version& version) {
  std::set<std::string> refs, around;
  const auto name = openapi::DefinitionName(def, version, "");
  Value out = def.custom ? openapi::CustomDefinition(def, version, "", openapi::Flavor::kV3, refs) : openapi::Definition(name, openapi::Flavor::kV3, refs);
  if (!out.is_null()) openapi::ResolveIn(out, around);
  return out;
}

std::vector<std::string> OpenApiV3Paths(const Registry& registry) { return openapi::Documents(registry); }

std::string OpenApiV3Json(const Registry& registry, std::string_view document) {
  const auto paths = openapi::PathsOf(registry, document);
  if (paths.empty()) return {};
  std::set<std::string> refs;
  std::string out = "{";
  openapi::AppendMember(out, "openapi", Value("3.0.0"));
  openapi::AppendMember(out, "info", openapi::Info());
  out += ",\"paths\":{";
  for (const auto& path : paths) {
    openapi::AddRefs(path, refs);
    openapi::AppendMember(out, path.path, openapi::WritePath(path, openapi::Flavor::kV3));
  }
  out += "},\"components\":{\"schemas\":{";
  for (const auto& [name, definition] : openapi::Closure(registry, refs, openapi::Flavor::kV3)) openapi::AppendMember(out, name, definition);
  out += "},\"securitySchemes\":{";
  openapi::AppendMember(out, "BearerToken", openapi::BearerToken());
  out += "}}}";
  return out;
}

std::string OpenApiV2Json(const Registry& registry, const RemoteOpenApis& remote) {
  std::string out = "{";
  const Value head = openapi::V2Head();
  openapi::AppendMember(out, "swagger", head["swagger"]);
  openapi::AppendMember(out, "info", head["info"]);
  std::string definitions = "{";
  out += ",\"paths\":{";
  openapi::WriteV2(registry, remote, {[&](const std::string& path, const Value& item) { openapi::AppendMember(out, path, item); },
                              [&](const std::string& name, const Value& schema) { openapi::AppendMember(definitions, name, schema); }});
  out += "},\"definitions\":" + definitions + "}";
  openapi::AppendMember(out, "securityDefinitions", head["securityDefinitions"]);
  openapi::AppendMember(out, "security", head["security"]);
  return out + "}";
}

}  // namespace skerry::kube
