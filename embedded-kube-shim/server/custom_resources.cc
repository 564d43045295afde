#include "embedded-kube-shim/server/custom_resources.h"

#include <algorithm>

#include "core/base/strings.h"
#include "core/telemetry/log.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/custom_schema.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/apis/custom_resource.h"
#include "embedded-kube-shim/server/conversion.h"
#include "embedded-kube-shim/server/custom_names.h"
#include "embedded-kube-shim/server/webhook_conversion.h"

namespace skerry::kube {
namespace {

using json::Value;

constexpr std::string_view kGroup = "apiextensions.k8s.io", kResource = "customresourcedefinitions", kClientResource = "apiextensions.k8s.io/v1/customresourcedefinitions";

// What the served resource is made of. Conditions and times come and go without a change to it.
std::string Fingerprint(const Value& crd) {
  return Cat(crd["spec"].Dump(), crd.At({"status", "acceptedNames"}).Dump(), crd.At({"metadata", "deletionTimestamp"}).Str().empty() ? "" : "terminating");
}

bool HasFinalizer(const Value& crd) {
  for (const Value& finalizer : crd.At({"metadata", "finalizers"}).Items())
    if (finalizer.Str() == kCustomResourceCleanup) return true;
  return false;
}

}  // namespace

void SetCondition(Value& status, const Condition& condition, std::string_view now) {
  auto& list = status.Set("conditions");
  if (!list.is_array()) list = Value::Array();
  Value* found = nullptr;
  for (Value& item : list.MutableItems())
    if (item["type"].Str() == condition.type) found = &item;
  if (!found) {
    Value fresh = Value::Object();
    fresh.Set("type") = condition.type;
    list.Append(std::move(fresh));
    found = &list.MutableItems().back();
  }
  if ((*found)["status"].Str() != condition.status) {
    found->Set("status") = condition.status;
    found->Set("lastTransitionTime") = now;
  }
  found->Set("reason") = condition.reason;
  found->Set("message") = condition.message;
}

CustomResources::CustomResources(Engine& engine, Registry& registry) : engine_(engine), registry_(registry) {}

void CustomResources::Load() {
  for (const auto& crd : engine_.List(kGroup, kResource, "")) {
    const std::string name(crd->At({"metadata", "name"}).Str());
    if (HasTrueCondition(*crd, "Established")) Serve(name, *crd);
    Enqueue(name);
  }
}

void CustomResources::Start(std::unique_ptr<Client> client) {
  client_ = std::move(client);
  {
    std::lock_guard lock(queue_mutex_);
    running_ = true;
  }
  thread_ = std::jthread([this](std::stop_token stop) { Run(std::move(stop)); });
}

void CustomResources::Stop() noexcept {
  thread_.request_stop();
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  std::vector<std::string> waiting;
  {
    std::lock_guard lock(queue_mutex_);
    running_ = false;
    for (const auto& [name, answers] : answers_) waiting.push_back(name);
  }
  for (const auto& name : waiting) AnswerAll(name);
}

void CustomResources::OnWrite(const Target& target, std::move_only_function<void()> answer) {
  if (target.def->custom) {
    if (target.def->terminating) Enqueue(Cat(target.def->resource, ".", target.def->group));
    return answer();
  }
  const auto crd = engine_.Lookup(kGroup, kResource, "", target.name);
  if (!crd) Withdraw(target.name);
  else if (HasTrueCondition(*crd, "Established")) Serve(target.name, *crd);
  {
    // The thread's own writes are of status; it waits for their answers.
    std::lock_guard lock(queue_mutex_);
    if (running_ && crd && target.subresource.empty()) answers_[target.name].push_back(std::move(answer));
  }
  Enqueue(target.name);
  if (answer) answer();
}

void CustomResources::AnswerAll(const std::string& name) {
  std::vector<std::move_only_function<void()>> answers;
  {
    std::lock_guard lock(queue_mutex_);
    const auto at = answers_.find(name);
    if (at == answers_.end()) return;
    answers = std::move(at->second);
    answers_.erase(at);
  }
  for (auto& answer : answers) answer();
}

// Whether an object in storage would read differently than it is written: it then has to be pruned and defaulted at every read.
bool CustomResources::PredatesSchema(const ResourceDef& def) const {
  constexpr std::size_t kLooked = 2000;   // beyond that looking costs more than it saves
  const auto items = engine_.CacheOf(def).List("").items;
  if (items.size() > kLooked) return true;
  return std::any_of(items.begin(), items.end(), [&](const ItemPtr& item) {
    const auto stored = item->Object();
    auto object = stored->Clone();
    FreshenStored(def, object);
    return !(object == *stored);
  });
}

void CustomResources::Serve(const std::string& name, const Value& crd) {
  std::lock_guard lock(serving_mutex_);
  auto fingerprint = Fingerprint(crd);
  auto& served = served_[name];
  if (served.fingerprint == fingerprint) return;
  auto def = DefineCustomResource(crd);
  const auto taken = registry_.Find(def.group, def.StorageVersion().name, def.resource);
  if (taken && !taken->custom) return;   // a built-in kind is not replaced
  def.coerces_reads = PredatesSchema(def);
  def.conversion = NewWebhookConversion(engine_, crd);
  served = {def.group, def.resource, std::move(fingerprint)};
  registry_.Publish(std::move(def));
}

void CustomResources::Withdraw(const std::string& name) {
  std::string group;
  {
    std::lock_guard lock(serving_mutex_);
    const auto at = served_.find(name);
    if (at == served_.end()) return;
    if (!at->second.resource.empty()) registry_.Withdraw(at->second.group, at->second.resource);
    group = at->second.group;
    served_.erase(at);
  }
  EnqueueGroup(group);   // names have become free
}

void CustomResources::Enqueue(const std::string& name, std::chrono::milliseconds delay) {
  {
    std::lock_guard lock(queue_mutex_);
    const auto when = std::chrono::steady_clock::now() + delay;
    const auto [at, added] = due_.try_emplace(name, when);
    if (!added) at->second = std::min(at->second, when);
  }
  wake_.notify_all();
}

void CustomResources::EnqueueGroup(std::string_view group) {
  for (const auto& crd : engine_.List(kGroup, kResource, ""))
    if (crd->At({"spec", "group"}).Str() == group) Enqueue(std::string(crd->At({"metadata", "name"}).Str()));
}

void CustomResources::Run(std::stop_token stop) {
  constexpr std::chrono::milliseconds kFirst{5}, kLast{5000};
  while (!stop.stop_requested()) {
    std::string name;
    {
      std::unique_lock lock(queue_mutex_);
      wake_.wait(lock, stop, [this] { return !due_.empty(); });
      if (stop.stop_requested()) return;
      const auto next = std::min_element(due_.begin(), due_.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
      if (const auto when = next->second; when > std::chrono::steady_clock::now()) {
        wake_.wait_until(lock, stop, when, [&] {   // until then, or until something is due earlier
          return std::any_of(due_.begin(), due_.end(), [&](const auto& entry) { return entry.second < when; });
        });
        continue;
      }
      name = next->first;
      due_.erase(next);
    }
    const bool reconciled = Reconcile(Ctx(stop, std::chrono::steady_clock::now() + std::chrono::seconds(30)), name);
    AnswerAll(name);
    if (reconciled) {
      failures_.erase(name);
      continue;
    }
    const int failures = std::min(++failures_[name], 10);
    Enqueue(name, std::min(kFirst * (1 << failures), kLast));
  }
}

bool CustomResources::Reconcile(const Ctx& ctx, const std::string& name) {
  const auto crd = engine_.Lookup(kGroup, kResource, "", name);
  if (!crd) return true;
  if (!crd->At({"metadata", "deletionTimestamp"}).Str().empty()) {
    AnswerAll(name);   // removing instances may take its time
    return !HasFinalizer(*crd) || RemoveInstances(ctx, *crd);
  }
  return AcceptNames(ctx, name, *crd);
}

bool CustomResources::WriteStatus(const Ctx& ctx, Value crd) {
  const std::string name(crd.At({"metadata", "name"}).Str());
  auto written = client_->Update(ctx, kClientResource, std::move(crd), "status");
  if (written || written.error().code() == Code::kNotFound) return true;
  if (written.error().code() != Code::kConflict) log::Warn("definition status not written", {{"name", name}, {"error", written.error().message()}});
  return false;
}

bool CustomResources::AcceptNames(const Ctx& ctx, const std::string& name, const Value& crd) {
  const auto now = FormatTime(engine_.now());
  Value next = crd.Clone();
  const bool accepted = DecideNames(engine_.List(kGroup, kResource, ""), next, now);
  DecideApproval(next, now);
  if (next["status"] == crd["status"]) return true;
  // Served before anybody can learn that it is.
  if (accepted) Serve(name, next);
  const std::string group(crd.At({"spec", "group"}).Str());
  const bool names_changed = !(next.At({"status", "acceptedNames"}) == crd.At({"status", "acceptedNames"}));
  if (!WriteStatus(ctx, std::move(next))) return false;
  if (names_changed && HasTrueCondition(crd, "Established")) EnqueueGroup(group);   // others may take what was given up
  return true;
}

// Instances are deleted as by a client; the finalizers of some may keep them for a while.
bool CustomResources::RemoveInstances(const Ctx& ctx, const Value& crd) {
  const auto now = FormatTime(engine_.now());
  Value next = crd.Clone();
  auto& status = next.Set("status");
  if (HasTrueCondition(crd, "Established")) {
    const auto def = registry_.Find(crd.At({"spec", "group"}).Str(), DefineCustomResource(crd).StorageVersion().name, crd.At({"spec", "names", "plural"}).Str());
    const auto custom = std::make_shared<const ResourceDef>(def && def->custom ? *def : DefineCustomResource(crd));
    Target target;
    target.def = custom;
    target.version = custom->StorageVersion().name;
    auto& cache = engine_.CacheOf(*custom);
    for (const auto& item : cache.List("").items) {
      if (!item->deletion_timestamp().empty()) continue;
      target.ns = item->ns();
      target.name = item->name();
      auto operation = NewDelete(target, {});
      operation->caller.user.name = "system:apiserver";
      operation->caller.user.groups = {"system:masters"};
      if (auto deleted = engine_.RunAndWait(ctx, std::move(operation)); !deleted && deleted.error().code() != Code::kNotFound) {
        SetCondition(status, {"Terminating", "True", "InstanceDeletionFailed", Cat("could not issue all deletes: ", deleted.error().message())}, now);
        if (!(next["status"] == crd["status"])) WriteStatus(ctx, std::move(next));
        return false;
      }
    }
    if (cache.size() > 0) {
      SetCondition(status, {"Terminating", "True", "InstanceDeletionInProgress", "CustomResource deletion is in progress"}, now);
      if (!(next["status"] == crd["status"])) WriteStatus(ctx, std::move(next));
      return false;
    }
    SetCondition(status, {"Terminating", "False", "InstanceDeletionCompleted", "removed all instances"}, now);
  } else {
    SetCondition(status, {"Terminating", "False", "NeverEstablished", "resource was never established"}, now);
  }
  auto& finalizers = next.Set("metadata").Set("finalizers").MutableItems();
  std::erase_if(finalizers, [](const Value& finalizer) { return finalizer.Str() == kCustomResourceCleanup; });
  return WriteStatus(ctx, std::move(next));
}

}  // namespace skerry::kube
