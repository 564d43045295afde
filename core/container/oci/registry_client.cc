#include "core/container/oci/registry_client.h"

#include "core/base/strings.h"
#include "core/container/oci/store.h"
#include "core/crypto/digest.h"

namespace skerry::container::oci {
namespace {

constexpr std::size_t kDocumentLimit = 8 << 20;
constexpr const char* kIndexTypes[] = {"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"};
const std::vector<std::string> kAccept = {"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json",
                                          "application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"};

std::string_view Architecture() {
#if defined(__aarch64__)
  return "arm64";
#else
  return "amd64";
#endif
}

Result<json::Value> Parse(const std::string& text, std::string_view what) {
  json::Value value;
  std::string error;
  if (!json::Value::Parse(text, &value, &error)) return Fail(Code::kCorruption, Cat(what, " is not JSON: ", error));
  return value;
}

std::string Escape(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[static_cast<unsigned char>(c) & 15];
    }
  }
  return out;
}

}  // namespace

std::string Base64(std::string_view bytes) {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    unsigned v = 0;
    const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
    for (std::size_t k = 0; k < 3; ++k) v = (v << 8) | (k < n ? static_cast<unsigned char>(bytes[i + k]) : 0);
    for (std::size_t k = 0; k < 4; ++k) out += k <= n ? kAlphabet[(v >> (18 - 6 * k)) & 63] : '=';
  }
  return out;
}

std::map<std::string, std::string> ParseChallenge(std::string_view header) {
  std::map<std::string, std::string> out;
  const std::size_t space = header.find(' ');
  out[""] = ToLower(header.substr(0, space));
  if (space == std::string_view::npos) return out;
  std::string_view rest = header.substr(space + 1);
  while (!rest.empty()) {
    const std::size_t equals = rest.find('=');
    if (equals == std::string_view::npos) break;
    const std::string name = ToLower(Trim(rest.substr(0, equals)));
    rest.remove_prefix(equals + 1);
    std::string value;
    if (rest.starts_with('"')) {
      const std::size_t end = rest.find('"', 1);
      value = rest.substr(1, end == std::string_view::npos ? end : end - 1);
      rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    } else {
      const std::size_t end = rest.find(',');
      value = Trim(rest.substr(0, end));
      rest.remove_prefix(end == std::string_view::npos ? rest.size() : end);
    }
    out[name] = std::move(value);
    while (!rest.empty() && (rest.front() == ',' || rest.front() == ' ')) rest.remove_prefix(1);
  }
  return out;
}

Result<std::string> ChoosePlatform(const json::Value& index) {
  std::string offered;
  for (const json::Value& entry : index["manifests"].Items()) {
    const json::Value& platform = entry["platform"];
    if (platform["os"].Str() == "linux" && platform["architecture"].Str() == Architecture()) return std::string(entry["digest"].Str());
    offered += Cat(offered.empty() ? "" : ", ", platform["os"].Str(), "/", platform["architecture"].Str());
  }
  // A list of one without a platform is what simple tools write.
  if (index["manifests"].size() == 1 && index["manifests"].Items()[0].Find("platform") == nullptr) return std::string(index["manifests"].Items()[0]["digest"].Str());
  return Fail(Code::kNotFound, Cat("no match for platform linux/", Architecture(), " in manifest (it has ", offered, ")"));
}

Result<> CheckPlatform(const json::Value& config) {
  const std::string_view os = config["os"].Str("linux"), architecture = config["architecture"].Str();
  if ((os.empty() || os == "linux") && (architecture.empty() || architecture == Architecture())) return {};
  return Fail(Code::kNotFound, Cat("no match for platform linux/", Architecture(), ": the image is for ", os, "/", architecture));
}

