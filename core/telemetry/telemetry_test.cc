#include <catch2/catch.hpp>

#include "core/telemetry/health.h"
#include "core/telemetry/log.h"
#include "core/telemetry/metrics.h"

namespace skerry {
namespace {

struct MemorySink : log::Sink {
  std::vector<std::string> lines;
  MemorySink() : previous(log::SetSink(this)) {}
  ~MemorySink() override { log::SetSink(previous); }
  void Write(log::Level, std::string_view line) override { lines.emplace_back(line); }
  log::Sink* previous;
};

}  // namespace

TEST_CASE("a log line carries its fields in both formats and cannot be forged by a field") {
  const Error err(Code::kUnavailable, "dial tcp: refused");
  using namespace std::chrono_literals;
  CHECK(log::Render(log::Format::kText, "T", log::Level::kWarn, "image pull failed",
                    {{"image", "a/b:1"}, {"reason", err}, {"retry_in", 1500ms}, {"n", 3}, {"ok", false}, {"evil", "x\nT INFO  y"}}) ==
        "T WARN  image pull failed image=a/b:1 reason=\"dial tcp: refused\" retry_in=1.5s n=3 ok=false evil=\"x\\nT INFO  y\"");
  CHECK(log::Render(log::Format::kJson, "T", log::Level::kInfo, "started", {{"took", 90s}, {"size", std::uint64_t{18446744073709551615u}}, {"q", "\"\x01"}}) ==
        R"({"time":"T","level":"info","msg":"started","took":"1m30s","size":18446744073709551615,"q":"\"\u0001"})");
}

TEST_CASE("lines below the level are not written") {
  MemorySink sink;
  log::Debug("hidden");
  log::Info("shown", {{"k", "v"}});
  REQUIRE(sink.lines.size() == 1);
  CHECK(sink.lines[0].ends_with("INFO  shown k=v\n"));
  CHECK(log::ParseLevel("warn").value() == log::Level::kWarn);
  CHECK_FALSE(log::ParseLevel("loud"));
}

TEST_CASE("metrics are exposed in Prometheus text with cumulative buckets and escaped labels") {
  telemetry::Metrics m;
  m.GetCounter("requests_total", "Requests.", {{"verb", "GET"}, {"path", "a\"b\\c\nd"}}).Add(3);
  m.GetGauge("depth", "Queue depth.").Set(2.5);
  auto& h = m.GetHistogram("wait_seconds", "Wait.", {}, {0.1, 1});
  h.Observe(0.1);
  h.Observe(0.5);
  h.Observe(7);
  const int id = m.AddReader("live", "Read on demand.", {}, [] { return 42.0; });
  CHECK(m.Expose() ==
        "# HELP depth Queue depth.\n# TYPE depth gauge\ndepth 2.5\n"
        "# HELP live Read on demand.\n# TYPE live gauge\nlive 42\n"
        "# HELP requests_total Requests.\n# TYPE requests_total counter\nrequests_total{verb=\"GET\",path=\"a\\\"b\\\\c\\nd\"} 3\n"
        "# HELP wait_seconds Wait.\n# TYPE wait_seconds histogram\nwait_seconds_bucket{le=\"0.1\"} 1\nwait_seconds_bucket{le=\"1\"} 2\n"
        "wait_seconds_bucket{le=\"+Inf\"} 3\nwait_seconds_sum 7.6\nwait_seconds_count 3\n");
  m.RemoveReader(id);
  CHECK(m.Expose().find("live") == std::string::npos);
}

TEST_CASE("a metric family stops growing at its limit") {
  telemetry::Metrics m;
  for (std::size_t i = 0; i < telemetry::Metrics::kMaxSeries + 50; ++i) m.GetCounter("c", "", {{"user", std::to_string(i)}}).Add();
  CHECK(m.GetCounter("c", "", {{"user", "someone new"}}).value() == 50);
  CHECK(m.Expose().find("c{user=\"overflow\"} 50\n") != std::string::npos);
}

TEST_CASE("a failing health check withholds its reason and can be excluded") {
  telemetry::Health health;
  health.Register("ping", telemetry::Health::Kind::kLive, [] { return Result<>(); });
  health.Register("store", telemetry::Health::Kind::kReady, []() -> Result<> { return Fail(Code::kCorruption, "secret path"); });
  CHECK(health.Run(telemetry::Health::Kind::kLive).ok);
  const auto report = health.Run(telemetry::Health::Kind::kReady);
  CHECK_FALSE(report.ok);
  CHECK(report.Text("readyz") == "[+]ping ok\n[-]store failed: reason withheld\nreadyz check failed\n");
  CHECK(health.Run(telemetry::Health::Kind::kReady, {"store"}).Text("readyz") == "[+]ping ok\nreadyz check passed\n");
  CHECK(health.RunOne("nope").error().code() == Code::kNotFound);
}

}  // namespace skerry
