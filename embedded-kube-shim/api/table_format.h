#pragma once
#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json/value.h"

// What printers of several kinds share. Private to embedded-kube-shim/api.
namespace skerry::kube::printer {

using json::Value;
using Time = std::chrono::system_clock::time_point;

// Collects the cells of one row.
class Row {
 public:
  Row(const Value& printed, Time at) : object(printed), now(at), cells(Value::Array()) {}
  Row& Add(Value cell) { cells.Append(std::move(cell)); return *this; }
  Row& AddName() { return Add(Value(object.At({"metadata", "name"}).Str())); }
  Row& AddAge() { return Add(Value(Since(object.At({"metadata", "creationTimestamp"})))); }
  Row& AddText(const Value& text, std::string_view otherwise = "") { return Add(Value(text.Str().empty() ? otherwise : text.Str())); }
  Row& AddInt(const Value& number) { return Add(Value(number.Int())); }
  Row& AddCount(const Value& container) { return Add(Value(static_cast<std::int64_t>(container.size()))); }
  // "5m30s" since a time stamp; "<unknown>" without one.
  std::string Since(const Value& time) const;

  const Value& object;
  const Time now;
  Value cells, conditions;
};

// One function a kind: appends the cells in the order of its columns.
using Printer = void (*)(Row& row);
Printer FindPrinter(std::string_view group, std::string_view kind);
Printer FindCorePrinter(std::string_view kind);
Printer FindWorkloadPrinter(std::string_view group, std::string_view kind);
Printer FindOtherPrinter(std::string_view group, std::string_view kind);
void PrintPod(Row& row);
void PrintHorizontalPodAutoscaler(Row& row);

std::string HumanDuration(std::chrono::seconds duration);
bool ParseTime(std::string_view text, Time* out);   // RFC 3339 in UTC, with or without a fraction

std::string FormatLabels(const Value& labels);                 // "a=b,c=d"; "<none>"
std::string FormatSelector(const Value& selector);             // label selector as text; "<none>"
std::string JoinNames(const Value& list, std::string_view field, std::string_view separator = ",");
std::string JoinStrings(const Value& list, std::string_view separator = ",");
std::string ListWithMore(const std::vector<std::string>& shown, std::size_t total, std::size_t max);   // "<unset>" when empty
std::string JoinHostPort(std::string_view host, std::int64_t port);
std::string LoadBalancerAddresses(const Value& load_balancer);  // sorted
bool HasCondition(const Value& conditions, std::string_view type, std::string_view status = "True");
void AddContainers(Row& row, const Value& pod_spec);            // names, images

}  // namespace skerry::kube::printer
