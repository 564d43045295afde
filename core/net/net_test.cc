#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <future>

#include "core/base/files.h"
#include "core/net/address.h"
#include "core/net/blocking.h"
#include "core/net/event.h"
#include "core/net/listener.h"
#include "core/net/streams.h"
#include "core/net/task.h"
#include "core/net/task_group.h"

using namespace skerry;
using namespace skerry::net;
using namespace std::chrono_literals;

namespace {

std::span<std::byte> Room(std::string& s) { return {reinterpret_cast<std::byte*>(s.data()), s.size()}; }
Ctx Within(std::chrono::milliseconds d) { return Ctx(std::stop_token(), std::chrono::steady_clock::now() + d); }

// Echoes until the end, then ends as well.
Task<void> Echo(std::unique_ptr<Stream> stream) {
  std::string buffer(70000, 0);
  const auto room = Room(buffer);
  for (;;) {
    const auto n = co_await stream->Read(room);
    if (!n || *n == 0) break;
    const std::string_view bytes(buffer.data(), *n);
    const auto written = co_await stream->Write(bytes);
    if (!written) break;
  }
  const auto closed = co_await stream->CloseWrite();
  static_cast<void>(closed);
}

std::string ReadAll(BlockingStream& s) {
  std::string out, buffer(10000, 0);
  for (;;) {
    const auto n = s.Read(Within(60s), Room(buffer));
    if (!n) return "error: " + std::string(n.error().message());
    if (*n == 0) return out;
    out.append(buffer, 0, *n);
  }
}

std::string Pattern(std::size_t n) {
  std::string s(n, 0);
  for (std::size_t i = 0; i < n; ++i) s[i] = static_cast<char>(i * 31 + i / 251);
  return s;
}

void CheckEcho(BlockingStream& client, std::size_t size) {
  const std::string sent = Pattern(size);
  auto received = std::async(std::launch::async, [&] { return ReadAll(client); });
  CHECK(client.Write(Within(60s), sent));
  CHECK(client.CloseWrite(Within(60s)));
  CHECK(received.get() == sent);
}

}  // namespace

TEST_CASE("addresses are split and joined with IPv6 brackets", "[net]") {
  CHECK(SplitHostPort("[::1]:80")->host == "::1");
  CHECK(SplitHostPort(":0")->host.empty());
  CHECK(SplitHostPort("a.b:65535")->port == 65535);
  for (const char* bad : {"", "a", "a:", "a:65536", "::1:80", "[::1]80", "[::1", "a:-1", "a: 1"}) CHECK_FALSE(SplitHostPort(bad));
  CHECK(JoinHostPort("::1", 80) == "[::1]:80");
  CHECK(SocketAddress::Numeric("::ffff:10.0.0.1", 7)->ToString() == "10.0.0.1:7");
}

