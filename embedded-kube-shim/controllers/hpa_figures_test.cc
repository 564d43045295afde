#include "embedded-kube-shim/controllers/hpa_figures.h"

#include <catch2/catch.hpp>

namespace skerry::kube {
namespace {

json::Value Json(std::string_view text) {
  json::Value v;
  std::string error;
  REQUIRE(json::Value::Parse(text, &v, &error));
  return v;
}

class Figures final : public ObjectMetricsSource {
 public:
  const std::vector<Known>& Offered() const override { return known_; }
  std::vector<ObjectMetric> Values(const Known& which, std::string_view ns) override {
    std::vector<ObjectMetric> out;
    for (const ObjectMetric& m : all) {
      if (m.kind == which.kind && m.object.ns == ns) out.push_back(m);
    }
    return out;
  }
  void Put(const char* kind, const char* name, std::int64_t milli) {
    all.push_back({"", kind, {"x", name}, Clock::Wall(std::chrono::hours(1)), std::chrono::seconds(15), milli});
  }
  std::vector<ObjectMetric> all;

 private:
  const std::vector<Known> known_ = {{"networking.k8s.io", "ingresses", "networking.k8s.io/v1", "Ingress", "requests-per-second", true},
                                     {"", "services", "v1", "Service", "requests-per-second", false},
                                     {"", "pods", "v1", "Pod", "requests-per-second", false}};
};

std::vector<ObjectPtr> Pods(int n) {
  std::vector<ObjectPtr> out;
  for (int i = 0; i < n; ++i) {
    json::Value pod = Json(R"({"metadata":{"namespace":"x"},"spec":{"containers":[{"name":"c"}]},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}})");
    pod.Set("metadata").Set("name") = "p" + std::to_string(i);
    out.push_back(std::make_shared<const json::Value>(std::move(pod)));
  }
  return out;
}

Result<Evaluated> Ask(const char* metric, int replicas, ObjectMetricsSource* source) {
  const json::Value m = Json(metric);
  const auto pods = Pods(replicas);
  return EvaluateFigure({m, "x", replicas, replicas, pods, 0.1, 0.1, Clock::Wall(std::chrono::hours(1)), source});
}

constexpr const char* kOfIngress =
    R"({"type":"Object","object":{"metric":{"name":"requests-per-second"},"describedObject":{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","name":"web"},"target":{"type":"Value","value":"10"}}})";

}  // namespace

TEST_CASE("replicas follow the figure of an object, as a whole or by what falls to each", "[controllers][hpa]") {
  Figures figures;
  figures.Put("Ingress", "web", 35'000);
  figures.Put("Ingress", "other", 900'000);
  figures.Put("Service", "web", 35'000);
  const auto whole = Ask(kOfIngress, 2, &figures).value();
  CHECK(whole.proposal.replicas == 7);
  CHECK(whole.name == "Ingress metric requests-per-second");
  CHECK(whole.status.Dump() == R"({"type":"Object","object":{"metric":{"name":"requests-per-second"},"current":{"value":"35"},)"
                               R"("describedObject":{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","name":"web"}}})");
  const auto each = Ask(R"({"type":"Object","object":{"metric":{"name":"requests-per-second"},"describedObject":{"apiVersion":"v1","kind":"Service","name":"web"},
                            "target":{"type":"AverageValue","averageValue":"10"}}})", 2, &figures).value();
  CHECK(each.proposal.replicas == 4);
  CHECK(each.status["object"]["current"]["averageValue"].Str() == "17500m");
  // Ten per cent are let be.
  figures.all[0].milli = 10'900;
  CHECK(Ask(kOfIngress, 3, &figures).value().proposal.replicas == 3);
}

