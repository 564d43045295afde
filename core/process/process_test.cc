#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "core/base/files.h"
#include "core/base/random.h"
#include "core/base/strings.h"
#include "core/process/cgroup.h"
#include "core/process/child.h"
#include "core/process/mounts.h"
#include "core/process/namespaces.h"
#include "core/process/wait.h"

namespace skerry::process {
namespace {

Ctx Within(int seconds) { return Ctx{std::stop_token(), std::chrono::steady_clock::now() + std::chrono::seconds(seconds)}; }

struct ScratchDir {
  ScratchDir() { path = ::mkdtemp(buffer) != nullptr ? buffer : ""; }
  ~ScratchDir() { CHECK(RemoveTree(path)); }
  char buffer[32] = "/tmp/skerry-proc-XXXXXX";
  std::string path;
};

// A v2 tree at `root`, whatever else this machine has.
Result<Cgroups> UnifiedAt(const ScratchDir& dir, const std::string& root) {
  std::ofstream(dir.path + "/mountinfo") << "1 2 0:1 / " << root << " rw - cgroup2 cgroup2 rw\n";
  return Cgroups::Detect(dir.path + "/mountinfo");
}

// The machine's one v2 tree, whichever mode it booted in.
struct UnifiedMount {
  explicit UnifiedMount(std::string at) : path(std::move(at)) {
    REQUIRE(MakeDirectories(path, 0755));
    REQUIRE(::mount("none", path.c_str(), "cgroup2", 0, nullptr) == 0);
  }
  ~UnifiedMount() { ::umount2(path.c_str(), MNT_DETACH); }
  const std::string path;
};

std::string Content(const std::string& path) { return std::string(Trim(ReadFile(path, 4096).value_or("absent"))); }

}  // namespace

TEST_CASE("a program gets exactly its arguments, environment and descriptors") {
  const int leak = ::open("/dev/null", O_RDONLY);   // not close-on-exec: must not arrive all the same
  const auto listed = Run(Within(60), {.argv = {"/bin/ls", "/proc/self/fd"}});
  ::close(leak);
  REQUIRE(listed);
  CHECK(listed->out == "0\n1\n2\n3\n");   // 3 is ls' own directory
  const auto env = Run(Within(60), {.argv = {"/usr/bin/env"}, .env = {"A=1"}});
  REQUIRE(env);
  CHECK(env->out == "A=1\n");
  const auto echoed = Run(Within(60), {.argv = {"/bin/cat"}}, std::string(300'000, 'x'), 1000);
  REQUIRE(echoed);
  CHECK(echoed->out == std::string(1000, 'x'));
}

TEST_CASE("exit codes, signals, missing programs and deadlines are told apart") {
  CHECK(Run(Within(60), {.argv = {"/bin/false"}})->exit_code == 1);
  CHECK(Run(Within(60), {.argv = {"/no/such"}}).error().code() == Code::kNotFound);
  auto sleeper = Child::Spawn({.argv = {"/bin/sleep", "600"}}).value();
  CHECK(sleeper->Wait(Ctx{std::stop_token(), std::chrono::steady_clock::now()}).error().code() == Code::kTimeout);
  sleeper->Kill(15);
  CHECK(sleeper->Wait(Within(60)).value() == 143);
  CHECK(sleeper->Wait(Within(60)).value() == 143);
  std::stop_source stop;
  stop.request_stop();
  CHECK(Run(Ctx{stop.get_token()}, {.argv = {"/bin/sleep", "600"}}).error().code() == Code::kCancelled);
}

TEST_CASE("descriptors are passed under the numbers that were asked for") {
  auto pipe = MakePipe().value();
  Command command{.argv = {"/bin/dd", "of=/dev/fd/7", "status=none"}, .pass = {{pipe.write.get(), 7}}};
  REQUIRE(Run(Within(60), command, "hello")->exit_code == 0);
  pipe.write.Reset();
  char buffer[16];
  CHECK(::read(pipe.read.get(), buffer, sizeof buffer) == 5);
}

TEST_CASE("cgroup trees are recognized from mountinfo") {
  const ScratchDir dir;
  const auto detect = [&](const char* text) {
    std::ofstream(dir.path + "/m") << text;
    return Cgroups::Detect(dir.path + "/m");
  };
  CHECK(detect("1 2 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")->mode() == CgroupMode::kV2);
  CHECK(detect("1 2 0:1 / /c/memory rw - cgroup cgroup rw,memory\n")->mode() == CgroupMode::kV1);
  CHECK(detect("1 2 0:1 / /c/memory rw - cgroup cgroup rw,memory\n1 2 0:1 / /c/unified rw - cgroup2 c rw\n")->mode() == CgroupMode::kHybrid);
  CHECK(detect("1 2 0:1 / / rw - ext4 /dev/vda rw\n").error().code() == Code::kUnsupported);
}

TEST_CASE("a cgroup limits, measures and is removed with its processes", "[root]") {
  if (::geteuid() != 0) return;
  const auto cgroups = Cgroups::Detect().value();
  const std::string top = "/skerry-test-" + HexToken(4), path = top + "/a/b";
  for (int i = 0; i < 2; ++i) {
    const auto created = cgroups.Create(path);
    INFO((created ? "" : created.error().message()));
    REQUIRE(created);
  }
  REQUIRE(cgroups.Apply(path, {.cpu_shares = 512, .cpu_quota_us = 50'000, .memory_bytes = 64 << 20, .pids = 10}));
  auto child = Child::Spawn({.argv = {"/bin/sleep", "600"}, .cgroup_procs = cgroups.ProcsFiles(path)}).value();
  CHECK(cgroups.Processes(top).value() == std::vector<int>{child->pid()});
  const auto usage = cgroups.Read(path).value();
  CHECK(usage.memory_limit_bytes == 64 << 20);
  CHECK(usage.memory_bytes > 0);
  CHECK(usage.pids == 1);
  CHECK(cgroups.Children(top).value() == std::vector<std::string>{"a"});
  REQUIRE(cgroups.Remove(Within(30), top));
  CHECK(child->Wait(Within(60)).value() == 137);
  CHECK(cgroups.Read(path).error().code() == Code::kNotFound);
  REQUIRE(cgroups.Remove(Within(30), top));
}

TEST_CASE("limits and figures of a v2 tree are those of its own files") {
  const ScratchDir dir;
  const std::string group = dir.path + "/p";
  const auto fresh = [&] {
    REQUIRE(MakeDirectories(group, 0755));
    for (const char* file : {"cpu.weight", "cpu.max", "memory.max", "memory.low", "pids.max", "cpuset.cpus", "cpuset.mems"}) std::ofstream(group + "/" + file).flush();
  };
  const Cgroups cgroups = UnifiedAt(dir, dir.path).value();
  fresh();
  REQUIRE(cgroups.Apply("/p", {.cpu_shares = 512, .cpu_quota_us = 50'000, .memory_bytes = 64 << 20, .memory_low_bytes = 4096, .pids = 10, .cpuset_cpus = "0-1", .cpuset_mems = "0"}));
  CHECK(Content(group + "/cpu.weight") == "20");
  CHECK(Content(group + "/cpu.max") == "50000 100000");
  CHECK(Content(group + "/memory.max") == "67108864");
  CHECK(Content(group + "/memory.low") == "4096");
  CHECK(Content(group + "/pids.max") == "10");
  CHECK(Content(group + "/cpuset.cpus") == "0-1");
  CHECK(Content(group + "/cpuset.mems") == "0");
  fresh();
  REQUIRE(cgroups.Apply("/p", {.cpu_shares = 1, .cpu_quota_us = -1, .memory_bytes = -1, .pids = -1}));
  CHECK(Content(group + "/cpu.weight") == "1");
  CHECK(Content(group + "/cpu.max") == "max 100000");
  CHECK(Content(group + "/memory.max") == "max");
  CHECK(Content(group + "/pids.max") == "max");
  CHECK(Content(group + "/memory.low").empty());   // left alone

  std::ofstream(group + "/cgroup.procs").flush();
  std::ofstream(group + "/cpu.stat") << "usage_usec 7000\nuser_usec 5000\nthrottled_usec 30\n";
  std::ofstream(group + "/memory.stat") << "anon 4096\nfile 8192\ninactive_file 6000\npgfault 9\npgmajfault 2\n";
  std::ofstream(group + "/memory.current") << "20000\n";
  std::ofstream(group + "/memory.events") << "low 0\noom 4\noom_kill 3\n";
  std::ofstream(group + "/pids.current") << "5\n";
  const auto usage = cgroups.Read("/p").value();
  CHECK(usage.cpu_ns == 7'000'000);
  CHECK(usage.throttled_ns == 30'000);
  CHECK(usage.memory_bytes == 20'000);
  CHECK(usage.memory_working_set_bytes == 14'000);
  CHECK(usage.memory_rss_bytes == 4096);
  CHECK(usage.memory_limit_bytes == 0);
  CHECK(usage.page_faults == 9);
  CHECK(usage.major_page_faults == 2);
  CHECK(usage.oom_kills == 3);
  CHECK(usage.pids == 5);
}

TEST_CASE("in the kernel's v2 tree groups are made below a root that held processes, measured, and removed with what runs in them", "[root]") {
  if (::geteuid() != 0) return;
  const ScratchDir dir;
  const UnifiedMount tree(dir.path + "/tree");
  const std::string root = tree.path + "/skerry-test-" + HexToken(4);
  REQUIRE(MakeDirectories(root, 0755));
  const Cgroups cgroups = UnifiedAt(dir, root).value();
  REQUIRE(cgroups.mode() == CgroupMode::kV2);

  auto before = Child::Spawn({.argv = {"/bin/sleep", "600"}, .cgroup_procs = {root + "/cgroup.procs"}}).value();
  REQUIRE(cgroups.PrepareRoot());
  CHECK(cgroups.Processes("/init").value() == std::vector<int>{before->pid()});
  for (int i = 0; i < 2; ++i) REQUIRE(cgroups.Create("/a/b"));
  REQUIRE(cgroups.Apply("/a/b", {.cpu_shares = 512, .cpu_quota_us = 50'000, .memory_bytes = 64 << 20, .pids = 10}));
  // What the kernel gives this tree reaches the group: all of it on a v2 machine, perhaps none where v1 has the controllers.
  const std::string given = Content(root + "/cgroup.controllers"), reached = Content(root + "/a/b/cgroup.controllers");
  for (const std::string_view controller : Split(std::string_view(given), ' ')) {
    if (controller == "cpu" || controller == "memory" || controller == "pids") CHECK(reached.find(controller) != reached.npos);
  }
  if (reached.find("pids") != reached.npos) CHECK(Content(root + "/a/b/pids.max") == "10");
  if (reached.find("memory") != reached.npos) CHECK(Content(root + "/a/b/memory.max") == "67108864");
  if (reached.find("cpu ") != reached.npos) CHECK(Content(root + "/a/b/cpu.max") == "50000 100000");

  auto busy = Child::Spawn({.argv = {"/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=1M", "count=300", "status=none"}, .cgroup_procs = cgroups.ProcsFiles("/a/b")}).value();
  CHECK(busy->Wait(Within(60)).value() == 0);
  CHECK(cgroups.Read("/a/b").value().cpu_ns > 0);
  auto child = Child::Spawn({.argv = {"/bin/sleep", "600"}, .cgroup_procs = cgroups.ProcsFiles("/a/b")}).value();
  CHECK(cgroups.Processes("/a").value() == std::vector<int>{child->pid()});
  CHECK(cgroups.Children("/").value() == std::vector<std::string>{"a", "init"});
  cgroups.RemoveEmpty("/a");
  CHECK(cgroups.Processes("/a").value() == std::vector<int>{child->pid()});   // it is not empty
  for (const char* path : {"/a", "/init"}) REQUIRE(cgroups.Remove(Within(30), path));
  CHECK(child->Wait(Within(60)).value() == 137);
  CHECK(before->Wait(Within(60)).value() == 137);
  CHECK(cgroups.Read("/a/b").error().code() == Code::kNotFound);
  CHECK(::rmdir(root.c_str()) == 0);
}

TEST_CASE("namespaces stay pinned without a process and give their sysctls and names to who joins", "[root]") {
  if (::geteuid() != 0) return;
  const ScratchDir dir;
  const PinnedNamespaces spec{.net = dir.path + "/net", .ipc = dir.path + "/ipc", .uts = dir.path + "/uts", .hostname = "pod-1", .sysctls = {{"net.ipv4.ip_forward", "1"}, {"kernel.shm_rmid_forced", "1"}}};
  REQUIRE(PinNamespaces(spec));
  struct stat before{}, after{};
  REQUIRE(::stat(spec.net.c_str(), &before) == 0);
  REQUIRE(PinNamespaces(spec));
  REQUIRE(::stat(spec.net.c_str(), &after) == 0);
  CHECK(before.st_ino == after.st_ino);
  const auto seen = Run(Within(60), {.argv = {"/usr/bin/nsenter", "--net=" + spec.net, "--uts=" + spec.uts, "/bin/sh", "-c", "hostname; cat /proc/sys/net/ipv4/ip_forward; ls /sys/class/net"}, .env = {"PATH=/bin:/usr/bin"}});
  REQUIRE(seen);
  CHECK(seen->out.starts_with("pod-1\n1\n"));
  CHECK(DialLocal(Within(5), spec.net, 9).error().code() == Code::kUnavailable);
  PinnedNamespaces bad = spec;
  bad.net += "2";
  bad.ipc = bad.uts = "";
  bad.sysctls = {{"net.no.such", "1"}};
  CHECK_FALSE(PinNamespaces(bad));
  CHECK_FALSE(IsNamespacePinned(bad.net));
  for (const std::string& path : {spec.net, spec.ipc, spec.uts}) {
    CHECK(IsNamespacePinned(path));
    REQUIRE(UnpinNamespace(path));
    REQUIRE(UnpinNamespace(path));
    CHECK_FALSE(IsNamespacePinned(path));
  }
  CHECK(SysctlPath("net.ipv4.conf.eth0/1.x").value() == "/proc/sys/net.ipv4.conf.eth0/1.x");
  CHECK_FALSE(SysctlPath("../etc/passwd"));
}

TEST_CASE("an overlay shows its layers and a tree is removed with the mounts inside it, not with what they show", "[root]") {
  if (::geteuid() != 0) return;
  const ScratchDir dir;
  for (const char* name : {"/l/a", "/l/b", "/up", "/work", "/target", "/outside"}) REQUIRE(MakeDirectories(dir.path + name));
  std::ofstream(dir.path + "/l/a/x") << "upper layer";
  std::ofstream(dir.path + "/l/b/x") << "lower layer";
  std::ofstream(dir.path + "/outside/keep") << "1";
  REQUIRE(MountOverlay(dir.path + "/l", {"a", "b"}, dir.path + "/up", dir.path + "/work", dir.path + "/target"));
  CHECK(ReadFile(dir.path + "/target/x").value() == "upper layer");
  CHECK(IsMountPoint(dir.path + "/target").value());
  REQUIRE(MakeDirectories(dir.path + "/target/deep/inside"));
  REQUIRE(BindMount(dir.path + "/outside", dir.path + "/target/deep/inside", Access::kReadOnly));
  CHECK_FALSE(WriteFileDurably(dir.path + "/target/deep/inside/new", "x"));
  REQUIRE(RemoveTree(dir.path + "/target"));
  CHECK(ReadFile(dir.path + "/outside/keep").value() == "1");
  CHECK(ReadFile(dir.path + "/l/a/x").value() == "upper layer");
  REQUIRE(RemoveTree(dir.path + "/target"));
}

TEST_CASE("a terminal connects a program and carries its size") {
  auto pty = OpenPty(100, 40).value();
  Command command{.argv = {"/bin/stty", "size"}, .in = {Stdio::kDescriptor, pty.slave.get()}, .out = {Stdio::kDescriptor, pty.slave.get()}, .err = {Stdio::kDescriptor, pty.slave.get()}, .new_session = true, .controlling_terminal = true};
  auto child = Child::Spawn(command).value();
  pty.slave.Reset();
  char buffer[64];
  const ssize_t n = ::read(pty.master.get(), buffer, sizeof buffer);
  REQUIRE(n > 0);
  CHECK(std::string(buffer, static_cast<std::size_t>(n)).starts_with("40 100"));
  CHECK(child->Wait(Within(60)).value() == 0);
}

}  // namespace skerry::process
