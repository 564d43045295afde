#include "core/http/server.h"

#include <unistd.h>

#include <catch2/catch.hpp>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/http/testing.h"
#include "core/net/task.h"

using namespace skerry;
using namespace skerry::http;
using namespace skerry::http::testing;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view kClose = "Connection: close\r\n\r\n";

Reply Echo(const Ctx&, const Request& r) { return Text(Cat(r.method, " ", r.path, " [", r.body, "]")); }

// Gives what a test pushes.
struct QueueSource : Source {
  struct Shared {
    std::mutex mutex;
    std::deque<std::string> pieces;
    std::optional<Code> end;
    std::function<void()> notify;
    bool dropped = false;
    std::condition_variable changed;
    void Push(std::string s) {
      std::unique_lock lock(mutex);
      pieces.push_back(std::move(s));
      if (notify) notify();
    }
    void End(Code code) {
      std::unique_lock lock(mutex);
      end = code;
      if (notify) notify();
    }
  };
  explicit QueueSource(std::shared_ptr<Shared> s) : shared(std::move(s)) {}
  ~QueueSource() override {
    std::lock_guard lock(shared->mutex);
    shared->dropped = true;
    shared->changed.notify_all();
  }
  Result<Bytes> Next() override {
    std::lock_guard lock(shared->mutex);
    if (shared->pieces.empty()) return shared->end ? Result<Bytes>(Fail(*shared->end, "end")) : Bytes();
    Bytes b(std::move(shared->pieces.front()));
    shared->pieces.pop_front();
    return b;
  }
  void OnReady(std::function<void()> notify) override {
    std::lock_guard lock(shared->mutex);
    shared->notify = std::move(notify);
  }
  std::shared_ptr<Shared> shared;
};

Streaming MakeStreaming(const std::shared_ptr<QueueSource::Shared>& shared, Headers headers = {}) {
  Streaming out;
  out.headers = std::move(headers);
  out.source = std::make_unique<QueueSource>(shared);
  return out;
}

std::string BodyOf(const std::string& reply) { return reply.substr(reply.find("\r\n\r\n") + 4); }

}  // namespace

TEST_CASE("pipelined requests are answered in order on one connection, however they are cut", "[http]") {
  TestServer t;
  t.handler.on_shard = Echo;
  const std::string sent = Cat("\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n", "POST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
                               "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
                               "HEAD /d HTTP/1.1\r\nHost: h\r\n", kClose);
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{50}, sent.size()}) {
    auto c = t.Connect();
    for (std::size_t at = 0; at < sent.size(); at += piece) REQUIRE(c->Write(Soon(), std::string_view(sent).substr(at, piece)));
    const auto got = ReadToEnd(*c);
    const auto a = got.find("GET /a []"), b = got.find("POST /b [hello]"), d = got.find("POST /c [abc]");
    CHECK((a < b && b < d && d != std::string::npos));
    CHECK(got.contains("Content-Length: 9\r\n"));   // HEAD announces what GET would send
    CHECK_FALSE(got.contains("HEAD /d ["));
    CHECK(got.ends_with("Connection: close\r\n\r\n"));
  }
}

