#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "embedded-kube-shim/controllers/context.h"

namespace skerry::kube {

void AddServiceCidrs(const ControllerContext&);           // "service-cidrs-controller"

// IPv4 in host byte order.
struct AddressRange {
  std::uint32_t base = 0, mask = 0;
  bool Has(std::uint32_t address) const { return (address & mask) == base; }
};
std::optional<AddressRange> ParseAddressRange(std::string_view cidr);   // "10.96.0.0/16"; nothing for other families and other text
std::optional<std::uint32_t> ParseAddress(std::string_view text);

}  // namespace skerry::kube
