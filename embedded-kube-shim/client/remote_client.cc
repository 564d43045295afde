#include "embedded-kube-shim/client/remote_client.h"

#include "core/base/strings.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/client/remote_request.h"

namespace skerry::kube {
namespace remote {

std::string Escaped(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    }
  }
  return out;
}

std::string PathOf(Resource resource, std::string_view ns, std::string_view name, std::string_view subresource) {
  const auto parts = Split(resource, '/');
  std::string path = parts.size() == 2 ? Cat("/api/", parts[0]) : Cat("/apis/", parts[0], "/", parts[1]);
  if (!ns.empty()) path += Cat("/namespaces/", Escaped(ns));
  path += Cat("/", parts.back());
  if (!name.empty()) path += Cat("/", Escaped(name));
  if (!subresource.empty()) path += Cat("/", subresource);
  return path;
}

RequestMaker RequestsTo(RemoteServer server) {
  return [server = std::move(server)](const std::string& path_and_query) -> Result<http::ClientRequest> {
    http::ClientRequest request;
    request.url = Cat(server.url, path_and_query);
    if (!server.token.empty()) request.headers.push_back({"Authorization", "Bearer " + server.token});
    request.connect_to = server.connect_to;
    request.ca_pem = server.ca_pem;
    request.certificate_pem = server.certificate_pem;
    request.key_pem = server.key_pem;
    request.verify_server = server.verify;
    return request;
  };
}

Result<http::ClientRequest> NewRequest(const RequestMaker& requests, std::string_view agent, std::string method, const std::string& path_and_query) {
  TRY(auto request, requests(path_and_query));
  request.method = std::move(method);
  request.headers.push_back({"Accept", "application/json"});
  request.headers.push_back({"User-Agent", std::string(agent)});
  return request;
}

Error ErrorOf(const http::ClientResponse& response) {
  json::Value status;
  std::string error;
  if (json::Value::Parse(response.body, &status, &error) && status["kind"].Str() == "Status") return ErrorFromStatus(status);
  const Code code = response.status == 404 ? Code::kNotFound : response.status == 401 ? Code::kUnauthenticated : response.status == 403 ? Code::kForbidden : Code::kUnavailable;
  return Error(code, Cat("the server answered ", response.status, " without a status object"));
}

}  // namespace remote

namespace {

constexpr std::chrono::seconds kPatience{30};
constexpr std::string_view kScale = "/scale";
constexpr int kPage = 500;

class RemoteClient final : public Client {
 public:
  RemoteClient(RequestMaker requests, std::string agent) : requests_(std::move(requests)), agent_(std::move(agent)) {}

  Result<ObjectPtr> Get(const Ctx& ctx, Resource resource, const Key& key) override {
    const bool scale = resource.ends_with(kScale);
    if (scale) resource.remove_suffix(kScale.size());
    return Send(ctx, "GET", remote::PathOf(resource, key.ns, key.name, scale ? "scale" : ""));
  }

  Result<std::vector<ObjectPtr>> List(const Ctx& ctx, Resource resource, std::string_view ns, std::string_view label_selector) override {
    std::vector<ObjectPtr> out;
    std::string query = Cat("?limit=", kPage);
    if (!label_selector.empty()) query += Cat("&labelSelector=", remote::Escaped(label_selector));
    for (std::string next;;) {
      TRY(const ObjectPtr page, Send(ctx, "GET", Cat(remote::PathOf(resource, ns, ""), query, next)));
      const std::string_view kind = (*page)["kind"].Str();
      for (const json::Value& item : (*page)["items"].Items()) {
        json::Value object = item.Clone();
        object.Set("kind") = kind.substr(0, kind.size() - (kind.ends_with("List") ? 4 : 0));
        object.Set("apiVersion") = (*page)["apiVersion"].Str();
        out.push_back(std::make_shared<const json::Value>(std::move(object)));
      }
      const std::string_view token = page->At({"metadata", "continue"}).Str();
      if (token.empty()) return out;
      next = Cat("&continue=", remote::Escaped(token));
    }
  }

  Result<ObjectPtr> Create(const Ctx& ctx, Resource resource, json::Value object, std::string_view subresource) override {
    const std::string ns(object.At({"metadata", "namespace"}).Str()), name(object.At({"metadata", "name"}).Str());
    return Send(ctx, "POST", remote::PathOf(resource, ns, subresource.empty() ? std::string_view() : std::string_view(name), subresource), object.Dump());
  }

  Result<ObjectPtr> Update(const Ctx& ctx, Resource resource, json::Value object, std::string_view subresource) override {
    const std::string ns(object.At({"metadata", "namespace"}).Str()), name(object.At({"metadata", "name"}).Str());
    return Send(ctx, "PUT", remote::PathOf(resource, ns, name, subresource), object.Dump());
  }

  Result<ObjectPtr> Patch(const Ctx& ctx, Resource resource, const Key& key, PatchType type, json::Value patch, std::string_view subresource) override {
    const char* const kTypes[] = {"application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json", "application/apply-patch+yaml"};
    std::string path = remote::PathOf(resource, key.ns, key.name, subresource);
    if (type == PatchType::kApply) path += Cat("?force=true&fieldManager=", remote::Escaped(agent_));
    return Send(ctx, "PATCH", path, patch.Dump(), kTypes[static_cast<int>(type)]);
  }

  Result<> Delete(const Ctx& ctx, Resource resource, const Key& key, const DeleteOptions& options) override {
    const char* const kPropagation[] = {"", "Foreground", "Background", "Orphan"};
    json::Value body;
    body.Set("kind") = "DeleteOptions";
    body.Set("apiVersion") = "v1";
    if (options.grace_seconds) body.Set("gracePeriodSeconds") = *options.grace_seconds;
    if (!options.uid.empty()) body.Set("preconditions").Set("uid") = options.uid;
    if (!options.resource_version.empty()) body.Set("preconditions").Set("resourceVersion") = options.resource_version;
    if (options.propagation != Propagation::kDefault) body.Set("propagationPolicy") = kPropagation[static_cast<int>(options.propagation)];
    TRY_VOID(Send(ctx, "DELETE", remote::PathOf(resource, key.ns, key.name), body.Dump()));
    return {};
  }

 private:
  Result<ObjectPtr> Send(const Ctx& ctx, const char* method, const std::string& path, std::string body = {}, const char* type = "application/json") {
    TRY(http::ClientRequest request, remote::NewRequest(requests_, agent_, method, path));
    if (!body.empty()) {
      request.headers.push_back({"Content-Type", type});
      request.body = std::move(body);
    }
    const Ctx limited(ctx.stop, std::min(ctx.deadline, std::chrono::steady_clock::now() + kPatience));
    TRY(const http::ClientResponse response, http::Client::Shared().Do(limited, request));
    if (response.status / 100 != 2) return std::unexpected(remote::ErrorOf(response));
    json::Value object;
    std::string error;
    if (!json::Value::Parse(response.body, &object, &error)) return Fail(Code::kUnavailable, Cat("the server's answer is no JSON: ", error));
    return std::make_shared<const json::Value>(std::move(object));
  }

  const RequestMaker requests_;
  const std::string agent_;
};

}  // namespace

std::unique_ptr<Client> NewRemoteClient(RemoteServer server, std::string agent) { return NewRemoteClient(remote::RequestsTo(std::move(server)), std::move(agent)); }

std::unique_ptr<Client> NewRemoteClient(RequestMaker requests, std::string agent) { return std::make_unique<RemoteClient>(std::move(requests), std::move(agent)); }

}  // namespace skerry::kube
