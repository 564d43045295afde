#include "core/netlink/address.h"

#include "core/base/strings.h"

namespace skerry::netlink {

std::string Ipv4::ToString() const { return Cat(value >> 24, '.', (value >> 16) & 255, '.', (value >> 8) & 255, '.', value & 255); }

void Ipv4::AppendWire(std::string& out) const {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
}

Ipv4 Ipv4::FromWire(const char* p) {
  Ipv4 out;
  for (int i = 0; i < 4; ++i) out.value = out.value << 8 | static_cast<std::uint8_t>(p[i]);
  return out;
}

Result<Ipv4> Ipv4::Parse(std::string_view text) {
  Ipv4 out;
  const auto parts = Split(text, '.');
  bool good = parts.size() == 4;
  for (std::string_view part : parts) {
    const auto n = ParseUint(part);
    if (!n || *n > 255 || part.size() > 3 || (part.size() > 1 && part[0] == '0') || part[0] == '+') {
      good = false;
      break;
    }
    out.value = out.value << 8 | static_cast<std::uint32_t>(*n);
  }
  if (!good) return Fail(Code::kInvalid, Cat("not an IPv4 address: ", Quote(text)));
  return out;
}

std::string Ipv4Range::ToString() const { return Cat(base.ToString(), '/', prefix); }

Result<Ipv4Range> Ipv4Range::Parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto bits = slash == std::string_view::npos ? std::nullopt : ParseUint(text.substr(slash + 1));
  if (!bits || *bits > 32) return Fail(Code::kInvalid, Cat("not an IPv4 range: ", Quote(text)));
  Ipv4Range out;
  TRY(out.base, Ipv4::Parse(text.substr(0, slash)));
  out.prefix = static_cast<unsigned>(*bits);
  if ((out.base.value & ~out.mask()) != 0) return Fail(Code::kInvalid, Cat("range with host bits set: ", Quote(text)));
  return out;
}

}  // namespace skerry::netlink
