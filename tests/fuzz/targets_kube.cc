#include "core/base/strings.h"
#include "core/json/parse.h"
#include "core/text/yaml.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/patch.h"
#include "embedded-kube-shim/cel/program.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/targets_kube.h"
#include "tests/support/offline_write.h"

namespace skerry::fuzz {
namespace {

std::string_view View(const std::uint8_t* data, std::size_t size) { return {reinterpret_cast<const char*>(data), size}; }

// What was decoded and made canonical is read back from JSON and protobuf as it is, and nothing in it is unknown.
void RequireStable(const json::Value& object, std::string_view api_version, std::string_view kind) {
  const auto slash = api_version.find('/');
  const kube::GroupVersionKind gvk = {std::string(slash == std::string_view::npos ? "" : api_version.substr(0, slash)),
                                      std::string(slash == std::string_view::npos ? api_version : api_version.substr(slash + 1)), std::string(kind)};
  const kube::SchemaPtr schema = kube::FindBuiltinSchema(gvk);
  Require(schema != nullptr, "an object of a kind that is not there");
  const std::string text = object.Dump();
  auto again = kube::DecodeBody(gvk, schema, kube::Encoding::kJson, text);
  Require(again.has_value(), "cannot be read again");
  Require(again->strict_errors.empty(), "has unknown fields");
  kube::Canonicalize(schema, again->object);
  Require(again->object.Dump() == text, "is another one when read again");
  const auto message = kube::EncodeProtobuf(schema, object);
  Require(message.has_value(), "has no protobuf form");
  std::string direct;
  Require(kube::TranscodeProtobuf(schema, text, direct) && direct == *message, "has another protobuf form when it is made from its text");
  auto decoded = kube::DecodeBody(gvk, schema, kube::Encoding::kProtobuf, kube::ProtobufEnvelope(api_version, kind, *message));
  Require(decoded.has_value(), "its protobuf form cannot be read");
  kube::Canonicalize(schema, decoded->object);
  const auto second = kube::EncodeProtobuf(schema, decoded->object);
  Require(second && *second == *message, "its protobuf form is another one after a round trip");
}

// The input is a path and, from the second line on, a manifest in JSON or YAML, which goes through everything a create does without a server.
int FuzzManifest(const std::uint8_t* data, std::size_t size) {
  static const testing::OfflineWriter writer;
  const std::string_view input = View(data, size);
  const auto end = input.find('\n');
  if (end == std::string_view::npos || !input.starts_with("/api")) return 0;
  const std::string_view body = input.substr(end + 1);
  json::Value step = json::Value::Object();
  step.Set("method") = "POST";
  step.Set("path") = input.substr(0, end);
  step.Set("raw") = body;
  if (!body.starts_with('{')) step.Set("headers").Set("Content-Type") = "application/yaml";
  const auto made = writer.Create("fuzz", step);
  if (!made) return 0;
  const auto kind = (*made)["kind"].Str();
  Require(!kind.empty(), "an answer without a kind");
  if (kind == "Status") return 0;
  RequireStable(*made, (*made)["apiVersion"].Str(), kind);
  return 1;
}

int FuzzProtobuf(const std::uint8_t* data, std::size_t size) {
  const auto envelope = kube::ParseProtobufEnvelope(View(data, size));
  if (!envelope) return 0;
  const auto slash = envelope->api_version.find('/');
  const kube::GroupVersionKind gvk = {slash == std::string::npos ? "" : envelope->api_version.substr(0, slash),
                                      slash == std::string::npos ? envelope->api_version : envelope->api_version.substr(slash + 1), envelope->kind};
  const kube::SchemaPtr schema = kube::FindBuiltinSchema(gvk);
  if (!schema) return 0;
  auto decoded = kube::DecodeBody(gvk, schema, kube::Encoding::kProtobuf, View(data, size));
  if (!decoded) return 0;
  kube::Canonicalize(schema, decoded->object);
  const std::string text = decoded->object.Dump();
  kube::Canonicalize(schema, decoded->object);
  Require(decoded->object.Dump() == text, "the canonical form has another one");
  const auto message = kube::EncodeProtobuf(schema, decoded->object);
  Require(message.has_value(), "cannot be encoded again");
  std::string direct;
  const auto stored = json::Parse(text);   // bytes that are no UTF-8 do not get into a text
  if (stored && kube::TranscodeProtobuf(schema, text, direct)) {
    const auto by_document = kube::EncodeProtobuf(schema, *stored);
    Require(by_document && direct == *by_document, "has another protobuf form when it is made from its text");
  }
  auto again = kube::DecodeBody(gvk, schema, kube::Encoding::kProtobuf, kube::ProtobufEnvelope(envelope->api_version, envelope->kind, *message));
  Require(again.has_value(), "its own encoding cannot be read");
  const auto second = kube::EncodeProtobuf(schema, again->object);
  Require(second && *second == *message, "is encoded in another way after a round trip");
  return 1;
}

const kube::Registry& Kinds() {
  static const std::unique_ptr<kube::Registry> registry = [] {
    auto made = kube::NewRegistry();
    kube::RegisterBuiltins(*made);
    return made;
  }();
  return *registry;
}

// A deployment that somebody applied and somebody else changed.
const json::Value& LiveDeployment() {
  static const json::Value live = json::Parse(R"({"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"web","namespace":"default","uid":"11111111-2222-3333-4444-555555555555",
    "labels":{"app":"web"},"finalizers":["a/b"],"managedFields":[{"manager":"alice","operation":"Apply","apiVersion":"apps/v1","time":"2024-01-01T00:00:00Z","fieldsType":"FieldsV1",
    "fieldsV1":{"f:spec":{"f:replicas":{},"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"web\"}":{".":{},"f:name":{},"f:image":{},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":
    {".":{},"f:containerPort":{},"f:protocol":{}}}}}}}}}}]},"spec":{"replicas":2,"selector":{"matchLabels":{"app":"web"}},"strategy":{},"template":{"metadata":{"labels":{"app":"web"}},
    "spec":{"containers":[{"name":"web","image":"web:1","ports":[{"containerPort":80,"protocol":"TCP"}],"env":[{"name":"A","value":"1"}],"resources":{}},{"name":"side","image":"side:1","resources":{}}],
    "volumes":[{"name":"v","emptyDir":{}}],"tolerations":[{"key":"k","operator":"Exists"}]}}},"status":{}})").value();
  return live;
}

