#include <catch2/catch.hpp>

#include "core/base/random.h"
#include "core/base/strings.h"
#include "core/dns/forwarder.h"
#include "core/dns/resolve.h"

using namespace skerry;
using namespace skerry::dns;

namespace {

Message Query(std::string name, Type type, std::uint16_t id = 7) {
  Message m;
  m.id = id;
  m.recursion_desired = true;
  m.questions.push_back({std::move(name), type, kClassIn});
  return m;
}
std::string Four(std::uint8_t last) { return {10, 43, 0, static_cast<char>(last)}; }

std::shared_ptr<RecordZone> SampleZone() {
  auto zone = std::make_shared<RecordZone>("cluster.local.", RecordZone::Unknown::kNxDomain);
  zone->Set("web.default.svc.cluster.local.", {AddressRecord("web.default.svc.cluster.local.", 5, Four(20))});
  zone->Set("_http._tcp.web.default.svc.cluster.local.",
            {SrvRecord("_http._tcp.web.default.svc.cluster.local.", 5, 0, 100, 80, "web.default.svc.cluster.local.")});
  zone->Set("alias.default.svc.cluster.local.", {NameRecord("alias.default.svc.cluster.local.", Type::kCname, 5, "web.default.svc.cluster.local.")});
  zone->Set("out.default.svc.cluster.local.", {NameRecord("out.default.svc.cluster.local.", Type::kCname, 5, "example.com.")});
  return zone;
}

Message Ask(const std::string& name, Type type, const std::vector<std::shared_ptr<const Zone>>& zones) {
  const Local local = AnswerLocally(Print(Query(name, type), 512), Transport::kUdp, zones);
  REQUIRE_FALSE(local.reply.empty());
  auto reply = Parse(local.reply);
  REQUIRE(reply);
  CHECK(reply->id == 7);
  CHECK(reply->response);
  CHECK(reply->authoritative);
  CHECK(reply->recursion_available);
  return *reply;
}

}  // namespace

TEST_CASE("a message survives printing and parsing, with names compressed") {
  Message m = Query("a.example.com.", Type::kA);
  m.response = true;
  m.rcode = Rcode::kNxDomain;
  m.edns_size = 4096;
  m.dnssec_ok = true;
  m.answers = {NameRecord("a.example.com.", Type::kCname, 30, "b.example.com."), AddressRecord("b.example.com.", 30, Four(1)),
               AddressRecord("b.example.com.", 30, std::string(16, '\1'))};
  m.authority = {SoaRecord("example.com.", 30, 5, 60)};
  m.additional = {SrvRecord("_x._tcp.example.com.", 30, 1, 2, 3, "b.example.com."), TxtRecord("example.com.", 30, "v=1; x")};
  const std::string wire = Print(m, 4096);
  const auto back = Parse(wire);
  REQUIRE(back);
  CHECK(back->answers == m.answers);
  CHECK(back->authority == m.authority);
  CHECK(back->additional == m.additional);
  CHECK(back->edns_size == m.edns_size);
  CHECK(back->dnssec_ok);
  CHECK(back->rcode == m.rcode);
  std::size_t plain = 12;
  for (const auto* section : {&m.answers, &m.authority, &m.additional}) {
    for (const Record& r : *section) plain += ToWire(r.name).size() + 10 + r.data.size();
  }
  CHECK(wire.size() < plain);
  CHECK(*NameInData(m.answers[0]) == "b.example.com.");
  CHECK(*NameInData(m.additional[0]) == "b.example.com.");
}

TEST_CASE("damaged and random messages are refused or parsed, and what parses prints to the same message") {
  Message m = Query("a.example.com.", Type::kSrv);
  m.response = true;
  m.edns_size = 1232;
  m.answers = {SrvRecord("a.example.com.", 30, 1, 2, 3, "b.example.com."), NameRecord("b.example.com.", Type::kCname, 5, "c.example.com.")};
  m.authority = {SoaRecord("example.com.", 30, 5, 60)};
  const std::string wire = Print(m, 4096);
  for (std::size_t cut = 0; cut < wire.size(); ++cut) CHECK_FALSE(Parse(wire.substr(0, cut)));
  SeededRandom random(42);
  int parsed = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string damaged = wire;
    for (std::uint64_t n = random.Below(4) + 1; n > 0; --n) damaged[random.Below(damaged.size())] = static_cast<char>(random.Next());
    const auto first = Parse(damaged);
    if (!first) continue;
    ++parsed;
    const auto again = Parse(Print(*first, 65535));
    REQUIRE(again);
    REQUIRE(again->answers == first->answers);
    REQUIRE(again->authority == first->authority);
    REQUIRE(again->questions == first->questions);
  }
  CHECK(parsed > 100);
  CHECK_FALSE(Parse(std::string("\0\1\0\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1", 18)));   // a name that points at itself
}

