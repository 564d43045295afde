#include "embedded-kube-shim/node/node_status.h"

#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/telemetry/log.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/controllers/pod_facts.h"

namespace skerry::kube::node {
namespace {

constexpr const char* kController = "node-status";
constexpr std::chrono::seconds kLeaseDuration{40}, kRenew{10}, kHeartbeat{24 * 3600};
constexpr double kDiskPressure = 0.05;                // free share of the file system below which new pods stay away

std::string FirstLine(const std::string& path) {
  auto text = ReadFile(path, 1 << 16);
  return text ? std::string(Trim(Split(*text, '\n')[0])) : std::string();
}

std::string OsName() {
  auto text = ReadFile("/etc/os-release", 1 << 16);
  if (!text) return "Linux";
  for (const std::string_view line : Split(*text, '\n')) {
    if (!line.starts_with("PRETTY_NAME=")) continue;
    std::string_view v = line.substr(12);
    if (v.size() >= 2 && v.front() == '"') v = v.substr(1, v.size() - 2);
    return std::string(v);
  }
  return "Linux";
}

bool SetIfDifferent(json::Value& object, std::string_view key, std::string_view value) {
  json::Value& v = object.Set(key);
  if (v.is_string() && v.Str() == value) return false;
  v = value;
  return true;
}

class NodeStatus final : public Reconciler {
 public:
  NodeStatus(Informers& informers, Client& client, EventRecorder& events, container::Runtime& runtime, const Clock& clock, NodeOptions options)
      : client_(client), events_(events), runtime_(runtime), clock_(clock), o_(std::move(options)), nodes_(informers.Get("v1/nodes")),
        leases_(informers.Get("coordination.k8s.io/v1/leases")) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key&) override {
    auto r = Beat(ctx);
    // Nobody else could make this true again: a refusal (roles that are still being written) is tried again as well.
    if (!r && r.error().code() != Code::kForbidden && r.error().code() != Code::kInvalid) return std::unexpected(std::move(r).error());
    if (!r) log::Warn("node status not written", {{"node", o_.name}, {"error", r.error()}});
    return Outcome{r ? kRenew : std::chrono::seconds(1)};
  }

 private:
  Result<> Beat(const Ctx& ctx) {
    const ObjectPtr node = nodes_.Get({"", o_.name});
    if (!node) {
      TRY_VOID(Register(ctx));
    } else {
      TRY_VOID(Update(ctx, *node));
    }
    return Renew(ctx);
  }

  Result<> Register(const Ctx& ctx) {
    json::Value n;
    n.Set("apiVersion") = "v1";
    n.Set("kind") = "Node";
    n.Set("metadata").Set("name") = o_.name;
    SetLabels(n);
    if (!o_.pod_cidr.empty()) {
      n.Set("spec").Set("podCIDR") = o_.pod_cidr;
      n.Set("spec").Set("podCIDRs").Append(o_.pod_cidr);
    }
    n.Set("status") = Status(n);
    auto created = client_.Create(ctx, "v1/nodes", std::move(n));
    if (!created) return std::unexpected(std::move(created).error());
    events_.Event(**created, "Normal", "Starting", "Starting kubelet.");
    events_.Event(**created, "Normal", "NodeReady", Cat("Node ", o_.name, " status is now: NodeReady"));
    heartbeat_ = clock_.Mono();
    return {};
  }

  bool SetLabels(json::Value& n) {
    const Machine m = ReadMachine(o_.data_directory);
    json::Value& labels = n.Set("metadata").Set("labels");
    bool changed = SetIfDifferent(labels, "kubernetes.io/hostname", o_.name);
    changed |= SetIfDifferent(labels, "kubernetes.io/os", "linux");
    changed |= SetIfDifferent(labels, "kubernetes.io/arch", m.architecture);
    changed |= SetIfDifferent(labels, "beta.kubernetes.io/os", "linux");
    changed |= SetIfDifferent(labels, "beta.kubernetes.io/arch", m.architecture);
    return changed;
  }

