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
  CHECK(score.Report("objects-invalid") >= 0.94);
}

TEST_CASE("recorded updates are refused or taken as recorded without a server", "[oracle]") {
  testing::OracleScore score;
  testing::OfflineWriter writer;
  for (const json::Value& scenario : testing::LoadOracle("objects-update")) {
    const auto steps = scenario["steps"].Items();
    const std::string_view id = scenario["id"].Str();
    if (!score.Wants(id) || steps.size() < 2 || steps[0]["status"].Int() != 201) continue;
    const json::Value& step = steps[1];
    const std::int64_t status = step["status"].Int();
    if ((status == 422 && step["answer"].is_null()) || (status != 200 && status != 422)) continue;
    const auto created = writer.Create(id, steps[0]);
    if (!created || (*created)["kind"].Str() == "Status") continue;
    const auto outcome = writer.Update(*created, step);
    if (!outcome) continue;
    // The recording masks times and identifiers, so of an accepted update only the acceptance is compared.
    const bool refused = (*outcome)["kind"].Str() == "Status";
    std::string difference;
    if (status == 200) difference = refused ? "refused: " + std::string((*outcome)["message"].Str()) : "";
    else difference = refused ? testing::Difference(testing::Comparable(step["answer"]), testing::Comparable(*outcome)) : "not refused: " + std::string(step["answer"]["message"].Str());
    score.Record(id, difference.empty(), difference);
  }
  CHECK(score.Report("objects-update") >= 0.93);
}

TEST_CASE("recorded bodies with unknown, repeated and mistyped fields are answered as recorded", "[oracle]") {
  testing::OracleScore score;
  testing::OfflineWriter writer;
  for (const json::Value& scenario : testing::LoadOracle("fieldvalidation")) {
    const json::Value& step = scenario["steps"].Items()[0];
    const std::string_view id = scenario["id"].Str();
    if (!score.Wants(id) || step["answer"].is_null()) continue;
    const auto outcome = writer.Create(id, step);
    if (!outcome) continue;
    const std::string difference = testing::Difference(testing::Comparable(step["answer"]), testing::Comparable(*outcome));
    score.Record(id, difference.empty(), difference);
  }
  CHECK(score.Report("fieldvalidation") >= 0.95);
}
