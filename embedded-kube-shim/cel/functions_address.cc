#include <algorithm>
#include <array>
#include <expected>

#include "core/base/strings.h"
#include "embedded-kube-shim/cel/functions.h"

// Internet addresses and networks, with the parse errors that clients know from Go's netip.
namespace skerry::kube::cel {
namespace {

struct Address {
  bool is_v4 = false;
  std::array<std::uint8_t, 16> bytes{};   // v4: the first four
  std::string zone;
  auto operator<=>(const Address&) const = default;
  int bits() const { return is_v4 ? 32 : 128; }
  bool IsMapped() const {
    constexpr std::uint8_t kPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return !is_v4 && std::equal(kPrefix, kPrefix + 12, bytes.begin());
  }
};

using Parsed = std::expected<Address, std::string>;
std::unexpected<std::string> Bad(std::string_view whole, std::string_view why, std::string_view at = {}) {
  std::string out = Cat("ParseAddr(", Quote(whole), "): ", why);
  if (!at.empty()) out += Cat(" (at ", Quote(at), ")");
  return std::unexpected(std::move(out));
}

// Four decimal fields into out[0..3].
std::expected<void, std::string> FieldsV4(std::string_view whole, std::string_view text, std::uint8_t* out) {
  int value = 0, fields = 0, digits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c >= '0' && c <= '9') {
      if (digits == 1 && value == 0) return Bad(whole, "IPv4 field has octet with leading zero");
      value = value * 10 + (c - '0');
      ++digits;
      if (value > 255) return Bad(whole, "IPv4 field has value >255");
    } else if (c == '.') {
      if (i == 0 || i == text.size() - 1 || text[i - 1] == '.') return Bad(whole, "IPv4 field must have at least one digit", text.substr(i));
      if (fields == 3) return Bad(whole, "IPv4 address too long");
      out[fields++] = static_cast<std::uint8_t>(value);
      value = digits = 0;
    } else {
      return Bad(whole, "unexpected character", text.substr(i));
    }
  }
  if (fields < 3) return Bad(whole, "IPv4 address too short");
  out[3] = static_cast<std::uint8_t>(value);
  return {};
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

Parsed ParseV6(std::string_view whole) {
  Address out;
  std::string_view rest = whole;
  if (const std::size_t percent = rest.find('%'); percent != std::string_view::npos) {
    out.zone = rest.substr(percent + 1);
    rest = rest.substr(0, percent);
    if (out.zone.empty()) return Bad(whole, "zone must be a non-empty string");
  }
  int ellipsis = -1;
  std::size_t filled = 0;
  if (rest.starts_with("::")) {
    ellipsis = 0;
    rest.remove_prefix(2);
    if (rest.empty()) return out;
  }
  while (filled < 16) {
    std::size_t n = 0;
    unsigned group = 0;
    for (; n < rest.size() && HexDigit(rest[n]) >= 0; ++n) {
      group = group << 4 | static_cast<unsigned>(HexDigit(rest[n]));
      if (n > 3) return Bad(whole, "each group must have 4 or less digits", rest);
    }
    if (n == 0) return Bad(whole, "each colon-separated field must have at least one digit", rest);
    if (n < rest.size() && rest[n] == '.') {
      if (ellipsis < 0 && filled != 12) return Bad(whole, "embedded IPv4 address must replace the final 2 fields of the address", rest);
      if (filled + 4 > 16) return Bad(whole, "too many hex fields to fit an embedded IPv4 at the end of the address", rest);
      if (auto ok = FieldsV4(whole, rest, out.bytes.data() + filled); !ok) return std::unexpected(ok.error());
      rest = {};
      filled += 4;
      break;
    }
    out.bytes[filled++] = static_cast<std::uint8_t>(group >> 8);
    out.bytes[filled++] = static_cast<std::uint8_t>(group);
    rest.remove_prefix(n);
    if (rest.empty()) break;
    if (rest[0] != ':') return Bad(whole, "unexpected character, want colon", rest);
    if (rest.size() == 1) return Bad(whole, "colon must be followed by more characters", rest);
    rest.remove_prefix(1);
    if (rest[0] != ':') continue;
    if (ellipsis >= 0) return Bad(whole, "multiple :: in address", rest);
    ellipsis = static_cast<int>(filled);
    rest.remove_prefix(1);
    if (rest.empty()) break;
  }
  if (!rest.empty()) return Bad(whole, "trailing garbage after address", rest);
  if (filled < 16) {
    if (ellipsis < 0) return Bad(whole, "address string too short");
    const auto from = out.bytes.begin() + ellipsis;
    std::move_backward(from, out.bytes.begin() + static_cast<std::ptrdiff_t>(filled), out.bytes.end());
    std::fill(from, from + static_cast<std::ptrdiff_t>(16 - filled), std::uint8_t{0});
  } else if (ellipsis >= 0) {
    return Bad(whole, "the :: must expand to at least one field of zeros");
  }
  return out;
}

Parsed ParseAddress(std::string_view text) {
  for (const char c : text) {
    if (c == '.') {
      Address out;
      out.is_v4 = true;
      if (auto ok = FieldsV4(text, text, out.bytes.data()); !ok) return std::unexpected(ok.error());
      return out;
    }
    if (c == ':') return ParseV6(text);
    if (c == '%') return Bad(text, "missing IPv6 address");
  }
  return Bad(text, "unable to parse IP");
}

std::string AddressText(const Address& a) {
  if (a.is_v4) return Cat(int{a.bytes[0]}, ".", int{a.bytes[1]}, ".", int{a.bytes[2]}, ".", int{a.bytes[3]});
  std::array<unsigned, 8> groups{};
  for (std::size_t i = 0; i < 8; ++i) groups[i] = static_cast<unsigned>(a.bytes[2 * i]) << 8 | a.bytes[2 * i + 1];
  std::size_t best = 8, best_length = 1;   // the longest run of at least two zero groups becomes ::
  for (std::size_t i = 0; i < 8; ++i) {
    std::size_t n = 0;
    while (i + n < 8 && groups[i + n] == 0) ++n;
    if (n > best_length) best = i, best_length = n;
  }
  std::string out;
  for (std::size_t i = 0; i < 8; ++i) {
    if (i == best) {
      out += "::";
      i += best_length - 1;
      continue;
    }
    if (!out.empty() && !out.ends_with(':')) out += ':';
    char digits[8];
    out.append(digits, static_cast<std::size_t>(std::snprintf(digits, sizeof digits, "%x", groups[i])));
  }
  return out;
}

struct Network { Address address; int bits = 0; };

std::expected<Network, std::string> ParseNetwork(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    constexpr std::string_view kWhere = "network address parse error during conversion from string: ";
    return std::unexpected(Cat(kWhere, kWhere, "netip.ParsePrefix(", Quote(text), "): ", why));
  };
  const std::size_t slash = text.rfind('/');
  if (slash == std::string_view::npos) return bad("no '/'");
  auto address = ParseAddress(text.substr(0, slash));
  if (!address) return bad(address.error());
  if (!address->zone.empty()) return bad("IPv6 zones cannot be present in a prefix");
  const std::string_view bits_text = text.substr(slash + 1);
  const bool leading = bits_text.size() > 1 && (bits_text[0] < '1' || bits_text[0] > '9');
  const auto bits = leading ? std::nullopt : ParseUint(bits_text);
  if (!bits) return bad(Cat("bad bits after slash: ", Quote(bits_text)));
  if (*bits > static_cast<std::uint64_t>(address->bits())) return bad("prefix length out of range");
  if (address->IsMapped()) return std::unexpected(Cat("network address parse error during conversion from string: IPv4-mapped IPv6 address ", Quote(text), " is not allowed"));
  return Network{*address, static_cast<int>(*bits)};
}

