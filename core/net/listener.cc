#include "core/net/listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/net/address.h"
#include "core/net/descriptor.h"
#include "core/net/event.h"
#include "core/net/streams.h"
#include "core/net/task_group.h"

namespace skerry::net {
namespace {
constexpr int kBacklog = 1024;
constexpr int kAcceptsPerTurn = 32;
constexpr auto kPauseWithoutDescriptors = std::chrono::milliseconds(100);
}  // namespace

struct Listener::Impl {
  explicit Impl(Shards& on) : shards(on) {}
  Shards& shards;
  UniqueFd fd;
  std::string address, unix_path;
  std::uint16_t port = 0;
  OnConnection on_connection;
  std::shared_ptr<Descriptor> descriptor;
  bool stopped = false;
  TaskGroup tasks;

  Task<void> AcceptLoop();
  Task<void> EndLoop();
  void AcceptSome();
  Task<void> Deliver(Shard* shard, int fd_number, std::string remote);
  bool out_of_descriptors = false;   // shard-local
};

namespace {

// A peer that vanished without a word (power, network) is found by keep-alive probes within a minute and a half.
void SetTcpOptions(int fd) {
  const auto set = [&](int level, int option, int value) { ::setsockopt(fd, level, option, &value, sizeof value); };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 30);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 15);
  set(IPPROTO_TCP, TCP_KEEPCNT, 4);
}

Result<UniqueFd> BindTcp(const SocketAddress& address, bool both_families) {
  UniqueFd fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return std::unexpected(ErrnoError(errno, "socket"));
  const int on = 1, v6_only = both_families ? 0 : 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address.family() == AF_INET6) ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof v6_only);
  if (::bind(fd.get(), address.get(), address.size) != 0 || ::listen(fd.get(), kBacklog) != 0) {
    return std::unexpected(ErrnoError(errno, Cat("listen ", address.ToString())));
  }
  return fd;
}

Result<UniqueFd> BindHost(const HostPort& where) {
  if (where.host == "localhost") {
    TRY(const auto loopback, SocketAddress::Numeric("127.0.0.1", where.port));
    return BindTcp(loopback, false);
  }
  if (!where.host.empty()) {
    TRY(const auto one, SocketAddress::Numeric(where.host, where.port));
    return BindTcp(one, false);
  }
  TRY(const auto any6, SocketAddress::Numeric("::", where.port));
  TRY(const auto any4, SocketAddress::Numeric("0.0.0.0", where.port));
  const UniqueFd probe(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));   // kernels without IPv6
  return probe ? BindTcp(any6, true) : BindTcp(any4, false);
}

Result<UniqueFd> BindUnix(const std::string& path) {
  TRY(const auto address, SocketAddress::Unix(path));
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return std::unexpected(ErrnoError(errno, "socket"));
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const bool dead = ::connect(probe.get(), address.get(), address.size) != 0 && errno == ECONNREFUSED;
  if (dead) ::unlink(path.c_str());
  // Owner-only from the first moment: fchmod on the socket before bind sets the mode of the file.
  if (::fchmod(fd.get(), 0600) != 0 || ::bind(fd.get(), address.get(), address.size) != 0 || ::listen(fd.get(), kBacklog) != 0) {
    return std::unexpected(ErrnoError(errno, Cat("listen unix:", path)));
  }
  return fd;
}

}  // namespace

Listener::Listener(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Listener::~Listener() { Stop(); }
std::uint16_t Listener::bound_port() const noexcept { return impl_->port; }
const std::string& Listener::address() const noexcept { return impl_->address; }

Result<std::unique_ptr<Listener>> Listener::Create(Shards& shards, const std::string& address) {
  auto impl = std::make_unique<Impl>(shards);
  if (address.starts_with("unix:")) {
    impl->unix_path = address.substr(5);
    impl->address = address;
    TRY(impl->fd, BindUnix(impl->unix_path));
  } else {
    TRY(const auto where, SplitHostPort(address));
    TRY(impl->fd, BindHost(where));
    SocketAddress bound;
    bound.size = sizeof bound.storage;
    if (::getsockname(impl->fd.get(), bound.get(), &bound.size) != 0) return std::unexpected(ErrnoError(errno, "getsockname"));
    impl->port = bound.port();
    impl->address = bound.ToString();
  }
  return std::make_unique<Listener>(std::move(impl));
}

void Listener::Start(OnConnection on_connection) {
  impl_->on_connection = std::move(on_connection);
  impl_->tasks.Spawn(impl_->shards.at(0), impl_->AcceptLoop());
}

void Listener::Stop() noexcept {
  if (std::exchange(impl_->stopped, true)) return;
  // A task like the loop, so that Join waits for it too. The loop may not have begun when it runs; it then finds no descriptor to wait on.
  if (impl_->on_connection) impl_->tasks.Spawn(impl_->shards.at(0), impl_->EndLoop());
  impl_->tasks.Join();
  impl_->descriptor.reset();
  impl_->fd.Reset();
  if (!impl_->unix_path.empty()) ::unlink(impl_->unix_path.c_str());
}

Task<void> Listener::Impl::EndLoop() {
  fd.Reset();
  if (descriptor) descriptor->Abort();
  co_return;
}

Task<void> Listener::Impl::AcceptLoop() {
  if (!fd) co_return;
  auto created = Descriptor::Create(shards.at(0).executor(), std::move(fd));
  if (!created) co_return;
  descriptor = *created;
  for (;;) {
    const auto ready = co_await descriptor->Wait(Descriptor::Direction::kRead);
    if (!ready) break;
    AcceptSome();
    if (!std::exchange(out_of_descriptors, false)) continue;
    const auto later = std::chrono::steady_clock::now() + kPauseWithoutDescriptors;   // the backlog keeps the peer meanwhile
    co_await SleepUntil(later);
  }
  descriptor->Close();
}

void Listener::Impl::AcceptSome() {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    SocketAddress peer;
    peer.size = sizeof peer.storage;
    UniqueFd accepted(::accept4(descriptor->fd(), peer.get(), &peer.size, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!accepted) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      out_of_descriptors = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
      return;
    }
    if (peer.family() != AF_UNIX) SetTcpOptions(accepted.get());
    Shard& shard = shards.Next();
    tasks.Spawn(shard, Deliver(&shard, accepted.Release(), peer.ToString()));
  }
}

Task<void> Listener::Impl::Deliver(Shard* shard, int fd_number, std::string remote) {
  UniqueFd accepted(fd_number);
  ConnectionInfo info;
  SocketAddress local;
  local.size = sizeof local.storage;
  if (::getsockname(accepted.get(), local.get(), &local.size) == 0) info.local = local.ToString();
  info.remote = std::move(remote);
  auto stream = FromDescriptor(shard->executor(), std::move(accepted), std::move(info));
  if (stream) on_connection(*shard, std::move(*stream));
  co_return;
}

}  // namespace skerry::net
