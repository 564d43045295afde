#include "core/container/oci/monitor.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <climits>
#include <thread>
#include <cstring>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/json/value.h"
#include "core/process/wait.h"

// Protocol: conmon 2.1, src/ctr_logging.c, conn_sock.c, parent_pipe_fd.c (as observed; the program is used, not linked).
namespace skerry::container::oci {
namespace {

constexpr int kSyncFd = 3, kStartFd = 4;
constexpr std::size_t kMessageLimit = 256 << 10;
const std::vector<std::string> kEnvironment = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};

// One line, or what there is at the end of the stream.
Result<std::string> ReadLine(const Ctx& ctx, int fd) {
  std::string line;
  while (line.size() < kMessageLimit) {
    TRY_VOID(process::WaitReadable(ctx, fd));
    char c = 0;
    const ssize_t n = ::read(fd, &c, 1);
    if (n < 0 && errno != EINTR) return std::unexpected(ErrnoError(errno, "read from conmon"));
    if (n == 0 || c == '\n') return line;
    if (n == 1) line += c;
  }
  return Fail(Code::kTooLarge, "conmon answers more than a line");
}

int ReadPid(const std::string& path) {
  const auto text = ReadFile(path, 64);
  return text ? static_cast<int>(ParseInt(Trim(*text)).value_or(0)) : 0;
}

std::string Unquote(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    out += text[i];
  }
  return out;
}

// Writes to a fifo that somebody reads; fails at once when nobody does.
Result<> WriteFifo(const std::string& path, std::string_view text) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return std::unexpected(ErrnoError(errno, "open " + path));
  return WriteAll(fd.get(), text);
}

}  // namespace

std::vector<std::string> RuntimeProgram::Command(std::initializer_list<std::string> arguments) const {
  std::vector<std::string> out = {path, "--root=" + root};
  out.insert(out.end(), arguments.begin(), arguments.end());
  return out;
}

std::string RuntimeMessage(std::string_view log) {
  std::string out;
  for (std::string_view line : Split(log, '\n')) {
    line = Trim(line);
    if (line.empty()) continue;
    json::Value value;
    std::string error;
    std::string text(line);
    if (line.starts_with('{') && json::Value::Parse(line, &value, &error)) text = value["msg"].Str();
    else if (const std::size_t at = line.find("msg=\""); at != std::string_view::npos) text = Unquote(line.substr(at + 5, line.rfind('"') - at - 5));
    if (!out.empty()) out += "; ";
    out += text;
    if (out.size() > 4096) break;
  }
  return out;
}

Result<Monitored> StartMonitor(const Ctx& ctx, const RuntimeProgram& runtime, const MonitorSpec& spec) {
  TRY(auto sync, process::MakePipe());
  TRY(auto start, process::MakePipe());
  process::Command command;
  command.argv = {spec.conmon, "--api-version", "1", "-c", spec.id, "-u", spec.id, "-n", spec.id, "-b", spec.bundle, "--full-attach",
                  "-p", spec.bundle + "/pidfile", "-P", spec.bundle + "/conmon.pid", "--exit-dir", spec.exit_dir, "--persist-dir", spec.bundle,
                  "--no-new-keyring", "-l", spec.log_path.empty() ? std::string("null:") : "k8s-file:" + spec.log_path};
  std::vector<std::string> program = runtime.prefix;
  program.push_back(runtime.path);
  program.push_back("--root=" + runtime.root);
  command.argv.insert(command.argv.end(), {"-r", program[0]});
  for (std::size_t i = 1; i < program.size(); ++i) command.argv.push_back("--runtime-arg=" + program[i]);
  if (spec.tty) command.argv.emplace_back("-t");
  if (spec.stdin_open) command.argv.emplace_back("-i");
  if (spec.stdin_open && !spec.stdin_once) command.argv.emplace_back("--leave-stdin-open");
  command.env = kEnvironment;
  command.env.push_back(Cat("_OCI_SYNCPIPE=", kSyncFd));
  command.env.push_back(Cat("_OCI_STARTPIPE=", kStartFd));
  command.pass = {{sync.write.get(), kSyncFd}, {start.read.get(), kStartFd}};
  command.cgroup_procs = spec.cgroup_procs;
  command.new_session = true;
  TRY(auto child, process::Child::Spawn(command));
  sync.write.Reset();
  start.read.Reset();
  TRY_VOID(WriteAll(start.write.get(), "\n"));
  TRY(const std::string line, ReadLine(ctx, sync.read.get()));
  TRY_VOID(child->Wait(ctx));   // the first process; the monitor itself has forked away
  json::Value answer;
  std::string error;
  if (!json::Value::Parse(line, &answer, &error) || answer["data"].Int(-1) <= 0) {
    const std::string message = RuntimeMessage(answer["message"].Str());
    return Fail(Code::kInvalid, message.empty() ? Cat("container runtime gave no reason ", Quote(line)) : message);
  }
  return Monitored{static_cast<int>(answer["data"].Int()), ReadPid(spec.bundle + "/conmon.pid")};
}