TEST_CASE("names have one spelling") {
  CHECK(*NormalizeName("Web.Default") == "web.default.");
  CHECK(*NormalizeName(".") == ".");
  CHECK(*NormalizeName("a\\046b.c.") == "a\\046b.c.");
  for (const char* bad : {"", "a..b", ".a", "a\\9.b"}) CHECK_FALSE(NormalizeName(bad));
  CHECK_FALSE(NormalizeName(std::string(64, 'a')));
  std::string longest;
  for (int i = 0; i < 126; ++i) longest += "a.";
  CHECK(NormalizeName(longest + "a"));
  CHECK_FALSE(NormalizeName(longest + "aa"));
  CHECK(IsUnder("a.b.", "b."));
  CHECK(IsUnder("b.", "b."));
  CHECK_FALSE(IsUnder("ab.", "b."));
}

TEST_CASE("an answer that does not fit is truncated at a record and says so") {
  auto zone = std::make_shared<RecordZone>("cluster.local.", RecordZone::Unknown::kNxDomain);
  std::vector<Record> many;
  for (int i = 0; i < 100; ++i) many.push_back(AddressRecord("big.cluster.local.", 5, Four(static_cast<std::uint8_t>(i))));
  zone->Set("big.cluster.local.", many);
  Message query = Query("big.cluster.local.", Type::kA);
  const auto reply = [&](Transport transport) {
    const Local local = AnswerLocally(Print(query, 512), transport, {zone});
    if (transport == Transport::kUdp) CHECK(local.reply.size() <= query.edns_size.value_or(512));
    return *Parse(local.reply);
  };
  CHECK(reply(Transport::kUdp).truncated);
  CHECK(reply(Transport::kUdp).answers.size() == 29);   // (512 - 12 - 24) / 16
  query.edns_size = 1232;
  CHECK(reply(Transport::kUdp).answers.size() > 70);
  CHECK(reply(Transport::kUdp).edns_size);
  CHECK_FALSE(reply(Transport::kTcp).truncated);
  CHECK(reply(Transport::kTcp).answers.size() == 100);
}

TEST_CASE("a zone answers addresses, services, aliases, empty names and unknown names") {
  const auto zone = SampleZone();
  const std::vector<std::shared_ptr<const Zone>> zones = {zone};
  CHECK(Ask("web.default.svc.cluster.local.", Type::kA, zones).answers == std::vector<Record>{AddressRecord("web.default.svc.cluster.local.", 5, Four(20))});
  const Message none = Ask("web.default.svc.cluster.local.", Type::kAaaa, zones);
  CHECK(none.rcode == Rcode::kNoError);
  CHECK(none.answers.empty());
  REQUIRE(none.authority.size() == 1);
  CHECK(none.authority[0].type == Type::kSoa);
  const Message srv = Ask("_http._tcp.web.default.svc.cluster.local.", Type::kSrv, zones);
  CHECK(srv.answers.size() == 1);
  CHECK(srv.additional.size() == 1);
  CHECK(Ask("alias.default.svc.cluster.local.", Type::kA, zones).answers.size() == 2);
  CHECK(Ask("alias.default.svc.cluster.local.", Type::kCname, zones).answers.size() == 1);
  CHECK(Ask("default.svc.cluster.local.", Type::kA, zones).rcode == Rcode::kNoError);   // names exist below it
  CHECK(Ask("nope.default.svc.cluster.local.", Type::kA, zones).rcode == Rcode::kNxDomain);
  CHECK(Ask("cluster.local.", Type::kSoa, zones).answers.size() == 1);
  zone->Set("web.default.svc.cluster.local.", {});
  CHECK(Ask("web.default.svc.cluster.local.", Type::kA, zones).rcode == Rcode::kNoError);   // _tcp is still below
  zone->Set("_http._tcp.web.default.svc.cluster.local.", {});
  CHECK(Ask("web.default.svc.cluster.local.", Type::kA, zones).rcode == Rcode::kNxDomain);
  zone->Replace({{"x.cluster.local.", {AddressRecord("x.cluster.local.", 5, Four(1))}}});
  CHECK(zone->size() == 1);
  CHECK(Ask("default.svc.cluster.local.", Type::kA, zones).rcode == Rcode::kNxDomain);
}

