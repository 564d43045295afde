#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>

#include <thread>

#include "core/base/strings.h"
#include "embedded-kube-shim/node/hooks.h"
#include "tests/node/bench.h"
#include "tests/support/http_backend.h"

namespace skerry::kube::node::bench {
namespace {

using std::chrono::seconds;

std::string ReadyOf(Bench& b) {
  const json::Value status = b.Status("p");
  const json::Value* c = FindCondition(status, "Ready");
  return c ? std::string((*c)["status"].Str()) : "";
}

// Accepts one connection and answers what `answer` says to the first bytes that arrive.
class OneShot {
 public:
  explicit OneShot(std::string answer) : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) == 0);
    REQUIRE(::listen(listener_.get(), 1) == 0);
    socklen_t size = sizeof a;
    REQUIRE(::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&a), &size) == 0);
    port = ntohs(a.sin_port);
    thread_ = std::jthread([this, answer = std::move(answer)] {
      const UniqueFd c(::accept(listener_.get(), nullptr, nullptr));
      char buffer[4096];
      const ssize_t n = ::recv(c.get(), buffer, sizeof buffer, 0);
      if (n > 0) request.assign(buffer, static_cast<std::size_t>(n));
      static_cast<void>(::send(c.get(), answer.data(), answer.size(), MSG_NOSIGNAL));
      ::shutdown(c.get(), SHUT_WR);
      while (::recv(c.get(), buffer, sizeof buffer, 0) > 0) {}
    });
  }
  void Join() { thread_.join(); }
  int port = 0;
  std::string request;

 private:
  UniqueFd listener_;
  std::jthread thread_;
};

Ctx Soon() { return Ctx(std::stop_token(), std::chrono::steady_clock::now() + seconds(10)); }

}  // namespace

TEST_CASE("readiness waits for its delay, fails and recovers by its thresholds and never restarts", "[node]") {
  Bench b;
  b.Run("p", R"({"containers":[{"name":"c","image":"busybox:1","readinessProbe":{"exec":{"command":["x"]},"initialDelaySeconds":15,"periodSeconds":5,"failureThreshold":2,"successThreshold":1}}]})");
  REQUIRE(b.Until([&] { return b.State("p") == "running"; }));
  b.Advance(seconds(14));
  CHECK(b.probe_runs["c"] == 0);
  CHECK(ReadyOf(b) == "False");
  b.Advance(seconds(1));
  REQUIRE(b.Until([&] { return ReadyOf(b) == "True"; }));
  b.probes["c"] = {false, "down"};
  b.Advance(seconds(5));
  CHECK(ReadyOf(b) == "True");
  b.Advance(seconds(5));
  REQUIRE(b.Until([&] { return ReadyOf(b) == "False"; }));
  CHECK(b.events.Count("Unhealthy: Readiness probe failed: down") == 2);
  b.probes["c"] = {true, ""};
  b.Advance(seconds(5));
  CHECK(b.Until([&] { return ReadyOf(b) == "True"; }));
  CHECK(b.Calls("StartContainer") == 1);
}

TEST_CASE("a port that does not answer yet is asked again soon, and only its good answers count before the period is over", "[node]") {
  Bench b;
  b.probes["c"] = {false, "refused"};
  b.Run("p", R"({"containers":[{"name":"c","image":"busybox:1","readinessProbe":{"tcpSocket":{"port":80},"periodSeconds":10,"failureThreshold":1},
    "livenessProbe":{"tcpSocket":{"port":80},"periodSeconds":1000,"failureThreshold":3}}]})");
  REQUIRE(b.Until([&] { return b.State("p") == "running" && b.probe_runs["c"] == 2; }));
  b.Advance(std::chrono::milliseconds(200));
  REQUIRE(b.Until([&] { return b.probe_runs["c"] > 2; }));
  CHECK(ReadyOf(b) == "False");
  CHECK(b.events.Count("Unhealthy: Readiness probe failed: refused") == 1);
  b.probes["c"] = {true, ""};
  b.Advance(seconds(1));
  REQUIRE(b.Until([&] { return ReadyOf(b) == "True"; }));
  const int runs = b.probe_runs["c"];
  b.Advance(seconds(5));
  b.Settle();
  CHECK(b.probe_runs["c"] == runs);
}

