#include "embedded-kube-shim/server/metrics_api.h"

#include <algorithm>

#include "core/base/strings.h"
#include "core/text/duration.h"
#include "core/text/quantity.h"
#include "core/text/selector.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/cache/object_cache.h"
#include "embedded-kube-shim/server/field_selector.h"
#include "embedded-kube-shim/server/watch_source.h"

namespace skerry::kube {
namespace {

json::Value Usage(std::int64_t cpu_nanos, std::int64_t memory_bytes) {
  json::Value out;
  const auto cpu = text::Quantity::Parse(Cat(cpu_nanos, "n"));
  out.Set("cpu") = cpu ? cpu->Canonical() : std::string("0");
  out.Set("memory") = text::Quantity::Of(memory_bytes, text::Quantity::Format::kBinarySi).Canonical();
  return out;
}

ItemPtr Described(const Engine& engine, std::string_view resource, const Key& key) {
  Target target;
  target.def = engine.resources().Find("", "v1", resource);
  target.version = "v1";
  target.ns = key.ns;
  target.name = key.name;
  return engine.Find(target);
}

// What every object of the group begins with. Labels are those of the pod or node, so that selectors work.
json::Value Head(const Item& described, Clock::Wall at, std::chrono::milliseconds window) {
  json::Value out;
  json::Value& metadata = out.Set("metadata");
  metadata.Set("name") = described.name();
  if (!described.ns().empty()) metadata.Set("namespace") = described.ns();
  metadata.Set("creationTimestamp") = FormatTime(at);
  for (const auto& [name, value] : described.labels()) metadata.Set("labels").Set(name) = value;
  out.Set("timestamp") = FormatTime(at);
  out.Set("window") = text::FormatDuration(window);
  return out;
}

}  // namespace

ItemPtr MadeItem(const RestRequest& request, const Key& key, json::Value object) {
  Canonicalize(request.target.schema_version().schema, object);
  object.Set("kind") = request.target.gvk().kind;
  object.Set("apiVersion") = request.target.gvk().api_version();
  store::Entry entry;
  entry.key = key.ns.empty() ? key.name : Cat(key.ns, "/", key.name);
  entry.value = Bytes(object.Dump());
  return std::make_shared<const Item>(entry.key, entry);
}

namespace {

std::vector<ItemPtr> PodItems(const Engine& engine, const RestRequest& request, MetricsSource& source) {
  std::vector<ItemPtr> out;
  for (const PodUsage& pod : source.Pods(request.target.ns)) {
    const ItemPtr described = Described(engine, "pods", pod.pod);
    if (!described) continue;
    json::Value object = Head(*described, pod.at, pod.window);
    json::Value& containers = object.Set("containers");
    for (const ContainerUsage& c : pod.containers) {
      json::Value one;
      one.Set("name") = c.name;
      one.Set("usage") = Usage(c.cpu_nanos, c.memory_bytes);
      containers.Append(std::move(one));
    }
    out.push_back(MadeItem(request, pod.pod, std::move(object)));
  }
  return out;
}

std::vector<ItemPtr> NodeItems(const Engine& engine, const RestRequest& request, MetricsSource& source) {
  std::vector<ItemPtr> out;
  for (const NodeUsage& node : source.Nodes()) {
    const ItemPtr described = Described(engine, "nodes", {"", node.node});
    if (!described) continue;
    json::Value object = Head(*described, node.at, node.window);
    object.Set("usage") = Usage(node.cpu_nanos, node.memory_bytes);
    out.push_back(MadeItem(request, {"", node.node}, std::move(object)));
  }
  return out;
}

Result<http::Reply> Answer(Rest& rest, const RestRequest& request, MetricsSource& source) {
  const Engine& engine = rest.engine();
  const auto& target = request.target;
  const bool pods = target.def->resource == "pods", list = request.info.verb == "list";
  TRY(auto output, Negotiate(*request.http, MediaScope::kObject));
  TRY(const auto options, ParseListOptions(*request.http));
  TRY(const auto labels, text::LabelSelector::Parse(list ? options.label_selector : std::string()));
  TRY(const auto fields, FieldSelector::Parse(list ? options.field_selector : std::string(), *target.def, target.version));
  Result<> include;
  const auto encoder = EncoderFor(engine, request, std::move(output), &include);
  TRY_VOID(std::move(include));
  const Key key{target.ns, target.name};
  const std::string shown = key.ns.empty() ? key.name : Cat(key.ns, "/", key.name);
  if (!list && !Described(engine, target.def->resource, key)) return std::unexpected(NotFoundError("", target.def->resource, shown));
  auto items = pods ? PodItems(engine, request, source) : NodeItems(engine, request, source);
  if (list) {
    std::erase_if(items, [&](const ItemPtr& item) { return !SelectedBy(*item, labels, fields); });
    std::sort(items.begin(), items.end(), [](const ItemPtr& a, const ItemPtr& b) { return a->key() < b->key(); });
    TRY(auto response, encoder.List(items, {}));
    return http::Reply(std::move(response));
  }
  for (const ItemPtr& item : items) {
    if (item->name() != key.name) continue;
    TRY(auto response, encoder.One(200, item));
    return http::Reply(std::move(response));
  }
  return std::unexpected(NotFoundError("metrics.k8s.io", pods ? "podmetrics" : "nodemetrics", shown));   // it does not run, or elsewhere
}

// ── what a kubelet says ──

json::Value CpuStats(Clock::Wall at, std::int64_t nanos, std::uint64_t total) {
  json::Value out;
  out.Set("time") = FormatTime(at);
  out.Set("usageNanoCores") = nanos;
  out.Set("usageCoreNanoSeconds") = static_cast<std::int64_t>(total);
  return out;
}

json::Value MemoryStats(Clock::Wall at, const Counters& c, std::int64_t working_set) {
  json::Value out;
  out.Set("time") = FormatTime(at);
  out.Set("usageBytes") = static_cast<std::int64_t>(c.memory_usage_bytes);
  out.Set("workingSetBytes") = working_set;
  out.Set("rssBytes") = static_cast<std::int64_t>(c.memory_rss_bytes);
  out.Set("pageFaults") = static_cast<std::int64_t>(c.page_faults);
  out.Set("majorPageFaults") = static_cast<std::int64_t>(c.major_page_faults);
  return out;
}

json::Value InterfaceStats(const InterfaceUsage& i) {
  json::Value out;
  out.Set("name") = i.name;
  out.Set("rxBytes") = static_cast<std::int64_t>(i.rx_bytes);
  out.Set("rxErrors") = static_cast<std::int64_t>(i.rx_errors);
  out.Set("txBytes") = static_cast<std::int64_t>(i.tx_bytes);
  out.Set("txErrors") = static_cast<std::int64_t>(i.tx_errors);
  return out;
}

json::Value NetworkStats(const NodeUsage& node) {
  json::Value out;
  out.Set("time") = FormatTime(node.at);
  const json::Value main = InterfaceStats(node.interfaces.front());
  for (const json::Member& m : main.Members()) out.Set(m.key) = m.value.Clone();
  for (const InterfaceUsage& i : node.interfaces) out.Set("interfaces").Append(InterfaceStats(i));
  return out;
}

json::Value DiskStats(Clock::Wall at, const DiskUsage& disk) {
  json::Value out;
  out.Set("time") = FormatTime(at);
  out.Set("availableBytes") = static_cast<std::int64_t>(disk.available_bytes);
  out.Set("capacityBytes") = static_cast<std::int64_t>(disk.capacity_bytes);
  out.Set("usedBytes") = static_cast<std::int64_t>(disk.used_bytes);
  out.Set("inodesFree") = static_cast<std::int64_t>(disk.inodes_free);
  out.Set("inodes") = static_cast<std::int64_t>(disk.inodes);
  out.Set("inodesUsed") = static_cast<std::int64_t>(disk.inodes - disk.inodes_free);
  return out;
}

ContainerUsage Sum(const PodUsage& pod) {
  ContainerUsage sum;
  for (const ContainerUsage& c : pod.containers) {
    sum.cpu_nanos += c.cpu_nanos;
    sum.memory_bytes += c.memory_bytes;
    sum.counters.cpu_ns += c.counters.cpu_ns;
    sum.counters.memory_usage_bytes += c.counters.memory_usage_bytes;
    sum.counters.memory_rss_bytes += c.counters.memory_rss_bytes;
    sum.counters.page_faults += c.counters.page_faults;
    sum.counters.major_page_faults += c.counters.major_page_faults;
  }
  return sum;
}

json::Value PodSummary(const Item& described, const PodUsage& pod) {
  json::Value out;
  json::Value& ref = out.Set("podRef");
  ref.Set("name") = pod.pod.name;
  ref.Set("namespace") = pod.pod.ns;
  ref.Set("uid") = described.uid();
  out.Set("startTime") = described.Object()->At({"status", "startTime"}).Str();
  json::Value& containers = out.Set("containers");
  for (const ContainerUsage& c : pod.containers) {
    json::Value one;
    one.Set("name") = c.name;
    one.Set("startTime") = FormatTime(c.counters.since);
    one.Set("cpu") = CpuStats(pod.at, c.cpu_nanos, c.counters.cpu_ns);
    one.Set("memory") = MemoryStats(pod.at, c.counters, c.memory_bytes);
    containers.Append(std::move(one));
  }
  const ContainerUsage sum = Sum(pod);
  out.Set("cpu") = CpuStats(pod.at, sum.cpu_nanos, sum.counters.cpu_ns);
  out.Set("memory") = MemoryStats(pod.at, sum.counters, sum.memory_bytes);
  return out;
}

http::Reply Document(std::string type, std::string text) {
  http::Response out;
  out.headers.push_back({"Content-Type", std::move(type)});
  out.body = Bytes(std::move(text));
  return http::Reply(std::move(out));
}

// Names in an exposition need no escapes: they are DNS names.
struct Family {
  std::string text;
  Family(std::string_view name, std::string_view type, std::string_view help) : text(Cat("# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n")), name_(name) {}
  void Add(const std::string& labels, const std::string& value, Clock::Wall at) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count();
    text += Cat(name_, labels.empty() ? "" : Cat("{", labels, "}"), " ", value, " ", ms, "\n");
  }