Result<Manifest> ParseManifest(const json::Value& root) {
  Manifest out;
  if (root["schemaVersion"].Int() != 2 || root.Find("config") == nullptr) return Fail(Code::kUnsupported, "manifest is not an image of schema version 2");
  out.config = {std::string(root.At({"config", "digest"}).Str()), root.At({"config", "size"}).Int()};
  for (const json::Value& layer : root["layers"].Items()) out.layers.push_back({std::string(layer["digest"].Str()), layer["size"].Int()});
  if (!IsDigest(out.config.digest)) return Fail(Code::kUnsupported, "manifest with digest " + Quote(out.config.digest));
  for (const auto& layer : out.layers) {
    if (!IsDigest(layer.digest)) return Fail(Code::kUnsupported, "layer with digest " + Quote(layer.digest));
  }
  return out;
}

RegistryClient::RegistryClient(Transport& transport, ImageReference reference, Credentials credentials, bool insecure)
    : transport_(transport), reference_(std::move(reference)), credentials_(std::move(credentials)),
      base_(Cat(insecure ? "http://" : "https://", reference_.registry == "docker.io" ? "registry-1.docker.io" : reference_.registry, "/v2/", reference_.repository)) {
  if (!credentials_.registry_token.empty()) authorization_ = "Bearer " + credentials_.registry_token;
}

Error RegistryClient::Refused(const TransportResponse& response) const {
  json::Value value;
  std::string ignored, detail;
  if (json::Value::Parse(response.refusal, &value, &ignored) && value["errors"].size() > 0) {
    const json::Value& first = value["errors"].Items()[0];
    detail = Cat(": ", first["code"].Str(), ": ", first["message"].Str());
  }
  Code code = Code::kUnavailable;
  if (response.status == 401) code = Code::kUnauthenticated;
  else if (response.status == 403) code = Code::kForbidden;
  else if (response.status == 404) code = Code::kNotFound;
  else if (response.status == 429) code = Code::kTooMany;
  else if (response.status < 500) code = Code::kInvalid;
  return Error(code, Cat(reference_.ToString(), ": registry answers ", response.status, detail));
}

Result<TransportResponse> RegistryClient::Get(const Ctx& ctx, const std::string& path, const std::vector<std::string>& accept, const Transport::Sink& sink) {
  TransportRequest request{.url = base_ + path};
  for (const std::string& type : accept) request.headers.emplace_back("Accept", type);
  if (!authorization_.empty()) request.headers.emplace_back("Authorization", authorization_);
  return transport_.Do(ctx, request, sink);
}

Result<std::string> RegistryClient::GetText(const Ctx& ctx, const std::string& path, const std::vector<std::string>& accept, std::string* digest) {
  for (int attempt = 0;; ++attempt) {
    std::string body;
    bool too_large = false;
    auto response = Get(ctx, path, accept, [&](std::string_view piece) {
      too_large = body.size() + piece.size() > kDocumentLimit;
      if (!too_large) body += piece;
      return !too_large;
    });
    if (too_large) return Fail(Code::kTooLarge, reference_.ToString() + ": registry sends too large a document");
    if (!response) return std::unexpected(std::move(response).error());
    if (response->status == 401 && attempt == 0) {
      TRY_VOID(Authenticate(ctx, response->headers["www-authenticate"]));
      continue;
    }
    if (response->status != 200) return std::unexpected(Refused(*response));
    if (digest != nullptr) *digest = crypto::OciDigest(body);
    return body;
  }
}

Result<> RegistryClient::Authenticate(const Ctx& ctx, const std::string& challenge) {
  const auto parameters = ParseChallenge(challenge);
  const std::string& scheme = parameters.at("");
  if (scheme == "basic" && !credentials_.username.empty()) {
    authorization_ = "Basic " + Base64(Cat(credentials_.username, ":", credentials_.password));
    return {};
  }
  if (scheme == "bearer" && parameters.contains("realm")) return FetchToken(ctx, parameters);
  return Fail(Code::kUnauthenticated, reference_.ToString() + ": registry wants credentials");
}

