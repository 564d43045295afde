#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/json/value.h"

// RFC 8259, as Go's encoding/json reads it: invalid UTF-8 and lone surrogates become U+FFFD, the last of equal keys wins (in the place of
// the first). Integers without fraction and exponent are exact within int64 and uint64; other numbers are doubles.
namespace skerry::json {

struct ParseOptions {
  std::size_t max_bytes = std::size_t{256} << 20;
  int max_depth = 512;
  // Receives the path of every repeated key ("spec.containers[0].image"), each once, at most 100.
  std::vector<std::string>* duplicates = nullptr;
  // Repeated members all stay in the document, for a decoder that judges them itself (Find sees the first). No report then.
  bool keep_duplicates = false;
  // For text that is known to be JSON: members of these names, wherever they are, are passed over and not kept.
  const class NameSet* skip = nullptr;
};

// A few names, looked up fast.
class NameSet {
 public:
  NameSet(std::initializer_list<std::string_view> names) : names_(names) {
    for (const auto name : names) mask_ |= BitOf(name);
  }
  bool Has(std::string_view name) const {
    if (!(mask_ & BitOf(name))) return false;
    for (const auto n : names_) {
      if (n == name) return true;
    }
    return false;
  }

 private:
  static constexpr std::uint64_t BitOf(std::string_view name) { return name.empty() ? 1 : std::uint64_t{1} << ((name.size() * 7 + static_cast<unsigned char>(name[0])) & 63); }
  std::vector<std::string_view> names_;
  std::uint64_t mask_ = 0;
};

// kBadRequest in Go's words, so that a wire may pass them on: "invalid character 'b' looking for beginning of object key string",
// "unexpected end of JSON input", "exceeded max depth", "json: cannot unmarshal number 1e999 into Go value of type float64";
// kTooLarge beyond max_bytes.
Result<Value> Parse(std::string_view text, const ParseOptions& options = {});

}  // namespace skerry::json