TEST_CASE("an echo over TCP, Unix sockets and memory returns every byte and the end", "[net]") {
  Shards shards(2);
  TaskGroup tasks;
  char dir[] = "/tmp/skerry-net-XXXXXX";
  REQUIRE(::mkdtemp(dir) != nullptr);
  const std::string path = std::string(dir) + "/s";
  for (const std::string& address : {std::string("127.0.0.1:0"), std::string(":0"), "unix:" + path}) {
    auto listener = Listener::Create(shards, address);
    REQUIRE(listener);
    (*listener)->Start([&](Shard& shard, std::unique_ptr<Stream> s) { tasks.Spawn(shard, Echo(std::move(s))); });
    DialTarget target;
    target.address = address.starts_with("unix:") ? address : "127.0.0.1:" + std::to_string((*listener)->bound_port());
    auto client = BlockingStream::Dial(Within(60s), shards.Next(), target);
    REQUIRE(client);
    CheckEcho(**client, 3'000'000);
  }
  CHECK(::access(path.c_str(), F_OK) != 0);
  ::rmdir(dir);
  auto [a, b] = MakePair(shards.at(0).executor(), shards.at(1).executor(), 1000);
  tasks.Spawn(shards.at(0), Echo(std::move(a)));
  BlockingStream client(shards.at(1), std::move(b));
  CheckEcho(client, 300'000);
  tasks.Join();
}

TEST_CASE("closing the writing side of a pipe ends it for its reader", "[net]") {
  Shards shards(1);
  int fds[2];
  REQUIRE(::pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0);
  const UniqueFd read_end(fds[0]);
  auto pipe = FromDescriptor(shards.at(0).executor(), UniqueFd(fds[1]));
  REQUIRE(pipe);
  BlockingStream writer(shards.at(0), std::move(*pipe));
  REQUIRE(writer.Write(Within(60s), "x"));
  char byte = 0;
  CHECK(::read(read_end.get(), &byte, 1) == 1);
  CHECK(::read(read_end.get(), &byte, 1) == -1);   // open, nothing there
  REQUIRE(writer.CloseWrite(Within(60s)));
  CHECK(::read(read_end.get(), &byte, 1) == 0);
  CHECK(writer.Write(Within(60s), "y").error().code() == Code::kCancelled);
}

TEST_CASE("a read that timed out or was stopped took nothing and may be repeated", "[net]") {
  Shards shards(2);
  int fds[2];
  REQUIRE(::pipe2(fds, O_CLOEXEC) == 0);
  UniqueFd write_end(fds[1]);
  auto [a, b] = MakePair(shards.at(0).executor(), shards.at(0).executor());
  auto pipe = FromDescriptor(shards.at(0).executor(), UniqueFd(fds[0]));
  REQUIRE(pipe);
  BlockingStream from_pipe(shards.at(0), std::move(*pipe)), from_memory(shards.at(0), std::move(a)), to_memory(shards.at(0), std::move(b));
  std::string buffer(10, 0);
  for (BlockingStream* s : {&from_pipe, &from_memory}) {
    auto timed_out = s->Read(Within(5ms), Room(buffer));
    REQUIRE_FALSE(timed_out);
    CHECK(timed_out.error().code() == Code::kTimeout);
    std::stop_source stop;
    auto stopped = std::async(std::launch::async, [&] { return s->Read(Ctx(stop.get_token()), Room(buffer)); });
    stop.request_stop();
    auto answer = stopped.get();
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code() == Code::kCancelled);
  }
  REQUIRE(WriteAll(write_end.get(), "x"));
  REQUIRE(to_memory.Write(Within(60s), "y"));
  CHECK(from_pipe.Read(Within(60s), Room(buffer)).value() == 1);
  CHECK(buffer[0] == 'x');
  CHECK(from_memory.Read(Within(60s), Room(buffer)).value() == 1);
  CHECK(buffer[0] == 'y');
}

TEST_CASE("a write to a peer that does not read times out, and Abort ends it with kCancelled", "[net]") {
  Shards shards(2);
  std::promise<std::unique_ptr<Stream>> accepted;
  auto listener = Listener::Create(shards, "127.0.0.1:0");
  REQUIRE(listener);
  (*listener)->Start([&](Shard&, std::unique_ptr<Stream> s) { accepted.set_value(std::move(s)); });
  auto client = BlockingStream::Dial(Within(60s), shards.at(1), DialTarget{(*listener)->address(), nullptr, {}});
  REQUIRE(client);
  BlockingStream server(shards.at(0), accepted.get_future().get());
  const std::string much(64 << 20, 'x');
  auto r = (*client)->Write(Within(20ms), much);
  REQUIRE_FALSE(r);
  CHECK(r.error().code() == Code::kTimeout);
  auto second = std::async(std::launch::async, [&] { return (*client)->Write(Within(60s), much); });
  (*client)->Abort();
  auto aborted = second.get();
  REQUIRE_FALSE(aborted);
  CHECK(aborted.error().code() == Code::kCancelled);
}

TEST_CASE("dialing reports refused connections, unknown hosts and bad addresses", "[net]") {
  Shards shards(1);
  auto gone = Listener::Create(shards, "127.0.0.1:0");
  REQUIRE(gone);
  const std::string address = (*gone)->address();
  gone->reset();
  auto refused = BlockingStream::Dial(Within(60s), shards.at(0), DialTarget{address, nullptr, {}});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code() == Code::kUnavailable);
  CHECK(std::string(refused.error().message()).contains("Connection refused"));
  auto bad = BlockingStream::Dial(Within(60s), shards.at(0), DialTarget{"nonsense", nullptr, {}});
  REQUIRE_FALSE(bad);
  CHECK(bad.error().code() == Code::kInvalid);
  auto named = Listener::Create(shards, "localhost:0");
  REQUIRE(named);
  CHECK(BlockingStream::Dial(Within(60s), shards.at(0), DialTarget{"localhost:" + std::to_string((*named)->bound_port()), nullptr, {}}));
  auto in_use = Listener::Create(shards, (*named)->address());
  REQUIRE_FALSE(in_use);
  CHECK(std::string(in_use.error().message()).contains("in use"));
}

