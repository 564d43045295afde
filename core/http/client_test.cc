#include "core/http/client.h"

#include <unistd.h>

#include <catch2/catch.hpp>

#include "core/base/strings.h"
#include "core/http/testing.h"
#include "core/net/listener.h"
#include "core/net/tls.h"
#include "core/net/tls_testing.h"

using namespace skerry;
using namespace skerry::http;
using namespace skerry::http::testing;
using namespace std::chrono_literals;

namespace {

ServerOptions Listening(std::shared_ptr<const net::TlsServerContext> tls = nullptr) {
  ServerOptions o;
  o.listen = "127.0.0.1:0";
  o.tls = std::move(tls);
  return o;
}

Reply Mirror(const Ctx&, const Request& r) {
  Response out = Text(Cat(r.method, " ", r.target, " ", r.Get("X-Test"), " [", r.body, "] ", r.Get("Host"), " type=", r.Get("Content-Type")));
  if (r.path == "/moved") {
    out.status = 302;
    out.headers.push_back({"Location", "/final?x=1"});
  }
  if (r.path == "/big") out.body = Bytes(std::string(100'000, 'b'));
  out.headers.push_back({"X-Answer", "yes"});
  return out;
}

}  // namespace

TEST_CASE("the client sends methods, headers and bodies and answers status, headers and body", "[http]") {
  TestServer t(Listening());
  t.handler.on_shard = Mirror;
  Client client;
  const std::string base = "http://" + t.server->address();
  ClientRequest r;
  r.proxy = "none";
  r.url = base + "/a?b=c";
  r.headers.push_back({"X-Test", "v"});
  const auto got = client.Do(Soon(), r);
  REQUIRE(got);
  CHECK(got->status == 200);
  CHECK(Get(got->headers, "x-answer") == "yes");
  CHECK(got->body.starts_with("GET /a?b=c v [] 127.0.0.1:"));
  for (const char* method : {"POST", "PUT", "PATCH", "DELETE"}) {
    r.method = method;
    for (const char* body : {"", "some body"}) {
      r.body = body;
      const auto answer = client.Do(Soon(), r);
      REQUIRE(answer);
      CHECK(answer->body.starts_with(Cat(method, " /a?b=c v [", body, "]")));
      CHECK(answer->body.ends_with("type="));
    }
  }
  r.method = "HEAD";
  r.body.clear();
  const auto head = client.Do(Soon(), r);
  REQUIRE(head);
  CHECK(head->body.empty());
  r.method = "GET";
  r.headers.push_back({"X", "a\r\nInjected: 1"});
  CHECK_FALSE(client.Do(Soon(), r));
}

TEST_CASE("the client follows redirects when asked, bounds bodies and streams both ways", "[http]") {
  TestServer t(Listening());
  t.handler.on_shard = Mirror;
  Client client;
  const std::string base = "http://" + t.server->address();
  ClientRequest r;
  r.proxy = "none";
  r.url = base + "/moved";
  CHECK(client.Do(Soon(), r)->status == 302);
  r.max_redirects = 3;
  const auto followed = client.Do(Soon(), r);
  REQUIRE(followed);
  CHECK(followed->status == 200);
  CHECK(followed->url == base + "/final?x=1");
  r.url = base + "/big";
  r.max_body = 1000;
  const auto too_large = client.Do(Soon(), r);
  REQUIRE_FALSE(too_large);
  CHECK(too_large.error().code() == Code::kTooLarge);
  std::size_t total = 0;
  int status = 0;
  const auto streamed = client.Stream(
      Soon(), r, [&](const ClientResponse& head) -> Result<> { status = head.status; return {}; },
      [&](std::string_view piece) -> Result<> { total += piece.size(); return {}; });
  REQUIRE(streamed);
  CHECK(status == 200);
  CHECK(total == 100'000);
  const auto refused = client.Stream(Soon(), r, [](const ClientResponse&) -> Result<> { return Fail(Code::kForbidden, "no"); }, nullptr);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == Code::kForbidden);
  r.url = base + "/up";
  r.method = "PUT";
  for (const std::int64_t length : {std::int64_t{-1}, std::int64_t{300}}) {
    int calls = 0;
    r.upload_length = length;
    r.upload = [&](std::span<std::byte> into) -> Result<std::size_t> {
      if (++calls > 3) return std::size_t{0};
      std::fill_n(into.begin(), 100, std::byte{'u'});
      return std::size_t{100};
    };
    r.max_body = 1 << 20;
    const auto up = client.Do(Soon(), r);
    REQUIRE(up);
    CHECK(up->body.contains(Cat("[", std::string(300, 'u'), "]")));
  }
}

TEST_CASE("the client verifies servers, presents its certificate and can dial elsewhere than the URL says", "[http]") {
  net::testing::TestCa ca, other;
  net::TlsServerConfig config;
  config.identity = ca.Issue("CN=server", "DNS:api.test");
  config.client_ca_pem = ca.pem();
  config.client_auth = net::ClientAuth::kRequest;
  TestServer t(Listening(net::TlsServerContext::Create(config).value()));
  t.handler.on_shard = [](const Ctx&, const Request& r) -> Reply { return Text(r.peer ? "peer" : "anonymous"); };
  Client client;
  ClientRequest r;
  r.url = "https://api.test/x";
  r.connect_to = t.server->address();
  r.ca_pem = ca.pem();
  CHECK(client.Do(Soon(), r).value().body == "anonymous");
  const auto identity = ca.Issue("CN=me", "");
  r.certificate_pem = identity.chain_pem;
  r.key_pem = identity.key_pem;
  CHECK(client.Do(Soon(), r).value().body == "peer");
  r.ca_pem = other.pem();
  const auto untrusted = client.Do(Soon(), r);
  REQUIRE_FALSE(untrusted);
  CAPTURE(untrusted.error().message());
  CHECK(untrusted.error().code() == Code::kUnauthenticated);
  r.verify_server = false;
  CHECK(client.Do(Soon(), r));
  r.verify_server = true;
  r.ca_pem = ca.pem();
  r.url = "https://wrong.test/x";
  CHECK_FALSE(client.Do(Soon(), r));
}

TEST_CASE("a server's certificate needs no subject, whether an authority has signed it or it is trusted itself", "[http]") {
  net::testing::TestCa ca;
  const auto alone = net::testing::SelfSigned("", "DNS:api.test"), other = net::testing::SelfSigned("", "DNS:api.test"), old = net::testing::SelfSigned("", "DNS:api.test", -1);
  const auto ask = [](const net::TlsIdentity& identity, const std::string& trusted, std::string_view host = "api.test") {
    net::TlsServerConfig config;
    config.identity = identity;
    TestServer t(Listening(net::TlsServerContext::Create(config).value()));
    t.handler.on_shard = [](const Ctx&, const Request& r) -> Reply { return Text(r.body); };
    Client client;
    ClientRequest r;
    r.method = "POST";
    r.url = Cat("https://", host, "/x");
    r.body = "hello";
    r.connect_to = t.server->address();
    r.ca_pem = trusted;
    const auto answer = client.Do(Soon(), r);
    if (!answer) CHECK(answer.error().code() == Code::kUnauthenticated);
    return answer ? answer->body : "refused";
  };
  CHECK(ask(ca.Issue("", "DNS:api.test"), ca.pem()) == "hello");
  CHECK(ask(alone, alone.chain_pem) == "hello");
  CHECK(ask(alone, ca.pem() + other.chain_pem + alone.chain_pem) == "hello");
  CHECK(ask(alone, other.chain_pem) == "refused");
  CHECK(ask(alone, ca.pem()) == "refused");
  CHECK(ask(alone, alone.chain_pem, "wrong.test") == "refused");
  CHECK(ask(old, old.chain_pem) == "refused");
  CHECK(ask(other, alone.chain_pem + net::testing::SelfSigned("", "DNS:wrong.test").chain_pem) == "refused");
}

TEST_CASE("the client ends at its deadline, at a stop and at a refused connection", "[http]") {
  std::promise<void> gate;   // outlives the server, whose workers wait for it
  auto open = gate.get_future().share();
  TestServer t(Listening());
  t.handler.on_worker = [&](const Ctx&, std::shared_ptr<const Request>, ReplyFn done) {
    open.wait();
    done(Text("late"));
  };
  Client client;
  ClientRequest r;
  r.proxy = "none";
  r.url = "http://" + t.server->address() + "/slow";
  const auto late = client.Do(Within(30ms), r);
  REQUIRE_FALSE(late);
  CHECK(late.error().code() == Code::kTimeout);
  std::stop_source stop;
  auto running = std::async(std::launch::async, [&] { return client.Do(Ctx(stop.get_token()), r); });
  stop.request_stop();
  const auto stopped = running.get();
  REQUIRE_FALSE(stopped);
  CHECK(stopped.error().code() == Code::kCancelled);
  gate.set_value();
  std::string address;
  {
    net::Shards shards(1);
    address = net::Listener::Create(shards, "127.0.0.1:0").value()->address();
  }
  r.url = "http://" + address;
  const auto refused = client.Do(Soon(), r);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == Code::kUnavailable);
  r.url = "file:///etc/passwd";
  CHECK_FALSE(client.Do(Soon(), r));
}
