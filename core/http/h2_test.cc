#include <unistd.h>

#include <catch2/catch.hpp>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/http/client.h"
#include "core/http/testing.h"
#include "core/net/tls.h"
#include "core/net/tls_testing.h"

using namespace skerry;
using namespace skerry::http;
using namespace skerry::http::testing;
using namespace std::chrono_literals;

namespace {

// A TLS server that negotiates HTTP/2, and libcurl as its client.
struct H2 {
  explicit H2(ServerOptions options = {}) : server(Options(ca, std::move(options))) {
    request.url = "https://h2.test";
    request.connect_to = server.server->address();
    request.ca_pem = ca.pem();
  }
  static ServerOptions Options(net::testing::TestCa& ca, ServerOptions o) {
    net::TlsServerConfig config;
    config.identity = ca.Issue("CN=server", "DNS:h2.test");
    config.client_ca_pem = ca.pem();
    config.client_auth = net::ClientAuth::kRequest;
    config.alpn = {"h2", "http/1.1"};
    o.tls = net::TlsServerContext::Create(config).value();
    o.listen = "127.0.0.1:0";
    return o;
  }
  ClientRequest To(std::string path) {
    auto r = request;
    r.url += path;
    return r;
  }
  net::testing::TestCa ca;
  TestServer server;
  Client client;
  ClientRequest request;
};

struct CountSource : Source {
  int left = 100;
  std::function<void()> notify;
  bool paused = false;
  Result<Bytes> Next() override {
    paused = !paused;
    if (paused) {   // pretends to wait before each piece
      notify();
      return Bytes();
    }
    if (left == 0) return Fail(Code::kCancelled, "end");
    --left;
    return Bytes(std::string(3000, 'p'));
  }
  void OnReady(std::function<void()> n) override { notify = std::move(n); }
};

struct EndlessSource : Source {
  explicit EndlessSource(std::shared_ptr<std::promise<void>> d) : dropped(std::move(d)) {}
  ~EndlessSource() override { dropped->set_value(); }
  Result<Bytes> Next() override { return std::exchange(first, false) ? Bytes(std::string("first")) : Bytes(); }
  void OnReady(std::function<void()>) override {}
  bool first = true;
  std::shared_ptr<std::promise<void>> dropped;
};

}  // namespace

TEST_CASE("HTTP/2 requests are answered from the shard and from workers, with bodies, HEAD and many at once", "[http]") {
  H2 t;
  std::atomic<bool> lower{true};   // libcurl speaks HTTP/2 indeed. Catch's macros are for one thread.
  t.server.handler.on_shard = [&lower](const Ctx&, const Request& r) -> Reply {
    if (r.path == "/worker") return NeedsWorker{};
    for (const auto& h : r.headers)
      if (h.name != ToLower(h.name)) lower = false;
    if (r.path == "/tunnel") return std::unique_ptr<Tunnel>();
    Response out = Text(Cat(r.method, " ", r.path, "?", r.Query("q"), " ", r.Get("Host"), " [", r.body, "] ", r.tls ? "tls" : ""));
    out.headers.push_back({"X-Mixed-Case", "v"});
    out.headers.push_back({"Connection", "close"});   // forbidden in HTTP/2: the server drops it
    return out;
  };
  t.server.handler.on_worker = [](const Ctx&, std::shared_ptr<const Request> r, ReplyFn done) { done(Text(Cat("worker [", r->body.size(), "]"), 201)); };
  const auto got = t.client.Do(Soon(), t.To("/a%20b?q=1"));
  REQUIRE(got);
  CHECK(got->body == "GET /a b?1 h2.test [] tls");
  CHECK(Get(got->headers, "x-mixed-case") == "v");
  CHECK(Get(got->headers, "content-length") == std::to_string(got->body.size()));
  auto post = t.To("/worker");
  post.method = "POST";
  post.body = std::string(2'000'000, 'b');
  const auto posted = t.client.Do(Soon(), post);
  REQUIRE(posted);
  CHECK(posted->status == 201);
  CHECK(posted->body == "worker [2000000]");
  auto head = t.To("/h");
  head.method = "HEAD";
  const auto headed = t.client.Do(Soon(), head);
  REQUIRE(headed);
  CHECK(headed->body.empty());
  CHECK(Get(headed->headers, "content-length") == "23");
  CHECK(t.client.Do(Soon(), t.To("/tunnel"))->status == 400);
  post.body = std::string(4 << 20, 'b');   // above the handler's limit
  const auto too_large = t.client.Do(Soon(), post);
  if (too_large) CHECK(too_large->status == 413);
  std::vector<std::future<bool>> many;
  for (int i = 0; i < 20; ++i) {
    many.push_back(std::async(std::launch::async, [&t, i] {
      const auto r = t.client.Do(Soon(), t.To(i % 2 ? "/worker" : "/x"));
      return r && r->status == (i % 2 ? 201 : 200);
    }));
  }
  for (auto& f : many) CHECK(f.get());
  CHECK(lower);
}

