#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace skerry::proxy {

// Looks into the first bytes of a TLS connection (RFC 8446, RFC 6066) without ending it.
struct Sni {
  enum class State { kIncomplete, kNone, kFound } state = State::kIncomplete;   // kNone: no name, or no TLS at all
  std::string name;                                                             // lower case
};
inline constexpr std::size_t kMaxClientHello = 16 << 10;   // a longer one counts as kNone
Sni ReadSni(std::string_view bytes);

}  // namespace skerry::proxy
