#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>

#include "core/base/strings.h"
#include "core/base/unique_fd.h"
#include "core/dns/server.h"
#include "core/net/address.h"
#include "tests/support/run.h"
#include "tests/support/skip.h"

using namespace skerry;
using namespace skerry::dns;

namespace {

std::string Dig(const std::string& server, const std::string& arguments) {
  const auto where = net::SplitHostPort(server);
  return test::RunText(Cat("dig +tries=1 +time=5 @", where->host, " -p ", where->port, " ", arguments));
}
bool HaveDig() {
  if (::access("/usr/bin/dig", X_OK) == 0) return true;
  test::Skip("dig (dnsutils) is not installed");
  return false;
}
bool Has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

std::string Bytes(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
  return {static_cast<char>(a), static_cast<char>(b), static_cast<char>(c), static_cast<char>(d)};
}

struct TwoServers {
  TwoServers() {
    world->Set("example.com.", {AddressRecord("example.com.", 60, Bytes(198, 51, 100, 7))});
    std::vector<Record> many;
    for (int i = 0; i < 200; ++i) many.push_back(AddressRecord("many.example.com.", 60, Bytes(198, 51, 100, static_cast<std::uint8_t>(i))));
    world->Set("many.example.com.", many);
    ServerOptions o;
    o.listen = {"127.0.0.1:0"};
    o.zones = {world};
    auto made = Server::Create(shards, o);
    REQUIRE(made);
    upstream = std::move(*made);
    upstream->Start();
    o.zones = {cluster, reverse};
    o.forward.upstreams = {upstream->addresses()[0]};
    made = Server::Create(shards, o);
    REQUIRE(made);
    server = std::move(*made);
    server->Start();
    address = server->addresses()[0];
    cluster->Set("web.default.svc.cluster.local.", {AddressRecord("web.default.svc.cluster.local.", 5, Bytes(10, 43, 0, 20))});
    cluster->Set("out.default.svc.cluster.local.", {NameRecord("out.default.svc.cluster.local.", Type::kCname, 5, "example.com.")});
    reverse->Set("20.0.43.10.in-addr.arpa.", {NameRecord("20.0.43.10.in-addr.arpa.", Type::kPtr, 5, "web.default.svc.cluster.local.")});
  }
  net::Shards shards{2};
  std::shared_ptr<RecordZone> world = std::make_shared<RecordZone>(".", RecordZone::Unknown::kNxDomain);
  std::shared_ptr<RecordZone> cluster = std::make_shared<RecordZone>("cluster.local.", RecordZone::Unknown::kNxDomain);
  std::shared_ptr<RecordZone> reverse = std::make_shared<RecordZone>("in-addr.arpa.", RecordZone::Unknown::kNotMine);
  std::unique_ptr<Server> upstream, server;
  std::string address;
};

}  // namespace

TEST_CASE("dig gets local and upstream answers over UDP and TCP", "[net]") {
  if (!HaveDig()) return;
  TwoServers s;
  for (const char* transport : {"", "+tcp ", "+noedns "}) {
    INFO(transport);
    CHECK(Dig(s.address, Cat(transport, "+short web.default.svc.cluster.local")) == "10.43.0.20\n");
    CHECK(Dig(s.address, Cat(transport, "+short WEB.default.svc.CLUSTER.local a")) == "10.43.0.20\n");
    CHECK(Dig(s.address, Cat(transport, "+short -x 10.43.0.20")) == "web.default.svc.cluster.local.\n");
    CHECK(Dig(s.address, Cat(transport, "+short example.com")) == "198.51.100.7\n");
    CHECK(Dig(s.address, Cat(transport, "+short out.default.svc.cluster.local")) == "example.com.\n198.51.100.7\n");
    CHECK(Has(Dig(s.address, Cat(transport, "nope.cluster.local")), "NXDOMAIN"));
    CHECK(Has(Dig(s.address, Cat(transport, "nope.example.com")), "NXDOMAIN"));
    CHECK(Has(Dig(s.address, Cat(transport, "web.default.svc.cluster.local")), ";; flags: qr aa rd ra;"));
    CHECK_FALSE(Has(Dig(s.address, Cat(transport, "example.com")), "WARNING"));
  }
  // 200 addresses: too many for a datagram, on both legs.
  CHECK(Split(Dig(s.address, "+short many.example.com"), '\n').size() == 201);
  CHECK(Has(Dig(s.address, "+ignore many.example.com"), " tc "));
}

TEST_CASE("upstream answers are served from the cache while upstream is away, other names fail in time", "[net]") {
  if (!HaveDig()) return;
  TwoServers s;
  CHECK(Dig(s.address, "+short example.com") == "198.51.100.7\n");
  s.upstream->Stop();
  s.upstream.reset();
  CHECK(Dig(s.address, "+short example.com") == "198.51.100.7\n");
  CHECK(Has(Dig(s.address, "other.example.com"), "SERVFAIL"));
  CHECK(Dig(s.address, "+short out.default.svc.cluster.local a") == "example.com.\n198.51.100.7\n");
}

TEST_CASE("a stopped server ends its connections and frees its port", "[net]") {
  TwoServers s;
  const auto where = net::SplitHostPort(s.address);
  const auto to = net::SocketAddress::Numeric(where->host, where->port);
  const UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE(::connect(client.get(), to->get(), to->size) == 0);
  REQUIRE(::send(client.get(), "\0", 1, 0) == 1);   // half of a length: the server waits for more
  s.server->Stop();
  char byte;
  CHECK(::recv(client.get(), &byte, 1, 0) <= 0);
  ServerOptions o;
  o.listen = {s.address};
  CHECK(Server::Create(s.shards, o));
  o.listen = {s.upstream->addresses()[0]};
  CHECK(Server::Create(s.shards, o).error().code() == Code::kUnavailable);
  o.listen = {"192.0.2.77:0"};
  CHECK(Server::Create(s.shards, o).error().code() == Code::kUnavailable);
}
