#include <catch2/catch.hpp>

#include "core/base/random.h"
#include "core/proxy/client_hello.h"
#include "core/proxy/head.h"

using namespace skerry;
using namespace skerry::proxy;

namespace {
int StatusOf(std::string_view text) {
  RequestHead head;
  int status = 0;
  const Parsed p = ParseRequest(text, head, status);
  return p == Parsed::kDone ? 200 : p == Parsed::kIncomplete ? 0 : status;
}
}  // namespace

TEST_CASE("a request head is read with its framing, and every cut of it is incomplete") {
  const std::string text =
      "POST /a?b HTTP/1.1\r\nHost: x:80\r\nContent-Length: 5\r\nConnection: keep-alive, X-Drop\r\nX-Drop: 1\r\nExpect: 100-continue\r\nEmpty:\r\n\r\nhello";
  RequestHead head;
  int status = 0;
  REQUIRE(ParseRequest(text, head, status) == Parsed::kDone);
  CHECK(head.method == "POST");
  CHECK(head.target == "/a?b");
  CHECK(head.host == "x:80");
  CHECK(head.framing == Framing::kLength);
  CHECK(head.length == 5);
  CHECK(head.keep_alive);
  CHECK(head.expects_continue);
  CHECK(head.headers.size() == 6);
  CHECK(head.size == text.size() - 5);
  CHECK(IsHopByHop("x-drop", head.connection));
  CHECK_FALSE(IsHopByHop("host", "Host, close"));
  for (std::size_t cut = 0; cut < head.size; ++cut) CHECK(StatusOf(text.substr(0, cut)) == 0);
}

TEST_CASE("requests on which two parsers could disagree are refused") {
  const auto with = [](std::string_view headers) { return StatusOf("POST / HTTP/1.1\r\nHost: a\r\n" + std::string(headers) + "\r\n"); };
  CHECK(with("") == 200);
  CHECK(with("Content-Length: 1\r\nContent-Length: 1\r\n") == 200);
  CHECK(with("Transfer-Encoding: chunked\r\n") == 200);
  for (const char* bad :
       {"Content-Length: 1\r\nContent-Length: 2\r\n", "Content-Length: +1\r\n", "Content-Length: 1, 1\r\n", "Content-Length: -1\r\n", "Content-Length: \r\n",
        "Content-Length: 9999999999999999999\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length : 1\r\n", " folded: 1\r\n", "A: b\r\n folded\r\n", "No colon\r\n", ": empty\r\n", "A: b\rc\r\n", "A: b\nc: d\r\n", "Host: b\r\n", "A\x01: b\r\n"}) {
    INFO(bad);
    CHECK(with(bad) == 400);
  }
  CHECK(StatusOf(std::string("GET / HTTP/1.1\r\nHost: a\r\nA: \0\r\n\r\n", 33)) == 400);
  CHECK(with("Transfer-Encoding: gzip, chunked\r\n") == 501);
  CHECK(StatusOf("GET / HTTP/1.1\r\n\r\n") == 400);                            // no Host
  CHECK(StatusOf("GET / HTTP/1.0\r\n\r\n") == 200);
  CHECK(StatusOf("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") == 400);
  CHECK(StatusOf("GET / HTTP/2.0\r\nHost: a\r\n\r\n") == 505);
  for (const char* line : {"GET /", "GET  / HTTP/1.1", "GET / a HTTP/1.1", "G(T / HTTP/1.1", "GET /\t HTTP/1.1", " GET / HTTP/1.1"}) {
    INFO(line);
    CHECK(StatusOf(std::string(line) + "\r\nHost: a\r\n\r\n") == 400);
  }
}

