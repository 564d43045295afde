#include "embedded-kube-shim/scheduler/cluster.h"

#include <algorithm>

#include "core/text/quantity.h"
#include "embedded-kube-shim/controllers/volume_match.h"

namespace skerry::kube::scheduling {
namespace {

constexpr std::int64_t kDefaultCpu = 100;                     // thousandths
constexpr std::int64_t kDefaultMemory = 200LL << 20;

Amounts AmountsOf(const json::Value& list) {
  Amounts out;
  for (const json::Member& m : list.Members()) {
    const auto q = text::Quantity::Parse(m.value.is_string() ? m.value.Str() : m.value.Dump());
    if (q) out[m.key] = m.key == "cpu" ? q->MilliValue() : q->Value();
  }
  return out;
}

void Add(Amounts& to, const Amounts& what) {
  for (const auto& [name, n] : what) to[name] += n;
}

void Max(Amounts& to, const Amounts& what) {
  for (const auto& [name, n] : what) to[name] = std::max(to[name], n);
}

// Running a pod needs the larger of: all containers and sidecars together; each init container beside the sidecars started before it.
template <class RequestsOf>
Amounts Effective(const json::Value& spec, RequestsOf requests_of) {
  Amounts running, sidecars, starting;
  for (const json::Value& c : spec["containers"].Items()) Add(running, requests_of(c));
  for (const json::Value& c : spec["initContainers"].Items()) {
    Amounts mine = requests_of(c);
    if (c["restartPolicy"].Str() == "Always") {
      Add(sidecars, mine);
      Add(running, mine);
      Max(starting, sidecars);
    } else {
      Add(mine, sidecars);
      Max(starting, mine);
    }
  }
  Max(running, starting);
  return running;
}

}  // namespace

bool HostPort::Collides(const HostPort& o) const {
  if (protocol != o.protocol || port != o.port) return false;
  return ip == o.ip || ip == "0.0.0.0" || o.ip == "0.0.0.0";
}

PodPtr FactsOf(ObjectPtr pod) {
  auto f = std::make_shared<PodFacts>();
  const json::Value& spec = (*pod)["spec"];
  const json::Value& meta = (*pod)["metadata"];
  f->uid = meta["uid"].Str();
  f->key = {std::string(meta["namespace"].Str()), std::string(meta["name"].Str())};
  f->requests = Effective(spec, [](const json::Value& c) { return AmountsOf(c["resources"]["requests"]); });
  const Amounts scoring = Effective(spec, [](const json::Value& c) {
    Amounts a = AmountsOf(c["resources"]["requests"]);
    a.try_emplace("cpu", kDefaultCpu);
    a.try_emplace("memory", kDefaultMemory);
    return a;
  });
  Amounts overhead = AmountsOf(spec["overhead"]);
  for (const auto& [name, n] : AmountsOf(spec["resources"]["requests"])) f->requests[name] = n;   // pod level wins
  Add(f->requests, overhead);
  constexpr std::string_view kStorage = "ephemeral-storage";
  for (const auto& [name, n] : f->requests) {
    if (name == "cpu") f->cpu = n;
    else if (name == "memory") f->memory = n;
    else if (n > 0 && name != "pods") f->others.insert(name == kStorage ? f->others.begin() : f->others.end(), {name, n});
  }
  f->scoring_cpu = scoring.contains("cpu") ? scoring.at("cpu") + overhead["cpu"] : 0;
  f->scoring_memory = scoring.contains("memory") ? scoring.at("memory") + overhead["memory"] : 0;
  for (const char* list : {"containers", "initContainers"}) {
    for (const json::Value& c : spec[list].Items()) {
      if (list[0] == 'i' && c["restartPolicy"].Str() != "Always") continue;
      for (const json::Value& p : c["ports"].Items()) {
        if (p["hostPort"].Int() <= 0) continue;
        const std::string_view ip = p["hostIP"].Str();
        f->ports.push_back({std::string(p["protocol"].Str("TCP")), ip.empty() ? "0.0.0.0" : std::string(ip), p["hostPort"].Int()});
      }
    }
  }
  for (PodClaim& c : ClaimsOfPod(*pod)) f->claims.push_back(std::move(c.name));
  f->priority = static_cast<std::int32_t>(spec["priority"].Int());
  const json::Value& affinity = spec["affinity"];
  f->has_affinity = affinity["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"].size() > 0;
  f->has_anti_affinity = affinity["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"].size() > 0;
  f->looks_at_pods = affinity["podAffinity"].size() > 0 || affinity["podAntiAffinity"].size() > 0;
  f->object = std::move(pod);
  return f;
}

bool SameBoundFacts(const PodFacts& known, const json::Value& pod) {
  const json::Value& then = (*known.object)["metadata"];
  const json::Value& now = pod["metadata"];
  // The specification of a pod has a generation.
  return then["generation"] == now["generation"] && !now["generation"].is_null() && then["labels"] == now["labels"] &&
         then["deletionTimestamp"] == now["deletionTimestamp"] && (*known.object)["status"]["startTime"] == pod["status"]["startTime"];
}

PodPtr BoundFactsOf(const ObjectPtr& pod) {
  const PodPtr whole = FactsOf(pod);
  auto facts = std::make_shared<PodFacts>(*whole);
  json::Value kept;
  const auto keep = [&](std::initializer_list<const char*> where, const char* field) {
    const json::Value* from = pod.get();
    for (const char* step : where) from = &(*from)[step];
    const json::Value* value = from->Find(field);
    if (!value || value->is_null()) return;
    json::Value* to = &kept;
    for (const char* step : where) to = &to->Set(step);
    to->Set(field) = value->Clone();
  };
  keep({}, "apiVersion");
  keep({}, "kind");
  for (const char* field : {"name", "namespace", "uid", "resourceVersion", "generation", "labels", "creationTimestamp", "deletionTimestamp"}) keep({"metadata"}, field);
  for (const char* field : {"affinity", "priority", "nodeName"}) keep({"spec"}, field);
  keep({"status"}, "startTime");
  facts->object = std::make_shared<const json::Value>(std::move(kept));
  return facts;
}

void NodeInfo::Add(PodPtr pod) {
  scheduling::Add(requested, pod->requests);
  used_cpu += pod->cpu;
  used_memory += pod->memory;
  scoring_cpu += pod->scoring_cpu;
  scoring_memory += pod->scoring_memory;
  pods.push_back(std::move(pod));
}

PodPtr NodeInfo::Remove(std::string_view uid) {
  const auto it = std::find_if(pods.begin(), pods.end(), [&](const PodPtr& p) { return p->uid == uid; });
  if (it == pods.end()) return nullptr;
  for (const auto& [resource, n] : (*it)->requests) requested[resource] -= n;
  used_cpu -= (*it)->cpu;
  used_memory -= (*it)->memory;
  scoring_cpu -= (*it)->scoring_cpu;
  scoring_memory -= (*it)->scoring_memory;
  PodPtr pod = std::move(*it);
  pods.erase(it);
  return pod;
}

const json::Value& NodeInfo::labels() const { return (*object)["metadata"]["labels"]; }

void Cluster::SetNode(const ObjectPtr& node) {
  NodeInfo& n = nodes_[std::string((*node)["metadata"]["name"].Str())];
  existing_ += !n.object;
  nodes_with_images_ -= n.object && n.has_images;
  n.name = (*node)["metadata"]["name"].Str();
  n.object = node;
  n.allocatable = AmountsOf((*node)["status"]["allocatable"]);
  n.cpu = AmountOf(n.allocatable, "cpu");
  n.memory = AmountOf(n.allocatable, "memory");
  n.most_pods = AmountOf(n.allocatable, "pods");
  n.has_taints = (*node)["spec"]["taints"].size() > 0;
  n.unschedulable = (*node)["spec"]["unschedulable"].Bool();
  n.has_images = (*node)["status"]["images"].size() > 0;
  nodes_with_images_ += n.has_images;
}

void Cluster::RemoveNode(std::string_view name) {
  const auto it = nodes_.find(name);
  if (it == nodes_.end() || !it->second.object) return;
  --existing_;
  nodes_with_images_ -= it->second.has_images;
  it->second.object = nullptr;
  if (it->second.pods.empty()) nodes_.erase(it);
}

void Cluster::SetPod(PodPtr pod, const std::string& node) {
  RemovePod(pod->uid);
  where_[pod->uid] = {node, pod};
  NodeInfo& n = nodes_[node];
  n.name = node;
  pods_with_affinity_ += pod->looks_at_pods;
  n.Add(std::move(pod));
}

void Cluster::RemovePod(std::string_view uid) {
  const auto it = where_.find(uid);
  if (it == where_.end()) return;
  const auto n = nodes_.find(it->second.node);
  if (n != nodes_.end()) {
    if (const PodPtr pod = n->second.Remove(uid)) pods_with_affinity_ -= pod->looks_at_pods;
    if (n->second.pods.empty() && !n->second.object) nodes_.erase(n);
  }
  where_.erase(it);
}

PodPtr Cluster::FindPod(std::string_view uid, std::string_view node) const {
  const auto it = where_.find(uid);
  return it != where_.end() && it->second.node == node ? it->second.pod : nullptr;
}

NodeInfo* Cluster::Find(std::string_view name) {
  const auto it = nodes_.find(name);
  return it == nodes_.end() ? nullptr : &it->second;
}

}  // namespace skerry::kube::scheduling
