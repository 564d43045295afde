#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/pod_facts.h"
#include "embedded-kube-shim/node/pod_admission.h"
#include "embedded-kube-shim/node/pod_pass.h"

// Resources of running containers follow the specification in place.
namespace skerry::kube::node {
namespace {

bool MayResize(std::string_view list, const json::Value& c) { return list == "containers" || c["restartPolicy"].Str() == "Always"; }

// Does the container's policy want a restart for what differs?
bool WantsRestart(const json::Value& c, const json::Value& before) {
  for (const json::Value& policy : c["resizePolicy"].Items()) {
    if (policy["restartPolicy"].Str() != "RestartContainer") continue;
    const std::string_view name = policy["resourceName"].Str();
    for (const char* list : {"requests", "limits"}) {
      if (!(c["resources"][list][name] == before[list][name])) return true;
    }
  }
  return false;
}

container::Resources Larger(const container::Resources& a, container::Resources b) {
  const auto most = [](std::int64_t x, std::int64_t y) { return x == 0 || y == 0 ? 0 : std::max(x, y); };   // 0: no limit
  b.cpu_quota_us = most(a.cpu_quota_us, b.cpu_quota_us);
  b.memory_bytes = most(a.memory_bytes, b.memory_bytes);
  b.cpu_shares = std::max(a.cpu_shares, b.cpu_shares);
  return b;
}

}  // namespace

// The pod as this node carries it: with the resources that were granted, which follow the specification when there is room.
json::Value PodPass::Granted() const {
  json::Value pod = Pod().Clone();
  for (const char* list : {"containers", "initContainers"}) {
    json::Value* items = pod.Set("spec").Find(list);
    if (!items) continue;
    for (json::Value& c : items->MutableItems()) {
      const auto it = state_->granted.find(std::string(c["name"].Str()));
      if (it != state_->granted.end()) c.Set("resources") = it->second.Clone();
    }
  }
  return pod;
}

const json::Value& PodPass::GrantedTo(const json::Value& c) const {
  const auto it = state_->granted.find(std::string(c["name"].Str()));
  return it == state_->granted.end() ? c["resources"] : it->second;
}

// A new agent reads from the status what had been granted.
void PodPass::RememberGrants() {
  for (const char* list : {"containers", "initContainers"}) {
    for (const json::Value& c : Pod()["spec"][list].Items()) {
      const std::string name(c["name"].Str());
      if (!MayResize(list, c) || state_->granted.contains(name)) continue;
      json::Value granted = c["resources"].Clone();
      for (const json::Value& s : Pod()["status"][list[0] == 'c' ? "containerStatuses" : "initContainerStatuses"].Items()) {
        if (s["name"].Str() == name && !s["containerID"].Str().empty() && s["resources"].is_object()) granted = s["resources"].Clone();
      }
      state_->granted[name] = std::move(granted);
    }
  }
}

Result<> PodPass::Resize() {
  RememberGrants();
  std::vector<const json::Value*> changed;
  for (const char* list : {"containers", "initContainers"}) {
    for (const json::Value& c : Pod()["spec"][list].Items()) {
      const json::Value& granted = GrantedTo(c);
      const bool same = granted == c["resources"] || (granted.size() == 0 && c["resources"].size() == 0);
      if (MayResize(list, c) && !same) changed.push_back(&c);
    }
  }
  state_->resize_pending.reset();
  state_->resize_error.reset();
  if (changed.empty()) return {};
  state_->resize_pending = ResizeRefusal(RequestsOf(Pod()), *node_, tools_.others(state_->uid));
  if (state_->resize_pending) {
    if (state_->resize_pending->reason == "Deferred") Again(std::chrono::seconds(10));
    return {};
  }
  const json::Value before = Granted();
  const container::Resources next = PodResources(Pod());
  auto done = env_.runtime.UpdateSandbox(ctx_, state_->sandbox_id, Larger(PodResources(before), next));
  for (const json::Value* c : changed) {
    if (!done) break;
    done = ResizeContainer(*c);
  }
  if (done) done = env_.runtime.UpdateSandbox(ctx_, state_->sandbox_id, next);
  if (done) return {};
  state_->resize_error = WaitReason{"Error", std::string(done.error().message())};
  env_.events.Event(Pod(), "Warning", "ResizeError", Cat("Error resizing pod: ", done.error().message()));
  Again(std::chrono::seconds(10));
  return {};
}

Result<> PodPass::ResizeContainer(const json::Value& c) {
  const std::string name(c["name"].Str());
  Attempt* a = Latest(name);
  if (a && a->status.state == container::State::kRunning) {
    if (WantsRestart(c, GrantedTo(c))) {
      state_->memory[a->status.id].replace = true;
      state_->memory[a->status.id].resize = true;
    } else {
      TRY_VOID(env_.runtime.UpdateContainer(ctx_, a->status.id, ContainerResources(Pod(), c, *node_)));
    }
  }
  state_->granted[name] = c["resources"].Clone();
  return {};
}

}  // namespace skerry::kube::node