Address Masked(const Address& address, int bits) {
  Address out = address;
  for (int i = bits; i < address.bits(); ++i) out.bytes[static_cast<std::size_t>(i / 8)] &= static_cast<std::uint8_t>(~(0x80 >> i % 8));
  return out;
}

class IpVal : public Opaque {
 public:
  explicit IpVal(Address a) : address(std::move(a)) {}
  std::string_view type_name() const override { return "net.IP"; }
  bool Equal(const Opaque& o) const override { return address == static_cast<const IpVal&>(o).address; }
  std::optional<std::string> Text() const override { return AddressText(address); }
  const Address address;
};

class CidrVal : public Opaque {
 public:
  explicit CidrVal(Network n) : network(std::move(n)) {}
  std::string_view type_name() const override { return "net.CIDR"; }
  bool Equal(const Opaque& o) const override {
    const Network& other = static_cast<const CidrVal&>(o).network;
    return network.bits == other.bits && network.address == other.address;
  }
  std::optional<std::string> Text() const override { return Cat(AddressText(network.address), "/", network.bits); }
  const Network network;
};

const Address& AddressOf(const Val& v) { return static_cast<const IpVal&>(v.opaque()).address; }
const Network& NetworkOf(const Val& v) { return static_cast<const CidrVal&>(v.opaque()).network; }
Val Make(Address a) { return Val::Of(std::unique_ptr<const Opaque>(new IpVal(std::move(a)))); }
Val Make(Network n) { return Val::Of(std::unique_ptr<const Opaque>(new CidrVal(std::move(n)))); }

