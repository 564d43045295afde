#pragma once
#include <functional>
#include <string>
#include <vector>

#include "embedded-kube-shim/client/metrics.h"
#include "embedded-kube-shim/controllers/autoscale.h"

// Metrics of an autoscaler that are figures of objects: of pods, of one object, of the outside.
namespace skerry::kube {

// What one metric of an autoscaler says.
struct Evaluated {
  Proposal proposal;
  std::string name;                    // in events and conditions
  json::Value status;                  // its entry in status.currentMetrics
};

// Other servers that answer for the metrics APIs: then nobody else is asked. Null: there is none.
struct FigureServers {
  // The answer's body to a GET of the path below the group version ("namespaces/x/pods/*/requests"); the error in the server's words.
  using Ask = std::function<Result<json::Value>(const std::string& path)>;
  Ask custom, external;
  struct Named {
    std::string resource;              // "ingresses.networking.k8s.io"
    bool namespaced = true;
  };
  std::function<Named(std::string_view api_version, std::string_view kind)> resource_of;   // for `custom`
};

struct FigureQuestion {
  const json::Value& metric;           // an entry of spec.metrics of type Pods, Object or External
  std::string_view ns;
  std::int64_t spec_replicas = 0, status_replicas = 0;
  const std::vector<ObjectPtr>& pods;  // of the target
  double up_tolerance = 0.1, down_tolerance = 0.1;
  Clock::Wall now;
  ObjectMetricsSource* source = nullptr;   // null: nobody knows any
  std::string selector = {};               // of the target's pods, as text
  FigureServers servers = {};
};
// kNotFound in upstream's words when the figure cannot be had. May block for half a second.
Result<Evaluated> EvaluateFigure(const FigureQuestion& question);

// A label selector as Go prints it; "nil" for none.
std::string GoSelector(const json::Value& selector);

}  // namespace skerry::kube
