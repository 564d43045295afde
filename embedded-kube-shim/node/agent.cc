#include "embedded-kube-shim/node/agent.h"

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/process/file_watcher.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/controllers/pod_facts.h"
#include "core/process/wait.h"
#include "embedded-kube-shim/node/log_followers.h"
#include "embedded-kube-shim/node/usage.h"

namespace skerry::kube::node {
namespace {

// Tokens for pods from the API's own token endpoint, renewed when four fifths of their life have passed.
class Tokens {
 public:
  Tokens(Client& client, const Clock& clock) : client_(client), clock_(clock) {}

  Result<IssuedToken> Get(const Ctx& ctx, const json::Value& pod, std::string_view audience, std::int64_t seconds) {
    const std::string account(pod["spec"]["serviceAccountName"].Str("default"));
    const std::string key = Cat(Uid(pod), "|", account, "|", audience, "|", seconds);
    {
      std::lock_guard lock(mutex_);
      const auto it = tokens_.find(key);
      if (it != tokens_.end() && clock_.Now() < it->second.renew_at) return it->second;
    }
    json::Value request;
    request.Set("apiVersion") = "authentication.k8s.io/v1";
    request.Set("kind") = "TokenRequest";
    request.Set("metadata").Set("name") = account;
    request.Set("metadata").Set("namespace") = Namespace(pod);
    json::Value& spec = request.Set("spec");
    spec.Set("audiences") = json::Value::Array();
    if (!audience.empty()) spec.Set("audiences").Append(audience);
    spec.Set("expirationSeconds") = seconds;
    json::Value& bound = spec.Set("boundObjectRef");
    bound.Set("apiVersion") = "v1";
    bound.Set("kind") = "Pod";
    bound.Set("name") = Name(pod);
    bound.Set("uid") = Uid(pod);
    TRY(const ObjectPtr answer, client_.Create(ctx, "v1/serviceaccounts", std::move(request), "token"));
    IssuedToken token{std::string((*answer)["status"]["token"].Str()), clock_.Now() + std::chrono::seconds(seconds) * 4 / 5};
    std::lock_guard lock(mutex_);
    std::erase_if(tokens_, [&](const auto& t) { return t.second.renew_at + std::chrono::hours(2) < clock_.Now(); });
    tokens_[key] = token;
    return token;
  }

 private:
  Client& client_;
  const Clock& clock_;
  std::mutex mutex_;
  std::map<std::string, IssuedToken> tokens_;
};

}  // namespace

struct Agent::Parts {
  Parts(Informers& informers, Client& c, container::Runtime& r, PodNetwork& network, const Clock& clk, AgentOptions o)
      : client(c), runtime(r), clock(clk), options(std::move(o)), pods(informers.Get("v1/pods")), tokens(c, clk), pool("node-agent"),
        manager(NewManager(informers, clk)), events(NewEventRecorder(c, "kubelet", options.node.name, clk)),
        workers(WorkerEnvironment{*manager, informers, c, *events, r, network, pool, clk, options.node.name, options.node.ip, options.node.data_directory, options.dns,
                                  [this](const Ctx& ctx, const json::Value& pod, std::string_view audience, std::int64_t seconds) { return tokens.Get(ctx, pod, audience, seconds); },
                                  NewProbeRunner(r), {}, stop.get_token()}),
        usage(r, clk, {options.node.name, "/proc", [this] { return workers.Views(); },
                       [this](std::chrono::milliseconds d) { process::Pause(Ctx(stop.get_token()), d); }, options.node.data_directory}) {
    AddNodeStatus(*manager, informers, c, *events, r, clk, options.node);
  }

  std::stop_source stop;
  Client& client;
  container::Runtime& runtime;
  const Clock& clock;
  const AgentOptions options;
  const Lister& pods;
  Tokens tokens;
  ElasticPool pool;
  std::unique_ptr<Manager> manager;
  std::unique_ptr<EventRecorder> events;
  PodWorkers workers;
  std::shared_ptr<process::FileWatcher> watcher;
  LogFollowers followers;
  UsageMeter usage;

  // The container asked for: by name, or the only (or default) one.
  Result<std::string> ContainerOf(const json::Value& pod, std::string_view name) const {
    if (name.empty()) {
      const std::string_view preferred = Meta(pod)["annotations"]["kubectl.kubernetes.io/default-container"].Str();
      if (!preferred.empty()) return std::string(preferred);
      const auto containers = pod["spec"]["containers"].Items();
      if (containers.size() == 1) return std::string(containers[0]["name"].Str());
      std::vector<std::string> names;
      for (const json::Value& c : containers) names.emplace_back(c["name"].Str());
      return std::unexpected(BadRequestError(Cat("a container name must be specified for pod ", Name(pod), ", choose one of: [", Join(names, " "), "]")));
    }
    for (const char* list : {"containers", "initContainers", "ephemeralContainers"}) {
      for (const json::Value& c : pod["spec"][list].Items()) {
        if (c["name"].Str() == name) return std::string(name);
      }
    }
    return std::unexpected(BadRequestError(Cat("container ", name, " is not valid for pod ", Name(pod))));
  }

