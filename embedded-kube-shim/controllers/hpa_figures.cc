#include "embedded-kube-shim/controllers/hpa_figures.h"

#include <algorithm>
#include <cmath>

#include "core/base/strings.h"
#include "core/http/url.h"
#include "core/text/quantity.h"
#include "core/text/selector.h"

namespace skerry::kube {
namespace {

using Known = ObjectMetricsSource::Known;

const Known* FindKnown(ObjectMetricsSource& source, std::string_view group, std::string_view kind, std::string_view metric) {
  for (const Known& k : source.Offered()) {
    if (k.kind == kind && k.group == group && k.metric == metric) return &k;
  }
  return nullptr;
}

std::string_view GroupOf(std::string_view api_version) {
  const std::size_t slash = api_version.find('/');
  return slash == std::string_view::npos ? std::string_view() : api_version.substr(0, slash);
}

std::string Amount(std::int64_t milli) { return text::Quantity::OfMilli(milli).Canonical(); }

bool Near(double ratio, const FigureQuestion& q) { return ratio >= 1.0 - q.down_tolerance && ratio <= 1.0 + q.up_tolerance; }

std::int64_t Ceil(double v) { return static_cast<std::int64_t>(std::ceil(v)); }

std::int64_t ReadyPods(const FigureQuestion& q) {
  return std::count_if(q.pods.begin(), q.pods.end(), [](const ObjectPtr& pod) {
    const json::Value* ready = FindCondition((*pod)["status"], "Ready");
    return (*pod)["status"]["phase"].Str() == "Running" && ready && (*ready)["status"].Str() == "True";
  });
}

// One figure stands for all replicas: compared as a whole, or by what falls to each.
Proposal ProposeForFigure(const FigureQuestion& q, const json::Value& target, std::int64_t milli, json::Value& current) {
  Proposal out;
  if (!target["value"].is_null()) {
    const double ratio = static_cast<double>(milli) / static_cast<double>(std::max<std::int64_t>(1, MilliOf(target["value"])));
    out.replicas = q.spec_replicas == 0 ? Ceil(ratio) : Near(ratio, q) ? q.spec_replicas : Ceil(ratio * static_cast<double>(ReadyPods(q)));
    current.Set("value") = Amount(milli);
    return out;
  }
  const double each = static_cast<double>(std::max<std::int64_t>(1, MilliOf(target["averageValue"])));
  const double ratio = static_cast<double>(milli) / (each * static_cast<double>(q.status_replicas));
  out.replicas = q.status_replicas > 0 && Near(ratio, q) ? q.status_replicas : Ceil(static_cast<double>(milli) / each);
  out.average_milli = q.status_replicas > 0 ? Ceil(static_cast<double>(milli) / static_cast<double>(q.status_replicas)) : milli;
  current.Set("averageValue") = Amount(out.average_milli);
  return out;
}

json::Value Identifier(const json::Value& metric) {
  json::Value out;
  out.Set("name") = metric["name"].Str();
  if (!metric["selector"].is_null()) out.Set("selector") = metric["selector"].Clone();
  return out;
}

// "?a=b&…" of those that have a value.
std::string Query(std::initializer_list<std::pair<std::string_view, std::string>> parts) {
  std::string out;
  for (const auto& [key, value] : parts) {
    if (!value.empty()) out += Cat(out.empty() ? "?" : "&", key, "=", http::EscapeQuery(value));
  }
  return out;
}

std::string TextOf(const json::Value& selector) { return selector.is_object() ? SelectorText(selector) : std::string(); }

Error Unfetched(std::string_view prefix, std::string_view api, const Error& why) {
  return Error(Code::kNotFound, Cat(prefix, "unable to fetch metrics from ", api, " metrics API: ", why.message()));
}

// The figure of one object, from whoever answers for it.
Result<std::int64_t> AskForObject(const FigureQuestion& q, const std::string& prefix) {
  const json::Value& spec = q.metric["object"];
  const json::Value& of = spec["describedObject"];
  const std::string_view metric = spec["metric"]["name"].Str(), kind = of["kind"].Str(), name = of["name"].Str();
  const auto [resource, namespaced] = q.servers.resource_of(of["apiVersion"].Str(), kind);
  std::string path = resource == "namespaces" ? Cat("namespaces/", name, "/metrics/", metric) : Cat(namespaced ? Cat("namespaces/", q.ns, "/") : "", resource, "/", name, "/", metric);
  path += Query({{"metricLabelSelector", TextOf(spec["metric"]["selector"])}});
  const auto answer = q.servers.custom(path);
  if (!answer) return std::unexpected(Unfetched(prefix, "custom", answer.error()));
  const auto items = (*answer)["items"].Items();
  if (items.empty()) return Fail(Code::kNotFound, prefix + "no metrics returned from custom metrics API");
  return MilliOf(items[0]["value"]);
}

Result<std::vector<PodUsage>> AskForPods(const FigureQuestion& q, const std::string& prefix) {
  const json::Value& spec = q.metric["pods"];
  const std::string path = Cat("namespaces/", q.ns, "/pods/*/", spec["metric"]["name"].Str(), Query({{"labelSelector", q.selector}, {"metricLabelSelector", TextOf(spec["metric"]["selector"])}}));
  const auto answer = q.servers.custom(path);
  if (!answer) return std::unexpected(Unfetched(prefix, "custom", answer.error()));
  std::vector<PodUsage> out;
  for (const json::Value& item : (*answer)["items"].Items()) {
    const auto at = ParseTime(item["timestamp"].Str());
    out.push_back({{std::string(q.ns), std::string(item["describedObject"]["name"].Str())}, at ? *at : q.now, std::chrono::seconds(item["windowSeconds"].Int(60)), {{"", 0, MilliOf(item["value"])}}});
  }
  return out;
}

Result<std::int64_t> AskOutside(const FigureQuestion& q, const std::string& prefix) {
  const json::Value& metric = q.metric["external"]["metric"];
  const auto answer = q.servers.external(Cat("namespaces/", q.ns, "/", metric["name"].Str(), Query({{"labelSelector", TextOf(metric["selector"])}})));
  if (!answer) return std::unexpected(Unfetched(prefix, "external", answer.error()));
  if ((*answer)["items"].size() == 0) return Fail(Code::kNotFound, prefix + "no metrics returned from external metrics API");
  std::int64_t sum = 0;
  for (const json::Value& item : (*answer)["items"].Items()) sum += MilliOf(item["value"]);
  return sum;
}

Result<std::int64_t> OwnFigureOfObject(const FigureQuestion& q, const std::string& prefix) {
  const json::Value& of = q.metric["object"]["describedObject"];
  const std::string_view metric = q.metric["object"]["metric"]["name"].Str(), kind = of["kind"].Str(), name = of["name"].Str();
  if (!q.source) return Fail(Code::kNotFound, prefix + "no custom metrics API (custom.metrics.k8s.io) registered");
  const std::string_view group = GroupOf(of["apiVersion"].Str());
  const Known* known = FindKnown(*q.source, group, kind, metric);
  if (known) {
    for (const ObjectMetric& m : q.source->Values(*known, q.ns)) {
      if (m.object.name == name) return m.milli;
    }
  }
  const std::string resource = known ? Cat(known->resource, group.empty() ? "" : ".", group) : Cat(ToLower(kind), group.empty() ? "" : ".", group);
  return Fail(Code::kNotFound, Cat(prefix, "the server could not find the metric ", metric, " for ", resource, " ", name));
}

Result<Evaluated> EvaluateObject(const FigureQuestion& q) {
  const json::Value& spec = q.metric["object"];
  const json::Value& of = spec["describedObject"];
  const std::string_view metric = spec["metric"]["name"].Str(), kind = of["kind"].Str(), name = of["name"].Str();
  const std::string place = Cat("unable to get metric ", metric, ": ", kind, " on ", q.ns, " ", name, "/");
  std::optional<std::int64_t> milli;
  if (q.servers.custom) {
    TRY(milli, AskForObject(q, place));
  } else {
    TRY(milli, OwnFigureOfObject(q, place + "unable to fetch metrics from custom metrics API: "));
  }
  Evaluated out;
  out.name = Cat(kind, " metric ", metric);
  out.status.Set("type") = "Object";
  json::Value& shown = out.status.Set("object");
  shown.Set("metric") = Identifier(spec["metric"]);
  json::Value& current = shown.Set("current");
  out.proposal = ProposeForFigure(q, spec["target"], *milli, current);
  out.status.Set("object").Set("describedObject") = of.Clone();
  return out;
}

Result<Evaluated> EvaluatePods(const FigureQuestion& q) {
  const json::Value& spec = q.metric["pods"];
  const std::string_view metric = spec["metric"]["name"].Str();
  const std::string prefix = Cat("unable to get metric ", metric, ": ");
  std::vector<PodUsage> figures;
  if (q.servers.custom) {
    TRY(figures, AskForPods(q, prefix));
  } else if (!q.source) {
    return Fail(Code::kNotFound, prefix + "unable to fetch metrics from custom metrics API: no custom metrics API (custom.metrics.k8s.io) registered");
  } else {
    const Known* known = FindKnown(*q.source, "", "Pod", metric);
    if (!known) return Fail(Code::kNotFound, Cat(prefix, "unable to fetch metrics from custom metrics API: the server could not find the metric ", metric, " for pods"));
    for (const ObjectMetric& m : q.source->Values(*known, q.ns)) figures.push_back({m.object, m.at, m.window, {{"", 0, m.milli}}});
  }
  if (figures.empty()) return Fail(Code::kNotFound, prefix + "no metrics returned from custom metrics API");
  ResourceTarget target;
  target.average_milli = MilliOf(spec["target"]["averageValue"]);
  target.up_tolerance = q.up_tolerance;
  target.down_tolerance = q.down_tolerance;
  Evaluated out;
  TRY(out.proposal, ProposeForResource(target, q.spec_replicas, q.pods, figures, q.now));
  out.name = Cat("pods metric ", metric);
  out.status.Set("type") = "Pods";
  json::Value& shown = out.status.Set("pods");
  shown.Set("metric") = Identifier(spec["metric"]);
  shown.Set("current").Set("averageValue") = Amount(out.proposal.average_milli);
  return out;
}

Result<std::int64_t> OwnFiguresOutside(const FigureQuestion& q, const std::string& prefix) {
  const json::Value& selector = q.metric["external"]["metric"]["selector"];
  const std::string_view metric = q.metric["external"]["metric"]["name"].Str();
  TRY(const auto labels, text::LabelSelector::Parse(TextOf(selector)));
  bool offered = false, found = false;
  std::int64_t sum = 0;
  for (const Known& known : q.source ? q.source->Offered() : std::vector<Known>()) {
    if (!known.entry || known.metric != metric) continue;
    offered = true;
    for (const ObjectMetric& m : q.source->Values(known, q.ns)) {
      const auto label = [&](std::string_view name) -> std::optional<std::string_view> {
        if (name == "kind") return m.kind;
        if (name == "name") return m.object.name;
        return std::nullopt;
      };
      if (!labels.Matches(label)) continue;
      found = true;
      sum += m.milli;
    }
  }
  if (!offered) {
    return Fail(Code::kNotFound, Cat(prefix, "unable to fetch metrics from external metrics API: the server could not find the requested resource (get ", metric, ".external.metrics.k8s.io)"));
  }
  if (!found) return Fail(Code::kNotFound, prefix + "no metrics returned from external metrics API");
  return sum;
}

Result<Evaluated> EvaluateExternal(const FigureQuestion& q) {
  const json::Value& spec = q.metric["external"];
  const std::string_view metric = spec["metric"]["name"].Str();
  const json::Value& selector = spec["metric"]["selector"];
  const std::string prefix = Cat("unable to get external metric ", q.ns, "/", metric, "/", GoSelector(selector), ": ");
  std::int64_t sum = 0;
  if (q.servers.external) {
    TRY(sum, AskOutside(q, prefix));
  } else {
    TRY(sum, OwnFiguresOutside(q, prefix));
  }
  Evaluated out;
  out.name = Cat("external metric ", metric, "(", GoSelector(selector), ")");
  out.status.Set("type") = "External";
  json::Value& shown = out.status.Set("external");
  shown.Set("metric") = Identifier(spec["metric"]);
  json::Value& current = shown.Set("current");
  out.proposal = ProposeForFigure(q, spec["target"], sum, current);
  return out;
}

}  // namespace

std::string GoSelector(const json::Value& selector) {
  if (!selector.is_object()) return "nil";
  std::string labels;
  for (const json::Member& m : selector["matchLabels"].Members()) labels += Cat(m.key, ": ", m.value.Str(), ",");
  return Cat("&LabelSelector{MatchLabels:map[string]string{", labels, "},MatchExpressions:[]LabelSelectorRequirement{},}");
}

Result<Evaluated> EvaluateFigure(const FigureQuestion& q) {
  const std::string_view type = q.metric["type"].Str();
  if (type == "Object") return EvaluateObject(q);
  return type == "Pods" ? EvaluatePods(q) : EvaluateExternal(q);
}

}  // namespace skerry::kube
