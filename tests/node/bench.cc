#include "tests/node/bench.h"

#include <catch2/catch.hpp>

#include "core/base/strings.h"

namespace skerry::kube::node::bench {

struct Agent {
  Agent(Bench& bench, Informers& informers, Client& client)
      : manager(NewManager(informers, bench.clock, {.threads = 0})),
        workers({*manager, informers, client, bench.events, bench.runtime, bench.network, pool, bench.clock, Bench::kNode, [] { return std::string("192.168.0.1"); }, bench.directory.string(),
                 DnsOptions{"10.43.0.10", "cluster.local", ""},
                 [&bench](const Ctx&, const json::Value&, std::string_view, std::int64_t) -> Result<IssuedToken> { return IssuedToken{"token", bench.clock.Now() + std::chrono::hours(1)}; },
                 [&bench](const Ctx&, const json::Value&, const json::Value& container, const std::string&, const std::string&) {
                   const std::string name(container["name"].Str());
                   ++bench.probe_runs[name];
                   const auto it = bench.probes.find(name);
                   return it == bench.probes.end() ? ProbeAnswer{true, ""} : it->second;
                 },
                 [&bench] { return bench.disk; }, stop.get_token()}) {}
  ~Agent() {
    stop.request_stop();
    manager->Stop();
    pool.Stop();
  }

  std::stop_source stop;
  ElasticPool pool{"test-agent"};
  std::unique_ptr<Manager> manager;
  PodWorkers workers;
};

Bench::Bench() {
  std::string pattern = (std::filesystem::temp_directory_path() / "skerry-node-XXXXXX").string();
  if (!::mkdtemp(pattern.data())) throw std::runtime_error("mkdtemp");
  directory = pattern;
  std::filesystem::create_directories(directory / "pods");
  std::filesystem::create_directories(directory / "logs");
  RegisterBuiltins(*registry_);
  ApiServerOptions options;
  options.advertise_address = "192.168.0.1";
  auto api = ApiServer::Create(*store_, *registry_, std::move(options), clock);
  REQUIRE(api);
  api_ = std::move(*api);
  REQUIRE(api_->Start(ctx));
  admin_ = api_->NewClient({"admin", "", {"system:masters", "system:authenticated"}, {}}, "test");
  Create("v1/nodes", R"({"metadata":{"name":"n1"}})");
  for (const char* resource : {"v1/pods", "v1/configmaps", "v1/secrets"}) {
    subscriptions_.push_back(api_->informers().Subscribe(resource, [this](const Notification&) {
      std::lock_guard lock(mutex_);
      ++changes_;
      changed_.notify_all();
    }));
  }
  runtime.AddImage("busybox:1");
  StartAgent();
}

Bench::~Bench() {
  agent_.reset();
  subscriptions_.clear();
  api_->Stop();
  std::error_code ignored;
  std::filesystem::remove_all(directory, ignored);
}

void Bench::StartAgent() {
  agent_ = std::make_unique<Agent>(*this, api_->informers(), *admin_);
  runtime.OnEvent([this](const container::Event& e) { agent_->workers.OnRuntimeEvent(e); });
  REQUIRE(agent_->workers.Adopt());
  REQUIRE(agent_->manager->Start(ctx));
}

void Bench::RestartAgent() {
  runtime.OnEvent({});
  agent_.reset();
  StartAgent();
}

void Bench::Create(Resource resource, const std::string& object) {
  auto made = admin_->Create(ctx, resource, Parse(object));
  if (!made) FAIL(std::string(made.error().message()));
}

std::string Bench::Run(const std::string& name, const std::string& spec, const std::string& meta) {
  json::Value pod;
  pod.Set("metadata") = Parse(meta);
  pod.Set("metadata").Set("name") = name;
  pod.Set("metadata").Set("namespace") = "default";
  pod.Set("spec") = Parse(spec);
  pod.Set("spec").Set("nodeName") = kNode;
  pod.Set("spec").Set("automountServiceAccountToken") = false;
  pod.Set("spec").Set("enableServiceLinks") = false;
  auto made = admin_->Create(ctx, "v1/pods", std::move(pod));
  if (!made) FAIL(std::string(made.error().message()));
  return std::string(Uid(**made));
}

ObjectPtr Bench::Pod(const std::string& name) {
  auto pod = admin_->Get(ctx, "v1/pods", {"default", name});
  return pod ? *pod : nullptr;
}

json::Value Bench::Status(const std::string& name) {
  const ObjectPtr pod = Pod(name);
  return pod ? (*pod)["status"].Clone() : json::Value();
}

std::string Bench::State(const std::string& name, int container) {
  const json::Value status = Status(name);
  const auto list = status["containerStatuses"].Items();
  if (list.size() <= static_cast<std::size_t>(container)) return "";
  const json::Value& state = list[container]["state"];
  for (const json::Member& m : state.Members()) return m.key == "running" ? m.key : Cat(m.key, "/", m.value["reason"].Str());
  return "";
}

void Bench::Delete(const std::string& name, std::optional<std::int64_t> grace) {
  DeleteOptions options;
  options.grace_seconds = grace;
  REQUIRE(admin_->Delete(ctx, "v1/pods", {"default", name}, options));
}

bool Bench::Until(const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (std::chrono::steady_clock::now() < deadline) {
    std::uint64_t seen = 0;
    {
      std::lock_guard lock(mutex_);
      seen = changes_;
    }
    agent_->manager->RunDue();
    if (done()) return true;
    // Something arrives from the caches' thread or from a pull's: look again at once, at the latest in a moment.
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::milliseconds(5), [&] { return changes_ != seen; });
  }
  return false;
}

void Bench::Settle() {
  int quiet = 0;
  Until([&] {
    quiet = agent_->manager->RunDue() == 0 && agent_->manager->Idle() ? quiet + 1 : 0;
    return quiet >= 4;
  });
}

std::size_t Bench::Calls(std::string_view start) const {
  const auto calls = runtime.calls();
  return static_cast<std::size_t>(std::count_if(calls.begin(), calls.end(), [&](const std::string& c) { return c.starts_with(start); }));
}

}  // namespace skerry::kube::node::bench
