#include "embedded-kube-shim/server/aggregator.h"

#include <algorithm>
#include <set>

#include "core/base/strings.h"
#include "core/json/parse.h"
#include "core/text/base64.h"
#include "embedded-kube-shim/admission/webhook_client.h"
#include "embedded-kube-shim/api/builtin_tables.h"

namespace skerry::kube {
namespace {

using json::Value;

constexpr std::string_view kAggregationGroup = "apiregistration.k8s.io", kApiServiceResource = "apiservices", kApiServices = "apiregistration.k8s.io/v1/apiservices";
constexpr std::string_view kOurselves = "system:kube-aggregator";
constexpr const char* kManaged = "kube-aggregator.kubernetes.io/automanaged";
constexpr std::int64_t kMostRemoteAnswer = 64 << 20;

bool IsAvailable(const Value& api_service) {
  for (const auto& condition : api_service.At({"status", "conditions"}).Items())
    if (condition["type"].Str() == "Available") return condition["status"].Str() == "True";
  return false;
}

// The characters of a key that a header's name cannot have travel percent-encoded.
std::string HeaderKey(std::string_view key) {
  constexpr std::string_view kOther = "!#$&'*+-.^_`|~";
  std::string out;
  for (const char c : key) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || kOther.find(c) != kOther.npos;
    if (plain) {
      out += c;
    } else {
      constexpr const char* kHex = "0123456789ABCDEF";
      out += '%';
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[static_cast<unsigned char>(c) & 15];
    }
  }
  return out;
}

// "system:serviceaccount:<namespace>:<name>"
std::vector<std::string> GroupsOfAccount(std::string_view user) {
  constexpr std::string_view kAccounts = "system:serviceaccount:";
  std::vector<std::string> out;
  if (user.starts_with(kAccounts)) {
    user.remove_prefix(kAccounts.size());
    out = {"system:serviceaccounts", Cat("system:serviceaccounts:", user.substr(0, user.find(':')))};
  }
  out.emplace_back("system:authenticated");
  return out;
}

User Ourselves() {
  User user;
  user.name = kOurselves;
  user.groups = {"system:masters"};
  return user;
}

}  // namespace

std::string RemoteApi::path() const { return group.empty() ? Cat("/api/", version) : Cat("/apis/", group, "/", version); }

RemoteApiPtr ReadRemoteApi(const Value& api_service) {
  const Value& spec = api_service["spec"];
  if (!spec["service"].is_object()) return nullptr;
  auto out = std::make_shared<RemoteApi>();
  out->name = api_service.At({"metadata", "name"}).Str();
  out->revision = api_service.At({"metadata", "resourceVersion"}).Str();
  out->group = spec["group"].Str();
  out->version = spec["version"].Str();
  out->ns = spec.At({"service", "namespace"}).Str();
  out->service = spec.At({"service", "name"}).Str();
  out->port = static_cast<int>(spec.At({"service", "port"}).Int(443));
  out->verify = !spec["insecureSkipTLSVerify"].Bool();
  out->available = IsAvailable(api_service);
  out->group_priority = static_cast<int>(spec["groupPriorityMinimum"].Int());
  out->version_priority = static_cast<int>(spec["versionPriority"].Int());
  if (const auto bundle = spec["caBundle"].Str(); !bundle.empty())
    if (auto pem = text::FromBase64(bundle)) out->ca_pem = std::move(*pem);
  return out;
}

void SetRemoteUser(http::Headers& headers, const User& user) {
  std::erase_if(headers, [](const http::Header& h) { return ToLower(h.name).starts_with("x-remote-"); });
  headers.push_back({"X-Remote-User", user.name});
  if (!user.uid.empty()) headers.push_back({"X-Remote-Uid", user.uid});
  for (const auto& group : user.groups) headers.push_back({"X-Remote-Group", group});
  for (const auto& [key, values] : user.extra)
    for (const auto& value : values) headers.push_back({"X-Remote-Extra-" + HeaderKey(key), value});
}

Aggregator::Aggregator(Engine& engine, Informers& informers, ProxyIdentity identity)
    : engine_(engine),
      identity_(std::make_shared<const ProxyIdentity>(std::move(identity))),
      objects_(engine.caches().ForPrefix(Cat("/", kAggregationGroup, "/", kApiServiceResource, "/"))),
      documents_(informers, {[this] { return All(); },
                             [this](const Ctx& ctx, const RemoteApi& api, const std::string& path, const http::Headers& headers) -> Result<http::ClientResponse> {
                               TRY(auto request, Prepare(api, Ourselves(), path));
                               request.headers.insert(request.headers.end(), headers.begin(), headers.end());
                               return http::Client::Shared().Do(ctx, request);
                             }}) {}

void Aggregator::SetIdentity(ProxyIdentity identity) {
  auto current = identity_.Lock();
  *current = std::make_shared<const ProxyIdentity>(std::move(identity));
}

void Aggregator::Start() { documents_.Start(); }

