#include "core/container/runtime.h"

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

// What every driver must do, with real containers: crun, runc, and a Docker engine of our own (socket, data and run directories in a
// scratch directory; nothing of the machine's engine is touched). Images are made from the machine's busybox.
namespace skerry::container {

using testing::Scratch;
using testing::Within;

namespace {

std::string ReadToEnd(int fd) {
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
bool ReadUntil(int fd, std::string_view wanted, std::string& seen) {
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

std::vector<std::string> Drivers(std::initializer_list<const char*> wanted) {
  std::vector<std::string> out;
  for (const std::string name : wanted) {
    if (::geteuid() == 0 && (name == "oci" || process::FindProgram(name == "docker" ? "dockerd" : name))) out.push_back(name);
    else WARN("skipped: " << name << " cannot be run here");
  }
  return out;
}

}  // namespace

TEST_CASE("a container runs with its environment, directory, user and log, and its end is told with the exit code", "[runtime][root][slow]") {
  const auto drivers = Drivers({"oci", "runc", "docker"});
  for (const std::string& driver : drivers) {
    INFO(driver);
    Rig rig(driver);
    const auto sandbox = rig.Sandbox();
    CHECK(sandbox.ready);
    auto spec = rig.Spec("one", {"/bin/sh", "-c", "echo $A $B $C; pwd; id -u; id -g; id -G | tr ' ' '\\n' | grep -E '1003|2000'; hostname; ls /sys/class/net; echo err >&2; exit 7"});
    spec.env = {"B=3", "C=4"};
    spec.user.uid = 1001;
    spec.user.supplementary_groups = {2000};
    spec.labels = {{"k", "v"}};
    const auto status = rig.RunToEnd(spec);
    CHECK(status.exit_code == 7);
    CHECK(status.reason == "Error");
    CHECK(status.labels.at("k") == "v");
    CHECK(status.finished >= status.started);
    CHECK(ReadLog(spec.log_path, {.streams = LogOptions::Streams::kStdout}).value() ==
          "1 3 4\n/home\n1001\n1002\n1003\n2000\nhost-pod\nlo\n");
    CHECK(ReadLog(spec.log_path, {.streams = LogOptions::Streams::kStderr}).value() == "err\n");
    CHECK(rig.runtime->StartContainer(Within(60), "one").error().code() == Code::kConflict);
    REQUIRE(rig.runtime->CreateContainer(Within(60), spec));
    CHECK(rig.runtime->images().Remove("app:1").error().code() == Code::kConflict);
    REQUIRE(rig.runtime->RemoveContainer(Within(60), "one"));
    REQUIRE(rig.runtime->RemoveContainer(Within(60), "one"));
    CHECK(rig.runtime->InspectContainer("one").error().code() == Code::kNotFound);
  }
}

TEST_CASE("signals, limits and isolation arrive in the container", "[runtime][root][slow]") {
  const auto drivers = Drivers({"oci", "runc", "docker"});
  for (const std::string& driver : drivers) {
    INFO(driver);
    Rig rig(driver);
    rig.Sandbox();
    auto spec = rig.Spec("a", {"/bin/sh", "-c", "trap 'echo got; exit 3' TERM; echo up; while true; do sleep 0.1; done"});
    spec.resources = {.cpu_shares = 512, .cpu_quota_us = 50'000, .memory_bytes = 64 << 20, .pids = 50};
    rig.Run(spec);
    auto reader = LogReader::Open(spec.log_path, {}).value();
    const auto stats = rig.runtime->ContainerStats("a").value();
    CHECK(stats.memory_limit_bytes == 64 << 20);
    CHECK(stats.pids >= 1);
    CHECK(rig.runtime->SandboxStats("pod")->memory_usage_bytes > 0);
    REQUIRE(rig.runtime->UpdateContainer(Within(60), "a", {.memory_bytes = 96 << 20}));
    CHECK(rig.runtime->ContainerStats("a")->memory_limit_bytes == 96 << 20);
    for (;;) {   // the trap is set once the shell says so
      const auto text = ReadLog(spec.log_path, {}).value();
      if (text == "up\n") break;
      process::Pause(Within(30), std::chrono::milliseconds(5));
    }
    REQUIRE(rig.runtime->Signal(Within(60), "a", SIGTERM));
    CHECK(rig.Ended("a").exit_code == 3);
    CHECK(ReadLog(spec.log_path, {}).value() == "up\ngot\n");
    rig.Output(rig.Spec("b", {"/bin/sh", "-c",
        "grep -E 'CapEff|Seccomp:|NoNewPrivs' /proc/self/status | tr -s '\\t\\n' '  '; unshare -U true 2>/dev/null || echo no-userns; mount -t tmpfs x /tmp 2>/dev/null || echo no-mount; "
        "echo x > /proc/sys/kernel/hostname 2>/dev/null || echo ro-proc; wc -c < /proc/keys; ps | wc -l"}));
    const auto probe = ReadLog(rig.dir.path + "/b.log", {.streams = LogOptions::Streams::kStdout}).value();
    INFO(probe);
    CHECK(probe.find("CapEff: 00000000a80425fb") != std::string::npos);
    CHECK(probe.find("Seccomp: 2") != std::string::npos);
    CHECK(probe.find("no-userns\nno-mount\nro-proc\n0\n") != std::string::npos);
    auto locked = rig.Spec("c", {"/bin/sh", "-c", "grep -E 'CapEff|NoNewPrivs' /proc/self/status | tr -s '\\t\\n' '  '; touch /x 2>/dev/null || echo ro; touch /data/y && echo rw"});
    REQUIRE(MakeDirectories(rig.dir.path + "/vol", 0777));
    locked.security = {.read_only_root = true, .no_new_privileges = true, .drop_capabilities = {"ALL"}};
    locked.mounts = {{.host_path = rig.dir.path + "/vol", .container_path = "/data"}};
    CHECK(rig.Output(locked) == "CapEff: 0000000000000000 NoNewPrivs: 1 ro\nrw\n");
    CHECK(::access((rig.dir.path + "/vol/y").c_str(), F_OK) == 0);
  }
}

TEST_CASE("a command that cannot be executed ends the container as a start error with the reason", "[runtime][root][slow]") {
  const auto drivers = Drivers({"oci", "runc", "docker"});
  for (const std::string& driver : drivers) {
    INFO(driver);
    Rig rig(driver);
    rig.Sandbox();
    REQUIRE(rig.runtime->CreateContainer(Within(60), rig.Spec("x", {"/no/such/program"})));
    const auto started = rig.runtime->StartContainer(Within(60), "x");
    REQUIRE_FALSE(started);
    CHECK(started.error().code() == Code::kInvalid);
    const auto status = rig.runtime->InspectContainer("x").value();
    CHECK(status.state == State::kExited);
    CHECK(status.reason == "StartError");
    CHECK(status.exit_code == 127);
    CHECK(status.message.find("/no/such/program") != std::string::npos);
    auto unknown = rig.Spec("y");
    unknown.image = "absent:1";
    CHECK(rig.runtime->CreateContainer(Within(60), unknown).error().code() == Code::kNotFound);
    auto missing_mount = rig.Spec("z", {"/bin/true"});
    missing_mount.mounts = {{.host_path = rig.dir.path + "/absent", .container_path = "/data"}};
    CHECK_FALSE((rig.runtime->CreateContainer(Within(60), missing_mount) && rig.runtime->StartContainer(Within(60), "z")));
  }
}

TEST_CASE("an exec gives separate streams, exit codes, input and a terminal with a size", "[runtime][root][slow]") {
  const auto drivers = Drivers({"oci", "runc", "docker"});
  for (const std::string& driver : drivers) {
    INFO(driver);
    Rig rig(driver);
    rig.Sandbox();
    rig.Run(rig.Spec("e"));
    const auto result = rig.runtime->ExecSync(Within(60), "e", {"/bin/sh", "-c", "echo out; echo err >&2; echo $A; exit 5"});
    REQUIRE(result);
    CHECK(result->exit_code == 5);
    CHECK(result->output == "out\n1\n");
    CHECK(result->error == "err\n");
    const auto missing = rig.runtime->ExecSync(Within(60), "e", {"/nope"});
    INFO((missing ? Cat(missing->exit_code, " ", missing->output, " ", missing->error) : std::string(missing.error().message())));
    REQUIRE_FALSE(missing);
    CHECK(missing.error().code() == Code::kNotFound);
    CHECK(missing.error().message().find("nope") != std::string::npos);
    CHECK(rig.runtime->ExecSync(Ctx{std::stop_token(), std::chrono::steady_clock::now() + std::chrono::milliseconds(700)}, "e", {"/bin/sleep", "300"}).error().code() == Code::kTimeout);
    CHECK(rig.runtime->ExecSync(Within(60), "e", {"/bin/ps"})->output.find("300") == std::string::npos);

    auto cat = rig.runtime->Exec(Within(60), "e", {.argv = {"/bin/cat"}, .with_stdin = true}).value();
    {
      UniqueFd in = cat->TakeInput();
      REQUIRE(WriteAll(in.get(), "hello"));
    }
    UniqueFd out = cat->TakeOutput();
    CHECK(ReadToEnd(out.get()) == "hello");
    CHECK(cat->Wait(Within(30)).value() == 0);

    auto shell = rig.runtime->Exec(Within(60), "e", {.argv = {"/bin/sh"}, .tty = true, .with_stdin = true, .columns = 90, .rows = 33}).value();
    UniqueFd keys = shell->TakeInput(), screen = shell->TakeOutput();
    std::string seen;
    REQUIRE(WriteAll(keys.get(), "stty size\n"));
    CHECK(ReadUntil(screen.get(), "33 90", seen));
    REQUIRE(shell->Resize(70, 20));
    REQUIRE(WriteAll(keys.get(), "while [ \"$(stty size)\" != '20 70' ]; do sleep 0.05; done; echo re''sized TERM=$TERM; exit 4\n"));
    seen += ReadToEnd(screen.get());
    CHECK(seen.find("resized TERM=xterm") != std::string::npos);
    CHECK(shell->Wait(Within(30)).value() == 4);
  }
}

TEST_CASE("attaching reaches the running process and leaving it does not end it", "[runtime][root][slow]") {
  const auto drivers = Drivers({"oci", "runc", "docker"});
  for (const std::string& driver : drivers) {
    INFO(driver);
    Rig rig(driver);
    rig.Sandbox();
    auto spec = rig.Spec("t", {"/bin/sh", "-c", "while read line; do echo \"<$line>\"; done; exit 6"});
    spec.stdin_open = true;
    rig.Run(spec);
    {
      auto first = rig.runtime->Attach(Within(30), "t", true).value();
      UniqueFd in = first->TakeInput(), out = first->TakeOutput();
      REQUIRE(WriteAll(in.get(), "one\n"));
      std::string seen;
      CHECK(ReadUntil(out.get(), "<one>\n", seen));
    }
    CHECK(rig.runtime->InspectContainer("t")->state == State::kRunning);
    spec.id = "o";
    spec.stdin_once = true;
    spec.log_path = rig.dir.path + "/o.log";
    rig.Run(spec);
    auto once = rig.runtime->Attach(Within(30), "o", true).value();
    UniqueFd in = once->TakeInput(), out = once->TakeOutput();
    REQUIRE(WriteAll(in.get(), "two\n"));
    in.Reset();
    CHECK(ReadToEnd(out.get()) == "<two>\n");
    CHECK(once->Wait(Within(30)).value() == 6);
  }
}

TEST_CASE("containers outlive us, are adopted, and what ended meanwhile is known with its code", "[runtime][root][slow]") {
  const auto drivers = Drivers({"oci", "runc"});
  for (const std::string& driver : drivers) {
    INFO(driver);
    Rig rig(driver);
    const auto sandbox = rig.Sandbox();
    rig.Run(rig.Spec("stays"));
    rig.Run(rig.Spec("ends", {"/bin/sh", "-c", "read x < /gate; echo bye; exit 9"}));
    rig.Run(rig.Spec("lost"));
    const int pid = rig.runtime->InspectContainer("stays")->pid;
    const auto lost = rig.runtime->InspectContainer("lost").value();
    const auto lost_start = process::ProcessStartTime(lost.pid).value();
    rig.runtime->Stop();
    rig.runtime.reset();
    // The one at the gate: /gate is missing, the shell exits by itself. "lost" loses monitor and process.
    const std::string monitor = ReadFile(rig.dir.path + "/run/containers/lost/conmon.pid").value();
    ::kill(static_cast<int>(ParseInt(Trim(monitor)).value()), SIGKILL);
    rig.Open();
    CHECK(rig.runtime->InspectContainer("stays")->state == State::kRunning);
    CHECK(rig.runtime->InspectContainer("stays")->pid == pid);
    CHECK(rig.Ended("ends").exit_code == 9);
    CHECK(ReadLog(rig.dir.path + "/ends.log", {.streams = LogOptions::Streams::kStdout}).value() == "bye\n");
    CHECK(rig.Ended("lost").reason == "ContainerStatusUnknown");
    CHECK(rig.runtime->EnsureSandbox(Within(30), {.id = "pod"})->netns_path == sandbox.netns_path);
    REQUIRE(rig.runtime->Signal(Within(30), "stays", SIGKILL));
    CHECK(rig.Ended("stays").exit_code == 137);
    CHECK(rig.Ended("stays").reason == "Error");
    while (process::IsAlive(lost.pid, lost_start)) process::Pause(Within(10), std::chrono::milliseconds(5));
  }
}

TEST_CASE("running out of memory is told as such", "[runtime][root][slow]") {
  const auto drivers = Drivers({"oci", "runc", "docker"});
  for (const std::string& driver : drivers) {
    INFO(driver);
    Rig rig(driver);
    rig.Sandbox();
    auto spec = rig.Spec("m", {"/bin/sh", "-c", "dd if=/dev/zero of=/dev/null bs=200M count=1"});
    spec.resources.memory_bytes = 32 << 20;
    spec.command = {"/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"};
    const auto status = rig.RunToEnd(spec);
    CHECK(status.exit_code == 137);
    CHECK(status.reason == "OOMKilled");
  }
}

TEST_CASE("containers of a sandbox share what it says they share", "[runtime][root][slow]") {
  const auto drivers = Drivers({"oci", "runc", "docker"});
  for (const std::string& driver : drivers) {
    INFO(driver);
    Rig rig(driver);
    rig.Sandbox("pod", {.pid = PidMode::kSandbox, .sysctls = {{"kernel.shm_rmid_forced", "1"}, {"net.ipv4.ip_unprivileged_port_start", "80"}}});
    rig.Run(rig.Spec("first", {"/bin/sh", "-c", "echo shared > /dev/shm/x; exec sleep 555"}));
    auto spec = rig.Spec("second", {"/bin/sh", "-c", "while ! cat /dev/shm/x 2>/dev/null; do sleep 0.05; done; cat /proc/sys/kernel/shm_rmid_forced /proc/sys/net/ipv4/ip_unprivileged_port_start; "
                                    "tr '\\0' ' ' < /proc/1/cmdline; echo; ps | grep -c '[s]leep 555'"});
    CHECK(rig.Output(spec) == "shared\n1\n80\n/pause \n1\n");
    CHECK(rig.runtime->ListContainers({})->size() == 2);
    const auto listed = rig.runtime->ListSandboxes().value();
    REQUIRE(listed.size() == 1);
    CHECK(listed[0].ready);
    REQUIRE(rig.runtime->RemoveSandbox(Within(60), "pod"));
    CHECK(rig.runtime->ListSandboxes()->empty());
    CHECK(rig.runtime->ListContainers({})->empty());
    REQUIRE(rig.runtime->RemoveSandbox(Within(60), "pod"));
    const auto mounts = process::ReadMounts().value();
    for (const auto& m : mounts) CHECK_FALSE(m.target.starts_with(rig.dir.path));
  }
}

TEST_CASE("a port inside a sandbox is reached from outside", "[runtime][root][slow]") {
  const auto drivers = Drivers({"oci", "runc", "docker"});
  for (const std::string& driver : drivers) {
    INFO(driver);
    Rig rig(driver);
    rig.Sandbox();
    rig.Run(rig.Spec("srv", {"/bin/sh", "-c", "mkdir /w; echo hi > /w/f; exec httpd -f -p 8099 -h /w"}));
    UniqueFd fd;
    for (;;) {
      auto dialed = rig.runtime->Dial(Within(10), "pod", 8099);
      if (dialed) {
        fd = *std::move(dialed);
        break;
      }
      REQUIRE(dialed.error().code() == Code::kUnavailable);
      process::Pause(Within(30), std::chrono::milliseconds(10));
    }
    REQUIRE(WriteAll(fd.get(), "GET /f HTTP/1.0\r\n\r\n"));
    const std::string answer = ReadToEnd(fd.get());
    CHECK(answer.starts_with("HTTP/1."));
    CHECK(answer.ends_with("hi\n"));
  }
}

TEST_CASE("a log is rotated under a running container", "[runtime][root][slow]") {
  const auto drivers = Drivers({"oci", "runc"});
  for (const std::string& driver : drivers) {
    INFO(driver);
    Rig rig(driver);
    rig.Sandbox();
    auto spec = rig.Spec("r", {"/bin/sh", "-c", "while read l; do echo $l; done"});
    spec.stdin_open = true;
    rig.Run(spec);
    auto session = rig.runtime->Attach(Within(30), "r", true).value();
    UniqueFd in = session->TakeInput(), out = session->TakeOutput();
    std::string seen;
    REQUIRE(WriteAll(in.get(), "before\n"));
    REQUIRE(ReadUntil(out.get(), "before\n", seen));
    REQUIRE(::rename(spec.log_path.c_str(), (spec.log_path + ".1").c_str()) == 0);
    REQUIRE(rig.runtime->ReopenLog(Within(30), "r"));
    while (::access(spec.log_path.c_str(), F_OK) != 0) process::Pause(Within(30), std::chrono::milliseconds(5));
    REQUIRE(WriteAll(in.get(), "after\n"));
    REQUIRE(ReadUntil(out.get(), "after\n", seen));
    CHECK(ReadLog(spec.log_path, {}).value() == "after\n");
    CHECK(ReadLog(spec.log_path + ".1", {}).value() == "before\n");
  }
}

TEST_CASE("an image brings its entry point, user, volumes and layers, and the spec overrides them", "[runtime][root][slow]") {
  const auto drivers = Drivers({"oci", "docker"});
  for (const std::string& driver : drivers) {
    INFO(driver);
    Rig rig(driver);
    const std::string second = testing::Tar().File("etc/.wh.group", "").File("data/seed", "s", {.mode = 0644, .uid = 1001}).File("tmp/top", "2").Finish();
    REQUIRE(WriteFileDurably(rig.dir.path + "/multi.tar", testing::DockerArchive("multi:2", {testing::BusyboxLayer(), testing::Tar().File("etc/group", "app:x:1002:\n").File("tmp/top", "1").Finish(), second},
        R"({"Entrypoint":["/bin/echo","E"],"Cmd":["c1","c2"],"User":"app","Volumes":{"/data":{}},"StopSignal":"SIGUSR1"})")));
    const auto image = rig.runtime->images().Import(Within(60), rig.dir.path + "/multi.tar", "");
    INFO((image ? "" : image.error().message()));
    REQUIRE(image);
    CHECK(image->tags == std::vector<std::string>{"docker.io/library/multi:2"});
    CHECK(image->config.user == "app");
    CHECK(image->config.volumes == std::vector<std::string>{"/data"});
    CHECK(rig.runtime->images().Find("multi:2")->id == image->id);
    rig.Sandbox();
    int n = 0;
    const auto run = [&](std::vector<std::string> command, std::vector<std::string> args) {
      auto spec = rig.Spec(Cat("i", n++), std::move(command));
      spec.image = image->id;
      spec.args = std::move(args);
      return rig.Output(spec);
    };
    CHECK(run({}, {}) == "E c1 c2\n");
    CHECK(run({}, {"x"}) == "E x\n");
    CHECK(run({"/bin/printf", "%s\\n"}, {"x"}) == "x\n");
    CHECK(run({"/bin/id", "-u"}, {}) == "1001\n");
    CHECK(run({"/bin/sh", "-c", "cat /tmp/top; ls /etc/group 2>/dev/null || echo hidden; echo more >> /data/seed; cat /data/seed"}, {}) == "2hidden\nsmore\n");
    CHECK(rig.runtime->InspectContainer("i0")->stop_signal == SIGUSR1);
    CHECK(rig.runtime->InspectContainer("i0")->image_id == image->id);
    CHECK(rig.runtime->images().Remove("multi:2").error().code() == Code::kConflict);
    const auto all = rig.runtime->images().List().value();
    CHECK(std::count_if(all.begin(), all.end(), [&](const ImageInfo& i) { return i.id == image->id; }) == 1);
    const std::string mounted = rig.runtime->images().MountImage(Within(30), "multi:2", "v").value();
    CHECK(ReadFile(mounted + "/tmp/top").value() == "2");
    CHECK(::access((mounted + "/etc/group").c_str(), F_OK) != 0);
    REQUIRE(rig.runtime->images().UnmountImage("v"));
    REQUIRE(rig.runtime->RemoveSandbox(Within(60), "pod"));
    REQUIRE(rig.runtime->images().Remove("multi:2"));
    CHECK(rig.runtime->images().Find("multi:2").error().code() == Code::kNotFound);
    REQUIRE(rig.runtime->images().Remove("multi:2"));
    CHECK(rig.runtime->images().Find("app:1"));
  }
}

TEST_CASE("mounts, privileges, host namespaces and debug containers are what was asked for", "[runtime][root][slow]") {
  const auto drivers = Drivers({"oci", "runc", "docker"});
  for (const std::string& driver : drivers) {
    INFO(driver);
    Rig rig(driver);
    rig.Sandbox();
    REQUIRE(MakeDirectories(rig.dir.path + "/share", 0755));
    REQUIRE(process::MakeShared(rig.dir.path + "/share"));
    REQUIRE(WriteFileDurably(rig.dir.path + "/hosts", "1.2.3.4 me\n", 0644));
    auto spec = rig.Spec("m", {"/bin/sh", "-c", "cat /etc/hosts; echo x > /ro/y || echo ro; df -k /mem | tail -1 | tr -s ' ' | cut -d' ' -f2; cat /share/sub/late; ulimit -n"});
    spec.command.back() = "cat /etc/hosts; echo x 2>/dev/null > /ro/y || echo ro; grep ' /mem ' /proc/mounts | grep -c size=2048k; while ! cat /share/sub/late 2>/dev/null; do sleep 0.05; done; ulimit -n";
    spec.mounts = {{.host_path = rig.dir.path + "/hosts", .container_path = "/etc/hosts", .read_only = true},
                   {.host_path = rig.dir.path + "/share", .container_path = "/share", .propagation = Propagation::kHostToContainer},
                   {.host_path = rig.dir.path + "/share", .container_path = "/ro", .read_only = true},
                   {.kind = Mount::Kind::kTmpfs, .container_path = "/mem", .size_bytes = 2 << 20}};
    spec.rlimits = {{"RLIMIT_NOFILE", 999, 555}};
    rig.Run(spec);
    REQUIRE(MakeDirectories(rig.dir.path + "/share/sub"));
    REQUIRE(process::MountTmpfs(rig.dir.path + "/share/sub", 0, 0755));   // made after the container, seen inside
    REQUIRE(WriteFileDurably(rig.dir.path + "/share/sub/late", "late\n", 0644));
    rig.Ended("m");
    CHECK(ReadLog(spec.log_path, {.streams = LogOptions::Streams::kStdout}).value() == "1.2.3.4 me\nro\n1\nlate\n555\n");
    REQUIRE(process::Unmount(rig.dir.path + "/share/sub"));

    auto privileged = rig.Spec("p", {"/bin/sh", "-c", "mount -t tmpfs x /tmp && echo mounted; unshare -U true && echo userns; test -c /dev/fuse && echo fuse; echo priv > /proc/sys/kernel/domainname && echo open"});
    privileged.security.privileged = true;
    CHECK(rig.Output(privileged) == "mounted\nuserns\nfuse\nopen\n");

    rig.Run(rig.Spec("app", {"/bin/sleep", "777"}));
    auto debug = rig.Spec("dbg", {"/bin/sh", "-c", "ps | grep -c '[s]leep 777'"});
    debug.target_container = "app";
    CHECK(rig.Output(debug) == "1\n");

    rig.Sandbox("host", {.network = NetworkMode::kHost, .pid = PidMode::kHost});
    auto host = rig.Spec("h", {"/bin/sh", "-c", "readlink /proc/self/ns/net; readlink /proc/self/ns/pid"});
    host.sandbox_id = "host";
    std::string expected;
    for (const char* kind : {"net", "pid"}) {
      char text[64];
      const ssize_t size = ::readlink(Cat("/proc/self/ns/", kind).c_str(), text, sizeof text);
      REQUIRE(size > 0);
      expected += std::string(text, static_cast<std::size_t>(size)) + "\n";
    }
    CHECK(rig.Output(host) == expected);
    CHECK(rig.runtime->InspectSandbox("host")->netns_path.empty());
  }
}

TEST_CASE("pods that come and go at once do not disturb each other", "[runtime][root][slow]") {
  const auto drivers = Drivers({"oci"});
  for (const std::string& driver : drivers) {
    INFO(driver);
    Rig rig(driver);
    std::atomic<int> good = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 6; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 4; ++i) {
          const std::string id = Cat("p", t, "-", i);
          ContainerSpec spec{.id = id, .sandbox_id = id, .image = "app:1", .command = {"/bin/sh", "-c", Cat("echo ", id)}, .log_path = Cat(rig.dir.path, "/", id, ".log")};
          if (!rig.runtime->EnsureSandbox(Within(120), {.id = id, .cgroup_parent = Cat("/", rig.group, "/", id)})) return;
          if (!rig.runtime->CreateContainer(Within(120), spec) || !rig.runtime->StartContainer(Within(120), id)) return;
          while (rig.runtime->InspectContainer(id)->state != State::kExited) process::Pause(Within(60), std::chrono::milliseconds(5));
          const auto text = ReadLog(spec.log_path, {});
          if (rig.runtime->InspectContainer(id)->exit_code == 0 && text && *text == id + "\n" && rig.runtime->RemoveSandbox(Within(120), id)) ++good;
        }
      });
    }
    for (auto& thread : threads) thread.join();
    CHECK(good == 24);
    CHECK(rig.runtime->ListContainers({})->empty());
  }
}