std::expected<Address, std::string> PlainAddress(std::string_view text) {
  auto address = ParseAddress(text);
  if (!address) return std::unexpected(Cat("IP Address ", Quote(text), " parse error during conversion from string: ", address.error()));
  if (!address->zone.empty()) return std::unexpected(Cat("IP address ", Quote(text), " with zone value is not allowed"));
  if (address->IsMapped()) return std::unexpected(Cat("IPv4-mapped IPv6 address ", Quote(text), " is not allowed"));
  return *address;
}

Val Ip(const CallSite&, Args a) {
  auto address = PlainAddress(a[0].text());
  return address ? Make(std::move(*address)) : Val::Error(std::move(address).error());
}
Val IsIp(const CallSite&, Args a) { return Val::Bool(PlainAddress(a[0].text()).has_value()); }
Val IsCanonical(const CallSite&, Args a) {
  const auto address = PlainAddress(a[0].text());
  return address ? Val::Bool(AddressText(*address) == a[0].text()) : Val::Error(address.error());
}
Val OpaqueText(const CallSite&, Args a) { return Val::String(*a[0].opaque().Text()); }
Val Family(const CallSite&, Args a) { return Val::Int(AddressOf(a[0]).is_v4 ? 4 : 6); }

bool IsUnspecified(const Address& a) { return std::ranges::all_of(a.bytes, [](std::uint8_t b) { return b == 0; }); }
bool IsLoopback(const Address& a) {
  if (a.is_v4) return a.bytes[0] == 127;
  return a.bytes[15] == 1 && std::all_of(a.bytes.begin(), a.bytes.end() - 1, [](std::uint8_t b) { return b == 0; });
}
bool IsMulticast(const Address& a) { return a.is_v4 ? (a.bytes[0] & 0xf0) == 0xe0 : a.bytes[0] == 0xff; }
bool IsLinkLocalMulticast(const Address& a) { return a.is_v4 ? a.bytes[0] == 224 && a.bytes[1] == 0 && a.bytes[2] == 0 : a.bytes[0] == 0xff && (a.bytes[1] & 0x0f) == 2; }
bool IsLinkLocalUnicast(const Address& a) { return a.is_v4 ? a.bytes[0] == 169 && a.bytes[1] == 254 : a.bytes[0] == 0xfe && (a.bytes[1] & 0xc0) == 0x80; }
bool IsGlobalUnicast(const Address& a) {
  const bool broadcast = a.is_v4 && std::all_of(a.bytes.begin(), a.bytes.begin() + 4, [](std::uint8_t b) { return b == 255; });
  return !broadcast && !IsUnspecified(a) && !IsLoopback(a) && !IsMulticast(a) && !IsLinkLocalUnicast(a);
}

template <bool (*test)(const Address&)>
Val Test(const CallSite&, Args a) { return Val::Bool(test(AddressOf(a[0]))); }

