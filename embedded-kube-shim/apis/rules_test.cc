#include <catch2/catch.hpp>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/apis/rules.h"
#include "tests/support/json.h"

// What the rules say about updates, in full: every cause with its place, its kind and its text, in the order of the answer.
using namespace skerry;
using namespace skerry::kube;
using json::Value;
using skerry::testing::Json;

namespace {

class Kind {
 public:
  Kind(std::string_view group, std::string_view version, std::string_view resource) : registry_(NewRegistry()) {
    RegisterBuiltins(*registry_);
    def_ = registry_->Find(group, version, resource);
    REQUIRE(def_);
    version_ = def_->FindVersion(version);
  }

  // The object as a client sends it: named, and with its defaults.
  Value Object(std::string_view text) const {
    Value out = Json(text);
    Value& metadata = out.Set("metadata");
    metadata.Set("name") = "x";
    metadata.Set("uid") = "5a0c2c6e-0d2f-4b53-9d5c-8b0a3f6f7a11";
    metadata.Set("resourceVersion") = "7";
    if (def_->scope == Scope::kNamespaced) metadata.Set("namespace") = "default";
    ApplyDefaults(*def_, *version_, out);
    return out;
  }

  std::vector<std::string> Update(const Value& before, const Value& now, std::string_view subresource = "") const {
    FieldErrors errors;
    Validate(*def_, *version_, subresource, now, &before, errors);
    return Texts(errors);
  }
  std::vector<std::string> Create(const Value& object) const {
    FieldErrors errors;
    Validate(*def_, *version_, "", object, nullptr, errors);
    return Texts(errors);
  }

 private:
  static std::vector<std::string> Texts(const FieldErrors& errors) {
    std::vector<std::string> out;
    for (const FieldError& error : errors) out.push_back(error.Text());
    return out;
  }

  std::shared_ptr<Registry> registry_;
  ResourcePtr def_;
  const Version* version_ = nullptr;
};

using Causes = std::vector<std::string>;

}  // namespace

TEST_CASE("unreadable address ranges of a node are named one by one and as a pair") {
  const Kind nodes("", "v1", "nodes");
  const Value before = nodes.Object(R"({"spec":{"podCIDRs":["10.1.0.0/24"]}})");
  const Value now = nodes.Object(R"({"spec":{"podCIDRs":["10.1.0.0/24","qq"]}})");
  CHECK(nodes.Update(before, now) ==
        Causes{"spec.podCIDRs[1]: Invalid value: \"qq\": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)",
               "spec.podCIDRs: Internal error: invalid PodCIDRs. failed to check with dual stack with error:invalid CIDR[1]: <nil> (invalid CIDR address: qq)",
               "spec.podCIDRs: Invalid value: [\"10.1.0.0/24\",\"qq\"]: may specify no more than one CIDR for each IP family",
               "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid"});
}

TEST_CASE("an update of a node looks at its taints as a create does and once more") {
  const Kind nodes("", "v1", "nodes");
  const Value before = nodes.Object(R"({"spec":{}})");
  const auto causes = nodes.Update(before, nodes.Object(R"({"spec":{"externalID":"e","taints":[{"key":"k","effect":"Never"}]}})"));
  const std::string taint = "metadata.taints[0].effect: Unsupported value: \"Never\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"";
  CHECK(causes == Causes{taint, taint, "spec.externalID: Forbidden: may not be updated"});
}

TEST_CASE("bad labels of a pod are told by everybody who reads its metadata") {
  const Kind pods("", "v1", "pods");
  const char* text = R"({"spec":{"containers":[{"name":"c","image":"i"}]}})";
  const Value before = pods.Object(text);
  Value now = pods.Object(text);
  now.Set("metadata").Set("labels").Set("a b") = "v";
  CHECK(pods.Update(before, now).size() == 4);
}

TEST_CASE("a pod's container cannot lose its image, nor gain spaces around it") {
  const Kind pods("", "v1", "pods");
  const Value before = pods.Object(R"({"spec":{"containers":[{"name":"c","image":"i"}]}})");
  Value now = pods.Object(R"({"spec":{"containers":[{"name":"c","image":"i"}]}})");
  now.Set("spec").Set("containers").MutableItems()[0].Erase("image");
  CHECK(pods.Update(before, now) == Causes{"spec.containers[0].image: Required value", "spec.containers[0].image: Required value"});
}

