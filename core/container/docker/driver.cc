#include "core/container/docker/driver.h"
#include "core/container/oci/bundle.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/process/mounts.h"
#include "core/process/namespaces.h"
#include "core/process/wait.h"
#include "core/telemetry/log.h"

namespace skerry::container::docker {
namespace {

Ctx Brief() { return Ctx{std::stop_token(), std::chrono::steady_clock::now() + std::chrono::seconds(30)}; }

std::string LabelFilter(const std::string& instance, bool containers_only) {
  json::Value filter = json::Value::Object();
  filter.Set("label").Append(Cat(kInstance, "=", instance));
  if (containers_only) filter.Set("type").Append("container");
  return Escape(filter.Dump());
}

}  // namespace

Result<std::unique_ptr<Runtime>> Create(Options options) {
  if (options.run_dir.empty()) return Fail(Code::kInvalid, "a run directory is needed");
  return std::make_unique<Driver>(std::move(options));
}

std::string Driver::Name(std::string_view id) const { return Cat("skerry-", options_.instance, "-", id); }
std::string Driver::NetnsFile(std::string_view id) const { return Cat(options_.run_dir, "/netns/", id); }

Result<> Driver::Start(const Ctx& ctx) {
  TRY_VOID(client_.Negotiate(ctx));
  for (const char* sub : {"/netns", "/images"}) TRY_VOID(MakeDirectories(options_.run_dir + sub, 0700));
  TRY(const auto info, client_.Call(ctx, "GET", "/info"));
  host_.systemd_cgroups = info["CgroupDriver"].Str() == "systemd";
  const auto machine = oci::Machine::Probe(false);
  host_.capabilities = machine.capabilities;
  host_.oom_score_adj = machine.oom_score_adj;
  TRY(cgroups_, process::Cgroups::Detect());
  TRY(pause_image_, images_.EnsurePause(ctx));
  TRY_VOID(Resync(ctx));
  events_ = std::jthread([this](const std::stop_token& stop) { WatchEvents(stop); });
  return {};
}

void Driver::Stop() noexcept {
  events_.request_stop();
  if (events_.joinable()) events_.join();
  changed_.notify_all();
}

RuntimeInfo Driver::Info() const {
  RuntimeInfo info{.name = "docker", .version = client_.server_version(), .cgroup_mode = cgroups_ ? std::string(cgroups_->mode_name()) : ""};
  if (!host_.capabilities.contains("CAP_SYS_RESOURCE")) info.limitations.emplace_back("CAP_SYS_RESOURCE is missing: OOM scores cannot be lowered, hard limits not raised");
  return info;
}

std::shared_ptr<std::mutex> Driver::Busy(std::string_view id) {
  auto cache = cache_.Lock();
  auto& slot = cache->busy[std::string(id)];
  if (slot == nullptr) slot = std::make_shared<std::mutex>();
  return slot;
}

void Driver::Accept(const json::Value& inspect) {
  const json::Value& labels = inspect.At({"Config", "Labels"});
  const std::string id(labels[kId].Str()), docker_id(inspect["Id"].Str());
  if (id.empty() || labels[kInstance].Str() != options_.instance) return;
  auto cache = cache_.Lock();
  if (labels[kKind].Str() == "sandbox") {
    Sandbox& sandbox = cache->sandboxes[id];
    sandbox.docker_id = docker_id;
    sandbox.pid = static_cast<int>(inspect.At({"State", "Pid"}).Int());
    sandbox.status.id = id;
    sandbox.status.spec = DecodeSandboxSpec(std::string(labels[kSpec].Str()));
    sandbox.status.spec.id = id;
    sandbox.status.created = DecodeTime(inspect["Created"].Str());
    sandbox.status.ready = inspect.At({"State", "Running"}).Bool();
    if (sandbox.status.spec.network == NetworkMode::kOwn) sandbox.status.netns_path = NetnsFile(id);
  } else {
    Container& container = cache->containers[id];
    container.docker_id = docker_id;
    container.log_path = inspect["LogPath"].Str();
    container.status = DecodeStatus(inspect);
  }
}

void Driver::Forget(const std::string& docker_id) {
  auto cache = cache_.Lock();
  std::erase_if(cache->sandboxes, [&](const auto& e) { return e.second.docker_id == docker_id; });
  std::erase_if(cache->containers, [&](const auto& e) { return e.second.docker_id == docker_id; });
}

Result<> Driver::Refresh(const Ctx& ctx, const std::string& docker_id_or_name) {
  auto inspect = client_.Call(ctx, "GET", Cat("/containers/", docker_id_or_name, "/json"));
  if (inspect) {
    Accept(*inspect);
    changed_.notify_all();
    return {};
  }
  if (inspect.error().code() == Code::kNotFound) Forget(docker_id_or_name);
  return std::unexpected(std::move(inspect).error());
}

Result<> Driver::Resync(const Ctx& ctx) {
  TRY(const auto list, client_.Call(ctx, "GET", Cat("/containers/json?all=1&filters=", LabelFilter(options_.instance, false))));
  std::set<std::string> present;
  for (const json::Value& entry : list.Items()) {
    const std::string docker_id(entry["Id"].Str());
    present.insert(docker_id);
    if (auto seen = Refresh(ctx, docker_id); !seen && seen.error().code() != Code::kNotFound) return seen;
  }
  auto cache = cache_.Lock();
  std::erase_if(cache->sandboxes, [&](const auto& e) { return !present.contains(e.second.docker_id); });
  std::erase_if(cache->containers, [&](const auto& e) { return !present.contains(e.second.docker_id); });
  return {};
}

void Driver::OnEngineEvent(const json::Value& event) {
  const json::Value& attributes = event.At({"Actor", "Attributes"});
  const std::string_view action = event["Action"].Str();
  const std::string docker_id(event.At({"Actor", "ID"}).Str()), id(attributes[kId].Str());
  const bool is_sandbox = attributes[kKind].Str() == "sandbox";
  if (id.empty()) return;
  if (action == "destroy") {
    Forget(docker_id);
    changed_.notify_all();
    return;
  }
  if (action != "start" && action != "die" && action != "oom" && action != "create") return;
  if (auto seen = Refresh(Brief(), docker_id); !seen && seen.error().code() != Code::kNotFound) {
    log::Warn("container engine does not tell about a container", {{"container", id}, {"error", seen.error()}});
  }
  if (action == "start" && !is_sandbox) Emit(Event::Kind::kContainerStarted, id);
  if (action == "oom" && !is_sandbox) Emit(Event::Kind::kContainerOom, id);
  if (action == "die") Emit(is_sandbox ? Event::Kind::kSandboxGone : Event::Kind::kContainerExited, id);
}

// One stream after the other until we stop. Each begins where the last full look began, so that nothing falls between.
void Driver::WatchEvents(const std::stop_token& stop) {
  const Ctx ctx(stop);
  auto since = std::chrono::duration_cast<std::chrono::seconds>(Clock::System().Now().time_since_epoch()).count() - 1;
  bool first = true;
  while (!stop.stop_requested()) {
    if (!first) {
      process::Pause(ctx, std::chrono::milliseconds(500));   // the engine is restarting
      since = std::chrono::duration_cast<std::chrono::seconds>(Clock::System().Now().time_since_epoch()).count() - 1;
      if (auto seen = Resync(Ctx(stop, std::chrono::steady_clock::now() + std::chrono::seconds(30))); !seen) continue;
      changed_.notify_all();
      Emit(Event::Kind::kResync, "");
    }
    first = false;
    std::string buffer;
    auto ended = client_.Stream(ctx, {.target = Cat("/events?since=", since, "&filters=", LabelFilter(options_.instance, true))}, [&](std::string_view piece) {
      buffer += piece;
      for (std::size_t end = buffer.find('\n'); end != std::string::npos; end = buffer.find('\n')) {
        json::Value event;
        std::string ignored;
        if (json::Value::Parse(std::string_view(buffer).substr(0, end), &event, &ignored)) OnEngineEvent(event);
        buffer.erase(0, end + 1);
      }
      return buffer.size() < (1 << 20);
    });
    if (!ended && !stop.stop_requested()) log::Warn("events of the container engine end", {{"error", ended.error()}});
  }
}

Result<Driver::Container> Driver::Find(std::string_view id) {
  auto cache = cache_.Lock();
  const auto it = cache->containers.find(id);
  if (it == cache->containers.end()) return Fail(Code::kNotFound, Cat("no container ", id));
  return it->second;
}

Result<Driver::Sandbox> Driver::FindSandbox(std::string_view id) {
  auto cache = cache_.Lock();
  const auto it = cache->sandboxes.find(id);
  if (it == cache->sandboxes.end()) return Fail(Code::kNotFound, Cat("no sandbox ", id));
  return it->second;
}

Result<> Driver::RemoveByName(const Ctx& ctx, const std::string& name) {
  for (;;) {
    auto removed = client_.Call(ctx, "DELETE", Cat("/containers/", name, "?force=1&v=1"));
    if (removed || removed.error().code() == Code::kNotFound) return {};
    // "removal … is already in progress": somebody else's removal is not ours to report as done.
    if (removed.error().code() != Code::kConflict || ctx.done()) return std::unexpected(std::move(removed).error());
    process::Pause(ctx, std::chrono::milliseconds(20));
  }
}

// The namespace gets a name that stays valid until the sandbox is removed, also when the pause process dies.
Result<> Driver::PinNetwork(const std::string& id, int pid) {
  const std::string file = NetnsFile(id), source = Cat("/proc/", pid, "/ns/net");
  struct stat ours, theirs;
  if (::stat(source.c_str(), &theirs) != 0) return Fail(Code::kUnsupported, "the container engine's processes are not visible here: it runs on another machine or in a container of its own");
  if (process::IsNamespacePinned(file) && ::stat(file.c_str(), &ours) == 0 && ours.st_ino == theirs.st_ino) return {};
  TRY_VOID(process::UnpinNamespace(file));
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0444));
  if (!fd) return std::unexpected(ErrnoError(errno, "create " + file));
  if (::mount(source.c_str(), file.c_str(), nullptr, MS_BIND, nullptr) != 0) return std::unexpected(ErrnoError(errno, "pin network of " + id));
  return {};
}

