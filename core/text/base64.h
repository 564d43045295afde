#pragma once
#include <string>
#include <string_view>

#include "core/base/result.h"

// RFC 4648. Decoding is strict: no white space, no missing or surplus padding, no stray bits in the last character.
namespace skerry::text {

std::string Base64(std::string_view bytes);                 // padded
Result<std::string> FromBase64(std::string_view text);      // kBadRequest: "illegal base64 data at input byte N"
// Where Go's decoder gives up on standard base64 (it skips line breaks); npos = it does not.
std::size_t Base64ProblemAt(std::string_view text);
std::string Base64Url(std::string_view bytes);              // URL alphabet, no padding
Result<std::string> FromBase64Url(std::string_view text);   // without padding
std::string Hex(std::string_view bytes);                    // lower case
Result<std::string> FromHex(std::string_view text);         // either case, even length

}  // namespace skerry::text