TEST_CASE("volumes are compared in the order of the internal type") {
  const Kind pods("", "v1", "pods");
  const Value before = pods.Object(R"({"spec":{"containers":[{"name":"c","image":"i"}]}})");
  const auto causes = pods.Update(before, pods.Object(R"({"spec":{"volumes":[{"name":"v","emptyDir":{}}],"containers":[{"name":"c","image":"i"}]}})"));
  REQUIRE(causes.size() == 1);
  const auto at = [&](std::string_view field) { return causes[0].find(Cat("+   \"", field, "\": null")); };
  CHECK(at("RBD") < at("Quobyte"));
  CHECK(at("Quobyte") < at("FlexVolume"));
  CHECK(at("Image") != std::string::npos);
}

TEST_CASE("the class of a load balancer is checked as an update and as a value") {
  const Kind services("", "v1", "services");
  const Value before = services.Object(R"({"spec":{"type":"LoadBalancer","loadBalancerClass":"a.example.com/b","clusterIP":"10.0.0.1","clusterIPs":["10.0.0.1"],"ports":[{"port":80}]}})");
  Value now = before.Clone();
  now.Set("spec").Set("loadBalancerClass") = "a b";
  const auto causes = services.Update(before, now);
  REQUIRE(causes.size() == 3);
  CHECK(causes[0] == "spec.loadBalancerClass: Invalid value: \"a b\": may not change once set");
  CHECK(causes[1] == causes[2]);
}

TEST_CASE("an empty text is a value where the field is a pointer") {
  const Kind services("", "v1", "services");
  const auto causes = services.Create(services.Object(R"({"spec":{"internalTrafficPolicy":"","ports":[{"port":80}]}})"));
  CHECK(causes == Causes{"spec.internalTrafficPolicy: Unsupported value: \"\": supported values: \"Cluster\", \"Local\""});
  const Kind classes("storage.k8s.io", "v1", "storageclasses");
  CHECK(classes.Create(classes.Object(R"({"provisioner":"p","volumeBindingMode":""})")) ==
        Causes{"volumeBindingMode: Unsupported value: \"\": supported values: \"Immediate\", \"WaitForFirstConsumer\""});
  const Kind scalers("autoscaling", "v2", "horizontalpodautoscalers");
  CHECK(scalers.Create(scalers.Object(R"({"spec":{"maxReplicas":2,"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"d"},"behavior":{"scaleDown":{"policies":[]}}}})")) ==
        Causes{"spec.behavior.scaleDown.policies: Required value: must specify at least one Policy"});
}

TEST_CASE("an autoscaler of the old version is checked with what its annotations say") {
  const Kind scalers("autoscaling", "v1", "horizontalpodautoscalers");
  Value scaler = scalers.Object(R"({"spec":{"maxReplicas":2,"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"d"},"targetCPUUtilizationPercentage":0}})");
  scaler.Set("metadata").Set("annotations").Set("autoscaling.alpha.kubernetes.io/metrics") = R"([{"type":"Resource","resource":{"name":"memory","targetAverageUtilization":5}}])";
  CHECK(scalers.Create(scaler) == Causes{"spec.metrics[1].resource.target.averageUtilization: Invalid value: 0: must be greater than 0"});
}

