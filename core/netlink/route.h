#pragma once
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "core/netlink/address.h"
#include "core/netlink/socket.h"

// rtnetlink: links, addresses, routes and neighbours of one network namespace (the one of the thread that called Open).
// Calls are idempotent where their comment says so. Errors carry the kernel's code: kNotFound, kAlreadyExists, kForbidden, ...
namespace skerry::netlink {

using MacAddress = std::array<std::uint8_t, 6>;

struct Link {
  int index = 0;
  std::string name;
  std::string kind;      // "veth", "bridge", ...; empty for real devices
  bool up = false;
  MacAddress mac{};
  unsigned mtu = 0;
};

struct VethEnd {
  std::string name;
  std::optional<MacAddress> mac;
  int netns = -1;        // descriptor of the namespace where this end is born; -1 = the namespace of the Route
};

struct RouteEntry {
  Ipv4Range to;
  int link = 0;
  std::optional<Ipv4> gateway;
  std::optional<Ipv4> source;   // preferred source address
  bool operator==(const RouteEntry&) const = default;
};

enum class Scope : std::uint8_t { kGlobal = 0, kLink = 253, kHost = 254 };

class Route {
 public:
  static Result<Route> Open();

  Result<> CreateVeth(const VethEnd& near, const VethEnd& far, unsigned mtu);   // mtu 0 = the kernel's 1500; both ends stay down
  Result<> DeleteLink(const std::string& name);                                 // missing is fine
  Result<> SetUp(int index);
  Result<> MoveLink(int index, int netns);
  Result<> RenameLink(int index, const std::string& name);                      // the link must be down
  Result<Link> FindLink(const std::string& name);                               // kNotFound
  Result<std::vector<Link>> ListLinks();

  Result<> AddAddress(int index, Ipv4 address, unsigned prefix, Scope scope = Scope::kGlobal);   // present is fine
  Result<> DeleteAddress(int index, Ipv4 address, unsigned prefix);                              // missing is fine
  struct AddressEntry { int link; Ipv4 address; unsigned prefix; Scope scope; };
  Result<std::vector<AddressEntry>> ListAddresses();

  Result<> ReplaceRoute(const RouteEntry& route);                               // no gateway: on link
  Result<> DeleteRoute(Ipv4Range to, int link);                                 // missing is fine
  Result<std::vector<RouteEntry>> ListRoutes();                                 // main table, unicast
  Result<> ReplaceNeighbour(int link, Ipv4 address, const MacAddress& mac);     // permanent

 private:
  explicit Route(Socket socket) : socket_(std::move(socket)) {}
  Socket socket_;
};

}  // namespace skerry::netlink