TEST_CASE("an event is handled on its shard while its waiter sleeps, until that has to wake", "[net]") {
  Shards shards(1);
  struct Waiter {
    static Task<void> Run(std::shared_ptr<Event> event, std::atomic<int>* handled, int enough, std::atomic<bool>* woken) {
      while (*handled < enough) {
        event->Meanwhile([handled, enough] { return ++*handled < enough; });
        co_await event->Wait();   // at once, when it was notified before
        event->Meanwhile(nullptr);
      }
      co_await event->Wait();   // a notification with nobody to handle it wakes as ever
      *woken = true;
    }
  };
  constexpr int kEvents = 100, kEnough = 3;
  std::vector<std::shared_ptr<Event>> events;
  std::vector<std::atomic<int>> handled(kEvents);
  std::vector<std::atomic<bool>> woken(kEvents);
  TaskGroup tasks;
  for (std::size_t i = 0; i < kEvents; ++i) {
    events.push_back(Event::Create(shards.at(0).executor()));
    tasks.Spawn(shards.at(0), Waiter::Run(events[i], &handled[i], kEnough, &woken[i]));
  }
  for (bool all = false; !all;) {
    all = true;
    for (std::size_t i = 0; i < kEvents; ++i) {
      events[i]->Notify();
      all = all && woken[i];
    }
    std::this_thread::yield();
  }
  tasks.Join();
  bool exact = true;
  for (const auto& n : handled) exact = exact && n == kEnough;
  CHECK(exact);
}

TEST_CASE("a mailbox delivers across threads in order, refuses when full and ends after Close", "[net]") {
  Shards shards(1);
  Mailbox<int> box(shards.at(0).executor(), 1000);
  std::vector<int> got;
  TaskGroup tasks;
  struct Consumer {
    static Task<void> Run(Mailbox<int>* from, std::vector<int>* into) {
      for (;;) {
        const auto next = co_await from->Pop();
        if (!next) co_return;
        into->push_back(*next);
      }
    }
  };
  for (int i = 0; i < 1000; ++i) REQUIRE(box.TryPush(i));
  CHECK_FALSE(box.TryPush(1000));
  tasks.Spawn(shards.at(0), Consumer::Run(&box, &got));
  for (int i = 1000; i < 5000; ++i) {
    while (!box.TryPush(i)) std::this_thread::yield();
  }
  box.Close();
  tasks.Join();
  REQUIRE(got.size() == 5000);
  CHECK(std::is_sorted(got.begin(), got.end()));
}

TEST_CASE("a relay copies both ways, passes the end on and gives up when idle", "[net]") {
  Shards shards(2);
  TaskGroup tasks;
  struct Run {
    static Task<void> Both(std::unique_ptr<Stream> a, std::unique_ptr<Stream> b, std::chrono::milliseconds idle) {
      co_await Relay(*a, *b, idle);
    }
  };
  const auto on0 = shards.at(0).executor(), on1 = shards.at(1).executor();
  {
    auto [client, near_end] = MakePair(on1, on0);
    auto [far_end, server] = MakePair(on0, on1);
    tasks.Spawn(shards.at(0), Run::Both(std::move(near_end), std::move(far_end), 0ms));
    tasks.Spawn(shards.at(1), Echo(std::move(server)));
    BlockingStream blocking(shards.at(1), std::move(client));
    CheckEcho(blocking, 500'000);
    tasks.Join();
  }
  auto [client, near_end] = MakePair(on1, on0);
  auto [far_end, server] = MakePair(on0, on1);
  tasks.Spawn(shards.at(0), Run::Both(std::move(near_end), std::move(far_end), 20ms));
  BlockingStream blocking(shards.at(1), std::move(client)), other(shards.at(1), std::move(server));
  CHECK(ReadAll(blocking).empty());
  tasks.Join();
}
