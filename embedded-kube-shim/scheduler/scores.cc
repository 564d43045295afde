#include <algorithm>
#include <cmath>

#include "embedded-kube-shim/controllers/pod_facts.h"
#include "embedded-kube-shim/scheduler/filters.h"

namespace skerry::kube::scheduling {
namespace {

using Row = std::vector<std::int64_t>;
constexpr std::int64_t kBest = 100;

// The emptier (or, to pack nodes, the fuller), the better.
std::int64_t Allocated(const CycleState& s, const NodeInfo& n, const SchedulerProfile& profile) {
  const bool least = profile.packing == SchedulerProfile::Packing::kLeastAllocated;
  const auto part = [&](std::int64_t used, std::int64_t have) {
    if (have <= 0 || used > have) return std::int64_t{0};
    return (least ? have - used : used) * kBest / have;
  };
  std::int64_t sum = 0, weights = 0;
  for (const auto& [name, weight] : profile.packed) {
    std::int64_t have = 0, used = 0;
    if (name == "cpu") {
      have = n.cpu;
      used = n.scoring_cpu + s.pod->scoring_cpu;
    } else if (name == "memory") {
      have = n.memory;
      used = n.scoring_memory + s.pod->scoring_memory;
    } else {
      have = AmountOf(n.allocatable, name);
      used = AmountOf(n.requested, name) + AmountOf(s.pod->requests, name);
      if (have == 0) continue;         // the node has none of it
    }
    sum += part(used, have) * weight;
    weights += weight;
  }
  return weights == 0 ? 0 : sum / weights;
}

// The more evenly processor and memory are used, the better.
std::int64_t Balanced(const CycleState& s, const NodeInfo& n) {
  const auto part = [](std::int64_t used, std::int64_t have) { return have <= 0 ? 1.0 : std::min(1.0, static_cast<double>(used) / static_cast<double>(have)); };
  const double cpu = part(n.used_cpu + s.pod->cpu, n.cpu), memory = part(n.used_memory + s.pod->memory, n.memory);
  return static_cast<std::int64_t>((1.0 - std::fabs(cpu - memory) / 2) * static_cast<double>(kBest));
}

std::int64_t PreferredNodes(const CycleState& s, const NodeInfo& n) {
  constexpr std::string_view kPreferred = "preferredDuringSchedulingIgnoredDuringExecution";
  std::int64_t sum = 0;
  const auto add = [&](const json::Value& affinity) {
    for (const json::Value& p : affinity[kPreferred].Items()) {
      if (p["weight"].Int() != 0 && MatchesNodeTerm(p["preference"], *n.object)) sum += p["weight"].Int();
    }
  };
  add((*s.pod->object)["spec"]["affinity"]["nodeAffinity"]);
  if (s.profile && s.profile->added_affinity) add(*s.profile->added_affinity);
  return sum;
}

std::int64_t UntoleratedPreferences(const CycleState& s, const NodeInfo& n) {
  std::int64_t count = 0;
  if (!n.has_taints) return 0;
  for (const json::Value& taint : (*n.object)["spec"]["taints"].Items()) {
    if (taint["effect"].Str() == "PreferNoSchedule" && !Tolerates((*s.pod->object)["spec"]["tolerations"], taint)) ++count;
  }
  return count;
}

// Images that are there already, weighted by how many nodes have them (one image on one node must not draw every pod).
std::int64_t ImageLocality(const Cluster& cluster, const CycleState& s, const NodeInfo& n) {
  constexpr std::int64_t kMegabyte = 1 << 20, kLeast = 23 * kMegabyte, kMost = 1000 * kMegabyte;
  std::int64_t sum = 0, containers = 0;
  for (const char* list : {"initContainers", "containers"}) {
    for (const json::Value& c : (*s.pod->object)["spec"][list].Items()) {
      ++containers;
      std::string name(c["image"].Str());
      if (name.rfind(':') == std::string::npos || name.rfind(':') < name.rfind('/')) name += ":latest";
      const auto size_on = [&](const NodeInfo& node) -> std::int64_t {
        for (const json::Value& image : (*node.object)["status"]["images"].Items()) {
          for (const json::Value& alias : image["names"].Items()) {
            if (alias.Str() == name) return image["sizeBytes"].Int();
          }
        }
        return 0;
      };
      const std::int64_t size = size_on(n);
      if (size == 0) continue;
      std::int64_t holders = 0;
      for (const auto& [other, node] : cluster.nodes()) holders += node.object && size_on(node) > 0;
      sum += size * holders / std::max<std::int64_t>(1, static_cast<std::int64_t>(cluster.size()));
    }
  }
  if (containers == 0) return 0;
  const std::int64_t most = kMost * containers;
  return kBest * (std::clamp(sum, kLeast, most) - kLeast) / (most - kLeast);
}

// Preferred (anti-)affinity of the pod to others and of others to it, and others' required affinity.
Row InterPod(const Cluster& cluster, const CycleState& s, const std::vector<const NodeInfo*>& nodes, std::int64_t hard_weight) {
  const json::Value& me = *s.pod->object;
  std::map<std::pair<std::string, std::string>, std::int64_t> weights;   // (topology key, value)
  const auto add = [&](const NodeInfo& node, const json::Value& term, std::int64_t weight) {
    if (const json::Value* v = node.labels().Find(term["topologyKey"].Str())) weights[{std::string(term["topologyKey"].Str()), std::string(v->Str())}] += weight;
  };
  if (!s.pod->looks_at_pods && cluster.pods_with_affinity() == 0) return Row(nodes.size(), 0);
  const auto preferred = [](const json::Value& spec, const char* kind) { return spec["affinity"][kind]["preferredDuringSchedulingIgnoredDuringExecution"].Items(); };
  for (const auto& [name, node] : cluster.nodes()) {
    if (!node.object) continue;
    for (const PodPtr& p : node.pods) {
      if (!s.pod->looks_at_pods && !p->looks_at_pods) continue;
      const json::Value& other = *p->object;
      for (const char* kind : {"podAffinity", "podAntiAffinity"}) {
        const std::int64_t sign = kind[3] == 'A' && kind[4] == 'f' ? 1 : -1;
        for (const json::Value& t : preferred(me["spec"], kind)) {
          if (MatchesTerm(t["podAffinityTerm"], me, other, *s.namespaces)) add(node, t["podAffinityTerm"], sign * t["weight"].Int());
        }
        for (const json::Value& t : preferred(other["spec"], kind)) {
          if (MatchesTerm(t["podAffinityTerm"], other, me, *s.namespaces)) add(node, t["podAffinityTerm"], sign * t["weight"].Int());
        }
      }
      for (const json::Value& t : other["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"].Items()) {
        if (MatchesTerm(t, other, me, *s.namespaces)) add(node, t, hard_weight);
      }
    }
  }
  Row out(nodes.size(), 0);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    for (const auto& [place, weight] : weights) {
      const json::Value* v = nodes[i]->labels().Find(place.first);
      if (v && v->Str() == place.second) out[i] += weight;
    }
  }
  const auto [low, high] = std::minmax_element(out.begin(), out.end());
  const std::int64_t least = *low, range = *high - *low;
  for (std::int64_t& v : out) v = range > 0 ? kBest * (v - least) / range : 0;
  return out;
}

// Soft spread constraints: the fewer matching pods in the node's domain, the better.
Row SoftSpread(const Cluster& cluster, const CycleState& s, const std::vector<const NodeInfo*>& nodes) {
  const json::Value& me = *s.pod->object;
  Row out(nodes.size(), 0);
  std::vector<bool> ignored(nodes.size(), false);
  bool any = false;
  std::vector<double> cost(nodes.size(), 0);
  const bool need_labels = !s.default_constraints || !s.profile || s.profile->constraints_need_labels;
  for (const json::Value& c : s.constraints().Items()) {
    if (c["whenUnsatisfiable"].Str() != "ScheduleAnyway") continue;
    any = true;
    std::map<std::string, std::int64_t, std::less<>> matches;
    for (const auto& [name, node] : cluster.nodes()) {
      const json::Value* v = node.object ? node.labels().Find(c["topologyKey"].Str()) : nullptr;
      if (!v || !MatchesRequiredNodeAffinity(me["spec"], *node.object)) continue;
      std::int64_t& n = matches[std::string(v->Str())];
      for (const PodPtr& p : node.pods) n += p->key.ns == s.pod->key.ns && !IsTerminating(*p->object) && MatchesSelector(c["labelSelector"], Meta(*p->object)["labels"]);
    }
    const double weight = std::log(static_cast<double>(matches.size() + 2));
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const json::Value* v = nodes[i]->labels().Find(c["topologyKey"].Str());
      if (!v) {
        ignored[i] = ignored[i] || need_labels;
      } else {
        cost[i] += static_cast<double>(matches[std::string(v->Str())]) * weight + static_cast<double>(c["maxSkew"].Int(1) - 1);
      }
    }
  }
  if (!any) return out;
  std::int64_t least = INT64_MAX, most = 0;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (ignored[i]) continue;
    least = std::min(least, static_cast<std::int64_t>(std::llround(cost[i])));
    most = std::max(most, static_cast<std::int64_t>(std::llround(cost[i])));
  }
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (!ignored[i]) out[i] = most == 0 ? kBest : kBest * (most + least - std::llround(cost[i])) / most;
  }
  return out;
}

