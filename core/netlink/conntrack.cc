#include "core/netlink/conntrack.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "core/netlink/socket.h"

namespace skerry::netlink {
namespace {

std::string FamilyHeader() {
  nfgenmsg h{};
  h.nfgen_family = AF_INET;
  h.version = NFNETLINK_V0;
  return {reinterpret_cast<const char*>(&h), sizeof h};
}
std::uint16_t CtType(int message) { return static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | message); }

struct Tuple {
  std::uint8_t protocol = 0;
  Ipv4 source, destination;
  std::uint16_t source_port = 0, destination_port = 0;
};

Tuple ReadTuple(std::string_view attributes) {
  Tuple out;
  const auto ip = FindAttribute(attributes, CTA_TUPLE_IP);
  const auto transport = FindAttribute(attributes, CTA_TUPLE_PROTO);
  const auto source = FindAttribute(ip, CTA_IP_V4_SRC);
  const auto destination = FindAttribute(ip, CTA_IP_V4_DST);
  const auto number = FindAttribute(transport, CTA_PROTO_NUM);
  if (source.size() == 4) out.source = Ipv4::FromWire(source.data());
  if (destination.size() == 4) out.destination = Ipv4::FromWire(destination.data());
  if (!number.empty()) out.protocol = static_cast<std::uint8_t>(number[0]);
  out.source_port = ReadBig16(FindAttribute(transport, CTA_PROTO_SRC_PORT));
  out.destination_port = ReadBig16(FindAttribute(transport, CTA_PROTO_DST_PORT));
  return out;
}

struct Condemned {
  std::string original_tuple, id;   // copied as the kernel sent them
};

}  // namespace

Result<std::size_t> DeleteFlows(std::uint8_t protocol, const std::function<bool(const Flow&)>& condemned) {
  TRY(Socket socket, Socket::Open(NETLINK_NETFILTER));
  std::vector<Condemned> found;
  MessageWriter list;
  list.Begin(CtType(IPCTNL_MSG_CT_GET), NLM_F_REQUEST | NLM_F_DUMP, FamilyHeader());
  list.End();
  TRY_VOID(socket.Dump(list, [&](const MessageView& m) {
    const auto attributes = m.body.substr(std::min(sizeof(nfgenmsg), m.body.size()));
    const auto original = FindAttribute(attributes, CTA_TUPLE_ORIG);
    const Tuple there = ReadTuple(original);
    if (there.protocol != protocol) return;
    const Tuple back = ReadTuple(FindAttribute(attributes, CTA_TUPLE_REPLY));
    if (!condemned({there.protocol, there.source, there.destination, there.source_port, there.destination_port, back.source,
                    back.source_port})) {
      return;
    }
    found.push_back({std::string(original), std::string(FindAttribute(attributes, CTA_ID))});
  }));
  std::size_t deleted = 0;
  for (const Condemned& c : found) {
    MessageWriter request;
    request.Begin(CtType(IPCTNL_MSG_CT_DELETE), NLM_F_REQUEST | NLM_F_ACK, FamilyHeader());
    request.Put(CTA_TUPLE_ORIG | NLA_F_NESTED, c.original_tuple);
    if (!c.id.empty()) request.Put(CTA_ID, c.id);   // not another flow that reuses the addresses
    request.End();
    auto r = socket.Transact(request);
    if (r) ++deleted;
    if (!r && r.error().code() != Code::kNotFound) return std::unexpected(std::move(r.error()).Wrap("delete flow"));
  }
  return deleted;
}

}  // namespace skerry::netlink
