#include "core/netlink/route.h"

#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>

#include <cstring>

namespace skerry::netlink {
namespace {

template <class T>
std::string_view AsBytes(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
template <class T>
T ReadHeader(const MessageView& m) {
  T out{};
  std::memcpy(&out, m.body.data(), std::min(sizeof out, m.body.size()));
  return out;
}
std::string_view Attributes(const MessageView& m, std::size_t header) {
  return m.body.substr(std::min<std::size_t>(NLMSG_ALIGN(header), m.body.size()));
}
std::string Wire(Ipv4 a) {
  std::string out;
  a.AppendWire(out);
  return out;
}
std::string_view MacBytes(const MacAddress& mac) { return {reinterpret_cast<const char*>(mac.data()), mac.size()}; }

ifinfomsg LinkHeader(int index, unsigned flags = 0, unsigned change = 0) {
  ifinfomsg h{};
  h.ifi_index = index;
  h.ifi_flags = flags;
  h.ifi_change = change;
  return h;
}

Result<> Named(Result<> r, const std::string& what) {
  if (!r) return std::unexpected(std::move(r.error()).Wrap(what));
  return r;
}
Result<> Ignore(Code code, Result<> r, const std::string& what) {
  if (!r && r.error().code() == code) return {};
  return Named(std::move(r), what);
}

Link ReadLink(const MessageView& m) {
  const auto header = ReadHeader<ifinfomsg>(m);
  Link out;
  out.index = header.ifi_index;
  out.up = (header.ifi_flags & IFF_UP) != 0;
  ForEachAttribute(Attributes(m, sizeof header), [&](std::uint16_t type, std::string_view payload) {
    if (type == IFLA_IFNAME) out.name = ReadString(payload);
    if (type == IFLA_MTU) out.mtu = ReadHost32(payload);
    if (type == IFLA_ADDRESS && payload.size() == out.mac.size()) std::memcpy(out.mac.data(), payload.data(), out.mac.size());
    if (type == IFLA_LINKINFO) out.kind = ReadString(FindAttribute(payload, IFLA_INFO_KIND));
  });
  return out;
}

void PutEnd(MessageWriter& out, const VethEnd& end, unsigned mtu) {
  out.PutString(IFLA_IFNAME, end.name);
  if (end.mac) out.Put(IFLA_ADDRESS, MacBytes(*end.mac));
  if (mtu != 0) out.PutU32(IFLA_MTU, mtu);
  if (end.netns >= 0) out.PutU32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(end.netns));
}

// EEXIST for an address that is there already and ENODEV for a missing link have codes of their own; ESRCH and EADDRNOTAVAIL do not.
bool IsMissing(const Error& e) {
  return e.code() == Code::kNotFound || e.message().find("No such") != std::string_view::npos ||
         e.message().find("Cannot assign requested address") != std::string_view::npos;
}

MessageWriter RouteMessage(std::uint16_t type, std::uint16_t flags, Ipv4Range to, int link) {
  rtmsg h{};
  h.rtm_family = AF_INET;
  h.rtm_dst_len = static_cast<unsigned char>(to.prefix);
  h.rtm_table = RT_TABLE_MAIN;
  h.rtm_protocol = RTPROT_STATIC;
  h.rtm_type = RTN_UNICAST;
  h.rtm_scope = type == RTM_DELROUTE ? RT_SCOPE_NOWHERE : RT_SCOPE_UNIVERSE;
  MessageWriter out;
  out.Begin(type, NLM_F_REQUEST | NLM_F_ACK | flags, AsBytes(h));
  if (to.prefix != 0) out.Put(RTA_DST, Wire(to.base));
  out.PutU32(RTA_OIF, static_cast<std::uint32_t>(link));
  return out;
}

}  // namespace

Result<Route> Route::Open() {
  TRY(Socket socket, Socket::Open(NETLINK_ROUTE));
  return Route(std::move(socket));
}

Result<> Route::CreateVeth(const VethEnd& near, const VethEnd& far, unsigned mtu) {
  if (near.name.size() >= IFNAMSIZ || far.name.size() >= IFNAMSIZ) return Fail(Code::kInvalid, "link name too long");
  MessageWriter m;
  m.Begin(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, AsBytes(LinkHeader(0)));
  PutEnd(m, near, mtu);
  const std::size_t info = m.OpenPlainNest(IFLA_LINKINFO);
  m.PutString(IFLA_INFO_KIND, "veth");
  const std::size_t data = m.OpenPlainNest(IFLA_INFO_DATA);
  const std::size_t peer = m.OpenPlainNest(VETH_INFO_PEER);
  m.PutRaw(AsBytes(LinkHeader(0)));
  PutEnd(m, far, mtu);
  m.CloseNest(peer);
  m.CloseNest(data);
  m.CloseNest(info);
  m.End();
  return Named(socket_.Transact(m), "create link " + near.name);
}

Result<> Route::DeleteLink(const std::string& name) {
  MessageWriter m;
  m.Begin(RTM_DELLINK, NLM_F_REQUEST | NLM_F_ACK, AsBytes(LinkHeader(0)));
  m.PutString(IFLA_IFNAME, name);
  m.End();
  auto r = socket_.Transact(m);
  if (!r && IsMissing(r.error())) return {};
  return Named(std::move(r), "delete link " + name);
}

Result<> Route::SetUp(int index) {
  MessageWriter m;
  m.Begin(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, AsBytes(LinkHeader(index, IFF_UP, IFF_UP)));
  m.End();
  return Named(socket_.Transact(m), "set link up");
}

Result<> Route::MoveLink(int index, int netns) {
  MessageWriter m;
  m.Begin(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, AsBytes(LinkHeader(index)));
  m.PutU32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(netns));
  m.End();
  return Named(socket_.Transact(m), "move link");
}

