#include "embedded-kube-shim/scheduler/preemption.h"

#include <algorithm>

#include "embedded-kube-shim/controllers/pod_facts.h"

namespace skerry::kube::scheduling {
namespace {

bool Fits(const Cluster& cluster, const CycleState& state, const NodeInfo& node) {
  const CycleState now = PrepareAgain(cluster, state);
  return std::all_of(Filters().begin(), Filters().end(), [&](const Filter& f) { return f.check(now, node).fits(); });
}

std::string_view StartOf(const PodFacts& p) {
  const std::string_view started = (*p.object)["status"]["startTime"].Str();
  return started.empty() ? Meta(*p.object)["creationTimestamp"].Str() : started;
}

// More important first: higher priority, then running for longer.
bool MoreImportant(const PodPtr& a, const PodPtr& b) { return a->priority != b->priority ? a->priority > b->priority : StartOf(*a) < StartOf(*b); }

// Pods whose eviction would take a budget below zero.
std::vector<bool> BreakBudgets(const std::vector<PodPtr>& pods, const Lister& budgets) {
  std::map<std::string, std::int64_t> left;
  std::vector<bool> out;
  for (const PodPtr& p : pods) {
    bool breaks = false;
    for (const ObjectPtr& b : budgets.List(p->key.ns)) {
      const json::Value& selector = (*b)["spec"]["selector"];
      if (selector["matchLabels"].size() == 0 && selector["matchExpressions"].size() == 0) continue;
      if (!MatchesSelector(selector, Meta(*p->object)["labels"])) continue;
      if ((*b)["status"]["disruptedPods"].Find(p->key.name)) continue;   // its eviction is counted already
      auto [it, fresh] = left.try_emplace(std::string(Uid(*b)), (*b)["status"]["disruptionsAllowed"].Int());
      if (--it->second < 0) breaks = true;
    }
    out.push_back(breaks);
  }
  return out;
}

struct Candidate {
  Eviction eviction;
  std::int64_t broken = 0;
};

std::optional<Candidate> OnNode(Cluster& cluster, const CycleState& state, const std::string& name, const Lister& budgets) {
  const NodeInfo* node = cluster.Find(name);
  if (!node) return std::nullopt;
  std::vector<PodPtr> lower;
  for (const PodPtr& p : node->pods) {
    if (p->priority < state.pod->priority) lower.push_back(p);
  }
  if (lower.empty()) return std::nullopt;
  for (const PodPtr& p : lower) cluster.RemovePod(p->uid);
  std::optional<Candidate> out;
  std::vector<PodPtr> victims;
  node = cluster.Find(name);
  if (node && Fits(cluster, state, *node)) {
    std::stable_sort(lower.begin(), lower.end(), MoreImportant);
    const std::vector<bool> breaks = BreakBudgets(lower, budgets);
    out.emplace();
    // Give back as many as fit, those protected by a budget and the important ones first.
    for (const bool protected_turn : {true, false}) {
      for (std::size_t i = 0; i < lower.size(); ++i) {
        if (breaks[i] != protected_turn) continue;
        cluster.SetPod(lower[i], name);
        if (Fits(cluster, state, *cluster.Find(name))) continue;
        cluster.RemovePod(lower[i]->uid);
        victims.push_back(lower[i]);
        if (protected_turn) ++out->broken;
      }
    }
    if (victims.empty()) out.reset();
  }
  for (const PodPtr& p : lower) cluster.SetPod(p, name);
  if (!out) return std::nullopt;
  std::stable_sort(victims.begin(), victims.end(), MoreImportant);
  out->eviction = {name, std::move(victims)};
  return out;
}

bool Better(const Candidate& a, const Candidate& b) {
  if (a.broken != b.broken) return a.broken < b.broken;
  const auto &x = a.eviction.victims, &y = b.eviction.victims;
  if (x[0]->priority != y[0]->priority) return x[0]->priority < y[0]->priority;
  const auto sum = [](const std::vector<PodPtr>& v) {
    std::int64_t n = 0;
    for (const PodPtr& p : v) n += static_cast<std::int64_t>(p->priority) + INT32_MAX + 1LL;   // also counts pods when priorities are negative
    return n;
  };
  if (sum(x) != sum(y)) return sum(x) < sum(y);
  if (x.size() != y.size()) return x.size() < y.size();
  return StartOf(*x[0]) > StartOf(*y[0]);
}

}  // namespace

std::optional<Eviction> FindVictims(Cluster& cluster, const CycleState& state, const std::vector<std::string>& candidates, const Lister& budgets) {
  std::optional<Candidate> best;
  for (const std::string& name : candidates) {
    std::optional<Candidate> c = OnNode(cluster, state, name, budgets);
    if (c && (!best || Better(*c, *best))) best = std::move(c);
  }
  if (!best) return std::nullopt;
  return std::move(best->eviction);
}

}  // namespace skerry::kube::scheduling
