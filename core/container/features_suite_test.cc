#include "core/container/suite_rig.h"

namespace skerry::container {

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
    auto debug = rig.Spec("dbg", {"/bin/sh", "-c", "ps | grep -c '[s]leep 777'; cat /etc/hostname"});
    debug.target_container = "app";
    CHECK(rig.Output(debug) == "1\nhost-pod\n");

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