Result<SandboxStatus> Driver::EnsureSandbox(const Ctx& ctx, const SandboxSpec& spec) {
  if (!IsValidId(spec.id)) return Fail(Code::kInvalid, Cat("invalid sandbox id ", Quote(spec.id)));
  const auto mutex = Busy(spec.id);
  const std::lock_guard busy(*mutex);
  const std::string name = Name("sandbox-" + spec.id);
  auto known = FindSandbox(spec.id);
  if (known && known->status.ready && known->pid > 0) {
    if (spec.network == NetworkMode::kOwn) TRY_VOID(PinNetwork(spec.id, known->pid));
    return known->status;
  }
  // Started before and gone since: it stays as it is, not ready, until it is removed.
  if (known) {
    TRY(const auto inspect, client_.Call(ctx, "GET", Cat("/containers/", known->docker_id, "/json")));
    if (inspect.At({"State", "Status"}).Str() != "created") return known->status;
  }
  const bool own_cgroup = !spec.cgroup_parent.empty() && !host_.systemd_cgroups;
  if (own_cgroup) {
    TRY_VOID(cgroups_->Create(spec.cgroup_parent));
    TRY_VOID(cgroups_->Apply(spec.cgroup_parent, {.cpu_shares = spec.resources.cpu_shares, .cpu_quota_us = spec.resources.cpu_quota_us, .cpu_period_us = spec.resources.cpu_period_us,
                                                  .memory_bytes = spec.resources.memory_bytes, .pids = spec.resources.pids}));
  }
  const json::Value body = SandboxBody(spec, options_.instance, pause_image_, host_);
  auto created = client_.Call(ctx, "POST", "/containers/create?name=" + name, &body);
  if (!created && created.error().code() != Code::kConflict) return std::unexpected(std::move(created).error());
  auto started = client_.Call(ctx, "POST", Cat("/containers/", name, "/start"));
  if (!started) {
    TRY_VOID(RemoveByName(ctx, name));
    return std::unexpected(std::move(started).error());
  }
  TRY_VOID(Refresh(ctx, name));
  TRY(const auto sandbox, FindSandbox(spec.id));
  if (spec.network == NetworkMode::kOwn) TRY_VOID(PinNetwork(spec.id, sandbox.pid));
  return sandbox.status;
}

