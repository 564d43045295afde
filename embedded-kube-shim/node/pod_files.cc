#include "embedded-kube-shim/node/pod_files.h"

#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/pod_facts.h"

namespace skerry::kube::node {

std::string PodHostname(const json::Value& pod) {
  const json::Value& spec = pod["spec"];
  std::string name(spec["hostnameOverride"].Str(spec["hostname"].Str().empty() ? Name(pod) : spec["hostname"].Str()));
  if (name.size() > 63) name.resize(63);
  while (!name.empty() && (name.back() == '-' || name.back() == '.')) name.pop_back();
  return name;
}

std::string PodFqdn(const json::Value& pod, std::string_view domain) {
  const std::string_view subdomain = pod["spec"]["subdomain"].Str();
  if (subdomain.empty()) return "";
  return Cat(PodHostname(pod), ".", subdomain, ".", Namespace(pod), ".svc.", domain);
}

namespace {

void AddAliases(const json::Value& pod, std::string* out) {
  const auto aliases = pod["spec"]["hostAliases"].Items();
  if (!aliases.empty()) *out += "\n# Entries added by HostAliases.\n";
  for (const json::Value& a : aliases) {
    *out += a["ip"].Str();
    for (const json::Value& h : a["hostnames"].Items()) *out += Cat("\t", h.Str());
    *out += '\n';
  }
}

}  // namespace

std::string HostsFile(const json::Value& pod, std::string_view pod_ip, std::string_view domain, std::string_view host_file) {
  if (pod["spec"]["hostNetwork"].Bool()) {
    std::string out = Cat("# Kubernetes-managed hosts file (host network).\n", host_file);
    AddAliases(pod, &out);
    return out;
  }
  std::string out =
      "# Kubernetes-managed hosts file.\n"
      "127.0.0.1\tlocalhost\n"
      "::1\tlocalhost ip6-localhost ip6-loopback\n"
      "fe00::0\tip6-localnet\n"
      "fe00::0\tip6-mcastprefix\n"
      "fe00::1\tip6-allnodes\n"
      "fe00::2\tip6-allrouters\n";
  const std::string fqdn = PodFqdn(pod, domain);
  if (!pod_ip.empty()) out += fqdn.empty() ? Cat(pod_ip, "\t", PodHostname(pod), "\n") : Cat(pod_ip, "\t", fqdn, "\t", PodHostname(pod), "\n");
  AddAliases(pod, &out);
  return out;
}

namespace {

struct Resolver {
  std::vector<std::string> servers, searches, options;
};

void AddUnique(std::vector<std::string>& list, std::string_view item) {
  if (std::find(list.begin(), list.end(), item) == list.end()) list.emplace_back(item);
}

Resolver ParseResolvConf(std::string_view text) {
  Resolver r;
  for (std::string_view line : Split(text, '\n')) {
    line = Trim(line.substr(0, line.find('#')));
    const std::size_t space = line.find_first_of(" \t");
    if (space == std::string_view::npos) continue;
    const std::string_view word = line.substr(0, space), rest = Trim(line.substr(space));
    if (word == "nameserver") r.servers.emplace_back(rest);
    if (word == "search") r.searches.clear();
    for (const std::string_view item : Split(rest, ' ')) {
      if (item.empty()) continue;
      if (word == "search") r.searches.emplace_back(item);
      if (word == "options") r.options.emplace_back(item);
    }
  }
  return r;
}

}  // namespace

std::string ResolvConf(const json::Value& pod, const DnsOptions& options) {
  const json::Value& spec = pod["spec"];
  const Resolver host = ParseResolvConf(options.host_resolv_conf);
  const std::string_view policy = spec["dnsPolicy"].Str("ClusterFirst");
  const bool cluster = !options.server.empty() && (policy == "ClusterFirstWithHostNet" || (policy == "ClusterFirst" && !spec["hostNetwork"].Bool()));
  Resolver r;
  if (policy == "None") {
    // only what dnsConfig says
  } else if (cluster) {
    r.servers = {options.server};
    r.searches = {Cat(Namespace(pod), ".svc.", options.domain), "svc." + options.domain, options.domain};
    for (const std::string& s : host.searches) AddUnique(r.searches, s);
    r.options = {"ndots:5"};
  } else {
    r = host;
  }
  const json::Value& config = spec["dnsConfig"];
  for (const json::Value& s : config["nameservers"].Items()) AddUnique(r.servers, s.Str());
  for (const json::Value& s : config["searches"].Items()) AddUnique(r.searches, s.Str());
  for (const json::Value& o : config["options"].Items()) {
    const std::string_view name = o["name"].Str(), value = o["value"].Str();
    std::erase_if(r.options, [&](const std::string& x) { return x == name || x.starts_with(Cat(name, ":")); });
    r.options.push_back(value.empty() ? std::string(name) : Cat(name, ":", value));
  }
  std::string out;
  if (!r.searches.empty()) out += "search " + Join(r.searches, " ") + "\n";
  for (const std::string& s : r.servers) out += "nameserver " + s + "\n";
  if (!r.options.empty()) out += "options " + Join(r.options, " ") + "\n";
  return out;
}

}  // namespace skerry::kube::node
