#pragma once
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace skerry::netlink {

// IPv4 addresses as plain values in host byte order. The data plane of pods and services is IPv4.
struct Ipv4 {
  std::uint32_t value = 0;
  auto operator<=>(const Ipv4&) const = default;
  std::string ToString() const;
  void AppendWire(std::string& out) const;                  // 4 bytes, network order
  static Result<Ipv4> Parse(std::string_view text);         // dotted quad, decimal, no leading zeros; kInvalid
  static Ipv4 FromWire(const char* four_bytes);
};

struct Ipv4Range {
  Ipv4 base;                  // host bits are zero
  unsigned prefix = 32;       // 0..32
  auto operator<=>(const Ipv4Range&) const = default;
  bool Contains(Ipv4 a) const { return ((a.value ^ base.value) & mask()) == 0; }
  std::uint32_t mask() const { return prefix == 0 ? 0 : ~std::uint32_t{0} << (32 - prefix); }
  std::uint64_t size() const { return std::uint64_t{1} << (32 - prefix); }
  std::string ToString() const;
  static Result<Ipv4Range> Parse(std::string_view text);    // "10.42.0.0/16"; host bits must be zero; kInvalid
};

}  // namespace skerry::netlink
