#include <catch2/catch.hpp>
#include <cstdio>
#include <fstream>
#include <future>

#include "core/base/strings.h"
#include "core/net/address.h"
#include "core/net/tls.h"
#include "core/net/tls_testing.h"
#include "core/proxy/proxy.h"
#include "tests/support/http_backend.h"
#include "tests/support/netns.h"

using namespace skerry;
using namespace skerry::proxy;
using test::HttpBackend;
using test::Ok;

namespace {

// What curl prints; a failure by its message, not by its exit code.
std::string Curl(const std::string& arguments) {
  std::string out = test::RunText("curl -sS --noproxy '*' --max-time 60 " + arguments);
  if (const auto exit = out.rfind("[exit "); exit != std::string::npos) out.resize(exit);
  return out;
}
bool Has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

Route RouteTo(std::string host, std::string pool) {
  Route r;
  r.host = std::move(host);
  r.pools = {{std::move(pool), 1}};
  return r;
}

struct Fixture {
  explicit Fixture(Options o = Options()) {
    o.http = {"127.0.0.1:0"};
    o.https = {"127.0.0.1:0"};
    auto made = Proxy::Create(shards, o);
    REQUIRE(made);
    proxy = std::move(*made);
    proxy->Start();
    port = net::SplitHostPort(proxy->http_addresses()[0])->port;
    https_port = net::SplitHostPort(proxy->https_addresses()[0])->port;
  }
  void Use(std::vector<Route> routes, std::shared_ptr<const net::TlsCertificate> certificate = nullptr) {
    proxy->SetTable(std::make_shared<const Table>(std::move(routes), std::move(certificate)));
    proxy->Settle();
  }
  void Fill(const std::string& pool, const std::vector<std::string>& addresses) {
    Pool p;
    for (const std::string& a : addresses) p.backends.push_back({a});
    proxy->SetPool(pool, p);
    proxy->Settle();
  }
  std::string Url(const std::string& path = "/") const { return Cat("http://127.0.0.1:", port, path); }
  // Raw bytes in, everything until the proxy closes out.
  std::string Raw(std::string_view request) const {
    const UniqueFd fd = test::DialLoopback(port);
    REQUIRE(fd);
    test::SendAllBytes(fd.get(), request);
    return test::ReadToEnd(fd.get());
  }
  net::Shards shards{2};
  std::unique_ptr<Proxy> proxy;
  std::uint16_t port = 0, https_port = 0;
};

}  // namespace

