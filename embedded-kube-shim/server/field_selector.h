#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "embedded-kube-shim/api/resource_def.h"
#include "embedded-kube-shim/cache/item.h"

namespace skerry::kube {

// Comma-separated field=value, ==, != terms; values may escape with a backslash.
class FieldSelector {
 public:
  struct Term {
    std::string field, value;
    bool equal = true;
  };
  // Errors: 400 in upstream's words; a field that the kind cannot select by is refused.
  static Result<FieldSelector> Parse(std::string_view text, const ResourceDef& def, std::string_view version);
  bool empty() const { return terms_.empty(); }
  bool Matches(const Item& item) const;
  // Whether it reads more than the metadata: then the object has to be in the version that was asked for.
  bool ReadsBody() const;
  // The value of metadata.name= (or namespace) that every match must have; empty = none.
  std::string_view Required(std::string_view field) const;

 private:
  std::vector<Term> terms_;
};

}  // namespace skerry::kube
