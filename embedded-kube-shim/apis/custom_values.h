#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "embedded-kube-shim/api/custom_schema.h"
#include "embedded-kube-shim/api/field_error.h"

// Validation of custom resources against their schema, with the paths and words of the OpenAPI validator that clients know.
namespace skerry::kube {

// `old` null: a new object. On update, what is invalid and unchanged is let through. `prefix` is the path of `value` ("" = the object).
void ValidateCustomValue(const CustomNode& node, std::string_view prefix, const json::Value& value, const json::Value* old, FieldErrors& errors);
// Embedded objects: type and metadata.
void ValidateEmbedded(const CustomNode& root, const json::Value& object, FieldErrors& errors);
void ValidateEmbeddedObject(const json::Value& object, const std::string& path, FieldErrors& errors);
// Duplicates in lists that are sets or maps.
void ValidateUniqueItems(const CustomNode& root, const json::Value& object, FieldErrors& errors);
// How a value is shown in a message.
std::string RenderValue(const json::Value& value);

// A text format by its OpenAPI name; true for formats that are not checked.
bool MatchesTextFormat(std::string_view format, std::string_view text);
bool IsTextFormat(std::string_view format);

}  // namespace skerry::kube
