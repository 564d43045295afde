#include "cmd/skerry/data_plane.h"

#include "core/base/strings.h"
#include "core/crypto/certificate.h"
#include "core/dns/server.h"
#include "core/process/wait.h"
#include "core/proxy/proxy.h"
#include "core/telemetry/log.h"
#include "embedded-kube-shim/network/policy_sync.h"
#include "embedded-kube-shim/network/request_rates.h"
#include "embedded-kube-shim/network/router.h"
#include "embedded-kube-shim/network/service_sync.h"
#include "embedded-kube-shim/network/zones.h"

namespace skerry::cmd {

podnet::PodNetworkOptions NetworkOptions(const Options& o) {
  podnet::PodNetworkOptions out;
  out.state_directory = o.data_dir + "/network";
  if (auto pods = netlink::Ipv4Range::Parse(o.cluster_cidr)) out.rules.cluster_pods = out.rules.local_pods = *pods;
  if (auto services = netlink::Ipv4Range::Parse(o.service_cidr)) out.rules.services = *services;
  if (auto address = netlink::Ipv4::Parse(o.node_ip)) out.node_address = *address;
  return out;
}

std::string NthAddress(const std::string& cidr, std::uint32_t n) {
  const auto range = netlink::Ipv4Range::Parse(cidr);
  return range ? netlink::Ipv4{range->base.value + n}.ToString() : std::string();
}

std::string DnsAddress(const Options& o) { return NthAddress(o.service_cidr, 10); }

Error PortError(Error e, const char* flag, const std::string& address) {
  if (e.code() == Code::kUnavailable || e.code() == Code::kAlreadyExists) {
    return Error(Code::kAlreadyExists, Cat("cannot listen on ", address, ": ", e.message(), "; stop what uses it or choose another --", flag));
  }
  return std::move(e).Wrap(Cat("listen on ", address));
}

namespace {

constexpr std::chrono::hours kRouteCertificate{24 * 365};

class DataPlaneImpl final : public DataPlane {
 public:
  ~DataPlaneImpl() override { DataPlaneImpl::Stop(); }

  Result<> Run(const Ctx& ctx, const DataPlaneInputs& in) {
    TRY(network_, podnet::PodNetwork::Open(NetworkOptions(in.options)));
    rates_ = std::make_unique<kube::network::RequestRates>(counts_, in.informers.Get("v1/pods"), Clock::System(),
                                                           [this](std::chrono::milliseconds d) { process::Pause(Ctx(stop_.get_token()), d); });
    TRY_VOID(StartServices(ctx, in));
    return StartRouter(ctx, in);
  }

  podnet::PodNetwork& network() override { return *network_; }
  kube::ObjectMetricsSource& object_metrics() override { return *rates_; }
  const std::string& router_http() const override { return http_; }
  const std::string& router_https() const override { return https_; }

  void Refresh() noexcept override {
    if (router_) router_->Refresh();
  }
  Result<> MoveTo(const std::string& address) override {
    TRY(const netlink::Ipv4 now, netlink::Ipv4::Parse(address));
    TRY_VOID(network_->MoveTo(now));
    Refresh();
    return {};
  }

  void Stop() noexcept override {
    stop_.request_stop();
    if (router_) router_->Stop();
    if (proxy_) proxy_->Stop();
    if (dns_) dns_->Stop();
    if (policy_sync_) policy_sync_->Stop();
    if (sync_) sync_->Stop();
  }

 private:
  Result<> StartServices(const Ctx& ctx, const DataPlaneInputs& in) {
    const std::string address = DnsAddress(in.options);
    zones_ = std::make_unique<kube::network::ClusterZones>(in.options.dns_domain, address);
    kube::network::ServiceOptions so;
    so.node_name = in.options.node_name;
    so.dns_address = address;
    sync_ = kube::network::NewServiceSync(in.informers, &network_->services(), *zones_, std::move(so));
    TRY_VOID(sync_->Start(ctx));
    TRY(const netlink::Ipv4 own, netlink::Ipv4::Parse(address));
    TRY_VOID(network_->AddLocalAddress(own));
    dns::ServerOptions options;
    options.listen = {address + ":53"};
    options.zones = zones_->zones();
    options.forward.not_these = {address};
    TRY(dns_, dns::Server::Create(in.shards, std::move(options)));
    dns_->Start();
    podnet::PolicyOptions policy;
    policy.always_reachable = {own};   // the cluster's DNS runs on the host: no policy can name it as a pod
    policies_ = std::make_unique<podnet::PolicyTable>(std::move(policy));
    policy_sync_ = kube::network::NewPolicySync(in.informers, *policies_, in.options.node_name);
    return policy_sync_->Start(ctx);
  }