 private:
  std::string_view name_;
};

std::string Seconds(std::uint64_t ns) { return Cat(ns / 1'000'000'000, ".", std::to_string(1'000'000'000 + ns % 1'000'000'000).substr(1)); }
std::string Seconds(Clock::Wall t) { return Seconds(static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(t.time_since_epoch()).count())); }

}  // namespace

void ServeMetrics(Rest& rest, RestRequest request, RestDone done) {
  MetricsSource* source = rest.services().usage ? rest.services().usage() : nullptr;
  if (!source || !rest.services().waiters) return done(std::unexpected(Error(Code::kUnavailable, "the node agent has not started yet")));
  auto shared = std::make_shared<std::pair<RestRequest, RestDone>>(std::move(request), std::move(done));
  const bool taken = rest.services().waiters->TrySubmit([&rest, source, shared] { shared->second(Answer(rest, shared->first, *source)); });
  if (!taken) shared->second(std::unexpected(Error(Code::kUnavailable, "too many requests wait for figures")));
}

http::Reply StatsSummary(const Engine& engine, MetricsSource& usage) {
  json::Value out;
  for (const NodeUsage& n : usage.Nodes()) {
    json::Value& node = out.Set("node");
    node.Set("nodeName") = n.node;
    node.Set("startTime") = FormatTime(n.counters.since);
    node.Set("cpu") = CpuStats(n.at, n.cpu_nanos, n.counters.cpu_ns);
    node.Set("memory") = MemoryStats(n.at, n.counters, n.memory_bytes);
    node.Set("memory").Set("availableBytes") = n.memory_available_bytes;
    if (!n.interfaces.empty()) node.Set("network") = NetworkStats(n);
    if (n.disk) {
      node.Set("fs") = DiskStats(n.at, *n.disk);
      node.Set("runtime").Set("imageFs") = DiskStats(n.at, *n.disk);   // images and containers share it
      node.Set("runtime").Set("containerFs") = DiskStats(n.at, *n.disk);
    }
  }
  json::Value& pods = out.Set("pods");
  pods = json::Value::Array();
  for (const PodUsage& pod : usage.Pods({})) {
    if (const ItemPtr described = Described(engine, "pods", pod.pod)) pods.Append(PodSummary(*described, pod));
  }
  return Document("application/json", out.Dump());
}

http::Reply ResourceMetrics(const Engine&, MetricsSource& usage) {
  Family container_cpu("container_cpu_usage_seconds_total", "counter", "Processor time that the container has used, in seconds of one core");
  Family container_memory("container_memory_working_set_bytes", "gauge", "Memory that the container uses, without file pages that nobody needs any more");
  Family container_start("container_start_time_seconds", "gauge", "When the container was started, in seconds since 1970");
  Family pod_cpu("pod_cpu_usage_seconds_total", "counter", "Processor time that the containers of the pod have used, in seconds of one core");
  Family pod_memory("pod_memory_working_set_bytes", "gauge", "Memory that the containers of the pod use");
  Family node_cpu("node_cpu_usage_seconds_total", "counter", "Processor time that the node has used, in seconds of one core");
  Family node_memory("node_memory_working_set_bytes", "gauge", "Memory that the node uses");
  for (const PodUsage& pod : usage.Pods({})) {
    const std::string of_pod = Cat("namespace=\"", pod.pod.ns, "\",pod=\"", pod.pod.name, "\"");
    for (const ContainerUsage& c : pod.containers) {
      const std::string labels = Cat("container=\"", c.name, "\",", of_pod);
      container_cpu.Add(labels, Seconds(c.counters.cpu_ns), pod.at);
      container_memory.Add(labels, std::to_string(c.memory_bytes), pod.at);
      container_start.Add(labels, Seconds(c.counters.since), pod.at);
    }
    const ContainerUsage sum = Sum(pod);
    pod_cpu.Add(of_pod, Seconds(sum.counters.cpu_ns), pod.at);
    pod_memory.Add(of_pod, std::to_string(sum.memory_bytes), pod.at);
  }
  for (const NodeUsage& n : usage.Nodes()) {
    node_cpu.Add("", Seconds(n.counters.cpu_ns), n.at);
    node_memory.Add("", std::to_string(n.memory_bytes), n.at);
  }
  return Document("text/plain; version=0.0.4; charset=utf-8",
                  container_cpu.text + container_memory.text + container_start.text + node_cpu.text + node_memory.text + pod_cpu.text + pod_memory.text);
}

// Of cAdvisor's families those for which there is a figure. The root group ("/") is the machine.
http::Reply ContainerMetrics(const Engine&, MetricsSource& usage) {
  Family cpu("container_cpu_usage_seconds_total", "counter", "Processor time that was used, in seconds of one core");
  Family memory("container_memory_usage_bytes", "gauge", "Memory that is used, with all file pages");
  Family working_set("container_memory_working_set_bytes", "gauge", "Memory that is used, without file pages that nobody needs any more");
  Family rss("container_memory_rss", "gauge", "Memory that belongs to no file");
  Family faults("container_memory_failures_total", "counter", "Page faults");
  Family start("container_start_time_seconds", "gauge", "When it was started, in seconds since 1970");
  const auto add = [&](const std::string& labels, const Counters& c, std::int64_t used, Clock::Wall at) {
    cpu.Add(Cat("cpu=\"total\",", labels), Seconds(c.cpu_ns), at);
    memory.Add(labels, std::to_string(c.memory_usage_bytes), at);
    working_set.Add(labels, std::to_string(used), at);
    rss.Add(labels, std::to_string(c.memory_rss_bytes), at);
    faults.Add(Cat("failure_type=\"pgfault\",scope=\"container\",", labels), std::to_string(c.page_faults), at);
    faults.Add(Cat("failure_type=\"pgmajfault\",scope=\"container\",", labels), std::to_string(c.major_page_faults), at);
    start.Add(labels, Seconds(c.since), at);
  };
  for (const NodeUsage& n : usage.Nodes()) add("container=\"\",id=\"/\",image=\"\",name=\"\",namespace=\"\",pod=\"\"", n.counters, n.memory_bytes, n.at);
  for (const PodUsage& pod : usage.Pods({})) {
    const std::string of_pod = Cat("namespace=\"", pod.pod.ns, "\",pod=\"", pod.pod.name, "\"");
    for (const ContainerUsage& c : pod.containers) add(Cat("container=\"", c.name, "\",", of_pod), c.counters, c.memory_bytes, pod.at);
  }
  return Document("text/plain; version=0.0.4; charset=utf-8", cpu.text + faults.text + rss.text + memory.text + working_set.text + start.text);
}

}  // namespace skerry::kube
