#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/result.h"

// Label and field selectors in the notation of query strings: "app in (web,db),!canary,tier!=x,num>3" and "metadata.name=a,status.phase!=Failed".
namespace skerry::text {

// Finds a label's or field's value; nothing when it is absent.
using Lookup = std::function<std::optional<std::string_view>(std::string_view key)>;

struct Requirement {
  enum class Op : std::uint8_t { kIn, kNotIn, kEquals, kNotEquals, kExists, kAbsent, kGreater, kLess };
  std::string key;
  Op op;
  std::vector<std::string> values;   // sorted, unique; one for kEquals, kNotEquals, kGreater, kLess; none for kExists, kAbsent
  bool Matches(std::optional<std::string_view> value) const;   // kNotIn and kNotEquals match an absent label
};

class LabelSelector {
 public:
  // kBadRequest in the API's words, e.g. "unable to parse requirement: found '=', expected: identifier". The empty text selects everything.
  static Result<LabelSelector> Parse(std::string_view text);
  // Checks like Parse; `requirements` keep their order.
  static Result<LabelSelector> Create(std::vector<Requirement> requirements);

  bool empty() const { return requirements_.empty(); }
  const std::vector<Requirement>& requirements() const { return requirements_; }
  bool Matches(const Lookup& labels) const;
  // Requirements sorted by key: "a=b,c in (d,e),!f"
  std::string Text() const;

 private:
  std::vector<Requirement> requirements_;
};

// One term of a field selector; `value` is unescaped.
struct FieldTerm {
  std::string field, value;
  bool equals = true;   // false: must differ
};

// kBadRequest in the API's words ("invalid selector: 'x'; can't understand 'x'"). Which fields are known is the caller's knowledge.
Result<std::vector<FieldTerm>> ParseFieldSelector(std::string_view text);
bool Matches(const std::vector<FieldTerm>& terms, const Lookup& fields);   // an absent field has the value ""
std::string FieldSelectorText(const std::vector<FieldTerm>& terms);        // with escapes

// What is wrong with a label key or value, in the API's words; empty when nothing is.
std::vector<std::string> CheckLabelKey(std::string_view key);
std::vector<std::string> CheckLabelValue(std::string_view value);

}  // namespace skerry::text
