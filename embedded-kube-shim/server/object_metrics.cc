#include "embedded-kube-shim/server/object_metrics.h"

#include <algorithm>
#include <optional>
#include <set>

#include "core/base/strings.h"
#include "core/text/quantity.h"
#include "core/text/selector.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/cache/object_cache.h"
#include "embedded-kube-shim/server/watch_source.h"

namespace skerry::kube {
namespace {

using Known = ObjectMetricsSource::Known;

constexpr std::string_view kCustom = "custom.metrics.k8s.io", kExternal = "external.metrics.k8s.io";

// "ingresses.networking.k8s.io", "pods": how a path names what has the figure.
std::string GroupResource(const Known& k) { return k.group.empty() ? k.resource : Cat(k.resource, ".", k.group); }

Version VersionOf(std::string_view group, std::string_view name, std::string_view list_kind) {
  Version v;
  v.name = name;
  v.schema = FindBuiltinSchema(GroupVersionKind{std::string(group), std::string(name), std::string(list_kind)});
  return v;
}

ResourceDef Definition(std::string_view group, std::string_view kind, std::vector<Version> versions) {
  ResourceDef def;
  def.group = group;
  def.kind = def.list_kind = kind;
  def.scope = Scope::kNamespaced;
  def.versions = std::move(versions);
  for (std::size_t i = 0; i < def.versions.size(); ++i) def.versions[i].storage = i == 0;
  def.virtual_resource = true;
  def.group_priority = def.version_priority = 100;
  return def;
}

json::Value ListOf(const Target& target, json::Value items) {
  json::Value out;
  out.Set("kind") = target.def->list_kind;
  out.Set("apiVersion") = Cat(target.def->group, "/", target.version);
  out.Set("metadata") = json::Value::Object();
  out.Set("items") = std::move(items);
  return out;
}

std::string Amount(std::int64_t milli) { return text::Quantity::OfMilli(milli).Canonical(); }
std::int64_t Seconds(std::chrono::milliseconds d) { return std::chrono::round<std::chrono::seconds>(d).count(); }

json::Value MetricValue(std::string_view version, const Known& known, const ObjectMetric& m) {
  json::Value out;
  json::Value& of = out.Set("describedObject");
  of.Set("kind") = m.kind;
  of.Set("namespace") = m.object.ns;
  of.Set("name") = m.object.name;
  of.Set("apiVersion") = m.api_version;
  if (version == "v1beta1") {
    out.Set("metricName") = known.metric;
    out.Set("window") = Seconds(m.window);
  } else {
    out.Set("metric").Set("name") = known.metric;
    out.Set("windowSeconds") = Seconds(m.window);
  }
  out.Set("timestamp") = FormatTime(m.at);
  out.Set("value") = Amount(m.milli);
  return out;
}

Result<json::Value> CustomValues(const Rest& rest, const RestRequest& request, ObjectMetricsSource& source) {
  const Target& target = request.target;
  const auto missing = [&] {
    return std::unexpected(Error(Code::kNotFound, Cat("the server could not find the metric ", target.subresource, " for ", target.def->resource, " ", target.name)));
  };
  const auto offered = source.Offered();
  const auto known = std::find_if(offered.begin(), offered.end(), [&](const Known& k) { return GroupResource(k) == target.def->resource && k.metric == target.subresource; });
  if (known == offered.end()) return missing();
  TRY(const auto labels, text::LabelSelector::Parse(request.http->Query("labelSelector")));
  const bool all = target.name == "*";
  Target described;
  described.def = rest.engine().resources().Find(known->group, known->api_version.substr(known->api_version.find('/') + 1), known->resource);
  if (!described.def) return missing();
  described.version = described.def->StorageVersion().name;
  described.ns = target.ns;
  json::Value items = json::Value::Array();
  for (const ObjectMetric& m : source.Values(*known, target.ns)) {
    if (!all && m.object.name != target.name) continue;
    described.name = m.object.name;
    const ItemPtr object = rest.engine().Find(described);
    if (object && (!all || SelectedBy(*object, labels, {}))) items.Append(MetricValue(target.version, *known, m));
  }
  if (!all && items.size() == 0) return missing();
  return ListOf(target, std::move(items));
}

Result<json::Value> ExternalValues(const RestRequest& request, ObjectMetricsSource& source) {
  const Target& target = request.target;
  TRY(const auto labels, text::LabelSelector::Parse(request.http->Query("labelSelector")));
  json::Value items = json::Value::Array();
  for (const Known& known : source.Offered()) {
    if (!known.entry || known.metric != target.def->resource) continue;
    for (const ObjectMetric& m : source.Values(known, target.ns)) {
      const auto label = [&](std::string_view name) -> std::optional<std::string_view> {
        if (name == "kind") return m.kind;
        if (name == "name") return m.object.name;
        return std::nullopt;
      };
      if (!labels.Matches(label)) continue;
      json::Value one;
      one.Set("metricName") = known.metric;
      one.Set("metricLabels").Set("kind") = m.kind;
      one.Set("metricLabels").Set("name") = m.object.name;
      one.Set("timestamp") = FormatTime(m.at);
      one.Set("window") = Seconds(m.window);
      one.Set("value") = Amount(m.milli);
      items.Append(std::move(one));
    }
  }
  return ListOf(target, std::move(items));
}

Result<http::Reply> Answer(Rest& rest, const RestRequest& request, ObjectMetricsSource& source) {
  TRY(auto output, Negotiate(*request.http, MediaScope::kReview));
  auto values = request.target.def->group == kCustom ? CustomValues(rest, request, source) : ExternalValues(request, source);
  if (!values) return std::unexpected(std::move(values).error());
  Canonicalize(request.target.schema_version().schema, *values);
  return http::Reply(EncodeValue(output, 200, *values));
}

}  // namespace

void RegisterObjectMetrics(Registry& registry, const std::vector<Known>& offered) {
  std::set<std::string> external;
  for (const Known& k : offered) {
    auto def = Definition(kCustom, "MetricValueList", {VersionOf(kCustom, "v1beta2", "MetricValueList"), VersionOf(kCustom, "v1beta1", "MetricValueList")});
    def.resource = GroupResource(k);
    def.storage_key = Cat(kCustom, "/", def.resource);
    def.subresources.push_back({k.metric, "", "", "MetricValueList", {"get"}});
    registry.Publish(std::move(def));
    if (!k.entry || !external.insert(k.metric).second) continue;
    def = Definition(kExternal, "ExternalMetricValueList", {VersionOf(kExternal, "v1beta1", "ExternalMetricValueList")});
    def.resource = k.metric;
    def.storage_key = Cat(kExternal, "/", def.resource);
    def.verbs = {"get", "list"};
    registry.Publish(std::move(def));
  }
}

void ServeObjectMetrics(Rest& rest, RestRequest request, RestDone done) {
  ObjectMetricsSource* source = rest.services().object_metrics ? rest.services().object_metrics() : nullptr;
  if (!source || !rest.services().waiters) return done(std::unexpected(Error(Code::kUnavailable, "the router has not started yet")));
  auto shared = std::make_shared<std::pair<RestRequest, RestDone>>(std::move(request), std::move(done));
  const bool taken = rest.services().waiters->TrySubmit([&rest, source, shared] { shared->second(Answer(rest, shared->first, *source)); });
  if (!taken) shared->second(std::unexpected(Error(Code::kUnavailable, "too many requests wait for figures")));
}

}  // namespace skerry::kube
