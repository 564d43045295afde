#include <algorithm>
#include <cmath>

#include "embedded-kube-shim/controllers/pod_facts.h"
#include "embedded-kube-shim/scheduler/filters.h"

namespace skerry::kube::scheduling {
namespace {

using Row = std::vector<std::int64_t>;
constexpr std::int64_t kBest = 100;

std::int64_t AmountOf(const Amounts& a, std::string_view name) {
  const auto it = a.find(name);
  return it == a.end() ? 0 : it->second;
}

// The emptier, the better.
std::int64_t LeastAllocated(const CycleState& s, const NodeInfo& n) {
  const auto part = [](std::int64_t used, std::int64_t have) { return have <= 0 || used > have ? std::int64_t{0} : (have - used) * kBest / have; };
  return (part(n.scoring_cpu + s.pod->scoring_cpu, AmountOf(n.allocatable, "cpu")) +
          part(n.scoring_memory + s.pod->scoring_memory, AmountOf(n.allocatable, "memory"))) / 2;
}

// The more evenly processor and memory are used, the better.
std::int64_t Balanced(const CycleState& s, const NodeInfo& n) {
  const auto part = [&](std::string_view name) {
    const double have = static_cast<double>(AmountOf(n.allocatable, name));
    return have <= 0 ? 1.0 : std::min(1.0, static_cast<double>(AmountOf(n.requested, name) + AmountOf(s.pod->requests, name)) / have);
  };
  return static_cast<std::int64_t>((1.0 - std::fabs(part("cpu") - part("memory")) / 2) * static_cast<double>(kBest));
}

std::int64_t PreferredNodes(const CycleState& s, const NodeInfo& n) {
  std::int64_t sum = 0;
  for (const json::Value& p : (*s.pod->object)["spec"]["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"].Items()) {
    if (p["weight"].Int() != 0 && MatchesNodeTerm(p["preference"], *n.object)) sum += p["weight"].Int();
  }
  return sum;
}

std::int64_t UntoleratedPreferences(const CycleState& s, const NodeInfo& n) {
  std::int64_t count = 0;
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
Row InterPod(const Cluster& cluster, const CycleState& s, const std::vector<const NodeInfo*>& nodes) {
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
        if (MatchesTerm(t, other, me, *s.namespaces)) add(node, t, 1);
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
  for (const json::Value& c : me["spec"]["topologySpreadConstraints"].Items()) {
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
        ignored[i] = true;
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

std::vector<std::int64_t> Scores(const Cluster& cluster, const CycleState& s, const std::vector<const NodeInfo*>& nodes) {
  Row total(nodes.size(), 0);
  const auto add = [&](const Row& row, std::int64_t weight) {
    for (std::size_t i = 0; i < row.size(); ++i) total[i] += row[i] * weight;
  };
  const auto each = [&](auto f) {
    Row row;
    for (const NodeInfo* n : nodes) row.push_back(f(*n));
    return row;
  };
  Row taints = each([&](const NodeInfo& n) { return UntoleratedPreferences(s, n); });
  Normalize(taints, true);
  add(taints, 3);
  Row affinity = each([&](const NodeInfo& n) { return PreferredNodes(s, n); });
  Normalize(affinity, false);
  add(affinity, 2);
  add(SoftSpread(cluster, s, nodes), 2);
  add(InterPod(cluster, s, nodes), 2);
  add(each([&](const NodeInfo& n) { return LeastAllocated(s, n); }), 1);
  add(each([&](const NodeInfo& n) { return Balanced(s, n); }), 1);
  add(each([&](const NodeInfo& n) { return ImageLocality(cluster, s, n); }), 1);
  return total;
}

}  // namespace skerry::kube::scheduling
