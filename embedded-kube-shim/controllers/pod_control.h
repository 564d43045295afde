#pragma once
#include <string>
#include <string_view>

#include "embedded-kube-shim/controller/controller.h"
#include "embedded-kube-shim/controllers/context.h"
#include "embedded-kube-shim/controllers/owned_pods.h"
#include "embedded-kube-shim/controllers/pod_facts.h"

// Creating and deleting pods on behalf of an owner, told by events on the owner.
namespace skerry::kube {

class PodControl {
 public:
  PodControl(Client& client, EventRecorder& events) : client_(client), events_(events) {}

  // The pod; null when the namespace ends (nothing is told then). Other failures are told and returned.
  Result<ObjectPtr> Create(const Ctx& ctx, const json::Value& owner, json::Value pod);
  // The same for many at a time: what came to be, in any order, goes to `created`. The first failure is returned.
  Result<> CreateAll(const Ctx& ctx, const json::Value& owner, std::vector<json::Value> pods, std::vector<ObjectPtr>* created);
  // Deletes exactly this pod. Gone already is no error.
  Result<> Delete(const Ctx& ctx, const json::Value& owner, const json::Value& pod);

 private:
  Result<ObjectPtr> Tell(const json::Value& owner, Result<ObjectPtr> created);

  Client& client_;
  EventRecorder& events_;
};

// The pod trigger of an owner kind with a label selector in spec.selector: a pod tells its owner; a pod without one tells every owner that
// might want it. Keeps up `orphans`.
Trigger PodsOf(const ControllerContext& context, std::string group, std::string kind, std::string resource, std::shared_ptr<OrphanPods> orphans);

}  // namespace skerry::kube
