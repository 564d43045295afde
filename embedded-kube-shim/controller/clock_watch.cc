#include "embedded-kube-shim/controller/clock_watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace skerry::kube {
namespace {

// A timer of the wall clock that never fires: setting the clock cancels it, which a reader is told.
void Arm(int fd) {
  itimerspec never{};
  never.it_value.tv_sec = 9'000'000'000;   // the year 2255
  static_cast<void>(::timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, nullptr));
}

}  // namespace

ClockWatch::ClockWatch(std::function<void()> on_set)
    : on_set_(std::move(on_set)), timer_(::timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK)), stop_(::eventfd(0, EFD_CLOEXEC)) {
  if (!timer_ || !stop_) return;     // then delays simply run out by themselves
  Arm(timer_.get());
  thread_ = std::jthread([this] { Run(); });
}

ClockWatch::~ClockWatch() {
  const std::uint64_t one = 1;
  if (stop_) static_cast<void>(!::write(stop_.get(), &one, sizeof one));
}

void ClockWatch::Run() {
  for (;;) {
    pollfd fds[] = {{timer_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    if (::poll(fds, 2, -1) < 0 && errno != EINTR) return;
    if (fds[1].revents != 0) return;
    if (fds[0].revents == 0) continue;
    std::uint64_t expirations = 0;
    static_cast<void>(!::read(timer_.get(), &expirations, sizeof expirations));   // ECANCELED: the clock was set
    Arm(timer_.get());
    on_set_();
  }
}

}  // namespace skerry::kube
