#include "embedded-kube-shim/client/kubeconfig.h"

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/text/base64.h"
#include "core/text/yaml.h"

namespace skerry::kube {
namespace {

constexpr std::size_t kLimit = 1 << 20;

const json::Value* Named(const json::Value& list, std::string_view name, const char* what) {
  for (const json::Value& item : list.Items()) {
    if (item["name"].Str() == name) return &item[what];
  }
  return nullptr;
}

// "<field>-data" holds base64, "<field>" a file name.
Result<std::string> Material(const json::Value& from, const std::string& field, const std::string& directory) {
  if (const std::string_view data = from[field + "-data"].Str(); !data.empty()) {
    auto text = text::FromBase64(data);
    if (!text) return std::unexpected(std::move(text).error().Wrap(field + "-data"));
    return text;
  }
  const std::string file(from[field].Str());
  if (file.empty()) return std::string();
  return ReadFile(file[0] == '/' ? file : Cat(directory, "/", file), kLimit);
}

}  // namespace

Result<RemoteServer> ParseKubeconfig(std::string_view text, const std::string& directory) {
  TRY(const json::Value config, text::ParseYaml(text));
  const std::string_view current = config["current-context"].Str();
  const json::Value* context = Named(config["contexts"], current, "context");
  if (!context) return Fail(Code::kInvalid, Cat("kubeconfig: there is no context ", Quote(current)));
  const json::Value* cluster = Named(config["clusters"], (*context)["cluster"].Str(), "cluster");
  if (!cluster) return Fail(Code::kInvalid, Cat("kubeconfig: there is no cluster ", Quote((*context)["cluster"].Str())));
  const json::Value* user = Named(config["users"], (*context)["user"].Str(), "user");
  if (!user) return Fail(Code::kInvalid, Cat("kubeconfig: there is no user ", Quote((*context)["user"].Str())));
  if (!(*user)["exec"].is_null() || !(*user)["auth-provider"].is_null() || !(*user)["password"].is_null()) {
    return Fail(Code::kUnsupported, "kubeconfig: only client certificates and tokens are supported");
  }
  RemoteServer server;
  server.url = (*cluster)["server"].Str();
  while (server.url.ends_with('/')) server.url.pop_back();
  if (!server.url.starts_with("https://")) return Fail(Code::kInvalid, Cat("kubeconfig: the server ", Quote(server.url), " is no https URL"));
  if (const std::string_view name = (*cluster)["tls-server-name"].Str(); !name.empty()) {
    std::string host = server.url.substr(std::string_view("https://").size());
    const std::size_t path = std::min(host.find('/'), host.size()), colon = host.rfind(':', path);
    const std::string port = colon == std::string::npos || host.find(']', colon) != std::string::npos ? ":443" : host.substr(colon, path - colon);
    server.connect_to = port == ":443" && !host.ends_with(port) ? Cat(host.substr(0, path), port) : host.substr(0, path);
    server.url = Cat("https://", name, port, host.substr(path));
  }
  server.verify = !(*cluster)["insecure-skip-tls-verify"].Bool();
  TRY(server.ca_pem, Material(*cluster, "certificate-authority", directory));
  TRY(server.certificate_pem, Material(*user, "client-certificate", directory));
  TRY(server.key_pem, Material(*user, "client-key", directory));
  server.token = (*user)["token"].Str();
  if (const std::string file((*user)["tokenFile"].Str()); server.token.empty() && !file.empty()) {
    TRY(const std::string read, ReadFile(file[0] == '/' ? file : Cat(directory, "/", file), kLimit));
    server.token = Trim(read);
  }
  return server;
}

Result<RemoteServer> LoadKubeconfig(const std::string& path) {
  TRY(const std::string text, ReadFile(path, kLimit));
  const std::size_t slash = path.rfind('/');
  auto server = ParseKubeconfig(text, slash == std::string::npos ? "." : path.substr(0, slash));
  if (!server) return std::unexpected(std::move(server).error().Wrap(path));
  return server;
}

}  // namespace skerry::kube
