#include "embedded-kube-shim/api/autoscaling.h"

#include <catch2/catch.hpp>

#include "tests/support/json.h"

using namespace skerry;
using json::Value;
using skerry::testing::Json;


TEST_CASE("an autoscaler of v1 keeps the metrics of its annotation before its CPU target", "[table]") {
  Value object = Json(R"({"metadata":{"annotations":{"autoscaling.alpha.kubernetes.io/metrics":"[{\"type\":\"Resource\",\"resource\":{\"name\":\"memory\",\"targetAverageUtilization\":50}}]"}},)"
                      R"("spec":{"targetCPUUtilizationPercentage":70},"status":{"currentCPUUtilizationPercentage":55}})");
  kube::AutoscalerToV2(object);
  CHECK(object.At({"spec", "metrics"}).Dump() ==
        R"([{"type":"Resource","resource":{"name":"memory","target":{"averageUtilization":50,"type":"Utilization"}}},{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":70}}}])");
  CHECK(object.At({"status", "currentMetrics"}).size() == 1);
  CHECK_FALSE(object["metadata"].Find("annotations"));
}

TEST_CASE("what v1 cannot say of an autoscaler survives the way there and back", "[table]") {
  const auto v2 = R"({"metadata":{"name":"h"},"spec":{"behavior":{"scaleUp":{"stabilizationWindowSeconds":5,"selectPolicy":"Max","policies":[{"type":"Pods","value":4,"periodSeconds":15}]}},)"
                  R"("metrics":[{"type":"Pods","pods":{"metric":{"name":"q"},"target":{"averageValue":"3","type":"AverageValue"}}},)"
                  R"({"type":"Object","object":{"describedObject":{"kind":"Service","name":"s"},"metric":{"name":"r"},"target":{"value":"7","type":"Value"}}}]},)"
                  R"("status":{"currentMetrics":null,"currentReplicas":1,"desiredReplicas":1,"conditions":[{"type":"AbleToScale","status":"True"}]}})";
  Value object = Json(v2);
  kube::AutoscalerToV1(object);
  CHECK(object.At({"metadata", "annotations", "autoscaling.alpha.kubernetes.io/behavior"}).Str() ==
        R"({"ScaleUp":{"StabilizationWindowSeconds":5,"SelectPolicy":"Max","Policies":[{"Type":"Pods","Value":4,"PeriodSeconds":15}],"Tolerance":null},"ScaleDown":null})");
  CHECK_FALSE(object["spec"].Find("metrics"));
  kube::AutoscalerToV2(object);
  CHECK(object == Json(v2));
}
