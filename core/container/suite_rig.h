#pragma once
#include <catch2/catch.hpp>

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <thread>

#include "core/base/files.h"
#include "core/base/guarded.h"
#include "core/base/random.h"
#include "core/base/strings.h"
#include "core/container/docker/runtime.h"
#include "core/container/log.h"
#include "core/container/oci/runtime.h"
#include "core/container/oci/testing.h"
#include "core/process/cgroup.h"
#include "core/process/child.h"
#include "core/process/exit_watcher.h"
#include "core/process/mounts.h"
#include "core/process/wait.h"
#include "tests/support/skip.h"

// What every driver must do, with real containers: crun, runc, and a Docker engine of our own (socket, data and run directories in a
// scratch directory; nothing of the machine's engine is touched). Images are made from the machine's busybox.
namespace skerry::container {

using testing::Scratch;
using testing::Within;

inline std::string ReadToEnd(int fd) {
  std::string out;
  char buffer[4096];
  for (;;) {
    if (!process::WaitReadable(Within(30), fd)) return out + "<time-out>";
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n <= 0) return out;
    out.append(buffer, static_cast<std::size_t>(n));
  }
}

// Reads until the text appears.
inline bool ReadUntil(int fd, std::string_view wanted, std::string& seen) {
  char buffer[4096];
  while (seen.find(wanted) == std::string::npos) {
    if (!process::WaitReadable(Within(30), fd)) return false;
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n <= 0) return false;
    seen.append(buffer, static_cast<std::size_t>(n));
  }
  return true;
}

// Started at the first test that needs it, stopped at the end of the process.
class PrivateEngine {
 public:
  static const std::string& Socket() {
    static PrivateEngine engine;
    return engine.socket_;
  }

 private:
  PrivateEngine() {
    char buffer[] = "/tmp/skerry-engine-XXXXXX";
    REQUIRE(::mkdtemp(buffer));
    directory_ = buffer;
    const auto program = process::FindProgram("dockerd");
    REQUIRE(program);
    const UniqueFd log(::open((directory_ + "/log").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    const process::StdioSpec to_log{process::Stdio::kDescriptor, log.get()};
    socket_ = directory_ + "/s";
    process::Command command{.argv = {*program, "-H", "unix://" + socket_, "-p", directory_ + "/pid", "--data-root", directory_ + "/data", "--exec-root", directory_ + "/exec",
                                      "--iptables=false", "--ip6tables=false", "--bridge=none"},
                             .env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, .out = to_log, .err = to_log};
    auto started = process::Child::Spawn(command);
    REQUIRE(started);
    daemon_ = *std::move(started);
    while (!Answers()) {
      REQUIRE(daemon_->Wait(Ctx{std::stop_token(), std::chrono::steady_clock::now()}).error().code() == Code::kTimeout);
      process::Pause(Within(60), std::chrono::milliseconds(20));
    }
  }
  ~PrivateEngine() {
    daemon_->Kill(SIGTERM);
    if (!daemon_->Wait(Within(30))) daemon_->Kill(SIGKILL);
    const auto unmounted = process::UnmountBelow(directory_);
    const auto removed = process::RemoveTree(directory_);
    if (!unmounted || !removed) WARN("leftovers in " << directory_);
  }
  bool Answers() const { return ::access(socket_.c_str(), F_OK) == 0 && docker::Create({.socket = socket_, .run_dir = directory_ + "/probe"}).value()->Start(Within(20)).has_value(); }
  std::string directory_, socket_;
  std::unique_ptr<process::Child> daemon_;
};

struct Rig {
  explicit Rig(std::string driver_name) : driver(std::move(driver_name)) {
    REQUIRE(WriteFileDurably(dir.path + "/app.tar", testing::DockerArchive("app:1", {testing::BusyboxLayer()}, R"({"Env":["A=1","B=2"],"Cmd":["/bin/sleep","600"],"WorkingDir":"/home"})")));
    Open();
    REQUIRE(runtime->images().Import(Within(60), dir.path + "/app.tar", ""));
  }
  ~Rig() {
    if (runtime == nullptr) return;
    const auto sandboxes = runtime->ListSandboxes().value();
    for (const auto& s : sandboxes) CHECK(runtime->RemoveSandbox(Within(60), s.id));
    runtime->Stop();
    auto cgroups = process::Cgroups::Detect().value();
    CHECK(cgroups.Remove(Within(30), "/" + group));
  }
  void Open() {
    auto created = Make();
    INFO((created ? "" : created.error().message()));
    REQUIRE(created);
    runtime = *std::move(created);
    runtime->OnEvent([this](const Event& e) {
      auto list = events.Lock();
      list->push_back(e);
      changed.notify_all();
    });
    const auto started = runtime->Start(Within(60));
    INFO((started ? "" : started.error().message()));
    REQUIRE(started);
  }
  Result<std::unique_ptr<Runtime>> Make() const {
    if (driver == "docker") return docker::Create({.socket = PrivateEngine::Socket(), .run_dir = dir.path + "/run", .instance = group});
    return oci::Create({.data_dir = dir.path + "/data", .run_dir = dir.path + "/run", .monitor_cgroup = "/" + group + "/monitors",
                        .runtime_path = driver == "oci" ? std::string() : process::FindProgram(driver).value()});
  }
  SandboxStatus Sandbox(const std::string& id = "pod", SandboxSpec spec = {}) {
    spec.id = id;
    spec.hostname = "host-" + id;
    spec.cgroup_parent = "/" + group + "/" + id;
    auto made = runtime->EnsureSandbox(Within(60), spec);
    INFO((made ? "" : made.error().message()));
    REQUIRE(made);
    return *made;
  }
  ContainerSpec Spec(const std::string& id, std::vector<std::string> command = {}) {
    return {.id = id, .sandbox_id = "pod", .image = "app:1", .image_name = "app:1", .command = std::move(command), .log_path = dir.path + "/" + id + ".log"};
  }
  void Run(const ContainerSpec& spec) {
    auto created = runtime->CreateContainer(Within(60), spec);
    INFO((created ? "" : created.error().message()));
    REQUIRE(created);
    auto started = runtime->StartContainer(Within(60), spec.id);
    INFO((started ? "" : started.error().message()));
    REQUIRE(started);
  }
  ContainerStatus Ended(const std::string& id) {
    auto list = events.Lock();
    const bool ended = list.WaitUntil(changed, std::chrono::steady_clock::now() + std::chrono::seconds(30), [&] {
      const auto status = runtime->InspectContainer(id);
      return status && status->state == State::kExited;
    });
    REQUIRE(ended);
    return runtime->InspectContainer(id).value();
  }
  std::string Output(const ContainerSpec& spec) {
    Run(spec);
    Ended(spec.id);
    return ReadLog(spec.log_path, {}).value();
  }
  ContainerStatus RunToEnd(const ContainerSpec& spec) {
    Run(spec);
    return Ended(spec.id);
  }

  const std::string driver;
  Scratch dir;
  const std::string group = "skerry-test-" + HexToken(4);
  Guarded<std::vector<Event>> events;
  std::condition_variable changed;
  std::unique_ptr<Runtime> runtime;
};

inline std::vector<std::string> Drivers(std::initializer_list<const char*> wanted) {
  std::vector<std::string> out;
  for (const std::string name : wanted) {
    if (::geteuid() == 0 && (name == "oci" || process::FindProgram(name == "docker" ? "dockerd" : name))) out.push_back(name);
    else test::Skip(name + " cannot be run here");
  }
  return out;
}

}  // namespace skerry::container
