#include <catch2/catch.hpp>

#include <fcntl.h>
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

}  // namespace

TEST_CASE("a program gets exactly its arguments, environment and descriptors") {
  const int leak = ::open("/dev/null", O_RDONLY);   // not close-on-exec: must not arrive all the same
  const auto listed = Run(Within(20), {.argv = {"/bin/ls", "/proc/self/fd"}});
  ::close(leak);
  REQUIRE(listed);
  CHECK(listed->out == "0\n1\n2\n3\n");   // 3 is ls' own directory
  const auto env = Run(Within(20), {.argv = {"/usr/bin/env"}, .env = {"A=1"}});
  REQUIRE(env);
  CHECK(env->out == "A=1\n");
  const auto echoed = Run(Within(20), {.argv = {"/bin/cat"}}, std::string(300'000, 'x'), 1000);
  REQUIRE(echoed);
  CHECK(echoed->out == std::string(1000, 'x'));
}

TEST_CASE("exit codes, signals, missing programs and deadlines are told apart") {
  CHECK(Run(Within(20), {.argv = {"/bin/false"}})->exit_code == 1);
  CHECK(Run(Within(20), {.argv = {"/no/such"}}).error().code() == Code::kNotFound);
  auto sleeper = Child::Spawn({.argv = {"/bin/sleep", "600"}}).value();
  CHECK(sleeper->Wait(Ctx{std::stop_token(), std::chrono::steady_clock::now()}).error().code() == Code::kTimeout);
  sleeper->Kill(15);
  CHECK(sleeper->Wait(Within(20)).value() == 143);
  CHECK(sleeper->Wait(Within(20)).value() == 143);
  std::stop_source stop;
  stop.request_stop();
  CHECK(Run(Ctx{stop.get_token()}, {.argv = {"/bin/sleep", "600"}}).error().code() == Code::kCancelled);
}

TEST_CASE("descriptors are passed under the numbers that were asked for") {
  auto pipe = MakePipe().value();
  Command command{.argv = {"/bin/dd", "of=/dev/fd/7", "status=none"}, .pass = {{pipe.write.get(), 7}}};
  REQUIRE(Run(Within(20), command, "hello")->exit_code == 0);
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
  CHECK(child->Wait(Within(20)).value() == 137);
  CHECK(cgroups.Read(path).error().code() == Code::kNotFound);
  REQUIRE(cgroups.Remove(Within(30), top));
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
  const auto seen = Run(Within(20), {.argv = {"/usr/bin/nsenter", "--net=" + spec.net, "--uts=" + spec.uts, "/bin/sh", "-c", "hostname; cat /proc/sys/net/ipv4/ip_forward; ls /sys/class/net"}, .env = {"PATH=/bin:/usr/bin"}});
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
  CHECK(child->Wait(Within(20)).value() == 0);
}

}  // namespace skerry::process