TEST_CASE("HTTP/2 carries reader bodies, streams and files, and tells a handler that its client left", "[http]") {
  H2 t;
  char path[] = "/tmp/skerry-h2-XXXXXX";
  const UniqueFd fd(::mkstemp(path));
  const std::string content(500'000, 'f');
  REQUIRE(WriteAll(fd.get(), content));
  const auto dropped = std::make_shared<std::promise<void>>();
  t.server.handler.policy = [](const Request& r) {
    BodyPolicy p;
    p.limit = 1 << 30;
    if (r.path == "/reader") p.mode = BodyPolicy::Mode::kReader;
    return p;
  };
  t.server.handler.on_shard = [&](const Ctx&, const Request& r) -> Reply {
    if (r.path == "/file") {
      File f;
      f.path = path;
      return f;
    }
    Streaming s;
    if (r.path == "/endless") {
      s.source = std::make_unique<EndlessSource>(dropped);
    } else {
      s.source = std::make_unique<CountSource>();
    }
    return s;
  };
  t.server.handler.on_worker = [](const Ctx& ctx, std::shared_ptr<const Request> r, ReplyFn done) {
    std::size_t total = 0;
    std::vector<std::byte> buffer(10000);
    for (;;) {
      const auto n = r->reader->Read(ctx, buffer);
      if (!n) return done(Text("failed", 500));
      if (*n == 0) return done(Text(std::to_string(total)));
      total += *n;
    }
  };
  CHECK(t.client.Do(Soon(), t.To("/file")).value().body == content);
  CHECK(t.client.Do(Soon(), t.To("/stream")).value().body.size() == 300'000);
  auto up = t.To("/reader");
  up.method = "PUT";
  up.body = std::string(3'000'000, 'u');
  CHECK(t.client.Do(Soon(), up).value().body == "3000000");
  std::stop_source stop;
  const auto ended = t.client.Stream(Ctx(stop.get_token()), t.To("/endless"), nullptr, [&](std::string_view piece) -> Result<> {
    CHECK(piece == "first");
    stop.request_stop();
    return {};
  });
  CHECK_FALSE(ended);
  t.client = Client();   // closes its connections
  CHECK(dropped->get_future().wait_for(60s) == std::future_status::ready);
  ::unlink(path);
}

TEST_CASE("Stop ends HTTP/2 watches orderly and closes idle HTTP/2 connections", "[http]") {
  ServerOptions options;
  options.timeouts.stop = 60s;
  H2 t(options);
  const auto dropped = std::make_shared<std::promise<void>>();
  t.server.handler.on_shard = [&](const Ctx&, const Request& r) -> Reply {
    if (r.path == "/idle") return Text("ok");
    Streaming s;
    s.source = std::make_unique<EndlessSource>(dropped);
    return s;
  };
  std::promise<void> started;
  auto watching = std::async(std::launch::async, [&] {
    return t.client.Stream(Soon(), t.To("/watch"), nullptr, [&](std::string_view) -> Result<> {
      started.set_value();
      return {};
    });
  });
  CHECK(t.client.Do(Soon(), t.To("/idle")));
  started.get_future().wait();
  const auto begin = std::chrono::steady_clock::now();
  t.server.server->Stop();
  CHECK(std::chrono::steady_clock::now() - begin < 60s);   // nothing had to be cut
  CHECK(watching.get());
  CHECK(t.server.server->connections() == 0);
}
