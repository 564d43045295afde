#include "core/container/suite_rig.h"

namespace skerry::container {

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

}  // namespace skerry::container