void Aggregator::Stop() noexcept {
  documents_.Stop();
  stop_.request_stop();
  exchanges_.Stop();
  upgrades_.Stop();
}

std::shared_ptr<const Aggregator::Table> Aggregator::Current() const {
  const auto changes = objects_.changes() + 1;
  if (read_.load(std::memory_order_acquire) == changes && empty_.load(std::memory_order_acquire)) return nullptr;
  std::lock_guard lock(mutex_);
  if (read_.load(std::memory_order_relaxed) != changes) {
    auto table = std::make_shared<Table>();
    for (const auto& object : engine_.List(kAggregationGroup, kApiServiceResource, "")) {
      auto api = ReadRemoteApi(*object);
      if (!api) continue;
      table->by_group_version[{api->group, api->version}] = std::move(api);
    }
    empty_.store(table->by_group_version.empty(), std::memory_order_release);
    table_ = std::move(table);
    read_.store(changes, std::memory_order_release);
  }
  return table_;
}

RemoteApiPtr Aggregator::Find(std::string_view group, std::string_view version) const {
  const auto table = Current();
  if (!table) return nullptr;
  const auto at = table->by_group_version.find({std::string(group), std::string(version)});
  return at == table->by_group_version.end() ? nullptr : at->second;
}

RemoteApiPtr Aggregator::FindFor(const RequestInfo& info) const {
  if (info.resource_request) return Find(info.group, info.version);
  constexpr std::string_view kDocuments = "/openapi/v3";
  std::string_view path = info.path;
  if (path.starts_with(kDocuments)) path.remove_prefix(kDocuments.size());
  if (!path.starts_with("/api") || !Current()) return nullptr;
  const auto parts = Split(path.substr(1), '/');
  if (parts.size() >= 2 && parts[0] == "api") return Find("", parts[1]);
  return parts.size() >= 3 && parts[0] == "apis" ? Find(parts[1], parts[2]) : nullptr;
}

std::vector<RemoteApiPtr> Aggregator::All() const {
  std::vector<RemoteApiPtr> out;
  if (const auto table = Current())
    for (const auto& [group_version, api] : table->by_group_version) out.push_back(api);
  return out;
}

Result<http::ClientRequest> Aggregator::Prepare(const RemoteApi& api, const User& user, const std::string& path_and_query) const {
  auto resolved = ResolveService(engine_, api.ns, api.service, api.port);
  if (!resolved) return std::unexpected(std::move(resolved).error());
  http::ClientRequest out;
  // The name that the server's certificate must have, whatever is dialed.
  out.url = Cat("https://", api.service, ".", api.ns, ".svc:", api.port, path_and_query);
  out.connect_to = resolved->connect_to.empty() ? Cat(resolved->host, ":", resolved->port) : resolved->connect_to;
  out.ca_pem = api.ca_pem;
  out.verify_server = api.verify;
  {
    auto identity = identity_.Lock();
    out.certificate_pem = (*identity)->certificate_pem;
    out.key_pem = (*identity)->key_pem;
  }
  out.proxy = "none";
  out.max_body = kMostRemoteAnswer;
  SetRemoteUser(out.headers, user);
  return out;
}

Result<> Aggregator::Probe(const Ctx& ctx, const Value& api_service) {
  const auto api = ReadRemoteApi(api_service);
  if (!api) return {};
  auto request = Prepare(*api, Ourselves(), api->path());
  if (!request) return std::unexpected(std::move(request).error());
  const auto url = Cat("https://", request->connect_to, api->path());
  const auto failed = [&](std::string_view why) { return Fail(Code::kUnavailable, Cat("failing or missing response from ", url, ": ", why)); };
  const auto deadline = std::min(ctx.deadline, std::chrono::steady_clock::now() + std::chrono::seconds(5));
  const auto answer = http::Client::Shared().Do(Ctx(ctx.stop, deadline), *request);
  if (!answer) return failed(Cat("Get ", Quote(url), ": ", TransportErrorText(answer.error(), request->connect_to)));
  if (answer->status < 200 || answer->status >= 300) return failed(Cat("bad status from ", url, ": ", answer->status));
  return {};
}

Result<http::ClientRequest> Aggregator::PrepareAs(std::string_view user, std::string_view method, const std::string& path_and_query) const {
  http::Request asked;
  asked.method = method;
  asked.path = path_and_query.substr(0, path_and_query.find('?'));
  const auto api = FindFor(ParseRequestInfo(asked));
  if (!api) return Fail(Code::kUnavailable, Cat("no server answers for ", asked.path));
  if (!api->available) return Fail(Code::kUnavailable, "the server is currently unable to handle the request");
  User as;
  as.name = user;
  as.groups = GroupsOfAccount(user);
  TRY(auto request, Prepare(*api, as, path_and_query));
  request.method = method;
  return request;
}

std::unique_ptr<Client> Aggregator::NewClient(std::string user) {
  return NewRemoteClient([this, user](const std::string& path) { return PrepareAs(user, "GET", path); }, user);
}