#ifdef SKERRY_FAULT_POINTS
namespace {

// One pod from nothing to nothing. False when a step fails.
bool WholeLife(Rig& rig) {
  Runtime& r = *rig.runtime;
  auto spec = rig.Spec("c", {"/bin/sleep", "600"});
  return r.images().Import(Within(60), rig.dir.path + "/app.tar", "") && r.EnsureSandbox(Within(60), {.id = "pod", .cgroup_parent = "/" + rig.group + "/pod", .pid = PidMode::kSandbox}) &&
         r.CreateContainer(Within(60), spec) && r.StartContainer(Within(60), "c") && r.InspectContainer("c")->state == State::kRunning && r.RemoveSandbox(Within(60), "pod");
}

}  // namespace

TEST_CASE("killed at any step of a pod's life, the next start brings it to its end and leaves nothing behind", "[runtime][root][slow]") {
  const auto drivers = Drivers({"oci"});
  const char* const points[] = {"oci.layer.before_sync", "oci.sandbox.after_cgroup", "oci.sandbox.after_namespaces", "oci.container.after_intent", "oci.container.after_mount",
                                "oci.container.after_bundle", "oci.container.after_monitor", "oci.container.after_monitor:2", "oci.container.after_start", "oci.container.after_start:2",
                                "oci.container.destroy.after_kill"};
  for (const std::string& driver : drivers) {
    for (const char* point : points) {
      INFO(point);
      Rig rig(driver);
      REQUIRE(rig.runtime->images().Remove("app:1"));
      rig.runtime->Stop();
      rig.runtime.reset();
      const pid_t victim = ::fork();
      REQUIRE(victim >= 0);
      if (victim == 0) {   // no thread of ours lives in it but those it starts
        ::setenv("SKERRY_FAULT_POINT", point, 1);
        auto runtime = rig.Make();
        if (!runtime || !(*runtime)->Start(Within(60))) ::_exit(3);
        rig.runtime = *std::move(runtime);
        ::_exit(WholeLife(rig) ? 0 : 4);
      }
      int status = 0;
      REQUIRE(::waitpid(victim, &status, 0) == victim);
      REQUIRE(WIFSIGNALED(status));
      REQUIRE(WTERMSIG(status) == SIGKILL);
      rig.Open();
      CHECK(WholeLife(rig));
      CHECK(rig.runtime->ListSandboxes()->empty());
      CHECK(rig.runtime->ListContainers({})->empty());
      const auto mounts = process::ReadMounts().value();
      for (const auto& m : mounts) CHECK_FALSE(m.target.starts_with(rig.dir.path));
      const auto cgroups = process::Cgroups::Detect().value();
      CHECK(cgroups.Children("/" + rig.group).value() == std::vector<std::string>{"monitors"});
      // Monitors are about to notice that their containers are gone.
      while (!cgroups.Processes("/" + rig.group)->empty()) process::Pause(Within(30), std::chrono::milliseconds(5));
      for (const char* sub : {"/data/containers", "/data/sandboxes", "/run/containers", "/run/sandboxes", "/run/exits", "/run/oci"}) {
        const auto left = process::Run(Within(10), {.argv = {"/bin/ls", rig.dir.path + sub}});
        CHECK(left->out == "");
      }
    }
  }
}
#endif

