#include "embedded-kube-shim/server/api_server.h"

#include <algorithm>
#include <deque>
#include <mutex>

#include "core/base/guarded.h"
#include "core/base/strings.h"
#include "core/base/thread_pool.h"
#include "core/net/shard.h"
#include "core/telemetry/log.h"
#include "embedded-kube-shim/apis/metrics_kinds.h"
#include "embedded-kube-shim/auth/console_sessions.h"
#include "embedded-kube-shim/auth/node_authorizer.h"
#include "embedded-kube-shim/cache/object_cache.h"
#include "embedded-kube-shim/server/api_handler.h"
#include "embedded-kube-shim/server/bootstrap.h"
#include "embedded-kube-shim/server/custom_resources.h"
#include "embedded-kube-shim/server/local_client.h"
#include "embedded-kube-shim/server/object_metrics.h"

namespace skerry::kube {
namespace {

constexpr std::size_t kCompletionThreads = 4, kCompletionQueue = 1 << 16;

// A key that cannot be read is reported by Create; until then a fresh one stands in.
crypto::PrivateKey KeyFrom(const std::string& pem) {
  auto key = pem.empty() ? Result<crypto::PrivateKey>(crypto::PrivateKey::GenerateP256()) : crypto::PrivateKey::FromPem(pem);
  return key ? std::move(*key) : crypto::PrivateKey::GenerateP256();
}

AuthenticatorChain MakeAuthenticators(const ApiServerOptions& options, std::shared_ptr<const TokenAuthenticator> accounts, std::shared_ptr<const TokenAuthenticator> sessions, Informers& informers, const Clock& clock) {
  std::vector<std::unique_ptr<Authenticator>> requests;
  requests.push_back(NewCertificateAuthenticator());
  std::vector<std::shared_ptr<const TokenAuthenticator>> tokens;
  tokens.push_back(NewStaticTokens(options.tokens));
  tokens.push_back(std::move(accounts));
  tokens.push_back(std::move(sessions));
  tokens.push_back(NewBootstrapTokens(informers, clock));
  for (const auto& issuer : options.authentication.issuers) tokens.push_back(NewJwtAuthenticator(issuer, clock));
  return AuthenticatorChain(std::move(requests), std::move(tokens), options.authentication.anonymous.value_or(AnonymousAccess()));
}

// By the names of --authorization-mode.
class Authorizers {
 public:
  Authorizers(const std::vector<std::string>& modes, Informers& informers, const Authorizer& rbac) {
    std::vector<const Authorizer*> order;
    for (const auto& mode : modes) {
      if (mode == "RBAC") {
        order.push_back(&rbac);
        continue;
      }
      if (mode == "Node") owned_.push_back(NewNodeAuthorizer(informers));
      else owned_.push_back(NewConstantAuthorizer(mode == "AlwaysAllow" ? Decision::kAllow : Decision::kDeny));
      order.push_back(owned_.back().get());
    }
    all_ = NewUnionAuthorizer(std::move(order));
  }
  const Authorizer& operator*() const { return *all_; }
  const Authorizer* get() const { return all_.get(); }

  static Result<> Check(const std::vector<std::string>& modes) {
    std::vector<std::string> seen;
    for (const auto& mode : modes) {
      if (mode != "Node" && mode != "RBAC" && mode != "AlwaysAllow" && mode != "AlwaysDeny")
        return Fail(Code::kInvalid, Cat("authorization mode ", Quote(mode), " is not one of Node, RBAC, AlwaysAllow, AlwaysDeny"));
      if (std::find(seen.begin(), seen.end(), mode) != seen.end()) return Fail(Code::kInvalid, Cat("authorization mode ", Quote(mode), " is given twice"));
      seen.push_back(mode);
    }
    if (modes.empty()) return Fail(Code::kInvalid, "at least one authorization mode is needed");
    return {};
  }

