#include "ui-static/console_handler.h"

#include <algorithm>

#include "core/base/strings.h"
#include "core/http/gzip.h"

namespace skerry::ui {
namespace {

constexpr std::string_view kRoot = "/console", kPages = "/console/", kApi = "/console/v1/", kHashed = "assets/", kIndex = "index.html";
// Nothing from elsewhere, nothing inline, no text that becomes code or markup.
constexpr std::string_view kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'";
constexpr std::size_t kMostPlain = 4 << 20;

bool AcceptsGzip(const http::Request& request) {
  for (const auto& range : http::ListValues(request.headers, "Accept-Encoding")) {
    const auto parts = Split(range, ';');
    const auto name = Trim(parts[0]);
    if (!EqualsIgnoreCase(name, "gzip") && name != "*") continue;
    const bool refused = parts.size() > 1 && std::all_of(parts[1].begin(), parts[1].end(), [](char c) { return std::string_view(" qQ=0.").find(c) != std::string_view::npos; });
    return !refused;
  }
  return false;
}

http::Response Empty(int status, http::Headers headers) {
  http::Response response;
  response.status = status;
  response.headers = std::move(headers);
  return response;
}

http::Response Text(int status, std::string text) {
  auto response = Empty(status, {{"Content-Type", "text/plain; charset=utf-8"}, {"Cache-Control", "no-store"}, {"X-Content-Type-Options", "nosniff"}});
  response.body = Bytes(std::move(text));
  return response;
}

class ConsoleHandler final : public http::Handler {
 public:
  ConsoleHandler(http::Handler& next, std::span<const Asset> assets) : next_(next), assets_(assets) {}

  http::BodyPolicy PolicyFor(const http::Request& head) const override { return next_.PolicyFor(head); }
  http::Response TooLarge(const http::Request& request, std::int64_t limit) const override { return next_.TooLarge(request, limit); }
  http::Response Overloaded(const http::Request& request) const override { return next_.Overloaded(request); }
  void OnWorker(const Ctx& ctx, std::shared_ptr<const http::Request> request, http::ReplyFn done) override { next_.OnWorker(ctx, std::move(request), std::move(done)); }

  http::Reply OnShard(const Ctx& ctx, const http::Request& request) override {
    const std::string_view path = request.path;
    const bool read = request.method == "GET" || request.method == "HEAD";
    // A browser at the root wants the console; clients of the API never ask for HTML.
    if (path == "/" && read && request.Get("Authorization").empty() && http::HasToken(request.headers, "Accept", "text/html"))
      return Empty(302, {{"Location", std::string(kPages)}, {"Cache-Control", "no-store"}, {"Vary", "Accept"}});
    if ((path != kRoot && !path.starts_with(kPages)) || path.starts_with(kApi)) return next_.OnShard(ctx, request);
    if (!read) {
      auto response = Text(405, "method not allowed\n");
      response.headers.push_back({"Allow", "GET, HEAD"});
      return response;
    }
    if (path == kRoot) return Empty(301, {{"Location", std::string(kPages)}, {"Cache-Control", "no-cache"}});
    const auto name = path.substr(kPages.size());
    const auto* asset = Find(name);
    if (!asset && name.starts_with(kHashed)) return Text(404, "no such file\n");
    if (!asset) asset = Find(kIndex);
    if (!asset) return Text(404, "no such file\n");
    return Serve(request, *asset);
  }

 private:
  const Asset* Find(std::string_view name) const {
    const auto it = std::lower_bound(assets_.begin(), assets_.end(), name, [](const Asset& a, std::string_view wanted) { return a.path < wanted; });
    return it != assets_.end() && it->path == name ? &*it : nullptr;
  }

  static http::Response Serve(const http::Request& request, const Asset& asset) {
    const bool packed = asset.gzip && AcceptsGzip(request);
    const auto tag = Cat("\"", asset.etag, packed ? "-gz" : "", "\"");   // two representations, two strong tags
    // Names below assets/ carry a hash of their content; everything else is asked for again each time.
    const bool forever = asset.path.starts_with(kHashed);
    http::Headers headers = {{"ETag", tag}, {"Vary", "Accept-Encoding"}, {"Cache-Control", forever ? "public, max-age=31536000, immutable" : "no-cache"}};
    for (const auto& wanted : http::ListValues(request.headers, "If-None-Match")) {
      if (wanted == tag || wanted == "*" || wanted == "W/" + tag) return Empty(304, std::move(headers));
    }
    headers.push_back({"Content-Type", std::string(asset.type)});
    headers.push_back({"X-Content-Type-Options", "nosniff"});
    headers.push_back({"Content-Security-Policy", std::string(kPolicy)});
    headers.push_back({"Referrer-Policy", "no-referrer"});
    headers.push_back({"Cross-Origin-Opener-Policy", "same-origin"});
    headers.push_back({"Cross-Origin-Resource-Policy", "same-origin"});
    if (packed) headers.push_back({"Content-Encoding", "gzip"});
    auto body = asset.gzip && !packed ? http::Gunzip(asset.bytes, kMostPlain) : std::string(asset.bytes);
    http::Response response = Empty(200, std::move(headers));
    if (request.method == "HEAD") response.headers.push_back({"Content-Length", std::to_string(body.size())});
    else response.body = Bytes(std::move(body));
    return response;
  }

  http::Handler& next_;
  const std::span<const Asset> assets_;
};

}  // namespace

std::unique_ptr<http::Handler> NewConsoleHandler(http::Handler& next, std::span<const Asset> assets) { return std::make_unique<ConsoleHandler>(next, assets); }

}  // namespace skerry::ui