Result<> ReopenMonitorLog(const std::string& bundle) { return WriteFifo(bundle + "/ctl", "2 0 0\n"); }

namespace {

Result<UniqueFd> ConnectAttach(const std::string& bundle) {
  const UniqueFd directory(::open(bundle.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!directory || !fd) return std::unexpected(ErrnoError(errno, "attach to " + bundle));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/attach", directory.get());
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return std::unexpected(ErrnoError(errno, "attach to container"));
  return fd;
}

// Takes conmon's framed packets apart: one thread between the socket and the descriptors that callers hold.
class AttachSession final : public Session {
 public:
  AttachSession(std::string bundle, bool tty, UniqueFd socket, UniqueFd stop, std::function<Result<int>(const Ctx&)> wait)
      : bundle_(std::move(bundle)), tty_(tty), wait_(std::move(wait)), socket_(std::move(socket)), stop_(std::move(stop)) {}
  ~AttachSession() override {
    Kill();
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
  Result<> Resize(std::uint16_t columns, std::uint16_t rows) override {
    if (!tty_) return {};
    return WriteFifo(bundle_ + "/winsz", Cat(rows, " ", columns, "\n"));
  }
  Result<int> Wait(const Ctx& ctx) override { return wait_(ctx); }
  void Kill() noexcept override {
    const std::uint64_t one = 1;
    if (::write(stop_.get(), &one, sizeof one) < 0) {}   // only fails when it is already signalled
  }

 private:
  // False when the client went away or we are told to stop. A slow client holds the container back, as a terminal would.
  bool Forward(UniqueFd& to, std::string_view bytes) {
    while (!bytes.empty()) {
      pollfd fds[2] = {{to.get(), POLLOUT, 0}, {stop_.get(), POLLIN, 0}};
      if (::poll(fds, 2, -1) < 0) continue;
      if (fds[1].revents != 0 || (fds[0].revents & POLLERR) != 0) return false;
      const ssize_t n = ::write(to.get(), bytes.data(), std::min<std::size_t>(bytes.size(), PIPE_BUF));
      if (n < 0 && errno != EINTR && errno != EAGAIN) return false;
      if (n > 0) bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  // What was written before Kill() belongs to the process still, as far as the monitor takes it at once.
  void SendRest(std::string& buffer) {
    while (pump_in_) {
      pollfd fd{pump_in_.get(), POLLIN, 0};
      if (::poll(&fd, 1, 0) <= 0 || (fd.revents & POLLIN) == 0) return;
      const ssize_t n = ::read(pump_in_.get(), buffer.data(), 8192);
      if (n <= 0 || ::send(socket_.get(), buffer.data(), static_cast<std::size_t>(n), MSG_NOSIGNAL | MSG_DONTWAIT) < 0) return;
    }
  }
  void Pump() {
    std::string buffer(64 << 10, '\0');
    for (;;) {
      pollfd fds[3] = {{socket_.get(), POLLIN, 0}, {pump_in_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}};
      if (::poll(fds, 3, -1) < 0) continue;
      if (fds[2].revents != 0) {
        SendRest(buffer);
        break;
      }
      if (fds[0].revents != 0) {
        const ssize_t n = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
        if (n <= 0) break;
        UniqueFd& to = buffer[0] == 3 && !tty_ ? pump_err_ : pump_out_;
        if (!Forward(to, std::string_view(buffer).substr(1, static_cast<std::size_t>(n) - 1))) break;
      }
      if (pump_in_ && fds[1].revents != 0) {
        const ssize_t n = ::read(pump_in_.get(), buffer.data(), 8192);
        if (n > 0) {
          if (::send(socket_.get(), buffer.data(), static_cast<std::size_t>(n), MSG_NOSIGNAL) < 0) break;
        } else if (n == 0) {
          ::shutdown(socket_.get(), SHUT_WR);
          pump_in_.Reset();
        }
      }
    }
    pump_out_.Reset();
    pump_err_.Reset();
    pump_in_.Reset();
    socket_.Reset();
  }

  const std::string bundle_;
  const bool tty_;
  const std::function<Result<int>(const Ctx&)> wait_;
  UniqueFd socket_, pump_in_, pump_out_, pump_err_;   // the pump thread's
  const UniqueFd stop_;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<Session>> AttachToMonitor(const std::string& bundle, bool tty, bool with_stdin, std::function<Result<int>(const Ctx&)> wait) {
  TRY(auto socket, ConnectAttach(bundle));
  UniqueFd stop(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop) return std::unexpected(ErrnoError(errno, "eventfd"));
  auto session = std::make_unique<AttachSession>(bundle, tty, std::move(socket), std::move(stop), std::move(wait));
  TRY_VOID(session->Open(with_stdin));
  return session;
}

}  // namespace skerry::container::oci
