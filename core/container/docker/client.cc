#include "core/container/docker/client.h"

#include "core/base/strings.h"

namespace skerry::container::docker {
namespace {

constexpr std::size_t kAnswerLimit = 64 << 20;

// "1.41" → 41; versions are 1.x for as long as anyone can see
int Minor(std::string_view version) {
  const std::size_t dot = version.find('.');
  return dot == std::string_view::npos ? 0 : static_cast<int>(ParseInt(version.substr(dot + 1)).value_or(0));
}

}  // namespace

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

Error Refused(int status, const std::string& body, const std::string& what) {
  json::Value answer;
  std::string ignored;
  std::string message = json::Value::Parse(body, &answer, &ignored) ? std::string(answer["message"].Str()) : body.substr(0, 500);
  if (message.empty()) message = Cat("status ", status);
  Code code = Code::kUnavailable;
  if (status == 404) code = Code::kNotFound;
  else if (status == 409) code = Code::kConflict;
  else if (status >= 400 && status < 500) code = Code::kInvalid;
  return Error(code, Cat(what, ": ", message));
}

Result<> Client::Negotiate(const Ctx& ctx) {
  std::string body;
  TRY(const auto connection, Dial(ctx));
  TRY(const auto response, wire::Exchange(ctx, connection, {.target = "/version"}, [&](std::string_view piece) {
    body += piece;
    return body.size() < kAnswerLimit;
  }));
  if (response.status != 200) return std::unexpected(Refused(response.status, response.refusal, "container engine"));
  json::Value answer;
  std::string error;
  if (!json::Value::Parse(body, &answer, &error)) return Fail(Code::kUnsupported, socket_ + " is no container engine: " + error);
  const int newest = Minor(answer["ApiVersion"].Str()), oldest = Minor(answer["MinAPIVersion"].Str());
  if (newest < 40) return Fail(Code::kUnsupported, Cat("container engine speaks API ", answer["ApiVersion"].Str(), ", 1.40 is needed"));
  version_ = Cat("1.", std::max(40, oldest));
  server_version_ = answer["Version"].Str();
  return {};
}

Result<> Client::Stream(const Ctx& ctx, wire::Request request, const wire::Sink& sink) const {
  request.target = Cat("/v", version_, request.target);
  const std::string what = Cat("engine ", request.method, " ", request.target.substr(0, request.target.find('?')));
  TRY(const auto connection, Dial(ctx));
  TRY(const auto response, wire::Exchange(ctx, connection, request, sink));
  if (response.status >= 300 && response.status != 304) return std::unexpected(Refused(response.status, response.refusal, what));
  return {};
}

Result<json::Value> Client::Call(const Ctx& ctx, const std::string& method, const std::string& path, const json::Value* body,
                                 std::vector<std::pair<std::string, std::string>> headers) const {
  wire::Request request{.method = method, .target = path, .headers = std::move(headers)};
  if (body != nullptr) {
    request.headers.emplace_back("Content-Type", "application/json");
    request.body = body->Dump();
  }
  std::string text;
  TRY_VOID(Stream(ctx, std::move(request), [&](std::string_view piece) {
    text += piece;
    return text.size() < kAnswerLimit;
  }));
  json::Value answer;
  std::string error;
  if (!text.empty() && !json::Value::Parse(text, &answer, &error)) return Fail(Code::kUnavailable, Cat("engine ", method, " ", path, ": ", error));
  return answer;
}

Result<Client::Hijacked> Client::Hijack(const Ctx& ctx, const std::string& path, const json::Value* body) const {
  TRY(auto connection, Dial(ctx));
  const wire::Request request{.method = "POST", .target = Cat("/v", version_, path), .headers = {{"Content-Type", "application/json"}, {"Connection", "Upgrade"}, {"Upgrade", "tcp"}}, .body = body != nullptr ? body->Dump() : std::string()};
  TRY(auto upgraded, wire::Upgrade(ctx, connection, request));
  if (upgraded.response.status != 101 && upgraded.response.status != 200) return std::unexpected(Refused(upgraded.response.status, upgraded.response.refusal, "engine POST " + path.substr(0, path.find('?'))));
  return Hijacked{std::move(connection), std::move(upgraded.early)};
}

}  // namespace skerry::container::docker
