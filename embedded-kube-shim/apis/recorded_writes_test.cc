#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstdio>
#include <fstream>
#include <map>
#include <set>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/openapi.h"
#include "embedded-kube-shim/api/patch.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/api/table.h"

// Replays recorded scenarios (JSON lines, see tests/api/oracle) on the level of functions: every write's managedFields are computed from the
// recorded states before and after it. Needs SKERRY_RECORDED=<folder of unpacked .jsonl files> and, optionally, SKERRY_RECORDED_AREAS.
using namespace skerry;
using namespace skerry::kube;
using json::Value;

namespace {

struct Target {
  ResourcePtr def;
  std::string api_version, subresource, object_path;
  const Version* version = nullptr;
};

std::optional<Target> Locate(const Registry& registry, std::string_view path) {
  const auto parts = Split(path.substr(1), '/');
  Target out;
  std::size_t at;
  std::string group, version;
  if (parts[0] == "api" && parts.size() > 2) {
    version = parts[1];
    at = 2;
  } else if (parts[0] == "apis" && parts.size() > 3) {
    group = parts[1];
    version = parts[2];
    at = 3;
  } else {
    return {};
  }
  if (parts[at] == "namespaces" && parts.size() > at + 2 && parts[at + 2] != "status" && parts[at + 2] != "finalize") at += 2;
  out.def = registry.Find(group, version, parts[at]);
  if (!out.def) return {};
  out.version = out.def->FindVersion(version);
  out.api_version = group.empty() ? version : Cat(group, '/', version);
  if (parts.size() > at + 2) out.subresource = parts[at + 2];
  const std::size_t keep = std::min(parts.size(), at + 2);
  out.object_path = group;   // one object in all versions
  for (std::size_t i = group.empty() ? 2 : 3; i < keep; ++i) out.object_path += Cat('/', parts[i]);
  return out;
}

// Entries as a set: the order depends on times.
std::string Normalized(const Value& entries) {
  std::vector<std::string> rows;
  for (const auto& entry : entries.Items()) {
    Value copy = entry.Clone();
    if (copy.Find("time")) copy.Set("time") = Value("2030-01-01T00:00:00Z");
    const std::function<Value(const Value&)> sorted = [&](const Value& v) {
      if (!v.is_object()) return v.Clone();
      Value o = Value::Object();
      std::vector<const json::Member*> members;
      for (const auto& m : v.Members()) members.push_back(&m);
      std::sort(members.begin(), members.end(), [](auto* a, auto* b) { return a->key < b->key; });
      for (const auto* m : members) o.Set(m->key) = sorted(m->value);
      return o;
    };
    rows.push_back(sorted(copy).Dump());
  }
  std::sort(rows.begin(), rows.end());
  return Join(rows, "\n");
}

struct Tally {
  std::map<std::string, std::pair<int, int>> by_kind;   // what -> right, all
  int shown = 0;
  void Count(const std::string& what, bool right) {
    auto& [good, all] = by_kind[what];
    good += right;
    ++all;
  }
};

struct Step {
  const Value* json;
  Target target;
  Value body;
  ManagerInfo info;
  std::string method, type;
  int status = 0;
  const Value& answer() const { return (*json)["answer"]; }
};

// The recording hides what differs between servers behind placeholders; typed values need something that parses.
Value WithoutPlaceholders(const Value& v) {
  if (v.is_array()) {
    Value out = Value::Array();
    for (const auto& item : v.Items()) out.Append(WithoutPlaceholders(item));
    return out;
  }
  if (v.is_object()) {
    Value out = Value::Object();
    for (const auto& member : v.Members()) out.Set(member.key) = WithoutPlaceholders(member.value);
    return out;
  }
  if (v.Str() == "<time>") return Value("2030-01-01T00:00:00Z");
  if (v.Str() == "<time.us>") return Value("2030-01-01T00:00:00.000000Z");
  if (v.Str() == "<port>") return Value(30000);
  return v.Clone();
}

// Custom resources of a scenario, compiled just far enough for server-side apply.
class CustomKinds {
 public:
  explicit CustomKinds(Registry& registry) : registry_(registry) {}