TEST_CASE("a worker's reply, an overloaded pool and a dropped callback are all answered", "[http]") {
  TestServer t;
  std::promise<void> gate;
  auto open = gate.get_future().share();
  std::atomic<int> started{0};
  t.handler.on_worker = [&](const Ctx&, std::shared_ptr<const Request> r, ReplyFn done) {
    if (r->path == "/drop") return;
    if (r->path == "/throw") throw std::runtime_error("x");
    ++started;
    if (r->path == "/wait") open.wait();
    done(Text(Cat("worker ", r->path), 201));
  };
  auto simple = t.Connect();
  CHECK(Exchange(*simple, Cat("GET /w HTTP/1.1\r\nHost: h\r\n", kClose)).starts_with("HTTP/1.1 201 Created\r\n"));
  for (const char* path : {"/drop", "/throw"}) {
    auto c = t.Connect();
    CHECK(Exchange(*c, Cat("GET ", path, " HTTP/1.1\r\nHost: h\r\n", kClose)).starts_with("HTTP/1.1 500 "));
  }
  constexpr int kClients = 22;   // two run, sixteen wait, four are refused
  std::vector<std::future<std::string>> answers;
  std::atomic<int> answered{0};
  for (int i = 0; i < kClients; ++i) {
    answers.push_back(std::async(std::launch::async, [&] {
      auto c = t.Connect();
      auto got = Exchange(*c, Cat("GET /wait HTTP/1.1\r\nHost: h\r\n", kClose));
      ++answered;
      return got;
    }));
    while (i < 2 && started < i + 2) std::this_thread::yield();   // both workers are busy before the queue fills
  }
  const auto limit = std::chrono::steady_clock::now() + 60s;
  while (answered < 4 && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
  gate.set_value();
  int refused = 0, served = 0;
  for (auto& a : answers) {
    const auto got = a.get();
    refused += got.starts_with("HTTP/1.1 429 Too Many Requests\r\n");
    served += got.contains("worker /wait");
  }
  CHECK(refused == 4);
  CHECK(served == 18);
}

TEST_CASE("malformed and oversized requests are refused and the connection is closed", "[http]") {
  ServerOptions options;
  options.timeouts.header = 1h;
  TestServer t(options);
  t.handler.on_shard = Echo;
  t.handler.policy = [](const Request&) {
    BodyPolicy p;
    p.limit = 10;
    return p;
  };
  const auto status = [&](std::string_view sent) {
    auto c = t.Connect();
    const auto got = Exchange(*c, sent);
    return got.empty() ? std::string("closed") : got.substr(9, 3);
  };
  CHECK(status("nonsense\r\n\r\n") == "400");
  CHECK(status(Cat("GET / HTTP/1.1\r\nHost: h\r\nX: ", std::string(70000, 'x'))) == "431");
  CHECK(status(Cat("GET / HTTP/1.1\r\nHost: h\r\nX: ", std::string(70000, 'x'), "\r\n\r\n")) == "431");
  CHECK(status("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n01234567890") == "413");
  CHECK(status("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n") == "413");
  CHECK(status("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n") == "400");
  // Clients that take a plain port for TLS must not wait for it.
  CHECK(status(std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11) + std::string(32, 'r')) == "400");
}

TEST_CASE("a head that stops coming is given up", "[http]") {
  ServerOptions options;
  options.timeouts.header = 1s;   // the beginning of a head must have come by then
  TestServer t(options);
  t.handler.on_shard = Echo;
  auto silent = t.Connect(), begun = t.Connect();
  CHECK(Exchange(*begun, "GET / HTTP/1.1\r\nHost:").starts_with("HTTP/1.1 408"));
  CHECK(Exchange(*silent, "").empty());
}

