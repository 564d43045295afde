#include "core/net/datagram.h"

#include <sys/socket.h>

#include <boost/asio/this_coro.hpp>
#include <cerrno>
#include <cstring>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/net/descriptor.h"

namespace skerry::net {

struct DatagramSocket::Impl {
  std::shared_ptr<Descriptor> descriptor;
};

namespace {

Result<std::unique_ptr<DatagramSocket>> Wrap(const boost::asio::any_io_executor& executor, UniqueFd fd) {
  TRY(auto descriptor, Descriptor::Create(executor, std::move(fd)));
  auto impl = std::make_unique<DatagramSocket::Impl>();
  impl->descriptor = std::move(descriptor);
  return std::make_unique<DatagramSocket>(std::move(impl));
}

}  // namespace

DatagramSocket::DatagramSocket(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {
  local_.size = sizeof local_.storage;
  if (::getsockname(impl_->descriptor->fd(), local_.get(), &local_.size) != 0) local_.size = 0;
}

DatagramSocket::~DatagramSocket() { impl_->descriptor->Close(); }

Result<std::unique_ptr<DatagramSocket>> DatagramSocket::Bind(Shard& shard, const SocketAddress& address) {
  UniqueFd fd(::socket(address.family(), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return std::unexpected(ErrnoError(errno, "socket"));
  if (::bind(fd.get(), address.get(), address.size) != 0) {
    const int failure = errno;
    auto error = ErrnoError(failure, Cat("bind udp ", address.ToString()));
    if (failure == EADDRNOTAVAIL) return Fail(Code::kUnavailable, std::string(error.message()));
    return std::unexpected(std::move(error));
  }
  return Wrap(shard.executor(), std::move(fd));
}

Task<Result<std::unique_ptr<DatagramSocket>>> DatagramSocket::Connect(SocketAddress peer) {
  const auto executor = co_await boost::asio::this_coro::executor;
  UniqueFd fd(::socket(peer.family(), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) co_return std::unexpected(ErrnoError(errno, "socket"));
  if (::connect(fd.get(), peer.get(), peer.size) != 0) {
    co_return Fail(Code::kUnavailable, Cat("connect udp ", peer.ToString(), ": ", std::strerror(errno)));
  }
  co_return Wrap(executor, std::move(fd));
}

Task<Result<std::size_t>> DatagramSocket::Receive(std::span<std::byte> into, SocketAddress* from) {
  constexpr auto kRead = Descriptor::Direction::kRead;
  const auto descriptor = impl_->descriptor;
  SocketAddress unused;
  SocketAddress& peer = from != nullptr ? *from : unused;
  for (;;) {
    if (auto allowed = descriptor->Check(kRead); !allowed) co_return std::unexpected(std::move(allowed).error());
    peer.size = sizeof peer.storage;
    const ssize_t n = ::recvfrom(descriptor->fd(), into.data(), into.size(), 0, peer.get(), &peer.size);
    if (n >= 0) {
      co_await descriptor->Breathe();
      co_return static_cast<std::size_t>(n);
    }
    const int failure = errno;
    if (failure == EINTR) continue;
    if (failure != EAGAIN && failure != EWOULDBLOCK) co_return Fail(Code::kUnavailable, Cat("receive: ", std::strerror(failure)));
    CO_TRY_VOID(co_await descriptor->Wait(kRead));
  }
}

Result<> DatagramSocket::Send(std::string_view datagram, const SocketAddress* to) {
  const ssize_t n = ::sendto(impl_->descriptor->fd(), datagram.data(), datagram.size(), MSG_NOSIGNAL, to != nullptr ? to->get() : nullptr,
                             to != nullptr ? to->size : 0);
  if (n < 0) return Fail(Code::kUnavailable, Cat("send: ", std::strerror(errno)));
  return {};
}

void DatagramSocket::ReceiveExpiresAt(Stream::TimePoint deadline) { impl_->descriptor->SetDeadline(Descriptor::Direction::kRead, deadline); }
void DatagramSocket::Abort() noexcept { impl_->descriptor->Abort(); }

}  // namespace skerry::net
