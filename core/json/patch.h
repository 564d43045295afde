#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/json/value.h"

// RFC 6901 pointers, RFC 6902 JSON Patch, RFC 7386 JSON Merge Patch, with the liberties that API clients rely on (see ApplyPatch).
namespace skerry::json {

using Pointer = std::vector<std::string>;   // unescaped segments; empty = the whole document

Result<Pointer> ParsePointer(std::string_view text);   // "" or "/a/b~1c"; a "~" before anything but 0 and 1 stands for itself
std::string PointerText(const Pointer& pointer);
// Null when there is nothing. An index is decimal digits without leading zero.
const Value* Resolve(const Value& document, const Pointer& pointer);

struct PatchOptions {
  std::size_t max_operations = 10'000;
  std::size_t max_copy_bytes = 3u << 20;   // what all "copy" operations together may copy
  int max_depth = 512;                     // of what the patch may build
  // How messages name the type of one operation; clients of some APIs know a certain one.
  std::string_view type_name = "json.Operation";
};

// A patch document: kBadRequest for malformed text or shapes ("json: cannot unmarshal object into Go value of type []json.Operation"),
// kTooLarge beyond max_operations ("The allowed maximum operations in a JSON patch is 10000, got 10001").
Result<Value> ParsePatch(std::string_view text, const PatchOptions& options = {});

// Applies every operation or none. What `document` shares with another (core/json/share.h) is still shared afterwards where it has not moved. kInvalid names the operation that cannot be applied. `patch` must come from ParsePatch (or be null: no
// operation). Beyond the RFC: "replace" of an absent member adds it; "test" of an absent member against null holds; an absent "value" is null;
// a negative index counts from the end.
Result<Value> ApplyPatch(Value document, const Value& patch, const PatchOptions& options = {});

// RFC 7386. Never fails; a patch that is no object replaces the target.
Value MergePatch(Value target, const Value& patch);
// The merge patch that leads from one object to another. Explicit nulls inside `to` cannot be expressed and are left out.
Value CreateMergePatch(const Value& from, const Value& to);

int Depth(const Value& value);   // 1 for scalars

}  // namespace skerry::json
