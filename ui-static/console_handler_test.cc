#include "ui-static/console_handler.h"

#include <catch2/catch.hpp>

#include "core/base/strings.h"
#include "core/http/gzip.h"
#include "core/http/testing.h"

using namespace skerry;

namespace {

struct Console {
  Console() {
    next.on_shard = [](const Ctx&, const http::Request& request) -> http::Reply { return http::testing::Text("next " + request.path); };
    assets = {{"assets/main-1.js", "text/javascript", "j1", packed_js}, {"favicon.svg", "image/svg+xml", "f1", packed_icon}, {"index.html", "text/html; charset=utf-8", "h1", packed_html}};
    handler = ui::NewConsoleHandler(next, assets);
  }
  http::Response Get(std::string path, http::Headers headers = {}, std::string method = "GET") {
    http::Request request;
    request.method = std::move(method);
    request.path = request.target = std::move(path);
    request.headers = std::move(headers);
    auto reply = handler->OnShard(http::testing::Soon(), request);
    REQUIRE(std::holds_alternative<http::Response>(reply));
    return std::move(std::get<http::Response>(reply));
  }
  std::string packed_js = http::Gzip("script"), packed_icon = http::Gzip("icon"), packed_html = http::Gzip("<html>");
  std::vector<ui::Asset> assets;
  http::testing::TestHandler next;
  std::unique_ptr<http::Handler> handler;
};

std::string Header(const http::Response& response, std::string_view name) { return std::string(http::Get(response.headers, name)); }

}  // namespace

TEST_CASE("files of the console go out compressed to who takes it and plain to others", "[console]") {
  Console console;
  const auto packed = console.Get("/console/assets/main-1.js", {{"Accept-Encoding", "br, gzip"}});
  CHECK(Header(packed, "Content-Encoding") == "gzip");
  CHECK(packed.body.view() == console.packed_js);
  for (const auto& headers : {http::Headers{}, http::Headers{{"Accept-Encoding", "br"}}, http::Headers{{"Accept-Encoding", "gzip;q=0"}}}) {
    const auto plain = console.Get("/console/assets/main-1.js", headers);
    CHECK(Header(plain, "Content-Encoding").empty());
    CHECK(plain.body.view() == "script");
    CHECK(Header(plain, "ETag") != Header(packed, "ETag"));
    CHECK(Header(plain, "Vary") == "Accept-Encoding");
  }
}

TEST_CASE("hashed files are kept for ever, pages are asked for again and answered with 304", "[console]") {
  Console console;
  CHECK(Header(console.Get("/console/assets/main-1.js"), "Cache-Control").find("immutable") != std::string::npos);
  const auto page = console.Get("/console/");
  CHECK(Header(page, "Cache-Control") == "no-cache");
  const auto again = console.Get("/console/", {{"If-None-Match", Header(page, "ETag")}});
  CHECK(again.status == 304);
  CHECK(again.body.empty());
  CHECK(console.Get("/console/", {{"If-None-Match", "\"other\""}}).status == 200);
}

TEST_CASE("every path below /console/ is a page of the application, a missing file is not", "[console]") {
  Console console;
  for (const char* path : {"/console/", "/console/p/default/pods", "/console/p/a/pods/b/logs", "/console/index.html", "/console/v10"}) CHECK(console.Get(path).body.view() == "<html>");
  CHECK(console.Get("/console/favicon.svg").body.view() == "icon");
  CHECK(console.Get("/console/assets/main-0.js").status == 404);
  const auto bare = console.Get("/console");
  CHECK(bare.status == 301);
  CHECK(Header(bare, "Location") == "/console/");
}

TEST_CASE("what is not the console's goes to the API", "[console]") {
  Console console;
  for (const char* path : {"/api/v1/pods", "/consoles", "/console/v1/stream", "/"}) CHECK(console.Get(path).body.view() == Cat("next ", path));
  const auto browser = console.Get("/", {{"Accept", "text/html,application/xhtml+xml,*/*;q=0.8"}});
  CHECK(browser.status == 302);
  CHECK(Header(browser, "Location") == "/console/");
  CHECK(console.Get("/", {{"Accept", "text/html"}, {"Authorization", "Bearer x"}}).body.view() == "next /");
}

TEST_CASE("pages carry a policy without inline code, and only reads are served", "[console]") {
  Console console;
  const auto page = console.Get("/console/p/default/pods");
  const auto policy = Header(page, "Content-Security-Policy");
  CHECK(policy.find("default-src 'none'") != std::string::npos);
  CHECK(policy.find("unsafe") == std::string::npos);
  CHECK(Header(page, "X-Content-Type-Options") == "nosniff");
  const auto head = console.Get("/console/", {}, "HEAD");
  CHECK(head.body.empty());
  CHECK(Header(head, "Content-Length") == "6");
  CHECK(console.Get("/console/", {}, "POST").status == 405);
}

TEST_CASE("the built console is whole: a page, its files, and no more than 100 KB", "[console]") {
  std::size_t total = 0;
  for (const auto& asset : ui::Assets()) total += asset.bytes.size();
  CHECK(total <= 100'000);
  const auto page = std::find_if(ui::Assets().begin(), ui::Assets().end(), [](const ui::Asset& a) { return a.path == "index.html"; });
  REQUIRE(page != ui::Assets().end());
  if (!page->gzip) return;   // a build without the console
  const auto html = http::Gunzip(page->bytes, 1 << 20);
  CHECK(html.find("<script>") == std::string::npos);
  CHECK(html.find("style=") == std::string::npos);
  int files = 0;
  for (const auto& asset : ui::Assets()) files += asset.path.starts_with("assets/") && html.find(Cat("/console/", asset.path)) != std::string::npos;
  CHECK(files >= 2);
}