Val Cidr(const CallSite&, Args a) {
  auto network = ParseNetwork(a[0].text());
  return network ? Make(std::move(*network)) : Val::Error(std::move(network).error());
}
Val IsCidr(const CallSite&, Args a) { return Val::Bool(ParseNetwork(a[0].text()).has_value()); }

bool Holds(const Network& network, const Address& address) {
  return network.address.is_v4 == address.is_v4 && Masked(address, network.bits) == Masked(network.address, network.bits);
}
bool Holds(const Network& network, const Network& inner) { return inner.bits >= network.bits && Holds(network, inner.address); }

Val ContainsIp(const CallSite&, Args a) { return Val::Bool(Holds(NetworkOf(a[0]), AddressOf(a[1]))); }
Val ContainsIpText(const CallSite&, Args a) {
  const auto address = PlainAddress(a[1].text());
  return address ? Val::Bool(Holds(NetworkOf(a[0]), *address)) : Val::Error("no such overload");
}
Val ContainsCidr(const CallSite&, Args a) { return Val::Bool(Holds(NetworkOf(a[0]), NetworkOf(a[1]))); }
Val ContainsCidrText(const CallSite&, Args a) {
  const auto network = ParseNetwork(a[1].text());
  return network ? Val::Bool(Holds(NetworkOf(a[0]), *network)) : Val::Error(network.error());
}
Val CidrIp(const CallSite&, Args a) { return Make(NetworkOf(a[0]).address); }
Val CidrMasked(const CallSite&, Args a) {
  const Network& network = NetworkOf(a[0]);
  return Make(Network{Masked(network.address, network.bits), network.bits});
}
Val PrefixLength(const CallSite&, Args a) { return Val::Int(NetworkOf(a[0]).bits); }

constexpr FunctionRow kAddresses[] = {
    {"ip", "string_to_ip", "(string) -> net.IP", Ip},
    {"ip", "cidr_ip", "net.CIDR.() -> net.IP", CidrIp},
    {"isIP", "is_ip", "(string) -> bool", IsIp},
    {"ip.isCanonical", "ip_is_canonical", "(string) -> bool", IsCanonical},
    {"string", "ip_to_string", "(net.IP) -> string", OpaqueText},
    {"string", "cidr_to_string", "(net.CIDR) -> string", OpaqueText},
    {"family", "ip_family", "net.IP.() -> int", Family},
    {"isUnspecified", "ip_is_unspecified", "net.IP.() -> bool", Test<IsUnspecified>},
    {"isLoopback", "ip_is_loopback", "net.IP.() -> bool", Test<IsLoopback>},
    {"isLinkLocalMulticast", "ip_is_link_local_multicast", "net.IP.() -> bool", Test<IsLinkLocalMulticast>},
    {"isLinkLocalUnicast", "ip_is_link_local_unicast", "net.IP.() -> bool", Test<IsLinkLocalUnicast>},
    {"isGlobalUnicast", "ip_is_global_unicast", "net.IP.() -> bool", Test<IsGlobalUnicast>},
    {"cidr", "string_to_cidr", "(string) -> net.CIDR", Cidr},
    {"isCIDR", "is_cidr", "(string) -> bool", IsCidr},
    {"containsIP", "cidr_contains_ip_ip", "net.CIDR.(net.IP) -> bool", ContainsIp},
    {"containsIP", "cidr_contains_ip_string", "net.CIDR.(string) -> bool", ContainsIpText},
    {"containsCIDR", "cidr_contains_cidr", "net.CIDR.(net.CIDR) -> bool", ContainsCidr},
    {"containsCIDR", "cidr_contains_cidr_string", "net.CIDR.(string) -> bool", ContainsCidrText},
    {"masked", "cidr_masked", "net.CIDR.() -> net.CIDR", CidrMasked},
    {"prefixLength", "cidr_prefix_length", "net.CIDR.() -> int", PrefixLength},
};

}  // namespace

void AddAddresses(Library& library) {
  library.Add(kAddresses);
  library.AddTypeName("net.IP", OpaqueType("net.IP"));
  library.AddTypeName("net.CIDR", OpaqueType("net.CIDR"));
}

}  // namespace skerry::kube::cel
