#include <zlib.h>

#include <catch2/catch.hpp>

#include "core/base/strings.h"
#include "core/http/spdy.h"
#include "core/http/testing.h"
#include "core/http/websocket_channels.h"
#include "core/net/streams.h"
#include "core/net/task_group.h"
#include "core/text/base64.h"

using namespace skerry;
using namespace skerry::http;
using namespace skerry::http::testing;
using namespace std::chrono_literals;

namespace {

using Role = WebSocket::Role;
constexpr auto kFar = net::Stream::TimePoint::max();

struct TwoEnds {
  TwoEnds() {
    auto [x, y] = net::MakePair(shard.executor(), shard.executor());
    a = std::move(x);
    b = std::move(y);
  }
  net::Shard shard{"t"};
  std::unique_ptr<net::Stream> a, b;
};

net::Task<void> ReadAllOf(net::Stream* stream, std::string* out, std::string* error) {
  std::string buffer(5000, 0);
  const std::span<std::byte> room(reinterpret_cast<std::byte*>(buffer.data()), buffer.size());
  for (;;) {
    const auto n = co_await stream->Read(room);
    if (!n) *error = n.error().message();
    if (!n || *n == 0) co_return;
    out->append(buffer, 0, *n);
  }
}

net::Task<void> WriteAndClose(net::Stream* stream, std::string bytes, bool* ok) {
  const auto written = co_await stream->Write(bytes);
  *ok = written.has_value();
  const auto closed = co_await stream->CloseWrite();
  static_cast<void>(closed);
}

std::string Pattern(std::size_t n) {
  std::string s(n, 0);
  for (std::size_t i = 0; i < n; ++i) s[i] = static_cast<char>(i * 13 + i / 997);
  return s;
}

Request Handshake(std::string protocols = {}) {
  Request r;
  r.method = "GET";
  r.headers = {{"Connection", "keep-alive, Upgrade"}, {"Upgrade", "websocket"}, {"Sec-WebSocket-Version", "13"},
               {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}};
  if (!protocols.empty()) r.headers.push_back({"Sec-WebSocket-Protocol", protocols});
  return r;
}

}  // namespace