// https://distribution.github.io/distribution/spec/auth/token/ and …/oauth/ (identity tokens)
Result<> RegistryClient::FetchToken(const Ctx& ctx, const std::map<std::string, std::string>& parameters) {
  const auto parameter = [&](const char* name) { return parameters.contains(name) ? parameters.at(name) : std::string(); };
  const std::string scope = parameter("scope").empty() ? Cat("repository:", reference_.repository, ":pull") : parameter("scope");
  TransportRequest request{.url = parameter("realm")};
  if (!credentials_.identity_token.empty()) {
    request.method = "POST";
    request.headers.emplace_back("Content-Type", "application/x-www-form-urlencoded");
    request.body = Cat("grant_type=refresh_token&client_id=skerry&service=", Escape(parameter("service")), "&scope=", Escape(scope), "&refresh_token=", Escape(credentials_.identity_token));
  } else {
    request.url += Cat(request.url.find('?') == std::string::npos ? "?" : "&", "service=", Escape(parameter("service")), "&scope=", Escape(scope));
    if (!credentials_.username.empty()) request.headers.emplace_back("Authorization", "Basic " + Base64(Cat(credentials_.username, ":", credentials_.password)));
  }
  std::string body;
  TRY(const auto response, transport_.Do(ctx, request, [&](std::string_view piece) {
    body += piece;
    return body.size() < (1 << 20);
  }));
  if (response.status != 200) return std::unexpected(Refused(response));
  TRY(const json::Value answer, Parse(body, "token"));
  const std::string_view token = answer["token"].Str().empty() ? answer["access_token"].Str() : answer["token"].Str();
  if (token.empty()) return Fail(Code::kUnauthenticated, reference_.ToString() + ": token service gives no token");
  authorization_ = Cat("Bearer ", token);
  return {};
}

Result<Manifest> RegistryClient::FetchManifest(const Ctx& ctx) {
  const std::string wanted = reference_.digest.empty() ? reference_.tag : reference_.digest;
  std::string index_digest;
  TRY(std::string text, GetText(ctx, "/manifests/" + wanted, kAccept, &index_digest));
  if (!reference_.digest.empty() && index_digest != reference_.digest) return Fail(Code::kCorruption, Cat("manifest digest is ", index_digest, ", expected ", reference_.digest));
  TRY(json::Value root, Parse(text, "manifest"));
  std::string digest = index_digest;
  const std::string_view type = root["mediaType"].Str();
  if (type == kIndexTypes[0] || type == kIndexTypes[1] || (root.Find("manifests") != nullptr && root.Find("config") == nullptr)) {
    TRY(const std::string chosen, ChoosePlatform(root));
    if (!IsDigest(chosen)) return Fail(Code::kUnsupported, "manifest with digest " + Quote(chosen));
    TRY(text, GetText(ctx, "/manifests/" + chosen, kAccept, &digest));
    if (digest != chosen) return Fail(Code::kCorruption, Cat("manifest digest is ", digest, ", expected ", chosen));
    TRY(root, Parse(text, "manifest"));
  }
  TRY(Manifest manifest, ParseManifest(root));
  manifest.digest = digest;
  manifest.index_digest = index_digest;
  return manifest;
}

Result<std::string> RegistryClient::FetchConfig(const Ctx& ctx, const Manifest::Blob& blob) {
  std::string digest;
  TRY(std::string text, GetText(ctx, "/blobs/" + blob.digest, {}, &digest));
  if (digest != blob.digest) return Fail(Code::kCorruption, Cat("image configuration digest is ", digest, ", expected ", blob.digest));
  return text;
}

Result<> RegistryClient::FetchBlob(const Ctx& ctx, const Manifest::Blob& blob, const Transport::Sink& sink) {
  TRY(auto response, Get(ctx, "/blobs/" + blob.digest, {}, sink));
  if (response.status == 401) {   // tokens live for minutes, large images take longer
    TRY_VOID(Authenticate(ctx, response.headers["www-authenticate"]));
    TRY(response, Get(ctx, "/blobs/" + blob.digest, {}, sink));
  }
  if (response.status != 200) return std::unexpected(Refused(response));
  return {};
}

}  // namespace skerry::container::oci