TEST_CASE("replicas follow the figures of pods and of the outside", "[controllers][hpa]") {
  Figures figures;
  for (const char* pod : {"p0", "p1"}) figures.Put("Pod", pod, 1'500);
  figures.Put("Ingress", "a", 4'000);
  figures.Put("Ingress", "b", 6'000);
  const auto pods = Ask(R"({"type":"Pods","pods":{"metric":{"name":"requests-per-second"},"target":{"type":"AverageValue","averageValue":"500m"}}})", 2, &figures).value();
  CHECK(pods.proposal.replicas == 6);
  CHECK(pods.status["pods"]["current"]["averageValue"].Str() == "1500m");
  const auto all = Ask(R"({"type":"External","external":{"metric":{"name":"requests-per-second"},"target":{"type":"AverageValue","averageValue":"2"}}})", 2, &figures).value();
  CHECK(all.proposal.replicas == 5);
  const auto one = Ask(R"({"type":"External","external":{"metric":{"name":"requests-per-second","selector":{"matchLabels":{"name":"b"}}},"target":{"type":"Value","value":"2"}}})", 2, &figures).value();
  CHECK(one.proposal.replicas == 6);
}

TEST_CASE("a server of one's own for the metrics APIs is asked rather than this process", "[controllers][hpa]") {
  Figures figures;
  figures.Put("Ingress", "web", 900'000);
  figures.Put("Pod", "p0", 900'000);
  std::vector<std::string> asked;
  std::map<std::string, std::string> answers;
  const auto ask = [&](const std::string& path) -> Result<json::Value> {
    asked.push_back(path);
    if (!answers.contains(path)) return Fail(Code::kNotFound, "the adapter knows no such metric");
    return Json(answers.at(path));
  };
  const auto evaluate = [&](const char* metric) {
    const json::Value m = Json(metric);
    const auto pods = Pods(2);
    FigureServers servers{ask, ask, [](std::string_view, std::string_view) { return FigureServers::Named{"ingresses.networking.k8s.io", true}; }};
    return EvaluateFigure({m, "x", 2, 2, pods, 0.1, 0.1, Clock::Wall(std::chrono::hours(1)), &figures, "app=a", servers});
  };
  answers["namespaces/x/ingresses.networking.k8s.io/web/requests-per-second"] = R"({"items":[{"value":"30"}]})";
  CHECK(evaluate(kOfIngress).value().proposal.replicas == 6);
  answers["namespaces/x/pods/*/depth?labelSelector=app%3Da&metricLabelSelector=queue%3Dq"] =
      R"({"items":[{"describedObject":{"name":"p0"},"value":"1500m"},{"describedObject":{"name":"p1"},"value":"500m"}]})";
  const auto pods = evaluate(R"({"type":"Pods","pods":{"metric":{"name":"depth","selector":{"matchLabels":{"queue":"q"}}},"target":{"type":"AverageValue","averageValue":"500m"}}})");
  REQUIRE(pods);
  CHECK(pods->proposal.replicas == 4);
  answers["namespaces/x/queue?labelSelector=name%3Db"] = R"({"items":[{"value":"6"},{"value":"4"}]})";
  CHECK(evaluate(R"({"type":"External","external":{"metric":{"name":"queue","selector":{"matchLabels":{"name":"b"}}},"target":{"type":"AverageValue","averageValue":"2"}}})").value().proposal.replicas == 5);
  CHECK(evaluate(R"({"type":"External","external":{"metric":{"name":"none"},"target":{"type":"Value","value":"2"}}})").error().message() ==
        "unable to get external metric x/none/nil: unable to fetch metrics from external metrics API: the adapter knows no such metric");
  CHECK(asked.size() == 4);
}

TEST_CASE("a figure that cannot be had is told in words", "[controllers][hpa]") {
  Figures figures;
  CHECK(Ask(kOfIngress, 1, &figures).error().message() ==
        "unable to get metric requests-per-second: Ingress on x web/unable to fetch metrics from custom metrics API: the server could not find the metric requests-per-second for ingresses.networking.k8s.io web");
  CHECK(Ask(kOfIngress, 1, nullptr).error().message() ==
        "unable to get metric requests-per-second: Ingress on x web/unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered");
  CHECK(Ask(R"({"type":"External","external":{"metric":{"name":"queue"},"target":{"type":"Value","value":"2"}}})", 1, &figures).error().message() ==
        "unable to get external metric x/queue/nil: unable to fetch metrics from external metrics API: the server could not find the requested resource (get queue.external.metrics.k8s.io)");
}

}  // namespace skerry::kube
