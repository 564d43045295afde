#pragma once
#include <functional>

#include "core/netlink/address.h"

// Connection tracking entries of the calling thread's network namespace (ctnetlink).
namespace skerry::netlink {

struct Flow {
  std::uint8_t protocol = 0;            // IPPROTO_UDP, ...
  Ipv4 source, destination;             // of the first packet, before translation
  std::uint16_t source_port = 0, destination_port = 0;
  Ipv4 reply_source;                    // who answers: the translated destination
  std::uint16_t reply_source_port = 0;
};

// Deletes the flows of one protocol for which `condemned` answers true; returns how many. Flows that end meanwhile are fine.
Result<std::size_t> DeleteFlows(std::uint8_t protocol, const std::function<bool(const Flow&)>& condemned);

}  // namespace skerry::netlink
