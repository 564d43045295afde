#include "core/net/descriptor.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/net/streams.h"

namespace skerry::net {
namespace asio = boost::asio;
namespace {
constexpr unsigned kOperationsWithoutWait = 64;

bool IsRetry(int err) { return err == EAGAIN || err == EWOULDBLOCK; }
}  // namespace

Result<std::shared_ptr<Descriptor>> Descriptor::Create(const asio::any_io_executor& executor, UniqueFd fd) {
  auto out = std::make_shared<Descriptor>(executor);
  int type = 0;
  socklen_t size = sizeof type;
  out->is_socket_ = ::getsockopt(fd.get(), SOL_SOCKET, SO_TYPE, &type, &size) == 0;
  const int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) < 0) return std::unexpected(ErrnoError(errno, "descriptor"));
  boost::system::error_code failed;
  out->descriptor_.assign(fd.get(), failed);
  if (failed) return Fail(Code::kUnavailable, Cat("descriptor: ", failed.message()));
  static_cast<void>(fd.Release());
  return out;
}

Result<void> Descriptor::Check(Direction direction) const {
  if (aborted_) return Fail(Code::kCancelled, "stream aborted");
  const TimePoint deadline = halves_[static_cast<int>(direction)].deadline;
  if (deadline != TimePoint::max() && std::chrono::steady_clock::now() >= deadline) {
    return Fail(Code::kTimeout, direction == Direction::kRead ? "read timed out" : "write timed out");
  }
  return {};
}

Task<Result<void>> Descriptor::Wait(Direction direction) {
  const auto self = shared_from_this();
  auto allowed = Check(direction);
  if (!allowed) co_return allowed;
  Half& half = halves_[static_cast<int>(direction)];
  half.waiting = true;
  busy_ = 0;
  Arm();
  const auto kind = direction == Direction::kRead ? asio::posix::stream_descriptor::wait_read : asio::posix::stream_descriptor::wait_write;
  const auto [failed] = co_await descriptor_.async_wait(kind, asio::as_tuple(asio::use_awaitable));
  half.waiting = false;
  if (!failed) co_return Result<void>();
  if (failed != asio::error::operation_aborted) co_return Fail(Code::kUnavailable, failed.message());
  co_return Check(direction);   // a cancellation meant for the other direction: try again
}

Task<void> Descriptor::Breathe(unsigned operations) {
  busy_ += operations;
  if (busy_ < kOperationsWithoutWait) co_return;
  busy_ = 0;
  const auto executor = descriptor_.get_executor();
  co_await asio::post(executor, asio::use_awaitable);
}

void Descriptor::SetDeadline(Direction direction, TimePoint deadline) {
  Half& half = halves_[static_cast<int>(direction)];
  half.deadline = deadline;
  if (half.waiting) Arm();
}

void Descriptor::Arm() {
  TimePoint next = TimePoint::max();
  for (const Half& half : halves_) {
    if (half.waiting) next = std::min(next, half.deadline);
  }
  if (next >= armed_) return;
  armed_ = next;
  timer_.expires_at(next);
  timer_.async_wait([self = shared_from_this()](boost::system::error_code failed) {
    if (!failed) self->OnTimer();
  });
}

void Descriptor::OnTimer() {
  armed_ = TimePoint::max();
  const auto now = std::chrono::steady_clock::now();
  for (const Half& half : halves_) {
    if (!half.waiting || half.deadline > now) continue;
    boost::system::error_code ignored;
    descriptor_.cancel(ignored);
    return;
  }
  Arm();
}

void Descriptor::Abort() noexcept {
  asio::dispatch(descriptor_.get_executor(), [self = shared_from_this()] {
    self->aborted_ = true;
    if (!self->descriptor_.is_open()) return;
    if (self->is_socket_) ::shutdown(self->fd(), SHUT_RDWR);   // the peer learns of it now, not when the last owner lets go
    boost::system::error_code ignored;
    self->descriptor_.cancel(ignored);
  });
}

void Descriptor::Close() noexcept {
  aborted_ = true;
  timer_.cancel();
  boost::system::error_code ignored;
  descriptor_.close(ignored);
}

ssize_t Descriptor::ReadSome(void* into, std::size_t size) {
  for (;;) {
    const ssize_t n = is_socket_ ? ::recv(fd(), into, size, 0) : ::read(fd(), into, size);
    if (n >= 0 || errno != EINTR) return n;
  }
}

