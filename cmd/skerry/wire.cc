#include "cmd/skerry/wire.h"

#include <arpa/inet.h>
#include <unistd.h>

#include <algorithm>

#include "cmd/skerry/admin.h"
#include "cmd/skerry/data_plane.h"
#include "cmd/skerry/instance.h"
#include "cmd/skerry/pki.h"
#include "cmd/skerry/pod_network.h"
#include "cmd/skerry/runtime.h"
#include "cmd/skerry/sealing.h"
#include "cmd/skerry/verbs.h"
#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/http/server.h"
#include "core/net/tls.h"
#include "core/netlink/host_address.h"
#include "core/telemetry/log.h"
#include "core/telemetry/metrics.h"
#include "core/text/duration.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/auth/console_sessions.h"
#include "embedded-kube-shim/controller/clock_watch.h"
#include "embedded-kube-shim/controllers/api_services.h"
#include "embedded-kube-shim/controllers/certificates.h"
#include "embedded-kube-shim/controllers/context.h"
#include "embedded-kube-shim/controllers/flow_schema.h"
#include "embedded-kube-shim/controllers/legacy_tokens.h"
#include "embedded-kube-shim/controllers/policy_status.h"
#include "embedded-kube-shim/controllers/service_cidr.h"
#include "embedded-kube-shim/network/request_rates.h"
#include "embedded-kube-shim/node/agent.h"
#include "embedded-kube-shim/node/hollow.h"
#include "embedded-kube-shim/scheduler/scheduler.h"
#include "embedded-kube-shim/server/api_server.h"
#include "registry/registry.h"
#include "store/store.h"
#include "ui-static/console_handler.h"

