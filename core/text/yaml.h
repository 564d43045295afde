#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/json/value.h"

// YAML as Kubernetes clients and servers use it: YAML 1.1 scalars (yes/no/on/off are booleans, 0x and leading-0 octal numbers,
// underscores in numbers, ~ is null, timestamps stay text), merge keys, anchors; mapping keys become JSON text keys.
namespace skerry::text {

struct YamlDuplicate {
  int line = 0;       // of the value, from 1
  std::string key;    // as it is printed in messages, quoted
  std::string Text() const;   // `line 6: key "data" already set in map`
};

struct YamlOptions {
  std::size_t max_bytes = 16u << 20;
  int max_depth = 512;
  std::size_t max_alias_bytes = 4u << 20;              // approximate memory that anchors and aliases may copy
  std::vector<YamlDuplicate>* duplicates = nullptr;    // receives repeated keys; the last value wins either way
};

// The first document; an empty text is null. kBadRequest: "yaml: line 3: mapping values are not allowed in this context"; kTooLarge.
Result<json::Value> ParseYaml(std::string_view text, const YamlOptions& options = {});
// Every document of the stream, empty ones included as null.
Result<std::vector<json::Value>> ParseYamlStream(std::string_view text, const YamlOptions& options = {});

// As kubectl prints: keys in natural order, indentation 2, sequences not indented below their key, block text for lines, lines folded at 80.
std::string ToYaml(const json::Value& value);

}  // namespace skerry::text
