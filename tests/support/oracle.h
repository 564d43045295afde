#pragma once
#include <string_view>
#include <vector>

#include "core/json/value.h"

// Recorded answers of a real control plane: tests/api/oracle/AREA.jsonl.gz, one scenario a line.
namespace skerry::testing {

// Fails the test when the file cannot be read.
std::vector<json::Value> LoadOracle(std::string_view area);

// Counts exact matches of an area and shows the first differences. SKERRY_ORACLE_ONLY=<part of an id> picks scenarios,
// SKERRY_ORACLE_SHOW=<n> prints that many differences (default 0).
class OracleScore {
 public:
  OracleScore();
  bool Wants(std::string_view id) const;
  void Record(std::string_view id, bool exact, std::string_view difference);
  // Prints the score and returns the share of exact ones (1 when none ran).
  double Report(std::string_view area) const;

 private:
  std::string only_;
  int show_ = 0;
  int exact_ = 0, total_ = 0;
};

// Empty when equal; else where the first few differences are.
std::string Difference(const json::Value& want, const json::Value& got);

}  // namespace skerry::testing
