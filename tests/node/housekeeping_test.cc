#include <catch2/catch.hpp>

#include <fstream>

#include "core/base/strings.h"
#include "embedded-kube-shim/node/housekeeping.h"
#include "tests/node/bench.h"

namespace skerry::kube::node::bench {
namespace {

using std::chrono::seconds;

}  // namespace

TEST_CASE("a log above its limit is rotated and the oldest files go", "[node]") {
  Bench b;
  const std::string uid = b.Run("p", R"({"containers":[{"name":"c","image":"busybox:1"}]})");
  REQUIRE(b.Until([&] { return b.State("p") == "running"; }));
  const std::filesystem::path directory = b.directory / "logs" / ("default_p_" + uid) / "c";
  const std::string path = (directory / "0.log").string();
  const auto files = [&] { return std::distance(std::filesystem::directory_iterator(directory), std::filesystem::directory_iterator()); };
  for (int round = 0; round < 7; ++round) {
    std::ofstream(path) << std::string(100, 'x') << round;
    CHECK(RotateLog(b.ctx, b.runtime, uid + ".c.0", path, 100).value());
  }
  CHECK(b.Calls("ReopenLog " + uid + ".c.0") == 7);
  CHECK(files() == 4);
  CHECK(std::filesystem::exists(path + ".00000007"));
  CHECK_FALSE(std::filesystem::exists(path + ".00000003"));
  std::ofstream(path) << "short";
  CHECK_FALSE(RotateLog(b.ctx, b.runtime, uid + ".c.0", path, 100).value());

  b.runtime.FailNext("ReopenLog", Error(Code::kUnavailable, "no"));
  std::ofstream(path) << std::string(200, 'y');
  CHECK_FALSE(RotateLog(b.ctx, b.runtime, uid + ".c.0", path, 100));
  CHECK(std::filesystem::file_size(path) == 200);     // still where the container writes
}

TEST_CASE("a pod that uses more disk than it said is evicted", "[node]") {
  Bench b;
  const std::string uid = b.Run("p", R"({"containers":[{"name":"c","image":"busybox:1","resources":{"limits":{"ephemeral-storage":"1Mi"}}}]})");
  REQUIRE(b.Until([&] { return b.State("p") == "running"; }));
  container::Stats stats;
  stats.writable_layer_bytes = 1 << 20;
  b.runtime.SetStats(uid + ".c.0", stats);
  b.Advance(seconds(30));
  CHECK(b.State("p") == "running");                   // at the limit, not above
  stats.log_bytes = 1;
  b.runtime.SetStats(uid + ".c.0", stats);
  b.Advance(seconds(30));
  b.Advance(seconds(2));
  REQUIRE(b.Until([&] { return b.Status("p")["phase"].Str() == "Failed"; }));
  CHECK(b.Status("p")["reason"].Str() == "Evicted");
  CHECK(b.Status("p")["message"].Str() == "Container c exceeded its local ephemeral storage limit \"1Mi\". ");
  REQUIRE(FindCondition(b.Status("p"), "DisruptionTarget"));
  CHECK((*FindCondition(b.Status("p"), "DisruptionTarget"))["reason"].Str() == "TerminationByKubelet");
}

TEST_CASE("a full disk costs unused images first and then the pod that matters least", "[node]") {
  Bench b;
  b.Create("scheduling.k8s.io/v1/priorityclasses", R"({"metadata":{"name":"high"},"value":1000})");
  b.Run("high", R"({"priorityClassName":"high","containers":[{"name":"c","image":"busybox:1"}]})");
  b.Run("low", R"({"containers":[{"name":"c","image":"busybox:1"}]})");
  REQUIRE(b.Until([&] { return b.State("high") == "running" && b.State("low") == "running"; }));
  b.disk = {100 << 20, 12 << 20};
  b.Advance(seconds(30));
  CHECK(b.Calls("RemoveImage") >= 1);
  CHECK(b.State("low") == "running");
  b.disk = {100 << 20, 4 << 20};
  b.Advance(seconds(30));
  b.Advance(seconds(2));
  REQUIRE(b.Until([&] { return b.Status("low")["reason"].Str() == "Evicted"; }));
  CHECK(b.State("high") == "running");
}

TEST_CASE("an image volume is pulled, mounted and given back", "[node]") {
  Bench b;
  b.runtime.AddImage("data:1");
  const std::string uid = b.Run("p", R"({"containers":[{"name":"c","image":"busybox:1","volumeMounts":[{"name":"v","mountPath":"/v"}]}],"volumes":[{"name":"v","image":{"reference":"data:1"}}]})");
  REQUIRE(b.Until([&] { return b.State("p") == "running"; }));
  CHECK(b.Calls(Cat("MountImage data:1 ", uid, ".v")) >= 1);
  b.Delete("p");
  REQUIRE(b.Until([&] { return !b.Pod("p"); }));
  CHECK(b.Calls(Cat("UnmountImage ", uid, ".v")) == 1);
}

}  // namespace skerry::kube::node::bench
