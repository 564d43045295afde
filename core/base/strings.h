#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace skerry {

struct StringHash {   // heterogeneous look-up in unordered containers
  using is_transparent = void;
  std::size_t operator()(std::string_view s) const noexcept { return std::hash<std::string_view>{}(s); }
};

std::vector<std::string_view> Split(std::string_view text, char separator);   // "" gives one empty piece
std::string Join(const std::vector<std::string>& parts, std::string_view separator);
std::string_view Trim(std::string_view text);                                 // ASCII white space
std::string ToLower(std::string_view text);                                   // ASCII
bool EqualsIgnoreCase(std::string_view a, std::string_view b);                // ASCII
std::optional<std::int64_t> ParseInt(std::string_view text);                  // whole text, decimal
std::optional<std::uint64_t> ParseUint(std::string_view text);
std::string Quote(std::string_view text);                                     // as Go's %q prints it
template <class... T>
std::string Cat(const T&... parts);                                           // strings, characters and integers

namespace internal {
void CatPiece(std::string& out, std::string_view s);
inline void CatPiece(std::string& out, char c) { out += c; }
inline void CatPiece(std::string& out, const char* s) { out += s; }
inline void CatPiece(std::string& out, const std::string& s) { out += s; }
template <class N>
  requires(std::is_integral_v<N> && !std::is_same_v<N, char> && !std::is_same_v<N, bool>)
void CatPiece(std::string& out, N n) { out += std::to_string(n); }
}  // namespace internal

template <class... T>
std::string Cat(const T&... parts) {
  std::string out;
  (internal::CatPiece(out, parts), ...);
  return out;
}

}  // namespace skerry
