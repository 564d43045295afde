#include "embedded-kube-shim/server/aggregator_documents.h"

#include <algorithm>
#include <set>

#include "core/base/strings.h"
#include "core/json/parse.h"
#include "core/telemetry/log.h"
#include "embedded-kube-shim/server/aggregator.h"

namespace skerry::kube {
namespace {

using json::Value;
using Monotonic = std::chrono::steady_clock;

constexpr std::chrono::seconds kDocumentsRefresh{60}, kDocumentsPatience{5};
constexpr const char* kDocumentedApis = "apiregistration.k8s.io/v1/apiservices";
constexpr const char* kAcceptsAggregated =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

Value KindValue(std::string_view group, std::string_view version, std::string_view kind) {
  Value out = Value::Object();
  out.Set("group") = group;
  out.Set("version") = version;
  out.Set("kind") = kind;
  return out;
}

// Old clients fall over a missing one.
void FillResponseKinds(Value& version) {
  for (Value& resource : version.Set("resources").MutableItems()) {
    if (!resource["responseKind"].is_object()) resource.Set("responseKind") = KindValue("", "", "");
    if (resource["subresources"].size() == 0) continue;
    for (Value& subresource : resource.Set("subresources").MutableItems())
      if (!subresource["responseKind"].is_object()) subresource.Set("responseKind") = KindValue("", "", "");
  }
}

// The group version's part of an aggregated document.
std::shared_ptr<const Value> PartOfDiscovery(const Value& list, const RemoteApi& api) {
  for (const Value& group : list["items"].Items()) {
    if (group.At({"metadata", "name"}).Str() != api.group) continue;
    for (const Value& version : group["versions"].Items()) {
      if (version["version"].Str() != api.version) continue;
      auto out = std::make_shared<Value>(version.Clone());
      FillResponseKinds(*out);
      return out;
    }
  }
  return std::make_shared<Value>(Value::Object());
}

Value AggregatedForm(const Value& resource, const RemoteApi& api) {
  Value out = Value::Object();
  const auto group = resource["group"].Str(api.group), version = resource["version"].Str(api.version);
  out.Set("responseKind") = KindValue(group, version, resource["kind"].Str());
  out.Set("verbs") = resource["verbs"].Clone();
  return out;
}

// The older list of resources in the newer form; subresources go below the resource that they belong to.
std::shared_ptr<const Value> FromResourceList(const Value& list, const RemoteApi& api) {
  std::vector<std::string> order;
  std::map<std::string, Value> found;
  const auto parent = [&](const std::string& name) -> Value& {
    const auto [at, added] = found.try_emplace(name);
    if (added) {
      order.push_back(name);
      at->second.Set("resource") = name;
    }
    return at->second;
  };
  for (const Value& resource : list["resources"].Items()) {
    const std::string name(resource["name"].Str());
    const auto scope = resource["namespaced"].Bool() ? "Namespaced" : "Cluster";
    if (const auto slash = name.find('/'); slash != std::string::npos) {
      Value& owner = parent(name.substr(0, slash));
      if (owner["scope"].is_null()) owner.Set("scope") = scope;
      Value part = AggregatedForm(resource, api);
      part.Set("subresource") = name.substr(slash + 1);
      owner.Set("subresources").Append(std::move(part));
      continue;
    }
    Value& own = parent(name);
    Value form = AggregatedForm(resource, api);
    for (const auto& [key, value] : form.Members()) own.Set(key) = value.Clone();
    own.Set("scope") = scope;
    own.Set("singularResource") = resource["singularName"].Str();
    for (const std::string_view names : {"shortNames", "categories"})
      if (resource[names].size() > 0) own.Set(names) = resource[names].Clone();
  }
  auto out = std::make_shared<Value>(Value::Object());
  out->Set("version") = api.version;
  for (const auto& name : order) out->Set("resources").Append(std::move(found[name]));
  FillResponseKinds(*out);
  return out;
}

void CollectRefs(const Value& value, std::vector<std::string>& refs) {
  constexpr std::string_view kPrefix = "#/definitions/";
  for (const auto& [key, member] : value.Members()) {
    if (key == "$ref" && member.Str().starts_with(kPrefix)) refs.emplace_back(member.Str().substr(kPrefix.size()));
    else CollectRefs(member, refs);
  }
  for (const Value& item : value.Items()) CollectRefs(item, refs);
}

// The paths of the group version, and the definitions that they lead to.
std::shared_ptr<const RemoteOpenApi> PartOfOpenApi(const Value& document, const RemoteApi& api) {
  auto out = std::make_shared<RemoteOpenApi>();
  std::vector<std::string> refs;
  const auto prefix = Cat(api.path(), "/");
  for (const auto& [path, item] : document["paths"].Members()) {
    if (path != api.path() && !path.starts_with(prefix)) continue;
    CollectRefs(item, refs);
    out->paths.emplace(path, item.Clone());
  }
  while (!refs.empty()) {
    const std::string name = std::move(refs.back());
    refs.pop_back();
    const Value* definition = document["definitions"].Find(name);
    if (!definition || !out->definitions.emplace(name, definition->Clone()).second) continue;
    CollectRefs(*definition, refs);
  }
  return out;
}

bool SameDiscovery(const std::shared_ptr<const Value>& a, const std::shared_ptr<const Value>& b) { return a == b || (a && b && *a == *b); }

}  // namespace

void AggregatedDocuments::Start() {
  subscription_ = informers_.Subscribe(kDocumentedApis, [this](const Notification&) {
    std::lock_guard lock(mutex_);
    changed_ = true;
    wake_.notify_all();
  });
  thread_ = std::jthread([this](std::stop_token stop) { Run(std::move(stop)); });
}

void AggregatedDocuments::Stop() noexcept {
  subscription_.reset();
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void AggregatedDocuments::Collect() {
  std::map<std::string, RemoteApiPtr> all;
  for (auto& api : source_.all()) all.emplace(api->name, api);
  std::size_t changes = 0;
  {
    std::lock_guard lock(mutex_);
    changes = std::erase_if(known_, [&](const auto& entry) { return !all.contains(entry.first); });
    for (auto& [name, api] : all) {
      Known& known = known_[name];
      if (known.api && known.api->revision == api->revision) continue;
      known.api = api;
      known.due = Monotonic::now();
      ++changes;
    }
  }
  if (changes > 0) TellChange();
}

void AggregatedDocuments::OnChange(std::function<void()> callback) {
  std::lock_guard lock(mutex_);
  listeners_.push_back(std::move(callback));
}

void AggregatedDocuments::TellChange() {
  std::vector<std::function<void()>> listeners;
  {
    std::lock_guard lock(mutex_);
    generation_.fetch_add(1, std::memory_order_release);
    listeners = listeners_;
  }
  for (const auto& listener : listeners) listener();
}

void AggregatedDocuments::Run(std::stop_token stop) {
  const Ctx ctx(stop);
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    if (std::exchange(changed_, false)) {
      lock.unlock();
      Collect();
      lock.lock();
      continue;
    }
    auto next = known_.begin();
    for (auto at = known_.begin(); at != known_.end(); ++at)
      if (at->second.due < next->second.due) next = at;
    if (next == known_.end()) {
      wake_.wait(lock, stop, [&] { return changed_; });
      continue;
    }
    if (next->second.due > Monotonic::now()) {
      wake_.wait_until(lock, stop, next->second.due, [&] { return changed_; });
      continue;
    }
    const std::string name = next->first;
    const Known before = next->second;
    Known known = before;
    lock.unlock();
    const bool answered = Refresh(ctx, known);
    known.failures = answered ? 0 : std::min(known.failures + 1, 16);
    const auto backoff = std::min<std::chrono::milliseconds>(std::chrono::milliseconds(500) * (1LL << std::min(known.failures, 8)), kDocumentsRefresh);
    known.due = Monotonic::now() + (answered ? std::chrono::milliseconds(kDocumentsRefresh) : backoff);
    lock.lock();
    const auto at = known_.find(name);
    if (at == known_.end() || at->second.api != before.api) continue;   // something else by now
    const bool same = SameDiscovery(before.discovery, known.discovery) && before.stale == known.stale && before.v3_url == known.v3_url && before.v2 == known.v2;
    at->second = std::move(known);
    if (same) continue;
    lock.unlock();
    TellChange();
    lock.lock();
  }
}

bool AggregatedDocuments::Refresh(const Ctx& ctx, Known& known) const {
  known.stale = true;
  known.discovery = nullptr;
  known.v3_url.clear();
  if (!known.api->available) return true;   // a change of that is told
  const Ctx soon(ctx.stop, Monotonic::now() + kDocumentsPatience);
  auto discovery = FetchDiscovery(soon, *known.api);
  if (!discovery) {
    log::Warn("an aggregated server does not tell its resources", {{"apiservice", known.api->name}, {"error", discovery.error().message()}});
    return false;
  }
  known.discovery = std::move(*discovery);
  known.stale = false;
  FetchOpenApi(ctx, known);
  return true;
}

Result<std::shared_ptr<const Value>> AggregatedDocuments::FetchDiscovery(const Ctx& ctx, const RemoteApi& api) const {
  if (auto answer = source_.get(ctx, api, "/apis", {{"Accept", kAcceptsAggregated}}); answer && answer->status == 200) {
    const auto type = ParseMediaType(http::Get(answer->headers, "Content-Type"));
    const bool aggregated = std::any_of(type.parameters.begin(), type.parameters.end(), [](const http::Header& p) { return p.name == "as" && p.value == "APIGroupDiscoveryList"; });
    if (aggregated) {
      TRY(const auto list, json::Parse(answer->body));
      return PartOfDiscovery(list, api);
    }
  }
  TRY(const auto answer, source_.get(ctx, api, api.path(), {{"Accept", "application/json"}}));
  if (answer.status != 200) return Fail(Code::kUnavailable, Cat("failed to download legacy discovery for ", api.path(), ": ", answer.status));
  TRY(const auto list, json::Parse(answer.body));
  return FromResourceList(list, api);
}

void AggregatedDocuments::FetchOpenApi(const Ctx& ctx, Known& known) const {
  const Ctx soon(ctx.stop, Monotonic::now() + kDocumentsPatience);
  const auto name = known.api->path().substr(1);
  if (auto index = source_.get(soon, *known.api, "/openapi/v3", {{"Accept", "application/json"}}); index && index->status == 200) {
    if (auto parsed = json::Parse(index->body)) known.v3_url = parsed->At({"paths", name, "serverRelativeURL"}).Str();
  }
  http::Headers headers = {{"Accept", "application/json"}};
  if (!known.v2_etag.empty() && known.v2) headers.push_back({"If-None-Match", known.v2_etag});
  const Ctx later(ctx.stop, Monotonic::now() + 2 * kDocumentsPatience);
  const auto document = source_.get(later, *known.api, "/openapi/v2", headers);
  if (!document || document->status != 200) return;   // what is known stays: it describes the same server
  auto parsed = json::Parse(document->body);
  if (!parsed) return;
  known.v2 = PartOfOpenApi(*parsed, *known.api);
  known.v2_etag = http::Get(document->headers, "Etag");
}

RemoteVersions AggregatedDocuments::Versions() const {
  RemoteVersions out;
  std::lock_guard lock(mutex_);
  for (const auto& [name, known] : known_) {
    if (known.api->group.empty()) continue;
    out.push_back({known.api->group, known.api->version, known.api->group_priority, known.api->version_priority, known.discovery, known.stale});
  }
  return out;
}

std::map<std::string, std::string> AggregatedDocuments::OpenApiV3() const {
  std::map<std::string, std::string> out;
  std::lock_guard lock(mutex_);
  for (const auto& [name, known] : known_)
    if (!known.v3_url.empty()) out.emplace(known.api->path().substr(1), known.v3_url);
  return out;
}

RemoteOpenApis AggregatedDocuments::OpenApiV2() const {
  RemoteOpenApis out;
  std::lock_guard lock(mutex_);
  for (const auto& [name, known] : known_)
    if (known.v2) out.push_back(known.v2);
  return out;
}

}  // namespace skerry::kube
