#pragma once
#include <string>
#include <string_view>

namespace skerry::http {

// RFC 1952, at the fastest level: for bodies that are made once and sent once. Empty when there is no memory for it: send the body as it is.
std::string Gzip(std::string_view body);
// The other way. Empty when it is no gzip stream, is damaged, or would be longer than `limit` bytes.
std::string Gunzip(std::string_view packed, std::size_t limit);

}  // namespace skerry::http