  std::string WaitingReason(const json::Value& pod, std::string_view container) const {
    for (const char* list : {"containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"}) {
      for (const json::Value& s : pod["status"][list].Items()) {
        if (s["name"].Str() == container && s["state"]["waiting"].is_object()) return std::string(s["state"]["waiting"]["reason"].Str());
      }
    }
    return "ContainerCreating";
  }

  struct Found {
    ObjectPtr pod;
    PodView view;
    std::string container;
  };
  Result<Found> Find(const Key& key, std::string_view container) const {
    Found f;
    f.pod = pods.Get(key);
    if (!f.pod) return std::unexpected(NotFoundError("", "pods", key.name));
    TRY(f.container, ContainerOf(*f.pod, container));
    if (auto v = workers.View(key)) f.view = std::move(*v);
    return f;
  }

  Result<std::string> RunningId(const Key& key, std::string_view container, std::string_view what) const {
    TRY(const Found f, Find(key, container));
    const auto it = f.view.containers.find(f.container);
    if (it != f.view.containers.end()) {
      const auto status = runtime.InspectContainer(it->second);
      if (status && status->state == container::State::kRunning) return it->second;
    }
    return std::unexpected(PlainInternalError(Cat("unable to upgrade connection: container not found (", Quote(f.container), ")")).Wrap(what.empty() ? "" : std::string(what)));
  }
};

Agent::Agent(Informers& informers, Client& client, container::Runtime& runtime, PodNetwork& network, const Clock& clock, AgentOptions options)
    : parts_(std::make_unique<Parts>(informers, client, runtime, network, clock, std::move(options))) {
  runtime.OnEvent([p = parts_.get()](const container::Event& e) {
    p->workers.OnRuntimeEvent(e);
    if (e.kind == container::Event::Kind::kContainerExited) p->followers.Ended(e.id);
    if (e.kind == container::Event::Kind::kResync || e.kind == container::Event::Kind::kSandboxGone) p->followers.WakeAll();
  });
}

Agent::~Agent() { Agent::Stop(); }

Result<> Agent::Start(const Ctx& ctx) {
  TRY_VOID(MakeDirectories(parts_->options.node.data_directory + "/pods", 0750));
  TRY_VOID(MakeDirectories(parts_->options.node.data_directory + "/logs", 0755));
  auto watcher = process::FileWatcher::Create();
  if (!watcher) return std::unexpected(std::move(watcher).error());
  parts_->watcher = std::move(*watcher);
  TRY_VOID(parts_->runtime.Start(ctx));
  TRY_VOID(parts_->workers.Adopt());
  return parts_->manager->Start(ctx);
}

void Agent::Stop() noexcept {
  parts_->stop.request_stop();
  parts_->manager->Stop();
  parts_->pool.Stop();
  parts_->runtime.Stop();
}

Result<std::unique_ptr<container::LogReader>> Agent::Logs(const Key& pod, std::string_view name, bool previous, container::LogOptions options) {
  TRY(const Parts::Found f, parts_->Find(pod, name));
  const auto& logs = previous ? f.view.previous : f.view.logs;
  const auto it = logs.find(f.container);
  if (it == logs.end()) {
    if (previous) return std::unexpected(BadRequestError(Cat("previous terminated container ", Quote(f.container), " in pod ", Quote(pod.name), " not found")));
    return std::unexpected(BadRequestError(Cat("container ", Quote(f.container), " in pod ", Quote(pod.name), " is waiting to start: ", parts_->WaitingReason(*f.pod, f.container))));
  }
  const std::string id = f.view.containers.at(f.container);
  auto running = [runtime = &parts_->runtime, id, previous] {
    if (previous) return false;
    const auto s = runtime->InspectContainer(id);
    return s && (s->state == container::State::kRunning || s->state == container::State::kCreated);
  };
  TRY(auto reader, container::LogReader::Open(it->second, options, parts_->watcher.get(), std::move(running)));
  if (!options.follow) return reader;
  return parts_->followers.Track(id, std::move(reader));
}

Result<std::unique_ptr<container::Session>> Agent::Exec(const Ctx& ctx, const Key& pod, std::string_view name, const container::ExecSpec& spec) {
  TRY(const std::string id, parts_->RunningId(pod, name, ""));
  return parts_->runtime.Exec(ctx, id, spec);
}

Result<std::unique_ptr<container::Session>> Agent::Attach(const Ctx& ctx, const Key& pod, std::string_view name, bool with_stdin) {
  TRY(const std::string id, parts_->RunningId(pod, name, ""));
  return parts_->runtime.Attach(ctx, id, with_stdin);
}

Result<UniqueFd> Agent::Dial(const Ctx& ctx, const Key& pod, std::uint16_t port) {
  const auto view = parts_->workers.View(pod);
  if (!view || view->sandbox_id.empty()) return std::unexpected(NotFoundError("", "pods", pod.name));
  return parts_->runtime.Dial(ctx, view->sandbox_id, port);
}

MetricsSource& Agent::usage() { return parts_->usage; }

}  // namespace skerry::kube::node