 private:
  std::vector<std::unique_ptr<Authorizer>> owned_;
  std::unique_ptr<Authorizer> all_;
};

// How often objects of these resources changed.
std::function<std::uint64_t()> ChangesOf(Caches& caches, std::string_view group, std::initializer_list<std::string_view> resources) {
  std::vector<const ObjectCache*> all;
  for (const auto resource : resources) all.push_back(&caches.ForPrefix(Cat("/", group, "/", resource, "/")));
  return [all = std::move(all)] {
    std::uint64_t sum = 0;
    for (const auto* cache : all) sum += cache->changes();
    return sum;
  };
}

struct Audit {
  AuditPolicy policy;
  std::unique_ptr<AuditLog> log;     // null = nothing is recorded
};

Result<Audit> OpenAudit(const ApiServerOptions& options, const Clock& clock) {
  Audit audit;
  if (options.audit_policy.empty() || options.audit_log.path.empty()) return audit;
  auto policy = AuditPolicy::Parse(options.audit_policy);
  if (!policy) return std::unexpected(std::move(policy).error().Wrap("audit policy"));
  audit.policy = std::move(*policy);
  TRY(audit.log, AuditLog::Open(options.audit_log, clock));
  return audit;
}

User Self() { return {"system:apiserver", "", {"system:masters", "system:authenticated"}, {}}; }

class ApiServerImpl final : public ApiServer {
 public:
  ApiServerImpl(store::Store& store, Registry& registry, ApiServerOptions options, Audit audit, const Clock& clock, Random& random)
      : options_(std::move(options)),
        completions_("api-completions", kCompletionThreads, kCompletionQueue),
        informers_(NewCacheInformers(caches_, registry)),
        rbac_(*informers_, ChangesOf(caches_, "rbac.authorization.k8s.io", {"roles", "clusterroles", "rolebindings", "clusterrolebindings"})),
        authorizer_(options_.authorization_modes, *informers_, rbac_),
        tokens_(std::make_shared<ServiceAccountTokens>(KeyFrom(options_.service_account_key), options_.issuer, options_.audiences, *informers_, clock, random)),
        sessions_(std::make_shared<ConsoleSessions>(KeyFrom(options_.service_account_key), clock, random)),
        authenticators_(MakeAuthenticators(options_, tokens_, sessions_, *informers_, clock)),
        engine_(store, registry, caches_, *authorizer_, rbac_, NewAdmissionChain(options_.admission), clock, random, EngineOptions{options_.service_cidr, options_.node_port_first, options_.node_port_last, options_.history_age},
                [this](net::Shard* home, std::move_only_function<void()> job) { home ? PostHome(*home, std::move(job)) : Post(std::move(job)); }),
        custom_(engine_, registry),
        rest_(engine_, timers_, RestServices{&authenticators_, authorizer_.get(), &rbac_, tokens_.get(), options_.node, &waiters_, options_.usage, options_.object_metrics}),
        aggregator_(engine_, *informers_, {options_.proxy_certificate, options_.proxy_key}),
        nonresource_(engine_, Info(), &aggregator_.documents()),
        console_(engine_, timers_, *authorizer_, *sessions_),
        flow_(*informers_, timers_, options_.flow, [this](std::move_only_function<void()> job) { Post(std::move(job)); }),
        audit_(std::move(audit)),
        handler_(rest_, nonresource_, console_, authenticators_, *authorizer_, FrontDoor{&flow_, audit_.log ? &audit_.policy : nullptr, audit_.log.get(), &clock, &aggregator_}),
        store_(store) {}

  ~ApiServerImpl() override { Stop(); }

  std::string_view name() const noexcept override { return "api"; }
  Result<> Load() {
    TRY_VOID(caches_.Load(store_));
    engine_.OnCustomWrite([this](const Target& target, std::move_only_function<void()> answer) { custom_.OnWrite(target, std::move(answer)); });
    custom_.Load();
    tokens_->OnSecretUse([this](const Key& secret, const std::string& date) { Post([this, secret, date] { LabelUsed(secret, date); }); });
    return {};
  }

  Result<> Start(const Ctx& ctx) override {
    custom_.Start(NewClient(Self(), "kube-apiserver"));
    const auto client = NewClient(Self(), "kube-apiserver");
    TRY_VOID(WriteBootstrapObjects(ctx, *client, options_, engine_.clock()));
    aggregator_.Start();
    return {};
  }

  Result<> Advertise(const Ctx& ctx, std::string address) override {
    {
      auto advertised = advertised_.Lock();
      *advertised = address;
    }
    const auto client = NewClient(Self(), "kube-apiserver");
    return WriteKubernetesEndpoints(ctx, *client, address, options_.port);
  }

  void Stop() noexcept override {
    if (std::exchange(stopped_, true)) return;
    timers_.Stop();
    aggregator_.Stop();
    custom_.Stop();
    engine_.Drain();
    completions_.Stop();
    waiters_.Stop();
    caches_.Stop();
  }

  http::Handler& handler() override { return handler_; }
  bool RunsOnShard(net::Shard& shard, const http::Request& request) override { return handler_.RunsOnShard(shard, request); }
  Informers& informers() override { return *informers_; }
  Engine& engine() override { return engine_; }
  const Authorizer& authorizer() override { return *authorizer_; }
  ConsoleSessions& console_sessions() override { return *sessions_; }
  AggregatedApis& aggregated_apis() override { return aggregator_; }
  void SetProxyIdentity(std::string certificate_pem, std::string key_pem) override { aggregator_.SetIdentity({std::move(certificate_pem), std::move(key_pem)}); }
  std::unique_ptr<Client> NewClient(User user, std::string manager) override { return NewLocalClient(engine_, *authorizer_, *tokens_, std::move(user), std::move(manager)); }