  Result<> StartRouter(const Ctx& ctx, const DataPlaneInputs& in) {
    proxy::Options po;
    if (in.options.router_http != "none") po.http = {in.options.router_http};
    if (in.options.router_https != "none") po.https = {in.options.router_https};
    if (po.http.empty() && po.https.empty()) return {};
    auto bound = proxy::Proxy::Create(in.shards, po);
    if (!bound) return std::unexpected(PortError(std::move(bound).error(), "router-http or --router-https", Cat(in.options.router_http, " and ", in.options.router_https)));
    proxy_ = std::move(*bound);
    if (!proxy_->http_addresses().empty()) http_ = proxy_->http_addresses()[0];
    if (!proxy_->https_addresses().empty()) https_ = proxy_->https_addresses()[0];
    kube::network::RouterOptions ro;
    ro.canonical_host = "router." + in.options.apps_domain;
    ro.address = [&host = in.host] { return host.Get(); };
    ro.counts = &counts_;
    ro.routes = in.registry.Find("route.openshift.io", "v1", "routes") != nullptr;
    TRY(const crypto::CertificateAuthority ca, crypto::CertificateAuthority::Load(in.pki.ca_pem, in.pki.ca_key_pem));
    const auto authority = std::make_shared<crypto::CertificateAuthority>(ca);
    ro.issue = [authority](const std::string& host) -> Result<net::TlsIdentity> {
      crypto::Subject subject;
      subject.common_name = host.size() > 64 ? host.substr(host.size() - 64) : host;
      subject.dns_names = {host};
      crypto::CertificateTerms terms;
      terms.server = true;
      terms.lifetime = kRouteCertificate;
      TRY(crypto::IssuedCertificate issued, authority->Issue(subject, terms, Clock::System().Now()));
      return net::TlsIdentity{issued.certificate_pem + authority->certificate_pem(), std::move(issued.key_pem)};
    };
    ro.default_host = "*." + in.options.apps_domain;
    ro.renew_after = kRouteCertificate / 2;
    router_ = kube::network::NewRouter(in.informers, in.client, *proxy_, Clock::System(), std::move(ro));
    TRY_VOID(router_->Start(ctx));
    proxy_->Start();
    return {};
  }

  std::stop_source stop_;
  kube::network::RequestCounts counts_;
  std::unique_ptr<kube::network::RequestRates> rates_;
  std::unique_ptr<podnet::PodNetwork> network_;
  std::unique_ptr<kube::network::ClusterZones> zones_;
  std::unique_ptr<Component> sync_;
  std::unique_ptr<podnet::PolicyTable> policies_;
  std::unique_ptr<Component> policy_sync_;
  std::unique_ptr<dns::Server> dns_;
  std::unique_ptr<proxy::Proxy> proxy_;
  std::unique_ptr<kube::network::Router> router_;
  std::string http_, https_;
};

}  // namespace

Result<std::unique_ptr<DataPlane>> DataPlane::Start(const Ctx& ctx, const DataPlaneInputs& in) {
  auto plane = std::make_unique<DataPlaneImpl>();
  if (auto running = plane->Run(ctx, in); !running) {
    Error e = std::move(running).error();
    if (e.code() != Code::kForbidden && e.code() != Code::kUnsupported) return std::unexpected(std::move(e));
    return std::unexpected(Error(Code::kForbidden, Cat("the pod network cannot be set up: ", e.message(), "; it needs root with CAP_NET_ADMIN and a kernel with veth and nf_tables, or start with --runtime=none")));
  }
  return std::unique_ptr<DataPlane>(std::move(plane));
}

}  // namespace skerry::cmd