  Result<> Update(const Ctx& ctx, const json::Value& node) {
    json::Value next = node.Clone();
    if (SetLabels(next)) {
      TRY(const ObjectPtr written, client_.Update(ctx, "v1/nodes", std::move(next)));
      next = written->Clone();
    }
    json::Value status = Status(next);
    // A heartbeat alone is hardly ever written: the lease tells the same, and it does not go to the disk. A machine at rest writes nothing.
    if (WithoutHeartbeats(status) == WithoutHeartbeats(next["status"]) && clock_.Mono() - heartbeat_ < kHeartbeat) return {};
    next.Set("status") = std::move(status);
    TRY(const ObjectPtr written, client_.Update(ctx, "v1/nodes", std::move(next), "status"));
    static_cast<void>(written);
    heartbeat_ = clock_.Mono();
    return {};
  }

  static json::Value WithoutHeartbeats(const json::Value& status) {
    json::Value copy = status.Clone();
    if (json::Value* conditions = copy.Find("conditions")) {
      for (json::Value& c : conditions->MutableItems()) c.Erase("lastHeartbeatTime");
    }
    return copy;
  }

  json::Value Status(const json::Value& node) const {
    const Machine m = ReadMachine(o_.data_directory);
    const json::Value& old = node["status"];
    json::Value s = old.Clone();
    const auto amounts = [&](const char* list) {
      json::Value& a = s.Set(list);                    // foreign entries (extended resources) stay
      a.Set("cpu") = std::to_string(m.cpus);
      a.Set("memory") = Cat(m.memory_bytes / 1024, "Ki");
      a.Set("ephemeral-storage") = Cat(m.storage_bytes / 1024, "Ki");
      a.Set("pods") = std::to_string(o_.max_pods);
      for (const char* page : {"hugepages-1Gi", "hugepages-2Mi"}) {
        if (a[page].is_null()) a.Set(page) = "0";
      }
    };
    amounts("capacity");
    amounts("allocatable");
    s.Erase("addresses");
    const auto address = [&](const char* type, const std::string& value) {
      json::Value a;
      a.Set("type") = type;
      a.Set("address") = value;
      s.Set("addresses").Append(std::move(a));
    };
    address("InternalIP", o_.ip());
    address("Hostname", o_.name);
    PutConditions(s, old, m);
    s.Set("daemonEndpoints").Set("kubeletEndpoint").Set("Port") = 10250;   // answered by the API server, which is in this process
    json::Value& info = s.Set("nodeInfo");
    info.Set("machineID") = m.machine_id;
    info.Set("systemUUID") = m.system_uuid;
    info.Set("bootID") = m.boot_id;
    info.Set("kernelVersion") = m.kernel;
    info.Set("osImage") = m.os_image;
    const container::RuntimeInfo runtime = runtime_.Info();
    info.Set("containerRuntimeVersion") = Cat(runtime.name, "://", runtime.version.substr(runtime.version.rfind(' ') + 1));
    info.Set("kubeletVersion") = o_.version;
    info.Set("kubeProxyVersion") = "";
    info.Set("operatingSystem") = "linux";
    info.Set("architecture") = m.architecture;
    PutImages(s);
    return s;
  }

  void PutConditions(json::Value& s, const json::Value& old, const Machine& m) const {
    const std::string now = FormatTime(clock_.Now());
    const auto put = [&](const char* type, bool value, const char* reason, const std::string& message) {
      const json::Value* before = FindCondition(old, type);
      const char* text = value ? "True" : "False";
      json::Value c;
      c.Set("type") = type;
      c.Set("status") = text;
      c.Set("lastHeartbeatTime") = now;
      c.Set("lastTransitionTime") = before && (*before)["status"].Str() == text ? std::string((*before)["lastTransitionTime"].Str()) : now;
      c.Set("reason") = reason;
      c.Set("message") = message;
      RemoveCondition(s, type);
      s.Set("conditions").Append(std::move(c));
    };
    const bool full = m.storage_bytes > 0 && static_cast<double>(m.storage_free_bytes) < kDiskPressure * static_cast<double>(m.storage_bytes);
    put("MemoryPressure", false, "KubeletHasSufficientMemory", "kubelet has sufficient memory available");
    put("DiskPressure", full, full ? "KubeletHasDiskPressure" : "KubeletHasNoDiskPressure", full ? "kubelet has disk pressure" : "kubelet has no disk pressure");
    put("PIDPressure", false, "KubeletHasSufficientPID", "kubelet has sufficient PID available");
    const Result<> healthy = runtime_.Healthy();
    put("Ready", healthy.has_value(), healthy ? "KubeletReady" : "KubeletNotReady", healthy ? "kubelet is posting ready status" : Cat("container runtime is down: ", healthy.error().message()));
  }

