#pragma once
#include <nlohmann/json.hpp>

#include "core/json/value.h"

// Between the document of the house and nlohmann::json, for tests and tools. Repeated keys: the last one wins.
namespace skerry::json {

nlohmann::json ToNlohmann(const Value& value);
Value FromNlohmann(const nlohmann::json& value);

}  // namespace skerry::json
