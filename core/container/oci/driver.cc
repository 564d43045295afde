#include "core/container/oci/driver.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "core/base/fault.h"
#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/container/helpers/helpers.h"
#include "core/process/child.h"
#include "core/process/mounts.h"
#include "core/process/namespaces.h"
#include "core/telemetry/log.h"

namespace skerry::container::oci {
namespace {

std::vector<std::string> ListNames(const std::string& path) {
  std::vector<std::string> out;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()), ::closedir);
  while (const dirent* entry = dir ? ::readdir(dir.get()) : nullptr) {
    if (entry->d_name[0] != '.') out.emplace_back(entry->d_name);
  }
  return out;
}

// Replaces a file as a whole but leaves syncing to the kernel: enough for what only has to survive our own death.
Result<> ReplaceFile(const std::string& path, std::string_view content) {
  const std::string temporary = path + ".new";
  const UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return std::unexpected(ErrnoError(errno, "create " + temporary));
  TRY_VOID(WriteAll(fd.get(), content));
  if (::rename(temporary.c_str(), path.c_str()) != 0) return std::unexpected(ErrnoError(errno, "rename to " + path));
  return {};
}

Result<> InstallExecutable(const std::string& path, std::string_view content) {
  if (const auto present = ReadFile(path); present && *present == content) return {};
  return WriteFileDurably(path, content, 0755);
}

}  // namespace

process::CgroupLimits ToLimits(const Resources& r) {
  return {.cpu_shares = r.cpu_shares, .cpu_quota_us = r.cpu_quota_us, .cpu_period_us = r.cpu_period_us, .memory_bytes = r.memory_bytes,
          .memory_low_bytes = r.memory_low_bytes, .pids = r.pids, .cpuset_cpus = r.cpuset_cpus, .cpuset_mems = r.cpuset_mems};
}

std::string PauseId(std::string_view sandbox_id) { return Cat(sandbox_id, ".pause"); }

std::string Driver::SandboxFile(std::string_view id) const { return Cat(options_.data_dir, "/sandboxes/", id, ".json"); }
std::string Driver::SandboxRun(std::string_view id) const { return Cat(options_.run_dir, "/sandboxes/", id); }
std::string Driver::ContainerData(std::string_view id) const { return Cat(options_.data_dir, "/containers/", id); }
std::string Driver::Bundle(std::string_view id) const { return Cat(options_.run_dir, "/containers/", id); }
std::string Driver::ExitFile(std::string_view id) const { return Cat(options_.run_dir, "/exits/", id); }

Result<std::unique_ptr<Driver>> Driver::Create(Options options) {
  std::unique_ptr<Driver> driver(new Driver(std::move(options)));
  if (::geteuid() != 0) return Fail(Code::kUnsupported, "running containers needs root");
  TRY(driver->cgroups_, process::Cgroups::Detect());
  TRY_VOID(driver->FindPrograms());
  driver->machine_ = Machine::Probe(driver->cgroups_->mode() == process::CgroupMode::kV2);
  driver->boot_id_ = process::BootId();
  Driver* const self = driver.get();
  for (const char* sub : {"/sandboxes", "/containers", "/bin"}) TRY_VOID(MakeDirectories(driver->options_.data_dir + sub, 0700));
  TRY(driver->images_, OciImages::Open(driver->options_, [self](const std::string& image) {
        auto table = self->table_.Lock();
        return std::any_of(table->containers.begin(), table->containers.end(), [&](const auto& c) { return c.second->record.spec.image == image; });
      }));
  return driver;
}

Driver::~Driver() { Stop(); }