std::unique_ptr<RemoteInformers> Aggregator::NewInformers(std::string user) {
  return NewRemoteInformers([this, user](const std::string& path) { return PrepareAs(user, "GET", path); }, user);
}

Result<AggregatedApis::Answer> Aggregator::Call(const Ctx& ctx, std::string_view user, std::string_view method, const std::string& path, const Value& body) {
  TRY(auto request, PrepareAs(user, method, path));
  request.headers.push_back({"Accept", "application/json"});
  if (!body.is_null()) {
    request.headers.push_back({"Content-Type", "application/json"});
    request.body = body.Dump();
  }
  auto answer = http::Client::Shared().Do(ctx, request);
  if (!answer) return Fail(Code::kUnavailable, TransportErrorText(answer.error(), request.connect_to));
  Answer out;
  out.status = answer->status;
  if (auto parsed = json::Parse(answer->body)) out.body = std::move(*parsed);
  return out;
}

AggregatedApis::Discovered Aggregator::Discover() const {
  Discovered out;
  auto versions = documents_.Versions();
  std::stable_sort(versions.begin(), versions.end(), [](const RemoteVersion& a, const RemoteVersion& b) { return a.version_priority > b.version_priority; });
  std::set<std::pair<std::string, std::string>> seen;
  for (const auto& version : versions) {
    if (version.stale) out.stale.push_back(Cat(version.group, "/", version.version));
    if (!version.discovery) continue;
    for (const auto& resource : (*version.discovery)["resources"].Items()) {
      const std::string name(resource["resource"].Str());
      if (!seen.emplace(version.group, name).second) continue;
      Resource one{version.group, version.version, name, std::string(resource.At({"responseKind", "kind"}).Str()), resource["scope"].Str() == "Namespaced", {}};
      for (const auto& verb : resource["verbs"].Items()) one.verbs.emplace_back(verb.Str());
      out.resources.push_back(std::move(one));
    }
  }
  std::sort(out.stale.begin(), out.stale.end());
  return out;
}

namespace {

Value BuiltinApi(const builtin::ResourceRow& row) {
  const std::string_view group = row.group;
  Value out = Value::Object();
  out.Set("metadata").Set("name") = Cat(row.version, ".", group);
  out.Set("metadata").Set("labels").Set(kManaged) = "onstart";
  Value& spec = out.Set("spec");
  if (!group.empty()) spec.Set("group") = group;
  spec.Set("version") = row.version;
  spec.Set("groupPriorityMinimum") = row.group_priority;
  spec.Set("versionPriority") = row.version_priority;
  return out;
}

bool SameSpec(const Value& a, const Value& b) {
  for (const std::string_view field : {"group", "version"})
    if (a[field].Str() != b[field].Str()) return false;
  return a["groupPriorityMinimum"].Int() == b["groupPriorityMinimum"].Int() && a["versionPriority"].Int() == b["versionPriority"].Int();
}

}  // namespace

Result<std::vector<std::function<Result<>()>>> BuiltinApiWrites(const Ctx& ctx, Client& client) {
  std::map<std::string, Value> wanted;
  for (std::size_t i = 0; i < builtin::kResourceCount; ++i) {
    const auto& row = builtin::kResources[i];
    if (row.group == kAggregationGroup) continue;   // it describes the others
    wanted.emplace(Cat(row.version, ".", row.group), BuiltinApi(row));
  }
  std::vector<std::function<Result<>()>> out;
  TRY(const auto present, client.List(ctx, kApiServices, ""));
  for (const auto& object : present) {
    const auto name = std::string(object->At({"metadata", "name"}).Str());
    const auto at = wanted.find(name);
    const bool ours = object->At({"metadata", "labels", kManaged}).Str() == "onstart";
    if (at == wanted.end()) {
      DeleteOptions options;
      options.uid = object->At({"metadata", "uid"}).Str();
      if (ours) out.push_back([&ctx, &client, name, options] { return client.Delete(ctx, kApiServices, {"", name}, options); });
      continue;
    }
    const bool given_away = !object->At({"spec", "service"}).is_null();   // somebody has another server for it
    if (ours && !given_away && !SameSpec((*object)["spec"], at->second["spec"])) {
      auto next = std::make_shared<Value>(object->Clone());
      next->Set("spec") = at->second["spec"].Clone();
      out.push_back([&ctx, &client, next]() -> Result<> {
        TRY_VOID(client.Update(ctx, kApiServices, next->Clone()));
        return {};
      });
    }
    wanted.erase(at);
  }
  for (auto& [name, object] : wanted)
    out.push_back([&ctx, &client, object = std::make_shared<Value>(std::move(object))]() -> Result<> {
      auto made = client.Create(ctx, kApiServices, object->Clone());
      if (made || made.error().code() == Code::kAlreadyExists) return {};
      return std::unexpected(std::move(made).error().Wrap("create an APIService"));
    });
  return out;
}

}  // namespace skerry::kube