TEST_CASE("a WebSocket handshake is answered as RFC 6455 shows and picks a common subprotocol", "[http]") {
  constexpr std::string_view kSupported[] = {"v5.channel.k8s.io", "v4.channel.k8s.io"};
  const auto plain = AcceptWebSocket(Handshake(), kSupported);
  REQUIRE(plain);
  CHECK(Get(plain->headers, "Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  CHECK(plain->protocol.empty());
  CHECK(AcceptWebSocket(Handshake("x, v4.channel.k8s.io, v5.channel.k8s.io"), kSupported)->protocol == "v4.channel.k8s.io");
  CHECK(AcceptWebSocket(Handshake("x"), kSupported).error().code() == Code::kUnsupported);
  auto old = Handshake();
  old.headers[2].value = "8";
  CHECK_FALSE(AcceptWebSocket(old, kSupported));
  auto short_key = Handshake();
  short_key.headers[3].value = "AAAA";
  CHECK_FALSE(AcceptWebSocket(short_key, kSupported));
  Request other;
  CHECK_FALSE(WantsWebSocket(other));
}

TEST_CASE("WebSocket frame heads round-trip at every length border and malformed ones are refused", "[http]") {
  for (const std::uint64_t length : {0ULL, 1ULL, 125ULL, 126ULL, 65535ULL, 65536ULL, 1ULL << 40}) {
    std::string wire;
    AppendFrameHead(wire, Opcode::kBinary, false, length, 0x01020304);
    for (std::size_t cut = 0; cut < wire.size(); ++cut) CHECK_FALSE(ParseFrameHead(wire.substr(0, cut)).value().has_value());
    const auto head = ParseFrameHead(wire).value();
    REQUIRE(head);
    CHECK(head->length == length);
    CHECK(head->mask == 0x01020304);
    CHECK_FALSE(head->fin);
    CHECK(head->size == wire.size());
  }
  for (const std::string& bad : {std::string("\xc1\x00", 2), std::string("\x83\x00", 2), std::string("\x89\x7e\x00\x7e", 4), std::string("\x09\x00", 2),
                                 std::string("\x82\x7e\x00\x05", 4), std::string("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", 10)}) {
    CHECK_FALSE(ParseFrameHead(bad));
  }
  std::string hello("\x7f\x9f\x4d\x51\x58", 5);   // RFC 6455, 5.7
  Mask(hello.data(), hello.size(), 0x3d21fa37);
  CHECK(hello == "Hello");
}

TEST_CASE("WebSocket messages cross in both directions with pings and fragments between, and close orderly", "[http]") {
  TwoEnds t;
  struct Run {
    static net::Task<void> Client(std::unique_ptr<net::Stream> s) {
      WebSocket socket(std::move(s), Role::kClient);
      const std::string big = Pattern(300'000);
      const auto pinged = co_await socket.Ping("p");
      CHECK(pinged);
      const auto sent = co_await socket.Write(Opcode::kBinary, big);
      CHECK(sent);
      auto echoed = co_await socket.Read();   // passes the pong by
      CHECK((echoed && *echoed && (*echoed)->data == big));
      const auto closing = co_await socket.Close(1000, "bye");
      CHECK(closing);
      auto end = co_await socket.Read();
      CHECK((end && !*end));
    }
    static net::Task<void> Server(std::unique_ptr<net::Stream> s) {
      WebSocket socket(std::move(s), Role::kServer);
      for (;;) {
        auto message = co_await socket.Read();
        CHECK(message);
        if (!message || !*message) co_return;
        const auto sent = co_await socket.Write((*message)->kind, (*message)->data);
        CHECK(sent);
      }
    }
  };
  net::TaskGroup tasks;
  tasks.Spawn(t.shard, Run::Client(std::move(t.a)));
  tasks.Spawn(t.shard, Run::Server(std::move(t.b)));
  tasks.Join();
}

TEST_CASE("a WebSocket peer that breaks the rules is closed with the fitting code", "[http]") {
  struct Case {
    std::string wire;
    char code;
  };
  std::string too_long;
  AppendFrameHead(too_long, Opcode::kBinary, true, 5000, 0);
  std::string fragments;   // "ab" in two fragments with a ping between
  AppendFrameHead(fragments, Opcode::kText, false, 1, 0);
  fragments += 'a';
  AppendFrameHead(fragments, Opcode::kPing, true, 0, 0);
  AppendFrameHead(fragments, Opcode::kContinuation, true, 1, 0);
  fragments += 'b';
  const Case cases[] = {{std::string("\x82\x01x", 3), '\xea'}, {std::string("\xf2\x80", 2), '\xea'}, {too_long, '\xf1'}, {std::string("\x80\x80\0\0\0\0", 6), '\xea'}};
  struct Run {
    static net::Task<void> Server(std::unique_ptr<net::Stream> s, std::string* got) {
      WebSocket socket(std::move(s), Role::kServer, 4000);
      auto message = co_await socket.Read();
      if (message && *message) *got = (*message)->data;
      if (!message) *got = "refused";
    }
  };
  for (const auto& c : cases) {
    TwoEnds t;
    std::string got;
    net::BlockingStream client(t.shard, std::move(t.a));
    net::TaskGroup tasks;
    tasks.Spawn(t.shard, Run::Server(std::move(t.b), &got));
    const auto reply = Exchange(client, c.wire);
    tasks.Join();
    CHECK(got == "refused");
    REQUIRE(reply.size() > 4);
    CHECK(reply.substr(0, 1) == "\x88");
    CHECK(reply[2] == '\x03');
    CHECK(reply[3] == c.code);
  }
  TwoEnds t;
  std::string got;
  net::BlockingStream client(t.shard, std::move(t.a));
  net::TaskGroup tasks;
  tasks.Spawn(t.shard, Run::Server(std::move(t.b), &got));
  CHECK(Exchange(client, fragments) == std::string("\x8a\0", 2));
  tasks.Join();
  CHECK(got == "ab");
}

TEST_CASE("numbered channels share a WebSocket, plain and base64, and end as their protocol says", "[http]") {
  for (const bool base64 : {false, true}) {
    TwoEnds t;
    WebSocketChannels::Options options;
    options.count = 3;
    options.base64 = base64;
    options.close_signal = !base64;
    auto server = WebSocketChannels::Create(std::make_unique<WebSocket>(std::move(t.b), Role::kServer), options, t.shard.executor());
    options.role = Role::kClient;
    auto client = WebSocketChannels::Create(std::make_unique<WebSocket>(std::move(t.a), Role::kClient), options, t.shard.executor());
    struct Run {
      static net::Task<void> Server(std::shared_ptr<WebSocketChannels> mux, net::TaskGroup* tasks, const boost::asio::any_io_executor* ex) {
        auto in = mux->Open(0);
        auto out = mux->Open(1);
        struct Inner {
          static net::Task<void> Echo(std::shared_ptr<WebSocketChannels> m, std::unique_ptr<net::Stream> i, std::unique_ptr<net::Stream> o) {
            std::string buffer(3000, 0);
            const std::span<std::byte> room(reinterpret_cast<std::byte*>(buffer.data()), buffer.size());
            for (;;) {
              const auto n = co_await i->Read(room);
              if (!n || *n == 0) break;
              const std::string_view bytes(buffer.data(), *n);
              const auto written = co_await o->Write(bytes);
              if (!written) break;   // closed by the client meanwhile
            }
            co_await m->Shutdown(1000, "");
          }
        };
        tasks->Spawn(*ex, Inner::Echo(mux, std::move(in), std::move(out)));
        const auto outcome = co_await mux->Run();
        CHECK(outcome);
      }
      static net::Task<void> Client(std::shared_ptr<WebSocketChannels> mux) {
        const auto outcome = co_await mux->Run();
        CHECK(outcome);
      }
      static net::Task<void> Send(std::shared_ptr<WebSocketChannels> mux, std::unique_ptr<net::Stream> in, bool end) {
        const std::string bytes = Pattern(200'000);
        const auto written = co_await in->Write(bytes);
        CHECK(written);
        const auto ended = co_await in->CloseWrite();
        CHECK(ended);
        if (!end) co_await mux->Shutdown(1000, "");   // without a close signal only the connection can end
      }
    };
    auto in = client->Open(0), out = client->Open(1);
    std::string got, error;
    const auto executor = t.shard.executor();
    net::TaskGroup tasks;
    tasks.Spawn(t.shard, Run::Server(std::move(server), &tasks, &executor));
    tasks.Spawn(t.shard, Run::Client(client));
    tasks.Spawn(t.shard, ReadAllOf(out.get(), &got, &error));
    tasks.Spawn(t.shard, Run::Send(client, std::move(in), !base64));
    tasks.Join();
    const auto sent = Pattern(200'000);
    if (base64) {
      CHECK(sent.starts_with(got));   // the client closed first: what was under way may be lost
    } else {
      CHECK(got == sent);
    }
    client.reset();
    net::RunOn(t.shard, [](std::unique_ptr<net::Stream> s) -> net::Task<void> { s.reset(); co_return; }(std::move(out)));
  }
}

TEST_CASE("SPDY header blocks use the dictionary of SPDY/3 and survive a round trip", "[http]") {
  spdy::HeaderCoder compress(spdy::HeaderCoder::Direction::kCompress), decompress(spdy::HeaderCoder::Direction::kDecompress);
  Headers headers{{"streamType", "stdin"}, {"Port", "80"}, {"x", "1"}, {"X", "2"}};
  const auto block = compress.Compress(headers);
  CHECK(spdy::ReadU32(block, 2) == 0xe3c6a7c2U);   // the Adler-32 that every SPDY/3 capture shows
  for (int i = 0; i < 3; ++i) {
    const auto back = decompress.Decompress(i == 0 ? block : compress.Compress(headers));
    REQUIRE(back);
    REQUIRE(back->size() == 4);
    CHECK((*back)[0].name == "streamtype");
    CHECK(Get(*back, "streamType") == "stdin");
    CHECK((*back)[3].value == "2");
  }
  CHECK_FALSE(decompress.Decompress("garbage"));
  spdy::HeaderCoder bomb_out(spdy::HeaderCoder::Direction::kCompress), bomb_in(spdy::HeaderCoder::Direction::kDecompress);
  CHECK_FALSE(bomb_in.Decompress(bomb_out.Compress({{"a", std::string(1 << 20, 'x')}})));
}

namespace {

struct SpdyPair {
  explicit SpdyPair(bool inside_websocket = false) {
    if (inside_websocket) {
      t.a = AsByteStream(std::make_unique<WebSocket>(std::move(t.a), Role::kClient));
      t.b = AsByteStream(std::make_unique<WebSocket>(std::move(t.b), Role::kServer));
    }
    client = SpdySession::Create(std::move(t.a), SpdySession::Role::kClient, t.shard.executor());
    server = SpdySession::Create(std::move(t.b), SpdySession::Role::kServer, t.shard.executor());
    tasks.Spawn(t.shard, RunSession(client));
    tasks.Spawn(t.shard, RunSession(server));
  }
  ~SpdyPair() {
    client->Abort();
    server->Abort();
    tasks.Join();
    net::RunOn(t.shard, [](SpdyPair* self) -> net::Task<void> {
      self->client.reset();
      self->server.reset();
      co_return;
    }(this));
  }
  static net::Task<void> RunSession(std::shared_ptr<SpdySession> s) {
    const auto outcome = co_await s->Run();
    static_cast<void>(outcome);
  }
  TwoEnds t;
  std::shared_ptr<SpdySession> client, server;
  net::TaskGroup tasks;
};

// Echoes every stream that the client opens, in upper case names of its header "echo".
net::Task<void> EchoStreams(std::shared_ptr<SpdySession> session, net::TaskGroup* tasks, int count) {
  struct One {
    static net::Task<void> Echo(std::unique_ptr<Channel> c) {
      std::string buffer(7000, 0);
      const std::span<std::byte> room(reinterpret_cast<std::byte*>(buffer.data()), buffer.size());
      for (;;) {
        const auto n = co_await c->Read(room);
        if (!n || *n == 0) break;
        const std::string_view bytes(buffer.data(), *n);
        const auto written = co_await c->Write(bytes);
        if (!written) co_return;
      }
      const auto closed = co_await c->CloseWrite();
      static_cast<void>(closed);
    }
  };
  for (int i = 0; i < count; ++i) {
    auto opened = co_await session->Accept();
    if (!opened) co_return;
    CHECK(Get(opened->headers, "streamType") == "data");
    const auto executor = opened->channel->executor();
    tasks->Spawn(executor, One::Echo(std::move(opened->channel)));
  }
}

net::Task<void> UseStream(std::shared_ptr<SpdySession> session, std::size_t size, int* good) {
  Headers headers;
  headers.push_back({"streamType", "data"});
  auto channel = co_await session->Open(std::move(headers), kFar);
  CHECK(channel);
  if (!channel) co_return;
  net::TaskGroup writing;
  bool ok = false;
  writing.Spawn((*channel)->executor(), WriteAndClose(channel->get(), Pattern(size), &ok));
  std::string got, error;
  co_await ReadAllOf(channel->get(), &got, &error);
  co_await writing.Wait();
  CHECK(ok);
  CHECK(error.empty());
  if (got == Pattern(size)) ++*good;
}

}  // namespace

TEST_CASE("SPDY streams run side by side, plain and inside a WebSocket", "[http]") {
  for (const bool inside : {false, true}) {
    SpdyPair p(inside);
    int good = 0;
    net::TaskGroup tasks;
    tasks.Spawn(p.t.shard, EchoStreams(p.server, &tasks, 10));
    for (std::size_t i = 0; i < 10; ++i) tasks.Spawn(p.t.shard, UseStream(p.client, i * 60'000, &good));
    tasks.Join();
    CHECK(good == 10);
  }
}

TEST_CASE("SPDY windows hold a sender back once the peer keeps them, and are refilled", "[http]") {
  SpdyPair p;
  struct Show {   // both sides learn that the other one keeps windows
    static net::Task<void> Windows(SpdySession* s) {
      std::string payload, frame;
      spdy::AppendU32(payload, 0);
      spdy::AppendU32(payload, 1);
      spdy::AppendControl(frame, spdy::Type::kWindowUpdate, 0, payload);
      const auto sent = co_await s->stream().Write(frame);
      CHECK(sent);
    }
    static net::Task<void> Fill(std::shared_ptr<SpdySession> s, std::size_t* written) {
      Headers headers;
      headers.push_back({"streamType", "data"});
      auto channel = co_await s->Open(std::move(headers), kFar);
      CHECK(channel);
      const std::string piece(1000, 'x');
      (*channel)->WriteExpiresAt(std::chrono::steady_clock::now() + 1s);
      for (;;) {
        const auto sent = co_await (*channel)->Write(piece);
        if (!sent) CHECK(sent.error().code() == Code::kTimeout);
        if (!sent) co_return;
        *written += piece.size();
      }
    }
  };
  net::RunOn(p.t.shard, Show::Windows(p.client.get()));
  net::RunOn(p.t.shard, Show::Windows(p.server.get()));
  int good = 0;
  {
    net::TaskGroup tasks;
    tasks.Spawn(p.t.shard, EchoStreams(p.server, &tasks, 4));
    for (int i = 0; i < 4; ++i) tasks.Spawn(p.t.shard, UseStream(p.client, 500'000, &good));
  }
  CHECK(good == 4);
  std::size_t written = 0;   // nobody accepts or reads this one
  net::RunOn(p.t.shard, Show::Fill(p.client, &written));
  CHECK(written <= 64 << 10);
  CHECK(written > 30 << 10);   // the session's window comes back by halves
}

TEST_CASE("a SPDY peer's ping is answered, a dropped channel is reset and garbage ends the session", "[http]") {
  TwoEnds t;
  auto session = SpdySession::Create(std::move(t.b), SpdySession::Role::kServer, t.shard.executor());
  Result<void> outcome;
  struct Run {
    static net::Task<void> Session(std::shared_ptr<SpdySession> s, Result<void>* out) { *out = co_await s->Run(); }
    static net::Task<void> DropOne(std::shared_ptr<SpdySession> s, bool* accepted) {
      auto opened = co_await s->Accept();
      *accepted = opened.has_value();
    }
  };
  net::TaskGroup tasks;
  tasks.Spawn(t.shard, Run::Session(session, &outcome));
  bool accepted = false;   // Catch's macros are for one thread at a time
  tasks.Spawn(t.shard, Run::DropOne(session, &accepted));
  net::BlockingStream client(t.shard, std::move(t.a));
  spdy::HeaderCoder compress(spdy::HeaderCoder::Direction::kCompress);
  std::string wire, syn;
  spdy::AppendControl(wire, spdy::Type::kPing, 0, std::string_view("\0\0\0\x07", 4));
  spdy::AppendU32(syn, 1);
  spdy::AppendU32(syn, 0);
  syn += std::string(2, '\0') + compress.Compress({{"streamtype", "data"}});
  spdy::AppendControl(wire, spdy::Type::kSynStream, 0, syn);
  REQUIRE(client.Write(Soon(), wire));
  CHECK(ReadUntil(client, std::string_view("\0\0\0\x07", 4)).starts_with(std::string_view("\x80\x03\0\x06\0\0\0\x04", 8)));
  CHECK(ReadUntil(client, std::string_view("\x80\x03\0\x03\0\0\0\x08\0\0\0\x01\0\0\0\x05", 16)).contains(std::string_view("\x80\x03\0\x02", 4)));
  CHECK(Exchange(client, "\xff\xff\xff\xff\xff\xff\xff\xff").empty());
  tasks.Join();
  CHECK(accepted);
  CHECK_FALSE(outcome);
  net::RunOn(t.shard, [](std::shared_ptr<SpdySession> s) -> net::Task<void> { s.reset(); co_return; }(std::move(session)));
}