Result<> Driver::FindPrograms() {
  conmon_ = options_.conmon_path;
  if (conmon_.empty()) {
    TRY(conmon_, process::FindProgram("conmon"));
  }
  runtime_.path = options_.runtime_path;
  if (runtime_.path.empty()) {
    auto crun = process::FindProgram("crun");
    if (!crun) crun = process::FindProgram("runc");
    if (!crun) return Fail(Code::kUnsupported, "neither crun nor runc is installed");
    runtime_.path = *crun;
  }
  const Ctx ctx(std::stop_token(), std::chrono::steady_clock::now() + std::chrono::seconds(20));
  TRY(const auto version, process::Run(ctx, {.argv = {runtime_.path, "--version"}}));
  runtime_version_ = version.out.substr(0, version.out.find('\n'));
  runtime_.is_crun = runtime_version_.starts_with("crun");
  runtime_.root = options_.run_dir + "/oci";
  return {};
}

Result<> Driver::InstallHelpers() {
  const std::string bin = options_.data_dir + "/bin";
  TRY_VOID(InstallExecutable(bin + "/wrap", helpers::Wrap()));
  // The root file system of pause containers: one program and the mount points.
  for (const char* sub : {"/pause-root/proc", "/pause-root/dev", "/pause-root/sys"}) TRY_VOID(MakeDirectories(options_.data_dir + sub, 0755));
  TRY_VOID(InstallExecutable(options_.data_dir + "/pause-root/pause", helpers::Pause()));
  if (runtime_.is_crun && cgroups_->unified_owns_controllers()) {
    const std::string unified = cgroups_->unified_mount();
    runtime_.prefix = {bin + "/wrap", unified.substr(0, unified.rfind('/')), unified};
  }
  return {};
}

RuntimeInfo Driver::Info() const {
  RuntimeInfo info{.name = "skerry-oci", .version = runtime_version_, .cgroup_mode = std::string(cgroups_->mode_name())};
  if (!machine_.capabilities.contains("CAP_SYS_RESOURCE")) info.limitations.emplace_back("CAP_SYS_RESOURCE is missing: OOM scores cannot be lowered, hard limits not raised");
  if (!machine_.capabilities.contains("CAP_SYS_ADMIN")) info.limitations.emplace_back("CAP_SYS_ADMIN is missing: containers cannot be made");
  if (!runtime_.prefix.empty()) info.limitations.emplace_back("control groups are hybrid: the v2 tree is hidden from containers");
  return info;
}

Result<> Driver::Start(const Ctx& ctx) {
  for (const char* sub : {"/sandboxes", "/containers", "/exits", "/oci"}) TRY_VOID(MakeDirectories(options_.run_dir + sub, 0700));
  TRY_VOID(process::RemoveTree(options_.run_dir + "/exec"));
  TRY_VOID(MakeDirectories(options_.run_dir + "/exec"));
  TRY_VOID(InstallHelpers());
  TRY_VOID(cgroups_->PrepareRoot());
  TRY_VOID(cgroups_->Create(options_.monitor_cgroup));
  TRY(watcher_, process::ExitWatcher::Create());
  return Recover(ctx);
}

void Driver::Stop() noexcept {
  watcher_.reset();
  exited_.notify_all();
}

std::shared_ptr<Driver::Container> Driver::FindContainer(std::string_view id) {
  auto table = table_.Lock();
  const auto it = table->containers.find(id);
  return it == table->containers.end() ? nullptr : it->second;
}

std::shared_ptr<Driver::Sandbox> Driver::FindSandbox(std::string_view id) {
  auto table = table_.Lock();
  const auto it = table->sandboxes.find(id);
  return it == table->sandboxes.end() ? nullptr : it->second;
}

ContainerRecord Driver::Copy(const Container& container) {
  auto table = table_.Lock();
  return container.record;
}

SandboxRecord Driver::Copy(const Sandbox& sandbox) {
  auto table = table_.Lock();
  return sandbox.record;
}

void Driver::Store(Container& container, const ContainerRecord& record) {
  auto table = table_.Lock();
  container.record = record;
}

void Driver::Forget(std::string_view id) {
  auto table = table_.Lock();
  if (const auto it = table->containers.find(id); it != table->containers.end()) table->containers.erase(it);
}

