#pragma once
#include <condition_variable>
#include <filesystem>
#include <mutex>

#include "core/container/fake/fake.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/controllers/pod_facts.h"
#include "embedded-kube-shim/node/pod_worker.h"
#include "embedded-kube-shim/server/api_server.h"
#include "store/store.h"

// A node agent's workers on a real API server in memory and a fake runtime, driven on the caller's thread by a fake clock.
namespace skerry::kube::node::bench {

inline json::Value Parse(std::string_view text) {
  json::Value v;
  std::string error;
  if (!json::Value::Parse(text, &v, &error)) throw std::runtime_error("test data: " + error);
  return v;
}

class FakeNetwork final : public PodNetwork {
 public:
  Result<std::string> Attach(const std::string& sandbox, const std::string&, const json::Value&) override {
    std::lock_guard lock(mutex_);
    const auto [it, fresh] = addresses_.try_emplace(sandbox);
    if (fresh) it->second = "10.42.0." + std::to_string(++last_);
    return it->second;
  }
  Result<> Detach(const std::string& sandbox) override {
    std::lock_guard lock(mutex_);
    addresses_.erase(sandbox);
    return {};
  }
  std::string AddressOf(const std::string& sandbox) const override {
    std::lock_guard lock(mutex_);
    const auto it = addresses_.find(sandbox);
    return it == addresses_.end() ? "" : it->second;
  }
  Result<> RetainOnly(const std::set<std::string>& sandboxes) override {
    std::lock_guard lock(mutex_);
    std::erase_if(addresses_, [&](const auto& a) { return !sandboxes.contains(a.first); });
    return {};
  }
  std::size_t size() const {
    std::lock_guard lock(mutex_);
    return addresses_.size();
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::string> addresses_;
  int last_ = 0;
};

class Events final : public EventRecorder {
 public:
  void Event(const json::Value&, std::string_view, std::string_view reason, std::string message, std::string_view) override {
    std::lock_guard lock(mutex_);
    lines_.push_back(std::string(reason) + ": " + message);
  }
  std::size_t Count(std::string_view start) const {
    std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(std::count_if(lines_.begin(), lines_.end(), [&](const std::string& l) { return l.starts_with(start); }));
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

struct Agent;   // the part that dies with the process

class Bench {
 public:
  Bench();
  ~Bench();

  // Creates a pod bound to this node; `spec` and `meta` are JSON text. Returns its uid.
  std::string Run(const std::string& name, const std::string& spec, const std::string& meta = "{}");
  void Create(Resource resource, const std::string& object);
  ObjectPtr Pod(const std::string& name);
  json::Value Status(const std::string& name);                      // null when the pod is gone
  std::string State(const std::string& name, int container = 0);    // "running", "waiting/Reason", "terminated/Reason"
  void Delete(const std::string& name, std::optional<std::int64_t> grace = std::nullopt);
  // Reconciles what is due until `done`; false after ten seconds of real time. Fake time stands still.
  bool Until(const std::function<bool()>& done);
  // Until nothing is queued and nothing arrives any more: for "and nothing else happens".
  void Settle();
  void Advance(std::chrono::milliseconds by) { clock.Advance(by), Settle(); }
  void RestartAgent();
  std::size_t Calls(std::string_view start) const;                  // of the runtime
  Client& client() { return *admin_; }

  static constexpr const char* kNode = "n1";
  FakeClock clock;
  container::fake::FakeRuntime runtime{clock};
  FakeNetwork network;
  Events events;
  std::map<std::string, ProbeAnswer> probes;                        // by container name; absent = passes
  std::map<std::string, int> probe_runs;
  DiskSpace disk{100 << 20, 50 << 20};
  std::filesystem::path directory;
  const Ctx ctx{std::stop_token()};

 private:
  void StartAgent();

  std::unique_ptr<store::Store> store_ = store::NewMemoryStore();
  std::unique_ptr<Registry> registry_ = NewRegistry();
  std::unique_ptr<ApiServer> api_;
  std::unique_ptr<Client> admin_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t changes_ = 0;                                       // guarded
  std::vector<std::shared_ptr<void>> subscriptions_;
  std::unique_ptr<Agent> agent_;
};

}  // namespace skerry::kube::node::bench