  void Publish(const Value& crd) {
    ResourceDef def;
    def.custom = true;
    def.group = crd.At({"spec", "group"}).Str();
    const Value& names = crd.At({"spec", "names"});
    def.resource = names["plural"].Str();
    def.kind = names["kind"].Str();
    def.list_kind = names["listKind"].Str();
    for (const auto& version : crd.At({"spec", "versions"}).Items()) {
      Version out;
      out.name = version["name"].Str();
      Schema* root = Node(version.At({"schema", "openAPIV3Schema"}));
      for (const auto& [name, definition] : {std::pair("apiVersion", ""), std::pair("kind", ""), std::pair("metadata", "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")}) {
        Field field;
        field.name = name;
        static const Schema text = [] { Schema t; t.type = Type::kString; return t; }();
        field.type = *definition ? FindBuiltinSchema(definition) : &text;
        std::erase_if(root->fields, [&](const Field& f) { return f.name == field.name; });
        root->fields.push_back(std::move(field));
      }
      out.schema = root;
      def.versions.push_back(std::move(out));
      for (const auto& sub : version["subresources"].Members()) {
        Subresource subresource;
        subresource.name = sub.key;
        if (!def.FindSubresource(sub.key)) def.subresources.push_back(std::move(subresource));
      }
    }
    registry_.Publish(std::move(def));
  }

 private:
  Schema* Node(const Value& v) {
    nodes_.push_back(std::make_unique<Schema>());
    Schema* out = nodes_.back().get();
    const std::string_view type = v["type"].Str();
    out->map_atomic = v["x-kubernetes-map-type"].Str() == "atomic";
    out->preserve_unknown = v["x-kubernetes-preserve-unknown-fields"].Bool();
    if (v["x-kubernetes-int-or-string"].Bool()) out->type = Type::kIntOrString;
    else if (type == "string") out->type = Type::kString;
    else if (type == "integer") out->type = Type::kInt64;
    else if (type == "number") out->type = Type::kDouble;
    else if (type == "boolean") out->type = Type::kBool;
    else if (type == "array") {
      out->type = Type::kList;
      out->item = Node(v["items"]);
      const std::string_view list = v["x-kubernetes-list-type"].Str();
      out->list_kind = list == "map" ? ListKind::kMap : list == "set" ? ListKind::kSet : ListKind::kAtomic;
      for (const auto& key : v["x-kubernetes-list-map-keys"].Items()) out->list_map_keys.emplace_back(key.Str());
    } else if (type == "object" && v["additionalProperties"].is_object()) {
      out->type = Type::kMap;
      out->item = Node(v["additionalProperties"]);
    } else if (type == "object") {
      out->type = Type::kStruct;
      for (const auto& property : v["properties"].Members()) {
        Field field;
        field.name = property.key;
        field.type = Node(property.value);
        field.default_value = property.value["default"].Clone();
        out->fields.push_back(std::move(field));
      }
    }
    return out;
  }