Result<> Route::RenameLink(int index, const std::string& name) {
  MessageWriter m;
  m.Begin(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, AsBytes(LinkHeader(index)));
  m.PutString(IFLA_IFNAME, name);
  m.End();
  return Named(socket_.Transact(m), "rename link to " + name);
}

Result<Link> Route::FindLink(const std::string& name) {
  MessageWriter m;
  m.Begin(RTM_GETLINK, NLM_F_REQUEST | NLM_F_ACK, AsBytes(LinkHeader(0)));
  m.PutString(IFLA_IFNAME, name);
  m.End();
  Link out;
  auto r = socket_.Transact(m, [&](const MessageView& v) { out = ReadLink(v); });
  if (r) return out;
  if (IsMissing(r.error())) return Fail(Code::kNotFound, "no link " + name);
  return std::unexpected(std::move(r.error()).Wrap("find link " + name));
}

Result<std::vector<Link>> Route::ListLinks() {
  MessageWriter m;
  m.Begin(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, AsBytes(LinkHeader(0)));
  m.End();
  std::vector<Link> out;
  TRY_VOID(socket_.Dump(m, [&](const MessageView& v) { out.push_back(ReadLink(v)); }));
  return out;
}

Result<> Route::AddAddress(int index, Ipv4 address, unsigned prefix, Scope scope) {
  ifaddrmsg h{};
  h.ifa_family = AF_INET;
  h.ifa_prefixlen = static_cast<std::uint8_t>(prefix);
  h.ifa_scope = static_cast<std::uint8_t>(scope);
  h.ifa_index = static_cast<std::uint32_t>(index);
  MessageWriter m;
  m.Begin(RTM_NEWADDR, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, AsBytes(h));
  m.Put(IFA_LOCAL, Wire(address));
  m.Put(IFA_ADDRESS, Wire(address));
  m.End();
  return Ignore(Code::kAlreadyExists, socket_.Transact(m), "add address " + address.ToString());
}

Result<> Route::DeleteAddress(int index, Ipv4 address, unsigned prefix) {
  ifaddrmsg h{};
  h.ifa_family = AF_INET;
  h.ifa_prefixlen = static_cast<std::uint8_t>(prefix);
  h.ifa_index = static_cast<std::uint32_t>(index);
  MessageWriter m;
  m.Begin(RTM_DELADDR, NLM_F_REQUEST | NLM_F_ACK, AsBytes(h));
  m.Put(IFA_LOCAL, Wire(address));
  m.End();
  auto r = socket_.Transact(m);
  if (!r && IsMissing(r.error())) return {};
  return Named(std::move(r), "delete address " + address.ToString());
}