TEST_CASE("requests reach the pool of their host with forwarding headers, over kept connections", "[net]") {
  HttpBackend backend([](HttpBackend::Request& r) { return Ok(r.head); });
  Fixture f;
  f.Use({RouteTo("a.test", "a")});
  f.Fill("a", {backend.address()});
  const std::string seen = Curl(Cat("-H 'Host: a.test' -H 'X-Forwarded-Proto: https' -H 'X-Forwarded-For: 1.2.3.4' -H 'Connection: close, X-Mine' -H 'X-Mine: 1' -H 'X-Kept: 1' ",
                                    f.Url("/x?y=1")));
  CHECK(Has(seen, "GET /x?y=1 HTTP/1.1\r\n"));
  CHECK(Has(seen, "Host: a.test\r\n"));
  CHECK(Has(seen, "X-Forwarded-For: 1.2.3.4\r\n"));
  CHECK(Has(seen, "X-Forwarded-For: 127.0.0.1\r\n"));
  CHECK(Has(seen, "X-Forwarded-Proto: http\r\n"));
  CHECK_FALSE(Has(seen, "X-Forwarded-Proto: https\r\n"));
  CHECK(Has(seen, "X-Forwarded-Host: a.test\r\n"));
  CHECK(Has(seen, "Forwarded: for=127.0.0.1;host=a.test;proto=http\r\n"));
  CHECK(Has(seen, "X-Kept: 1\r\n"));
  CHECK_FALSE(Has(seen, "X-Mine"));
  // One client connection, many requests; the backend sees few connections (one a shard at most).
  std::string urls;
  for (int i = 0; i < 20; ++i) urls += " " + f.Url(Cat("/", i));
  const std::string all = Curl(Cat("-H 'Host: a.test' -w '%{num_connects}\\n'", urls));
  CHECK(Has(all, "GET /19 "));
  CHECK(backend.requests() == 21);
  CHECK(backend.connections() <= 2);
  // Pipelined requests are answered in order.
  const std::string piped = f.Raw("GET /one HTTP/1.1\r\nHost: a.test\r\n\r\n\r\nGET /two HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
  CHECK(piped.find("GET /one") < piped.find("GET /two"));
  CHECK(Has(piped, "GET /two"));
}

TEST_CASE("bodies stream both ways: fixed, chunked, asked for with 100 Continue, and until the end", "[net]") {
  const std::string large(5'000'000, 'x');
  HttpBackend backend([&](HttpBackend::Request& r) -> std::string {
    if (r.head.starts_with("GET /large")) return Ok(large);
    if (r.head.starts_with("GET /chunked")) return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n";
    if (r.head.starts_with("GET /close")) {
      test::SendAllBytes(r.fd, "HTTP/1.1 200 OK\r\n\r\nuntil the end");
      return "";
    }
    if (r.head.starts_with("HEAD")) return "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n";
    if (r.head.starts_with("GET /none")) return "HTTP/1.1 204 No Content\r\n\r\n";
    return Ok(Cat(r.body.size(), ' ', Has(r.head, "Transfer-Encoding: chunked") ? "chunked" : "sized"));
  });
  Fixture f;
  f.Use({RouteTo("", "a")});
  f.Fill("a", {backend.address()});
  CHECK(Curl(f.Url("/large")) == large);
  CHECK(Curl(f.Url("/chunked") + " " + f.Url("/chunked")) == "hello worldhello world");
  CHECK(Curl(f.Url("/close")) == "until the end");
  CHECK(Has(Curl("-I " + f.Url("/")), "Content-Length: 99"));
  CHECK(Curl(f.Url("/none") + " " + f.Url("/chunked")) == "hello world");
  CHECK(Curl("-d small " + f.Url("/")) == "5 sized");
  const test::TempDirectory directory;
  const std::string file = directory.path() + "/upload";
  std::ofstream(file) << large;
  CHECK(Curl(Cat("-H 'Expect:' --data-binary @", file, ' ', f.Url("/"))) == "5000000 sized");
  CHECK(Curl(Cat("-H 'Expect: 100-continue' --data-binary @", file, ' ', f.Url("/"))) == "5000000 sized");
  CHECK(Has(Curl(Cat("-H 'Expect:' -H 'Transfer-Encoding: chunked' -T ", file, ' ', f.Url("/"))), " chunked"));
  CHECK(Has(f.Raw("GET /large HTTP/1.0\r\n\r\n"), "HTTP/1.1 200 OK"));
}

TEST_CASE("hosts without a route and pools without a backend get a page, redirects and refusals follow the route", "[net]") {
  HttpBackend backend([](HttpBackend::Request&) { return Ok("fine"); });
  Fixture f;
  Route redirect = RouteTo("secure.test", "a"), refuse = RouteTo("only.test", "a");
  redirect.termination = refuse.termination = Termination::kEdge;
  redirect.insecure = Insecure::kRedirect;
  refuse.insecure = Insecure::kRefuse;
  f.Use({RouteTo("empty.test", "none"), RouteTo("a.test", "a"), redirect, refuse});
  f.Fill("a", {backend.address()});
  for (const char* host : {"unknown.test", "empty.test", "only.test"}) {
    const std::string page = Curl(Cat("-i -H 'Host: ", host, "' ", f.Url()));
    CHECK(Has(page, "HTTP/1.1 503 "));
    CHECK(Has(page, "Application is not available"));
  }
  CHECK(Has(Curl(Cat("-i -H 'Host: secure.test:8080' ", f.Url("/p?q"))), "Location: https://secure.test/p?q\r\n"));
  CHECK(Curl(Cat("-H 'Host: a.test' ", f.Url())) == "fine");
  CHECK(Has(f.Raw("GET / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), "HTTP/1.1 400 "));
  CHECK(Has(f.Raw("GET / HTTP/1.1\r\nHost: a.test\r\nX: " + std::string(70'000, 'x') + "\r\n\r\n"), "HTTP/1.1 431 "));
  CHECK(Has(f.Raw("CONNECT a.test:80 HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"), "HTTP/1.1 503 "));
  CHECK(Has(f.Raw("GET http://a.test/x HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n"), "fine"));
  // A refused body does not become the next request.
  const std::string two = f.Raw("POST / HTTP/1.1\r\nHost: unknown.test\r\nContent-Length: 24\r\n\r\nGET /smuggled HTTP/1.1\r\nGET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n");
  CHECK(Has(two, "fine"));
  CHECK(backend.requests() == 3);
}

TEST_CASE("a backend that refuses, or closes a kept connection, costs no request", "[net]") {
  std::atomic<int> served{0};
  // Promises to keep the connection and closes it after each answer.
  HttpBackend liar([&](HttpBackend::Request& r) -> std::string {
    ++served;
    test::SendAllBytes(r.fd, Ok("liar"));
    ::shutdown(r.fd, SHUT_RDWR);
    return "";
  });
  HttpBackend gone([](HttpBackend::Request&) { return Ok("gone"); });
  Fixture f;
  f.Use({RouteTo("", "a")});
  f.Fill("a", {liar.address(), gone.address()});
  gone.Stop();
  for (int i = 0; i < 30; ++i) CHECK(Curl((i % 3 == 0 ? "-d x " : "") + f.Url()) == "liar");
  CHECK(served == 30);
  // Closes before the first byte: idempotent requests go to another backend.
  HttpBackend mute([](HttpBackend::Request&) { return std::string(); });
  HttpBackend good([](HttpBackend::Request&) { return Ok("good"); });
  f.Fill("a", {mute.address(), good.address()});
  for (int i = 0; i < 6; ++i) CHECK(Curl(f.Url()) == "good");
  f.Fill("a", {mute.address()});
  CHECK(Has(Curl("-i -d x " + f.Url()), "HTTP/1.1 502 "));
  CHECK(mute.requests() >= 1);
}

TEST_CASE("with a cookie a client stays with its backend while that is there", "[net]") {
  HttpBackend one([](HttpBackend::Request&) { return Ok("one"); }), two([](HttpBackend::Request&) { return Ok("two"); });
  Fixture f;
  Route route = RouteTo("", "a");
  route.cookie = "stay";
  f.Use({route});
  f.Fill("a", {one.address(), two.address()});
  const std::string first = Curl("-i " + f.Url());
  const std::size_t at = first.find("Set-Cookie: stay=");
  REQUIRE(at != std::string::npos);
  CHECK(Has(first, "; path=/; HttpOnly\r\n"));
  const std::string cookie = first.substr(at + 12, 21);
  const std::string who = first.substr(first.size() - 3);
  for (int i = 0; i < 6; ++i) {
    const std::string again = Curl(Cat("-i -H 'Cookie: a=b; ", cookie, "' ", f.Url()));
    CHECK(again.ends_with(who));
    CHECK_FALSE(Has(again, "Set-Cookie"));
  }
  f.Fill("a", {who == "one" ? two.address() : one.address()});
  const std::string moved = Curl(Cat("-i -H 'Cookie: ", cookie, "' ", f.Url()));
  CHECK(moved.ends_with(who == "one" ? "two" : "one"));
  CHECK(Has(moved, "Set-Cookie: stay="));
}

TEST_CASE("backends come and go under load and no request fails", "[net]") {
  Fixture f;
  f.Use({RouteTo("", "a")});
  const auto serve = [](HttpBackend::Request&) { return Ok("ok"); };
  auto current = std::make_unique<HttpBackend>(serve);
  f.Fill("a", {current->address()});
  std::atomic<bool> stop{false};
  std::atomic<int> good{0}, bad{0};
  std::array<std::atomic<int>, 4> done{};
  std::vector<std::thread> clients;
  for (int c = 0; c < 4; ++c) {
    clients.emplace_back([&, c] {
      UniqueFd fd;
      while (!stop) {
        if (!fd) fd = test::DialLoopback(f.port);
        const std::string body = c == 3 ? "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi" : "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        std::string answer;
        if (test::SendAllBytes(fd.get(), body) && test::ReadUntil(fd.get(), answer, "\r\n\r\nok") && answer.starts_with("HTTP/1.1 200")) {
          ++good;
          ++done[static_cast<std::size_t>(c)];
        } else {
          ++bad;
          fd.Reset();
        }
      }
    });
  }
  for (int round = 0; round < 15; ++round) {
    auto next = std::make_unique<HttpBackend>(serve);
    f.Fill("a", {current->address(), next->address()});
    const int before = good;
    while (good < before + 40) std::this_thread::yield();
    // Out of the pool first; it ends what runs (every client has begun another request since) and closes, as a pod in its grace period.
    f.Fill("a", {next->address()});
    for (std::atomic<int>& d : done) {
      for (const int left = d; d < left + 2 && bad == 0;) std::this_thread::yield();
    }
    current->Stop();
    current = std::move(next);
  }
  stop = true;
  for (std::thread& t : clients) t.join();
  CHECK(bad == 0);
  CHECK(good > 1000);
}

TEST_CASE("an upgraded connection carries bytes both ways, early ones included", "[net]") {
  HttpBackend backend([](HttpBackend::Request& r) -> std::string {
    if (!Has(r.head, "Connection: Upgrade\r\n") || !Has(r.head, "Upgrade: echo\r\n")) return "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n";
    test::SendAllBytes(r.fd, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nwelcome ");
    std::string text = r.rest;
    while (!Has(text, "bye")) {
      if (!test::ReadUntil(r.fd, text, "!")) break;
      test::SendAllBytes(r.fd, Cat("<", text, ">"));
      if (Has(text, "bye")) break;
      text.clear();
    }
    return "";
  });
  Fixture f;
  f.Use({RouteTo("", "a")});
  f.Fill("a", {backend.address()});
  const UniqueFd fd = test::DialLoopback(f.port);
  test::SendAllBytes(fd.get(), "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\n\r\nearly!");
  std::string text;
  REQUIRE(test::ReadUntil(fd.get(), text, "<early!>"));
  CHECK(Has(text, "HTTP/1.1 101 Switching Protocols\r\n"));
  CHECK(Has(text, "welcome "));
  test::SendAllBytes(fd.get(), "bye!");
  CHECK(Has(test::ReadToEnd(fd.get()), "<bye!>"));
}

TEST_CASE("answers that come early, late, cut or not at all are told apart", "[net]") {
  std::promise<void> release;
  auto released = release.get_future().share();
  HttpBackend backend([&](HttpBackend::Request& r) -> std::string {
    if (r.head.starts_with("POST /early")) {
      test::SendAllBytes(r.fd, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig");
      released.wait();   // does not read the body, does not close
      return "";
    }
    if (r.head.starts_with("GET /cut")) {
      test::SendAllBytes(r.fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
      return "";
    }
    if (r.head.starts_with("GET /late")) released.wait();
    if (r.head.starts_with("GET /garbage")) return "not http at all\r\n\r\n";
    return Ok("ok");
  });
  backend.no_body_ = true;
  Fixture f;
  const Route route = RouteTo("", "a");
  Route late = RouteTo("late.test", "a");
  late.timeout = std::chrono::milliseconds(200);
  f.Use({route, late});
  f.Fill("a", {backend.address()});
  const UniqueFd fd = test::DialLoopback(f.port);
  test::SendAllBytes(fd.get(), "POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n" + std::string(100'000, 'b'));
  const std::string early = test::ReadToEnd(fd.get());
  CHECK(Has(early, "HTTP/1.1 413 "));
  CHECK(early.ends_with("big"));
  CHECK(Has(Curl(f.Url("/cut")), "curl: (18)"));
  CHECK(Has(Curl("-i -H 'Host: late.test' " + f.Url("/late")), "HTTP/1.1 504 "));
  CHECK(Has(Curl("-i " + f.Url("/garbage")), "HTTP/1.1 502 "));
  CHECK(Curl(f.Url("/")) == "ok");
  release.set_value();
}

TEST_CASE("TLS ends at the edge with the name's certificate, is spoken again to the backend, or passes through", "[net]") {
  net::testing::TestCa ca;
  const test::TempDirectory directory;
  const std::string ca_file = directory.path() + "/ca.pem";
  std::ofstream(ca_file) << ca.pem();
  const auto certificate = [&](const std::string& names) { return *net::TlsCertificate::Create(ca.Issue("CN=x", names)); };
  HttpBackend backend([](HttpBackend::Request& r) { return Ok(Has(r.head, "X-Forwarded-Proto: https") ? "over tls" : "plain"); });
  // The inner proxy plays a backend that speaks TLS itself.
  Fixture inner, outer;
  Route inside = RouteTo("", "a");
  inside.termination = Termination::kEdge;
  inner.Use({inside}, certificate("DNS:inner.test,DNS:pass.test"));
  inner.Fill("a", {backend.address()});
  Route edge = RouteTo("edge.test", "plain"), again = RouteTo("again.test", "tls"), pass = RouteTo("pass.test", "pass"), wrong = RouteTo("wrong.test", "mistrusted");
  for (Route* r : {&edge, &again, &wrong}) r->termination = Termination::kEdge;
  edge.certificate = certificate("DNS:edge.test");
  edge.hsts = "max-age=60";
  pass.termination = Termination::kPassthrough;
  outer.Use({edge, again, pass, wrong}, certificate("DNS:again.test,DNS:wrong.test"));
  outer.Fill("plain", {backend.address()});
  const std::string inner_tls = Cat("127.0.0.1:", inner.https_port);
  outer.Fill("pass", {inner_tls});
  net::TlsClientConfig trusting, mistrusting;
  trusting.ca_pem = ca.pem();
  net::testing::TestCa other;
  mistrusting.ca_pem = other.pem();
  outer.proxy->SetPool("tls", {{{inner_tls}}, *net::TlsClientContext::Create(trusting), "inner.test"});
  outer.proxy->SetPool("mistrusted", {{{inner_tls}}, *net::TlsClientContext::Create(mistrusting), "inner.test"});
  outer.proxy->Settle();
  const auto get = [&](const std::string& host, const std::string& more = "") {
    return Curl(Cat("--cacert ", ca_file, " --resolve ", host, ':', outer.https_port, ":127.0.0.1 ", more, " https://", host, ':', outer.https_port, "/"));
  };
  CHECK(get("edge.test") == "over tls");
  CHECK(Has(get("edge.test", "-i"), "Strict-Transport-Security: max-age=60"));
  CHECK(get("again.test") == "over tls");
  CHECK(get("pass.test") == "over tls");
  CHECK(Has(get("wrong.test", "-i"), "HTTP/1.1 503 "));
  CHECK(Has(get("unknown.test"), "curl: (60)"));   // the default certificate does not carry that name
}

TEST_CASE("stopping lets a running request end and closes idle connections at once", "[net]") {
  std::promise<void> arrived, release;
  HttpBackend backend([&](HttpBackend::Request& r) -> std::string {
    if (!r.head.starts_with("GET /slow")) return Ok("quick");
    arrived.set_value();
    release.get_future().wait();
    return Ok("slow but whole");
  });
  Fixture f;
  f.Use({RouteTo("", "a")});
  f.Fill("a", {backend.address()});
  const UniqueFd idle = test::DialLoopback(f.port);
  test::SendAllBytes(idle.get(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  std::string text;
  REQUIRE(test::ReadUntil(idle.get(), text, "quick"));
  auto slow = std::async(std::launch::async, [&] { return Curl("-i " + f.Url("/slow")); });
  arrived.get_future().wait();
  auto stopped = std::async(std::launch::async, [&] { f.proxy->Stop(); });
  CHECK(test::ReadToEnd(idle.get()).empty());
  release.set_value();
  const std::string answer = slow.get();
  CHECK(Has(answer, "slow but whole"));
  stopped.get();
  CHECK(Has(Curl(f.Url()), "curl: (7)"));
}
