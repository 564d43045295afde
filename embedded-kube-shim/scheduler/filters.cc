#include "embedded-kube-shim/scheduler/filters.h"

#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/pod_facts.h"

namespace skerry::kube::scheduling {
namespace {

const json::Value& Required(const json::Value& spec, std::string_view kind) {
  return spec["affinity"][kind]["requiredDuringSchedulingIgnoredDuringExecution"];
}

Verdict Say(std::string reason, bool resolvable = true) { return {{std::move(reason)}, resolvable}; }

// When every required term names nodes, the others are not looked at any further.
Verdict NodeNames(const CycleState& s, const NodeInfo& node) {
  const auto terms = Required((*s.pod->object)["spec"], "nodeAffinity")["nodeSelectorTerms"].Items();
  if (terms.empty()) return {};
  for (const json::Value& term : terms) {
    const json::Value* names = nullptr;
    for (const json::Value& f : term["matchFields"].Items()) {
      if (f["key"].Str() == "metadata.name" && f["operator"].Str() == "In") names = &f["values"];
    }
    if (!names) return {};
    const auto values = names->Items();
    if (std::any_of(values.begin(), values.end(), [&](const json::Value& v) { return v.Str() == node.name; })) return {};
  }
  return Say("node(s) didn't satisfy plugin(s) [NodeAffinity]", false);
}

Verdict NodeUnschedulable(const CycleState& s, const NodeInfo& node) {
  if (!node.unschedulable) return {};
  json::Value taint;
  taint.Set("key") = "node.kubernetes.io/unschedulable";
  taint.Set("effect") = "NoSchedule";
  if (Tolerates((*s.pod->object)["spec"]["tolerations"], taint)) return {};
  return Say("node(s) were unschedulable", false);
}

Verdict NodeName(const CycleState& s, const NodeInfo& node) {
  const std::string_view name = (*s.pod->object)["spec"]["nodeName"].Str();
  return name.empty() || name == node.name ? Verdict{} : Say("node(s) didn't match the requested node name", false);
}

Verdict TaintToleration(const CycleState& s, const NodeInfo& node) {
  if (!node.has_taints) return {};
  for (const json::Value& taint : (*node.object)["spec"]["taints"].Items()) {
    const std::string_view effect = taint["effect"].Str();
    if (effect != "NoSchedule" && effect != "NoExecute") continue;
    if (!Tolerates((*s.pod->object)["spec"]["tolerations"], taint)) return Say("node(s) had untolerated taint(s)", false);
  }
  return {};
}

Verdict NodeAffinity(const CycleState& s, const NodeInfo& node) {
  const json::Value* added = s.profile && s.profile->added_affinity ? s.profile->added_affinity->Find("requiredDuringSchedulingIgnoredDuringExecution") : nullptr;
  if (added && !MatchesNodeSelector(*added, *node.object)) return Say("node(s) didn't match scheduler-enforced node affinity", false);
  if (MatchesRequiredNodeAffinity((*s.pod->object)["spec"], *node.object)) return {};
  return Say("node(s) didn't match Pod's node affinity/selector", false);
}

Verdict NodePorts(const CycleState& s, const NodeInfo& node) {
  for (const HostPort& mine : s.pod->ports) {
    for (const PodPtr& other : node.pods) {
      for (const HostPort& theirs : other->ports) {
        if (mine.Collides(theirs)) return Say("node(s) didn't have free ports for the requested pod ports");
      }
    }
  }
  return {};
}

Verdict NodeResourcesFit(const CycleState& s, const NodeInfo& node) {
  Verdict v;
  const PodFacts& pod = *s.pod;
  if (static_cast<std::int64_t>(node.pods.size()) + 1 > node.most_pods) v.reasons.emplace_back("Too many pods");
  const auto check = [&](std::string_view name, std::int64_t wanted, std::int64_t have, std::int64_t used) {
    if (wanted <= 0 || wanted <= have - used) return;
    v.reasons.push_back(Cat("Insufficient ", name));
    if (wanted > have) v.resolvable = false;
  };
  check("cpu", pod.cpu, node.cpu, node.used_cpu);
  check("memory", pod.memory, node.memory, node.used_memory);
  for (const auto& [name, wanted] : pod.others) check(name, wanted, AmountOf(node.allocatable, name), AmountOf(node.requested, name));
  return v;
}

Verdict VolumeRestrictions(const CycleState& s, const NodeInfo&) {
  if (!s.volumes.single_pod_taken) return {};
  return Say("node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod");
}

Verdict VolumeBinding(const CycleState& s, const NodeInfo& node) {
  if (!s.sources || s.pod->claims.empty()) return {};
  std::string why = CheckVolumeNode(s.volumes, node, *s.sources);
  return why.empty() ? Verdict{} : Say(std::move(why), false);
}

Verdict VolumeZone(const CycleState& s, const NodeInfo& node) {
  std::string why = CheckVolumeZone(s.volumes, node);
  return why.empty() ? Verdict{} : Say(std::move(why), false);
}

Verdict TopologySpread(const CycleState& s, const NodeInfo& node) {
  for (const SpreadState& c : s.spread) {
    const json::Value* value = node.labels().Find((*c.constraint)["topologyKey"].Str());
    if (!value) return Say("node(s) didn't match pod topology spread constraints (missing required label)", false);
    const bool self = MatchesSelector((*c.constraint)["labelSelector"], (*s.pod->object)["metadata"]["labels"]);
    const auto it = c.matches.find(value->Str());
    const std::int64_t here = it == c.matches.end() ? 0 : it->second;
    if (here + (self ? 1 : 0) - c.minimum > (*c.constraint)["maxSkew"].Int(1)) return Say("node(s) didn't match pod topology spread constraints");
  }
  return {};
}

Verdict InterPodAffinity(const CycleState& s, const NodeInfo& node) {
  const auto count = [&](const TermState& t) -> std::int64_t {
    const json::Value* value = node.labels().Find(t.topology_key);
    const auto it = value ? t.matches.find(value->Str()) : t.matches.end();
    return it == t.matches.end() ? 0 : it->second;
  };
  for (const TermState& t : s.affinity) {
    const bool here = node.labels().Find(t.topology_key) != nullptr;
    if (!here || (count(t) == 0 && !s.affinity_first)) return Say("node(s) didn't match pod affinity rules", false);
  }
  for (const TermState& t : s.anti_affinity) {
    if (count(t) > 0) return Say("node(s) didn't match pod anti-affinity rules");
  }
  for (const auto& [key, value] : s.existing_anti) {
    const json::Value* mine = node.labels().Find(key);
    if (mine && mine->Str() == value) return Say("node(s) didn't satisfy existing pods anti-affinity rules");
  }
  return {};
}

// Which nodes count for a spread constraint: by default those the pod could run on by affinity, whatever their taints.
bool CountsForSpread(const json::Value& constraint, const json::Value& pod, const NodeInfo& node) {
  if (constraint["nodeAffinityPolicy"].Str("Honor") == "Honor" && !MatchesRequiredNodeAffinity(pod["spec"], *node.object)) return false;
  if (constraint["nodeTaintsPolicy"].Str("Ignore") == "Honor") {
    for (const json::Value& taint : (*node.object)["spec"]["taints"].Items()) {
      if (taint["effect"].Str() != "PreferNoSchedule" && !Tolerates(pod["spec"]["tolerations"], taint)) return false;
    }
  }
  return true;
}

// The constraint's selector with the pod's own values of matchLabelKeys.
json::Value WithLabelKeys(const json::Value& constraint, const json::Value& labels) {
  json::Value out = constraint.Clone();
  for (const json::Value& key : constraint["matchLabelKeys"].Items()) {
    if (const json::Value* v = labels.Find(key.Str())) out.Set("labelSelector").Set("matchLabels").Set(key.Str()) = v->Clone();
  }
  return out;
}

// Adds the labels and expressions of a selector.
void Merge(const json::Value& selector, json::Value& into) {
  for (const json::Member& m : selector["matchLabels"].Members()) into.Set("matchLabels").Set(m.key) = m.value.Clone();
  for (const json::Value& e : selector["matchExpressions"].Items()) into.Set("matchExpressions").Append(e.Clone());
}

json::Value LabelsSelector(const json::Value& labels) {
  json::Value selector;
  selector.Set("matchLabels") = labels.Clone();
  return selector;
}

}  // namespace

std::shared_ptr<const json::Value> DefaultConstraints(const SchedulerProfile& profile, const json::Value& pod, const SpreadSources& sources) {
  if (!profile.default_constraints || pod["spec"]["topologySpreadConstraints"].size() > 0) return nullptr;
  const std::string_view ns = Namespace(pod);
  json::Value selector;
  for (const ObjectPtr& service : sources.services->List(ns)) {
    const json::Value& labels = (*service)["spec"]["selector"];
    if (labels.size() > 0 && MatchesSelector(LabelsSelector(labels), Meta(pod)["labels"])) Merge(LabelsSelector(labels), selector);
  }
  if (const json::Value* owner = ControllerRef(pod)) {
    const std::string_view kind = (*owner)["kind"].Str();
    const Lister* lister = kind == "ReplicaSet" ? sources.sets : kind == "StatefulSet" ? sources.stateful_sets : kind == "ReplicationController" ? sources.controllers : nullptr;
    const ObjectPtr object = lister ? lister->Get({std::string(ns), std::string((*owner)["name"].Str())}) : nullptr;
    if (object && lister == sources.controllers) {
      Merge(LabelsSelector((*object)["spec"]["selector"]), selector);
    } else if (object) {
      Merge((*object)["spec"]["selector"], selector);
    }
  }
  if (selector.is_null()) return nullptr;
  json::Value out = profile.default_constraints->Clone();
  for (json::Value& c : out.MutableItems()) c.Set("labelSelector") = selector.Clone();
  return std::make_shared<const json::Value>(std::move(out));
}

bool MatchesTerm(const json::Value& term, const json::Value& owner, const json::Value& pod, const Lister& namespaces) {
  const std::string_view ns = Namespace(pod);
  const auto listed = term["namespaces"].Items();
  const json::Value& by_label = term["namespaceSelector"];
  bool in = std::any_of(listed.begin(), listed.end(), [&](const json::Value& n) { return n.Str() == ns; });
  if (!in && listed.empty() && by_label.is_null()) in = ns == Namespace(owner);
  if (!in && by_label.is_object()) {
    const ObjectPtr object = namespaces.Get({"", std::string(ns)});
    in = object && MatchesSelector(by_label, Meta(*object)["labels"]);
  }
  if (!in) return false;
  json::Value selector = term["labelSelector"].Clone();
  // The API server has merged matchLabelKeys and mismatchLabelKeys into the selector when the pod was created.
  return MatchesSelector(selector, Meta(pod)["labels"]);
}

CycleState Prepare(const Cluster& cluster, PodPtr pod, const Lister& namespaces, const VolumeSources* sources, const SchedulerProfile* profile,
                   std::shared_ptr<const json::Value> default_constraints) {
  CycleState s;
  s.profile = profile;
  s.default_constraints = std::move(default_constraints);
  s.pod = std::move(pod);
  s.namespaces = &namespaces;
  s.sources = sources;
  return PrepareAgain(cluster, s);
}

CycleState PrepareAgain(const Cluster& cluster, const CycleState& before) {
  CycleState s;
  s.pod = before.pod;
  s.namespaces = before.namespaces;
  s.sources = before.sources;
  s.profile = before.profile;
  s.default_constraints = before.default_constraints;
  if (s.sources && !s.pod->claims.empty()) s.volumes = PrepareVolumes(*s.pod, cluster, *s.sources);
  const json::Value& me = *s.pod->object;
  const json::Value& spec = me["spec"];
  const auto terms = [&](const char* kind, std::vector<TermState>& out) {
    for (const json::Value& term : Required(spec, kind).Items()) out.push_back({std::string(term["topologyKey"].Str()), {}});
  };
  terms("podAffinity", s.affinity);
  terms("podAntiAffinity", s.anti_affinity);
  for (const json::Value& c : s.constraints().Items()) {
    if (c["whenUnsatisfiable"].Str() != "DoNotSchedule") continue;
    s.spread.push_back({std::make_shared<const json::Value>(WithLabelKeys(c, me["metadata"]["labels"])), {}, 0});
  }

  const auto affinity_terms = Required(spec, "podAffinity").Items();
  const auto anti_terms = Required(spec, "podAntiAffinity").Items();
  bool any_affinity_match = false;
  const bool pods_matter = !s.affinity.empty() || !s.anti_affinity.empty() || cluster.pods_with_affinity() > 0;
  for (const auto& [name, node] : cluster.nodes()) {
    if (!pods_matter && s.spread.empty()) break;
    if (!node.object) continue;
    for (SpreadState& c : s.spread) {
      const json::Value* value = node.labels().Find((*c.constraint)["topologyKey"].Str());
      if (!value || !CountsForSpread(*c.constraint, me, node)) continue;
      std::int64_t& n = c.matches[std::string(value->Str())];
      for (const PodPtr& p : node.pods) {
        if (p->key.ns == s.pod->key.ns && !IsTerminating(*p->object) && MatchesSelector((*c.constraint)["labelSelector"], Meta(*p->object)["labels"])) ++n;
      }
    }
    if (!pods_matter) continue;
    for (const PodPtr& p : node.pods) {
      // A pod counts for affinity only when it matches every term.
      const bool all = !affinity_terms.empty() && std::all_of(affinity_terms.begin(), affinity_terms.end(), [&](const json::Value& t) {
        return MatchesTerm(t, me, *p->object, *s.namespaces);
      });
      for (TermState& t : s.affinity) {
        const json::Value* value = node.labels().Find(t.topology_key);
        if (!all || !value) continue;
        ++t.matches[std::string(value->Str())];
        any_affinity_match = true;
      }
      for (std::size_t i = 0; i < s.anti_affinity.size(); ++i) {
        const json::Value* value = node.labels().Find(s.anti_affinity[i].topology_key);
        if (value && MatchesTerm(anti_terms[i], me, *p->object, *s.namespaces)) ++s.anti_affinity[i].matches[std::string(value->Str())];
      }
      if (!p->has_anti_affinity) continue;
      for (const json::Value& term : Required((*p->object)["spec"], "podAntiAffinity").Items()) {
        const json::Value* value = node.labels().Find(term["topologyKey"].Str());
        if (value && MatchesTerm(term, *p->object, me, *s.namespaces)) s.existing_anti.emplace(term["topologyKey"].Str(), value->Str());
      }
    }
  }
  s.affinity_first = !any_affinity_match && !affinity_terms.empty() && std::all_of(affinity_terms.begin(), affinity_terms.end(), [&](const json::Value& t) {
    return MatchesTerm(t, me, me, *s.namespaces);
  });
  for (SpreadState& c : s.spread) {
    const std::int64_t wanted = (*c.constraint)["minDomains"].Int(1);
    if (static_cast<std::int64_t>(c.matches.size()) < wanted || c.matches.empty()) continue;   // too few domains: the minimum counts as zero
    c.minimum = INT64_MAX;
    for (const auto& [value, n] : c.matches) c.minimum = std::min(c.minimum, n);
  }
  return s;
}

namespace {

bool HasClaims(const CycleState& s) { return !s.pod->claims.empty(); }
bool HasNodeRules(const CycleState& s) { return (s.profile && s.profile->added_affinity) || (*s.pod->object)["spec"]["nodeSelector"].size() > 0 || (*s.pod->object)["spec"]["affinity"]["nodeAffinity"].size() > 0; }
bool HasNodeName(const CycleState& s) { return !(*s.pod->object)["spec"]["nodeName"].Str().empty(); }
bool HasPorts(const CycleState& s) { return !s.pod->ports.empty(); }
bool HasSpread(const CycleState& s) { return !s.spread.empty(); }
bool HasPodRules(const CycleState& s) { return !s.affinity.empty() || !s.anti_affinity.empty() || !s.existing_anti.empty(); }

}  // namespace

std::span<const Filter> Filters() {
  static constexpr Filter kFilters[] = {
      {"NodeAffinity", NodeNames, HasNodeRules},
      {"NodeUnschedulable", NodeUnschedulable, nullptr},
      {"NodeName", NodeName, HasNodeName},
      {"TaintToleration", TaintToleration, nullptr},
      {"NodeAffinity", NodeAffinity, HasNodeRules},
      {"NodePorts", NodePorts, HasPorts},
      {"NodeResourcesFit", NodeResourcesFit, nullptr},
      {"VolumeRestrictions", VolumeRestrictions, HasClaims},
      {"VolumeBinding", VolumeBinding, HasClaims},
      {"VolumeZone", VolumeZone, HasClaims},
      {"PodTopologySpread", TopologySpread, HasSpread},
      {"InterPodAffinity", InterPodAffinity, HasPodRules},
  };
  return kFilters;
}

std::vector<const Filter*> FiltersFor(const CycleState& state, const SchedulerProfile& profile) {
  std::vector<const Filter*> out;
  for (const Filter& f : Filters()) {
    if (!profile.filters_off.contains(f.name) && (!f.concerns || f.concerns(state))) out.push_back(&f);
  }
  return out;
}

}  // namespace skerry::kube::scheduling
