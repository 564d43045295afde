#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/netlink/route.h"
#include "core/podnet/podnet.h"
#include "tests/support/sockets.h"

// A node with a pod network and a neighbour outside the cluster, each in a network namespace of its own:
//   outside 192.168.77.2 ── 192.168.77.1 node ── pods 10.42.0.0/24, services 10.43.0.0/16
namespace skerry::test {

class PodNetworkFixture {
 public:
  static constexpr char kNodeAddress[] = "192.168.77.1", kOutsideAddress[] = "192.168.77.2";
  enum class Start { kNot, kNow };

  explicit PodNetworkFixture(Start start = Start::kNow) {
    Wire("wan0", kNodeAddress, kOutsideAddress);
    options.state_directory = directory_.path() + "/podnet";
    options.rules.cluster_pods = *netlink::Ipv4Range::Parse("10.42.0.0/16");
    options.rules.local_pods = *netlink::Ipv4Range::Parse("10.42.0.0/24");
    options.rules.services = *netlink::Ipv4Range::Parse("10.43.0.0/16");
    options.node_address = *netlink::Ipv4::Parse(kNodeAddress);
    if (start == Start::kNow) Reopen();
  }

  // As a new process would.
  void Reopen() {
    network.reset();
    node.Run([&]() -> Result<> {
      TRY(network, podnet::PodNetwork::Open(options));
      return {};
    });
  }

  struct Pod {
    TestNetns ns;
    std::string address;
  };
  std::unique_ptr<Pod> AddPod(const std::string& id, const std::vector<podnet::HostPort>& host_ports = {}) {
    auto pod = std::make_unique<Pod>();
    node.Run([&]() -> Result<> {
      TRY(const auto attached, network->Attach(id, pod->ns.path(), host_ports));
      pod->address = attached.address.ToString();
      return {};
    });
    return pod;
  }

  TestNetns node, outside;
  podnet::PodNetworkOptions options;
  std::unique_ptr<podnet::PodNetwork> network;

 private:
  void Wire(const std::string& name, const std::string& near, const std::string& far) {
    const auto configure = [](const std::string& link_name, const std::string& address) {
      return [=]() -> Result<> {
        TRY(netlink::Route route, netlink::Route::Open());
        TRY(const auto link, route.FindLink(link_name));
        TRY_VOID(route.AddAddress(link.index, *netlink::Ipv4::Parse(address), 24));
        return route.SetUp(link.index);
      };
    };
    node.Run([&]() -> Result<> {
      TRY(netlink::Route route, netlink::Route::Open());
      return route.CreateVeth({name, std::nullopt, -1}, {name, std::nullopt, outside.fd()}, 0);
    });
    node.Run(configure(name, near));
    outside.Run(configure(name, far));
  }

  TempDirectory directory_;
};

}  // namespace skerry::test