 private:
  // A commit group ends many writes at once: few threads are woken for all of them, and more only while work piles up.
  void Post(std::move_only_function<void()> job) {
    constexpr std::size_t kEach = 8;
    {
      std::lock_guard lock(ended_mutex_);
      ended_.push_back(std::move(job));
      if (drainers_ > 0 && (drainers_ == kCompletionThreads || ended_.size() <= kEach * drainers_)) return;
      ++drainers_;
    }
    // A full queue only means that completions lag: the commit thread then does some itself.
    if (!completions_.TrySubmit([this] { DrainEnded(); })) DrainEnded();
  }

  // Whoever used the token does not wait for it, and a lost label is written at the next use.
  void LabelUsed(const Key& secret, const std::string& date) {
    Target target;
    target.def = engine_.resources().Find("", "v1", "secrets");
    if (!target.def) return;
    target.version = "v1";
    target.ns = secret.ns;
    target.name = secret.name;
    PatchBody body{PatchType::kMerge, {}, {}, false};
    body.document.Set("metadata").Set("labels").Set(kTokenLastUsed) = date;
    auto operation = NewPatch(std::move(target), std::move(body));
    operation->caller = {Self(), "kube-apiserver"};
    operation->options.field_manager = "kube-apiserver";
    operation->options.field_validation = FieldValidation::kIgnore;
    engine_.Run(Ctx(std::stop_token()), std::move(operation), [secret](Result<Written> written) {
      if (!written) log::Debug("the use of a token was not recorded", {{"secret", secret.ns + "/" + secret.name}, {"error", written.error()}});
    });
  }

  void PostHome(net::Shard& home, std::move_only_function<void()> job) {
    home.Post([job = std::move(job)]() mutable { RunEnded(std::move(job)); });
  }

  static void RunEnded(std::move_only_function<void()> job) {
    try {
      job();
    } catch (const std::exception& error) {
      log::Error("a write could not be answered", {{"error", error.what()}});
    }
  }

  void DrainEnded() {
    for (;;) {
      std::move_only_function<void()> job;
      {
        std::lock_guard lock(ended_mutex_);
        if (ended_.empty()) {
          --drainers_;
          return;
        }
        job = std::move(ended_.front());
        ended_.pop_front();
      }
      RunEnded(std::move(job));
    }
  }

  std::string Advertised() const {
    auto advertised = advertised_.Lock();
    return Cat(*advertised, ":", options_.port);
  }
  ServerInfo Info() const {
    ServerInfo info;
    info.git_version = options_.git_version;
    info.git_commit = options_.git_commit;
    info.build_date = options_.build_date;
    info.advertise = [this] { return Advertised(); };
    info.health = options_.health;
    info.metrics = [this] { return (options_.metrics ? options_.metrics() : std::string()) + flow_.Metrics(); };
    info.openid_configuration = [this] { return tokens_->DiscoveryDocument(Cat("https://", Advertised())); };
    info.jwks = [tokens = tokens_] { return tokens->KeySetDocument(); };
    return info;
  }

  const ApiServerOptions options_;
  mutable Guarded<std::string> advertised_{options_.advertise_address};
  std::mutex ended_mutex_;
  std::deque<std::move_only_function<void()>> ended_;   // guarded: writes whose answers are to be made
  std::size_t drainers_ = 0;                            // guarded: threads that do so
  WorkerPool completions_;
  ElasticPool waiters_{"pod-streams"};
  Timers timers_;
  Caches caches_;
  std::unique_ptr<Informers> informers_;
  RbacAuthorizer rbac_;
  Authorizers authorizer_;
  std::shared_ptr<ServiceAccountTokens> tokens_;
  std::shared_ptr<ConsoleSessions> sessions_;
  AuthenticatorChain authenticators_;
  Engine engine_;
  CustomResources custom_;
  Rest rest_;
  Aggregator aggregator_;
  NonResource nonresource_;
  ConsoleApi console_;
  FlowControl flow_;
  Audit audit_;
  ApiHandler handler_;
  store::Store& store_;
  bool stopped_ = false;
};

}  // namespace

Result<std::unique_ptr<ApiServer>> ApiServer::Create(store::Store& store, Registry& registry, ApiServerOptions options, const Clock& clock, Random& random) {
  if (!options.service_account_key.empty())
    if (auto key = crypto::PrivateKey::FromPem(options.service_account_key); !key) return std::unexpected(std::move(key).error().Wrap("service account key"));
  TRY_VOID(CheckAdmissionOptions(options.admission));
  if (options.usage) RegisterMetrics(registry);
  RegisterObjectMetrics(registry, options.offered_metrics);
  TRY_VOID(Authorizers::Check(options.authorization_modes));
  TRY(auto audit, OpenAudit(options, clock));
  auto server = std::make_unique<ApiServerImpl>(store, registry, std::move(options), std::move(audit), clock, random);
  TRY_VOID(server->Load());
  return server;
}

}  // namespace skerry::kube
