#include "core/process/wait.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <algorithm>
#include <vector>

#include "core/base/files.h"

namespace skerry::process {
namespace {

int MillisecondsLeft(const Ctx& ctx) {
  if (ctx.deadline == std::chrono::steady_clock::time_point::max()) return -1;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(ctx.deadline - std::chrono::steady_clock::now()).count() + 1;
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1 << 30));
}

Result<> Ended(const Ctx& ctx) {
  if (ctx.stop.stop_requested()) return Fail(Code::kCancelled, "stopped while waiting");
  return Fail(Code::kTimeout, "deadline exceeded while waiting");
}

}  // namespace

Result<> Poll(const Ctx& ctx, std::span<pollfd> fds) {
  std::vector<pollfd> all(fds.begin(), fds.end());
  UniqueFd wake;
  if (ctx.stop.stop_possible()) {
    wake.Reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake) return std::unexpected(ErrnoError(errno, "eventfd"));
    all.push_back({wake.get(), POLLIN, 0});
  }
  const std::stop_callback on_stop(ctx.stop, [&] {
    const std::uint64_t one = 1;
    if (::write(wake.get(), &one, sizeof one) < 0) {}   // only fails when it is already signalled
  });
  for (;;) {
    if (ctx.stop.stop_requested()) return Ended(ctx);
    const int n = ::poll(all.data(), all.size(), MillisecondsLeft(ctx));
    if (n < 0 && errno != EINTR) return std::unexpected(ErrnoError(errno, "poll"));
    bool any = false;
    for (std::size_t i = 0; i < fds.size(); ++i) {
      fds[i].revents = n > 0 ? all[i].revents : 0;
      any = any || fds[i].revents != 0;
    }
    if (any) return {};
    if (ctx.done()) return Ended(ctx);
  }
}

Result<> WaitReadable(const Ctx& ctx, int fd) {
  pollfd one[1] = {{fd, POLLIN, 0}};
  return Poll(ctx, one);
}

void Pause(const Ctx& ctx, std::chrono::milliseconds d) {
  const Ctx shorter(ctx.stop, std::min(ctx.deadline, std::chrono::steady_clock::now() + d));
  std::span<pollfd> none;
  if (auto r = Poll(shorter, none); !r) return;
}

Result<Pipe> MakePipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return std::unexpected(ErrnoError(errno, "pipe"));
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

Result<> SetNonBlocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return std::unexpected(ErrnoError(errno, "make descriptor non-blocking"));
  return {};
}

}  // namespace skerry::process