TEST_CASE("a failed liveness probe replaces the container, a startup probe holds the others back", "[node]") {
  Bench b;
  b.probes["c"] = {false, "starting"};
  const std::string uid = b.Run("p", R"({"terminationGracePeriodSeconds":1,"containers":[{"name":"c","image":"busybox:1","startupProbe":{"exec":{"command":["x"]},"periodSeconds":1,"failureThreshold":5},
    "livenessProbe":{"exec":{"command":["x"]},"periodSeconds":10,"failureThreshold":1}}]})");
  REQUIRE(b.Until([&] { return b.State("p") == "running" && b.probe_runs["c"] == 1; }));
  b.Advance(seconds(1));
  CHECK(b.probe_runs["c"] == 2);                      // the startup probe alone
  CHECK_FALSE(b.Status("p")["containerStatuses"].Items()[0]["started"].Bool());
  b.probes["c"] = {true, ""};
  b.Advance(seconds(1));
  REQUIRE(b.Until([&] { return b.Status("p")["containerStatuses"].Items()[0]["started"].Bool(); }));
  b.probes["c"] = {false, "dead"};
  b.Advance(seconds(10));
  REQUIRE(b.Until([&] { return b.Calls("StartContainer " + uid + ".c.1") == 1; }));
  CHECK(b.events.Count("Killing: Container c failed liveness probe, will be restarted") == 1);
}

TEST_CASE("the probe that failed says how long its container has to end", "[node]") {
  Bench b;
  b.probes["c"] = {false, "never"};
  const std::string uid = b.Run("p", R"({"terminationGracePeriodSeconds":500,"containers":[{"name":"c","image":"busybox:1","livenessProbe":{"exec":{"command":["x"]}},
    "startupProbe":{"exec":{"command":["x"]},"periodSeconds":1,"failureThreshold":1,"terminationGracePeriodSeconds":5,"initialDelaySeconds":10}}]})");
  REQUIRE(b.Until([&] { return b.State("p") == "running"; }));
  b.runtime.IgnoreSignal(uid + ".c.0", SIGTERM);
  b.Advance(seconds(10));
  REQUIRE(b.Until([&] { return b.Calls("Signal " + uid + ".c.0") == 1; }));
  b.Advance(seconds(4));
  CHECK(b.Calls("StartContainer") == 1);
  b.Advance(seconds(1));
  CHECK(b.Until([&] { return b.Calls("StartContainer " + uid + ".c.1") == 1; }));
}

TEST_CASE("a port that another pod of the node holds refuses the pod with its reason", "[node]") {
  Bench b;
  REQUIRE(b.client().Patch(b.ctx, "v1/nodes", {"", "n1"}, PatchType::kMerge, Parse(R"({"status":{"allocatable":{"cpu":"2","memory":"1Gi","pods":"10"}}})"), "status"));
  const char* spec = R"({"containers":[{"name":"c","image":"busybox:1","ports":[{"containerPort":80,"hostPort":8080}]}]})";
  b.Run("first", spec);
  REQUIRE(b.Until([&] { return b.State("first") == "running"; }));
  b.Run("second", spec);
  REQUIRE(b.Until([&] { return b.Status("second")["phase"].Str() == "Failed"; }));
  CHECK(b.Status("second")["reason"].Str() == "NodePorts");
  b.Run("large", R"({"containers":[{"name":"c","image":"busybox:1","resources":{"requests":{"cpu":"3"}}}]})");
  REQUIRE(b.Until([&] { return b.Status("large")["phase"].Str() == "Failed"; }));
  CHECK(b.Status("large")["reason"].Str() == "OutOfcpu");
  CHECK(b.Status("large")["message"].Str() == "Pod was rejected: Node didn't have enough resource: cpu, requested: 3000, used: 0, capacity: 2000");
  CHECK(b.runtime.ListSandboxes()->size() == 1);
  b.Delete("second");
  CHECK(b.Until([&] { return !b.Pod("second"); }));
}

