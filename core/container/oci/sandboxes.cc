#include <fcntl.h>
#include <sys/stat.h>

#include "core/base/fault.h"
#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/container/oci/driver.h"
#include "core/process/mounts.h"
#include "core/process/namespaces.h"

namespace skerry::container::oci {
namespace {

constexpr std::int64_t kShmSize = 64 << 20;

std::string NetnsPath(const SandboxSpec& spec, const std::string& run) { return spec.network == NetworkMode::kOwn ? run + "/net" : std::string(); }

}  // namespace

bool Driver::IsReady(const SandboxRecord& record) {
  if (!record.complete || record.boot_id != boot_id_) return false;
  const std::string run = SandboxRun(record.spec.id);
  if (record.spec.network == NetworkMode::kOwn && !process::IsNamespacePinned(run + "/net")) return false;
  if (record.spec.ipc == IpcMode::kSandbox && !process::IsNamespacePinned(run + "/ipc")) return false;
  if (record.spec.pid != PidMode::kSandbox) return true;
  const auto pause = FindContainer(PauseId(record.spec.id));
  return pause != nullptr && Copy(*pause).phase == Phase::kRunning;
}

SandboxStatus Driver::Describe(const SandboxRecord& record) {
  return {.id = record.spec.id, .ready = IsReady(record), .netns_path = NetnsPath(record.spec, SandboxRun(record.spec.id)),
          .created = FromNs(record.created_ns), .spec = record.spec};
}

Result<> Driver::BuildSandbox(const Ctx& ctx, const SandboxRecord& record) {
  const SandboxSpec& spec = record.spec;
  const std::string run = SandboxRun(spec.id);
  TRY_VOID(MakeDirectories(run + "/shm", 0700));
  if (!spec.cgroup_parent.empty()) {
    TRY_VOID(cgroups_->Create(spec.cgroup_parent));
    TRY_VOID(cgroups_->Apply(spec.cgroup_parent, ToLimits(spec.resources)));
  }
  SKERRY_FAULT("oci.sandbox.after_cgroup");
  process::PinnedNamespaces namespaces{.net = NetnsPath(spec, run), .sysctls = spec.sysctls};
  if (spec.network == NetworkMode::kOwn) {
    namespaces.uts = run + "/uts";
    namespaces.hostname = spec.hostname;
    namespaces.domainname = spec.domainname;
    const UniqueFd file(::open((run + "/hostname").c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!file) return std::unexpected(ErrnoError(errno, "create " + run + "/hostname"));
    TRY_VOID(WriteAll(file.get(), spec.hostname + "\n"));
  }
  if (spec.ipc == IpcMode::kSandbox) {
    namespaces.ipc = run + "/ipc";
    TRY(const bool mounted, process::IsMountPoint(run + "/shm"));
    if (!mounted) TRY_VOID(process::MountTmpfs(run + "/shm", kShmSize, 01777));
  }
  for (const auto& [name, value] : spec.sysctls) {
    const bool of_network = name.starts_with("net.") || name.starts_with("net/");
    if (of_network && spec.network == NetworkMode::kHost) return Fail(Code::kInvalid, Cat("sysctl ", name, " would change the host's network"));
    if (!of_network && spec.ipc == IpcMode::kHost) return Fail(Code::kInvalid, Cat("sysctl ", name, " would change the host"));
  }
  TRY_VOID(process::PinNamespaces(namespaces));
  SKERRY_FAULT("oci.sandbox.after_namespaces");
  if (spec.pid == PidMode::kSandbox) TRY_VOID(StartPause(ctx, record));
  return {};
}

Result<SandboxStatus> Driver::EnsureSandbox(const Ctx& ctx, const SandboxSpec& spec) {
  if (!IsValidId(spec.id)) return Fail(Code::kInvalid, Cat("invalid sandbox id ", Quote(spec.id)));
  std::shared_ptr<Sandbox> sandbox;
  {
    auto table = table_.Lock();
    auto& slot = table->sandboxes[spec.id];
    if (slot == nullptr) slot = std::make_shared<Sandbox>();
    sandbox = slot;
  }
  const std::lock_guard busy(sandbox->busy);
  SandboxRecord record = Copy(*sandbox);
  if (record.complete) return Describe(record);
  record.spec = spec;
  record.boot_id = boot_id_;
  record.created_ns = ToNs(options_.clock->Now());
  const auto publish = [&] {
    auto table = table_.Lock();
    sandbox->record = record;
    table->sandboxes[spec.id] = sandbox;
  };
  publish();
  TRY_VOID(WriteFileDurably(SandboxFile(spec.id), Encode(record)));
  if (auto built = BuildSandbox(ctx, record); !built) {
    if (auto undone = DestroySandbox(ctx, record); !undone) return std::unexpected(std::move(built).error().Wrap(Cat("undo: ", undone.error().message())));
    return std::unexpected(std::move(built).error());
  }
  record.complete = true;
  TRY_VOID(WriteFileDurably(SandboxFile(spec.id), Encode(record)));
  publish();
  return Describe(record);
}

Result<SandboxStatus> Driver::InspectSandbox(std::string_view id) {
  const auto sandbox = FindSandbox(id);
  if (sandbox == nullptr) return Fail(Code::kNotFound, Cat("no sandbox ", id));
  const SandboxRecord record = Copy(*sandbox);
  if (record.spec.id.empty()) return Fail(Code::kNotFound, Cat("no sandbox ", id));
  return Describe(record);
}

Result<std::vector<SandboxStatus>> Driver::ListSandboxes() {
  std::vector<SandboxRecord> records;
  {
    auto table = table_.Lock();
    for (const auto& [_, sandbox] : table->sandboxes) {
      if (!sandbox->record.spec.id.empty()) records.push_back(sandbox->record);
    }
  }
  std::vector<SandboxStatus> out;
  for (const SandboxRecord& record : records) out.push_back(Describe(record));
  return out;
}

Result<> Driver::UpdateSandbox(const Ctx&, std::string_view id, const Resources& resources) {
  const auto sandbox = FindSandbox(id);
  if (sandbox == nullptr) return Fail(Code::kNotFound, Cat("no sandbox ", id));
  const std::lock_guard busy(sandbox->busy);
  SandboxRecord record = Copy(*sandbox);
  if (!record.spec.cgroup_parent.empty()) TRY_VOID(cgroups_->Apply(record.spec.cgroup_parent, ToLimits(resources)));
  record.spec.resources = resources;
  TRY_VOID(WriteFileDurably(SandboxFile(id), Encode(record)));
  auto table = table_.Lock();
  sandbox->record = record;
  return {};
}

Result<> Driver::DestroySandbox(const Ctx& ctx, const SandboxRecord& record) {
  const std::string& id = record.spec.id;
  std::vector<std::string> members;
  {
    auto table = table_.Lock();
    for (const auto& [name, container] : table->containers) {
      if (container->record.spec.sandbox_id == id) members.push_back(name);
    }
  }
  for (const std::string& name : members) TRY_VOID(RemoveContainer(ctx, name));
  if (!record.spec.cgroup_parent.empty()) TRY_VOID(cgroups_->Remove(ctx, record.spec.cgroup_parent));
  TRY_VOID(process::RemoveTree(SandboxRun(id)));   // detaches the namespaces and the shared memory
  if (::unlink(SandboxFile(id).c_str()) != 0 && errno != ENOENT) return std::unexpected(ErrnoError(errno, "remove " + SandboxFile(id)));
  auto table = table_.Lock();
  if (const auto it = table->sandboxes.find(id); it != table->sandboxes.end()) table->sandboxes.erase(it);
  return {};
}

Result<> Driver::RemoveSandbox(const Ctx& ctx, std::string_view id) {
  const auto sandbox = FindSandbox(id);
  if (sandbox == nullptr) return {};
  const std::lock_guard busy(sandbox->busy);
  SandboxRecord record = Copy(*sandbox);
  if (record.spec.id.empty()) return {};
  // From here on it is not ready, whatever happens to us.
  record.complete = false;
  TRY_VOID(WriteFileDurably(SandboxFile(id), Encode(record)));
  {
    auto table = table_.Lock();
    sandbox->record = record;
  }
  return DestroySandbox(ctx, record);
}

Result<UniqueFd> Driver::Dial(const Ctx& ctx, std::string_view sandbox_id, std::uint16_t port) {
  const auto sandbox = FindSandbox(sandbox_id);
  if (sandbox == nullptr) return Fail(Code::kNotFound, Cat("no sandbox ", sandbox_id));
  const SandboxRecord record = Copy(*sandbox);
  return process::DialLocal(ctx, NetnsPath(record.spec, SandboxRun(sandbox_id)), port);
}

namespace {

Stats ToStats(const process::CgroupUsage& usage, Clock::Wall now) {
  return {.time = now, .cpu_usage_ns = usage.cpu_ns, .memory_usage_bytes = usage.memory_bytes, .memory_working_set_bytes = usage.memory_working_set_bytes,
          .memory_rss_bytes = usage.memory_rss_bytes, .memory_limit_bytes = usage.memory_limit_bytes, .page_faults = usage.page_faults,
          .major_page_faults = usage.major_page_faults, .pids = usage.pids, .throttled_ns = usage.throttled_ns};
}

}  // namespace

Result<Stats> Driver::SandboxStats(std::string_view id) {
  const auto sandbox = FindSandbox(id);
  if (sandbox == nullptr) return Fail(Code::kNotFound, Cat("no sandbox ", id));
  TRY(const auto usage, cgroups_->Read(Copy(*sandbox).spec.cgroup_parent));
  return ToStats(usage, options_.clock->Now());
}

Result<Stats> Driver::ContainerStats(std::string_view id, Measure what) {
  const auto container = FindContainer(id);
  if (container == nullptr) return Fail(Code::kNotFound, Cat("no container ", id));
  const ContainerRecord record = Copy(*container);
  Stats stats{.time = options_.clock->Now()};
  if (record.phase == Phase::kRunning) {
    TRY(const auto usage, cgroups_->Read(record.cgroup));
    stats = ToStats(usage, stats.time);
  }
  if (what == Measure::kCounters) return stats;
  const Ctx ctx(std::stop_token(), std::chrono::steady_clock::now() + std::chrono::seconds(5));
  if (const auto size = process::MeasureTree(ctx, ContainerData(id) + "/upper")) {
    stats.writable_layer_bytes = size->bytes;
    stats.writable_layer_inodes = size->inodes;
  }
  struct stat st;
  if (!record.spec.log_path.empty() && ::stat(record.spec.log_path.c_str(), &st) == 0) stats.log_bytes = static_cast<std::uint64_t>(st.st_size);
  return stats;
}

}  // namespace skerry::container::oci