TEST_CASE("a response's framing follows status, method and headers") {
  const auto framing = [](std::string_view head, std::string_view method) {
    ResponseHead out;
    REQUIRE(ParseResponse(std::string(head) + "\r\n", method, out) == Parsed::kDone);
    return out.framing;
  };
  CHECK(framing("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", "GET") == Framing::kLength);
  CHECK(framing("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", "HEAD") == Framing::kNone);
  CHECK(framing("HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n", "GET") == Framing::kNone);
  CHECK(framing("HTTP/1.1 204\r\n", "GET") == Framing::kNone);
  CHECK(framing("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n", "GET") == Framing::kNone);
  CHECK(framing("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", "GET") == Framing::kChunked);
  CHECK(framing("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n", "GET") == Framing::kUntilClose);
  CHECK(framing("HTTP/1.0 200 OK\r\n", "GET") == Framing::kUntilClose);
  ResponseHead out;
  for (const char* bad : {"HTTP/1.1 20 OK", "HTTP/1.1 abc", "ICY 200 OK", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked", "HTTP/1.1 200OK"}) {
    CHECK(ParseResponse(std::string(bad) + "\r\n\r\n", "GET", out) == Parsed::kBad);
  }
}

TEST_CASE("the end of a chunked body is found however it is cut") {
  const std::string body = "5;ext=\"x\"\r\nhello\r\n1F \r\n0123456789012345678901234567890\r\n0\r\nTrailer: a\r\n\r\n";
  const std::string text = body + "GET / next";
  SeededRandom random(1);
  for (int round = 0; round < 200; ++round) {
    ChunkScanner scanner;
    std::size_t used = 0;
    while (!scanner.done() && used < text.size()) {
      const std::size_t n = 1 + random.Below(20);
      const std::string_view piece = std::string_view(text).substr(used, n);
      const std::size_t took = scanner.Feed(piece);
      used += took;
      REQUIRE((took == piece.size() || scanner.done()));
    }
    REQUIRE(scanner.done());
    REQUIRE(used == body.size());
  }
  for (const char* bad : {"\r\n", "x\r\n", "5\nhello", "1\r\nab", "5\r\nhello\n0", "1000000000000000\r\n", "1\r\nax0\r\n\r\n", "0\r\n\n"}) {
    ChunkScanner scanner;
    scanner.Feed(bad);
    INFO(bad);
    CHECK(scanner.bad());
  }
  ChunkScanner endless;
  const std::string junk(100'000, 'x');
  endless.Feed("1;");
  endless.Feed(junk);
  CHECK(endless.bad());
}

TEST_CASE("the server name is read from a ClientHello, whole or in pieces, and garbage has none") {
  // A hand-made hello: version, random, no session, one cipher, null compression, extensions {other, server_name "a.example"}.
  const std::string name = "a.Example";
  std::string extensions("\0\x0b\0\2\1\0", 6);
  const auto put16 = [](std::string& s, std::size_t v) { s += {static_cast<char>(v >> 8), static_cast<char>(v & 255)}; };
  put16(extensions, 0);
  put16(extensions, name.size() + 5);
  put16(extensions, name.size() + 3);
  extensions += '\0';
  put16(extensions, name.size());
  extensions += name;
  std::string hello = std::string("\3\3", 2) + std::string(32, 'r') + std::string("\0\0\2\x13\1\1\0", 7);
  put16(hello, extensions.size());
  hello += extensions;
  std::string handshake = std::string("\1\0", 2);
  put16(handshake, hello.size());
  handshake += hello;
  const auto record = [&](std::string_view part) {
    std::string out("\x16\3\1", 3);
    put16(out, part.size());
    return out += part;
  };
  const std::string whole = record(handshake), split = record(std::string_view(handshake).substr(0, 20)) + record(std::string_view(handshake).substr(20));
  for (const std::string& bytes : {whole, split}) {
    CHECK(ReadSni(bytes).state == Sni::State::kFound);
    CHECK(ReadSni(bytes).name == "a.example");
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) CHECK(ReadSni(bytes.substr(0, cut)).state == Sni::State::kIncomplete);
  }
  CHECK(ReadSni("GET / HTTP/1.1\r\n").state == Sni::State::kNone);
  SeededRandom random(3);
  for (int i = 0; i < 20'000; ++i) {
    std::string damaged = whole;
    damaged[random.Below(damaged.size())] = static_cast<char>(random.Next());
    ReadSni(damaged);
  }
}
