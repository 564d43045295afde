#include <signal.h>
#include <unistd.h>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/container/docker/driver.h"
#include "core/process/wait.h"

namespace skerry::container::docker {
namespace {
Ctx Brief() { return Ctx{std::stop_token(), std::chrono::steady_clock::now() + std::chrono::seconds(30)}; }
}  // namespace

Result<> Driver::CreateContainer(const Ctx& ctx, const ContainerSpec& spec) {
  if (!IsValidId(spec.id)) return Fail(Code::kInvalid, Cat("invalid container id ", Quote(spec.id)));
  const auto mutex = Busy(spec.id);
  const std::lock_guard busy(*mutex);
  if (Find(spec.id)) return {};
  TRY(const auto sandbox, FindSandbox(spec.sandbox_id));
  if (!sandbox.status.ready) return Fail(Code::kConflict, Cat("sandbox ", spec.sandbox_id, " is not ready"));
  TRY(const auto image, images_.Find(spec.image));
  std::string target;
  if (!spec.target_container.empty()) {
    TRY(const auto other, Find(spec.target_container));
    target = other.docker_id;
  }
  TRY(const auto body, ContainerBody(spec, sandbox.status.spec, options_.instance, sandbox.docker_id, target, image.id, image.config.user, host_));
  auto created = client_.Call(ctx, "POST", "/containers/create?name=" + Name(spec.id), &body);
  if (!created && created.error().code() != Code::kConflict) return std::unexpected(std::move(created).error());
  TRY_VOID(Refresh(ctx, Name(spec.id)));
  return ReopenLog(ctx, spec.id);
}

Result<> Driver::StartContainer(const Ctx& ctx, std::string_view id) {
  const auto mutex = Busy(id);
  const std::lock_guard busy(*mutex);
  TRY(const auto container, Find(id));
  if (container.status.state == State::kRunning) return {};
  if (container.status.state != State::kCreated) return Fail(Code::kConflict, Cat("container ", id, " has ended"));
  auto started = client_.Call(ctx, "POST", Cat("/containers/", container.docker_id, "/start"));
  TRY_VOID(Refresh(ctx, container.docker_id));
  TRY_VOID(ReopenLog(ctx, id));   // the daemon names its log file at the first start
  if (started) return {};
  TRY(const auto after, Find(id));
  if (after.status.state != State::kExited) return std::unexpected(std::move(started).error());
  Emit(Event::Kind::kContainerExited, std::string(id));
  return Fail(Code::kInvalid, after.status.message);
}

Result<> Driver::Signal(const Ctx& ctx, std::string_view id, int signal) {
  TRY(const auto container, Find(id));
  if (container.status.state != State::kRunning) return {};
  auto sent = client_.Call(ctx, "POST", Cat("/containers/", container.docker_id, "/kill?signal=", signal));
  if (sent || sent.error().code() == Code::kConflict) return {};   // conflict: it has ended meanwhile
  return std::unexpected(std::move(sent).error());
}

Result<> Driver::RemoveContainer(const Ctx& ctx, std::string_view id) {
  const auto mutex = Busy(id);
  const std::lock_guard busy(*mutex);
  auto container = Find(id);
  TRY_VOID(RemoveByName(ctx, Name(id)));
  if (!container) return {};
  Forget(container->docker_id);
  // The daemon deletes its log with the container; a link into nothing helps nobody.
  const std::string& link = container->status.log_path;
  if (!link.empty() && ::access(link.c_str(), F_OK) != 0) ::unlink(link.c_str());
  return {};
}

Result<> Driver::UpdateContainer(const Ctx&, std::string_view id, const Resources& r) {
  TRY(const auto container, Find(id));
  if (container.status.state != State::kRunning) return Fail(Code::kConflict, Cat("container ", id, " is not running"));
  TRY(const auto sandbox, FindSandbox(container.status.sandbox_id));
  return cgroups_->Apply(CgroupOf(sandbox, container.docker_id),
                         {.cpu_shares = r.cpu_shares, .cpu_quota_us = r.cpu_quota_us, .cpu_period_us = r.cpu_period_us, .memory_bytes = r.memory_bytes,
                          .pids = r.pids, .cpuset_cpus = r.cpuset_cpus, .cpuset_mems = r.cpuset_mems});
}

Result<ContainerStatus> Driver::InspectContainer(std::string_view id) {
  TRY(auto container, Find(id));
  return std::move(container.status);
}

Result<std::vector<ContainerStatus>> Driver::ListContainers(std::string_view sandbox_id) {
  std::vector<ContainerStatus> out;
  auto cache = cache_.Lock();
  for (const auto& [_, container] : cache->containers) {
    if (sandbox_id.empty() || container.status.sandbox_id == sandbox_id) out.push_back(container.status);
  }
  return out;
}

// The daemon writes (and rotates) its own file; log_path is a link to it, and LogReader knows both forms.
Result<> Driver::ReopenLog(const Ctx&, std::string_view id) {
  TRY(const auto container, Find(id));
  const std::string& link = container.status.log_path;
  if (link.empty() || container.log_path.empty()) return {};
  if (::symlink(container.log_path.c_str(), link.c_str()) != 0 && errno != EEXIST) return std::unexpected(ErrnoError(errno, "link " + link));
  return {};
}

Result<int> Driver::WaitForExit(const Ctx& ctx, const std::string& id) {
  const std::stop_callback wake(ctx.stop, [this] { changed_.notify_all(); });
  auto cache = cache_.Lock();
  for (;;) {
    const auto it = cache->containers.find(id);
    if (it == cache->containers.end()) return Fail(Code::kNotFound, Cat("no container ", id));
    if (it->second.status.state == State::kExited) return it->second.status.exit_code;
    if (ctx.done()) return Fail(ctx.stop.stop_requested() ? Code::kCancelled : Code::kTimeout, "container still runs");
    // Woken now and then too: a stop that comes between the check and the wait would be missed.
    cache.WaitUntil(changed_, std::min(ctx.deadline, std::chrono::steady_clock::now() + std::chrono::seconds(1)), [&] {
      const auto again = cache->containers.find(id);
      return again == cache->containers.end() || again->second.status.state == State::kExited;
    });
  }
}

Result<std::unique_ptr<Session>> Driver::Exec(const Ctx& ctx, std::string_view id, const ExecSpec& spec) {
  TRY(const auto container, Find(id));
  if (spec.argv.empty()) return Fail(Code::kInvalid, "no command to run");
  if (container.status.state != State::kRunning) return Fail(Code::kConflict, Cat("container ", id, " is not running"));
  json::Value body = json::Value::Object();
  body.Set("AttachStdin") = spec.with_stdin;
  body.Set("AttachStdout") = true;
  body.Set("AttachStderr") = true;
  body.Set("Tty") = spec.tty;
  for (const std::string& a : spec.argv) body.Set("Cmd").Append(a);
  if (spec.tty) body.Set("Env").Append("TERM=xterm");
  for (const std::string& v : spec.env) body.Set("Env").Append(v);
  TRY(const auto created, client_.Call(ctx, "POST", Cat("/containers/", container.docker_id, "/exec"), &body));
  const std::string exec(created["Id"].Str());
  json::Value start = json::Value::Object();
  start.Set("Detach") = false;
  start.Set("Tty") = spec.tty;
  TRY(auto hijacked, client_.Hijack(ctx, Cat("/exec/", exec, "/start"), &start));
  const Client* const client = &client_;
  SessionHooks hooks;
  hooks.resize = [client, exec](std::uint16_t columns, std::uint16_t rows) -> Result<> {
    TRY_VOID(client->Call(Brief(), "POST", Cat("/exec/", exec, "/resize?w=", columns, "&h=", rows)));
    return {};
  };
  hooks.wait = [client, exec](const Ctx& wait, const std::string& said) -> Result<int> {
    for (;;) {
      TRY(const auto state, client->Call(wait, "GET", Cat("/exec/", exec, "/json")));
      if (!state["Running"].Bool()) {
        const int code = static_cast<int>(state["ExitCode"].Int());
        const bool refused = said.find("exec failed") != std::string::npos && (said.starts_with("OCI runtime") || said.starts_with("rpc error"));
        if ((code == 126 || code == 127) && refused) return Fail(Code::kNotFound, std::string(Trim(said)));
        return code;
      }
      if (wait.done()) return Fail(Code::kTimeout, "command still runs");
      process::Pause(wait, std::chrono::milliseconds(10));   // its output has ended, the daemon is about to know
    }
  };
  hooks.kill = [client, exec] {
    const auto state = client->Call(Brief(), "GET", Cat("/exec/", exec, "/json"));
    if (state && (*state)["Running"].Bool() && (*state)["Pid"].Int() > 1) ::kill(static_cast<pid_t>((*state)["Pid"].Int()), SIGKILL);
  };
  TRY(auto session, MakeSession(std::move(hijacked), spec.tty, spec.with_stdin, hooks));
  if (spec.tty && spec.columns > 0) {
    // The size can be set once the process is there, which the start of the stream does not promise.
    const Ctx soon(ctx.stop, std::min(ctx.deadline, std::chrono::steady_clock::now() + std::chrono::seconds(2)));
    while (!hooks.resize(spec.columns, spec.rows) && !soon.done()) process::Pause(soon, std::chrono::milliseconds(10));
  }
  return session;
}

Result<std::unique_ptr<Session>> Driver::Attach(const Ctx& ctx, std::string_view id, bool with_stdin) {
  TRY(const auto container, Find(id));
  if (container.status.state != State::kRunning) return Fail(Code::kConflict, Cat("container ", id, " is not running"));
  const bool input = with_stdin && container.status.stdin_open;
  TRY(auto hijacked, client_.Hijack(ctx, Cat("/containers/", container.docker_id, "/attach?stream=1&stdout=1&stderr=1", input ? "&stdin=1" : ""), nullptr));
  const Client* const client = &client_;
  SessionHooks hooks;
  hooks.resize = [client, name = container.docker_id](std::uint16_t columns, std::uint16_t rows) -> Result<> {
    TRY_VOID(client->Call(Brief(), "POST", Cat("/containers/", name, "/resize?w=", columns, "&h=", rows)));
    return {};
  };
  hooks.wait = [this, name = std::string(id)](const Ctx& wait, const std::string&) { return WaitForExit(wait, name); };
  return MakeSession(std::move(hijacked), container.status.tty, input, std::move(hooks));
}

}  // namespace skerry::container::docker
