#include <limits>

#include "embedded-kube-shim/apis/defaults.h"

namespace skerry::kube::defaults {
namespace {

using json::Value;

void DeploymentStrategyDefaults(Value& spec) {
  Value& strategy = spec.Set("strategy");
  SetIfLacking(strategy, "type", "RollingUpdate");
  if (strategy["type"].Str() != "RollingUpdate") return;
  Value& rolling = strategy.Set("rollingUpdate");
  if (rolling["maxUnavailable"].is_null()) rolling.Set("maxUnavailable") = "25%";
  if (rolling["maxSurge"].is_null()) rolling.Set("maxSurge") = "25%";
}

void DaemonSetDefaults(Value& spec) {
  Value& strategy = spec.Set("updateStrategy");
  SetIfLacking(strategy, "type", "RollingUpdate");
  if (strategy["type"].Str() != "RollingUpdate") return;
  Value& rolling = strategy.Set("rollingUpdate");
  if (rolling["maxUnavailable"].is_null()) rolling.Set("maxUnavailable") = 1;
  if (rolling["maxSurge"].is_null()) rolling.Set("maxSurge") = 0;
}

void StatefulSetDefaults(Value& spec) {
  Value& strategy = spec.Set("updateStrategy");
  SetIfLacking(strategy, "type", "RollingUpdate");
  if (strategy["type"].Str() == "RollingUpdate") SetIfLacking(strategy.Set("rollingUpdate"), "partition", 0);
  if (Value* claims = spec.Find("volumeClaimTemplates"); claims && claims->is_array())
    for (Value& claim : claims->MutableItems()) {
      claim.Set("apiVersion") = "v1";
      claim.Set("kind") = "PersistentVolumeClaim";
    }
}

void JobSpecDefaults(Value& spec) {
  SetIfNull(spec, "completionMode", "NonIndexed");
  if (!spec.Find("suspend")) spec.Set("suspend") = false;
  if (!spec.Find("completions") && !spec.Find("parallelism")) spec.Set("completions") = 1;
  SetIfLacking(spec, "parallelism", 1);
  if (!spec.Find("backoffLimit")) spec.Set("backoffLimit") = spec.Find("backoffLimitPerIndex") ? std::int64_t{std::numeric_limits<std::int32_t>::max()} : std::int64_t{6};
  if (!spec.Find("podReplacementPolicy")) spec.Set("podReplacementPolicy") = spec.Find("podFailurePolicy") ? "Failed" : "TerminatingOrFailed";
}

// Only of a Job itself: the jobTemplate of a CronJob stays as it was written.
void JobDefaults(Value& job) {
  JobSpecDefaults(job.Set("spec"));
  if (Value& spec = job.Set("spec"); !spec.Find("manualSelector")) spec.Set("manualSelector") = false;
  const Value labels = job.At({"spec", "template", "metadata", "labels"}).Clone();
  if (labels.size() > 0 && job.At({"metadata", "labels"}).size() == 0) job.Set("metadata").Set("labels") = labels.Clone();
}

Value Policy(std::string_view type, int value) {
  Value policy = Value::Object();
  policy.Set("type") = Value(type);
  policy.Set("value") = value;
  policy.Set("periodSeconds") = 15;
  return policy;
}

void HpaBehaviorDefaults(Value& behavior) {
  Value& up = behavior.Set("scaleUp");
  SetIfLacking(up, "stabilizationWindowSeconds", 0);
  if (up["selectPolicy"].is_null()) up.Set("selectPolicy") = "Max";
  if (up["policies"].is_null()) {
    Value policies = Value::Array();
    policies.Append(Policy("Pods", 4));
    policies.Append(Policy("Percent", 100));
    up.Set("policies") = std::move(policies);
  }
  Value& down = behavior.Set("scaleDown");
  if (down["selectPolicy"].is_null()) down.Set("selectPolicy") = "Max";
  if (down["policies"].is_null()) {
    Value policies = Value::Array();
    policies.Append(Policy("Percent", 100));
    down.Set("policies") = std::move(policies);
  }
}

void HpaDefaults(Value& spec) {
  if (!Lacks(spec, "metrics")) return;
  Value target = Value::Object();
  target.Set("type") = "Utilization";
  target.Set("averageUtilization") = 80;
  Value metric = Value::Object();
  metric.Set("type") = "Resource";
  metric.Set("resource").Set("name") = "cpu";
  metric.Set("resource").Set("target") = std::move(target);
  Value metrics = Value::Array();
  metrics.Append(std::move(metric));
  spec.Set("metrics") = std::move(metrics);
}

// A v1 object without any metric asks for 80 % CPU; other metrics sit in an annotation.
void HpaV1Defaults(Value& hpa) {
  if (hpa.At({"metadata", "annotations"}).Find("autoscaling.alpha.kubernetes.io/metrics")) return;
  Value& spec = hpa.Set("spec");
  if (!spec.Find("targetCPUUtilizationPercentage")) spec.Set("targetCPUUtilizationPercentage") = 80;
}

}  // namespace

std::span<const NamedRule> WorkloadRules() {
  static constexpr NamedRule kRules[] = {
      {"io.k8s.api.apps.v1.DeploymentSpec", DeploymentStrategyDefaults},
      {"io.k8s.api.apps.v1.DaemonSetSpec", DaemonSetDefaults},
      {"io.k8s.api.apps.v1.StatefulSetSpec", StatefulSetDefaults},
      {"io.k8s.api.batch.v1.Job", JobDefaults},
      {"io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerSpec", HpaDefaults},
      {"io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerBehavior", HpaBehaviorDefaults},
      {"io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler", HpaV1Defaults},
  };
  return kRules;
}

}  // namespace skerry::kube::defaults
