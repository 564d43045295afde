#include "core/container/fake/fake.h"

#include <catch2/catch.hpp>

namespace skerry::container::fake {

TEST_CASE("a fake container runs until it is told to end, and every call is recorded") {
  FakeRuntime runtime;
  std::vector<std::string> events;
  runtime.OnEvent([&](const Event& e) { events.push_back(e.id); });
  const Ctx ctx{std::stop_token()};
  runtime.AddImage("app");
  REQUIRE(runtime.EnsureSandbox(ctx, {.id = "s"}));
  REQUIRE(runtime.CreateContainer(ctx, {.id = "c", .sandbox_id = "s", .image = "docker.io/library/app:latest"}));
  REQUIRE(runtime.StartContainer(ctx, "c"));
  REQUIRE(runtime.StartContainer(ctx, "c"));
  CHECK(runtime.InspectContainer("c")->state == State::kRunning);
  runtime.OnExec([](const std::string&, const ExecSpec& spec) { return ExecResult{3, spec.argv.at(0), "e"}; });
  const auto result = runtime.ExecSync(ctx, "c", {"probe"});
  REQUIRE(result);
  CHECK(result->exit_code == 3);
  CHECK(result->output == "probe");
  runtime.IgnoreSignal("c", 15);
  REQUIRE(runtime.Signal(ctx, "c", 15));
  CHECK(runtime.InspectContainer("c")->state == State::kRunning);
  REQUIRE(runtime.Signal(ctx, "c", 9));
  CHECK(runtime.InspectContainer("c")->exit_code == 137);
  CHECK(runtime.StartContainer(ctx, "c").error().code() == Code::kConflict);
  CHECK(events == std::vector<std::string>{"c", "c"});
  runtime.FailNext("RemoveSandbox", Error(Code::kUnavailable, "x"));
  CHECK_FALSE(runtime.RemoveSandbox(ctx, "s"));
  REQUIRE(runtime.RemoveSandbox(ctx, "s"));
  CHECK(runtime.ListContainers({})->empty());
  CHECK(runtime.calls().front() == "EnsureSandbox s");
}

}  // namespace skerry::container::fake
