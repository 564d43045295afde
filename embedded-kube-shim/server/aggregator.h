#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/guarded.h"
#include "core/base/thread_pool.h"
#include "core/http/client.h"
#include "embedded-kube-shim/api/openapi.h"
#include "embedded-kube-shim/client/aggregated_apis.h"
#include "embedded-kube-shim/client/aggregated_objects.h"
#include "embedded-kube-shim/server/aggregator_documents.h"
#include "embedded-kube-shim/server/rest.h"
#include "embedded-kube-shim/server/stream/remote_upgrade.h"

// Group versions that other servers answer for: requests go on to the service that an APIService names, after they were authenticated and
// authorized here; the server is told by headers who asks, and by a client certificate that it is us.
namespace skerry::kube {

// How we show ourselves to those servers.
struct ProxyIdentity {
  std::string certificate_pem, key_pem;   // empty: they cannot know us
};

// What an APIService with a service says.
struct RemoteApi {
  std::string name, group, version;       // "v1beta1.metrics.k8s.io"
  std::string ns, service;
  int port = 443;
  std::string ca_pem;                     // empty: the system's bundle
  bool verify = true, available = false;
  int group_priority = 0, version_priority = 0;
  std::string revision;                   // of the object

  std::string path() const;               // "/apis/metrics.k8s.io/v1beta1"
};
using RemoteApiPtr = std::shared_ptr<const RemoteApi>;
// Null when the object names no service.
RemoteApiPtr ReadRemoteApi(const json::Value& api_service);

// Thread-safe.
class Aggregator final : public AggregatedApis, public AggregatedObjects {
 public:
  Aggregator(Engine& engine, Informers& informers, ProxyIdentity identity);
  ~Aggregator() override { Stop(); }
  void Start();
  void Stop() noexcept;                   // ends what is being handed on
  void SetIdentity(ProxyIdentity identity);

  // Who answers for the group version; null: this server. Cheap while there are no others.
  RemoteApiPtr Find(std::string_view group, std::string_view version) const;
  // The same for a request: paths below /apis/<group>/<version>, and the OpenAPI document of such a one.
  RemoteApiPtr FindFor(const RequestInfo& info) const;
  bool Any() const { return Current() != nullptr; }   // other servers
  std::vector<RemoteApiPtr> All() const;
  // Hands the request on. Never blocks.
  void Serve(RemoteApiPtr api, RestRequest request, http::ReplyFn done);
  const AggregatedDocuments& documents() const { return documents_; }

  // A request to that server by ourselves. Headers name `user`.
  Result<http::ClientRequest> Prepare(const RemoteApi& api, const User& user, const std::string& path_and_query) const;

  Result<> Probe(const Ctx& ctx, const json::Value& api_service) override;
  Discovered Discover() const override;
  void OnChange(std::function<void()> callback) override { documents_.OnChange(std::move(callback)); }
  std::unique_ptr<Client> NewClient(std::string user) override;
  std::unique_ptr<RemoteInformers> NewInformers(std::string user) override;
  Result<Answer> Call(const Ctx& ctx, std::string_view user, std::string_view method, const std::string& path, const json::Value& body) override;

 private:
  struct Table {
    std::map<std::pair<std::string, std::string>, RemoteApiPtr> by_group_version;
  };
  http::Reply Upgrade(const RestRequest& request, const http::ClientRequest& out);   // blocks until the server answers
  std::shared_ptr<const Table> Current() const;   // null: no server but this one
  Result<http::ClientRequest> PrepareAs(std::string_view user, std::string_view method, const std::string& path_and_query) const;

  Engine& engine_;
  mutable Guarded<std::shared_ptr<const ProxyIdentity>> identity_;
  const ObjectCache& objects_;
  mutable std::atomic<std::uint64_t> read_{0};    // changes of objects_ that the table knows, plus one
  mutable std::atomic<bool> empty_{true};
  mutable std::mutex mutex_;
  mutable std::shared_ptr<const Table> table_;    // guarded
  std::stop_source stop_;
  stream::RemoteUpgrades upgrades_;
  ElasticPool exchanges_{"aggregation", 512};
  AggregatedDocuments documents_;
};

// Headers by which a server that trusts our certificate knows the user; what the client sent of that kind is removed.
void SetRemoteUser(http::Headers& headers, const User& user);

// The writes by which the APIServices of this server's own kinds come into being, once, and those of an earlier version's kinds go. They may
// run at the same time; `ctx` and `client` outlive them.
Result<std::vector<std::function<Result<>()>>> BuiltinApiWrites(const Ctx& ctx, Client& client);

}  // namespace skerry::kube
