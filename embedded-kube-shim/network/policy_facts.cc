#include "embedded-kube-shim/network/policy_facts.h"

#include <algorithm>
#include <map>

#include "embedded-kube-shim/controllers/pod_facts.h"

namespace skerry::kube::network {
namespace {

using podnet::AllowRule;

struct Pod {
  ObjectPtr object;
  netlink::Ipv4 address;
  std::string_view ns;
  const json::Value* labels;
};

std::vector<Pod> PodsWithAddress(const PolicyInputs& in) {
  std::vector<Pod> out;
  for (const ObjectPtr& p : in.pods) {
    const std::string_view phase = (*p)["status"]["phase"].Str();
    if ((*p)["spec"]["hostNetwork"].Bool() || phase == "Succeeded" || phase == "Failed") continue;
    const auto address = netlink::Ipv4::Parse((*p)["status"]["podIP"].Str());
    if (address) out.push_back({p, *address, (*p)["metadata"]["namespace"].Str(), &(*p)["metadata"]["labels"]});
  }
  return out;
}

class Translator {
 public:
  explicit Translator(const PolicyInputs& in) : in_(in), pods_(PodsWithAddress(in)) {}
  std::vector<podnet::PodPolicy> Run();

 private:
  bool NamespaceMatches(std::string_view ns, const json::Value& selector) const {
    const ObjectPtr object = in_.namespace_of(ns);
    return object && MatchesSelector(selector, (*object)["metadata"]["labels"]);
  }
  bool IsPeer(const json::Value& peer, std::string_view policy_ns, const Pod& pod) const {
    const json::Value* by_ns = peer.Find("namespaceSelector");
    const json::Value* by_pod = peer.Find("podSelector");
    if (by_ns == nullptr ? pod.ns != policy_ns : !NamespaceMatches(pod.ns, *by_ns)) return false;
    return by_pod == nullptr || MatchesSelector(*by_pod, *pod.labels);
  }
  void AddPeers(const json::Value& peers, std::string_view policy_ns, AllowRule& rule) const;
  void AddPorts(const json::Value& ports, const std::vector<const Pod*>& destinations, AllowRule& rule) const;
  // `subject`: the restricted pod; named ports belong to the destination of a connection.
  AllowRule RuleOf(const json::Value& rule, const char* peers, std::string_view policy_ns, const Pod& subject, bool ingress) const;

  const PolicyInputs& in_;
  const std::vector<Pod> pods_;
};

void Translator::AddPeers(const json::Value& peers, std::string_view policy_ns, AllowRule& rule) const {
  rule.any_peer = peers.size() == 0;
  for (const json::Value& peer : peers.Items()) {
    if (const json::Value* block = peer.Find("ipBlock"); block != nullptr && block->is_object()) {
      const auto range = netlink::Ipv4Range::Parse((*block)["cidr"].Str());
      if (!range) continue;   // IPv6
      podnet::AddressBlock out{*range, {}};
      for (const json::Value& e : (*block)["except"].Items()) {
        if (auto except = netlink::Ipv4Range::Parse(e.Str())) out.except.push_back(*except);
      }
      rule.blocks.push_back(std::move(out));
      continue;
    }
    for (const Pod& p : pods_) {
      if (IsPeer(peer, policy_ns, p)) rule.peers.push_back(p.address);
    }
  }
}

void Translator::AddPorts(const json::Value& ports, const std::vector<const Pod*>& destinations, AllowRule& rule) const {
  rule.any_port = ports.size() == 0;
  for (const json::Value& p : ports.Items()) {
    const std::string_view name = p["protocol"].Str("TCP");
    if (name != "TCP" && name != "UDP") continue;
    const auto protocol = name == "UDP" ? podnet::Protocol::kUdp : podnet::Protocol::kTcp;
    if (p["port"].is_int()) {
      const auto first = static_cast<std::uint16_t>(p["port"].Int());
      rule.ports.push_back({protocol, first, static_cast<std::uint16_t>(p["endPort"].Int(first))});
    } else if (p["port"].is_string()) {
      for (const Pod* d : destinations) {
        for (const json::Value& c : (*d->object)["spec"]["containers"].Items()) {
          for (const json::Value& port : c["ports"].Items()) {
            if (port["name"].Str() != p["port"].Str() || port["protocol"].Str("TCP") != name) continue;
            const auto number = static_cast<std::uint16_t>(port["containerPort"].Int());
            rule.ports.push_back({protocol, number, number});
          }
        }
      }
    } else {
      rule.ports.push_back({protocol, 0, 0});
    }
  }
}

AllowRule Translator::RuleOf(const json::Value& rule, const char* peers, std::string_view policy_ns, const Pod& subject, bool ingress) const {
  AllowRule out;
  AddPeers(rule[peers], policy_ns, out);
  std::vector<const Pod*> destinations;
  if (ingress) {
    destinations.push_back(&subject);
  } else {
    for (const Pod& p : pods_) {
      if (out.any_peer || std::find(out.peers.begin(), out.peers.end(), p.address) != out.peers.end()) destinations.push_back(&p);
    }
  }
  AddPorts(rule["ports"], destinations, out);
  return out;
}

std::vector<podnet::PodPolicy> Translator::Run() {
  std::vector<podnet::PodPolicy> out;
  for (const Pod& pod : pods_) {
    if (!in_.node.empty() && (*pod.object)["spec"]["nodeName"].Str() != in_.node) continue;
    podnet::PodPolicy policy{pod.address, std::nullopt, std::nullopt};
    for (const ObjectPtr& object : in_.policies) {
      const json::Value& spec = (*object)["spec"];
      const std::string_view ns = (*object)["metadata"]["namespace"].Str();
      const json::Value none = json::Value::Object();
      const json::Value* selector = spec.Find("podSelector");   // left out: every pod, as the empty one
      if (pod.ns != ns || !MatchesSelector(selector != nullptr && selector->is_object() ? *selector : none, *pod.labels)) continue;
      bool ingress = spec["policyTypes"].size() == 0, egress = ingress && spec["egress"].size() > 0;
      for (const json::Value& type : spec["policyTypes"].Items()) {
        ingress = ingress || type.Str() == "Ingress";
        egress = egress || type.Str() == "Egress";
      }
      if (ingress && !policy.ingress) policy.ingress.emplace();
      if (egress && !policy.egress) policy.egress.emplace();
      if (ingress) {
        for (const json::Value& rule : spec["ingress"].Items()) policy.ingress->push_back(RuleOf(rule, "from", ns, pod, true));
      }
      if (egress) {
        for (const json::Value& rule : spec["egress"].Items()) policy.egress->push_back(RuleOf(rule, "to", ns, pod, false));
      }
    }
    if (policy.ingress || policy.egress) out.push_back(std::move(policy));
  }
  return out;
}

}  // namespace

std::vector<podnet::PodPolicy> PoliciesOf(const PolicyInputs& in) { return Translator(in).Run(); }

}  // namespace skerry::kube::network
