#include <catch2/catch.hpp>

#include "core/container/docker/convert.h"

namespace skerry::container::docker {

TEST_CASE("an engine's container states become ours") {
  const auto status = [](const char* state) {
    json::Value inspect = json::Value::Object(), parsed;
    std::string error;
    REQUIRE(json::Value::Parse(state, &parsed, &error));
    inspect.Set("State") = std::move(parsed);
    inspect.Set("Created") = "2026-11-21T01:00:00Z";
    return DecodeStatus(inspect);
  };
  CHECK(status(R"({"Status":"created"})").state == State::kCreated);
  CHECK(status(R"({"Status":"running","Pid":7,"StartedAt":"2026-11-21T01:00:00Z"})").pid == 7);
  const auto failed = status(R"({"Status":"created","Error":"executable file not found","ExitCode":127,"StartedAt":"0001-01-01T00:00:00Z"})");
  CHECK(failed.state == State::kExited);
  CHECK(failed.reason == "StartError");
  CHECK(failed.exit_code == 127);
  CHECK(failed.started == Clock::Wall());
  const auto killed = status(R"({"Status":"exited","ExitCode":137,"OOMKilled":true,"StartedAt":"2026-11-21T01:00:00Z","FinishedAt":"2026-11-21T01:00:01Z"})");
  CHECK(killed.reason == "OOMKilled");
  CHECK(killed.finished - killed.started == std::chrono::seconds(1));
  CHECK(status(R"({"Status":"exited","ExitCode":0,"StartedAt":"2026-11-21T01:00:00Z"})").reason == "Completed");
}

TEST_CASE("cgroup paths become slices where systemd manages them") {
  CHECK(CgroupParent("/kubepods/burstable/poda-b", false) == "/kubepods/burstable/poda-b");
  CHECK(CgroupParent("/kubepods/burstable/poda-b", true) == "kubepods-burstable-poda_b.slice");
  CHECK(CgroupParent("", true).empty());
}

TEST_CASE("a container body names exactly what was asked for") {
  Host host;
  host.capabilities = {"CAP_CHOWN", "CAP_KILL", "CAP_NET_ADMIN", "CAP_BPF"};
  ContainerSpec spec{.id = "c", .sandbox_id = "s", .command = {"/bin/x"}, .env = {"A=1"}, .user = {.gid = 5, .supplementary_groups = {7}}};
  spec.mounts = {{.host_path = "/h", .container_path = "/c", .read_only = true, .propagation = Propagation::kHostToContainer}};
  spec.security = {.no_new_privileges = true, .add_capabilities = {"NET_ADMIN", "BPF", "SYS_RESOURCE"}, .drop_capabilities = {"KILL"}};
  spec.resources = {.memory_bytes = 1 << 20, .oom_score_adj = -500};
  const auto body = ContainerBody(spec, {.id = "s", .hostname = "h", .pid = PidMode::kSandbox}, "i", "PAUSE", "", "sha256:x", "app:app", host);
  REQUIRE(body);
  const json::Value& h = (*body)["HostConfig"];
  CHECK(h["CapAdd"].Dump() == R"(["CAP_CHOWN","CAP_NET_ADMIN"])");
  CHECK((*body)["User"].Str() == "app:5");
  CHECK((*body)["Env"].Dump() == R"(["HOSTNAME=h","A=1"])");
  CHECK(h["NetworkMode"].Str() == "container:PAUSE");
  CHECK(h["PidMode"].Str() == "container:PAUSE");
  CHECK(h["Mounts"].Items()[0].At({"BindOptions", "Propagation"}).Str() == "rslave");
  CHECK(h["OomScoreAdj"].Int() == 0);
  CHECK(h["SecurityOpt"].Dump() == R"(["no-new-privileges"])");
  spec.security.seccomp = Seccomp::kFile;
  spec.security.seccomp_file = "/no/such/profile";
  CHECK(ContainerBody(spec, {}, "i", "P", "", "x", "", host).error().code() == Code::kInvalid);
}

}  // namespace skerry::container::docker
