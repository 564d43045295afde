#include "embedded-kube-shim/server/flow_bootstrap.h"

#include <array>
#include <string_view>

#include "core/base/strings.h"

namespace skerry::kube {
namespace {

struct Level {
  std::string_view name;
  int shares, lendable, queues, hand;   // queues 0 = rejects
};
constexpr std::array<Level, 7> kLevels = {{{"catch-all", 5, 0, 0, 0}, {"system", 30, 33, 64, 6}, {"node-high", 40, 25, 64, 6}, {"leader-election", 10, 0, 16, 4},
                                           {"workload-high", 40, 50, 128, 6}, {"workload-low", 100, 90, 128, 6}, {"global-default", 20, 50, 128, 6}}};

// Rules: "verbs ; groups ; resources ; namespaces", with "+cluster" in the namespaces; or "verbs ; paths".
struct Schema {
  std::string_view name, level;
  int precedence;
  std::string_view method, subjects, rules;   // several rules are separated by |
};
constexpr std::string_view kAll = "* ; * ; * ; *,+cluster | * ; *", kEverybody = "group:system:unauthenticated,group:system:authenticated";
constexpr std::array<Schema, 13> kSchemas = {{
    {"exempt", "exempt", 1, "", "group:system:masters", kAll},
    {"probes", "exempt", 2, "", kEverybody, "get ; /healthz,/readyz,/livez"},
    {"system-leader-election", "leader-election", 100, "ByUser", "user:system:kube-controller-manager,user:system:kube-scheduler,sa:kube-system/*", "get,create,update ; coordination.k8s.io ; leases ; *"},
    {"endpoint-controller", "workload-high", 150, "ByUser", "user:system:kube-controller-manager,sa:kube-system/endpoint-controller,sa:kube-system/endpointslice-controller,sa:kube-system/endpointslicemirroring-controller",
     "get,create,update ; - ; endpoints ; * | get,create,update ; discovery.k8s.io ; endpointslices ; *"},
    {"workload-leader-election", "leader-election", 200, "ByUser", "sa:kube-system/*", "get,create,update ; coordination.k8s.io ; leases ; *"},
    {"system-node-high", "node-high", 400, "ByUser", "group:system:nodes", "* ; - ; nodes,nodes/status ; *,+cluster | * ; coordination.k8s.io ; leases ; kube-node-lease"},
    {"system-nodes", "system", 500, "ByUser", "group:system:nodes", kAll},
    {"kube-controller-manager", "workload-high", 800, "ByNamespace", "user:system:kube-controller-manager", kAll},
    {"kube-scheduler", "workload-high", 800, "ByNamespace", "user:system:kube-scheduler", kAll},
    {"kube-system-service-accounts", "workload-high", 900, "ByNamespace", "sa:kube-system/*", kAll},
    {"service-accounts", "workload-low", 9000, "ByUser", "group:system:serviceaccounts", kAll},
    {"global-default", "global-default", 9900, "ByUser", kEverybody, kAll},
    {"catch-all", "catch-all", 10000, "ByUser", kEverybody, kAll},
}};

json::Value Named(std::string_view kind, std::string_view name) {
  json::Value object;
  object.Set("apiVersion") = "flowcontrol.apiserver.k8s.io/v1";
  object.Set("kind") = kind;
  object.Set("metadata").Set("name") = name;
  object.Set("metadata").Set("annotations").Set("apf.kubernetes.io/autoupdate-spec") = "true";
  return object;
}

json::Value Texts(std::string_view list) {
  auto out = json::Value::Array();
  for (const auto item : Split(list, ','))
    if (Trim(item) != "+cluster") out.Append(json::Value(Trim(item) == "-" ? std::string_view() : Trim(item)));
  return out;
}

json::Value SubjectOf(std::string_view text) {
  json::Value subject;
  const auto colon = text.find(':');
  const auto kind = text.substr(0, colon), rest = text.substr(colon + 1);
  if (kind == "sa") {
    subject.Set("kind") = "ServiceAccount";
    const auto slash = rest.find('/');
    subject.Set("serviceAccount").Set("namespace") = rest.substr(0, slash);
    subject.Set("serviceAccount").Set("name") = rest.substr(slash + 1);
    return subject;
  }
  subject.Set("kind") = kind == "user" ? "User" : "Group";
  subject.Set(kind).Set("name") = rest;
  return subject;
}

json::Value RulesOf(const Schema& schema) {
  json::Value rule;
  for (const auto subject : Split(schema.subjects, ',')) rule.Set("subjects").Append(SubjectOf(subject));
  for (const auto text : Split(schema.rules, '|')) {
    const auto fields = Split(text, ';');
    json::Value one;
    one.Set("verbs") = Texts(fields[0]);
    if (fields.size() == 2) {
      one.Set("nonResourceURLs") = Texts(fields[1]);
      rule.Set("nonResourceRules").Append(std::move(one));
      continue;
    }
    one.Set("apiGroups") = Texts(fields[1]);
    one.Set("resources") = Texts(fields[2]);
    if (fields[3].find("+cluster") != std::string_view::npos) one.Set("clusterScope") = true;
    one.Set("namespaces") = Texts(fields[3]);
    rule.Set("resourceRules").Append(std::move(one));
  }
  auto rules = json::Value::Array();
  rules.Append(std::move(rule));
  return rules;
}

}  // namespace

std::vector<json::Value> BootstrapFlows() {
  std::vector<json::Value> out;
  auto exempt = Named("PriorityLevelConfiguration", "exempt");
  exempt.Set("spec").Set("type") = "Exempt";
  exempt.Set("spec").Set("exempt").Set("nominalConcurrencyShares") = 0;
  exempt.Set("spec").Set("exempt").Set("lendablePercent") = 0;
  out.push_back(std::move(exempt));
  for (const auto& level : kLevels) {
    auto object = Named("PriorityLevelConfiguration", level.name);
    auto& spec = object.Set("spec");
    spec.Set("type") = "Limited";
    auto& limited = spec.Set("limited");
    limited.Set("nominalConcurrencyShares") = level.shares;
    auto& response = limited.Set("limitResponse");
    response.Set("type") = level.queues > 0 ? "Queue" : "Reject";
    if (level.queues > 0) {
      auto& queuing = response.Set("queuing");
      queuing.Set("queues") = level.queues;
      queuing.Set("handSize") = level.hand;
      queuing.Set("queueLengthLimit") = 50;
    }
    limited.Set("lendablePercent") = level.lendable;
    out.push_back(std::move(object));
  }
  for (const auto& schema : kSchemas) {
    auto object = Named("FlowSchema", schema.name);
    auto& spec = object.Set("spec");
    spec.Set("priorityLevelConfiguration").Set("name") = schema.level;
    spec.Set("matchingPrecedence") = schema.precedence;
    if (!schema.method.empty()) spec.Set("distinguisherMethod").Set("type") = schema.method;
    spec.Set("rules") = RulesOf(schema);
    out.push_back(std::move(object));
  }
  return out;
}

}  // namespace skerry::kube