  Registry& registry_;
  std::vector<std::unique_ptr<Schema>> nodes_;
};

std::string_view ContentType(const Value& step) {
  for (const auto& header : step["headers"].Members())
    if (EqualsIgnoreCase(header.key, "content-type")) return header.value.Str();
  return "application/json";
}

std::optional<Step> Read(const Registry& registry, const Value& json) {
  Step out;
  out.json = &json;
  out.method = json["method"].Str();
  out.status = static_cast<int>(json["status"].Int());
  out.type = ContentType(json);
  auto target = Locate(registry, json["path"].Str());
  if (!target) return {};
  out.target = std::move(*target);
  if (json.Find("body")) out.body = json["body"].Clone();
  else if (!Value::Parse(json["raw"].Str(), &out.body, nullptr)) return {};
  const auto manager = json["query"]["fieldManager"].Str();
  out.info.manager = manager.empty() ? "oracle" : std::string(manager);
  out.info.api_version = out.target.api_version;
  out.info.subresource = out.target.subresource;
  out.info.now = std::chrono::system_clock::now();
  return out;
}

void Show(Tally& tally, std::string_view id, std::size_t index, std::string_view what, const std::string& want, const std::string& got) {
  static const int limit = std::getenv("SKERRY_RECORDED_SHOW") ? std::atoi(std::getenv("SKERRY_RECORDED_SHOW")) : 5;
  if (tally.shown++ >= limit) return;
  std::puts(Cat("--- ", id, " step ", index, " ", what, "\nwant ", want, "\ngot  ", got).c_str());
}

// The patched object as it would be stored, against the recorded answer; what the server sets itself is left out.
void CompareObject(const Step& step, const Value& patched, std::string_view id, std::size_t index, Tally& tally, const std::string& what) {
  const auto bare = [](const Value& from) {
    Value out = from.Clone();
    out.Erase("status");
    if (Value* metadata = out.Find("metadata"))
      for (const char* field : {"managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "namespace"}) metadata->Erase(field);
    return out;
  };
  auto decoded = DecodeValue(step.target.version->schema, patched.Clone());
  std::string got = decoded ? "" : std::string(decoded.error().message());
  const std::string want = bare(step.answer()).Dump();
  if (decoded) {
    ApplyDefaults(*step.target.def, *step.target.version, decoded->object);
    got = bare(decoded->object).Dump();
  }
  tally.Count(what, got == want);
  if (got != want) Show(tally, id, index, what, want, got);
}

void ReplayApply(const Step& step, const Value* live, std::string_view id, std::size_t index, Tally& tally) {
  const bool force = (*step.json)["query"]["force"].Str() == "true";
  auto result = ServerSideApply(*step.target.def, step.target.version->schema, live, step.body, step.info, force ? Conflicts::kForce : Conflicts::kFail);
  if (step.status >= 400) {
    const std::string want(step.answer()["message"].Str());
    const bool ours = want.starts_with("Apply failed") || want.starts_with("failed to") || want.starts_with("invalid object type") || want.starts_with("metadata.managedFields");
    if (!ours) return;
    const std::string got = result ? "no error" : std::string(result.error().message());
    tally.Count("apply error", got == want);
    if (got != want) Show(tally, id, index, "apply error", want, got);
    return;
  }
  const std::string want = Normalized(step.answer().At({"metadata", "managedFields"}));
  const std::string got = result ? Normalized(result->At({"metadata", "managedFields"})) : std::string(result.error().message());
  tally.Count("apply managedFields", got == want);
  if (result && step.target.subresource.empty() && !step.target.def->custom) CompareObject(step, *result, id, index, tally, live ? "apply object" : "apply created");
  if (got != want) Show(tally, id, index, "apply", want, got);
}

void ReplayUpdate(const Step& step, const Value* live, std::string_view id, std::size_t index, Tally& tally) {
  if (step.status >= 400) return;
  Value object = step.answer().Clone();
  Value* metadata = object.Find("metadata");
  metadata->Erase("managedFields");
  if (const Value* sent = step.body["metadata"].Find("managedFields")) metadata->Set("managedFields") = sent->Clone();
  UpdateManagedFields(*step.target.def, step.target.version->schema, live, object, step.info);
  if (live) KeepManagedFieldTimes(*live, object);
  const std::string want = Normalized(step.answer().At({"metadata", "managedFields"})), got = Normalized(object.At({"metadata", "managedFields"}));
  tally.Count(live ? "update managedFields" : "create managedFields", got == want);
  if (got != want) Show(tally, id, index, step.method, want, got);
}

void ReplayStrategic(const Step& step, const Value& live, std::string_view id, std::size_t index, Tally& tally) {
  auto result = StrategicMerge(step.target.version->schema, live, step.body);
  const std::string message(step.answer()["kind"].Str() == "Status" ? step.answer()["message"].Str() : "");
  if (step.status == 400 && message.find("strconv") == std::string::npos && !message.starts_with("json:") && !message.starts_with("invalid patch")) return;   // the engine's
  if (step.status == 500 || message.starts_with(" \"\" is invalid") || message.starts_with("invalid patch format")) {
    const std::string got = result ? "no error" : std::string(result.error().message());
    tally.Count("strategic error", got == message);
    if (got != message) Show(tally, id, index, "strategic error", message, got);
  } else if (!result) {
    tally.Count("strategic merge", false);
    Show(tally, id, index, "strategic", step.answer().Dump(), std::string(result.error().message()));
  } else if (step.status == 200 && step.target.subresource.empty()) {
    CompareObject(step, *result, id, index, tally, "strategic object");
  }
}

// Ages and addresses differ between servers.
std::string NormalizedCell(const Value& cell) {
  const std::string_view text = cell.Str();
  std::size_t i = 0;
  int parts = 0;
  while (i < text.size() && text[i] >= '0' && text[i] <= '9') {
    while (i < text.size() && text[i] >= '0' && text[i] <= '9') ++i;
    if (i < text.size() && std::string_view("smhdy").find(text[i]) != std::string_view::npos) ++i, ++parts;
    else return cell.Dump();
  }
  return parts > 0 && i == text.size() ? "\"<age>\"" : cell.Dump();
}

void ReplayTable(const Step& step, const Value& object, std::string_view id, std::size_t index, Tally& tally) {
  if (step.answer()["rows"].size() != 1) return;
  const Value& row = step.answer()["rows"].Items()[0];
  const Value got = TableRow(*step.target.def, *step.target.version, object, IncludeObject::kNone, step.info.now);
  std::string want_cells, got_cells;
  for (const auto& cell : row["cells"].Items()) want_cells += NormalizedCell(cell) + " ";
  for (const auto& cell : got["cells"].Items()) got_cells += NormalizedCell(cell) + " ";
  tally.Count("table cells", want_cells == got_cells);
  if (want_cells != got_cells) Show(tally, id, index, "table", want_cells, got_cells);
  const Value columns = TableColumns(*step.target.def, *step.target.version);
  const bool same = columns == step.answer()["columnDefinitions"];
  tally.Count("table columns", same);
  if (!same) Show(tally, id, index, "columns", step.answer()["columnDefinitions"].Dump(), columns.Dump());
}

void ReplayTables(const Registry& registry, const Value& scenario, Tally& tally) {
  Value steps = WithoutPlaceholders(scenario["steps"]);
  Value state;
  std::size_t index = 0;
  for (const auto& json : steps.Items()) {
    const std::size_t at = index++;
    auto target = Locate(registry, json["path"].Str());
    if (!target) continue;
    Step step;
    step.json = &json;
    step.target = std::move(*target);
    step.info.now = std::chrono::system_clock::from_time_t(1'925'000'000);   // 2031
    const std::string_view method = json["method"].Str();
    if (json["answer"]["kind"].Str() == step.target.def->kind) state = json["answer"].Clone();
    else if (method == "POST" || method == "PUT") state = json["body"].Clone();
    if (state["metadata"].is_object() && state.At({"metadata", "creationTimestamp"}).is_null()) state.Set("metadata").Set("creationTimestamp") = Value("2030-01-01T00:00:00Z");
    if (auto decoded = DecodeValue(step.target.version->schema, state.Clone())) state = std::move(decoded->object);
    if (json["answer"]["kind"].Str() == "Table") ReplayTable(step, state, scenario["id"].Str(), at, tally);
  }
}

void ReplayDiscovery(const Registry& registry, const Value& scenario, Tally& tally) {
  std::size_t index = 0;
  for (const auto& json : scenario["steps"].Items()) {
    const std::size_t at = index++;
    std::string_view path = json["path"].Str();
    while (path.size() > 1 && path.ends_with("/")) path.remove_suffix(1);
    if (json["method"].Str() != "GET" || json["status"].Int() != 200 || json["answer"].is_null()) continue;
    const bool aggregated = json["answer"]["kind"].Str() == "APIGroupDiscoveryList";
    const auto parts = Split(path.substr(1), '/');
    Value got;
    if (aggregated) got = DiscoveryAggregated(registry, parts[0] == "api");
    else if (path == "/apis") got = DiscoveryGroupList(registry);
    else if (parts[0] == "api" && parts.size() == 2) got = DiscoveryResources(registry, "", parts[1]);
    else if (parts[0] == "apis" && parts.size() == 2) got = DiscoveryGroup(registry, parts[1]);
    else if (parts[0] == "apis" && parts.size() == 3) got = DiscoveryResources(registry, parts[1], parts[2]);
    else continue;
    const bool same = got.Dump() == json["answer"].Dump();
    tally.Count("documents", same);
    if (!same) Show(tally, scenario["id"].Str(), at, "discovery", json["answer"].Dump(), got.Dump());
  }
}

void ReplayStep(Step& step, const Value* live, std::string_view id, std::size_t at, Tally& tally) {
  if (step.type.starts_with("application/apply-patch")) return ReplayApply(step, live, id, at, tally);
  if (step.type.starts_with("application/strategic") && live) ReplayStrategic(step, *live, id, at, tally);
  if (step.answer().Find("metadata") && (live || step.status == 201)) ReplayUpdate(step, step.status == 201 ? nullptr : live, id, at, tally);
}

// Goes through a scenario with the recorded answers as states. Where a state is not known (only a status was recorded, a subresource changed
// it, placeholders), nothing is compared until the object has been seen again.
void Replay(Registry& registry, const Value& scenario, Tally& tally) {
  CustomKinds custom(registry);
  std::map<std::string, const Value*> state;
  std::size_t index = 0;
  Value steps = WithoutPlaceholders(scenario["steps"]);
  for (const auto& json : steps.Items()) {
    const std::size_t at = index++;
    const std::string text = json.Dump();
    const std::string_view method = json["method"].Str();
    if (method == "POST" && json["path"].Str().ends_with("/customresourcedefinitions") && json["status"].Int() == 201) custom.Publish(json["body"]);
    auto target = Locate(registry, json["path"].Str());
    if (!target || target->def->virtual_resource) continue;
    const bool dry = !json["query"]["dryRun"].is_null();
    const bool seen = json["answer"]["kind"].Str() == target->def->kind && json["status"].Int() < 400;
    std::string key = target->object_path;
    if (method == "POST" && target->subresource.empty()) key += Cat('/', json.At({"body", "metadata", "name"}).Str());
    if (method == "DELETE") {
      state.erase(key);
      continue;
    }
    const auto found = state.find(key);
    const Value* live = found == state.end() ? nullptr : found->second;
    static const std::set<std::string_view> kForeign = {"scale", "eviction", "binding", "token"};
    const bool foreign = kForeign.contains(target->subresource) || text.find("\"${") != std::string::npos ||
                         (text.find("json-patch") != std::string::npos && text.find("/managedFields") != std::string::npos);
    if (method != "GET" && !foreign && json["answer"].Find("kind") && (live || json["status"].Int() == 201))
      if (auto step = Read(registry, json)) ReplayStep(*step, json["status"].Int() == 201 ? nullptr : live, scenario["id"].Str(), at, tally);
    if (dry) continue;
    if (seen && (!foreign || text.find("/managedFields") != std::string::npos)) state[key] = &json["answer"];
    else if (foreign || (method != "GET" && !json["answer"].Find("kind"))) state.erase(key);
  }
}

}  // namespace

TEST_CASE("recorded OpenAPI: every operation is served as recorded", "[.recorded]") {
  const char* file_name = std::getenv("SKERRY_RECORDED_OPENAPI");
  if (!file_name) return;
  const auto registry = NewRegistry();
  RegisterBuiltins(*registry);
  std::ifstream file(file_name);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  Value want;
  REQUIRE(Value::Parse(text, &want, nullptr));
  Value got = Value::Object();
  for (const auto& name : OpenApiV3Paths(*registry)) {
    Value document;
    REQUIRE(Value::Parse(OpenApiV3Json(*registry, name), &document, nullptr));
    for (const auto& path : document["paths"].Members()) {
      Value& out = got.Set(path.key);
      for (const auto& operation : path.value.Members()) {
        if (operation.key == "parameters") continue;
        const Value& v = operation.value;
        Value& o = out.Set(operation.key);
        if (!v["x-kubernetes-action"].is_null()) o.Set("action") = v["x-kubernetes-action"].Clone();
        const Value& content = v.At({"responses", "200", "content"});
        std::vector<std::string> produces, consumes, parameters;
        std::string answer;
        for (const auto& type : content.Members()) {
          produces.push_back(type.key);
          answer = type.value.At({"schema", "$ref"}).Str();
        }
        if (!answer.empty()) o.Set("answer") = Value(answer.substr(answer.rfind('/') + 1));
        for (const auto& code : v["responses"].Members()) o.Set("codes").Append(Value(code.key));
        for (const auto& type : v.At({"requestBody", "content"}).Members()) consumes.push_back(type.key);
        for (const auto& type : consumes) o.Set("consumes").Append(Value(type));
        if (!v["x-kubernetes-group-version-kind"].is_null()) o.Set("gvk") = v["x-kubernetes-group-version-kind"].Clone();
        o.Set("id") = v["operationId"].Clone();
        for (const Value* list : {&v["parameters"], &path.value["parameters"]})
          for (const auto& p : list->Items()) parameters.emplace_back(p["name"].Str());
        std::sort(parameters.begin(), parameters.end());
        for (const auto& p : parameters) o.Set("parameters").Append(Value(p));
        for (const auto& type : produces) o.Set("produces").Append(Value(type));
      }
    }
  }
  int right = 0, all = 0, shown = 0;
  for (const auto& path : want.Members()) {
    ++all;
    const bool same = got[path.key] == path.value;
    right += same;
    if (!same && shown++ < 12) std::puts(Cat("--- ", path.key, "\nwant ", path.value.Dump(), "\ngot  ", got[path.key].Dump()).c_str());
  }
  for (const auto& path : got.Members())
    if (!want.Find(path.key)) std::puts(Cat("unwanted ", path.key).c_str());
  std::puts(Cat("openapi: paths ", right, "/", all, "; v2 ", OpenApiV2Json(*registry).size(), " bytes, protobuf ", OpenApiV2Protobuf(*registry).size()).c_str());
}

TEST_CASE("recorded writes: managedFields and patch errors are those of the recorded server", "[.recorded]") {
  const char* folder = std::getenv("SKERRY_RECORDED");
  if (!folder) return;
  const auto registry = NewRegistry();
  RegisterBuiltins(*registry);
  const char* areas = std::getenv("SKERRY_RECORDED_AREAS");
  for (std::string_view area : Split(areas ? areas : "apply,patch-strategic", ',')) {
    std::ifstream file(Cat(folder, '/', area, ".jsonl"));
    REQUIRE(file);
    Tally tally;
    std::string line;
    while (std::getline(file, line)) {
      Value scenario;
      REQUIRE(Value::Parse(line, &scenario, nullptr));
      if (area == "discovery") ReplayDiscovery(*registry, scenario, tally);
      else if (area == "tables") ReplayTables(*registry, scenario, tally);
      else Replay(*registry, scenario, tally);
    }
    for (const auto& [what, count] : tally.by_kind) std::puts(Cat(area, ": ", what, " ", count.first, "/", count.second).c_str());
  }
}
