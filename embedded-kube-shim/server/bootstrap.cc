#include "embedded-kube-shim/server/bootstrap.h"

#include <array>
#include <atomic>
#include <functional>
#include <mutex>
#include <thread>

#include "core/base/strings.h"
#include "core/telemetry/log.h"
#include "embedded-kube-shim/auth/rbac.h"
#include "embedded-kube-shim/server/aggregator.h"
#include "embedded-kube-shim/server/flow_bootstrap.h"

namespace skerry::kube {
namespace {

json::Value Named(std::string_view name, std::string_view ns = {}) {
  auto object = json::Value::Object();
  object.Set("metadata").Set("name") = name;
  if (!ns.empty()) object.Set("metadata").Set("namespace") = ns;
  return object;
}

Result<> Ensure(const Ctx& ctx, Client& client, std::string_view resource, json::Value object) {
  const Key key{std::string(object.At({"metadata", "namespace"}).Str()), std::string(object.At({"metadata", "name"}).Str())};
  if (client.Get(ctx, resource, key)) return {};
  auto created = client.Create(ctx, resource, std::move(object));
  if (created || created.error().code() == Code::kAlreadyExists) return {};
  return std::unexpected(std::move(created).error().Wrap(Cat("create ", resource, " ", key.name)));
}

bool Contains(const json::Value& list, const json::Value& item) {
  for (const auto& known : list.Items())
    if (known == item) return true;
  return false;
}

// Adds what a bootstrap object lists and the stored one lacks; an administrator's additions stay.
Result<> Reconcile(const Ctx& ctx, Client& client, std::string_view resource, json::Value wanted) {
  const Key key{std::string(wanted.At({"metadata", "namespace"}).Str()), std::string(wanted.At({"metadata", "name"}).Str())};
  const auto found = client.Get(ctx, resource, key);
  if (!found) return Ensure(ctx, client, resource, std::move(wanted));
  if ((*found)->At({"metadata", "annotations", "rbac.authorization.kubernetes.io/autoupdate"}).Str() == "false") return {};
  auto next = (*found)->Clone();
  bool changed = false;
  const bool aggregated = wanted.Find("aggregationRule") != nullptr;
  for (const std::string_view list : {"rules", "subjects"}) {
    if (aggregated) continue;   // filled by the aggregation controller
    for (const auto& item : wanted[list].Items()) {
      if (Contains(next[list], item)) continue;
      next.Set(list).Append(item.Clone());
      changed = true;
    }
  }
  for (const std::string_view map : {"labels", "annotations"}) {
    for (const auto& [name, value] : wanted.At({"metadata", map}).Members()) {
      if (next.At({"metadata", map, name}) == value) continue;
      next.Set("metadata").Set(map).Set(name) = value.Clone();
      changed = true;
    }
  }
  if (!changed) return {};
  auto updated = client.Update(ctx, resource, std::move(next));
  if (updated) return {};
  return std::unexpected(std::move(updated).error().Wrap(Cat("update ", resource, " ", key.name)));
}

// Creates the object, or gives it its spec back where its annotation says that it is ours.
Result<> KeepSpec(const Ctx& ctx, Client& client, std::string_view resource, json::Value wanted) {
  const auto found = client.Get(ctx, resource, {"", std::string(wanted.At({"metadata", "name"}).Str())});
  if (!found) return Ensure(ctx, client, resource, std::move(wanted));
  if ((*found)->At({"metadata", "annotations", "apf.kubernetes.io/autoupdate-spec"}).Str() != "true" || (**found)["spec"] == wanted["spec"]) return {};
  auto next = (*found)->Clone();
  next.Set("spec") = wanted["spec"].Clone();
  TRY_VOID(client.Update(ctx, resource, std::move(next)));
  return {};
}

// What a server behind an APIService needs to know its clients: our authority for its own, and for us the one of requests that we hand on.
json::Value ExtensionAuthentication(const ApiServerOptions& options) {
  auto data = json::Value::Object();
  data.Set("client-ca-file") = options.client_ca;
  if (options.proxy_ca.empty()) return data;
  const auto list = [](std::string_view text) {
    auto out = json::Value::Array();
    out.Append(json::Value(text));
    return out.Dump();
  };
  data.Set("requestheader-allowed-names") = list(kProxyClientName);
  data.Set("requestheader-client-ca-file") = options.proxy_ca;
  data.Set("requestheader-extra-headers-prefix") = list("X-Remote-Extra-");
  data.Set("requestheader-group-headers") = list("X-Remote-Group");
  data.Set("requestheader-uid-headers") = list("X-Remote-Uid");
  data.Set("requestheader-username-headers") = list("X-Remote-User");
  return data;
}

// The config map has our entries; others may have added theirs.
Result<> KeepData(const Ctx& ctx, Client& client, json::Value wanted) {
  const Key key{std::string(wanted.At({"metadata", "namespace"}).Str()), std::string(wanted.At({"metadata", "name"}).Str())};
  const auto found = client.Get(ctx, "v1/configmaps", key);
  if (!found) return Ensure(ctx, client, "v1/configmaps", std::move(wanted));
  auto next = (*found)->Clone();
  for (const auto& [name, value] : wanted["data"].Members()) next.Set("data").Set(name) = value.Clone();
  if (next == **found) return {};
  TRY_VOID(client.Update(ctx, "v1/configmaps", std::move(next)));
  return {};
}

std::string FirstAddress(std::string_view cidr) {
  const auto base = cidr.substr(0, cidr.find('/'));
  const auto dot = base.rfind('.');
  return Cat(base.substr(0, dot + 1), ParseUint(base.substr(dot + 1)).value_or(0) + 1);
}

json::Value Port(std::string_view name, std::int64_t port) {
  auto value = json::Value::Object();
  value.Set("name") = name;
  value.Set("port") = port;
  value.Set("protocol") = "TCP";
  return value;
}

Result<> WriteKubernetesService(const Ctx& ctx, Client& client, const ApiServerOptions& options) {
  auto service = Named("kubernetes", "default");
  auto& labels = service.Set("metadata").Set("labels");
  labels.Set("component") = "apiserver";
  labels.Set("provider") = "kubernetes";
  auto& spec = service.Set("spec");
  spec.Set("clusterIP") = FirstAddress(options.service_cidr);
  auto port = Port("https", 443);
  port.Set("targetPort") = options.port;
  spec.Set("ports").Append(std::move(port));
  TRY_VOID(Ensure(ctx, client, "v1/services", std::move(service)));

  return WriteKubernetesEndpoints(ctx, client, options.advertise_address, options.port);
}

// Writes at the same time share the commits' fsyncs: the first start of an empty directory takes a few of them, not a hundred.
Result<> RunTogether(std::vector<std::function<Result<>()>> jobs, std::size_t writers) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  Result<> first;
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < std::min(writers, jobs.size()); ++i)
      threads.emplace_back([&] {
        for (std::size_t at = next++; at < jobs.size(); at = next++) {
          auto done = jobs[at]();
          std::lock_guard lock(mutex);
          if (!done && first) first = std::move(done);
        }
      });
  }
  return first;
}

