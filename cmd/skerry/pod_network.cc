#include "cmd/skerry/pod_network.h"

namespace skerry::cmd {
namespace {

std::vector<podnet::HostPort> HostPortsOf(const json::Value& pod) {
  std::vector<podnet::HostPort> out;
  for (const char* list : {"containers", "initContainers"}) {
    for (const json::Value& c : pod["spec"][list].Items()) {
      for (const json::Value& p : c["ports"].Items()) {
        if (p["hostPort"].Int() <= 0) continue;
        podnet::HostPort port;
        if (p["protocol"].Str("TCP") == "SCTP") continue;
        port.protocol = p["protocol"].Str("TCP") == "UDP" ? podnet::Protocol::kUdp : podnet::Protocol::kTcp;
        port.host_port = static_cast<std::uint16_t>(p["hostPort"].Int());
        port.pod_port = static_cast<std::uint16_t>(p["containerPort"].Int());
        if (auto a = netlink::Ipv4::Parse(p["hostIP"].Str()); a) port.host_address = *a;
        out.push_back(port);
      }
    }
  }
  return out;
}

class Adapter final : public kube::node::PodNetwork {
 public:
  explicit Adapter(podnet::PodNetwork& network) : network_(network) {}

  Result<std::string> Attach(const std::string& sandbox, const std::string& netns_path, const json::Value& pod) override {
    TRY(const podnet::PodAddress address, network_.Attach(sandbox, netns_path, HostPortsOf(pod)));
    return address.address.ToString();
  }
  Result<> Detach(const std::string& sandbox) override { return network_.Detach(sandbox); }
  std::string AddressOf(const std::string& sandbox) const override {
    for (const podnet::PodAddress& a : network_.List()) {
      if (a.sandbox == sandbox) return a.address.ToString();
    }
    return {};
  }
  Result<> RetainOnly(const std::set<std::string>& sandboxes) override { return network_.RetainOnly(sandboxes); }

 private:
  podnet::PodNetwork& network_;
};

}  // namespace

std::unique_ptr<kube::node::PodNetwork> NewPodNetwork(podnet::PodNetwork& network) { return std::make_unique<Adapter>(network); }

}  // namespace skerry::cmd
