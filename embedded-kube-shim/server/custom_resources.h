#pragma once
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>

#include "core/base/context.h"
#include "embedded-kube-shim/client/client.h"
#include "embedded-kube-shim/server/engine.h"

namespace skerry::kube {

inline constexpr const char* kCustomResourceCleanup = "customresourcecleanup.apiextensions.k8s.io";

struct Condition {
  std::string_view type, status, reason, message;
};
// Adds or changes the condition in status.conditions; its time moves when its status does.
void SetCondition(json::Value& status, const Condition& condition, std::string_view now);

// Serves what CustomResourceDefinitions define, and leads each of them through its life:
//
//   created -> names accepted -> established (served) -> deleted: terminating -> its objects removed -> gone
//
// A definition is served from the moment the write that changed it is answered. One thread writes status; it waits only for what changes.
class CustomResources {
 public:
  CustomResources(Engine& engine, Registry& registry);
  ~CustomResources() { Stop(); }

  // Serves every established definition. Before the first request.
  void Load();
  // `client` may write definitions and delete everything.
  void Start(std::unique_ptr<Client> client);
  void Stop() noexcept;
  // After a commit of a custom resource or a definition. A change of a definition is answered when its consequences are written.
  void OnWrite(const Target& target, std::move_only_function<void()> answer);

 private:
  struct Served {
    std::string group, resource, fingerprint;
  };

  void Serve(const std::string& name, const json::Value& crd);
  void Withdraw(const std::string& name);
  bool PredatesSchema(const ResourceDef& def) const;

  void Run(std::stop_token stop);
  void Enqueue(const std::string& name, std::chrono::milliseconds delay = {});
  void EnqueueGroup(std::string_view group);
  void AnswerAll(const std::string& name);
  // False: look again later.
  bool Reconcile(const Ctx& ctx, const std::string& name);
  bool AcceptNames(const Ctx& ctx, const std::string& name, const json::Value& crd);
  bool RemoveInstances(const Ctx& ctx, const json::Value& crd);
  bool WriteStatus(const Ctx& ctx, json::Value crd);

  Engine& engine_;
  Registry& registry_;
  std::unique_ptr<Client> client_;
  std::mutex serving_mutex_;
  std::map<std::string, Served> served_;                     // guarded by serving_mutex_: by name of the definition
  std::mutex queue_mutex_;
  std::condition_variable_any wake_;
  std::map<std::string, std::chrono::steady_clock::time_point> due_;   // guarded by queue_mutex_
  std::map<std::string, std::vector<std::move_only_function<void()>>> answers_;   // guarded by queue_mutex_
  bool running_ = false;                                     // guarded by queue_mutex_
  std::map<std::string, int> failures_;                      // of the thread
  std::jthread thread_;
};

}  // namespace skerry::kube