TEST_CASE("what no zone knows, and aliases that lead outside, go upstream") {
  const auto zone = SampleZone();
  const auto reverse = std::make_shared<RecordZone>("in-addr.arpa.", RecordZone::Unknown::kNotMine);
  const std::vector<std::shared_ptr<const Zone>> zones = {zone, reverse};
  Local local = AnswerLocally(Print(Query("example.org.", Type::kA), 512), Transport::kUdp, zones);
  CHECK(local.reply.empty());
  CHECK(local.upstream_name == "example.org.");
  local = AnswerLocally(Print(Query("out.default.svc.cluster.local.", Type::kA), 512), Transport::kUdp, zones);
  CHECK(local.upstream_name == "example.com.");
  CHECK(local.aliases.size() == 1);
  local = AnswerLocally(Print(Query("9.9.9.9.in-addr.arpa.", Type::kPtr), 512), Transport::kUdp, zones);
  CHECK(local.upstream_name == "9.9.9.9.in-addr.arpa.");
}

TEST_CASE("queries that are none get the error of the protocol, and answers get nothing") {
  const auto rcode = [](const Message& m) {
    const Local local = AnswerLocally(Print(m, 512), Transport::kUdp, {});
    return local.reply.empty() ? Rcode::kNoError : Parse(local.reply)->rcode;
  };
  Message m = Query("a.", Type::kA);
  m.opcode = 5;
  CHECK(rcode(m) == Rcode::kNotImp);
  m = Query("a.", static_cast<Type>(252));
  CHECK(rcode(m) == Rcode::kRefused);
  m = Query("a.", Type::kA);
  m.questions[0].klass = 3;
  CHECK(rcode(m) == Rcode::kRefused);
  m.questions.clear();
  CHECK(rcode(m) == Rcode::kFormErr);
  CHECK(Parse(AnswerLocally(Print(Query("a.", Type::kA), 512) + "x", Transport::kUdp, {}).reply)->rcode == Rcode::kFormErr);
  m = Query("a.", Type::kA);
  m.response = true;
  CHECK(AnswerLocally(Print(m, 512), Transport::kUdp, {}).reply.empty());
  CHECK(AnswerLocally("short", Transport::kUdp, {}).reply.empty());
}

TEST_CASE("the cache keeps answers for their time to live and forgets the least recently used") {
  FakeClock clock;
  Cache cache(2, clock);
  Message a = Query("a.", Type::kA);
  a.response = true;
  a.answers = {AddressRecord("a.", 60, Four(1)), AddressRecord("a.", 20, Four(2))};
  cache.Put("a", a);
  clock.Advance(std::chrono::seconds(15));
  REQUIRE(cache.Get("a"));
  CHECK(cache.Get("a")->answers[0].ttl == 45);
  clock.Advance(std::chrono::seconds(5));
  CHECK_FALSE(cache.Get("a"));
  Message negative = Query("n.", Type::kA);
  negative.rcode = Rcode::kNxDomain;
  negative.authority = {SoaRecord("n.", 600, 1, 10)};
  cache.Put("n", negative);
  clock.Advance(std::chrono::seconds(9));
  CHECK(cache.Get("n"));
  clock.Advance(std::chrono::seconds(1));
  CHECK_FALSE(cache.Get("n"));
  Message failure = a;
  failure.rcode = Rcode::kServFail;
  cache.Put("f", failure);
  CHECK_FALSE(cache.Get("f"));
  for (const char* key : {"1", "2", "1", "3"}) {
    if (!cache.Get(key)) cache.Put(key, a);
  }
  CHECK(cache.Get("1"));
  CHECK_FALSE(cache.Get("2"));
}

TEST_CASE("name servers are read from resolv.conf text") {
  CHECK(NameServers("# c\nnameserver 192.0.2.1\n  nameserver\t2001:db8::1 # x\nnameserverx 1\nsearch a\nnameserver\noptions x") ==
        std::vector<std::string>{"192.0.2.1", "2001:db8::1"});
  CHECK(NameServers("nameserver 1\nnameserver 2\nnameserver 3\nnameserver 4").size() == 3);
  CHECK(NameServers("").empty());
}
