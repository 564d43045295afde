#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/base/context.h"
#include "core/http/client.h"
#include "core/http/message.h"
#include "embedded-kube-shim/api/openapi.h"
#include "embedded-kube-shim/client/client.h"

namespace skerry::kube {

struct RemoteApi;
using RemoteApiPtr = std::shared_ptr<const RemoteApi>;

// What other servers say of themselves: the resources and the OpenAPI documents of their group versions. One thread asks them when an
// APIService changes and once a minute.
class AggregatedDocuments {
 public:
  struct Source {
    std::function<std::vector<RemoteApiPtr>()> all;
    // A GET by ourselves; any status is a success.
    std::function<Result<http::ClientResponse>(const Ctx&, const RemoteApi&, const std::string& path, const http::Headers&)> get;
  };
  AggregatedDocuments(Informers& informers, Source source) : informers_(informers), source_(std::move(source)) {}
  ~AggregatedDocuments() { Stop(); }
  void Start();
  void Stop() noexcept;

  // Every group version, with what is known of it. Thread-safe, as the others.
  RemoteVersions Versions() const;
  // Index entries of OpenAPI v3: "apis/<group>/<version>" and the URL, as their servers give it.
  std::map<std::string, std::string> OpenApiV3() const;
  // Merged into our OpenAPI v2.
  std::vector<std::shared_ptr<const RemoteOpenApi>> OpenApiV2() const;
  std::uint64_t generation() const { return generation_.load(std::memory_order_acquire); }   // grows with every change
  void OnChange(std::function<void()> callback);      // called on the asking thread when it grew; stays until Stop

 private:
  struct Known {
    RemoteApiPtr api;
    std::shared_ptr<const json::Value> discovery;     // APIVersionDiscovery; null: unknown
    bool stale = true;
    std::string v3_url;
    std::shared_ptr<const RemoteOpenApi> v2;
    std::string v2_etag;
    int failures = 0;
    std::chrono::steady_clock::time_point due;
  };
  void Run(std::stop_token stop);
  void Collect();                                     // after a change of an APIService
  void TellChange();                                  // without the lock
  bool Refresh(const Ctx& ctx, Known& known) const;   // false: the server did not answer
  Result<std::shared_ptr<const json::Value>> FetchDiscovery(const Ctx& ctx, const RemoteApi& api) const;
  void FetchOpenApi(const Ctx& ctx, Known& known) const;

  Informers& informers_;
  const Source source_;
  std::atomic<std::uint64_t> generation_{1};
  mutable std::mutex mutex_;
  std::condition_variable_any wake_;
  std::map<std::string, Known> known_;                // guarded: by name of the APIService
  bool changed_ = true;                               // guarded: an APIService did
  std::vector<std::function<void()>> listeners_;      // guarded
  std::shared_ptr<void> subscription_;
  std::jthread thread_;
};

}  // namespace skerry::kube
