#include <catch2/catch.hpp>

#include "tests/support/offline_write.h"
#include "tests/support/oracle.h"

using namespace skerry;

TEST_CASE("recorded creates give the recorded objects without a server", "[oracle]") {
  testing::OracleScore score;
  testing::OfflineWriter writer;
  for (const json::Value& scenario : testing::LoadOracle("objects-create")) {
    const json::Value& step = scenario["steps"].Items()[0];
    const auto outcome = writer.Create(scenario["id"].Str(), step);
    if (!outcome || !score.Wants(scenario["id"].Str()) || step["status"].Int() != 201 || step["answer"].is_null()) continue;
    const std::string difference = testing::Difference(testing::Comparable(step["answer"]), testing::Comparable(*outcome));
    score.Record(scenario["id"].Str(), difference.empty(), difference);
  }
  CHECK(score.Report("objects-create") >= 0.98);   // reviews are answered by the server
}

TEST_CASE("recorded refusals give the recorded causes without a server", "[oracle]") {
  testing::OracleScore score;
  testing::OfflineWriter writer;
  for (const json::Value& scenario : testing::LoadOracle("objects-invalid")) {
    const json::Value& step = scenario["steps"].Items()[0];
    const std::string_view id = scenario["id"].Str();
    const auto outcome = score.Wants(id) && !step["answer"].is_null() && step["status"].Int() != 403 ? writer.Create(id, step) : std::nullopt;
    if (!outcome) continue;
    const std::string difference = testing::Difference(testing::Comparable(step["answer"]), testing::Comparable(*outcome));
    score.Record(id, difference.empty(), difference);
  }
  CHECK(score.Report("objects-invalid") >= 0.85);
}
