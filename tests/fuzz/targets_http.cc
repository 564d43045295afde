#include <sys/socket.h>

#include "core/base/strings.h"
#include "core/base/unique_fd.h"
#include "core/http/chunked.h"
#include "core/http/head.h"
#include "core/http/spdy_frame.h"
#include "core/http/testing.h"
#include "core/http/url.h"
#include "core/http/websocket.h"
#include "core/net/streams.h"
#include "tests/fuzz/targets_http.h"

namespace skerry::fuzz {
namespace {

std::string_view Text(const std::uint8_t* data, std::size_t size) { return {reinterpret_cast<const char*>(data), size}; }

int FuzzHead(const std::uint8_t* data, std::size_t size) {
  const std::string head = Cat(Text(data, size), "\r\n\r\n");
  http::Request r;
  const auto framing = http::ParseRequestHead(head, r);
  const auto response = http::ParseResponseHead(head, "GET");
  Require(!framing || !response, "a head is a request and a response");
  if (!framing) return response ? 1 : 0;
  Require(r.target.starts_with('/') || r.target == "*", "a target without a path");
  Require(!r.path.contains('\0'), "a zero byte in the path");
  Require(framing->length >= 0, "a negative length");
  std::string again = Cat(r.method, " ", r.target, framing->http10 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n");
  for (const auto& h : r.headers) {
    Require(h.value.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos, "a line break in a value");
    http::AppendHeader(again, h.name, h.value);
  }
  again += "\r\n";
  Require(http::FindHeadEnd(again) == again.size(), "the head ends elsewhere when printed");
  http::Request second;
  const auto reread = http::ParseRequestHead(again, second);
  Require(reread && reread->body == framing->body && reread->length == framing->length && reread->keep_alive == framing->keep_alive, "framed differently");
  Require(second.path == r.path && second.headers.size() == r.headers.size(), "read differently");
  return 1;
}

struct Decoded {
  std::string body;
  std::size_t used = 0;
  bool done = false, failed = false;
};

Decoded Decode(std::string_view wire, std::size_t piece) {
  http::ChunkedDecoder decoder;
  Decoded out;
  std::string pending;
  for (std::size_t at = 0; at < wire.size() && !out.done && !out.failed; at += piece) {
    pending += wire.substr(at, piece);
    for (;;) {
      const auto step = decoder.Next(pending);
      out.failed = !step;
      if (out.failed) break;
      out.body += step->data;
      out.used += step->consumed;
      out.done = step->done;
      pending.erase(0, step->consumed);
      if (out.done || step->consumed == 0) break;
    }
  }
  return out;
}

int FuzzChunked(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto wire = Text(data + 1, size - 1);
  const Decoded whole = Decode(wire, std::max<std::size_t>(wire.size(), 1)), cut = Decode(wire, 1 + data[0] % 17);
  Require(whole.done == cut.done && whole.failed == cut.failed, "the cut decides over the end");
  if (!whole.failed) Require(whole.body == cut.body && whole.used == cut.used, "the cut decides over the body");
  return whole.done ? 1 : 0;
}

int FuzzWebSocketHead(const std::uint8_t* data, std::size_t size) {
  const auto wire = Text(data, size);
  const auto head = http::ParseFrameHead(wire);
  if (!head || !*head) return 0;
  std::string printed;
  http::AppendFrameHead(printed, (*head)->opcode, (*head)->fin, (*head)->length, (*head)->masked ? std::optional((*head)->mask) : std::nullopt);
  Require(wire.starts_with(printed) && printed.size() == (*head)->size, "a frame head prints differently");
  return 1;
}

int FuzzSpdyHeaders(const std::uint8_t* data, std::size_t size) {
  // First as plain text that was compressed honestly but damaged, then as it is.
  http::spdy::HeaderCoder compress(http::spdy::HeaderCoder::Direction::kCompress), decompress(http::spdy::HeaderCoder::Direction::kDecompress),
      raw(http::spdy::HeaderCoder::Direction::kDecompress);
  static_cast<void>(raw.Decompress(Text(data, size)));
  http::Headers headers;
  for (const auto piece : Split(Text(data, size), '\n')) {
    const auto colon = piece.find(':');
    if (colon == 0 || colon == std::string_view::npos || piece.contains('\0')) continue;
    headers.push_back({ToLower(piece.substr(0, colon)), std::string(piece.substr(colon + 1))});
  }
  const auto back = decompress.Decompress(compress.Compress(headers));
  if (!back) return 0;
  Require(back->size() == headers.size(), "headers got lost");
  for (const auto& h : headers) Require(http::Get(*back, h.name) == http::Get(headers, h.name), "a header changed");
  return 1;
}

// One server for all inputs of a target.
std::unique_ptr<http::testing::TestServer> running;

http::testing::TestServer& Server() {
  if (!running) {
    running = std::make_unique<http::testing::TestServer>();
    running->handler.on_shard = [](const Ctx&, const http::Request& r) -> http::Reply { return http::testing::Text(Cat(r.method, " ", r.path, " ", r.body.size())); };
  }
  return *running;
}

void EndServer() { running.reset(); }

// Whatever is sent: the server ends the exchange, and what it says are HTTP answers (or HTTP/2 frames after that preface).
int FuzzServer(const std::uint8_t* data, std::size_t size) {
  http::testing::TestServer& server = Server();
  const auto stream = server.Connect();
  const auto sent = stream->Write(http::testing::Soon(), Text(data, size));
  if (sent) static_cast<void>(stream->CloseWrite(http::testing::Soon()));
  const std::string out = http::testing::ReadToEnd(*stream);
  Require(!out.contains("<error: "), "the server does not end the exchange");
  const bool h2 = Text(data, size).starts_with("PRI * HTTP/2.0");
  Require(out.empty() || h2 || out.starts_with("HTTP/1.1 "), "the answer is none");
  return out.starts_with("HTTP/1.1 200") ? 1 : 0;
}

// HTTP/2 frames after a proper beginning: what comes back is whole frames, and the connection ends.
int FuzzFrames(const std::uint8_t* data, std::size_t size) {
  http::testing::TestServer& server = Server();
  int ends[2];
  Require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "no socket pair");
  net::ConnectionInfo negotiated;
  negotiated.alpn = "h2";
  auto near = net::FromDescriptor(server.shards.at(1).executor(), UniqueFd(ends[0])), far = net::FromDescriptor(server.shards.at(0).executor(), UniqueFd(ends[1]), negotiated);
  Require(near && far, "no stream");
  server.server->Serve(server.shards.at(0), *std::move(far));
  net::BlockingStream stream(server.shards.at(1), *std::move(near));
  const auto sent = stream.Write(http::testing::Soon(), Cat("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Text(data, size)));
  if (sent) static_cast<void>(stream.CloseWrite(http::testing::Soon()));
  const std::string out = http::testing::ReadToEnd(stream);
  // A peer that is cut off may lose what was under way.
  const auto cut = out.find("<error: ");
  Require(cut == out.npos || !out.substr(cut).contains("timed out"), "the connection does not end");
  int answers = 0;
  std::string_view rest(out.data(), std::min(cut, out.size()));
  while (rest.size() >= 9) {
    const auto byte = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(rest[i])); };
    const std::size_t length = byte(0) << 16 | byte(1) << 8 | byte(2);
    Require(length <= 1 << 14 && byte(3) <= 9, "what comes back is no frame");
    answers += byte(3) == 1;
    if (rest.size() < 9 + length) break;
    rest.remove_prefix(9 + length);
  }
  return answers > 0 ? 1 : 0;
}

std::string Frame(int type, int flags, int stream, std::string_view payload) {
  std::string out = {static_cast<char>(payload.size() >> 16), static_cast<char>(payload.size() >> 8), static_cast<char>(payload.size()), static_cast<char>(type), static_cast<char>(flags), 0, 0, 0, static_cast<char>(stream)};
  return out.append(payload);
}

std::vector<std::string> FrameSeeds() {
  const std::string settings = Frame(4, 0, 0, ""), get = "\x82\x84\x87\x41\x01h", post = "\x83\x84\x87\x41\x01h";   // :method :path :scheme :authority
  return {settings + Frame(1, 5, 1, get) + Frame(1, 5, 3, get), settings + Frame(1, 4, 1, post) + Frame(0, 0, 1, "hello") + Frame(0, 1, 1, ""),
          settings + Frame(1, 1, 1, get.substr(0, 3)) + Frame(9, 4, 1, get.substr(3)) + Frame(6, 0, 0, "12345678") + Frame(8, 0, 0, std::string("\0\0\1\0", 4)) + Frame(3, 0, 1, std::string("\0\0\0\x8", 4))};
}

int FuzzSpdySession(const std::uint8_t* data, std::size_t size) {
  const std::string out = http::testing::ExchangeSpdy(Server().shards, Text(data, size));
  Require(!out.contains("<error: "), "the session does not end");
  return out.empty() ? 0 : 1;
}

// A stream with headers and data, a ping, settings, a reset.
std::string SpdySeed() {
  http::spdy::HeaderCoder coder(http::spdy::HeaderCoder::Direction::kCompress);
  std::string wire, payload;
  http::spdy::AppendU32(payload, 1);
  http::spdy::AppendU32(payload, 0);
  payload.append(2, '\0');
  payload += coder.Compress({{"streamtype", "data"}});
  http::spdy::AppendControl(wire, http::spdy::Type::kSynStream, 0, payload);
  http::spdy::AppendDataHead(wire, 1, 0, 5);
  wire += "hello";
  http::spdy::AppendDataHead(wire, 1, http::spdy::kFlagFin, 0);
  payload.clear();
  http::spdy::AppendU32(payload, 1);
  http::spdy::AppendControl(wire, http::spdy::Type::kPing, 0, payload);
  http::spdy::AppendU32(payload, 1000);
  http::spdy::AppendControl(wire, http::spdy::Type::kWindowUpdate, 0, payload);
  http::spdy::AppendControl(wire, http::spdy::Type::kRstStream, 0, payload);
  return wire;
}

int FuzzUrl(const std::uint8_t* data, std::size_t size) {
  const auto text = Text(data, size);
  if (const auto decoded = http::PercentDecode(text)) {
    Require(http::PercentDecode(http::EscapeSegment(*decoded)) == *decoded, "a segment does not survive escaping");
  }
  const auto query = http::ParseQuery(text);
  const auto again = http::ParseQuery(http::EncodeQuery(query));
  Require(std::equal(query.begin(), query.end(), again.begin(), again.end(), [](const auto& a, const auto& b) { return a.key == b.key && a.value == b.value; }),
          "a query does not survive encoding");
  const auto url = http::ParseUrl(text);
  if (!url) return 0;
  const std::string host = url->host.contains(':') ? Cat("[", url->host, "]") : url->host;
  const auto second = http::ParseUrl(Cat(url->scheme, "://", host, ":", url->PortOrDefault(), url->Target()));
  Require(second && second->host == url->host && second->Target() == url->Target(), "a URL is read differently");
  return 1;
}

}  // namespace

std::vector<Target> HttpTargets() {
  const std::string get = "GET /a%20b?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nConnection: keep-alive, close\r\nExpect: 100-continue";
  return {
      {"http_head", FuzzHead, {get, "PUT http://[::1]:80/p HTTP/1.0", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b"},
       {"\r\n", "\n", "\r", ": ", "Host: ", "Content-Length: ", "Transfer-Encoding: chunked", "HTTP/1.1", "HTTP/1.0", "%00", "%", "http://", " ", "\t", "\0", "18446744073709551616"}},
      {"http_server", FuzzServer,
       {get + "\r\n\r\nhello", "GET /x HTTP/1.1\r\nHost: h\r\n\r\nPOST /y HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33)},
       {"\r\n", "\r\n\r\n", "\n", ": ", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "Connection: close\r\n", "Expect: 100-continue\r\n", "0\r\n\r\n", "5\r\n", " HTTP/1.0\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "Upgrade: h2c\r\n", std::string("\0", 1), "\xff"}, EndServer},
      {"http2", FuzzFrames, FrameSeeds(),
       {Frame(4, 0, 0, std::string("\0\4\0\0\0\0", 6)), Frame(4, 0, 0, std::string("\0\1\0\0\0\0", 6)), Frame(4, 1, 0, ""), Frame(8, 0, 1, "\x7f\xff\xff\xff"), Frame(7, 0, 0, std::string("\0\0\0\1\0\0\0\0", 8)),
        Frame(2, 0, 1, std::string("\0\0\0\1\xff", 5)), Frame(3, 0, 1, "1234"), Frame(9, 0, 1, "\x82"), Frame(1, 0x2c, 5, "\x82"), Frame(0, 8, 1, "\x7f"), "\x82", "\x84", "\x3f\xff\xff\xff\xff", "\x20", "\xff", std::string("\0", 1),
        "\x40\x0a" "connection\x05" "close", "\x0f\x0d\x01" "5"}, EndServer},
      {"spdy_session", FuzzSpdySession, {SpdySeed()}, {std::string("\x80\3\0\1", 4), std::string("\x80\3\0\4\0\0\0\x0c", 8), std::string("\0\0\0\1", 4), std::string("\0\0\0\3", 4), "\x7f\xff\xff\xff", "\1", std::string("\0", 1)}, EndServer},
      {"http_chunked", FuzzChunked, {"\x03" "5;e=1\r\nhello\r\n0\r\nT: x\r\n\r\n", "\x01" "a\r\n0123456789\r\n0\r\n\r\nmore"}, {"\r\n", "\n", "0\r\n", "0\r\n\r\n", ";", "f", "FFFFFFFF", "1\r\nx\r\n"}},
      {"websocket", FuzzWebSocketHead, {std::string("\x82\x05", 2), std::string("\x81\xfe\x01\x00wxyz", 8), std::string("\x89\x80wxyz", 6)}, {"\x7e", "\x7f", "\xff", std::string("\0\0\0\0", 4)}},
      {"spdy", FuzzSpdyHeaders, {"streamtype:data\nport:80\nport:81", "a:"}, {"\n", ":", "streamtype", std::string("\0", 1), "\x78\xbb"}},
      {"url", FuzzUrl, {"https://u:p@Example.com:8443/a%2Fb?x=1&y#z", "http://[::1]/", "a=b&c=%41+d"}, {"%", "%2", "%2F", "://", "[", "]", ":", "@", "/", "?", "#", "&", "=", "+", "65536"}}};
}

}  // namespace skerry::fuzz
