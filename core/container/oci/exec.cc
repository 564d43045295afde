#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>

#include <cstring>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/container/oci/monitor.h"
#include "core/process/exit_watcher.h"
#include "core/process/mounts.h"
#include "core/process/namespaces.h"
#include "core/process/wait.h"

// Execs are driven by us, without a monitor: they end with their caller.
namespace skerry::container::oci {
namespace {

constexpr std::chrono::seconds kConsoleTimeout{30};

class ExecSession final : public Session {
 public:
  ExecSession(std::string directory, bool tty) : directory_(std::move(directory)), tty_(tty) {}
  ~ExecSession() override {
    Kill();
    child_.reset();
    if (auto removed = process::RemoveTree(directory_); !removed) return;   // a directory on a tmpfs; the next start empties it
  }

  Result<> Open(const RuntimeProgram& runtime, const std::string& id, const std::string& process, const ExecSpec& spec);
  Result<> Resize(std::uint16_t columns, std::uint16_t rows) override {
    if (!tty_) return {};
    return process::ResizePty(master_.get(), columns, rows);
  }
  Result<int> Wait(const Ctx& ctx) override {
    TRY(const int code, child_->Wait(ctx));
    if (code == 0 || ReadPid() > 0) return code;
    auto log = ReadFile(directory_ + "/log", 64 << 10);
    std::string message = log ? RuntimeMessage(*log) : std::string();
    if (message.empty()) return code;
    return Fail(Code::kNotFound, std::move(message));
  }
  void Kill() noexcept override {
    if (child_ == nullptr) return;
    if (const int pid = ReadPid(); pid > 0) {
      // The pid file is ours and young; the start time closes the gap to a recycled number.
      const auto start = process::ProcessStartTime(pid);
      if (start && !Ended()) {
        if (auto sent = process::SignalProcess(pid, *start, SIGKILL); !sent) child_->Kill(SIGKILL);
        return;
      }
    }
    child_->Kill(SIGKILL);
  }

 private:
  bool Ended() { return child_->Wait(Ctx{std::stop_token(), std::chrono::steady_clock::now()}).has_value(); }
  int ReadPid() const {
    const auto text = ReadFile(directory_ + "/pid", 64);
    return text ? static_cast<int>(ParseInt(Trim(*text)).value_or(0)) : 0;
  }
  Result<UniqueFd> Listen() const;
  Result<> ReceiveConsole(int listener);

  const std::string directory_;
  const bool tty_;
  UniqueFd master_;              // kept for resizing
  std::unique_ptr<process::Child> child_;
};

Result<UniqueFd> ExecSession::Listen() const {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = directory_ + "/console";
  if (path.size() >= sizeof address.sun_path) return Fail(Code::kInvalid, "run directory has too long a path: " + directory_);
  path.copy(address.sun_path, path.size());
  if (!fd || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || ::listen(fd.get(), 1) != 0) {
    return std::unexpected(ErrnoError(errno, "listen on " + path));
  }
  return fd;
}

// The runtime sends the terminal's master side over the socket (SCM_RIGHTS).
Result<> ExecSession::ReceiveConsole(int listener) {
  const Ctx ctx(std::stop_token(), std::chrono::steady_clock::now() + kConsoleTimeout);
  for (;;) {
    const Ctx slice(std::stop_token(), std::chrono::steady_clock::now() + std::chrono::milliseconds(100));
    if (process::WaitReadable(slice, listener)) break;
    if (Ended()) return Fail(Code::kNotFound, "ended");
    if (ctx.done()) return Fail(Code::kTimeout, "container runtime sends no terminal");
  }
  const UniqueFd connection(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  if (!connection) return std::unexpected(ErrnoError(errno, "accept terminal"));
  TRY_VOID(process::WaitReadable(ctx, connection.get()));
  char data[256];
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  iovec part{data, sizeof data};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  if (::recvmsg(connection.get(), &message, MSG_CMSG_CLOEXEC) < 0) return std::unexpected(ErrnoError(errno, "receive terminal"));
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS) return Fail(Code::kUnavailable, "container runtime sent no terminal");
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  master_.Reset(fd);
  return {};
}

Result<> ExecSession::Open(const RuntimeProgram& runtime, const std::string& id, const std::string& process, const ExecSpec& spec) {
  TRY_VOID(MakeDirectories(directory_));
  const std::string file = directory_ + "/process.json";
  const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) return std::unexpected(ErrnoError(errno, "create " + file));
  TRY_VOID(WriteAll(fd.get(), process));
  process::Command command;
  command.argv = {runtime.path, "--root=" + runtime.root, "--log=" + directory_ + "/log", "exec", "--pid-file=" + directory_ + "/pid", "--process=" + file};
  command.env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  if (!tty_) {
    if (spec.with_stdin) command.in = {.kind = process::Stdio::kPipe};
    command.out = command.err = {.kind = process::Stdio::kPipe};
    command.argv.push_back(id);
    TRY(child_, process::Child::Spawn(command));
    input_ = child_->TakeInput();
    output_ = child_->TakeOutput();
    error_ = child_->TakeError();
    return {};
  }
  if (runtime.is_crun) {
    TRY(const UniqueFd listener, Listen());
    command.argv.push_back("--console-socket=" + directory_ + "/console");
    command.argv.push_back(id);
    TRY(child_, process::Child::Spawn(command));
    if (auto received = ReceiveConsole(listener.get()); !received) {
      if (received.error().code() != Code::kNotFound) return received;
      return {};   // it could not be started: Wait() says why
    }
  } else {
    // runc takes a console socket only for detached processes: it relays between its own terminal and the container's instead.
    TRY(auto pty, process::OpenPty(spec.columns, spec.rows));
    termios raw{};
    ::tcgetattr(pty.slave.get(), &raw);
    ::cfmakeraw(&raw);
    ::tcsetattr(pty.slave.get(), TCSANOW, &raw);
    const process::StdioSpec terminal{process::Stdio::kDescriptor, pty.slave.get()};
    command.in = command.out = command.err = terminal;
    command.new_session = command.controlling_terminal = true;
    command.argv.push_back("--tty");
    command.argv.push_back(id);
    TRY(child_, process::Child::Spawn(command));
    master_ = std::move(pty.master);
  }
  if (spec.columns > 0) TRY_VOID(process::ResizePty(master_.get(), spec.columns, spec.rows));
  output_.Reset(::fcntl(master_.get(), F_DUPFD_CLOEXEC, 3));
  if (spec.with_stdin) input_.Reset(::fcntl(master_.get(), F_DUPFD_CLOEXEC, 3));
  return {};
}

}  // namespace

Result<std::unique_ptr<Session>> StartExec(const RuntimeProgram& runtime, const std::string& id, const std::string& process, const ExecSpec& spec, const std::string& directory) {
  auto session = std::make_unique<ExecSession>(directory, spec.tty);
  TRY_VOID(session->Open(runtime, id, process, spec));
  return session;
}

}  // namespace skerry::container::oci
