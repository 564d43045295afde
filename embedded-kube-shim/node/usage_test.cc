#include "embedded-kube-shim/node/usage.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "core/container/fake/fake.h"
#include "tests/support/netns.h"

using namespace std::chrono_literals;

namespace skerry::kube::node {
namespace {

struct Rig {
  FakeClock clock;
  container::fake::FakeRuntime runtime{clock};
  test::TempDirectory directory;
  std::vector<std::pair<Key, PodView>> pods;
  int pauses = 0;
  std::function<void()> meanwhile = [] {};
  UsageMeter meter{runtime, clock, {"n1", directory.path(), [this] { return pods; }, [this](std::chrono::milliseconds d) {
                                      ++pauses;
                                      clock.Advance(d);
                                      meanwhile();
                                    }, directory.path()}};

  void Run(const std::string& pod, const std::string& container) {
    const Ctx ctx{std::stop_token()};
    runtime.AddImage("image");
    container::SandboxSpec sandbox;
    sandbox.id = pod;
    REQUIRE(runtime.EnsureSandbox(ctx, sandbox));
    container::ContainerSpec spec;
    spec.id = pod + "-" + container;
    spec.sandbox_id = pod;
    spec.image = "image";
    REQUIRE(runtime.CreateContainer(ctx, spec));
    REQUIRE(runtime.StartContainer(ctx, spec.id));
    if (pods.empty() || pods.back().first.name != pod) pods.push_back({{"default", pod}, {}});
    pods.back().second.containers[container] = spec.id;
  }
  void Used(const std::string& id, std::chrono::nanoseconds cpu, std::uint64_t working_set) {
    container::Stats stats;
    stats.time = clock.Now();
    stats.cpu_usage_ns = static_cast<std::uint64_t>(cpu.count());
    stats.memory_working_set_bytes = working_set;
    runtime.SetStats(id, stats);
  }
  void Write(const char* name, const std::string& text) { std::ofstream(directory.path() + "/" + name) << text; }
};

TEST_CASE("what a container uses is measured between two questions, or twice for the first one") {
  Rig rig;
  rig.Run("web", "main");
  rig.Used("web-main", 40s, 1000);
  rig.clock.Advance(10min);
  rig.meanwhile = [&] { rig.Used("web-main", 40s + 125ms, 3000); };
  auto pods = rig.meter.Pods("default");
  REQUIRE(pods.size() == 1);
  CHECK(rig.pauses == 1);
  CHECK(pods[0].window == 500ms);
  REQUIRE(pods[0].containers.size() == 1);
  CHECK(pods[0].containers[0].name == "main");
  CHECK(pods[0].containers[0].cpu_nanos == 250'000'000);
  CHECK(pods[0].containers[0].memory_bytes == 3000);

  rig.clock.Advance(15s);
  rig.Used("web-main", 40s + 125ms + 15s, 3000);
  pods = rig.meter.Pods({});
  REQUIRE(pods.size() == 1);
  CHECK(rig.pauses == 1);
  CHECK(pods[0].window >= 15s);
  CHECK(pods[0].containers[0].cpu_nanos == Approx(975'800'000).epsilon(0.01));
}

TEST_CASE("a container that has just been started is measured from its start, one that has ended not at all") {
  Rig rig;
  rig.Run("job", "main");
  rig.Run("job", "side");
  rig.clock.Advance(20s);
  rig.Used("job-main", 10s, 500);
  rig.runtime.Exit("job-side", 0);
  const auto pods = rig.meter.Pods("default");
  REQUIRE(pods.size() == 1);
  CHECK(rig.pauses == 0);
  REQUIRE(pods[0].containers.size() == 1);
  CHECK(pods[0].containers[0].cpu_nanos == 500'000'000);
  CHECK(pods[0].window == 20s);
  CHECK(rig.meter.Pods("elsewhere").empty());
  rig.runtime.Exit("job-main", 0);
  CHECK(rig.meter.Pods("default").empty());
}

TEST_CASE("the machine's figures leave out idle time and the file pages nobody needs") {
  Rig rig;
  rig.Write("stat", "cpu  100 0 100 9000 500 0 0 0 77 0\ncpu0 1 1 1 1\nbtime 1700000000\n");
  rig.Write("meminfo", "MemTotal:       1000 kB\nMemFree:         300 kB\nMemAvailable:    600 kB\nInactive:        250 kB\nInactive(file):  200 kB\nAnonPages:  100 kB\n");
  REQUIRE(std::filesystem::create_directory(rig.directory.path() + "/net"));
  rig.Write("net/dev", "Inter-|   Receive                                                |  Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed\n"
                       "    lo:  999  9 0 0 0 0 0 0  999 9 0 0 0 0 0 0\n docker0: 5 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0\n  eth0: 1000 10 3 0 0 0 0 0 2000 20 4 0 0 0 0 0\n");
  rig.Write("net/route", "Iface\tDestination\tGateway\ndocker0\t0011AC00\t00000000\neth0\t00000000\t010011AC\n");
  rig.meanwhile = [&] { rig.Write("stat", "cpu  150 0 100 9100 500 0 0 0 77 0\nbtime 1700000000\n"); };
  const auto nodes = rig.meter.Nodes();
  REQUIRE(nodes.size() == 1);
  CHECK(nodes[0].node == "n1");
  CHECK(nodes[0].cpu_nanos == 1'000'000'000);   // half a second of ticks in half a second
  CHECK(nodes[0].memory_bytes == 500 * 1024);
  CHECK(nodes[0].memory_available_bytes == 600 * 1024);
  CHECK(nodes[0].counters.since == Clock::Wall(1'700'000'000s));
  REQUIRE(nodes[0].interfaces.size() == 2);
  CHECK(nodes[0].interfaces[0].name == "eth0");        // that of the default route
  CHECK(nodes[0].interfaces[0].rx_bytes == 1000);
  CHECK(nodes[0].interfaces[0].rx_errors == 3);
  CHECK(nodes[0].interfaces[0].tx_bytes == 2000);
  CHECK(nodes[0].interfaces[0].tx_errors == 4);
  CHECK(nodes[0].interfaces[1].name == "docker0");
  REQUIRE(nodes[0].disk);
  CHECK(nodes[0].disk->capacity_bytes >= nodes[0].disk->used_bytes + nodes[0].disk->available_bytes);
  CHECK(nodes[0].disk->used_bytes > 0);
}

}  // namespace
}  // namespace skerry::kube::node