TEST_CASE("what a start costs", "[.bench]") {
  const auto drivers = Drivers({"oci", "runc", "docker"});
  for (const std::string& driver : drivers) {
    Rig rig(driver);
    std::map<std::string, std::vector<double>> times;
    const auto timed = [&](const char* what, const std::function<bool()>& work) {
      const auto begin = std::chrono::steady_clock::now();
      REQUIRE(work());
      times[what].push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
    };
    for (int i = 0; i < 15; ++i) {
      const std::string id = Cat("pod", i);
      auto spec = rig.Spec(Cat("c", i), {"/bin/sleep", "600"});
      spec.sandbox_id = id;
      timed("sandbox", [&] { return rig.runtime->EnsureSandbox(Within(60), {.id = id, .cgroup_parent = "/" + rig.group + "/" + id}).has_value(); });
      timed("create", [&] { return rig.runtime->CreateContainer(Within(60), spec).has_value(); });
      timed("start", [&] { return rig.runtime->StartContainer(Within(60), spec.id).has_value(); });
      timed("exec", [&] { return rig.runtime->ExecSync(Within(60), spec.id, {"/bin/true"}).has_value(); });
      timed("remove", [&] { return rig.runtime->RemoveSandbox(Within(60), id).has_value(); });
    }
    for (auto& [what, all] : times) {
      std::sort(all.begin(), all.end());
      std::printf("%-8s %-8s median %6.1f ms, least %6.1f ms\n", driver.c_str(), what.c_str(), all[all.size() / 2], all.front());
    }
  }
}

}  // namespace skerry::container