namespace skerry::cmd {

std::string ReachableServer(const std::string& api) {
  const std::size_t colon = api.rfind(':');
  const std::string host = api.substr(0, colon);
  const bool any = host == "0.0.0.0" || host == "[::]" || host.empty();
  return Cat("https://", any ? "127.0.0.1" : host, api.substr(colon));
}

namespace {

PkiNames ServerNames(const Options& o, const std::string& node_ip) {
  PkiNames names;
  names.dns = {"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + o.dns_domain, o.node_name};
  names.ips = {"127.0.0.1", NthAddress(o.service_cidr, 1)};
  const std::string host = o.listen.substr(0, o.listen.rfind(':'));
  for (const std::string& ip : {node_ip, host}) {
    in_addr a;
    if (::inet_pton(AF_INET, ip.c_str(), &a) == 1 && ip != "0.0.0.0" && std::find(names.ips.begin(), names.ips.end(), ip) == names.ips.end()) names.ips.push_back(ip);
  }
  return names;
}

std::vector<std::string> Names(std::string_view list) {
  std::vector<std::string> out;
  for (const std::string_view name : Split(list, ',')) {
    if (!Trim(name).empty()) out.emplace_back(Trim(name));
  }
  return out;
}

kube::User ServiceAccount(std::string_view name) {
  return {Cat("system:serviceaccount:kube-system:", name), "", {"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"}, {}};
}

// One key: this host, whose certificates age and whose address moves.
constexpr std::string_view kHostKeeper = "host";
constexpr std::chrono::milliseconds kSoonest{std::chrono::seconds(60)}, kLatest{std::chrono::hours(24 * 7)};
class HostKeeper final : public kube::Reconciler {
 public:
  explicit HostKeeper(std::function<Result<std::chrono::milliseconds>(const Ctx&)> keep) : keep_(std::move(keep)) {}
  Result<kube::Outcome> Reconcile(const Ctx& ctx, const kube::Key&) override {
    TRY(const std::chrono::milliseconds next, keep_(ctx));
    return kube::Outcome{next};
  }

 private:
  const std::function<Result<std::chrono::milliseconds>(const Ctx&)> keep_;   // until it should be called again at the latest
};

class ApplianceImpl final : public Appliance {
 public:
  explicit ApplianceImpl(const Options& options) : o_(options), host_(options.node_ip) {}
  ~ApplianceImpl() override { ApplianceImpl::Stop(); }

  Result<> Run() {
    o_.node_ip = host_.Get();
    TRY_VOID(PrepareDirectories());
    // Bound first: a taken port is told before anything is opened, and "any port" has its number when objects name it.
    auto listener = net::Listener::Create(shards_, o_.listen);
    if (!listener) return std::unexpected(PortError(std::move(listener).error(), "listen", o_.listen));
    api_listener_ = std::move(*listener);
    TRY_VOID(StartStore());
    TRY_VOID(StartApi());
    TRY_VOID(StartControllers());
    TRY_VOID(StartRegistry());
    if (o_.runtime != "none") TRY_VOID(StartNode());
    TRY(admin_, AdminServer::Start(o_, *store_, shards_, workers_, elastic_));
    const auto look = [this] { manager_->Enqueue(kHostKeeper, {}); };
    host_.Watch(look);
    look();
    return {};
  }

  const Addresses& addresses() const override { return addresses_; }
  Result<std::string> NewLoginCode() override { return api_->console_sessions().NewCode({"kubernetes-admin", "", {"system:masters", "system:authenticated"}, {}}); }

  void Stop() noexcept override {
    host_.StopWatching();
    if (admin_) admin_->Stop();
    if (server_) server_->Stop();
    if (registry_server_) registry_server_->Stop();
    if (agent_) agent_->Stop();
    clock_watch_.reset();
    if (manager_) manager_->Stop();
    if (plane_) plane_->Stop();
    scheduler_.reset();
    collector_.reset();
    recorders_.clear();
    // A request may outlive the server's drain, and its client: the agent and what is below it go only when no thread can be in one.
    workers_.Stop();
    elastic_.Stop();
    if (api_) api_->Stop();
    agent_.reset();
    pod_network_.reset();
    plane_.reset();
    runtime_.reset();
    manager_.reset();
    clients_.clear();
    server_.reset();
    front_.reset();
    admin_.reset();
    api_.reset();
    store_.reset();
    static_cast<void>(::unlink((o_.run_dir + "/api-address").c_str()));
  }

 private:
  Result<> PrepareDirectories() {
    for (const std::string& d : {o_.data_dir, o_.run_dir}) {
      if (auto r = MakeDirectories(d, 0755); !r) {
        return std::unexpected(Error(Code::kForbidden, Cat("cannot use ", d, ": ", r.error().message(), "; choose another --data-dir or run as root")));
      }
    }
    auto lock = InstanceLock::Acquire(o_.data_dir);
    if (!lock && lock.error().code() == Code::kForbidden) {
      return std::unexpected(Error(Code::kForbidden, Cat("cannot use ", o_.data_dir, ": ", lock.error().message(), "; choose another --data-dir or run as root")));
    }
    if (!lock) return std::unexpected(std::move(lock).error());
    lock_.emplace(std::move(*lock));
    TRY_VOID(RememberOptions(o_));
    TRY(pki_, LoadOrCreatePki(o_.data_dir + "/pki", ServerNames(o_, o_.node_ip), Clock::System().Now()));
    return {};
  }

  Result<> StartStore() {
    store::Options so;
    so.directory = o_.data_dir + "/state";
    so.volatile_prefixes = {"/coordination.k8s.io/leases/kube-node-lease/"};
    const auto age = text::ParseDuration(o_.history);
    if (!age) return Fail(Code::kInvalid, Cat("--history=", o_.history, ": expected a duration such as 5m"));
    so.history_age = std::chrono::duration_cast<std::chrono::seconds>(*age);
    TRY(auto sealer, LoadSealer(o_.data_dir + "/pki", o_.encryption_provider_config));
    TRY(store_, store::OpenSealedStore(std::move(so), std::move(sealer)));
    return {};
  }

  Result<> StartApi() {
    registry_ = kube::NewRegistry();
    kube::RegisterBuiltins(*registry_);
    kube::ApiServerOptions ao;
    ao.service_cidr = o_.service_cidr;
    if (const auto age = text::ParseDuration(o_.history)) ao.history_age = std::chrono::duration_cast<std::chrono::seconds>(*age);
    ao.advertise_address = o_.node_ip;
    ao.port = api_listener_->bound_port();
    ao.cluster_domain = o_.dns_domain;
    ao.issuer = "https://kubernetes.default.svc." + o_.dns_domain;
    ao.git_version = kKubernetesVersion;
    ao.service_account_key = pki_.service_account_key_pem;
    TRY(ao.client_ca, ClientAuthorities());
    ao.proxy_ca = pki_.proxy_ca_pem;
    ao.proxy_certificate = pki_.proxy_pem;
    ao.proxy_key = pki_.proxy_key_pem;
    ao.health = [this] {
      std::vector<std::pair<std::string, Result<>>> checks;
      checks.emplace_back("store", store_->Healthy());
      return checks;
    };
    ao.metrics = [] { return telemetry::Metrics::Global().Expose(); };
    ao.node = [this]() -> kube::NodeStreams* { return agent_.get(); };
    if (o_.runtime != "none") {
      ao.usage = [this] { return Usage(); };
      ao.object_metrics = [this] { return RequestRates(); };
      ao.offered_metrics = kube::network::RequestRates::Kinds();
    }
    ao.admission = {Names(o_.enable_admission_plugins), Names(o_.disable_admission_plugins)};
    ao.authorization_modes = Names(o_.authorization_mode);
    TRY_VOID(SetUpRequests(ao));
    if (!o_.token_auth_file.empty()) {
      TRY(const std::string text, ReadFile(o_.token_auth_file, 1 << 20));
      TRY(ao.tokens, kube::ParseTokenFile(text));
    }
    TRY(api_, kube::ApiServer::Create(*store_, *registry_, std::move(ao)));
    TRY_VOID(api_->Start(ctx_));

    TRY(net::TlsServerConfig tls, ServerTls());
    TRY(tls_, net::TlsServerContext::Create(std::move(tls)));
    http::ServerOptions server;
    server.shards = &shards_;
    front_ = ui::NewConsoleHandler(api_->handler());
    server.handler = front_.get();
    server.runs_on_shard = [this](net::Shard& shard, const http::Request& request) { return api_->RunsOnShard(shard, request); };
    server.workers = &workers_;
    server.elastic = &elastic_;
    server.tls = tls_;
    TRY(server_, http::Server::Create(std::move(server), std::move(api_listener_)));
    addresses_.api = server_->address();
    TRY_VOID(WriteKubeconfigs());
    return WriteFileDurably(o_.run_dir + "/api-address", addresses_.api + "\n", 0644);
  }

  // Who may sign certificates of clients.
  Result<std::string> ClientAuthorities() const {
    if (o_.client_ca_file.empty()) return pki_.ca_pem;
    TRY(const std::string more, ReadFile(o_.client_ca_file, 1 << 20));
    return Cat(pki_.ca_pem, "\n", more);
  }

  Result<net::TlsServerConfig> ServerTls() const {
    net::TlsServerConfig tls;
    tls.identity = {pki_.server_pem, pki_.server_key_pem};
    TRY(tls.client_ca_pem, ClientAuthorities());
    if (!o_.tls_cert_file.empty()) TRY_VOID(OfferOperatorsCertificate(tls));
    tls.client_auth = net::ClientAuth::kRequest;
    tls.alpn = {"h2", "http/1.1"};
    return tls;
  }

  Result<> WriteKubeconfigs() {
    const std::string kubeconfig = Kubeconfig(pki_, ReachableServer(addresses_.api));
    TRY_VOID(WriteFileDurably(o_.data_dir + "/kubeconfig", kubeconfig, 0600));
    addresses_.kubeconfig = o_.kubeconfig_out;
    if (o_.kubeconfig_out != o_.data_dir + "/kubeconfig") {
      TRY_VOID(MakeDirectories(o_.kubeconfig_out.substr(0, o_.kubeconfig_out.rfind('/')), 0755));
      TRY_VOID(WriteFileDurably(o_.kubeconfig_out, kubeconfig, 0600));
    }
    return {};
  }

  // What is due for renewal or names an old address is made again and holds for the connections that follow. Returns when to look again.
  Result<std::chrono::milliseconds> KeepHost(const Ctx& ctx) {
    const Clock::Wall now = Clock::System().Now();
    const std::string address = host_.Get();
    const bool moved = address != o_.node_ip;
    TRY(Pki pki, LoadOrCreatePki(o_.data_dir + "/pki", ServerNames(o_, address), now));
    if (pki.server_pem != pki_.server_pem || pki.admin_pem != pki_.admin_pem || pki.proxy_pem != pki_.proxy_pem) {
      log::Info("certificates were renewed", {{"address", address}});
      pki_ = std::move(pki);
      TRY(net::TlsServerConfig tls, ServerTls());
      TRY_VOID(tls_->Reload(std::move(tls)));
      api_->SetProxyIdentity(pki_.proxy_pem, pki_.proxy_key_pem);
      TRY_VOID(WriteKubeconfigs());
    }
    if (moved) {
      log::Info("the host's address changed", {{"before", o_.node_ip}, {"now", address}});
      TRY_VOID(api_->Advertise(ctx, address));
      if (plane_) TRY_VOID(plane_->MoveTo(address));
      o_.node_ip = address;   // last: an error above is tried again
    } else if (plane_) {
      plane_->Refresh();
    }
    return std::clamp(std::chrono::duration_cast<std::chrono::milliseconds>(pki_.renew_at - now), kSoonest, kLatest);
  }

  // Clients that ask for one of our own names, or for none, get the certificate that our kubeconfigs trust; others the operator's.
  Result<> OfferOperatorsCertificate(net::TlsServerConfig& tls) const {
    net::TlsIdentity identity;
    TRY(identity.chain_pem, ReadFile(o_.tls_cert_file, 1 << 20));
    TRY(identity.key_pem, ReadFile(o_.tls_private_key_file, 1 << 20));
    auto certificate = net::TlsCertificate::Create(identity);
    if (!certificate) return std::unexpected(std::move(certificate).error().Wrap("--tls-cert-file"));
    tls.select = [offered = std::move(*certificate), own = ServerNames(o_, host_.Get()).dns](std::string_view name) -> std::shared_ptr<const net::TlsCertificate> {
      return name.empty() || std::find(own.begin(), own.end(), name) != own.end() ? nullptr : offered;
    };
    return {};
  }

  bool MayRequestCertificate(const json::Value& spec, std::string_view permission) const {
    kube::Attributes attributes;
    attributes.user.name = spec["username"].Str();
    attributes.user.uid = spec["uid"].Str();
    for (const json::Value& group : spec["groups"].Items()) attributes.user.groups.emplace_back(group.Str());
    attributes.verb = "create";
    attributes.group = "certificates.k8s.io";
    attributes.version = "*";
    attributes.resource = "certificatesigningrequests";
    attributes.subresource = permission;
    return api_->authorizer().Authorize(attributes).decision == kube::Decision::kAllow;
  }

  // Who may ask for how much at once, and what is written down about it.
  Result<> SetUpRequests(kube::ApiServerOptions& ao) {
    if (!o_.authentication_config.empty()) {
      TRY(const std::string text, ReadFile(o_.authentication_config, 1 << 20));
      auto parsed = kube::ParseAuthenticationConfiguration(text);
      if (!parsed) return std::unexpected(std::move(parsed).error().Wrap(o_.authentication_config));
      ao.authentication = std::move(*parsed);
    }
    if (!o_.oidc_issuer_url.empty()) {
      if (!ao.authentication.issuers.empty()) return Fail(Code::kInvalid, "--authentication-config and --oidc-issuer-url exclude each other");
      kube::JwtIssuer issuer;
      issuer.url = o_.oidc_issuer_url;
      if (!issuer.url.starts_with("https://")) return Fail(Code::kInvalid, "--oidc-issuer-url must be an https URL");
      if (o_.oidc_client_id.empty()) return Fail(Code::kInvalid, "--oidc-client-id is needed with --oidc-issuer-url");
      issuer.audiences = {o_.oidc_client_id};
      issuer.username_claim = o_.oidc_username_claim;
      issuer.username_prefix = o_.oidc_username_prefix == "-" ? "" : !o_.oidc_username_prefix.empty() ? o_.oidc_username_prefix : o_.oidc_username_claim == "email" ? "" : issuer.url + "#";
      issuer.groups_claim = o_.oidc_groups_claim;
      issuer.groups_prefix = o_.oidc_groups_prefix;
      for (const std::string& pair : Names(o_.oidc_required_claim)) issuer.required_claims[pair.substr(0, pair.find('='))] = pair.find('=') == pair.npos ? "" : pair.substr(pair.find('=') + 1);
      if (!o_.oidc_ca_file.empty()) {
        TRY(issuer.ca_pem, ReadFile(o_.oidc_ca_file, 1 << 20));
      }
      ao.authentication.issuers.push_back(std::move(issuer));
    }
    if (o_.anonymous_auth == "false") ao.authentication.anonymous = kube::AnonymousAccess{false, {}};
    const auto number = [](const char* flag, const std::string& text) -> Result<std::int64_t> {
      const auto n = ParseInt(text);
      if (!n || *n < 0 || *n > 1'000'000) return Fail(Code::kInvalid, Cat("--", flag, "=", text, ": expected a number from 0 to 1000000"));
      return *n;
    };
    TRY(const auto reads, number("max-requests-inflight", o_.max_requests_inflight));
    TRY(const auto writes, number("max-mutating-requests-inflight", o_.max_mutating_requests_inflight));
    ao.flow.seats = static_cast<int>(reads + writes);
    if (o_.audit_policy_file.empty() != o_.audit_log_path.empty()) return Fail(Code::kInvalid, "--audit-policy-file and --audit-log-path need each other");
    if (o_.audit_policy_file.empty()) return {};
    TRY(ao.audit_policy, ReadFile(o_.audit_policy_file, 1 << 20));
    TRY(const auto size, number("audit-log-maxsize", o_.audit_log_maxsize));
    TRY(const auto backups, number("audit-log-maxbackup", o_.audit_log_maxbackup));
    TRY(const auto days, number("audit-log-maxage", o_.audit_log_maxage));
    ao.audit_log = {o_.audit_log_path, (size > 0 ? size : 100) << 20, static_cast<int>(backups), std::chrono::hours(24 * days)};
    return {};
  }

  kube::ObjectMetricsSource* RequestRates() { return plane_ ? &plane_->object_metrics() : nullptr; }
  kube::MetricsSource* Usage() { return agent_ ? &agent_->usage() : nullptr; }

  kube::Client& ClientOf(std::string_view name) {
    auto& slot = clients_[std::string(name)];
    // Whoever issues tokens cannot itself be a service account.
    const kube::User user = name == "tokens-controller" ? kube::User{"system:kube-controller-manager", "", {"system:authenticated"}, {}} : ServiceAccount(name);
    if (!slot) slot = api_->NewClient(user, std::string(name));
    return *slot;
  }

  kube::EventRecorder& RecorderOf(std::string_view name) {
    auto& slot = recorders_[std::string(name)];
    if (!slot) slot = kube::NewEventRecorder(ClientOf(name), std::string(name), "", Clock::System());
    return *slot;
  }

  Result<> StartControllers() {
    manager_ = kube::NewManager(api_->informers(), Clock::System());
    const kube::ControllerContext context{*manager_,
                                          api_->informers(),
                                          [this](std::string_view name) -> kube::Client& { return ClientOf(name); },
                                          [this](std::string_view name) -> kube::EventRecorder& { return RecorderOf(name); },
                                          Clock::System(),
                                          *registry_,
                                          pki_.ca_pem,
                                          [this] { return Usage(); },
                                          [this] { return RequestRates(); },
                                          &api_->aggregated_apis()};
    kube::AddNamespace(context);
    kube::AddNodeLifecycle(context);
    kube::AddServiceAccount(context);
    kube::AddRootCaPublisher(context);
    kube::AddClusterRoleAggregation(context);
    kube::AddResourceQuota(context);
    constexpr std::string_view kFlow = "api-priority-and-fairness-config-consumer-v1";
    clients_[std::string(kFlow)] = api_->NewClient({"system:apiserver", "", {"system:masters", "system:authenticated"}, {}}, std::string(kFlow));
    kube::AddFlowSchemaStatus(context);
    clients_[kube::kAggregationClient] = api_->NewClient({"system:apiserver", "", {"system:masters", "system:authenticated"}, {}}, "kube-apiserver");
    kube::AddApiServices(context);
    clients_[kube::kPolicyStatusClient] = api_->NewClient(ServiceAccount("validatingadmissionpolicy-status-controller"), kube::kPolicyStatusClient);
    kube::AddPolicyStatus(context);
    TRY(auto authority, crypto::CertificateAuthority::Load(pki_.ca_pem, pki_.ca_key_pem));
    kube::AddCertificates(context, {std::move(authority), [this](const json::Value& spec, std::string_view permission) { return MayRequestCertificate(spec, permission); }});
    if (o_.runtime != "none") kube::AddNodeRole(context, o_.node_name);
    kube::AddReplicaSet(context);
    kube::AddReplicationController(context);
    kube::AddDeployment(context);
    kube::AddStatefulSet(context);
    kube::AddDaemonSet(context);
    kube::AddJob(context);
    kube::AddCronJob(context);
    kube::AddTtlAfterFinished(context);
    kube::AddDisruption(context);
    kube::AddVolumes(context);
    kube::AddHorizontalPodAutoscaler(context);
    kube::AddPodGc(context);
    kube::AddTaintEviction(context);
    kube::AddAccountTokens(context);
    kube::AddLegacyTokens(context);
    kube::AddEndpoints(context);
    kube::AddEndpointSlice(context);
    kube::AddEndpointSliceMirroring(context);
    kube::AddServiceCidrs(context);
    collector_ = kube::AddGarbageCollector(context);
    const kube::User scheduler{"system:kube-scheduler", "", {"system:authenticated"}, {}};
    clients_["scheduler"] = api_->NewClient(scheduler, "kube-scheduler");
    std::vector<kube::SchedulerProfile> profiles(1);
    if (!o_.scheduler_config.empty()) {
      TRY(const std::string text, ReadFile(o_.scheduler_config, 1 << 20));
      auto parsed = kube::ParseSchedulerConfiguration(text);
      if (!parsed) return std::unexpected(std::move(parsed).error().Wrap(o_.scheduler_config));
      profiles = std::move(*parsed);
    }
    const auto scheduler_events = [this](std::string_view profile) -> kube::EventRecorder& {
      auto& slot = recorders_[Cat("scheduler/", profile)];
      if (!slot) slot = kube::NewEventRecorder(*clients_["scheduler"], std::string(profile), "", Clock::System());
      return *slot;
    };
    scheduler_ = kube::AddScheduler(*manager_, api_->informers(), *clients_["scheduler"], scheduler_events, Clock::System(), profiles);
    if (const auto hollow = ParseInt(o_.hollow_nodes).value_or(0); hollow > 0) {
      clients_["hollow"] = api_->NewClient({"system:hollow-nodes", "", {"system:masters", "system:authenticated"}, {}}, "kubelet");
      kube::node::HollowOptions options;
      options.count = static_cast<int>(hollow);
      kube::node::AddHollowNodes(*manager_, api_->informers(), *clients_["hollow"], Clock::System(), std::move(options));
    }
    clock_watch_ = std::make_unique<kube::ClockWatch>([this] { manager_->WakeDelayed(); });
    manager_->Add({std::string(kHostKeeper), {}, 1, std::make_unique<HostKeeper>([this](const Ctx& ctx) { return KeepHost(ctx); })});
    return manager_->Start(ctx_);
  }

  Result<> StartRegistry() {
    if (o_.registry_listen == "none" || (o_.runtime == "none" && o_.registry_listen == Options().registry_listen)) return {};   // a bare control plane opens no port that nobody asked for
    TRY(images_, registry::Storage::Open(o_.data_dir));
    registry_handler_ = registry::NewRegistryHandler(*images_);
    http::ServerOptions server;
    server.shards = &shards_;
    server.handler = registry_handler_.get();
    server.workers = &workers_;
    server.elastic = &elastic_;
    server.listen = o_.registry_listen;
    auto bound = http::Server::Create(std::move(server));
    if (!bound) return std::unexpected(PortError(std::move(bound).error(), "registry-listen", o_.registry_listen));
    registry_server_ = std::move(*bound);
    addresses_.registry = registry_server_->address();
    return {};
  }

  Result<> StartNode() {
    TRY(runtime_, NewRuntime(o_, addresses_.registry));
    clients_["router"] = api_->NewClient({"system:skerry-router", "", {"system:authenticated"}, {}}, "router");
    TRY(plane_, DataPlane::Start(ctx_, {o_, pki_, host_, shards_, api_->informers(), *clients_["router"], *registry_}));
    addresses_.router_http = plane_->router_http();
    addresses_.router_https = plane_->router_https();
    pod_network_ = NewPodNetwork(plane_->network());
    kube::node::AgentOptions ao;
    ao.node.name = o_.node_name;
    ao.node.ip = [this] { return host_.Get(); };
    ao.node.version = kKubernetesVersion;
    ao.node.data_directory = o_.data_dir;
    ao.node.pod_cidr = o_.cluster_cidr;
    ao.dns.server = DnsAddress(o_);
    ao.dns.domain = o_.dns_domain;
    if (auto text = ReadFile("/etc/resolv.conf", 1 << 16)) ao.dns.host_resolv_conf = std::move(*text);
    const kube::User node{"system:node:" + o_.node_name, "", {"system:nodes", "system:authenticated"}, {}};
    clients_["node"] = api_->NewClient(node, "kubelet");
    agent_ = std::make_unique<kube::node::Agent>(api_->informers(), *clients_["node"], *runtime_, *pod_network_, Clock::System(), std::move(ao));
    auto started = agent_->Start(ctx_);
    if (!started) return std::unexpected(RuntimeError(o_, std::move(started).error()));
    return {};
  }

  Options o_;                                     // node_ip: of the keeper once the controllers run
  netlink::HostAddress host_;
  Addresses addresses_;
  const Ctx ctx_{std::stop_token()};
  std::optional<InstanceLock> lock_;
  Pki pki_;                                       // the same
  std::shared_ptr<net::TlsServerContext> tls_;
  net::Shards shards_;
  WorkerPool workers_{"api", 8, 1024};
  ElasticPool elastic_{"outside"};
  std::unique_ptr<net::Listener> api_listener_;   // until the server has it
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<kube::Registry> registry_;
  std::unique_ptr<kube::ApiServer> api_;
  std::unique_ptr<http::Handler> front_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<AdminServer> admin_;
  std::map<std::string, std::unique_ptr<kube::Client>> clients_;
  std::map<std::string, std::unique_ptr<kube::EventRecorder>> recorders_;
  std::unique_ptr<kube::Manager> manager_;
  std::unique_ptr<kube::ClockWatch> clock_watch_;
  std::shared_ptr<void> collector_, scheduler_;
  std::unique_ptr<registry::Storage> images_;
  std::unique_ptr<http::Handler> registry_handler_;
  std::unique_ptr<http::Server> registry_server_;
  std::unique_ptr<container::Runtime> runtime_;
  std::unique_ptr<DataPlane> plane_;
  std::unique_ptr<kube::node::PodNetwork> pod_network_;
  std::unique_ptr<kube::node::Agent> agent_;
};

}  // namespace

Result<std::unique_ptr<Appliance>> Appliance::Start(const Options& options) {
  auto appliance = std::make_unique<ApplianceImpl>(options);
  TRY_VOID(appliance->Run());
  return std::unique_ptr<Appliance>(std::move(appliance));
}

}  // namespace skerry::cmd
