#include "embedded-kube-shim/server/nonresource.h"

#include <algorithm>
#include <map>

#include "core/base/strings.h"
#include "core/crypto/digest.h"
#include "embedded-kube-shim/api/openapi.h"
#include "embedded-kube-shim/api/status.h"

namespace skerry::kube {
namespace {

constexpr std::string_view kAggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
constexpr std::string_view kOpenApiV2Proto = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

http::Response Text(int status, std::string body) {
  http::Response response;
  response.status = status;
  response.headers.push_back({"Content-Type", "text/plain; charset=utf-8"});
  response.headers.push_back({"Cache-Control", "no-cache, private"});
  response.headers.push_back({"X-Content-Type-Options", "nosniff"});
  response.body = Bytes(std::move(body));
  return response;
}

std::string EtagOf(std::string_view bytes) {
  auto hex = crypto::Sha256Hex(bytes);
  for (auto& c : hex)
    if (c >= 'a' && c <= 'f') c = static_cast<char>(c - 'a' + 'A');
  return hex;
}

bool Matches(const http::Request& request, std::string_view etag) {
  const auto wanted = request.Get("If-None-Match");
  for (const auto piece : Split(wanted, ','))
    if (Trim(piece) == Cat("\"", etag, "\"")) return true;
  return false;
}

// A document with its tag: 304 when the client has it.
http::Response Tagged(const http::Request& request, const Bytes& body, std::string_view etag, std::string_view type, std::string_view cache) {
  http::Response response;
  response.headers.push_back({"Etag", Cat("\"", etag, "\"")});
  response.headers.push_back({"Vary", "Accept"});
  response.headers.push_back({"Cache-Control", std::string(cache)});
  if (Matches(request, etag)) {
    response.status = 304;
    return response;
  }
  response.headers.push_back({"Content-Type", std::string(type)});
  response.body = body;
  return response;
}

bool WantsAggregated(const http::Request& request, std::string* version) {
  for (const auto& range : ParseAccept(request.Get("Accept"))) {
    std::string as, group, wanted;
    for (const auto& [key, value] : range.parameters) {
      if (key == "as") as = value;
      if (key == "g") group = value;
      if (key == "v") wanted = value;
    }
    if (range.type != "application/json" && range.type != "*/*") continue;
    if (as.empty()) return false;
    if (as == "APIGroupDiscoveryList" && group == "apidiscovery.k8s.io" && wanted == "v2") {
      *version = wanted;
      return true;
    }
  }
  return false;
}

}  // namespace

struct NonResource::Documents {
  std::uint64_t generation = 0, others_generation = 0;
  RemoteVersions versions;                       // of other servers
  struct Document {
    Bytes bytes;
    std::string etag;
  };
  std::mutex mutex;                              // guards the maps: documents are made on first demand
  std::map<std::string, Document> made;