// A strategic merge patch of a deployment: refused with a word, or the result is an object that is stable.
int FuzzStrategicPatch(const std::uint8_t* data, std::size_t size) {
  static const kube::SchemaPtr schema = kube::FindBuiltinSchema(kube::GroupVersionKind{"apps", "v1", "Deployment"});
  const auto patch = json::Parse(View(data, size));
  if (!patch) return 0;
  auto merged = kube::StrategicMerge(schema, LiveDeployment(), *patch);
  if (!merged) {
    Require(!merged.error().message().empty(), "is refused without a word");
    return 0;
  }
  auto decoded = kube::DecodeValue(schema, *std::move(merged));
  if (!decoded) return 0;
  json::Value& plain = decoded->object;
  plain.Set("apiVersion") = "apps/v1";
  plain.Set("kind") = "Deployment";
  kube::Canonicalize(schema, plain);
  RequireStable(plain, "apps/v1", "Deployment");
  return 1;
}

// A configuration that is applied by force: refused with a word, or owned by who applied it, and it comes to rest when it comes again.
int FuzzApply(const std::uint8_t* data, std::size_t size) {
  static const kube::ResourcePtr def = Kinds().Find("apps", "v1", "deployments");
  const kube::SchemaPtr schema = def->versions[0].schema;
  const auto wanted = text::ParseYaml(View(data, size), {.max_alias_bytes = 1 << 18});
  if (!wanted) return 0;
  kube::ManagerInfo info;
  info.manager = "bob";
  info.api_version = "apps/v1";
  info.now = std::chrono::system_clock::from_time_t(1'700'000'000);
  const auto once = kube::ServerSideApply(*def, schema, &LiveDeployment(), *wanted, info, kube::Conflicts::kForce);
  if (!once) {
    Require(!once.error().message().empty(), "is refused without a word");
    return 0;
  }
  const auto again = kube::ServerSideApply(*def, schema, &*once, *wanted, info, kube::Conflicts::kFail);
  Require(again.has_value(), "is in conflict with itself");
  const auto third = kube::ServerSideApply(*def, schema, &*again, *wanted, info, kube::Conflicts::kFail);
  Require(third && third->Dump() == again->Dump(), "changes something each time");
  return 1;
}

// An expression over a typed object: whatever it is, it is refused or runs within its limits, twice to the same end.
int FuzzExpression(const std::uint8_t* data, std::size_t size) {
  static const json::Value schema = json::Parse(R"({"type":"object","properties":{"s":{"type":"string"},"i":{"type":"integer"},"l":{"type":"array","items":{"type":"string"}},
    "m":{"type":"object","additionalProperties":{"type":"integer"}},"t":{"type":"string","format":"date-time"},"d":{"x-kubernetes-int-or-string":true}}})").value();
  static const json::Value object = json::Parse(R"({"s":"h\u00e9llo","i":7,"l":["b","a"],"m":{"x":1,"y":2},"t":"2024-02-29T12:00:00Z","d":"5"})").value();
  static const kube::cel::DeclTypePtr self = kube::cel::FromSchema(schema, kube::cel::SchemaRole::kValue, "selfType1");
  const std::string_view source = View(data, size);
  kube::cel::Env env(size % 2 == 0 ? kube::cel::KubernetesLibrary() : kube::cel::FullLibrary());
  env.Declare("self", self);
  const auto program = kube::cel::Program::Compile(env, source);
  if (!program) {
    Require(!program.error().message().empty(), "is refused without a word");
    return 0;
  }
  Require((*program)->estimate().min <= (*program)->estimate().max, "costs at least more than at most");
  const std::vector<kube::cel::Val> variables{kube::cel::Val::FromJson(object, self.get())};
  constexpr std::uint64_t kLimit = 20'000;
  const auto first = (*program)->Run(variables, kLimit), second = (*program)->Run(variables, kLimit);
  Require(first.cost == second.cost && first.cancelled == second.cancelled, "costs something else the second time");
  Require(first.value.kind() == second.value.kind(), "ends differently the second time");
  json::Value shown;
  if (kube::cel::ToJson(first.value, &shown)) static_cast<void>(shown.Dump());
  return 1;
}

}  // namespace

