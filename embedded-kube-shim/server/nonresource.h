#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "core/http/message.h"
#include "embedded-kube-shim/server/aggregator_documents.h"
#include "embedded-kube-shim/server/rest.h"

namespace skerry::kube {

struct ServerInfo {
  std::string git_version = "v1.36.0+skerry", git_commit, build_date, platform = "linux/amd64";
  std::function<std::string()> advertise;       // what /api tells clients: "192.0.2.1:6443"
  std::function<std::vector<std::pair<std::string, Result<>>>()> health;   // named checks of the whole process
  std::function<std::string()> metrics;          // exposition text
  std::function<std::string()> openid_configuration, jwks;   // JSON; empty functions: 404
};

// Everything that is not an object: discovery, OpenAPI, health, version, metrics.
class NonResource {
 public:
  // `others` (may be null): what other servers say of themselves.
  NonResource(Engine& engine, ServerInfo info, const AggregatedDocuments* others = nullptr) : engine_(engine), info_(std::move(info)), others_(others) {}
  std::optional<http::Reply> Serve(const RestRequest& request);   // nullopt: no such page

 private:
  struct Documents;
  std::shared_ptr<Documents> Current();    // rebuilt when the registry or another server changes
  std::optional<http::Reply> Discovery(const RestRequest& request, std::string_view path);
  std::optional<http::Reply> OpenApi(const RestRequest& request, std::string_view path);
  RemoteOpenApis OtherOpenApi() const { return others_ ? others_->OpenApiV2() : RemoteOpenApis(); }
  std::optional<http::Reply> Health(const RestRequest& request, std::string_view path) const;

  Engine& engine_;
  const ServerInfo info_;
  const AggregatedDocuments* const others_;
  std::mutex mutex_;
  std::shared_ptr<Documents> documents_;   // guarded
};

}  // namespace skerry::kube