TEST_CASE("the status of a job keeps its promises") {
  const Kind jobs("batch", "v1", "jobs");
  const char* spec = R"({"spec":{"completions":5,"parallelism":2,"completionMode":"Indexed","backoffLimitPerIndex":1,"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i"}]}}}})";
  Value before = jobs.Object(spec);
  before.Set("status") = Json(R"({"active":2,"ready":1,"failed":2,"succeeded":1,"startTime":"2024-01-02T03:04:05Z"})");
  const auto becomes = [&](std::string_view status) {
    Value now = before.Clone();
    now.Set("status") = Json(status);
    return jobs.Update(before, now, "status");
  };
  CHECK(becomes(R"({"active":2,"ready":1,"failed":2,"succeeded":1,"startTime":"2024-01-02T03:04:05Z"})").empty());
  CHECK(becomes(R"({"ready":1,"failed":2,"succeeded":1,"startTime":"2024-01-02T03:04:05Z"})") ==
        Causes{"status.ready: Invalid value: 1: cannot set more ready pods than active"});
  CHECK(becomes(R"({"active":2,"ready":1,"failed":1,"succeeded":0,"startTime":"2024-01-02T03:04:06Z"})") ==
        Causes{"status.failed: Invalid value: 1: cannot decrease the failed counter", "status.succeeded: Invalid value: 0: cannot decrease the succeeded counter",
               "status.startTime: Invalid value: \"2024-01-02T03:04:06Z\": field is immutable for unsuspended job once set"});
  CHECK(becomes(R"({"active":2,"failed":2,"succeeded":1,"startTime":"2024-01-02T03:04:05Z","completedIndexes":"0-2,2","failedIndexes":"2,y"})") ==
        Causes{"status.completedIndexes: Invalid value: \"0-2,2\": error parsing completedIndexes: non-increasing order, previous: 2, current: 2",
               "status.failedIndexes: Invalid value: \"2,y\": error parsing failedIndexes: cannot convert string to integer for index: \"y\"",
               "status.failedIndexes: Invalid value: \"2,y\": failedIndexes and completedIndexes overlap at index: 2"});
  CHECK(becomes(R"({"active":2,"failed":2,"succeeded":1,"startTime":"2024-01-02T03:04:05Z","conditions":[{"type":"Complete","status":"True"}]})") ==
        Causes{"status.completionTime: Required value: completionTime is required for Complete jobs",
               "status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
               "status.active: Invalid value: 2: active>0 is invalid for finished job"});
}

TEST_CASE("where a suspended job's pods go may change until one of them runs") {
  const Kind jobs("batch", "v1", "jobs");
  const char* text = R"({"spec":{"suspend":true,"manualSelector":true,"selector":{"matchLabels":{"a":"b"}},
    "template":{"metadata":{"labels":{"a":"b"}},"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i"}]}}}})";
  Value before = jobs.Object(text), now = jobs.Object(text);
  now.Set("spec").Set("template").Set("spec").Set("nodeSelector").Set("disk") = "ssd";
  CHECK(jobs.Update(before, now).empty());
  before.Set("status").Set("active") = 1;
  const auto causes = jobs.Update(before, now);
  REQUIRE(causes.size() == 1);
  CHECK(causes[0].starts_with("spec.template: Invalid value: {"));
  CHECK(causes[0].ends_with(": field is immutable"));
}

TEST_CASE("only an allocated claim is reserved, and by somebody") {
  const Kind claims("resource.k8s.io", "v1", "resourceclaims");
  const Value before = claims.Object(R"({"spec":{"devices":{"requests":[{"name":"r","exactly":{"deviceClassName":"d"}}]}}})");
  Value now = before.Clone();
  now.Set("status").Set("reservedFor") = Json(R"([{"resource":"pods","uid":"u"}])");
  CHECK(claims.Update(before, now, "status") ==
        Causes{"status.reservedFor[0].name: Required value", "status.reservedFor: Forbidden: may not be specified when `allocated` is not set"});
}

TEST_CASE("the nodes of a volume stay, but for labels that got stable names") {
  const Kind volumes("", "v1", "persistentvolumes");
  const auto with = [&](std::string_view key) {
    return volumes.Object(Cat(R"({"spec":{"capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce"],"csi":{"driver":"d.example.com","volumeHandle":"h"},
      "nodeAffinity":{"required":{"nodeSelectorTerms":[{"matchExpressions":[{"key":")", key, R"(","operator":"In","values":["a"]}]}]}}}})"));
  };
  CHECK(volumes.Update(with("beta.kubernetes.io/os"), with("kubernetes.io/os")).empty());
  const auto causes = volumes.Update(with("zone"), with("room"));
  REQUIRE(causes.size() == 1);
  CHECK(causes[0].starts_with("nodeAffinity: Invalid value: {\"Required\":"));
}