Result<std::vector<Route::AddressEntry>> Route::ListAddresses() {
  ifaddrmsg h{};
  h.ifa_family = AF_INET;
  MessageWriter m;
  m.Begin(RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, AsBytes(h));
  m.End();
  std::vector<AddressEntry> out;
  TRY_VOID(socket_.Dump(m, [&](const MessageView& v) {
    const auto header = ReadHeader<ifaddrmsg>(v);
    const auto local = FindAttribute(Attributes(v, sizeof header), IFA_LOCAL);
    if (local.size() != 4) return;
    out.push_back({static_cast<int>(header.ifa_index), Ipv4::FromWire(local.data()), header.ifa_prefixlen,
                   static_cast<Scope>(header.ifa_scope)});
  }));
  return out;
}

Result<> Route::ReplaceRoute(const RouteEntry& route) {
  rtmsg h{};
  h.rtm_family = AF_INET;
  h.rtm_dst_len = static_cast<unsigned char>(route.to.prefix);
  h.rtm_table = RT_TABLE_MAIN;
  h.rtm_protocol = RTPROT_STATIC;
  h.rtm_type = RTN_UNICAST;
  h.rtm_scope = route.gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  MessageWriter m;
  m.Begin(RTM_NEWROUTE, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, AsBytes(h));
  if (route.to.prefix != 0) m.Put(RTA_DST, Wire(route.to.base));
  m.PutU32(RTA_OIF, static_cast<std::uint32_t>(route.link));
  if (route.gateway) m.Put(RTA_GATEWAY, Wire(*route.gateway));
  if (route.source) m.Put(RTA_PREFSRC, Wire(*route.source));
  m.End();
  return Named(socket_.Transact(m), "set route to " + route.to.ToString());
}

Result<> Route::DeleteRoute(Ipv4Range to, int link) {
  MessageWriter m = RouteMessage(RTM_DELROUTE, 0, to, link);
  m.End();
  auto r = socket_.Transact(m);
  if (!r && IsMissing(r.error())) return {};
  return Named(std::move(r), "delete route to " + to.ToString());
}

Result<std::vector<RouteEntry>> Route::ListRoutes() {
  rtmsg h{};
  h.rtm_family = AF_INET;
  MessageWriter m;
  m.Begin(RTM_GETROUTE, NLM_F_REQUEST | NLM_F_DUMP, AsBytes(h));
  m.End();
  std::vector<RouteEntry> out;
  TRY_VOID(socket_.Dump(m, [&](const MessageView& v) {
    const auto header = ReadHeader<rtmsg>(v);
    if (header.rtm_table != RT_TABLE_MAIN || header.rtm_type != RTN_UNICAST) return;
    RouteEntry entry;
    entry.to.prefix = header.rtm_dst_len;
    ForEachAttribute(Attributes(v, sizeof header), [&](std::uint16_t type, std::string_view payload) {
      if (type == RTA_OIF) entry.link = static_cast<int>(ReadHost32(payload));
      if (payload.size() != 4) return;
      if (type == RTA_DST) entry.to.base = Ipv4::FromWire(payload.data());
      if (type == RTA_GATEWAY) entry.gateway = Ipv4::FromWire(payload.data());
      if (type == RTA_PREFSRC) entry.source = Ipv4::FromWire(payload.data());
    });
    out.push_back(entry);
  }));
  return out;
}

Result<> Route::ReplaceNeighbour(int link, Ipv4 address, const MacAddress& mac) {
  ndmsg h{};
  h.ndm_family = AF_INET;
  h.ndm_ifindex = link;
  h.ndm_state = NUD_PERMANENT;
  h.ndm_type = RTN_UNICAST;
  MessageWriter m;
  m.Begin(RTM_NEWNEIGH, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, AsBytes(h));
  m.Put(NDA_DST, Wire(address));
  m.Put(NDA_LLADDR, MacBytes(mac));
  m.End();
  return Named(socket_.Transact(m), "set neighbour " + address.ToString());
}

}  // namespace skerry::netlink
