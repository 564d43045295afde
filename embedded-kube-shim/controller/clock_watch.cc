#include "embedded-kube-shim/controller/clock_watch.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <cstdint>

namespace skerry::kube {
namespace {

// A timer of the wall clock that never fires: setting the clock cancels it, which a reader is told.
void Arm(int fd) {
  itimerspec never{};
  never.it_value.tv_sec = 9'000'000'000;   // the year 2255
  static_cast<void>(::timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, nullptr));
}

UniqueFd ArmedTimer() {
  UniqueFd timer(::timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK));
  if (timer) Arm(timer.get());
  return timer;   // without one delays simply run out by themselves
}

}  // namespace

ClockWatch::ClockWatch(std::function<void()> on_set) : watch_(ArmedTimer(), [on_set = std::move(on_set)](int timer) {
  std::uint64_t expirations = 0;
  static_cast<void>(!::read(timer, &expirations, sizeof expirations));   // ECANCELED: the clock was set
  Arm(timer);
  on_set();
}) {}

}  // namespace skerry::kube
