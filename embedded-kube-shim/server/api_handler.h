#pragma once
#include <memory>

#include "core/base/strings.h"
#include "core/http/message.h"
#include "embedded-kube-shim/auth/authenticator.h"
#include "embedded-kube-shim/auth/impersonation.h"
#include "embedded-kube-shim/server/aggregator.h"
#include "embedded-kube-shim/server/audit.h"
#include "embedded-kube-shim/server/flow_control.h"
#include "embedded-kube-shim/server/console_api.h"
#include "embedded-kube-shim/server/nonresource.h"
#include "embedded-kube-shim/server/rest.h"

namespace skerry::kube {

// What an operator may leave out. All outlive the handler.
struct FrontDoor {
  FlowControl* flow = nullptr;
  const AuditPolicy* audit_policy = nullptr;   // with audit_log
  AuditLog* audit_log = nullptr;
  const Clock* clock = nullptr;
  Aggregator* aggregator = nullptr;
};

// The API's front door: authenticate, authorize, route, answer.
class ApiHandler final : public http::Handler {
 public:
  ApiHandler(Rest& rest, NonResource& nonresource, ConsoleApi& console, const AuthenticatorChain& authenticator, const Authorizer& authorizer, FrontDoor door = {})
      : rest_(rest), nonresource_(nonresource), console_(console), authenticator_(authenticator), authorizer_(authorizer), door_(door) {
    for (const std::string_view resource : {"mutatingwebhookconfigurations", "validatingwebhookconfigurations", "mutatingadmissionpolicies", "validatingadmissionpolicies"})
      slow_admission_.push_back(&rest.engine().caches().ForPrefix(Cat("/admissionregistration.k8s.io/", resource, "/")));
  }

  http::BodyPolicy PolicyFor(const http::Request& head) const override;
  http::Reply OnShard(const Ctx& ctx, const http::Request& request) override;
  void OnWorker(const Ctx& ctx, std::shared_ptr<const http::Request> request, http::ReplyFn done) override;
  bool RunsOnShard(net::Shard& shard, const http::Request& request) const;   // see ApiServer
  http::Response TooLarge(const http::Request& request, std::int64_t limit) const override;
  http::Response Overloaded(const http::Request& request) const override;

 private:
  // `original`, when wanted, receives whoever asked before he became somebody else.
  Result<User> Identify(const Ctx& ctx, const http::Request& request, const RequestInfo& info, User* original = nullptr) const;
  void Admit(RestRequest request, std::shared_ptr<const FlowControl::Class> which, http::ReplyFn done);
  void Route(RestRequest request, http::ReplyFn done);
  RemoteApiPtr OtherServer(const RequestInfo& info) const { return door_.aggregator ? door_.aggregator->FindFor(info) : nullptr; }

  Rest& rest_;
  NonResource& nonresource_;
  ConsoleApi& console_;
  const AuthenticatorChain& authenticator_;
  const Authorizer& authorizer_;
  const Impersonation impersonation_{authorizer_};
  const FrontDoor door_;
  std::vector<const ObjectCache*> slow_admission_;   // while one of these holds something a write may wait for others
};

}  // namespace skerry::kube
