#include <arpa/inet.h>

#include <cstring>

#include "core/base/strings.h"
#include "embedded-kube-shim/apis/formats.h"

namespace skerry::kube::format {
namespace {

// Four decimal numbers; upstream's lenient parser allows leading zeros, which many systems read as octal.
std::string ParseIpv4(std::string_view s, bool strict) {
  std::string out;
  for (std::string_view part : Split(s, '.')) {
    if (part.empty() || part.size() > 12 || part.find_first_not_of("0123456789") != part.npos) return "";
    if (strict && part.size() > 1 && part[0] == '0') return "";
    const auto number = ParseInt(part);
    if (!number || *number > 255) return "";
    out += static_cast<char>(*number);
  }
  return out.size() == 4 ? out : "";
}

bool IsMapped(std::string_view ip) {
  static constexpr char kPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '\xff', '\xff'};
  return ip.size() == 16 && std::memcmp(ip.data(), kPrefix, 12) == 0;
}

std::string Canonical(const std::string& ip) {
  char text[INET6_ADDRSTRLEN];
  const bool v4 = ip.size() == 4 || IsMapped(ip);
  inet_ntop(v4 ? AF_INET : AF_INET6, ip.data() + (ip.size() == 16 && v4 ? 12 : 0), text, sizeof text);
  return text;
}

constexpr const char* kNoIp = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
constexpr const char* kNoCidr = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
constexpr const char* kNoInterface = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)";

struct Network { std::string ip; int bits = -1; };   // bits < 0: no network

Network ParseNetwork(std::string_view s, bool strict) {
  const auto slash = s.find('/');
  if (slash == s.npos) return {};
  Network out{ParseIp(s.substr(0, slash), strict), -1};
  const std::string_view bits = s.substr(slash + 1);
  if (out.ip.empty() || bits.empty() || bits.size() > 8 || bits.find_first_not_of("0123456789") != bits.npos) return {};
  if (strict && bits.size() > 1 && bits[0] == '0') return {};
  const auto number = ParseInt(bits).value_or(999);
  if (number > static_cast<std::int64_t>(out.ip.size()) * 8) return {};
  out.bits = static_cast<int>(number);
  return out;
}

std::string Masked(const Network& network) {
  std::string out = network.ip;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const int keep = std::clamp(network.bits - static_cast<int>(i) * 8, 0, 8);
    out[i] = static_cast<char>(static_cast<unsigned char>(out[i]) & (0xff00 >> keep));
  }
  return out;
}

}  // namespace

std::string ParseIp(std::string_view s, bool strict) {
  if (s.find(':') == s.npos) return ParseIpv4(s, strict);
  unsigned char bytes[16];
  std::string text(s);
  // The lenient parser takes leading zeros in an embedded IPv4 part, too; inet_pton is strict about both.
  if (text.size() > 60 || inet_pton(AF_INET6, text.c_str(), bytes) != 1) return "";
  return std::string(reinterpret_cast<const char*>(bytes), 16);
}

bool IsIpv6(std::string_view s) { return s.find(':') != s.npos; }

Messages Ip(std::string_view s) {
  const std::string ip = ParseIp(s, false);
  if (ip.empty()) return {kNoIp};
  Messages out;
  if (ParseIp(s, true).empty()) out.push_back("must not have leading 0s");
  if (IsMapped(ip)) out.push_back("must not be an IPv4-mapped IPv6 address");
  return out;
}

Messages IpCanonical(std::string_view s) {
  Messages out = Ip(s);
  if (!out.empty()) return out;
  const std::string canonical = Canonical(ParseIp(s, false));
  if (canonical != s) out.push_back(Cat("must be in canonical form (\"", canonical, "\")"));
  return out;
}

Messages Cidr(std::string_view s) {
  const Network network = ParseNetwork(s, false);
  if (network.bits < 0) return {kNoCidr};
  Messages out;
  if (ParseNetwork(s, true).bits < 0) out.push_back("must not have leading 0s in IP or prefix length");
  else if (IsMapped(network.ip)) out.push_back("must not have an IPv4-mapped IPv6 address");
  else if (Masked(network) != network.ip) out.push_back("must not have bits set beyond the prefix length");
  return out;
}

Messages CidrCanonical(std::string_view s) {
  Messages out = Cidr(s);
  if (!out.empty()) return out;
  const Network network = ParseNetwork(s, false);
  const std::string canonical = Cat(Canonical(network.ip), "/", network.bits);
  if (canonical != s) out.push_back(Cat("must be in canonical form (\"", canonical, "\")"));
  return out;
}

Messages InterfaceAddress(std::string_view s) {
  const Network network = ParseNetwork(s, false);
  if (network.bits < 0) return {kNoInterface};
  const std::string canonical = Cat(Canonical(network.ip), "/", network.bits);
  if (canonical == s) return {};
  return {Cat("must be in canonical form (\"", canonical, "\")")};
}

void IpWarnings(std::string_view path, std::string_view value, Messages& out) {
  const std::string ip = ParseIp(value, false);
  if (ip.empty()) return;
  const std::string canonical = Canonical(ip);
  if (ParseIp(value, true).empty() || IsMapped(ip)) out.push_back(Cat(path, ": non-standard IP address \"", value, "\" is invalid: use \"", canonical, "\""));
  else if (ip.size() == 16 && canonical != value) out.push_back(Cat(path, ": IPv6 address \"", value, "\" should be in RFC 5952 canonical format (\"", canonical, "\")"));
}

void CidrWarnings(std::string_view path, std::string_view value, Messages& out) {
  const Network network = ParseNetwork(value, false);
  if (network.bits < 0) return;
  // A mapped network counts as one of IPv4 when its prefix covers the mapping.
  const bool mapped = IsMapped(network.ip);
  const int bits = mapped && network.bits >= 96 ? network.bits - 96 : network.bits;
  const std::string masked = Masked(network), shown = Cat(Canonical(masked), "/", bits);
  const bool ambiguous = masked != network.ip;
  if (ambiguous) {
    const int width = Canonical(network.ip).find(':') == std::string::npos ? 32 : 128;
    out.push_back(Cat(path, ": CIDR value \"", value, "\" is ambiguous in this context (should be \"", shown, "\" or \"", Canonical(network.ip), "/", width, "\"?)"));
  }
  const bool odd = ParseNetwork(value, true).bits < 0 || mapped;
  if (odd) out.push_back(Cat(path, ": non-standard CIDR value \"", value, "\" is invalid: use \"", shown, "\""));
  const std::string canonical = Cat(Canonical(network.ip), "/", network.bits);
  if (!ambiguous && !odd && network.ip.size() == 16 && canonical != value)
    out.push_back(Cat(path, ": IPv6 CIDR value \"", value, "\" should be in RFC 5952 canonical format (\"", canonical, "\")"));
}

}  // namespace skerry::kube::format
