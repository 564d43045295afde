#include "embedded-kube-shim/scheduler/profile.h"

#include <algorithm>

#include "core/base/strings.h"
#include "core/text/yaml.h"
#include "embedded-kube-shim/scheduler/filters.h"

namespace skerry::kube {
namespace {

constexpr std::string_view kVersion = "kubescheduler.config.k8s.io/v1";
constexpr std::string_view kPreemption = "DefaultPreemption";
// Plugins that belong to other extension points: they are always on here, so naming them changes nothing.
constexpr std::string_view kOthers[] = {"PrioritySort", "DefaultBinder", "SchedulingGates", "NodeVolumeLimits", "VolumeRestrictions", "DynamicResources"};

bool IsFilter(std::string_view name) {
  const auto all = scheduling::Filters();
  return std::any_of(all.begin(), all.end(), [&](const scheduling::Filter& f) { return name == f.name; });
}
bool IsKnown(std::string_view name) {
  return IsFilter(name) || SchedulerProfile().weights.contains(name) || name == kPreemption || std::find(std::begin(kOthers), std::end(kOthers), name) != std::end(kOthers);
}

// What a plugin set turns off and on, for the points that it speaks of.
struct Points {
  bool filter = false, score = false, post_filter = false;
};

void Disable(SchedulerProfile& p, std::string_view name, Points points) {
  if (points.filter && name == "*") {
    for (const scheduling::Filter& f : scheduling::Filters()) p.filters_off.insert(f.name);
  } else if (points.filter && IsFilter(name)) {
    p.filters_off.emplace(name);
  }
  if (points.score) {
    for (auto& [plugin, weight] : p.weights) {
      if (name == "*" || name == plugin) weight = 0;
    }
  }
  if (points.post_filter && (name == "*" || name == kPreemption)) p.preemption = false;
}

void Enable(SchedulerProfile& p, std::string_view name, std::int64_t weight, Points points) {
  if (points.filter) {
    if (const auto it = p.filters_off.find(name); it != p.filters_off.end()) p.filters_off.erase(it);
  }
  if (points.score) {
    const auto usual = SchedulerProfile().weights;
    if (const auto it = usual.find(name); it != usual.end()) p.weights[it->first] = weight > 0 ? weight : it->second;
  }
  if (points.post_filter && name == kPreemption) p.preemption = true;
}

Result<> ReadPlugins(SchedulerProfile& p, const json::Value& plugins, const std::string& path) {
  const std::pair<const char*, Points> kPoints[] = {{"multiPoint", {true, true, true}}, {"filter", {.filter = true}}, {"score", {.score = true}}, {"postFilter", {.post_filter = true}}};
  for (const auto& [point, points] : kPoints) {
    const json::Value& set = plugins[point];
    for (const char* list : {"disabled", "enabled"}) {
      for (const json::Value& plugin : set[list].Items()) {
        const std::string_view name = plugin["name"].Str();
        const bool all = name == "*" && list[0] == 'd';
        if (!all && !IsKnown(name)) return Fail(Code::kInvalid, Cat(path, ".plugins.", point, ".", list, ": there is no plugin ", Quote(name)));
        if (list[0] == 'd') {
          Disable(p, name, points);
        } else {
          Enable(p, name, plugin["weight"].Int(), points);
        }
      }
    }
  }
  return {};
}

Result<> ReadFit(SchedulerProfile& p, const json::Value& args, const std::string& path) {
  const json::Value& strategy = args["scoringStrategy"];
  const std::string_view type = strategy["type"].Str("LeastAllocated");
  if (type != "LeastAllocated" && type != "MostAllocated") return Fail(Code::kInvalid, Cat(path, ".scoringStrategy.type: ", Quote(type), " is not supported (LeastAllocated, MostAllocated)"));
  p.packing = type[0] == 'L' ? SchedulerProfile::Packing::kLeastAllocated : SchedulerProfile::Packing::kMostAllocated;
  if (strategy["resources"].size() > 0) p.packed.clear();
  for (const json::Value& r : strategy["resources"].Items()) {
    const std::int64_t weight = r["weight"].Int(1);
    if (r["name"].Str().empty() || weight < 1 || weight > 100) return Fail(Code::kInvalid, Cat(path, ".scoringStrategy.resources: expected names with weights from 1 to 100"));
    p.packed[std::string(r["name"].Str())] = weight;
  }
  return {};
}

Result<> ReadAffinity(SchedulerProfile& p, const json::Value& args, const std::string& path) {
  constexpr std::string_view kRequired = "requiredDuringSchedulingIgnoredDuringExecution", kPreferred = "preferredDuringSchedulingIgnoredDuringExecution";
  for (const json::Member& m : args.Members()) {
    if (m.key != "apiVersion" && m.key != "kind" && m.key != "addedAffinity") return Fail(Code::kInvalid, Cat(path, ".", m.key, ": there is no such argument"));
  }
  const json::Value& added = args["addedAffinity"];
  for (const json::Member& m : added.Members()) {
    if (m.key != kRequired && m.key != kPreferred) return Fail(Code::kInvalid, Cat(path, ".addedAffinity.", m.key, ": there is no such field"));
  }
  if (const json::Value* required = added.Find(kRequired); required && (*required)["nodeSelectorTerms"].size() == 0) {
    return Fail(Code::kInvalid, Cat(path, ".addedAffinity.", kRequired, ".nodeSelectorTerms: expected at least one"));
  }
  for (const json::Value& term : added[kPreferred].Items()) {
    const std::int64_t weight = term["weight"].Int();
    if (weight < 1 || weight > 100) return Fail(Code::kInvalid, Cat(path, ".addedAffinity.", kPreferred, ": expected weights from 1 to 100"));
  }
  if (added.size() > 0) p.added_affinity = std::make_shared<const json::Value>(added.Clone());
  return {};
}

Result<> ReadSpread(SchedulerProfile& p, const json::Value& args, const std::string& path) {
  const std::string_view type = args["defaultingType"].Str("List");
  const json::Value& given = args["defaultConstraints"];
  if (type != "List" && type != "System") return Fail(Code::kInvalid, Cat(path, ".defaultingType: ", Quote(type), " is not supported (List, System)"));
  if (type == "System" && given.size() > 0) return Fail(Code::kInvalid, Cat(path, ".defaultConstraints: expected none when defaultingType is System"));
  for (const json::Value& c : given.Items()) {
    const std::string_view when = c["whenUnsatisfiable"].Str();
    if (c["maxSkew"].Int() < 1) return Fail(Code::kInvalid, Cat(path, ".defaultConstraints.maxSkew: expected 1 or more"));
    if (c["topologyKey"].Str().empty()) return Fail(Code::kInvalid, Cat(path, ".defaultConstraints.topologyKey: expected a label"));
    if (when != "DoNotSchedule" && when != "ScheduleAnyway") return Fail(Code::kInvalid, Cat(path, ".defaultConstraints.whenUnsatisfiable: expected DoNotSchedule or ScheduleAnyway"));
    if (!c["labelSelector"].is_null()) return Fail(Code::kInvalid, Cat(path, ".defaultConstraints.labelSelector: expected none, it comes from what the pod belongs to"));
  }
  json::Value constraints = given.size() > 0 ? given.Clone() : json::Value();
  if (type == "System") {
    for (const auto& [key, skew] : {std::pair("kubernetes.io/hostname", 3), std::pair("topology.kubernetes.io/zone", 5)}) {
      json::Value c;
      c.Set("maxSkew") = skew;
      c.Set("topologyKey") = key;
      c.Set("whenUnsatisfiable") = "ScheduleAnyway";
      constraints.Append(std::move(c));
    }
  }
  p.constraints_need_labels = type != "System";
  if (constraints.size() > 0) p.default_constraints = std::make_shared<const json::Value>(std::move(constraints));
  return {};
}

Result<> ReadArguments(SchedulerProfile& p, const json::Value& list, const std::string& path) {
  for (const json::Value& config : list.Items()) {
    const std::string_view name = config["name"].Str();
    const json::Value& args = config["args"];
    const std::string here = Cat(path, ".pluginConfig[", name, "].args");
    if (name == "NodeResourcesFit") {
      TRY_VOID(ReadFit(p, args, here));
    } else if (name == "NodeAffinity") {
      TRY_VOID(ReadAffinity(p, args, here));
    } else if (name == "PodTopologySpread") {
      TRY_VOID(ReadSpread(p, args, here));
    } else if (name == "InterPodAffinity") {
      p.hard_affinity_weight = args["hardPodAffinityWeight"].Int(1);
      if (p.hard_affinity_weight < 0 || p.hard_affinity_weight > 100) return Fail(Code::kInvalid, Cat(here, ".hardPodAffinityWeight: expected 0 to 100"));
    } else if (args.size() > 0) {
      return Fail(Code::kInvalid, Cat(here, ": arguments of this plugin are not supported"));
    }
  }
  return {};
}

Result<int> Percentage(const json::Value& from, const std::string& path) {
  const std::int64_t n = from["percentageOfNodesToScore"].Int(0);
  if (n < 0 || n > 100) return Fail(Code::kInvalid, Cat(path, "percentageOfNodesToScore: expected 0 to 100"));
  return static_cast<int>(n);
}

}  // namespace

Result<std::vector<SchedulerProfile>> ParseSchedulerConfiguration(std::string_view text) {
  TRY(const json::Value config, text::ParseYaml(text));
  if (config["kind"].Str() != "KubeSchedulerConfiguration" || config["apiVersion"].Str() != kVersion) {
    return Fail(Code::kInvalid, Cat("expected kind KubeSchedulerConfiguration of ", kVersion));
  }
  TRY(const int percentage, Percentage(config, ""));
  std::vector<SchedulerProfile> out;
  for (const json::Value& each : config["profiles"].Items()) {
    SchedulerProfile p;
    const std::string path = Cat("profiles[", out.size(), "]");
    if (const std::string_view name = each["schedulerName"].Str(); !name.empty()) p.name = name;
    for (const SchedulerProfile& other : out) {
      if (other.name == p.name) return Fail(Code::kInvalid, Cat(path, ".schedulerName: ", Quote(p.name), " is there twice"));
    }
    TRY(p.percentage_of_nodes, Percentage(each, path + "."));
    if (p.percentage_of_nodes == 0) p.percentage_of_nodes = percentage;
    TRY_VOID(ReadPlugins(p, each["plugins"], path));
    TRY_VOID(ReadArguments(p, each["pluginConfig"], path));
    out.push_back(std::move(p));
  }
  if (out.empty()) {
    out.emplace_back();
    out.back().percentage_of_nodes = percentage;
  }
  return out;
}

}  // namespace skerry::kube
