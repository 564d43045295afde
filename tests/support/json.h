#pragma once
#include <stdexcept>
#include <string>
#include <string_view>

#include "core/json/value.h"

namespace skerry::testing {

// The value a test wrote down as text. Throws when the text is no JSON: unlike an assertion, that may happen on any thread.
inline json::Value Json(std::string_view text) {
  json::Value value;
  std::string error;
  if (!json::Value::Parse(text, &value, &error)) throw std::invalid_argument(error + " in " + std::string(text));
  return value;
}

}  // namespace skerry::testing