TEST_CASE("a body that stops coming is given up", "[http]") {
  ServerOptions options;
  options.timeouts.body = 50ms;
  TestServer t(options);
  t.handler.on_shard = Echo;
  auto c = t.Connect();
  CHECK(Exchange(*c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n123").starts_with("HTTP/1.1 408"));
}

TEST_CASE("100 Continue is sent only to a client that waits for it and only when the body is wanted", "[http]") {
  TestServer t;
  t.handler.on_shard = Echo;
  t.handler.policy = [](const Request& r) {
    BodyPolicy p;
    if (r.path != "/bytes") p.mode = BodyPolicy::Mode::kReader;
    return p;
  };
  t.handler.on_worker = [](const Ctx& ctx, std::shared_ptr<const Request> r, ReplyFn done) {
    if (r->path == "/refuse") return done(Text("no", 401));
    std::byte b[10];
    const auto n = r->reader->Read(ctx, b);
    done(Text(n ? std::string(reinterpret_cast<char*>(b), *n) : "failed"));
  };
  const auto head = [](std::string_view path) { return Cat("POST ", path, " HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n", kClose); };
  for (const char* path : {"/bytes", "/reader"}) {
    auto c = t.Connect();
    REQUIRE(c->Write(Soon(), head(path)));
    CHECK(ReadUntil(*c, "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
    CHECK(Exchange(*c, "ok").contains("ok"));
  }
  auto refused = t.Connect();
  REQUIRE(refused->Write(Soon(), head("/refuse")));
  CHECK(ReadUntil(*refused, "\r\n\r\n").starts_with("HTTP/1.1 401"));
  auto eager = t.Connect();
  CHECK(Exchange(*eager, head("/bytes") + "ok").starts_with("HTTP/1.1 200"));
}

TEST_CASE("a reader body is backpressured, complete and ends with an error when it is cut or too long", "[http]") {
  TestServer t;
  t.handler.policy = [](const Request& r) {
    BodyPolicy p;
    p.mode = BodyPolicy::Mode::kReader;
    p.limit = r.path == "/small" ? 1000 : 1 << 30;
    return p;
  };
  std::promise<std::string> cut;
  t.handler.on_worker = [&](const Ctx& ctx, std::shared_ptr<const Request> r, ReplyFn done) {
    std::size_t total = 0, sum = 0;
    std::vector<std::byte> buffer(100000);
    for (;;) {
      const auto n = r->reader->Read(ctx, buffer);
      if (!n && r->path == "/cut") cut.set_value(std::string(n.error().code_name()));
      if (!n) return done(Text(std::string(n.error().code_name()), 400));
      if (*n == 0) break;
      total += *n;
      for (std::size_t i = 0; i < *n; ++i) sum += static_cast<unsigned char>(buffer[i]);
    }
    done(Text(Cat(total, " ", sum)));
  };
  std::string body(5'000'000, 0);
  std::size_t sum = 0;
  for (std::size_t i = 0; i < body.size(); ++i) sum += static_cast<unsigned char>(body[i] = static_cast<char>(i * 7 + i / 1000));
  auto c = t.Connect();
  const std::string next = Cat("POST /n HTTP/1.1\r\nHost: h\r\n", kClose);
  const auto got = Exchange(*c, Cat("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ", body.size(), "\r\n\r\n", body, next));
  CHECK(got.contains(Cat(body.size(), " ", sum)));
  CHECK(got.ends_with("0 0"));
  std::string chunked = Cat("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n", kClose);
  for (std::size_t at = 0; at < body.size(); at += 70001) {
    const auto piece = body.substr(at, 70001);
    char size[20];
    std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
    chunked += size + piece + "\r\n";
  }
  auto c2 = t.Connect();
  CHECK(Exchange(*c2, chunked + "0\r\n\r\n").contains(Cat(body.size(), " ", sum)));
  auto c3 = t.Connect();
  CHECK(Exchange(*c3, Cat("POST /small HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n", std::string(2000, 'x'), "\r\n0\r\n\r\n"))
            .contains("too"));
  auto c4 = t.Connect();
  REQUIRE(c4->Write(Soon(), "POST /cut HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf"));
  c4.reset();
  CHECK_FALSE(cut.get_future().get().empty());
}

TEST_CASE("a streaming reply sends each piece when it is there and ends as its source says", "[http]") {
  TestServer t;
  auto shared = std::make_shared<QueueSource::Shared>();
  t.handler.on_shard = [&](const Ctx&, const Request& r) -> Reply {
    Headers headers;
    if (r.path == "/length") headers.push_back({"Content-Length", "10"});
    return MakeStreaming(shared, headers);
  };
  auto c = t.Connect();
  REQUIRE(c->Write(Soon(), "GET /w HTTP/1.1\r\nHost: h\r\n\r\n"));
  CHECK(ReadUntil(*c, "\r\n\r\n").contains("Transfer-Encoding: chunked\r\n"));
  shared->Push("first");
  CHECK(ReadUntil(*c, "first\r\n") == "5\r\nfirst\r\n");
  shared->Push("second");
  CHECK(ReadUntil(*c, "second\r\n") == "6\r\nsecond\r\n");
  shared->End(Code::kCancelled);
  CHECK(ReadUntil(*c, "0\r\n\r\n") == "0\r\n\r\n");
  shared = std::make_shared<QueueSource::Shared>();
  shared->Push("x");
  shared->End(Code::kInternal);
  CHECK(Exchange(*c, "GET /w HTTP/1.1\r\nHost: h\r\n\r\n").find("0\r\n\r\n") == std::string::npos);   // cut, not ended
  for (const bool complete : {true, false}) {
    shared = std::make_shared<QueueSource::Shared>();
    shared->Push("01234");
    if (complete) shared->Push("56789");
    shared->End(Code::kCancelled);
    auto d = t.Connect();
    REQUIRE(d->Write(Soon(), "GET /length HTTP/1.1\r\nHost: h\r\n\r\n"));
    ReadUntil(*d, complete ? "0123456789" : "01234");
    if (complete) REQUIRE(d->Write(Soon(), "GET /length HTTP/1.0\r\n\r\n"));
    CHECK(ReadToEnd(*d).contains("HTTP/1.1 200 OK") == complete);
  }
}

TEST_CASE("a request that may run on its shard needs no worker, and its failure is answered", "[http]") {
  ServerOptions options;
  options.runs_on_shard = [](net::Shard& shard, const Request& r) { return shard.IsCurrent() && r.path != "/heavy"; };
  TestServer t(options);
  t.handler.on_worker = [&](const Ctx&, std::shared_ptr<const Request> r, ReplyFn done) {
    if (r->path == "/broken") throw std::runtime_error("broken");
    done(Text(t.shards.at(0).IsCurrent() || t.shards.at(1).IsCurrent() ? "on a shard" : "on a worker"));
  };
  const auto ask = [&](std::string_view path) {
    auto c = t.Connect();
    return Exchange(*c, Cat("POST ", path, " HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"));
  };
  CHECK(ask("/light").ends_with("on a shard"));
  CHECK(ask("/heavy").ends_with("on a worker"));
  CHECK(ask("/broken").starts_with("HTTP/1.1 500 "));
}

TEST_CASE("a client that leaves while a reply is being made stops the handler and drops the source", "[http]") {
  TestServer t;
  auto shared = std::make_shared<QueueSource::Shared>();
  std::promise<void> stopped;
  t.handler.on_shard = [&](const Ctx&, const Request& r) -> Reply {
    if (r.path == "/work") return NeedsWorker{};
    return MakeStreaming(shared);
  };
  t.handler.on_worker = [&](const Ctx& ctx, std::shared_ptr<const Request>, ReplyFn done) {
    std::mutex m;
    std::condition_variable_any cv;
    std::unique_lock lock(m);
    cv.wait(lock, ctx.stop, [] { return false; });
    stopped.set_value();
    done(Text("late"));
  };
  auto a = t.Connect(), b = t.Connect();
  REQUIRE(a->Write(Soon(), "GET /watch HTTP/1.1\r\nHost: h\r\n\r\n"));
  ReadUntil(*a, "\r\n\r\n");
  REQUIRE(b->Write(Soon(), "GET /work HTTP/1.1\r\nHost: h\r\n\r\n"));
  a.reset();
  b.reset();
  CHECK(stopped.get_future().wait_for(60s) == std::future_status::ready);
  std::unique_lock lock(shared->mutex);
  CHECK(shared->changed.wait_for(lock, 60s, [&] { return shared->dropped; }));
}

TEST_CASE("a slow reader holds back a streaming source and is cut after the write time-out", "[http]") {
  ServerOptions options;
  options.timeouts.write = 50ms;
  TestServer t(options);
  auto shared = std::make_shared<QueueSource::Shared>();
  for (int i = 0; i < 100; ++i) shared->Push(std::string(10000, 'x'));
  t.handler.on_shard = [&](const Ctx&, const Request&) -> Reply { return MakeStreaming(shared); };
  auto c = t.Connect(20000);
  REQUIRE(c->Write(Soon(), "GET /w HTTP/1.1\r\nHost: h\r\n\r\n"));
  std::unique_lock lock(shared->mutex);
  CHECK(shared->changed.wait_for(lock, 60s, [&] { return shared->dropped; }));
  CHECK(shared->pieces.size() > 80);
}

TEST_CASE("a file is sent whole or in part, with its length on HEAD", "[http]") {
  char path[] = "/tmp/skerry-file-XXXXXX";
  UniqueFd fd(::mkstemp(path));
  std::string content(700'000, 0);
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i % 251);
  REQUIRE(WriteAll(fd.get(), content));
  ServerOptions options;
  options.listen = "127.0.0.1:0";
  TestServer t(options);
  t.handler.on_shard = [&](const Ctx&, const Request& r) -> Reply {
    File f;
    f.path = r.path == "/gone" ? "/nonexistent" : path;
    if (r.path == "/part") f.offset = 100, f.length = 1000, f.status = 206;
    return f;
  };
  const auto over_tcp = [&] { return net::BlockingStream::Dial(Soon(), t.shards.at(1), net::DialTarget{t.server->address(), nullptr, {}}).value(); };
  for (const bool tcp : {true, false}) {
    const auto get = [&](std::string_view method, std::string_view target) {
      auto c = tcp ? over_tcp() : t.Connect();
      return Exchange(*c, Cat(method, " ", target, " HTTP/1.1\r\nHost: h\r\n", kClose));
    };
    CHECK(BodyOf(get("GET", "/all")) == content);
    CHECK(BodyOf(get("GET", "/part")) == content.substr(100, 1000));
    const auto head = get("HEAD", "/all");
    CHECK(head.contains("Content-Length: 700000\r\n"));
    CHECK(BodyOf(head).empty());
    CHECK(get("GET", "/gone").starts_with("HTTP/1.1 500"));
  }
  ::unlink(path);
}

TEST_CASE("a tunnel takes the connection over with the bytes that were read ahead", "[http]") {
  struct Upper : Tunnel {
    Headers headers() const override { return {{"Connection", "Upgrade"}, {"Upgrade", "upper"}}; }
    net::Task<void> Run(std::unique_ptr<net::Stream> s) override {
      std::string buffer(100, 0);
      const std::span<std::byte> room(reinterpret_cast<std::byte*>(buffer.data()), buffer.size());
      for (;;) {
        const auto n = co_await s->Read(room);
        if (!n || *n == 0) co_return;
        std::string out = buffer.substr(0, *n);
        for (char& ch : out) ch = static_cast<char>(std::toupper(ch));
        const auto written = co_await s->Write(out);
        if (!written || out.contains('!')) co_return;
      }
    }
  };
  TestServer t;
  t.handler.on_shard = [](const Ctx&, const Request& r) -> Reply {
    if (r.path == "/later") return NeedsWorker{};
    return std::make_unique<Upper>();
  };
  std::promise<void> gate;
  t.handler.on_worker = [&](const Ctx&, std::shared_ptr<const Request>, ReplyFn done) {
    gate.get_future().wait();
    done(std::make_unique<Upper>());
  };
  auto c = t.Connect();
  REQUIRE(c->Write(Soon(), "GET / HTTP/1.1\r\nHost: h\r\n\r\nearly "));
  CHECK(ReadUntil(*c, "\r\n\r\n").starts_with("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: upper\r\n"));
  CHECK(Exchange(*c, "late!") == "EARLY LATE!");
  auto d = t.Connect();   // the client speaks while the worker still thinks: the background read has it
  REQUIRE(d->Write(Soon(), "GET /later HTTP/1.1\r\nHost: h\r\n\r\n"));
  REQUIRE(d->Write(Soon(), "early "));
  gate.set_value();
  ReadUntil(*d, "\r\n\r\n");
  CHECK(Exchange(*d, "late!") == "EARLY LATE!");
}

TEST_CASE("Stop closes idle connections, ends watches orderly, finishes requests and cuts what does not end", "[http]") {
  struct Stuck : Tunnel {
    Headers headers() const override { return {}; }
    net::Task<void> Run(std::unique_ptr<net::Stream> s) override {
      std::byte b[1];
      const std::span<std::byte> room(b);
      const auto n = co_await s->Read(room);
      static_cast<void>(n);
    }
  };
  ServerOptions options;
  options.timeouts.stop = 15s;
  options.listen = "127.0.0.1:0";
  TestServer t(options);
  auto shared = std::make_shared<QueueSource::Shared>();
  std::promise<void> gate, entered;
  t.handler.on_shard = [&](const Ctx&, const Request& r) -> Reply {
    if (r.path == "/watch") return MakeStreaming(shared);
    if (r.path == "/tunnel") return std::make_unique<Stuck>();
    if (r.path == "/idle") return Text("ok");
    return NeedsWorker{};
  };
  t.handler.on_worker = [&](const Ctx&, std::shared_ptr<const Request>, ReplyFn done) {
    entered.set_value();
    gate.get_future().wait();
    done(Text("finished"));
  };
  const auto open = [&](std::string_view path) {
    auto c = net::BlockingStream::Dial(Soon(), t.shards.at(1), net::DialTarget{t.server->address(), nullptr, {}}).value();
    CHECK(c->Write(Soon(), Cat("GET ", path, " HTTP/1.1\r\nHost: h\r\n\r\n")));
    return c;
  };
  auto idle = open("/idle"), watch = open("/watch"), tunnel = open("/tunnel"), work = open("/work");
  ReadUntil(*idle, "ok");
  ReadUntil(*watch, "\r\n\r\n");
  ReadUntil(*tunnel, "\r\n\r\n");
  entered.get_future().wait();
  auto stopping = std::async(std::launch::async, [&] { t.server->Stop(); });
  CHECK(ReadToEnd(*idle).empty());
  CHECK(ReadToEnd(*watch) == "0\r\n\r\n");
  gate.set_value();
  CHECK(ReadToEnd(*work).contains("finished"));
  CHECK(ReadToEnd(*tunnel).empty());
  stopping.get();
  CHECK(t.server->connections() == 0);
  CHECK_FALSE(net::BlockingStream::Dial(Soon(), t.shards.at(1), net::DialTarget{t.server->address(), nullptr, {}}));
}
