#pragma once
#include "embedded-kube-shim/api/codec.h"

// Bodies and documents of custom resources. Private to embedded-kube-shim/api.
namespace skerry::kube {

Result<Decoded> DecodeCustomBody(const GroupVersionKind& expected, SchemaPtr schema, Encoding encoding, std::string_view body);
Result<Decoded> DecodeCustomValue(SchemaPtr schema, json::Value document);

}  // namespace skerry::kube
