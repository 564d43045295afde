#include "core/net/tls.h"

#include <catch2/catch.hpp>
#include <future>

#include "core/crypto/certificate.h"
#include "core/net/blocking.h"
#include "core/net/listener.h"
#include "core/net/task.h"
#include "core/net/task_group.h"
#include "core/net/tls_testing.h"

using namespace skerry;
using namespace skerry::net;
using namespace std::chrono_literals;

namespace {
using testing::TestCa;

Ctx Within(std::chrono::milliseconds d) { return Ctx(std::stop_token(), std::chrono::steady_clock::now() + d); }

// Accepts with TLS, remembers what is known of the last peer and echoes until the end.
struct EchoServer {
  explicit EchoServer(TlsServerConfig config) : context(TlsServerContext::Create(std::move(config)).value()) {
    listener = Listener::Create(shards, "127.0.0.1:0").value();
    listener->Start([this](Shard& shard, std::unique_ptr<Stream> s) { tasks.Spawn(shard, Serve(std::move(s))); });
  }
  ~EchoServer() { listener->Stop(); }

  Task<void> Serve(std::unique_ptr<Stream> plain) {
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    auto tls = co_await TlsAccept(std::move(plain), context, deadline);
    if (!tls) {
      std::lock_guard lock(mutex);
      failures.emplace_back(tls.error().message());
      co_return;
    }
    {
      std::lock_guard lock(mutex);
      last = (*tls)->info();
    }
    std::string buffer(20000, 0);
    const std::span<std::byte> room(reinterpret_cast<std::byte*>(buffer.data()), buffer.size());
    for (;;) {
      const auto n = co_await (*tls)->Read(room);
      if (!n || *n == 0) break;
      const std::string_view bytes(buffer.data(), *n);
      const auto written = co_await (*tls)->Write(bytes);
      if (!written) break;
    }
    const auto closed = co_await (*tls)->CloseWrite();
    static_cast<void>(closed);
  }

  Result<std::unique_ptr<BlockingStream>> Dial(const TlsClientConfig& config, std::string name = "localhost") {
    return BlockingStream::Dial(Within(60s), shards.at(1), DialTarget{listener->address(), TlsClientContext::Create(config).value(), std::move(name)});
  }
  ConnectionInfo Last() {
    std::lock_guard lock(mutex);
    return last;
  }

  Shards shards{2};
  std::shared_ptr<TlsServerContext> context;
  std::mutex mutex;
  ConnectionInfo last;
  std::vector<std::string> failures;
  std::unique_ptr<Listener> listener;
  TaskGroup tasks;
};

std::string Exchange(BlockingStream& s, const std::string& sent) {
  auto writing = std::async(std::launch::async, [&] { return s.Write(Within(60s), sent) && s.CloseWrite(Within(60s)); });
  std::string out, buffer(10000, 0);
  for (;;) {
    const auto n = s.Read(Within(60s), {reinterpret_cast<std::byte*>(buffer.data()), buffer.size()});
    if (!n) out = "error: " + std::string(n.error().message());
    if (!n || *n == 0) break;
    out.append(buffer, 0, *n);
  }
  CHECK(writing.get());
  return out;
}

}  // namespace

TEST_CASE("TLS carries bytes both ways, ends orderly and reports the verified client certificate", "[net]") {
  TestCa ca;
  TlsServerConfig config;
  config.identity = ca.Issue("CN=server", "DNS:localhost,IP:127.0.0.1");
  config.client_ca_pem = ca.pem();
  config.client_auth = ClientAuth::kRequest;
  config.alpn = {"h2", "http/1.1"};
  EchoServer server(config);
  TlsClientConfig as_alice;
  as_alice.ca_pem = ca.pem();
  as_alice.identity = ca.Issue("O=dev/O=ops/CN=alice", "DNS:a.example,URI:spiffe://x");
  as_alice.alpn = {"http/1.1"};
  auto client = server.Dial(as_alice);
  REQUIRE(client);
  std::string much(2'000'000, 'x');
  for (std::size_t i = 0; i < much.size(); ++i) much[i] = static_cast<char>(i % 253);
  CHECK(Exchange(**client, much) == much);
  const auto info = server.Last();
  CHECK(info.alpn == "http/1.1");
  CHECK(info.server_name == "localhost");
  REQUIRE(info.peer);
  CHECK(info.peer->common_name == "alice");
  CHECK(info.peer->organizations == std::vector<std::string>{"dev", "ops"});
  CHECK(info.peer->dns_names == std::vector<std::string>{"a.example"});
  CHECK(info.peer->uris == std::vector<std::string>{"spiffe://x"});
  CHECK(info.peer->not_after > std::chrono::system_clock::now());
}

