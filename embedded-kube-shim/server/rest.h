#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/http/message.h"
#include "embedded-kube-shim/auth/authenticator.h"
#include "embedded-kube-shim/auth/rbac.h"
#include "embedded-kube-shim/auth/service_account.h"
#include "embedded-kube-shim/client/metrics.h"
#include "embedded-kube-shim/client/node_streams.h"
#include "embedded-kube-shim/server/delete.h"
#include "embedded-kube-shim/server/encode.h"
#include "embedded-kube-shim/server/engine.h"
#include "embedded-kube-shim/server/list_options.h"
#include "embedded-kube-shim/server/request_info.h"
#include "embedded-kube-shim/server/timers.h"

// REST verbs over the engine and the caches. Every function answers `done` exactly once, now or later.
namespace skerry::kube {

struct RestRequest {
  Ctx ctx;
  std::shared_ptr<const http::Request> http;
  RequestInfo info;
  Caller caller;
  Target target;
  const Subresource* subresource = nullptr;   // of target.def; null for the object itself
};

using RestDone = std::move_only_function<void(Result<http::Reply>)>;

// What virtual resources need beside the engine.
struct RestServices {
  const AuthenticatorChain* authenticator = nullptr;
  const Authorizer* authorizer = nullptr;
  const RbacAuthorizer* rbac = nullptr;
  const ServiceAccountTokens* tokens = nullptr;
  std::function<NodeStreams*()> node;          // the agent of this process; null while there is none
  ElasticPool* waiters = nullptr;              // threads that wait for what happens in pods; outlives every stream
  std::function<MetricsSource*()> usage;       // measures pods and the node; null while nobody does
  std::function<ObjectMetricsSource*()> object_metrics;   // knows figures of other objects; null while nobody does
};

class Rest {
 public:
  Rest(Engine& engine, Timers& timers, RestServices services) : engine_(engine), timers_(timers), services_(services) {}

  void Serve(RestRequest request, RestDone done);
  // The answer to a read that caches hold ready: JSON in the stored version, not too much of it. nullopt: Serve has to do it on a worker.
  // Never blocks; the reply does not refer to the request.
  std::optional<http::Reply> ServeAtOnce(const RestRequest& request);
  // Runs an operation and answers with its object (or Status).
  void Run(std::shared_ptr<RestRequest> request, Output output, std::unique_ptr<WriteOperation> operation, int status, RestDone done);
  Engine& engine() const { return engine_; }
  const RestServices& services() const { return services_; }

 private:
  Result<http::Reply> Get(const RestRequest& request);
  Result<http::Reply> List(const RestRequest& request);
  Result<http::Reply> Watch(const RestRequest& request);
  void Create(RestRequest request, RestDone done);
  void Update(RestRequest request, RestDone done);
  void Patch(RestRequest request, RestDone done);
  void Delete(RestRequest request, RestDone done);
  void DeleteCollection(RestRequest request, RestDone done);

  Engine& engine_;
  Timers& timers_;
  const RestServices services_;
};

inline Wire WireOf(const Target& target) { return target.def->custom ? Wire::kText : Wire::kAny; }

// A decoded request body of the target's kind, or of the subresource's. Adds strict-decoding warnings; errors are upstream's 400s.
Result<json::Value> ReadBody(const RestRequest& request, SchemaPtr schema, const GroupVersionKind& expected, FieldValidation validation, std::vector<std::string>& warnings,
                             bool* resets_managed = nullptr);
// managedFields of an object that is answered but never stored (reviews, token requests).
void RecordReviewFields(const Engine& engine, const RestRequest& request, const WriteOptions& options, SchemaPtr schema, std::string api_version, json::Value& object);
Result<WriteOptions> ParseWriteOptions(const http::Request& request, std::string_view options_kind);
Result<PatchBody> ParsePatchBody(const RestRequest& request);   // 415
Result<ServerDeleteOptions> ParseDeleteOptions(const http::Request& request);
Encoder EncoderFor(const Engine& engine, const RestRequest& request, Output output, Result<>* include_ok);

}  // namespace skerry::kube