  void PutImages(json::Value& s) const {
    const auto images = runtime_.images().List();
    if (!images) return;
    json::Value list = json::Value::Array();
    for (const container::ImageInfo& i : *images) {
      if (list.size() >= 50) break;
      json::Value image, names = json::Value::Array();
      for (const std::string& d : i.digests) names.Append(d);
      for (const std::string& t : i.tags) names.Append(t);
      if (names.size() == 0) continue;
      image.Set("names") = std::move(names);
      image.Set("sizeBytes") = static_cast<std::int64_t>(i.size_bytes);
      list.Append(std::move(image));
    }
    s.Set("images") = std::move(list);
  }

  Result<> Renew(const Ctx& ctx) {
    const Key key{"kube-node-lease", o_.name};
    const ObjectPtr current = leases_.Get(key);
    json::Value lease = current ? current->Clone() : json::Value();
    lease.Set("apiVersion") = "coordination.k8s.io/v1";
    lease.Set("kind") = "Lease";
    json::Value& meta = lease.Set("metadata");
    meta.Set("name") = key.name;
    meta.Set("namespace") = key.ns;
    const ObjectPtr node = nodes_.Get({"", o_.name});
    if (node && meta["ownerReferences"].size() == 0) {
      json::Value ref;
      ref.Set("apiVersion") = "v1";
      ref.Set("kind") = "Node";
      ref.Set("name") = o_.name;
      ref.Set("uid") = Uid(*node);
      meta.Set("ownerReferences").Append(std::move(ref));
    }
    json::Value& spec = lease.Set("spec");
    spec.Set("holderIdentity") = o_.name;
    spec.Set("leaseDurationSeconds") = static_cast<std::int64_t>(kLeaseDuration.count());
    spec.Set("renewTime") = FormatMicroTime(clock_.Now());
    auto r = current ? client_.Update(ctx, "coordination.k8s.io/v1/leases", std::move(lease)) : client_.Create(ctx, "coordination.k8s.io/v1/leases", std::move(lease));
    if (!r && r.error().code() != Code::kNotFound) return std::unexpected(std::move(r).error());   // the namespace comes a moment after the first start
    return {};
  }

  Client& client_;
  EventRecorder& events_;
  container::Runtime& runtime_;
  const Clock& clock_;
  const NodeOptions o_;
  const Lister& nodes_;
  const Lister& leases_;
  Clock::MonoTime heartbeat_{};
};

}  // namespace

Machine ReadMachine(const std::string& data_directory) {
  Machine m;
  m.cpus = std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN));
  m.memory_bytes = static_cast<std::int64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGE_SIZE);
  struct statvfs fs;
  if (::statvfs(data_directory.c_str(), &fs) == 0) {
    m.storage_bytes = static_cast<std::int64_t>(fs.f_blocks) * static_cast<std::int64_t>(fs.f_frsize);
    m.storage_free_bytes = static_cast<std::int64_t>(fs.f_bavail) * static_cast<std::int64_t>(fs.f_frsize);
  }
  utsname u;
  if (::uname(&u) == 0) {
    m.kernel = u.release;
    m.architecture = std::string_view(u.machine) == "x86_64" ? "amd64" : std::string_view(u.machine) == "aarch64" ? "arm64" : u.machine;
  }
  m.os_image = OsName();
  m.machine_id = FirstLine("/etc/machine-id");
  m.boot_id = FirstLine("/proc/sys/kernel/random/boot_id");
  m.system_uuid = FirstLine("/sys/class/dmi/id/product_uuid");
  if (m.system_uuid.empty()) m.system_uuid = m.machine_id;
  return m;
}

void AddNodeStatus(Manager& manager, Informers& informers, Client& client, EventRecorder& events, container::Runtime& runtime, const Clock& clock, NodeOptions options) {
  ControllerSpec spec;
  spec.name = kController;
  const std::string name = options.name;
  spec.triggers.push_back({"v1/nodes", [name](const Notification& n) {
                             std::vector<Key> keys;
                             if (Name(*n.object) == name && n.type == Notification::Type::kDeleted) keys.push_back({"", name});
                             return keys;
                           }});
  spec.reconciler = std::make_unique<NodeStatus>(informers, client, events, runtime, clock, std::move(options));
  manager.Add(std::move(spec));
  manager.Enqueue(kController, {"", name});
}

}  // namespace skerry::kube::node
