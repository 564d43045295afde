#include <catch2/catch.hpp>

#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/table.h"
#include "embedded-kube-shim/api/table_format.h"
#include "tests/support/json.h"

using namespace skerry;
using namespace skerry::kube;
using json::Value;
using skerry::testing::Json;

namespace {

const auto kNow = std::chrono::system_clock::from_time_t(1'767'225'600);   // 2026-01-01T00:00:00Z

ResourceDef Def(std::string group, std::string kind) {
  ResourceDef def;
  def.group = std::move(group);
  def.kind = std::move(kind);
  def.versions.emplace_back();
  def.versions.back().name = "v1";
  return def;
}

std::string Cells(const std::string& group, const std::string& kind, std::string_view object) {
  const ResourceDef def = Def(group, kind);
  const Value row = TableRow(def, def.versions[0], Json(object), IncludeObject::kNone, kNow);
  CHECK(row["cells"].size() == TableColumns(def, def.versions[0]).size());
  return row["cells"].Dump();
}

}  // namespace

TEST_CASE("durations are shown in at most two units", "[table]") {
  using std::chrono::seconds;
  CHECK(printer::HumanDuration(seconds(-5)) == "<invalid>");
  CHECK(printer::HumanDuration(seconds(-1)) == "0s");
  CHECK(printer::HumanDuration(seconds(119)) == "119s");
  CHECK(printer::HumanDuration(seconds(120)) == "2m");
  CHECK(printer::HumanDuration(seconds(599)) == "9m59s");
  CHECK(printer::HumanDuration(seconds(3600)) == "60m");
  CHECK(printer::HumanDuration(seconds(3 * 3600 + 300)) == "3h5m");
  CHECK(printer::HumanDuration(seconds(47 * 3600)) == "47h");
  CHECK(printer::HumanDuration(seconds(51 * 3600)) == "2d3h");
  CHECK(printer::HumanDuration(seconds(30 * 86400)) == "30d");
  CHECK(printer::HumanDuration(seconds(std::int64_t{800} * 86400)) == "2y70d");
}

TEST_CASE("a pod's status tells the furthest thing that went wrong", "[table]") {
  const auto pod = [](std::string_view rest) { return std::string(R"({"metadata":{"name":"p","creationTimestamp":"2025-12-31T23:00:00Z"},)") + std::string(rest) + "}"; };
  const std::string restarted = pod(R"("spec":{"containers":[{"name":"c"}],"nodeName":"n"},"status":{"phase":"Running","podIPs":[{"ip":"10.0.0.1"}],
    "containerStatuses":[{"name":"c","ready":true,"restartCount":3,"state":{"running":{}},"lastState":{"terminated":{"finishedAt":"2025-12-31T23:55:00Z"}}}]})");
  CHECK(Cells("", "Pod", restarted) == R"-(["p","1/1","Running","3 (5m ago)","60m","10.0.0.1","n","<none>","<none>"])-");
  const std::string initializing = pod(R"("spec":{"containers":[{"name":"c"}],"initContainers":[{"name":"a"},{"name":"b"}]},"status":{"phase":"Pending",
    "initContainerStatuses":[{"name":"a","state":{"terminated":{"exitCode":0}}},{"name":"b","state":{"waiting":{"reason":"PodInitializing"}}}]})");
  CHECK(Cells("", "Pod", initializing) == R"(["p","0/1","Init:1/2","0","60m","<none>","<none>","<none>","<none>"])");
  const std::string killed = pod(R"("spec":{"containers":[{"name":"c"}]},"status":{"phase":"Running","containerStatuses":[{"name":"c","state":{"terminated":{"exitCode":137,"signal":9}}}]})");
  CHECK(Cells("", "Pod", killed) == R"(["p","0/1","Signal:9","0","60m","<none>","<none>","<none>","<none>"])");
}

TEST_CASE("a finished pod's row says so", "[table]") {
  const ResourceDef def = Def("", "Pod");
  const Value row = TableRow(def, def.versions[0], Json(R"({"metadata":{"name":"p"},"status":{"phase":"Succeeded"}})"), IncludeObject::kMetadata, kNow);
  CHECK(row["conditions"].Items()[0]["reason"].Str() == "Succeeded");
  CHECK(row["object"].Dump() == R"({"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"p"}})");
}

TEST_CASE("a route's row says where it is reached and who shares its requests", "[table]") {
  const std::string_view shared = R"({"metadata":{"name":"r"},"spec":{"host":"a.example","path":"/x","to":{"name":"one","weight":30},"alternateBackends":[{"name":"two","weight":10}],
    "port":{"targetPort":8080},"tls":{"termination":"edge","insecureEdgeTerminationPolicy":"Redirect"},"wildcardPolicy":"None"},
    "status":{"ingress":[{"host":"b.example","conditions":[{"type":"Admitted","status":"True"}]}]}})";
  CHECK(Cells("route.openshift.io", "Route", shared) == R"-(["r","b.example","/x","one(75%),two(25%)","8080","edge/Redirect","None"])-");
  const std::string_view refused = R"({"metadata":{"name":"r"},"spec":{"host":"a.example","to":{"name":"one","weight":100}},
    "status":{"ingress":[{"host":"a.example","conditions":[{"type":"Admitted","status":"False","reason":"HostAlreadyClaimed"}]}]}})";
  CHECK(Cells("route.openshift.io", "Route", refused) == R"-(["r","HostAlreadyClaimed","","one","<all>","",""])-");
}

TEST_CASE("kinds without a printer show name and creation", "[table]") {
  CHECK(Cells("rbac.authorization.k8s.io", "Role", R"({"metadata":{"name":"r","creationTimestamp":"2025-12-31T23:00:00Z"}})") == R"(["r","2025-12-31T23:00:00Z"])");
}

TEST_CASE("a custom resource's columns are paths", "[table]") {
  ResourceDef def = Def("example.com", "Widget");
  def.custom = true;
  auto& columns = def.versions[0].columns;
  for (const auto& [name, type, path] : {std::tuple("Size", "integer", ".spec.size"), std::tuple("Tags", "string", ".spec.tags"), std::tuple("Ready", "string", ".status.c[?(@.type==\"Ready\")].status"),
                                         std::tuple("Since", "date", ".status.since")}) {
    PrinterColumn column;
    column.name = name;
    column.type = type;
    column.json_path = path;
    columns.push_back(std::move(column));
  }
  const Value object = Json(R"({"metadata":{"name":"w"},"spec":{"size":3,"tags":["a"]},"status":{"c":[{"type":"X","status":"False"},{"type":"Ready","status":"True"}],"since":"2025-12-31T23:59:00Z"}})");
  CHECK(TableRow(def, def.versions[0], object, IncludeObject::kNone, kNow)["cells"].Dump() == R"(["w",3,"[\"a\"]","True","60s"])");
  CHECK(TableRow(def, def.versions[0], Json(R"({"metadata":{"name":"w"}})"), IncludeObject::kNone, kNow)["cells"].Dump() == R"(["w",null,null,null,null])");
  CHECK(TableColumns(def, def.versions[0]).Items()[1]["description"].Str() == "Custom resource definition column (in JSONPath format): .spec.size");
}
