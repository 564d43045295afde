#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "core/base/fault.h"
#include "core/base/files.h"
#include "core/base/random.h"
#include "core/base/strings.h"
#include "core/container/oci/driver.h"
#include "core/process/child.h"
#include "core/process/mounts.h"
#include "core/process/wait.h"
#include "core/telemetry/log.h"

namespace skerry::container::oci {
namespace {

std::int64_t StartErrorCode(std::string_view message) {
  if (message.find("not found") != std::string_view::npos || message.find("o such file") != std::string_view::npos) return 127;
  if (message.find("ermission denied") != std::string_view::npos) return 126;
  return 128;
}

}  // namespace

// Directories for the image's VOLUMEs that nothing else is mounted on, filled with what the image has there.
Result<std::vector<Mount>> Driver::PrepareVolumes(const ContainerSpec& spec, const ImageConfig& image, const std::string& rootfs) {
  std::vector<Mount> out;
  for (const std::string& volume : image.volumes) {
    const bool mounted = std::any_of(spec.mounts.begin(), spec.mounts.end(), [&](const Mount& m) { return m.container_path == volume; });
    if (mounted || !volume.starts_with('/') || volume == "/") continue;
    const std::string path = Cat(ContainerData(spec.id), "/volumes/", out.size());
    TRY_VOID(MakeDirectories(path, 0755));
    const UniqueFd root(::open(rootfs.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (auto opened = OpenInRoot(root.get(), volume, O_RDONLY | O_DIRECTORY)) {
      const UniqueFd from(*opened);
      const Ctx ctx(std::stop_token(), std::chrono::steady_clock::now() + std::chrono::minutes(5));
      TRY(const auto copied, process::Run(ctx, {.argv = {"/bin/cp", "-a", "--", "/proc/self/fd/9/.", path}, .pass = {{from.get(), 9}}}));
      if (copied.exit_code != 0) return Fail(Code::kUnavailable, Cat("copy volume ", volume, ": ", copied.err));
    }
    out.push_back({.host_path = path, .container_path = volume});
  }
  return out;
}

Result<Driver::Root> Driver::PrepareRoot(const ContainerSpec& spec, const ImageStore::Image& image) {
  Root root;
  const std::string data = ContainerData(spec.id);
  root.path = data + "/rootfs";
  TRY(root.image, ParseImageConfig(image.config));
  for (const char* sub : {"/upper", "/work", "/rootfs"}) TRY_VOID(MakeDirectories(data + sub, 0755));
  TRY(const auto lowers, images_->Lowers(image));
  TRY_VOID(process::MountOverlay(images_->store().LayersDirectory(), lowers, data + "/upper", data + "/work", root.path));
  SKERRY_FAULT("oci.container.after_mount");
  TRY(root.volumes, PrepareVolumes(spec, root.image, root.path));
  const std::string& cwd = spec.working_dir.empty() ? root.image.working_dir : spec.working_dir;
  if (!cwd.empty() && cwd != "/") {
    const UniqueFd fd(::open(root.path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    TRY_VOID(MakeDirectoriesInRoot(fd.get(), cwd));
  }
  return root;
}

Result<> Driver::WriteBundle(const ContainerRecord& record, const SandboxRecord& sandbox, const Root& root) {
  const UniqueFd root_fd(::open(root.path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root_fd) return std::unexpected(ErrnoError(errno, "open " + root.path));
  TRY(const auto user, ResolveUser(root_fd.get(), record.spec.user, root.image.user));
  const std::string run = SandboxRun(sandbox.spec.id), bundle = Bundle(record.spec.id);
  BundleInput input{.spec = record.spec, .image = root.image, .sandbox = sandbox.spec, .user = user, .machine = machine_, .rootfs = root.path, .cgroup = record.cgroup};
  if (sandbox.spec.network == NetworkMode::kOwn) {
    input.netns = run + "/net";
    input.utsns = run + "/uts";
    if (!sandbox.spec.hostname.empty()) input.hostname_file = run + "/hostname";
  }
  input.shm = "/dev/shm";
  if (sandbox.spec.ipc == IpcMode::kSandbox) {
    input.ipcns = run + "/ipc";
    input.shm = run + "/shm";
  }
  const std::string pid_owner = !record.spec.target_container.empty() ? record.spec.target_container
                                : sandbox.spec.pid == PidMode::kSandbox && record.spec.id != PauseId(sandbox.spec.id) ? PauseId(sandbox.spec.id) : std::string();
  if (!pid_owner.empty()) {
    const auto owner = FindContainer(pid_owner);
    const int pid = owner == nullptr ? 0 : Copy(*owner).pid;
    if (pid == 0) return Fail(Code::kConflict, Cat("container ", pid_owner, ", whose process namespace is to be joined, is not running"));
    input.pidns = Cat("/proc/", pid, "/ns/pid");
  } else if (sandbox.spec.pid == PidMode::kHost) {
    input.pidns = "host";
  }
  input.image_volumes = root.volumes;
  TRY(const auto config, MakeBundle(input));
  TRY_VOID(MakeDirectories(bundle, 0700));
  const std::string path = bundle + "/config.json";
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return std::unexpected(ErrnoError(errno, "create " + path));
  return WriteAll(fd.get(), config.Dump());
}

Result<> Driver::CreateContainer(const Ctx& ctx, const ContainerSpec& spec) {
  if (!IsValidId(spec.id)) return Fail(Code::kInvalid, Cat("invalid container id ", Quote(spec.id)));
  const auto sandbox = FindSandbox(spec.sandbox_id);
  if (sandbox == nullptr) return Fail(Code::kNotFound, Cat("no sandbox ", spec.sandbox_id));
  const SandboxRecord sandbox_record = Copy(*sandbox);
  if (!IsReady(sandbox_record)) return Fail(Code::kConflict, Cat("sandbox ", spec.sandbox_id, " is not ready"));
  TRY(const auto image, images_->store().Find(spec.image));
  std::shared_ptr<Container> container;
  bool fresh = false;
  {
    auto table = table_.Lock();
    auto& slot = table->containers[spec.id];
    fresh = slot == nullptr;
    if (fresh) {
      slot = std::make_shared<Container>();
      slot->record.spec = spec;
      slot->record.spec.image = image.id;   // from now on the image is in use
    }
    container = slot;
  }
  const std::lock_guard busy(container->busy);
  ContainerRecord record = Copy(*container);
  if (record.phase != Phase::kCreating) return {};
  if (!fresh && FindContainer(spec.id) != container) return Fail(Code::kUnavailable, Cat("container ", spec.id, " is being made by another call that failed"));
  record.boot_id = boot_id_;
  record.created_ns = ToNs(options_.clock->Now());
  record.cgroup = Cat(sandbox_record.spec.cgroup_parent, "/", spec.id);
  record.image_digest = image.digests.empty() ? "" : image.digests.front();
  const auto build = [&]() -> Result<> {
    TRY_VOID(MakeDirectories(ContainerData(spec.id), 0700));
    TRY_VOID(Save(record, true));
    SKERRY_FAULT("oci.container.after_intent");
    TRY(const Root root, PrepareRoot(record.spec, image));
    record.stop_signal = SignalNumber(root.image.stop_signal);
    TRY_VOID(WriteBundle(record, sandbox_record, root));
    SKERRY_FAULT("oci.container.after_bundle");
    record.phase = Phase::kCreated;
    return Save(record, false);
  };
  auto built = build();
  if (!built) {
    if (auto undone = Destroy(ctx, record); !undone) log::Warn("failed container is not removed", {{"container", spec.id}, {"error", undone.error()}});
    Forget(spec.id);
    return built;
  }
  images_->Touch(image.id);
  Store(*container, record);
  return {};
}

// Runs conmon and the runtime. On success the record says where the process is.
Result<> Driver::Launch(const Ctx& ctx, ContainerRecord& record) {
  const std::string& id = record.spec.id;
  ::unlink(ExitFile(id).c_str());
  // v2: the controllers must be handed down to the sandbox's group before a container's can be limited.
  if (machine_.cgroup_v2) TRY_VOID(cgroups_->Create(record.cgroup));
  MonitorSpec spec{.conmon = conmon_, .id = id, .bundle = Bundle(id), .exit_dir = options_.run_dir + "/exits", .log_path = record.spec.log_path, .tty = record.spec.tty,
                   .stdin_open = record.spec.stdin_open, .stdin_once = record.spec.stdin_once, .cgroup_procs = cgroups_->ProcsFiles(options_.monitor_cgroup)};
  TRY(const Monitored monitored, StartMonitor(ctx, runtime_, spec));
  SKERRY_FAULT("oci.container.after_monitor");
  record.pid = monitored.pid;
  record.monitor_pid = monitored.monitor_pid;
  TRY(record.monitor_start, process::ProcessStartTime(record.monitor_pid));
  TRY(record.pid_start, process::ProcessStartTime(record.pid));
  TRY(const auto started, process::Run(ctx, {.argv = runtime_.Command({"start", id}), .env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}}));
  if (started.exit_code != 0) return Fail(Code::kInvalid, RuntimeMessage(started.err));
  return {};
}

Result<> Driver::StartContainer(const Ctx& ctx, std::string_view id) {
  const auto container = FindContainer(id);
  if (container == nullptr) return Fail(Code::kNotFound, Cat("no container ", id));
  const std::lock_guard busy(container->busy);
  ContainerRecord record = Copy(*container);
  if (record.phase == Phase::kRunning) return {};
  if (record.phase != Phase::kCreated) return Fail(Code::kConflict, Cat("container ", id, " has ended"));
  record.phase = Phase::kStarting;
  TRY_VOID(Save(record, false));
  record.started_ns = ToNs(options_.clock->Now());
  auto launched = Launch(ctx, record);
  if (!launched) {
    TRY_VOID(cgroups_->Remove(Ctx(std::stop_token(), std::chrono::steady_clock::now() + std::chrono::seconds(20)), record.cgroup));
    TRY_VOID(process::RemoveTree(Cat(runtime_.root, "/", id)));
    record.phase = Phase::kExited;
    record.reason = "StartError";
    record.message = launched.error().message();
    record.exit_code = static_cast<int>(StartErrorCode(record.message));
    record.finished_ns = ToNs(options_.clock->Now());
    record.started_ns = 0;
    record.pid = record.monitor_pid = 0;
    TRY_VOID(Save(record, true));
    Store(*container, record);
    Emit(Event::Kind::kContainerExited, std::string(id));
    return launched;
  }
  SKERRY_FAULT("oci.container.after_start");
  record.phase = Phase::kRunning;
  TRY_VOID(Save(record, false));
  Store(*container, record);
  Emit(Event::Kind::kContainerStarted, std::string(id));
  return Watch(container);
}

Result<> Driver::Watch(const std::shared_ptr<Container>& container) {
  const ContainerRecord record = Copy(*container);
  if (watcher_ == nullptr) return {};   // stopping: the next start takes it up
  return watcher_->Add(record.monitor_pid, record.monitor_start, [this, container] { OnMonitorExit(container); });
}

// The monitor wrote log and exit file before it ended. Without an exit file it was killed: the container has lost its streams and
// must not go on unwatched.
void Driver::Conclude(ContainerRecord& record) {
  const std::string& id = record.spec.id;
  const auto usage = cgroups_->Read(record.cgroup);
  const bool oom = ::access((Bundle(id) + "/oom").c_str(), F_OK) == 0 || (usage && usage->oom_kills > 0);
  const auto text = ReadFile(ExitFile(id), 64);
  const auto code = text ? ParseInt(Trim(*text)) : std::nullopt;
  struct stat st;
  if (code && ::stat(ExitFile(id).c_str(), &st) == 0) {
    record.exit_code = static_cast<int>(*code);
    record.finished_ns = st.st_mtim.tv_sec * 1'000'000'000LL + st.st_mtim.tv_nsec;
    record.reason = oom && record.exit_code != 0 ? "OOMKilled" : std::string(ReasonOf(record.exit_code));
  } else {
    if (auto killed = process::SignalProcess(record.pid, record.pid_start, SIGKILL); !killed) log::Warn("unmonitored container is not killed", {{"container", id}, {"error", killed.error()}});
    record.exit_code = 255;
    record.finished_ns = ToNs(options_.clock->Now());
    record.reason = oom ? "OOMKilled" : "ContainerStatusUnknown";
    record.message = "The monitor of the container ended without an exit code";
  }
  record.phase = Phase::kExited;
  record.pid = record.monitor_pid = 0;
  // With a shared PID namespace children may be left.
  if (const auto left = cgroups_->Processes(record.cgroup)) {
    for (const int pid : *left) ::kill(pid, SIGKILL);
  }
}

void Driver::OnMonitorExit(const std::shared_ptr<Container>& container) {
  ContainerRecord record = Copy(*container);
  if (record.phase != Phase::kRunning) return;
  Conclude(record);
  if (auto saved = Save(record, true); !saved && saved.error().code() != Code::kNotFound) {   // not found: it is being removed
    log::Warn("exit of container is not recorded", {{"container", record.spec.id}, {"error", saved.error()}});
  }
  Store(*container, record);
  exited_.notify_all();
  Emit(Event::Kind::kContainerExited, record.spec.id);
  if (record.spec.id == PauseId(record.spec.sandbox_id)) Emit(Event::Kind::kSandboxGone, record.spec.sandbox_id);
}

Result<int> Driver::AwaitExit(const Ctx& ctx, const std::string& id) {
  const auto container = FindContainer(id);
  if (container == nullptr) return Fail(Code::kNotFound, Cat("no container ", id));
  const std::stop_callback wake(ctx.stop, [&] { exited_.notify_all(); });
  auto table = table_.Lock();
  while (container->record.phase != Phase::kExited) {
    // Woken now and then too: a stop that comes between the check and the wait would be missed.
    table.WaitUntil(exited_, std::min(ctx.deadline, std::chrono::steady_clock::now() + std::chrono::seconds(1)), [&] { return container->record.phase == Phase::kExited; });
    if (container->record.phase != Phase::kExited && ctx.done()) return Fail(ctx.stop.stop_requested() ? Code::kCancelled : Code::kTimeout, "container still runs");
  }
  return container->record.exit_code;
}

Result<> Driver::Signal(const Ctx&, std::string_view id, int signal) {
  const auto container = FindContainer(id);
  if (container == nullptr) return Fail(Code::kNotFound, Cat("no container ", id));
  const ContainerRecord record = Copy(*container);
  if (record.phase != Phase::kRunning) return {};
  return process::SignalProcess(record.pid, record.pid_start, signal);
}

// Kills and removes everything that may be there of a container, from whatever step it was cut off at.
Result<> Driver::Destroy(const Ctx& ctx, const ContainerRecord& record) {
  const std::string& id = record.spec.id;
  if (!record.cgroup.empty()) TRY_VOID(cgroups_->Remove(ctx, record.cgroup));
  if (record.pid > 0) TRY_VOID(process::SignalProcess(record.pid, record.pid_start, SIGKILL));
  SKERRY_FAULT("oci.container.destroy.after_kill");
  TRY_VOID(process::RemoveTree(Cat(runtime_.root, "/", id)));
  TRY_VOID(process::RemoveTree(Bundle(id)));
  ::unlink(ExitFile(id).c_str());
  return process::RemoveTree(ContainerData(id));   // with its mounts
}

Result<> Driver::RemoveContainer(const Ctx& ctx, std::string_view id) {
  const auto container = FindContainer(id);
  if (container == nullptr) return {};
  const std::lock_guard busy(container->busy);
  if (FindContainer(id) != container) return {};
  ContainerRecord record = Copy(*container);
  if (record.phase == Phase::kRunning) {
    TRY_VOID(process::SignalProcess(record.pid, record.pid_start, SIGKILL));
    TRY_VOID(AwaitExit(ctx, std::string(id)));   // conmon notices, writes the rest of the log and goes
    record = Copy(*container);
  }
  TRY_VOID(Destroy(ctx, record));
  Forget(id);
  return {};
}

Result<> Driver::UpdateContainer(const Ctx&, std::string_view id, const Resources& resources) {
  const auto container = FindContainer(id);
  if (container == nullptr) return Fail(Code::kNotFound, Cat("no container ", id));
  const std::lock_guard busy(container->busy);
  ContainerRecord record = Copy(*container);
  if (record.phase == Phase::kExited) return Fail(Code::kConflict, Cat("container ", id, " has ended"));
  if (record.phase != Phase::kRunning) return Fail(Code::kConflict, Cat("container ", id, " is not running"));
  TRY_VOID(cgroups_->Apply(record.cgroup, ToLimits(resources)));
  record.spec.resources = resources;
  TRY_VOID(Save(record, false));
  auto table = table_.Lock();
  container->record.spec.resources = resources;
  return {};
}

ContainerStatus Driver::Describe(const ContainerRecord& r) const {
  ContainerStatus out{.id = r.spec.id, .sandbox_id = r.spec.sandbox_id, .image_name = r.spec.image_name, .image_id = r.spec.image, .image_digest = r.image_digest,
                      .exit_code = r.exit_code, .reason = r.reason, .message = r.message, .created = FromNs(r.created_ns), .started = FromNs(r.started_ns),
                      .finished = FromNs(r.finished_ns), .pid = r.pid, .stop_signal = r.stop_signal, .log_path = r.spec.log_path, .tty = r.spec.tty,
                      .stdin_open = r.spec.stdin_open, .labels = r.spec.labels, .annotations = r.spec.annotations};
  switch (r.phase) {
    case Phase::kCreating:
    case Phase::kCreated:
    case Phase::kStarting: out.state = State::kCreated; break;
    case Phase::kRunning: out.state = State::kRunning; break;
    case Phase::kExited: out.state = State::kExited; break;
  }
  return out;
}

Result<ContainerStatus> Driver::InspectContainer(std::string_view id) {
  const auto container = FindContainer(id);
  if (container == nullptr) return Fail(Code::kNotFound, Cat("no container ", id));
  return Describe(Copy(*container));
}

Result<std::vector<ContainerStatus>> Driver::ListContainers(std::string_view sandbox_id) {
  std::vector<ContainerStatus> out;
  auto table = table_.Lock();
  for (const auto& [id, container] : table->containers) {
    const ContainerRecord& record = container->record;
    if (record.phase == Phase::kCreating || id == PauseId(record.spec.sandbox_id)) continue;
    if (sandbox_id.empty() || record.spec.sandbox_id == sandbox_id) out.push_back(Describe(record));
  }
  return out;
}

Result<> Driver::ReopenLog(const Ctx&, std::string_view id) {
  const auto container = FindContainer(id);
  if (container == nullptr) return Fail(Code::kNotFound, Cat("no container ", id));
  if (Copy(*container).phase != Phase::kRunning) return {};
  return ReopenMonitorLog(Bundle(id));
}

Result<std::unique_ptr<Session>> Driver::Exec(const Ctx&, std::string_view id, const ExecSpec& spec) {
  const auto container = FindContainer(id);
  if (container == nullptr) return Fail(Code::kNotFound, Cat("no container ", id));
  if (spec.argv.empty()) return Fail(Code::kInvalid, "no command to run");
  if (Copy(*container).phase != Phase::kRunning) return Fail(Code::kConflict, Cat("container ", id, " is not running"));
  TRY(const std::string text, ReadFile(Bundle(id) + "/config.json"));
  json::Value config;
  std::string error;
  if (!json::Value::Parse(text, &config, &error)) return Fail(Code::kCorruption, Cat("bundle of ", id, ": ", error));
  return StartExec(runtime_, std::string(id), MakeExecProcess(config, spec).Dump(), spec, Cat(options_.run_dir, "/exec/", HexToken(4)));
}

Result<std::unique_ptr<Session>> Driver::Attach(const Ctx&, std::string_view id, bool with_stdin) {
  const auto container = FindContainer(id);
  if (container == nullptr) return Fail(Code::kNotFound, Cat("no container ", id));
  const ContainerRecord record = Copy(*container);
  if (record.phase != Phase::kRunning) return Fail(Code::kConflict, Cat("container ", id, " is not running"));
  return AttachToMonitor(Bundle(id), record.spec.tty, with_stdin && record.spec.stdin_open,
                         [this, name = std::string(id)](const Ctx& ctx) { return AwaitExit(ctx, name); });
}

// The first process of a shared PID namespace: a container of ours like any other, without an image.
Result<> Driver::StartPause(const Ctx& ctx, const SandboxRecord& sandbox) {
  const std::string id = PauseId(sandbox.spec.id);
  auto container = std::make_shared<Container>();
  ContainerRecord record;
  record.spec = {.id = id, .sandbox_id = sandbox.spec.id, .command = {"/pause"}, .security = {.read_only_root = true, .no_new_privileges = true, .drop_capabilities = {"ALL"}}};
  record.spec.user.uid = 65535;
  record.spec.user.gid = 65535;
  record.boot_id = boot_id_;
  record.created_ns = ToNs(options_.clock->Now());
  record.cgroup = Cat(sandbox.spec.cgroup_parent, "/", id);
  {
    auto table = table_.Lock();
    container->record = record;
    table->containers[id] = container;
  }
  TRY_VOID(MakeDirectories(ContainerData(id), 0700));
  TRY_VOID(Save(record, true));
  TRY_VOID(WriteBundle(record, sandbox, Root{.path = options_.data_dir + "/pause-root"}));
  record.phase = Phase::kCreated;
  TRY_VOID(Save(record, false));
  Store(*container, record);
  return StartContainer(ctx, id);
}

}  // namespace skerry::container::oci
