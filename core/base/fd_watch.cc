#include "core/base/fd_watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace skerry {

FdWatch::FdWatch(UniqueFd fd, std::function<void(int fd)> on_readable)
    : fd_(std::move(fd)), stop_(::eventfd(0, EFD_CLOEXEC)), on_readable_(std::move(on_readable)) {
  if (fd_ && stop_) thread_ = std::jthread([this] { Run(); });
}

FdWatch::~FdWatch() {
  const std::uint64_t one = 1;
  if (stop_) static_cast<void>(!::write(stop_.get(), &one, sizeof one));
}

void FdWatch::Run() {
  for (;;) {
    pollfd fds[] = {{fd_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    if (::poll(fds, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return;
    }
    if (fds[1].revents != 0) return;
    if (fds[0].revents != 0) on_readable_(fds[0].fd);
  }
}

}  // namespace skerry