TEST_CASE("resources change in place, wait when there is no room, and restart where the policy asks", "[node]") {
  Bench b;
  REQUIRE(b.client().Patch(b.ctx, "v1/nodes", {"", "n1"}, PatchType::kMerge, Parse(R"({"status":{"allocatable":{"cpu":"2","memory":"1Gi","pods":"10"}}})"), "status"));
  const std::string uid = b.Run("p", R"({"containers":[{"name":"c","image":"busybox:1","resources":{"requests":{"cpu":"500m","memory":"100Mi"},"limits":{"cpu":"1","memory":"200Mi"}},
    "resizePolicy":[{"resourceName":"cpu","restartPolicy":"NotRequired"},{"resourceName":"memory","restartPolicy":"RestartContainer"}]}]})");
  REQUIRE(b.Until([&] { return b.State("p") == "running"; }));
  const auto resize = [&](const char* resources) {
    auto r = b.client().Patch(b.ctx, "v1/pods", {"default", "p"}, PatchType::kStrategic, Parse(Cat(R"({"spec":{"containers":[{"name":"c","resources":)", resources, "}]}}")), "resize");
    if (!r) FAIL(std::string(r.error().message()));
  };
  const auto granted = [&] { return std::string(b.Status("p")["containerStatuses"].Items()[0]["resources"]["requests"]["cpu"].Str()); };
  resize(R"({"requests":{"cpu":"700m"}})");
  REQUIRE(b.Until([&] { return granted() == "700m"; }));
  CHECK(b.Calls("UpdateContainer " + uid + ".c.0") == 1);
  CHECK(b.Status("p")["containerStatuses"].Items()[0]["allocatedResources"]["cpu"].Str() == "700m");
  resize(R"({"requests":{"cpu":"3"},"limits":{"cpu":"4"}})");
  REQUIRE(b.Until([&] { return FindCondition(b.Status("p"), "PodResizePending") != nullptr; }));
  CHECK((*FindCondition(b.Status("p"), "PodResizePending"))["reason"].Str() == "Infeasible");
  CHECK(granted() == "700m");
  b.RestartAgent();
  b.Settle();
  CHECK(granted() == "700m");
  CHECK(b.Calls("UpdateContainer") == 1);
  resize(R"({"requests":{"cpu":"700m","memory":"150Mi"},"limits":{"cpu":"1"}})");
  REQUIRE(b.Until([&] { return b.Calls("StartContainer " + uid + ".c.1") == 1; }));
  b.Settle();
  CHECK_FALSE(FindCondition(b.Status("p"), "PodResizePending"));
}

TEST_CASE("a debug container starts in a running pod beside its target and never again", "[node]") {
  Bench b;
  const std::string uid = b.Run("p", R"({"containers":[{"name":"c","image":"busybox:1"}]})");
  REQUIRE(b.Until([&] { return b.State("p") == "running"; }));
  REQUIRE(b.client().Patch(b.ctx, "v1/pods", {"default", "p"}, PatchType::kStrategic,
                           Parse(R"({"spec":{"ephemeralContainers":[{"name":"d","image":"busybox:1","targetContainerName":"c"}]}})"), "ephemeralcontainers"));
  REQUIRE(b.Until([&] { return b.Status("p")["ephemeralContainerStatuses"].Items().size() == 1 && b.Calls("StartContainer " + uid + ".d.0") == 1; }));
  b.runtime.Exit(uid + ".d.0", 1);
  b.Settle();
  b.Advance(seconds(60));
  CHECK(b.Calls("StartContainer") == 2);
  CHECK(b.Status("p")["phase"].Str() == "Running");
  CHECK(b.Status("p")["ephemeralContainerStatuses"].Items()[0]["state"]["terminated"]["exitCode"].Int() == 1);
}

TEST_CASE("an HTTP check sends its headers and reads the status", "[node]") {
  OneShot server("HTTP/1.1 503 no\r\nContent-Length: 2\r\n\r\nno");
  const auto answer = HttpGet(Soon(), Parse(Cat(R"({"port":)", server.port, R"(,"path":"/x","httpHeaders":[{"name":"Host","value":"h"},{"name":"A","value":"b"}]})")), json::Value(), "127.0.0.1");
  server.Join();
  REQUIRE(answer);
  CHECK(answer->status == 503);
  CHECK(answer->body == "no");
  CHECK(server.request.starts_with("GET /x HTTP/1.1\r\nHost: h\r\nA: b\r\n"));
}

