#include "core/http/head.h"

#include <catch2/catch.hpp>

#include "core/http/chunked.h"
#include "core/http/url.h"

using namespace skerry;
using namespace skerry::http;

namespace {
int StatusOf(std::string_view head) {
  Request r;
  const auto f = ParseRequestHead(head, r);
  return f ? 0 : f.error().status;
}
}  // namespace

TEST_CASE("a request head is split into method, path, query, headers and framing", "[http]") {
  Request r;
  const auto f = ParseRequestHead("POST /a%20b/c?x=1&y=a+b&x=%2F&z HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nX:\t v \r\nExpect: 100-Continue\r\n\r\n", r);
  REQUIRE(f);
  CHECK(r.method == "POST");
  CHECK(r.target == "/a%20b/c?x=1&y=a+b&x=%2F&z");
  CHECK(r.path == "/a b/c");
  CHECK(r.Query("y") == "a b");
  CHECK(r.QueryAll("x") == std::vector<std::string_view>{"1", "/"});
  CHECK(r.HasQuery("z"));
  CHECK(r.Get("x") == "v");
  CHECK(f->length == 5);
  CHECK(f->keep_alive);
  CHECK(f->expects_continue);
  Request absolute;
  REQUIRE(ParseRequestHead("GET http://[::1]:8080/p?q HTTP/1.1\r\nHost: other\r\n\r\n", absolute));
  CHECK(absolute.target == "/p?q");
  CHECK(absolute.Get("host") == "[::1]:8080");
  Request old;
  const auto f10 = ParseRequestHead("GET / HTTP/1.0\r\n\r\n", old);
  REQUIRE(f10);
  CHECK_FALSE(f10->keep_alive);
}

TEST_CASE("heads that other servers might read differently are refused", "[http]") {
  const std::string ok = "GET / HTTP/1.1\r\nHost: h\r\n";
  CHECK(StatusOf(ok + "\r\n") == 0);
  for (const char* line : {"A : b\r\n", " A: b\r\n", "A: b\nB: c\r\n", "A: b\rB: c\r\n", "A: \x01\r\n", ": b\r\n", "A\r\n", "Host: twice\r\n",
                           "Content-Length: 1\r\nContent-Length: 2\r\n", "Content-Length: +1\r\n", "Content-Length: 1,1\r\n", "Content-Length: -1\r\n",
                           "Content-Length: 99999999999999999999\r\n", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"}) {
    CAPTURE(line);
    CHECK(StatusOf(ok + line + "\r\n") == 400);
  }
  CHECK(StatusOf(ok + "Transfer-Encoding: gzip, chunked\r\n\r\n") == 501);
  CHECK(StatusOf("GET / HTTP/1.1\r\n\r\n") == 400);
  CHECK(StatusOf("GET / HTTP/2.0\r\nHost: h\r\n\r\n") == 505);
  for (const char* line : {"GET /", "GET  HTTP/1.1", "G(T / HTTP/1.1", "GET / FTP/1.1", "GET /a b HTTP/1.1", "GET nothing HTTP/1.1", "CONNECT a:1 HTTP/1.1",
                           "GET /%zz HTTP/1.1", "GET /%00 HTTP/1.1", "GET /\x01 HTTP/1.1", ""}) {
    CAPTURE(line);
    CHECK(StatusOf(std::string(line) + "\r\nHost: h\r\n\r\n") == 400);
  }
  std::string many = ok;
  for (std::size_t i = 0; i < kMaxHeaders; ++i) many += "a: b\r\n";
  CHECK(StatusOf(many + "\r\n") == 431);
}

TEST_CASE("a response head tells how its body ends", "[http]") {
  const auto body = [](std::string_view head, std::string_view method = "GET") { return ParseResponseHead(head, method)->framing.body; };
  CHECK(body("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n") == Framing::Body::kLength);
  CHECK(body("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "HEAD") == Framing::Body::kNone);
  CHECK(body("HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n") == Framing::Body::kChunked);
  CHECK(body("HTTP/1.1 200 OK\r\n\r\n") == Framing::Body::kUntilClose);
  CHECK(body("HTTP/1.1 204 No Content\r\n\r\n") == Framing::Body::kNone);
  CHECK_FALSE(ParseResponseHead("HTTP/1.1 20 OK\r\n\r\n", "GET"));
  CHECK_FALSE(ParseResponseHead("SSH-2.0\r\n\r\n", "GET"));
}

TEST_CASE("chunked bodies decode the same however the input is cut", "[http]") {
  const std::string wire = "5;ext=1\r\nhello\r\n1\r\n \r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nNEXT";
  for (std::size_t piece = 1; piece <= wire.size(); ++piece) {
    ChunkedDecoder decoder;
    std::string body, pending;
    std::size_t at = 0, used = 0;
    bool done = false;
    while (!done) {
      REQUIRE(at < wire.size());
      pending += wire.substr(at, piece);
      at += piece;
      for (;;) {
        const auto step = decoder.Next(pending);
        REQUIRE(step);
        body += step->data;
        used += step->consumed;
        pending.erase(0, step->consumed);
        done = step->done;
        if (done || step->consumed == 0) break;
      }
    }
    CHECK(body == "hello 0123456789");
    CHECK(wire.substr(used) == "NEXT");
  }
  for (const char* bad : {"x\r\n", "\r\n", "5\nhello", "1\r\nab\r\n", "FFFFFFFFFFFFFFFFF\r\n", "-1\r\n", "1 z", "0x1\r\n"}) {
    CAPTURE(bad);
    ChunkedDecoder decoder;
    std::string input = bad;
    bool failed = false;
    for (;;) {
      const auto step = decoder.Next(input);
      failed = !step;
      if (failed || step->consumed == 0) break;
      input.erase(0, step->consumed);
    }
    if (std::string_view(bad) != "1 z") CHECK(failed);
  }
}

TEST_CASE("URLs and queries survive a round trip", "[http]") {
  const auto url = ParseUrl("HTTPS://user:pw@Example.COM:8443/a%2Fb?x=1#frag");
  REQUIRE(url);
  CHECK(url->scheme == "https");
  CHECK(url->host == "example.com");
  CHECK(url->port == 8443);
  CHECK(url->path == "/a%2Fb");
  CHECK(url->Target() == "/a%2Fb?x=1");
  CHECK(ParseUrl("http://[::1]")->path == "/");
  for (const char* bad : {"", "a", "http://", "http://h:0/", "http://h:99999/", "http://h o/", "://x", "http://[::1/"}) CHECK_FALSE(ParseUrl(bad));
  std::vector<QueryParameter> q;
  q.push_back({"a b", "&=%/\xc3\xa4+"});
  q.push_back({"", "empty key"});
  const auto back = ParseQuery(EncodeQuery(q));
  REQUIRE(back.size() == 2);
  CHECK(back[0].key == "a b");
  CHECK(back[0].value == "&=%/\xc3\xa4+");
  CHECK(PercentDecode("%4") == std::nullopt);
  CHECK(EscapeSegment("a/b c") == "a%2Fb%20c");
}