json::Value PriorityClass(std::string_view name, std::int64_t value, std::string_view description) {
  auto object = Named(name);
  object.Set("value") = value;
  object.Set("description") = description;
  return object;
}

}  // namespace

Result<> WriteBootstrapObjects(const Ctx& ctx, Client& client, const ApiServerOptions& options, const Clock& clock) {
  std::vector<std::function<Result<>()>> namespaces, rest;
  for (const std::string_view name : {"kube-system", "kube-public", "kube-node-lease", "default"})
    namespaces.push_back([&, name] { return Ensure(ctx, client, "v1/namespaces", Named(name)); });
  auto policy = BootstrapPolicy();
  if (options.usage) {
    for (auto& object : MetricsPolicy()) policy.push_back(std::move(object));
  }
  for (auto& object : policy) {
    rest.push_back([&] {
      const auto kind = object["kind"].Str();
      const std::string_view resource = kind == "ClusterRole"          ? "rbac.authorization.k8s.io/v1/clusterroles"
                                        : kind == "ClusterRoleBinding" ? "rbac.authorization.k8s.io/v1/clusterrolebindings"
                                        : kind == "Role"               ? "rbac.authorization.k8s.io/v1/roles"
                                                                       : "rbac.authorization.k8s.io/v1/rolebindings";
      return Reconcile(ctx, client, resource, std::move(object));
    });
  }
  rest.push_back([&] {
    auto range = Named("kubernetes");
    range.Set("spec").Set("cidrs").Append(json::Value(options.service_cidr));
    return Ensure(ctx, client, "networking.k8s.io/v1/servicecidrs", std::move(range));
  });
  rest.push_back([&] { return WriteKubernetesService(ctx, client, options); });
  rest.push_back([&] {
    return Ensure(ctx, client, "scheduling.k8s.io/v1/priorityclasses",
                  PriorityClass("system-node-critical", 2000001000, "Used for system critical pods that must not be moved from their current node."));
  });
  rest.push_back([&] {
    return Ensure(ctx, client, "scheduling.k8s.io/v1/priorityclasses",
                  PriorityClass("system-cluster-critical", 2000000000, "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary."));
  });
  rest.push_back([&] {
    auto authentication = Named("extension-apiserver-authentication", "kube-system");
    authentication.Set("data") = ExtensionAuthentication(options);
    return KeepData(ctx, client, std::move(authentication));
  });
  // From here on every use of a token that lies in a secret is recorded on it.
  rest.push_back([&] {
    auto tracking = Named("kube-apiserver-legacy-service-account-token-tracking", "kube-system");
    tracking.Set("data").Set("since") = FormatTime(clock.Now()).substr(0, 10);
    return Ensure(ctx, client, "v1/configmaps", std::move(tracking));
  });
  TRY(auto apis, BuiltinApiWrites(ctx, client));
  for (auto& write : apis) rest.push_back(std::move(write));
  auto flows = BootstrapFlows();
  for (auto& object : flows)
    rest.push_back([&] {
      const std::string_view resource = object["kind"].Str() == "FlowSchema" ? "flowcontrol.apiserver.k8s.io/v1/flowschemas" : "flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations";
      return KeepSpec(ctx, client, resource, std::move(object));
    });
  // What earlier versions wrote and nobody may hold any more.
  rest.push_back([&]() -> Result<> {
    constexpr std::string_view kBindings = "rbac.authorization.k8s.io/v1/clusterrolebindings";
    const Key retired{"", "skerry:node-agents"};
    if (!client.Get(ctx, kBindings, retired)) return {};
    return client.Delete(ctx, kBindings, retired);
  });
  TRY_VOID(RunTogether(std::move(namespaces), options.bootstrap_writers));
  return RunTogether(std::move(rest), options.bootstrap_writers);
}