Result<> Driver::Save(const ContainerRecord& record, bool durable) {
  const std::string path = ContainerData(record.spec.id) + "/record.json";
  return durable ? WriteFileDurably(path, Encode(record)) : ReplaceFile(path, Encode(record));
}

// Whatever is on disk becomes the table; whatever was cut off in the middle is undone.
Result<> Driver::Recover(const Ctx& ctx) {
  for (const std::string& name : ListNames(options_.data_dir + "/sandboxes")) {
    if (!name.ends_with(".json")) continue;
    TRY(const std::string text, ReadFile(Cat(options_.data_dir, "/sandboxes/", name)));
    auto record = DecodeSandbox(text);
    if (!record) {
      log::Warn("sandbox record is damaged and dropped", {{"file", name}, {"error", record.error()}});
      ::unlink(Cat(options_.data_dir, "/sandboxes/", name).c_str());
      continue;
    }
    auto sandbox = std::make_shared<Sandbox>();
    sandbox->record = *std::move(record);
    auto table = table_.Lock();
    table->sandboxes[sandbox->record.spec.id] = std::move(sandbox);
  }
  for (const std::string& id : ListNames(options_.data_dir + "/containers")) {
    // One container that resists must not keep all others from being served; the next start tries it again.
    if (auto recovered = RecoverContainer(ctx, id); !recovered) log::Error("container is not recovered", {{"container", id}, {"error", recovered.error()}});
  }
  // Being made or being removed when we died: either way it is not there any more.
  std::vector<SandboxRecord> incomplete;
  {
    auto table = table_.Lock();
    for (const auto& [_, sandbox] : table->sandboxes) {
      if (!sandbox->record.complete) incomplete.push_back(sandbox->record);
    }
  }
  for (const SandboxRecord& record : incomplete) {
    if (auto destroyed = DestroySandbox(ctx, record); !destroyed) log::Error("sandbox is not removed", {{"sandbox", record.spec.id}, {"error", destroyed.error()}});
  }
  return {};
}

Result<> Driver::RecoverContainer(const Ctx& ctx, const std::string& id) {
  auto text = ReadFile(ContainerData(id) + "/record.json");
  auto decoded = text ? DecodeContainer(*text) : Result<ContainerRecord>(std::unexpected(std::move(text).error()));
  if (!decoded) {   // cut off before its first record, or damaged by a power loss: nobody was told that it exists
    log::Warn("container without a record is removed", {{"container", id}, {"error", decoded.error()}});
    ContainerRecord stray;
    stray.spec.id = id;
    return Destroy(ctx, stray);
  }
  ContainerRecord record = *std::move(decoded);
  if (record.phase == Phase::kCreating) return Destroy(ctx, record);
  auto container = std::make_shared<Container>();
  if (record.boot_id != boot_id_ && record.phase != Phase::kExited) {
    record.phase = Phase::kExited;
    record.exit_code = 255;
    record.reason = "ContainerStatusUnknown";
    record.message = "The machine was restarted while the container was there";
    record.finished_ns = ToNs(options_.clock->Now());
    record.pid = record.monitor_pid = 0;
    TRY_VOID(Save(record, true));
  }
  if (record.boot_id == boot_id_ && record.phase == Phase::kStarting) {
    // Cut off between the intent and the news of its success: back to the state before, the caller starts it again.
    TRY_VOID(cgroups_->Remove(ctx, record.cgroup));
    TRY_VOID(process::RemoveTree(Cat(runtime_.root, "/", id)));
    ::unlink(ExitFile(id).c_str());
    record.phase = Phase::kCreated;
    record.pid = record.monitor_pid = 0;
    TRY_VOID(Save(record, false));
  }
  container->record = record;
  {
    auto table = table_.Lock();
    table->containers[id] = container;
  }
  if (record.phase == Phase::kRunning) return Watch(container);
  return {};
}

Result<std::unique_ptr<Runtime>> Create(Options options) { return Driver::Create(std::move(options)); }

}  // namespace skerry::container::oci