Result<SandboxStatus> Driver::InspectSandbox(std::string_view id) {
  TRY(auto sandbox, FindSandbox(id));
  return std::move(sandbox.status);
}

Result<std::vector<SandboxStatus>> Driver::ListSandboxes() {
  std::vector<SandboxStatus> out;
  auto cache = cache_.Lock();
  for (const auto& [_, sandbox] : cache->sandboxes) out.push_back(sandbox.status);
  return out;
}

std::string Driver::CgroupOf(const Sandbox& sandbox, const std::string& docker_id) const {
  const std::string& parent = sandbox.status.spec.cgroup_parent;
  if (!host_.systemd_cgroups) return Cat(parent.empty() ? "/docker" : parent, "/", docker_id);
  // "a-b.slice" lies in "/a.slice/a-b.slice".
  const std::string slice = parent.empty() ? "system.slice" : CgroupParent(parent, true);
  std::string path;
  for (std::size_t dash = slice.find('-'); dash != std::string::npos; dash = slice.find('-', dash + 1)) path += Cat("/", slice.substr(0, dash), ".slice");
  return Cat(path, "/", slice, "/docker-", docker_id, ".scope");
}

Result<> Driver::UpdateSandbox(const Ctx&, std::string_view id, const Resources& r) {
  TRY(const auto sandbox, FindSandbox(id));
  if (sandbox.status.spec.cgroup_parent.empty() || host_.systemd_cgroups) return {};
  return cgroups_->Apply(sandbox.status.spec.cgroup_parent,
                         {.cpu_shares = r.cpu_shares, .cpu_quota_us = r.cpu_quota_us, .cpu_period_us = r.cpu_period_us, .memory_bytes = r.memory_bytes, .pids = r.pids});
}

