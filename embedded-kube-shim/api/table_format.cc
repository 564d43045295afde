#include "embedded-kube-shim/api/table_format.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <set>

#include "core/base/strings.h"

namespace skerry::kube::printer {

std::string HumanDuration(std::chrono::seconds duration) {
  const std::int64_t seconds = duration.count();
  // Clocks of two machines may differ a little.
  if (seconds < -1) return "<invalid>";
  if (seconds < 0) return "0s";
  if (seconds < 120) return Cat(seconds, 's');
  const std::int64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;
  const auto pair = [](std::int64_t a, char unit_a, std::int64_t b, char unit_b) { return b == 0 ? Cat(a, unit_a) : Cat(a, unit_a, b, unit_b); };
  if (minutes < 10) return pair(minutes, 'm', seconds % 60, 's');
  if (minutes < 180) return Cat(minutes, 'm');
  if (hours < 8) return pair(hours, 'h', minutes % 60, 'm');
  if (hours < 48) return Cat(hours, 'h');
  if (hours < 24 * 8) return pair(days, 'd', hours % 24, 'h');
  if (hours < 24 * 365 * 2) return Cat(days, 'd');
  if (hours < 24 * 365 * 8) return pair(days / 365, 'y', days % 365, 'd');
  return Cat(days / 365, 'y');
}

bool ParseTime(std::string_view text, Time* out) {
  constexpr std::string_view kForm = "0000-00-00T00:00:00";
  if (text.size() < kForm.size() + 1 || text.back() != 'Z') return false;
  int numbers[6] = {}, at = 0;
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (digit != (kForm[i] == '0') || (!digit && text[i] != kForm[i])) return false;
    if (digit) numbers[at] = numbers[at] * 10 + (text[i] - '0');
    else ++at;
  }
  const std::chrono::year_month_day date{std::chrono::year(numbers[0]), std::chrono::month(static_cast<unsigned>(numbers[1])), std::chrono::day(static_cast<unsigned>(numbers[2]))};
  *out = std::chrono::sys_days(date) + std::chrono::hours(numbers[3]) + std::chrono::minutes(numbers[4]) + std::chrono::seconds(numbers[5]);
  return true;
}

std::string Row::Since(const Value& time) const {
  Time then;
  if (!ParseTime(time.Str(), &then)) return "<unknown>";
  return HumanDuration(std::chrono::duration_cast<std::chrono::seconds>(now - then));
}

std::string FormatLabels(const Value& labels) {
  std::vector<std::string> pairs;
  for (const auto& member : labels.Members()) pairs.push_back(Cat(member.key, '=', member.value.Str()));
  std::sort(pairs.begin(), pairs.end());
  return pairs.empty() ? "<none>" : Join(pairs, ",");
}

std::string FormatSelector(const Value& selector) {
  std::vector<std::pair<std::string, std::string>> parts;   // key, text
  for (const auto& member : selector["matchLabels"].Members()) parts.emplace_back(member.key, Cat(member.key, '=', member.value.Str()));
  for (const auto& expression : selector["matchExpressions"].Items()) {
    const std::string key(expression["key"].Str());
    const std::string_view op = expression["operator"].Str();
    std::vector<std::string> values;
    for (const auto& value : expression["values"].Items()) values.emplace_back(value.Str());
    std::sort(values.begin(), values.end());
    if (op == "In" || op == "NotIn") parts.emplace_back(key, Cat(key, op == "In" ? " in (" : " notin (", Join(values, ","), ')'));
    else if (op == "Exists") parts.emplace_back(key, key);
    else if (op == "DoesNotExist") parts.emplace_back(key, Cat('!', key));
  }
  std::stable_sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string out;
  for (const auto& [key, text] : parts) out += Cat(out.empty() ? "" : ",", text);
  return out.empty() ? "<none>" : out;
}

std::string JoinNames(const Value& list, std::string_view field, std::string_view separator) {
  std::vector<std::string> out;
  for (const auto& item : list.Items()) out.emplace_back(item[field].Str());
  return Join(out, separator);
}

std::string JoinStrings(const Value& list, std::string_view separator) {
  std::vector<std::string> out;
  for (const auto& item : list.Items()) out.emplace_back(item.Str());
  return Join(out, separator);
}

std::string ListWithMore(const std::vector<std::string>& shown, std::size_t total, std::size_t max) {
  const std::string text = Join(shown, ",");
  if (total > max) return Cat(text, " + ", total - max, " more...");
  return text.empty() ? "<unset>" : text;
}

std::string JoinHostPort(std::string_view host, std::int64_t port) {
  return host.find(':') == std::string_view::npos ? Cat(host, ':', port) : Cat('[', host, "]:", port);
}

std::string LoadBalancerAddresses(const Value& load_balancer) {
  std::set<std::string> out;
  for (const auto& ingress : load_balancer["ingress"].Items()) {
    if (!ingress["ip"].Str().empty()) out.emplace(ingress["ip"].Str());
    else if (!ingress["hostname"].Str().empty()) out.emplace(ingress["hostname"].Str());
  }
  return Join({out.begin(), out.end()}, ",");
}

bool HasCondition(const Value& conditions, std::string_view type, std::string_view status) {
  return std::any_of(conditions.Items().begin(), conditions.Items().end(),
                     [&](const Value& c) { return c["type"].Str() == type && c["status"].Str() == status; });
}

void AddContainers(Row& row, const Value& pod_spec) {
  row.Add(Value(JoinNames(pod_spec["containers"], "name"))).Add(Value(JoinNames(pod_spec["containers"], "image")));
}

}  // namespace skerry::kube::printer
