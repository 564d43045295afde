#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstdio>
#include <fstream>
#include <map>

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
  for (std::size_t i = 0; i < keep; ++i) out.object_path += Cat('/', parts[i]);
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
  if (result && step.target.subresource.empty()) CompareObject(step, *result, id, index, tally, live ? "apply object" : "apply created");
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

void Replay(const Registry& registry, const Value& scenario, Tally& tally) {
  std::map<std::string, const Value*> state;
  std::size_t index = 0;
  Value steps = WithoutPlaceholders(scenario["steps"]);
  for (const auto& json : steps.Items()) {
    const std::size_t at = index++;
    const std::string text = json.Dump();
    const std::string_view method = json["method"].Str();
    if (text.find("\"${") != std::string::npos || (text.find("json-patch") != std::string::npos && text.find("/managedFields") != std::string::npos)) { state.clear(); continue; }
    if (!json["answer"].Find("kind")) { state.clear(); continue; }   // only its status was recorded
    if (method == "DELETE") { state.clear(); continue; }
    if (method == "GET") continue;
    auto step = Read(registry, json);
    if (!step || step->target.def->virtual_resource) continue;
    const std::string key = method == "POST" ? Cat(step->target.object_path, '/', step->body.At({"metadata", "name"}).Str()) : step->target.object_path;
    const auto found = state.find(key);
    const Value* live = found == state.end() ? nullptr : found->second;
    const bool scale = step->target.subresource == "scale" || step->target.subresource == "eviction" || step->target.subresource == "binding" || step->target.subresource == "token";
    if (!scale) {
      if (step->type.starts_with("application/apply-patch")) ReplayApply(*step, live, scenario["id"].Str(), at, tally);
      else {
        if (step->type.starts_with("application/strategic") && live) ReplayStrategic(*step, *live, scenario["id"].Str(), at, tally);
        if (step->answer().Find("metadata") && (live || step->status == 201)) ReplayUpdate(*step, step->status == 201 ? nullptr : live, scenario["id"].Str(), at, tally);
      }
    }
    if (step->status < 400 && json["query"]["dryRun"].is_null() && !scale && step->answer()["kind"].Str() == step->target.def->kind) state[key] = &step->answer();
    if (scale) state.erase(key);
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