TEST_CASE("a client certificate that does not verify is reported, or refused when one is required", "[net]") {
  TestCa ca, stranger;
  TlsServerConfig config;
  config.identity = ca.Issue("CN=server", "DNS:localhost");
  config.client_ca_pem = ca.pem();
  config.client_auth = ClientAuth::kRequest;
  TlsClientConfig client;
  client.ca_pem = ca.pem();
  {
    EchoServer server(config);
    for (const auto& identity : {stranger.Issue("CN=mallory", ""), ca.Issue("CN=old", "", -1)}) {
      client.identity = identity;
      auto stream = server.Dial(client);
      REQUIRE(stream);
      CHECK(Exchange(**stream, "hello") == "hello");
      CHECK_FALSE(server.Last().peer);
      CHECK_FALSE(server.Last().peer_error.empty());
    }
    client.identity = {};
    auto anonymous = server.Dial(client);
    REQUIRE(anonymous);
    CHECK(Exchange(**anonymous, "hello") == "hello");
    CHECK(server.Last().peer_error.empty());
  }
  config.client_auth = ClientAuth::kRequire;
  EchoServer strict(config);
  client.identity = stranger.Issue("CN=mallory", "");
  auto refused = strict.Dial(client);
  std::byte one[1];
  if (refused) CHECK_FALSE((*refused)->Read(Within(60s), one));   // TLS 1.3: the client learns of it with its first read
  strict.tasks.Join();
  CHECK(strict.failures.size() == 1);
}

TEST_CASE("a client refuses a server with a wrong name, an unknown issuer or an expired certificate", "[net]") {
  TestCa ca, other;
  TlsServerConfig config;
  config.identity = ca.Issue("CN=server", "DNS:localhost,IP:127.0.0.1");
  EchoServer server(config);
  TlsClientConfig client;
  client.ca_pem = ca.pem();
  CHECK(server.Dial(client, "127.0.0.1"));
  CHECK(server.Dial(client, ""));   // the dialed address
  auto wrong_name = server.Dial(client, "example.com");
  REQUIRE_FALSE(wrong_name);
  CHECK(wrong_name.error().code() == Code::kUnauthenticated);
  client.ca_pem = other.pem();
  auto unknown = server.Dial(client);
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().code() == Code::kUnauthenticated);
  client.verification = ServerVerification::kNone;
  CHECK(server.Dial(client));
  TlsServerConfig expired;
  expired.identity = ca.Issue("CN=server", "DNS:localhost", -1);
  REQUIRE(server.context->Reload(expired));
  client.verification = ServerVerification::kFull;
  client.ca_pem = ca.pem();
  CHECK_FALSE(server.Dial(client));
}

TEST_CASE("the certificate is chosen by SNI, and a bad identity is refused when it is loaded", "[net]") {
  TestCa ca;
  const auto special = TlsCertificate::Create(ca.Issue("CN=special", "DNS:special.example")).value();
  TlsServerConfig config;
  config.identity = ca.Issue("CN=default", "DNS:localhost");
  config.select = [&](std::string_view name) { return name == "special.example" ? special : nullptr; };
  EchoServer server(config);
  TlsClientConfig client;
  client.ca_pem = ca.pem();
  CHECK(server.Dial(client, "special.example"));
  CHECK(server.Dial(client, "SPECIAL.example"));
  CHECK(server.Dial(client, "localhost"));
  CHECK_FALSE(server.Dial(client, "other.example"));

  TlsIdentity mixed = ca.Issue("CN=a", "");
  mixed.key_pem = ca.Issue("CN=b", "").key_pem;
  CHECK_FALSE(TlsCertificate::Create(mixed));
  mixed.chain_pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  CHECK_FALSE(TlsCertificate::Create(mixed));
  CHECK_FALSE(server.context->Reload({}));
  CHECK(server.Dial(client, "localhost"));
}

TEST_CASE("a peer that says nothing or not TLS fails the handshake in time", "[net]") {
  TestCa ca;
  TlsServerConfig config;
  config.identity = ca.Issue("CN=server", "DNS:localhost");
  const auto context = TlsServerContext::Create(config).value();
  Shards shards(1);
  TaskGroup tasks;
  std::promise<std::string> outcomes[2];
  std::atomic<int> next{0};
  struct Serve {
    static Task<void> Run(std::unique_ptr<Stream> s, std::shared_ptr<TlsServerContext> with, std::chrono::milliseconds patience, std::promise<std::string>* out) {
      const auto deadline = std::chrono::steady_clock::now() + patience;
      auto tls = co_await TlsAccept(std::move(s), with, deadline);
      out->set_value(tls ? "ok" : std::string(tls.error().code_name()));
    }
  };
  auto listener = Listener::Create(shards, "127.0.0.1:0").value();
  listener->Start([&](Shard& shard, std::unique_ptr<Stream> s) {
    const int number = next++;
    tasks.Spawn(shard, Serve::Run(std::move(s), context, number == 0 ? 30ms : 60s, &outcomes[number]));
  });
  auto silent = BlockingStream::Dial(Within(60s), shards.at(0), DialTarget{listener->address(), nullptr, {}}).value();
  CHECK(outcomes[0].get_future().get() == std::string(Error(Code::kTimeout, "").code_name()));
  auto plain = BlockingStream::Dial(Within(60s), shards.at(0), DialTarget{listener->address(), nullptr, {}}).value();
  REQUIRE(plain->Write(Within(60s), "GET / HTTP/1.1\r\n\r\n"));
  CHECK(outcomes[1].get_future().get() == std::string(Error(Code::kUnavailable, "").code_name()));
  listener->Stop();
  tasks.Join();
}
