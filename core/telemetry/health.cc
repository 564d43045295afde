#include "core/telemetry/health.h"

#include <algorithm>

namespace skerry::telemetry {

std::string Health::Report::Text(std::string_view endpoint) const {
  std::string out;
  for (const Line& line : lines) out += line.error.empty() ? "[+]" + line.name + " ok\n" : "[-]" + line.name + " failed: reason withheld\n";
  for (const std::string& name : unknown_excludes) out += "warn: some health checks cannot be excluded: no matches for \"" + name + "\"\n";
  out += endpoint;
  out += ok ? " check passed\n" : " check failed\n";
  return out;
}

void Health::Register(std::string name, Kind kind, Check check) {
  auto entries = entries_.Lock();
  for (Entry& e : *entries) {
    if (e.name == name) {
      e.kind = kind;
      e.check = std::move(check);
      return;
    }
  }
  entries->push_back({std::move(name), kind, std::move(check)});
}

void Health::Unregister(std::string_view name) {
  auto entries = entries_.Lock();
  std::erase_if(*entries, [&](const Entry& e) { return e.name == name; });
}

Health::Report Health::Run(Kind kind, const std::vector<std::string>& exclude) const {
  Report report;
  auto entries = entries_.Lock();
  for (const std::string& name : exclude) {
    if (std::none_of(entries->begin(), entries->end(), [&](const Entry& e) { return e.name == name; })) report.unknown_excludes.push_back(name);
  }
  for (const Entry& e : *entries) {
    if (kind == Kind::kLive && e.kind != Kind::kLive) continue;
    if (std::find(exclude.begin(), exclude.end(), e.name) != exclude.end()) continue;
    const Result<> result = e.check();
    report.lines.push_back({e.name, result ? "" : std::string(result.error().message())});
    report.ok = report.ok && result.has_value();
  }
  return report;
}

Result<> Health::RunOne(std::string_view name) const {
  auto entries = entries_.Lock();
  for (const Entry& e : *entries) {
    if (e.name == name) return e.check();
  }
  return Fail(Code::kNotFound, "no health check of that name");
}

}  // namespace skerry::telemetry
