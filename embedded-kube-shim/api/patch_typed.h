#pragma once
#include <optional>
#include <string>

#include "core/json/value.h"
#include "embedded-kube-shim/api/schema.h"

namespace skerry::kube {

// Why a patched document cannot become an object of the schema, in the words of upstream's converter from untyped maps
// ("cannot restore map from string"); these differ from those of the JSON decoder. Unknown fields are no problem here. Null = convertible.
std::optional<std::string> TypedConversionProblem(SchemaPtr schema, const json::Value& document);

}  // namespace skerry::kube
