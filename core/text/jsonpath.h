#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/result.h"
#include "core/json/value.h"

namespace skerry::text {

// The part of JSONPath that selects: .name, ..name, ['name'], [0], [-1], [1:3:2], [*], .*, ['a','b'] and filters [?(@.type=="Ready")] with
// ==, !=, <, <=, >, >= against a literal or a path (or bare existence). A leading "$" or "@" and surrounding braces may be left out.
// Immutable; share between threads.
class JsonPath {
 public:
  static Result<JsonPath> Parse(std::string_view text);   // kBadRequest says where it is wrong
  // The values it selects, in document order; they point into `document`.
  std::vector<const json::Value*> Find(const json::Value& document) const;

 private:
  struct Name { std::string name; };
  struct Any {};
  struct Descend {};
  struct Range { std::int64_t from = 0, to = 0, step = 1; bool has_from = false, has_to = false, single = false; };
  struct Names { std::vector<std::string> names; };
  struct Filter { std::shared_ptr<const JsonPath> left, right; json::Value literal; std::string op; };   // op "" = exists; right null = literal
  using Step = std::variant<Name, Any, Descend, Range, Names, std::shared_ptr<const Filter>>;
  class Parser;

  static void Apply(const Step& step, const json::Value& value, std::vector<const json::Value*>& out);
  static bool Passes(const Filter& filter, const json::Value& item);

  std::vector<Step> steps_;
};

}  // namespace skerry::text
