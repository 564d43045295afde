#include "embedded-kube-shim/api/managers.h"

#include <algorithm>
#include <ctime>
#include <tuple>

#include "core/base/strings.h"

namespace skerry::kube {

using json::Value;

namespace {
constexpr std::size_t kMaxUpdateManagers = 10;
}  // namespace

std::string ManagerId::Text() const {
  std::string out = Quote(manager);
  if (!subresource.empty()) out += Cat(" with subresource ", Quote(subresource));
  if (operation == "Update") out += Cat(" using ", api_version);
  return out;
}

std::string ManagerTime(std::chrono::system_clock::time_point when) {
  thread_local std::time_t last = 0;   // most are asked for within the same second
  thread_local char text[32] = "1970-01-01T00:00:00Z";
  const std::time_t seconds = std::chrono::system_clock::to_time_t(when);
  if (seconds == last) return text;
  last = seconds;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

Result<Managers> Managers::Decode(const Value& entries, Source source) {
  Managers out;
  std::size_t index = 0;
  for (const auto& entry : entries.Items()) {
    const std::string_view operation = entry["operation"].Str(), type = entry["fieldsType"].Str();
    if (operation != "Apply" && operation != "Update") return Fail(Code::kInvalid, "operation must be `Apply` or `Update`");
    if (entry["apiVersion"].Str().empty()) return Fail(Code::kInvalid, "apiVersion must not be empty");
    if (type.empty()) return Fail(Code::kInvalid, Cat("missing fieldsType in managed fields entry ", index));
    if (type != "FieldsV1") return Fail(Code::kInvalid, Cat("invalid fieldsType ", Quote(type), " in managed fields entry ", index));
    const bool applied = operation == "Apply";
    ManagerId id{std::string(entry["manager"].Str()), std::string(operation), applied ? "" : std::string(entry["apiVersion"].Str()), std::string(entry["subresource"].Str())};
    if (const auto time = entry["time"].Str(); !time.empty()) out.times[id] = time;
    std::string version(entry["apiVersion"].Str());
    const Value& fields = entry["fieldsV1"];
    if (source == Source::kEncoded && fields.is_object()) {
      out.fields[std::move(id)] = Ownership(entry, std::move(version), applied);
    } else {
      FieldSet set;
      if (!fields.is_null() && !FieldSet::FromJson(fields, &set)) return Fail(Code::kInvalid, Cat("error decoding set in managed fields entry ", index));
      out.fields[std::move(id)] = Ownership(std::move(set), std::move(version), applied);
    }
    ++index;
  }
  return out;
}

namespace {

struct ManagerRow { const ManagerId* id; const Ownership* ownership; std::string_view time; };

Value EntryOf(const ManagerRow& row) {
  const auto is = [&](std::string_view member, std::string_view text) { return (*row.ownership->entry())[member].Str() == text; };
  // Mostly all of it is as it was stored, or all but the time.
  if (row.ownership->entry() && is("manager", row.id->manager) && is("operation", row.id->operation) && is("apiVersion", row.ownership->api_version) &&
      is("subresource", row.id->subresource) && is("time", "") == row.time.empty()) {
    Value entry = json::Share(*row.ownership->entry());
    if (!is("time", row.time)) entry.Set("time") = Value(row.time);
    return entry;
  }
  Value entry = Value::Object();
  if (!row.id->manager.empty()) entry.Set("manager") = Value(row.id->manager);
  entry.Set("operation") = Value(row.id->operation);
  entry.Set("apiVersion") = Value(row.ownership->api_version);
  if (!row.time.empty()) entry.Set("time") = Value(row.time);
  entry.Set("fieldsType") = Value("FieldsV1");
  entry.Set("fieldsV1") = row.ownership->ToJson();
  if (!row.id->subresource.empty()) entry.Set("subresource") = Value(row.id->subresource);
  return entry;
}

}  // namespace

Value Managers::Encode() const {
  std::vector<ManagerRow> rows;
  rows.reserve(fields.size());
  for (const auto& [id, ownership] : fields) {
    const auto time = times.find(id);
    rows.push_back({&id, &ownership, time == times.end() ? std::string_view() : std::string_view(time->second)});
  }
  std::stable_sort(rows.begin(), rows.end(), [](const ManagerRow& a, const ManagerRow& b) {
    return std::tie(a.id->operation, a.time, a.id->manager, a.ownership->api_version, a.id->subresource) <
           std::tie(b.id->operation, b.time, b.id->manager, b.ownership->api_version, b.id->subresource);
  });
  Value out;
  for (const auto& row : rows) out.Append(EntryOf(row));
  return out;
}

void Managers::Cap() {
  std::vector<std::pair<std::string, ManagerId>> updaters;   // time, who
  for (const auto& [id, ownership] : fields) {
    if (ownership.applied) continue;
    const auto time = times.find(id);
    updaters.emplace_back(time == times.end() ? "" : time->second, id);
  }
  std::size_t count = updaters.size();
  if (count <= kMaxUpdateManagers) return;
  std::sort(updaters.begin(), updaters.end());
  std::map<std::string, ManagerId> first_of_version;
  for (const auto& [time, id] : updaters) {
    if (count <= kMaxUpdateManagers) return;
    const auto found = fields.find(id);
    if (found == fields.end()) continue;
    const std::string version = found->second.api_version;
    const auto [first, added] = first_of_version.emplace(version, id);
    if (added) continue;   // alone of its version so far: nothing to merge with
    const ManagerId bucket{"ancient-changes", "Update", version, ""};
    if (!fields.contains(bucket)) {
      auto node = fields.extract(first->second);
      node.key() = bucket;
      fields.insert(std::move(node));
    }
    if (!(id == bucket)) {
      fields[bucket].Set(fields[bucket].fields().Union(fields[id].fields()));
      fields.erase(id);
    }
    --count;
    times[bucket] = time;   // the more recent one
  }
}

}  // namespace skerry::kube
