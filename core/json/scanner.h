#pragma once
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

// Looks into JSON bytes without building anything. Made for bytes that were written by us: on malformed input the answer is unspecified
// (mostly "nothing"), but no call reads outside the text, recurses or allocates (except where a std::string is returned).
namespace skerry::json {

struct RawValue {
  std::size_t offset = 0, size = 0;   // of the value's bytes in the text that was searched
  std::string_view In(std::string_view text) const { return text.substr(offset, size); }
};

// The value at a path of member names, e.g. {"metadata", "resourceVersion"}.
std::optional<RawValue> FindRaw(std::string_view text, std::initializer_list<std::string_view> path);

// Each member of the object that `text` is. `key` is raw (escapes kept). Stops when `visit` returns false. False when `text` is no object.
bool ForEachMember(std::string_view text, const std::function<bool(std::string_view key, RawValue value)>& visit);
// Each item of the array that `text` is.
bool ForEachItem(std::string_view text, const std::function<bool(RawValue item)>& visit);

// The text of a raw string literal, decoded; nothing when it is no string.
std::optional<std::string> DecodeString(std::string_view raw);
// The same without a copy; nothing also when it has escapes.
std::optional<std::string_view> PlainString(std::string_view raw);

}  // namespace skerry::json
