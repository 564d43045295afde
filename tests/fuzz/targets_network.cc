#include "core/dns/message.h"
#include "core/dns/resolve.h"
#include "core/proxy/client_hello.h"
#include "core/proxy/head.h"
#include "tests/fuzz/fuzz.h"

// Parsers that read the network: DNS messages, HTTP heads and chunked bodies of the router, TLS ClientHello.
namespace skerry::fuzz {
namespace {

std::string_view View(const std::uint8_t* data, std::size_t size) { return {reinterpret_cast<const char*>(data), size}; }

int FuzzDns(const std::uint8_t* data, std::size_t size) {
  const std::string_view wire = View(data, size);
  // The answer to anything is an answer that parses and fits, or silence.
  static const std::vector<std::shared_ptr<const dns::Zone>> zones = [] {
    auto zone = std::make_shared<dns::RecordZone>("a.", dns::RecordZone::Unknown::kNxDomain);
    zone->Set("x.a.", {dns::AddressRecord("x.a.", 5, "1234"), dns::SrvRecord("x.a.", 5, 1, 2, 3, "x.a.")});
    zone->Set("c.a.", {dns::NameRecord("c.a.", dns::Type::kCname, 5, "x.a.")});
    return std::vector<std::shared_ptr<const dns::Zone>>{zone};
  }();
  const dns::Local local = dns::AnswerLocally(wire, dns::Transport::kUdp, zones);
  if (!local.reply.empty()) {
    const auto reply = dns::Parse(local.reply);
    Require(reply && reply->response && local.reply.size() <= dns::kMaxUdpAnswer, "the answer is none");
  }
  const auto message = dns::Parse(wire);
  if (!message) return 0;
  const auto again = dns::Parse(dns::Print(*message, 65535));
  Require(again && again->questions == message->questions && again->answers == message->answers && again->authority == message->authority &&
              again->additional == message->additional,
          "does not survive its own print");
  for (const dns::Question& q : message->questions) {
    const auto name = dns::NormalizeName(q.name);
    Require(name && *name == q.name, "a name has two spellings");
  }
  return 1;
}

// No cut of an accepted head is accepted as a shorter one, and what is passed on reads the same to the next parser.
int FuzzRequestHead(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = View(data, size);
  proxy::RequestHead head;
  int status = 0;
  if (proxy::ParseRequest(text, head, status) != proxy::Parsed::kDone) return 0;
  Require(head.size <= size && text.substr(0, head.size).ends_with("\r\n\r\n"), "the head ends elsewhere");
  std::string copy(head.method);
  copy.append(" ").append(head.target).append(head.minor == 1 ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n");
  for (const proxy::HeaderView& h : head.headers) copy.append(h.name).append(": ").append(h.value).append("\r\n");
  copy += "\r\n";
  proxy::RequestHead again;
  Require(proxy::ParseRequest(copy, again, status) == proxy::Parsed::kDone, "its copy is refused");
  Require(again.framing == head.framing && again.length == head.length && again.host == head.host && again.keep_alive == head.keep_alive, "its copy reads differently");
  proxy::RequestHead cut;
  Require(proxy::ParseRequest(text.substr(0, head.size - 1), cut, status) == proxy::Parsed::kIncomplete, "a cut head is taken for whole");
  return 1;
}

int FuzzResponseHead(const std::uint8_t* data, std::size_t size) {
  proxy::ResponseHead head;
  if (proxy::ParseResponse(View(data, size), "GET", head) != proxy::Parsed::kDone) return 0;
  Require(head.status >= 100 && head.status <= 999, "a status out of range");
  Require(head.size <= size, "the head ends elsewhere");
  return 1;
}

// However a body is cut, its end is the same.
int FuzzChunks(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = View(data, size);
  proxy::ChunkScanner whole, pieces;
  const std::size_t end = whole.Feed(text);
  std::size_t used = 0;
  for (std::size_t step = 1; used < size && !pieces.done() && !pieces.bad(); step = step % 7 + 1) {
    const auto piece = text.substr(used, step);
    const std::size_t took = pieces.Feed(piece);
    used += took;
    if (took < piece.size()) break;
  }
  Require(whole.done() == pieces.done() && whole.bad() == pieces.bad(), "cutting changes the verdict");
  Require(!whole.done() || used == end, "cutting moves the end");
  return whole.done() ? 1 : 0;
}

int FuzzClientHello(const std::uint8_t* data, std::size_t size) {
  const proxy::Sni sni = proxy::ReadSni(View(data, size));
  Require(sni.name.size() <= 255, "a name longer than a name");
  return sni.state == proxy::Sni::State::kFound ? 1 : 0;
}

std::string HelloSeed() {
  const std::string name = "a.example";
  const auto put16 = [](std::string& s, std::size_t v) { s += {static_cast<char>(v >> 8), static_cast<char>(v & 255)}; };
  std::string extension(2, '\0');
  put16(extension, name.size() + 5);
  put16(extension, name.size() + 3);
  extension += '\0';
  put16(extension, name.size());
  extension += name;
  std::string hello = "\3\3" + std::string(32, 'r') + std::string("\0\0\2\x13\1\1\0", 7);
  put16(hello, extension.size());
  hello += extension;
  std::string handshake("\1\0", 2);
  put16(handshake, hello.size());
  handshake += hello;
  std::string record("\x16\3\1", 3);
  put16(record, handshake.size());
  return record + handshake;
}

std::vector<std::string> DnsSeeds() {
  dns::Message query;
  query.id = 7;
  query.recursion_desired = true;
  query.questions.push_back({"x.a.", dns::Type::kSrv, dns::kClassIn});
  query.edns_size = 1232;
  dns::Message reply = query;
  reply.response = true;
  reply.answers = {dns::NameRecord("x.a.", dns::Type::kCname, 5, "y.a."), dns::AddressRecord("y.a.", 5, "1234")};
  reply.authority = {dns::SoaRecord("a.", 5, 1, 5)};
  query.questions[0].name = "c.a.";
  return {dns::Print(query, 512), dns::Print(reply, 512)};
}

}  // namespace

std::vector<Target> NetworkTargets() {
  const std::vector<std::string> http = {"\r\n", "\r\n\r\n", "\n", "\r", " ", "\t", ":", "Content-Length: 5\r\n", "Content-Length: 6\r\n", "Transfer-Encoding: chunked\r\n", "transfer-encoding:\tchunked\r\n",
                                         "Connection: close\r\n", "Upgrade: x\r\n", "Host: b\r\n", "HTTP/1.0", "HTTP/1.1", "chunked", ",", ";", "\0"};
  return {
      {"dns", FuzzDns, DnsSeeds(), {"\xc0\x0c", std::string("\0", 1), std::string("\0\x29", 2), "\1a", "\x3f", "\xff\xff"}},
      {"request-head", FuzzRequestHead, {"POST /x?y HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nabc", "GET / HTTP/1.0\r\n\r\n"}, http},
      {"response-head", FuzzResponseHead, {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"}, http},
      {"chunks", FuzzChunks, {"5;a=b\r\nhello\r\n0\r\nT: v\r\n\r\n", "1\r\na\r\nA\r\n0123456789\r\n0\r\n\r\nrest"}, {"\r\n", "\n", "0", "0\r\n", "f", "F", ";", "\r\n\r\n", "fffffffffffffff"}},
      {"client-hello", FuzzClientHello, {HelloSeed()}, {"\x16\3\1", std::string("\0\0", 2), "\xff\xff", "\1"}},
  };
}

}  // namespace skerry::fuzz