std::vector<Target> KubeTargets() {
  return {
      {"manifest", FuzzManifest, {"/api/v1/namespaces/default/configmaps\n{\"metadata\":{\"name\":\"a\"},\"data\":{\"k\":\"v\"}}"},
       {"null", "\"\"", "{}", "[]", "0", "-1", "1e3", "true", "\"x\"", "\"metadata\":{", "\"spec\":{", "\"name\":", "\"labels\":{", ",", "\n  ", "- ", ": ", "\"10Mi\"", "\"2020-01-01T00:00:00Z\"",
        "2147483648", "\"50%\"", "\xFF", "\\u0000", "/namespaces/default/", "pods", "apis/apps/v1"}},
      {"cel", FuzzExpression,
       {"self.l.all(x, x.size() < 5) && self.m['x'] > 1 || has(self.s)", "self.l.map(x, x + '!').filter(y, y.matches('^[a-z]')).join(',')", "'%s %d'.format([self.s, self.i])",
        "self.t + duration('1h') > timestamp('2024-01-01T00:00:00Z') ? {'a': [1, 2u, 3.5]}.a[0] : self.?d.orValue(1)", "ip('10.0.0.1') == cidr('10.0.0.0/8').ip() && quantity('1Gi').isInteger()"},
       {"self", ".s", ".l", ".m", ".i", "(", ")", "[", "]", "{", "}", "?", ":", ",", " && ", " || ", " == ", " in ", "!", "-", " + ", " * ", " % ", "all(x, ", "map(x, ", "exists_one(x, ", "transformMap(k, v, ",
        "optional.of(", ".?", "[?", "'a'", "b'\\xff'", "r'\\d'", "1u", "9223372036854775807", "1e308", "null", "lists.range(", ".sort()", ".sum()", ".flatten()", ".replace('', 'ab')", ".format([", "'%.3f'",
        "semver('1.2.3')", "url('http://a/b?c=d')", "sets.contains(", "dyn(", "type(", "\n", "//", "`", "\xC3\xA9"}},
      {"strategic", FuzzStrategicPatch,
       {R"({"spec":{"template":{"spec":{"containers":[{"name":"web","image":"web:2","ports":[{"containerPort":81}]}],"$setElementOrder/containers":[{"name":"side"},{"name":"web"}]}}}})",
        R"({"metadata":{"labels":{"app":null,"b":"c"},"$deleteFromPrimitiveList/finalizers":["a/b"]},"spec":{"replicas":3,"strategy":{"$retainKeys":["type"],"type":"Recreate"}}})",
        R"({"spec":{"template":{"spec":{"containers":[{"name":"side","$patch":"delete"}],"volumes":[{"$patch":"replace"},{"name":"w","configMap":{"name":"m"}}]}}}})"},
       {"\"$patch\":\"delete\"", "\"$patch\":\"replace\"", "\"$patch\":\"merge\"", "\"$retainKeys\":[\"name\"]", "\"$setElementOrder/env\":[{\"name\":\"A\"}]", "\"containers\":[", "\"name\":\"web\"", "null", "{}",
        "[]", "{", "}", "[", "]", ",", "\"tolerations\":[{\"key\":\"k\"}]", "\"ports\":[{\"containerPort\":80}]", "\"spec\":{", "1", "\"x\""}},
      {"apply", FuzzApply,
       {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, labels: {a: b}}\nspec:\n  replicas: 4\n  template:\n    spec:\n      containers:\n      - {name: web, image: w, ports: [{containerPort: 80}]}\n",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, finalizers: [a/b, c/d]}\n",
        R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"selector":{"matchLabels":{"x":"y"}},"template":{"spec":{"volumes":[{"name":"v","emptyDir":null}],"containers":[]}}}})"},
       {"name: web", "spec:\n", "  ", "- ", ": ", "{}", "[]", "null", "containers: ", "ports: [{containerPort: 80, protocol: UDP}]", "env: [{name: A}]", "metadata:", "labels: {a: b}", "finalizers: [a/b]", "replicas: 0",
        "managedFields: []", "status: {replicas: 1}", "\n", ", ", "tolerations: [{key: k}]", "*a", "&a "}},
      {"protobuf", FuzzProtobuf, {kube::ProtobufEnvelope("v1", "ConfigMap", "")}, {std::string("k8s\0", 4), "\x0a", "\x12", "\x1a\x02", std::string("\0", 1), "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x08\x01", "\x7f"}},
  };
}

}  // namespace skerry::fuzz
