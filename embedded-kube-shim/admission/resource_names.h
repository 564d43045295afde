#pragma once
#include <string>
#include <string_view>

#include "core/base/strings.h"

namespace skerry::kube {

// Why a client library refuses to ask for an object of that name ("may not contain '/'"); empty = it asks.
inline std::string UnaskableName(std::string_view name) {
  if (name == "." || name == "..") return Cat("may not be '", name, "'");
  std::string out;
  for (const char c : {'/', '%'})
    if (name.find(c) != name.npos) out += Cat(out.empty() ? "" : " ", "may not contain '", std::string_view(&c, 1), "'");
  return out.empty() ? out : Cat("invalid resource name ", Quote(name), ": [", out, "]");
}

}  // namespace skerry::kube
