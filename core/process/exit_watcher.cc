#include "core/process/exit_watcher.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <thread>
#include <atomic>
#include <map>
#include <vector>

#include "core/base/files.h"
#include "core/base/guarded.h"
#include "core/base/strings.h"
#include "core/base/unique_fd.h"

namespace skerry::process {
namespace {

struct StatLine {
  char state = 'X';
  std::uint64_t start = 0;
};

// proc(5): "pid (name) state ppid …", the name may hold anything, field 22 is the start time.
Result<StatLine> ReadStat(pid_t pid) {
  TRY(const std::string text, ReadFile(Cat("/proc/", pid, "/stat"), 4096));
  const std::size_t close = text.rfind(')');
  if (close == std::string::npos) return Fail(Code::kNotFound, "no such process");
  const auto fields = Split(std::string_view(text).substr(std::min(close + 2, text.size())), ' ');
  if (fields.size() < 20 || fields[0].empty()) return Fail(Code::kNotFound, "no such process");
  return StatLine{fields[0][0], ParseUint(fields[19]).value_or(0)};
}

Result<UniqueFd> OpenPid(pid_t pid) {
  UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!fd) return std::unexpected(ErrnoError(errno, Cat("process ", pid)));
  return fd;
}

struct Watched {
  UniqueFd fd;
  std::function<void()> on_exit;
};
struct Table {
  std::map<std::uint64_t, Watched> watched;
  std::uint64_t next = 1;
};

class Epoll final : public ExitWatcher {
 public:
  Epoll(UniqueFd epoll, UniqueFd wake) : epoll_(std::move(epoll)), wake_(std::move(wake)), thread_([this] { Loop(); }) {}
  ~Epoll() override {
    stopping_ = true;
    const std::uint64_t one = 1;
    if (::write(wake_.get(), &one, sizeof one) < 0) {}   // only fails when it is already signalled
    thread_.join();
  }

  Result<> Add(pid_t pid, std::uint64_t start_time, std::function<void()> on_exit) override {
    auto fd = OpenPid(pid);
    // The start time is checked after the pidfd is held: from here on the number cannot change hands.
    if (!fd || !IsAlive(pid, start_time)) {
      auto table = table_.Lock();
      table->watched.emplace(table->next++, Watched{UniqueFd(), std::move(on_exit)});
      const std::uint64_t one = 1;
      if (::write(wake_.get(), &one, sizeof one) < 0) return std::unexpected(ErrnoError(errno, "wake watcher"));
      return {};
    }
    auto table = table_.Lock();
    const std::uint64_t id = table->next++;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = id;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd->get(), &event) != 0) return std::unexpected(ErrnoError(errno, "watch process"));
    table->watched.emplace(id, Watched{*std::move(fd), std::move(on_exit)});
    return {};
  }

 private:
  void Loop() {
    while (!stopping_) {
      epoll_event events[64];
      const int n = ::epoll_wait(epoll_.get(), events, 64, -1);
      std::vector<std::function<void()>> due;
      {
        auto table = table_.Lock();
        for (int i = 0; i < n; ++i) {
          if (events[i].data.u64 == 0) TakeGone(*table, due);
          else Take(*table, events[i].data.u64, due);
        }
      }
      for (auto& callback : due) callback();
    }
  }
  void Take(Table& table, std::uint64_t id, std::vector<std::function<void()>>& due) {
    const auto it = table.watched.find(id);
    if (it == table.watched.end()) return;
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, it->second.fd.get(), nullptr);
    due.push_back(std::move(it->second.on_exit));
    table.watched.erase(it);
  }
  // Those that had ended before they were added.
  void TakeGone(Table& table, std::vector<std::function<void()>>& due) {
    std::uint64_t count = 0;
    if (::read(wake_.get(), &count, sizeof count) < 0) {}   // only clears it
    for (auto it = table.watched.begin(); it != table.watched.end();) {
      if (it->second.fd) {
        ++it;
        continue;
      }
      due.push_back(std::move(it->second.on_exit));
      it = table.watched.erase(it);
    }
  }

  const UniqueFd epoll_, wake_;
  std::atomic<bool> stopping_ = false;
  Guarded<Table> table_;
  std::thread thread_;
};

}  // namespace

Result<std::uint64_t> ProcessStartTime(pid_t pid) {
  TRY(const auto stat, ReadStat(pid));
  return stat.start;
}

bool IsAlive(pid_t pid, std::uint64_t start_time) {
  if (pid <= 0) return false;
  const auto stat = ReadStat(pid);
  return stat && stat->start == start_time && stat->state != 'Z' && stat->state != 'X';
}

Result<> SignalProcess(pid_t pid, std::uint64_t start_time, int signal) {
  auto fd = OpenPid(pid);
  if (!fd || !IsAlive(pid, start_time)) return {};
  if (::syscall(SYS_pidfd_send_signal, fd->get(), signal, nullptr, 0) != 0 && errno != ESRCH) return std::unexpected(ErrnoError(errno, Cat("signal ", signal)));
  return {};
}

Result<std::unique_ptr<ExitWatcher>> ExitWatcher::Create() {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC)), wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll || !wake) return std::unexpected(ErrnoError(errno, "exit watcher"));
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = 0;
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0) return std::unexpected(ErrnoError(errno, "exit watcher"));
  return std::make_unique<Epoll>(std::move(epoll), std::move(wake));
}

}  // namespace skerry::process
