#include "tests/support/oracle.h"

#include <zlib.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>

namespace skerry::testing {
namespace {

void Diff(const json::Value& want, const json::Value& got, const std::string& path, std::string& out, int& budget) {
  if (budget <= 0 || want == got) return;
  if (want.is_object() && got.is_object()) {
    std::set<std::string> keys;
    for (const auto& member : want.Members()) keys.insert(member.key);
    for (const auto& member : got.Members()) keys.insert(member.key);
    for (const std::string& key : keys) {
      const json::Value *w = want.Find(key), *g = got.Find(key);
      const std::string at = path + "." + key;
      if (w && g) {
        Diff(*w, *g, at, out, budget);
        continue;
      }
      if (--budget < 0) return;
      out += "\n    " + at + (w ? ": missing " : ": unwanted ") + (w ? *w : *g).Dump().substr(0, 300);
    }
    return;
  }
  if (want.is_array() && got.is_array() && want.size() == got.size()) {
    for (std::size_t i = 0; i < want.size(); ++i) Diff(want.Items()[i], got.Items()[i], path + "[" + std::to_string(i) + "]", out, budget);
    return;
  }
  --budget;
  out += "\n    " + path + ": want " + want.Dump().substr(0, 400) + ", got " + got.Dump().substr(0, 400);
}

std::string EnvText(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

}  // namespace

std::vector<json::Value> LoadOracle(std::string_view area) {
  std::string path = "tests/api/oracle/" + std::string(area) + ".jsonl.gz";
  gzFile file = gzopen(path.c_str(), "rb");
  if (!file) file = gzopen(("../../" + path).c_str(), "rb");
  INFO("run from the repository root: " << path);
  REQUIRE(file != nullptr);
  std::string text;
  std::vector<char> buffer(1 << 18);
  for (int n; (n = gzread(file, buffer.data(), static_cast<unsigned>(buffer.size()))) > 0;) text.append(buffer.data(), static_cast<std::size_t>(n));
  gzclose(file);
  std::vector<json::Value> out;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = text.find('\n', at);
    json::Value scenario;
    REQUIRE(json::Value::Parse(std::string_view(text).substr(at, end - at), &scenario, nullptr));
    out.push_back(std::move(scenario));
    at = end == std::string::npos ? text.size() : end + 1;
  }
  REQUIRE(!out.empty());
  return out;
}

OracleScore::OracleScore() : only_(EnvText("SKERRY_ORACLE_ONLY")), show_(std::atoi(EnvText("SKERRY_ORACLE_SHOW").c_str())) {}

bool OracleScore::Wants(std::string_view id) const { return id.find(only_) != id.npos; }

void OracleScore::Record(std::string_view id, bool exact, std::string_view difference) {
  ++total_;
  exact_ += exact;
  if (!exact && show_-- > 0) std::printf("%.*s: %.*s\n", static_cast<int>(id.size()), id.data(), static_cast<int>(difference.size()), difference.data());
}

double OracleScore::Report(std::string_view area) const {
  std::printf("oracle %.*s: %d of %d exact\n", static_cast<int>(area.size()), area.data(), exact_, total_);
  return total_ ? static_cast<double>(exact_) / total_ : 1.0;
}

std::string Difference(const json::Value& want, const json::Value& got) {
  std::string out;
  int budget = 8;
  Diff(want, got, "", out, budget);
  return out;
}

}  // namespace skerry::testing