TEST_CASE("an HTTP check follows redirects that stay with the host, and no others", "[node]") {
  std::mutex mutex;
  std::vector<std::string> asked;
  test::HttpBackend server([&](test::HttpBackend::Request& r) -> std::string {
    const std::string target = r.head.substr(4, r.head.find(' ', 4) - 4);
    {
      std::lock_guard lock(mutex);
      asked.push_back(target);
    }
    const auto to = [](std::string_view where) { return Cat("HTTP/1.1 302 Found\r\nLocation: ", where, "\r\nContent-Length: 4\r\n\r\nmove"); };
    if (target == "/a/start") return to("next?x=1");
    if (target == "/a/next?x=1") return to(Cat("http://", r.head.substr(r.head.find("Host: ") + 6, r.head.find("\r\n", r.head.find("Host: ")) - r.head.find("Host: ") - 6), "/end#there"));
    if (target == "/end") return "HTTP/1.1 503 no\r\nContent-Length: 3\r\n\r\nend";
    if (target == "/away") return to("http://example.com/");
    return to("/loop");
  });
  const auto get = [&](const char* path) { return HttpGet(Soon(), Parse(Cat(R"({"port":)", server.address().substr(10), R"(,"path":")", path, R"("})")), json::Value(), "127.0.0.1"); };
  const auto end = get("/a/start");
  REQUIRE(end);
  CHECK(end->status == 503);
  CHECK(end->body == "end");
  const auto away = get("/away");
  REQUIRE(away);
  CHECK(away->status == 302);
  CHECK(away->body == "move");
  const auto loop = get("/loop");
  REQUIRE_FALSE(loop);
  CHECK(std::string(loop.error().message()).ends_with("stopped after 10 redirects"));
  std::lock_guard lock(mutex);
  CHECK(std::vector<std::string>(asked.begin(), asked.begin() + 4) == std::vector<std::string>{"/a/start", "/a/next?x=1", "/end", "/away"});
  CHECK(asked.size() == 14);
}

TEST_CASE("a probe that was sent elsewhere passes and says so", "[node]") {
  Bench b;
  b.probes["c"] = {true, "Probe terminated redirects, Response body: x", true};
  b.Run("p", R"({"containers":[{"name":"c","image":"busybox:1","livenessProbe":{"httpGet":{"port":80}}}]})");
  REQUIRE(b.Until([&] { return b.events.Count("ProbeWarning: Liveness probe warning: Probe terminated redirects") == 1; }));
  CHECK(b.State("p") == "running");
}

TEST_CASE("a pod for another operating system is refused", "[node]") {
  Bench b;
  b.Run("p", R"({"os":{"name":"windows"},"containers":[{"name":"c","image":"busybox:1"}]})");
  REQUIRE(b.Until([&] { return b.Status("p")["phase"].Str() == "Failed"; }));
  CHECK(b.Status("p")["reason"].Str() == "PodOSNotSupported");
  CHECK(b.Calls("StartContainer") == 0);
}

TEST_CASE("settings of the kernel that reach beyond a pod are refused", "[node]") {
  Bench b;
  b.Run("unsafe", R"({"securityContext":{"sysctls":[{"name":"kernel.shm_rmid_forced","value":"1"},{"name":"kernel.msgmax","value":"10000"}]},"containers":[{"name":"c","image":"busybox:1"}]})");
  b.Run("safe", R"({"securityContext":{"sysctls":[{"name":"kernel.shm_rmid_forced","value":"1"}]},"containers":[{"name":"c","image":"busybox:1"}]})");
  REQUIRE(b.Until([&] { return b.Status("unsafe")["phase"].Str() == "Failed" && b.State("safe") == "running"; }));
  CHECK(b.Status("unsafe")["reason"].Str() == "SysctlForbidden");
  CHECK(b.events.Count("SysctlForbidden: forbidden sysctl: \"kernel.msgmax\" not allowlisted") == 1);
}

TEST_CASE("a gRPC health check understands serving, not serving and refusal", "[node]") {
  const std::string settings("\0\0\0\4\0\0\0\0\0", 9), headers("\0\0\1\1\4\0\0\0\1\x88", 10);
  const auto data = [](char status) { return std::string("\0\0\7\0\0\0\0\0\1\0\0\0\0\2\x08", 15) + status; };
  const auto check = [&](const std::string& answer) {
    OneShot server(answer);
    auto r = GrpcHealth(Soon(), "127.0.0.1", server.port, "svc");
    server.Join();
    CHECK(server.request.starts_with("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    CHECK(server.request.ends_with(std::string("\0\0\0\0\5\x0a\3svc", 10)));
    return r;
  };
  CHECK(check(settings + headers + data(1)));
  const auto sick = check(settings + headers + data(2));
  REQUIRE_FALSE(sick);
  CHECK(sick.error().message() == "service unhealthy (responded with \"NOT_SERVING\")");
  CHECK_FALSE(check(settings + std::string("\0\0\1\1\5\0\0\0\1\x88", 10)));   // headers that end the stream: an error status
  CHECK_FALSE(check(""));
}

}  // namespace skerry::kube::node::bench