Result<> Driver::RemoveSandbox(const Ctx& ctx, std::string_view id) {
  const auto mutex = Busy(id);
  const std::lock_guard busy(*mutex);
  auto sandbox = FindSandbox(id);
  std::vector<std::string> members;
  {
    auto cache = cache_.Lock();
    for (const auto& [name, container] : cache->containers) {
      if (container.status.sandbox_id == id) members.push_back(name);
    }
  }
  for (const std::string& member : members) TRY_VOID(RemoveContainer(ctx, member));
  TRY_VOID(RemoveByName(ctx, Name(Cat("sandbox-", id))));
  if (IsValidId(id)) TRY_VOID(process::UnpinNamespace(NetnsFile(id)));
  if (!sandbox) return {};
  if (!sandbox->status.spec.cgroup_parent.empty() && !host_.systemd_cgroups) TRY_VOID(cgroups_->Remove(ctx, sandbox->status.spec.cgroup_parent));
  Forget(sandbox->docker_id);
  return {};
}

Result<UniqueFd> Driver::Dial(const Ctx& ctx, std::string_view sandbox_id, std::uint16_t port) {
  TRY(const auto sandbox, FindSandbox(sandbox_id));
  return process::DialLocal(ctx, sandbox.status.netns_path, port);
}

namespace {

Stats ToStats(const process::CgroupUsage& usage, Clock::Wall now) {
  return {.time = now, .cpu_usage_ns = usage.cpu_ns, .memory_usage_bytes = usage.memory_bytes, .memory_working_set_bytes = usage.memory_working_set_bytes,
          .memory_rss_bytes = usage.memory_rss_bytes, .memory_limit_bytes = usage.memory_limit_bytes, .page_faults = usage.page_faults,
          .major_page_faults = usage.major_page_faults, .pids = usage.pids, .throttled_ns = usage.throttled_ns};
}

}  // namespace

Result<Stats> Driver::ContainerStats(std::string_view id, Measure what) {
  TRY(const auto container, Find(id));
  Stats stats{.time = options_.clock->Now()};
  if (container.status.state == State::kRunning) {
    TRY(const auto sandbox, FindSandbox(container.status.sandbox_id));
    TRY(const auto usage, cgroups_->Read(CgroupOf(sandbox, container.docker_id)));
    stats = ToStats(usage, stats.time);
  }
  if (what == Measure::kCounters) return stats;
  struct stat st;
  if (!container.log_path.empty() && ::stat(container.log_path.c_str(), &st) == 0) stats.log_bytes = static_cast<std::uint64_t>(st.st_size);
  return stats;
}

Result<Stats> Driver::SandboxStats(std::string_view id) {
  TRY(const auto sandbox, FindSandbox(id));
  const std::string own = CgroupOf(sandbox, sandbox.docker_id);
  TRY(const auto usage, cgroups_->Read(own.substr(0, own.rfind('/'))));
  return ToStats(usage, options_.clock->Now());
}

}  // namespace skerry::container::docker
