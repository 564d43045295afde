#include "core/net/dial.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <boost/asio/this_coro.hpp>
#include <mutex>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/base/thread_pool.h"
#include "core/net/address.h"
#include "core/net/descriptor.h"
#include "core/net/event.h"
#include "core/net/tls.h"

namespace skerry::net {
namespace {
using Addresses = Result<std::vector<SocketAddress>>;

struct Lookup {
  std::mutex mutex;
  std::shared_ptr<Event> waiter;      // guarded; null once nobody waits: the shard may be gone then
  std::optional<Addresses> answer;    // guarded
};

// getaddrinfo has no deadline of its own: the pool lives as long as the process and a late answer is dropped.
ElasticPool& Resolvers() {
  static ElasticPool* const pool = std::make_unique<ElasticPool>("resolver", 32).release();
  return *pool;
}

Task<Addresses> Resolve(std::string host, std::uint16_t port, Stream::TimePoint deadline) {
  if (auto numeric = SocketAddress::Numeric(host, port)) co_return std::vector<SocketAddress>(1, *numeric);
  const auto executor = co_await boost::asio::this_coro::executor;
  const auto lookup = std::make_shared<Lookup>();
  const auto event = Event::Create(executor);
  lookup->waiter = event;
  const bool started = Resolvers().TrySubmit([lookup, host, port] {
    auto answer = ResolveBlocking(host, port);
    std::lock_guard lock(lookup->mutex);
    lookup->answer = std::move(answer);
    if (lookup->waiter) lookup->waiter->Notify();
  });
  if (!started) co_return Fail(Code::kTooMany, Cat("lookup ", host, ": too many at once"));
  for (;;) {
    {
      std::lock_guard lock(lookup->mutex);
      if (lookup->answer) co_return std::move(*lookup->answer);
    }
    const bool in_time = co_await event->WaitUntil(deadline);
    if (in_time) continue;
    std::lock_guard lock(lookup->mutex);
    lookup->waiter = nullptr;
    if (lookup->answer) co_return std::move(*lookup->answer);
    co_return Fail(Code::kTimeout, Cat("lookup ", host, ": timed out"));
  }
}

Task<Result<std::unique_ptr<Stream>>> ConnectTo(SocketAddress address, std::string name, Stream::TimePoint deadline) {
  UniqueFd fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) co_return std::unexpected(ErrnoError(errno, "socket"));
  const int on = 1, number = fd.get();
  if (address.family() != AF_UNIX) ::setsockopt(number, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const auto executor = co_await boost::asio::this_coro::executor;
  CO_TRY(auto descriptor, Descriptor::Create(executor, std::move(fd)));
  ConnectionInfo info;
  info.remote = address.ToString();
  auto stream = std::make_unique<FdStream>(descriptor, std::move(info));   // closes the descriptor when this fails
  stream->ExpiresAt(deadline);
  if (::connect(number, address.get(), address.size) != 0) {
    if (errno != EINPROGRESS) co_return Fail(Code::kUnavailable, Cat("dial ", name, ": ", std::strerror(errno)));
    auto ready = co_await descriptor->Wait(Descriptor::Direction::kWrite);
    if (!ready) co_return std::unexpected(std::move(ready).error().Wrap(Cat("dial ", name)));
    int failed = 0;
    socklen_t size = sizeof failed;
    ::getsockopt(number, SOL_SOCKET, SO_ERROR, &failed, &size);
    if (failed != 0) co_return Fail(Code::kUnavailable, Cat("dial ", name, ": ", std::strerror(failed)));
  }
  stream->ExpiresAt(Stream::TimePoint::max());
  co_return std::unique_ptr<Stream>(std::move(stream));
}

Task<Result<std::unique_ptr<Stream>>> ConnectToAny(std::vector<SocketAddress> addresses, std::string name, Stream::TimePoint deadline) {
  Result<std::unique_ptr<Stream>> last = Fail(Code::kUnavailable, Cat("dial ", name, ": no address"));
  for (const SocketAddress& address : addresses) {
    last = co_await ConnectTo(address, name, deadline);
    if (last || std::chrono::steady_clock::now() >= deadline) break;
  }
  co_return last;
}

}  // namespace

Task<Result<std::unique_ptr<Stream>>> Dial(DialTarget target, Stream::TimePoint deadline) {
  if (target.address.starts_with("unix:")) {
    CO_TRY(const auto address, SocketAddress::Unix(std::string_view(target.address).substr(5)));
    auto connected = co_await ConnectTo(address, target.address, deadline);
    if (!connected || !target.tls) co_return connected;
    co_return co_await TlsConnect(std::move(*connected), target.tls, target.server_name, deadline);
  }
  CO_TRY(const auto where, SplitHostPort(target.address));
  CO_TRY(auto addresses, co_await Resolve(where.host, where.port, deadline));
  auto connected = co_await ConnectToAny(std::move(addresses), target.address, deadline);
  if (!connected || !target.tls) co_return connected;
  std::string name = target.server_name.empty() ? where.host : target.server_name;
  co_return co_await TlsConnect(std::move(*connected), target.tls, std::move(name), deadline);
}

}  // namespace skerry::net