  template <class Make>
  Document Get(const std::string& key, Make make) {
    std::lock_guard lock(mutex);
    auto it = made.find(key);
    if (it == made.end()) {
      Document document;
      document.bytes = Bytes(make());
      document.etag = EtagOf(document.bytes.view());
      it = made.emplace(key, std::move(document)).first;
    }
    return it->second;
  }
};

std::shared_ptr<NonResource::Documents> NonResource::Current() {
  const auto generation = engine_.resources().generation(), others = others_ ? others_->generation() : 0;
  std::lock_guard lock(mutex_);
  if (!documents_ || documents_->generation != generation || documents_->others_generation != others) {
    documents_ = std::make_shared<Documents>();
    documents_->generation = generation;
    documents_->others_generation = others;
    if (others_) documents_->versions = others_->Versions();
  }
  return documents_;
}

std::optional<http::Reply> NonResource::Serve(const RestRequest& request) {
  const auto& http = *request.http;
  const std::string_view path = http.path;
  const bool read = http.method == "GET" || http.method == "HEAD";
  if (path == "/version" || path == "/version/") {
    if (http.method != "GET") return http::Reply(EncodeError(http, MethodNotAllowedError()));
    auto version = json::Value::Object();
    version.Set("major") = "1";
    version.Set("minor") = "36";
    version.Set("emulationMajor") = "1";
    version.Set("emulationMinor") = "36";
    version.Set("minCompatibilityMajor") = "1";
    version.Set("minCompatibilityMinor") = "35";
    version.Set("gitVersion") = info_.git_version;
    version.Set("gitCommit") = info_.git_commit;
    version.Set("gitTreeState") = "clean";
    version.Set("buildDate") = info_.build_date;
    version.Set("goVersion") = "none";
    version.Set("compiler") = "g++";
    version.Set("platform") = info_.platform;
    Output output;
    output.pretty = true;
    auto response = EncodeValue(output, 200, version);
    return http::Reply(std::move(response));
  }
  if (path.starts_with("/healthz") || path.starts_with("/livez") || path.starts_with("/readyz")) return Health(request, path);
  if (path == "/metrics" && info_.metrics) {
    auto response = Text(200, info_.metrics());
    response.headers[0].value = "text/plain; version=0.0.4; charset=utf-8";
    return http::Reply(std::move(response));
  }
  if (path == "/.well-known/openid-configuration" && info_.openid_configuration) {
    http::Response response;
    response.headers = {{"Content-Type", "application/json"}, {"Cache-Control", "public, max-age=3600"}};
    response.body = Bytes(info_.openid_configuration());
    return http::Reply(std::move(response));
  }
  if (path == "/openid/v1/jwks" && info_.jwks) {
    const auto ranges = ParseAccept(http.Get("Accept"));
    const auto takes = [](const MediaRange& range) { return range.type == "application/jwk-set+json" || range.type == "application/*" || range.type == "*/*"; };
    if (!ranges.empty() && std::none_of(ranges.begin(), ranges.end(), takes)) return http::Reply(Text(406, ""));
    http::Response response;
    response.headers = {{"Content-Type", "application/jwk-set+json"}, {"Cache-Control", "public, max-age=3600"}};
    response.body = Bytes(info_.jwks());
    return http::Reply(std::move(response));
  }
  if (path == "/openapi/v2" || path.starts_with("/openapi/v3")) return read || path == "/openapi/v2" ? OpenApi(request, path) : std::optional<http::Reply>();
  if (path == "/") {
    auto root = json::Value::Object();
    auto& paths = root.Set("paths");
    std::vector<std::string> all = {"/.well-known/openid-configuration", "/api", "/api/v1", "/apis", "/apis/", "/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3", "/openid/v1/jwks", "/readyz", "/version"};
    const auto known = engine_.resources().All();
    for (const auto& def : *known) {
      if (def->group.empty()) continue;
      all.push_back("/apis/" + def->group);
      for (const auto& version : def->versions) all.push_back(Cat("/apis/", def->group, "/", version.name));
    }
    for (const auto& other : Current()->versions) {
      all.push_back("/apis/" + other.group);
      all.push_back(Cat("/apis/", other.group, "/", other.version));
    }
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    paths = json::Value::Array();
    for (const auto& one : all) paths.Append(one);
    Output output;
    output.pretty = true;
    return http::Reply(EncodeValue(output, 200, root));
  }
  if (path == "/api" || path.starts_with("/api/") || path == "/apis" || path.starts_with("/apis/")) return Discovery(request, path);
  return std::nullopt;
}

std::optional<http::Reply> NonResource::Discovery(const RestRequest& request, std::string_view path) {
  const auto& http = *request.http;
  auto& registry = engine_.resources();
  const bool trailing = path.ends_with('/');
  if (trailing) path.remove_suffix(1);
  const auto parts = Split(path.substr(1), '/');
  const bool core = parts[0] == "api";
  auto documents = Current();
  const auto& others = documents->versions;
  const auto known_group = [&] {
    if (core || parts.size() < 2) return true;
    const auto all = registry.All();
    return std::any_of(others.begin(), others.end(), [&](const RemoteVersion& other) { return other.group == parts[1]; }) || std::any_of(all->begin(), all->end(), [&](const ResourcePtr& def) { return def->group == parts[1]; });
  };
  if (!known_group()) return std::nullopt;
  for (const auto part : parts)
    if (part.empty()) return core ? std::optional<http::Reply>(EncodeError(http, ResourceNotFoundError())) : std::nullopt;
  json::Value document;
  if (parts.size() == 1) {
    std::string version;
    if (core && http.method != "GET" && http.method != "HEAD") return http::Reply(EncodeError(http, MethodNotAllowedError()));
    if (WantsAggregated(http, &version)) {
      const auto made = documents->Get(core ? "aggregated/api" : "aggregated/apis", [&] { return DiscoveryAggregated(registry, core, others).Dump() + "\n"; });
      return http::Reply(Tagged(http, made.bytes, made.etag, kAggregated, "public"));
    }
    if (core) {
      document = DiscoveryApiVersions();
      auto& address = document.Set("serverAddressByClientCIDRs");
      address = json::Value::Array();
      auto entry = json::Value::Object();
      entry.Set("clientCIDR") = "0.0.0.0/0";
      entry.Set("serverAddress") = info_.advertise();
      address.Append(std::move(entry));
    } else {
      document = DiscoveryGroupList(registry, others);
    }
  } else if (core && parts.size() == 2) {
    document = DiscoveryResources(registry, "", parts[1]);
  } else if (!core && parts.size() == 2) {
    document = DiscoveryGroup(registry, parts[1], others);
  } else if (!core && parts.size() == 3) {
    document = DiscoveryResources(registry, parts[1], parts[2]);
  }
  if (document.is_null()) return http::Reply(EncodeError(http, ResourceNotFoundError()));
  if (http.method != "GET" && (core || parts.size() > 2) && parts.size() > 1) return http::Reply(EncodeError(http, MethodNotAllowedError()));
  auto output = Negotiate(http, parts.size() == 1 || (!core && parts.size() == 2) ? MediaScope::kDocument : MediaScope::kObject);
  if (!output) return http::Reply(EncodeError(http, output.error()));
  return http::Reply(EncodeValue(*output, 200, document));
}

std::optional<http::Reply> NonResource::OpenApi(const RestRequest& request, std::string_view path) {
  const auto& http = *request.http;
  auto& registry = engine_.resources();
  auto documents = Current();
  if (path == "/openapi/v2") {
    for (const auto& range : ParseAccept(http.Get("Accept"))) {
      if (!range.type.ends_with("+protobuf")) break;
      if (range.type.find("proto-openapi.spec.v2") == std::string::npos) continue;
      const auto made = documents->Get("openapi/v2/proto", [&] { return OpenApiV2Protobuf(registry, OtherOpenApi()); });
      return http::Reply(Tagged(http, made.bytes, made.etag, kOpenApiV2Proto, "no-cache, private"));
    }
    const auto made = documents->Get("openapi/v2", [&] { return OpenApiV2Json(registry, OtherOpenApi()); });
    return http::Reply(Tagged(http, made.bytes, made.etag, "application/json", "no-cache, private"));
  }
  const auto document_of = [&](const std::string& name) { return documents->Get("openapi/v3/" + name, [&] { return OpenApiV3Json(registry, name); }); };
  if (path == "/openapi/v3" || path == "/openapi/v3/") {
    const auto made = documents->Get("index", [&] {
      auto index = json::Value::Object();
      auto& paths = index.Set("paths");
      paths = json::Value::Object();
      for (const auto& name : OpenApiV3Paths(registry)) {
        // A hash of the generation names a version without making every document now.
        const auto hash = EtagOf(Cat(name, "/", registry.generation(), "/", info_.git_version, "/", info_.build_date));
        paths.Set(name).Set("serverRelativeURL") = Cat("/openapi/v3/", name, "?hash=", hash);
      }
      if (others_)
        for (const auto& [name, url] : others_->OpenApiV3()) paths.Set(name).Set("serverRelativeURL") = url;
      return index.Dump() + "\n";
    });
    return http::Reply(Tagged(http, made.bytes, made.etag, "application/json", "no-cache, private"));
  }
  const std::string name(path.substr(std::string_view("/openapi/v3/").size()));
  const auto names = OpenApiV3Paths(registry);
  if (std::find(names.begin(), names.end(), name) == names.end()) return http::Reply(Text(404, ""));
  const auto hash = EtagOf(Cat(name, "/", registry.generation(), "/", info_.git_version, "/", info_.build_date));
  const auto asked = http.Query("hash");
  if (!asked.empty() && asked != hash) {
    http::Response response;
    response.status = 301;
    response.headers = {{"Location", Cat("/openapi/v3/", name, "?hash=", hash)}, {"Etag", Cat("\"", hash, "\"")}, {"Vary", "Accept"}, {"Content-Type", "application/json"},
                        {"Cache-Control", "no-cache, private"}};
    return http::Reply(std::move(response));
  }
  const auto made = document_of(name);
  auto response = Tagged(http, made.bytes, hash, "application/json", asked.empty() ? "no-cache, private" : "public, immutable");
  return http::Reply(std::move(response));
}

std::optional<http::Reply> NonResource::Health(const RestRequest& request, std::string_view path) const {
  const auto& http = *request.http;
  const auto slash = path.find('/', 1);
  const std::string_view endpoint = path.substr(1, slash == std::string_view::npos ? path.npos : slash - 1);
  const std::string_view single = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
  if (endpoint != "healthz" && endpoint != "livez" && endpoint != "readyz") return std::nullopt;
  std::vector<std::pair<std::string, Result<>>> checks;
  for (const char* name : {"ping", "log", "etcd"}) checks.emplace_back(name, Result<>());
  if (info_.health && endpoint != "livez")   // a full disk is no reason to restart
    for (auto& check : info_.health()) checks.push_back(std::move(check));
  if (slash != std::string_view::npos) {
    for (const auto& [name, ok] : checks)
      if (name == single) return http::Reply(ok ? Text(200, "ok") : Text(500, Cat("internal server error: ", ok.error().message(), "\n")));
    return std::nullopt;
  }
  const auto excluded = http.QueryAll("exclude");
  std::string text;
  bool healthy = true;
  for (const auto& [name, ok] : checks) {
    if (std::find(excluded.begin(), excluded.end(), name) != excluded.end()) {
      text += Cat("[+]", name, " excluded: ok\n");
    } else if (ok) {
      text += Cat("[+]", name, " ok\n");
    } else {
      healthy = false;
      text += Cat("[-]", name, " failed: reason withheld\n");
    }
  }
  if (!healthy) return http::Reply(Text(500, Cat(text, endpoint, " check failed\n")));
  if (!http.HasQuery("verbose")) return http::Reply(Text(200, "ok"));
  return http::Reply(Text(200, Cat(text, endpoint, " check passed\n")));
}

}  // namespace skerry::kube