void Normalize(Row& row, bool reverse) {
  const std::int64_t most = row.empty() ? 0 : *std::max_element(row.begin(), row.end());
  for (std::int64_t& v : row) {
    v = most == 0 ? (reverse ? kBest : 0) : kBest * v / most;
    if (reverse && most != 0) v = kBest - v;
  }
}

}  // namespace

std::vector<std::int64_t> Scores(const Cluster& cluster, const CycleState& s, const std::vector<const NodeInfo*>& nodes, const SchedulerProfile& profile) {
  Row total(nodes.size(), 0);
  const auto weight = [&](std::string_view plugin) {
    const auto it = profile.weights.find(plugin);
    return it == profile.weights.end() ? 0 : it->second;
  };
  const auto add = [&](const Row& row, std::int64_t times) {
    for (std::size_t i = 0; i < row.size(); ++i) total[i] += row[i] * times;
  };
  const auto each = [&](auto f) {
    Row row;
    row.reserve(nodes.size());
    for (const NodeInfo* n : nodes) row.push_back(f(*n));
    return row;
  };
  // What is the same for every node decides nothing.
  const json::Value& spec = (*s.pod->object)["spec"];
  if (const std::int64_t w = weight("TaintToleration"); w > 0 && std::any_of(nodes.begin(), nodes.end(), [](const NodeInfo* n) { return n->has_taints; })) {
    Row taints = each([&](const NodeInfo& n) { return UntoleratedPreferences(s, n); });
    Normalize(taints, true);
    add(taints, w);
  }
  if (const std::int64_t w = weight("NodeAffinity"); w > 0 && (spec["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"].size() > 0 || (s.profile && s.profile->added_affinity))) {
    Row affinity = each([&](const NodeInfo& n) { return PreferredNodes(s, n); });
    Normalize(affinity, false);
    add(affinity, w);
  }
  if (const std::int64_t w = weight("PodTopologySpread"); w > 0 && s.constraints().size() > 0) add(SoftSpread(cluster, s, nodes), w);
  if (const std::int64_t w = weight("InterPodAffinity"); w > 0 && (s.pod->looks_at_pods || cluster.pods_with_affinity() > 0)) add(InterPod(cluster, s, nodes, profile.hard_affinity_weight), w);
  if (const std::int64_t w = weight("NodeResourcesFit"); w > 0) add(each([&](const NodeInfo& n) { return Allocated(s, n, profile); }), w);
  if (const std::int64_t w = weight("NodeResourcesBalancedAllocation"); w > 0) add(each([&](const NodeInfo& n) { return Balanced(s, n); }), w);
  if (const std::int64_t w = weight("ImageLocality"); w > 0 && cluster.nodes_with_images() > 0) add(each([&](const NodeInfo& n) { return ImageLocality(cluster, s, n); }), w);
  return total;
}

}  // namespace skerry::kube::scheduling
