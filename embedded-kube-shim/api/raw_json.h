#pragma once
#include "core/json/layout.h"
#include "embedded-kube-shim/api/schema.h"

// Raw JSON inside of typed objects (RawExtension, JSON): upstream keeps its bytes. Documents for types that can hold some are parsed with notes
// of how they were written (core/json/layout.h), and stored by them.
namespace skerry::kube {

bool HoldsRawJson(SchemaPtr schema);

// Which notes stay: those of raw values as they are; of raw values what is left when a document was written anew by JSON's own rules, numbers;
// or none, as after a strategic merge or an apply.
enum class Layout : std::uint8_t { kKeepRaw, kForgetSpaces, kForget };
void ForgetLayout(SchemaPtr schema, json::Value& value, Layout layout);

// JSON text of an object of the type, raw values as they were written.
void DumpTyped(SchemaPtr schema, const json::Value& value, std::string& out);

}  // namespace skerry::kube