Result<> WriteKubernetesEndpoints(const Ctx& ctx, Client& client, const std::string& address, int port) {
  if (address.starts_with("127.") || address == "::1") return {};   // the service waits for a real one
  auto endpoints = Named("kubernetes", "default");
  endpoints.Set("metadata").Set("labels").Set("endpointslice.kubernetes.io/skip-mirror") = "true";
  auto subset = json::Value::Object();
  subset.Set("addresses").Append(json::Value::Object()).Set("ip") = address;
  subset.Set("ports").Append(Port("https", port));
  endpoints.Set("subsets").Append(std::move(subset));
  auto slice = Named("kubernetes", "default");
  slice.Set("metadata").Set("labels").Set("kubernetes.io/service-name") = "kubernetes";
  slice.Set("addressType") = "IPv4";
  auto endpoint = json::Value::Object();
  endpoint.Set("addresses").Append(json::Value(address));
  endpoint.Set("conditions").Set("ready") = true;
  slice.Set("endpoints").Append(std::move(endpoint));
  slice.Set("ports").Append(Port("https", port));
  for (auto* object : {&endpoints, &slice}) {
    const std::string_view resource = object == &slice ? "discovery.k8s.io/v1/endpointslices" : "v1/endpoints";
    if (const auto found = client.Get(ctx, resource, {"default", "kubernetes"})) {
      auto next = (*found)->Clone();
      for (const std::string_view member : {"subsets", "endpoints", "ports"})
        if (object->Find(member)) next.Set(member) = (*object)[member].Clone();
      TRY_VOID(client.Update(ctx, resource, std::move(next)));
    } else {
      TRY_VOID(client.Create(ctx, resource, std::move(*object)));
    }
  }
  return {};
}

}  // namespace skerry::kube
