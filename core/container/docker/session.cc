#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <climits>
#include <condition_variable>
#include <thread>

#include "core/base/files.h"
#include "core/base/guarded.h"
#include "core/base/strings.h"
#include "core/container/docker/client.h"
#include "core/process/wait.h"

namespace skerry::container::docker {
namespace {

constexpr std::size_t kHeader = 8, kSaidLimit = 4096;

class HijackedSession final : public Session {
 public:
  HijackedSession(Client::Hijacked hijacked, bool tty, SessionHooks hooks, UniqueFd stop)
      : tty_(tty), hooks_(std::move(hooks)), connection_(std::move(hijacked.connection)), pending_(std::move(hijacked.early)), stop_(std::move(stop)) {}
  ~HijackedSession() override {
    Kill();
    const std::uint64_t one = 1;
    if (::write(stop_.get(), &one, sizeof one) < 0) {}   // only fails when it is already signalled
    if (thread_.joinable()) thread_.join();
  }

  Result<> Open(bool with_stdin) {
    TRY(auto out, process::MakePipe());
    output_ = std::move(out.read);
    pump_out_ = std::move(out.write);
    if (!tty_) {
      TRY(auto err, process::MakePipe());
      error_ = std::move(err.read);
      pump_err_ = std::move(err.write);
    }
    if (with_stdin) {
      TRY(auto in, process::MakePipe());
      input_ = std::move(in.write);
      pump_in_ = std::move(in.read);
    }
    thread_ = std::thread([this] { Pump(); });
    return {};
  }
  Result<> Resize(std::uint16_t columns, std::uint16_t rows) override { return tty_ ? hooks_.resize(columns, rows) : Result<>(); }
  Result<int> Wait(const Ctx& ctx) override {
    std::string said;
    {
      const std::stop_callback wake(ctx.stop, [this] { changed_.notify_all(); });
      auto done = done_.Lock();
      while (!*done) {
        // Woken now and then too: a stop that comes between the check and the wait would be missed.
        done.WaitUntil(changed_, std::min(ctx.deadline, std::chrono::steady_clock::now() + std::chrono::seconds(1)), [&] { return *done; });
        if (!*done && ctx.done()) return Fail(ctx.stop.stop_requested() ? Code::kCancelled : Code::kTimeout, "still running");
      }
      said = said_;
    }
    return hooks_.wait(ctx, said);
  }
  void Kill() noexcept override {
    bool done = false;
    {
      auto locked = done_.Lock();
      done = *locked;
    }
    if (!done && hooks_.kill) hooks_.kill();
  }

 private:
  void Remember(std::string_view bytes) { said_.append(bytes.substr(0, kSaidLimit - std::min(kSaidLimit, said_.size()))); }
  bool Forward(UniqueFd& to, std::string_view bytes) {
    while (!bytes.empty()) {
      pollfd fds[2] = {{to.get(), POLLOUT, 0}, {stop_.get(), POLLIN, 0}};
      if (::poll(fds, 2, -1) < 0) continue;
      if (fds[1].revents != 0) return false;
      if ((fds[0].revents & POLLERR) != 0) return true;   // the reader has gone: the process must still run to its end
      const ssize_t n = ::write(to.get(), bytes.data(), std::min<std::size_t>(bytes.size(), PIPE_BUF));
      if (n < 0 && errno != EINTR && errno != EAGAIN) return true;
      if (n > 0) bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  // Takes whole frames (or parts of one) off the front of what has arrived.
  bool Deliver() {
    if (tty_) {
      const std::string bytes = std::exchange(pending_, {});
      return Forward(pump_out_, bytes);
    }
    while (!pending_.empty()) {
      if (left_ == 0) {
        if (pending_.size() < kHeader) return true;
        const auto byte = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(pending_[i])); };
        if (byte(0) > 2 || byte(1) != 0 || byte(2) != 0 || byte(3) != 0) {
          // Not a frame: the daemon tells in plain text why the program cannot be run.
          Remember(pending_);
          pending_.clear();
          return true;
        }
        to_error_ = byte(0) == 2;
        left_ = (byte(4) << 24) | (byte(5) << 16) | (byte(6) << 8) | byte(7);
        pending_.erase(0, kHeader);
        continue;
      }
      const std::size_t take = std::min(left_, pending_.size());
      Remember(std::string_view(pending_).substr(0, take));
      if (!Forward(to_error_ ? pump_err_ : pump_out_, std::string_view(pending_).substr(0, take))) return false;
      pending_.erase(0, take);
      left_ -= take;
    }
    return true;
  }
  void PumpInput(std::string& buffer, int flags) {
    const ssize_t n = ::read(pump_in_.get(), buffer.data(), buffer.size());
    if (n > 0) {
      std::string_view rest = std::string_view(buffer).substr(0, static_cast<std::size_t>(n));
      while (!rest.empty()) {
        const ssize_t sent = ::send(connection_.get(), rest.data(), rest.size(), MSG_NOSIGNAL | flags);
        if (sent < 0 && errno != EINTR) {
          pump_in_.Reset();
          return;
        }
        if (sent > 0) rest.remove_prefix(static_cast<std::size_t>(sent));
      }
    } else if (n == 0) {
      ::shutdown(connection_.get(), SHUT_WR);
      pump_in_.Reset();
    }
  }
  void Pump() {
    std::string buffer(32 << 10, '\0');
    bool go = Deliver();
    while (go) {
      pollfd fds[3] = {{connection_.get(), POLLIN, 0}, {pump_in_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
      if (::poll(fds, 3, -1) < 0) continue;
      if (fds[2].revents != 0) {   // what was written before belongs to the process still, as far as it is taken at once
        if (pump_in_ && (fds[1].revents & POLLIN) != 0) PumpInput(buffer, MSG_DONTWAIT);
        break;
      }
      if (fds[0].revents != 0) {
        const ssize_t n = ::recv(connection_.get(), buffer.data(), buffer.size(), 0);
        if (n <= 0) break;
        pending_.append(buffer, 0, static_cast<std::size_t>(n));
        go = Deliver();
      }
      if (go && pump_in_ && fds[1].revents != 0) PumpInput(buffer, 0);
    }
    if (!pending_.empty() && !tty_ && left_ == 0) Remember(pending_);   // shorter than a frame's head
    pump_out_.Reset();
    pump_err_.Reset();
    pump_in_.Reset();
    {
      auto done = done_.Lock();
      *done = true;
    }
    changed_.notify_all();
  }

  const bool tty_;
  const SessionHooks hooks_;
  UniqueFd connection_, pump_in_, pump_out_, pump_err_;   // the pump thread's
  std::string pending_, said_;                            // the pump thread's; said_ is read after done_
  std::size_t left_ = 0;
  bool to_error_ = false;
  Guarded<bool> done_{false};
  std::condition_variable changed_;
  const UniqueFd stop_;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<Session>> MakeSession(Client::Hijacked hijacked, bool tty, bool with_stdin, SessionHooks hooks) {
  UniqueFd stop(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop) return std::unexpected(ErrnoError(errno, "eventfd"));
  auto session = std::make_unique<HijackedSession>(std::move(hijacked), tty, std::move(hooks), std::move(stop));
  TRY_VOID(session->Open(with_stdin));
  return session;
}

}  // namespace skerry::container::docker