ssize_t Descriptor::WriteSome(const void* from, std::size_t size, Follow follow) {
  const int flags = MSG_NOSIGNAL | (follow == Follow::kMore ? MSG_MORE : 0);
  for (;;) {
    const ssize_t n = is_socket_ ? ::send(fd(), from, size, flags) : ::write(fd(), from, size);
    if (n >= 0 || errno != EINTR) return n;
  }
}

bool Descriptor::Quiet() {
  if (!is_socket_) return true;
  char byte;
  return ::recv(fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && IsRetry(errno);
}

std::size_t FdStream::WriteAtOnce(std::string_view bytes) {
  if (descriptor_->is_aborted() || bytes.empty()) return 0;
  const ssize_t n = descriptor_->WriteSome(bytes.data(), bytes.size());
  return n > 0 ? static_cast<std::size_t>(n) : 0;
}

Task<Result<std::size_t>> FdStream::Read(std::span<std::byte> into) {
  constexpr auto kRead = Descriptor::Direction::kRead;
  const auto descriptor = descriptor_;
  if (auto allowed = descriptor->Check(kRead); !allowed) co_return std::unexpected(std::move(allowed).error());
  if (std::exchange(wait_first_, false)) CO_TRY_VOID(co_await descriptor->Wait(kRead));
  for (;;) {
    const ssize_t n = descriptor->ReadSome(into.data(), into.size());
    if (n >= 0) {
      co_await descriptor->Breathe();
      co_return static_cast<std::size_t>(n);
    }
    if (errno == EIO && !descriptor->is_socket()) co_return 0U;   // a pty whose other side was closed
    if (!IsRetry(errno)) co_return std::unexpected(ErrnoError(errno, "read"));
    CO_TRY_VOID(co_await descriptor->Wait(kRead));
  }
}

Task<Result<void>> FdStream::Write(std::string_view bytes) {
  constexpr auto kWrite = Descriptor::Direction::kWrite;
  const auto descriptor = descriptor_;
  if (auto allowed = descriptor->Check(kWrite); !allowed) co_return allowed;
  while (!bytes.empty()) {
    const ssize_t n = descriptor->WriteSome(bytes.data(), bytes.size());
    if (n >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(n));
      continue;
    }
    if (!IsRetry(errno)) co_return std::unexpected(ErrnoError(errno, "write"));
    CO_TRY_VOID(co_await descriptor->Wait(kWrite));
  }
  co_await descriptor->Breathe();
  co_return Result<void>();
}

Task<Result<std::int64_t>> FdStream::WriteFile(int file, std::int64_t offset, std::int64_t length) {
  constexpr auto kWrite = Descriptor::Direction::kWrite;
  const auto descriptor = descriptor_;
  if (auto allowed = descriptor->Check(kWrite); !allowed) co_return std::unexpected(std::move(allowed).error());
  off_t at = offset;
  const off_t end = offset + length;
  while (at < end) {
    // While the peer takes as fast as we give, one call moves it all: small ones cost a third of the speed.
    const ssize_t n = ::sendfile(descriptor->fd(), file, &at, static_cast<std::size_t>(std::min<off_t>(end - at, 2 << 20)));
    if (n > 0) {
      co_await descriptor->Breathe(kOperationsWithoutWait / 2);
      continue;
    }
    if (n == 0 && at == offset) co_return Fail(Code::kCorruption, "the file is shorter than announced");
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && !IsRetry(errno)) co_return std::unexpected(ErrnoError(errno, "sendfile"));
    if (at > offset) break;
    CO_TRY_VOID(co_await descriptor->Wait(kWrite));
  }
  co_return static_cast<std::int64_t>(at - offset);
}

Task<Result<void>> FdStream::CloseWrite() {
  // The writing end of a pipe: whoever reads it learns of the end only when nobody holds it any more.
  if (!descriptor_->is_socket() && (::fcntl(descriptor_->fd(), F_GETFL) & O_ACCMODE) == O_WRONLY) descriptor_->Close();
  if (descriptor_->is_socket() && ::shutdown(descriptor_->fd(), SHUT_WR) != 0 && errno != ENOTCONN) {
    co_return std::unexpected(ErrnoError(errno, "shutdown"));
  }
  co_return Result<void>();
}

Result<std::unique_ptr<Stream>> FromDescriptor(const asio::any_io_executor& executor, UniqueFd fd, ConnectionInfo info) {
  TRY(auto descriptor, Descriptor::Create(executor, std::move(fd)));
  return std::make_unique<FdStream>(std::move(descriptor), std::move(info));
}

}  // namespace skerry::net
