#include "core/process/child.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <mutex>
#include <algorithm>
#include <cstring>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/process/wait.h"

namespace skerry::process {
namespace {

constexpr std::size_t kStackSize = 64 << 10;

// What the child needs, prepared by the parent: between clone and exec no memory is allocated and no lock taken. The memory is
// shared (CLONE_VM) and the parent is suspended (CLONE_VFORK), so `error` and `step` are the answer.
struct Plan {
  const char* const* argv;
  const char* const* env;
  const char* working_dir;
  int stdio[3];
  std::vector<std::pair<int, int>> moves;    // descriptor (≥ kSafe) → target
  std::vector<int> cgroups;
  int netns = -1;
  bool new_session = false, controlling_terminal = false;
  int death_signal = 0;
  int error = 0;
  const char* step = "";
};

constexpr int kSafe = 64;   // sources are moved above every target first, so that targets cannot overwrite them

bool Step(Plan& plan, const char* name, long result) {
  if (result >= 0) return true;
  plan.error = errno;
  plan.step = name;
  return false;
}

bool Prepare(Plan& plan) {
  for (int s = 1; s < NSIG; ++s) ::signal(s, SIG_DFL);
  if (plan.death_signal != 0 && !Step(plan, "set death signal", ::prctl(PR_SET_PDEATHSIG, plan.death_signal))) return false;
  for (const int fd : plan.cgroups) {
    if (!Step(plan, "enter cgroup", ::write(fd, "0", 1))) return false;
  }
  if (plan.netns >= 0 && !Step(plan, "enter network namespace", ::setns(plan.netns, CLONE_NEWNET))) return false;
  if (plan.new_session) ::setsid();
  for (int i = 0; i < 3; ++i) {
    if (!Step(plan, "set up standard streams", ::dup2(plan.stdio[i], i))) return false;
  }
  int highest = 2;
  for (const auto& [from, to] : plan.moves) {
    if (!Step(plan, "pass descriptor", ::dup2(from, to))) return false;
    highest = std::max(highest, to);
  }
  // Targets are consecutive in practice; gaps below the highest are closed one by one.
  for (int fd = 3; fd < highest; ++fd) {
    bool wanted = false;
    for (const auto& move : plan.moves) wanted = wanted || move.second == fd;
    if (!wanted) ::close(fd);
  }
  ::syscall(SYS_close_range, highest + 1, ~0U, 0);
  if (plan.controlling_terminal && !Step(plan, "set controlling terminal", ::ioctl(0, TIOCSCTTY, 0))) return false;
  return Step(plan, "change directory", ::chdir(plan.working_dir));
}

int ChildMain(void* argument) {
  Plan& plan = *static_cast<Plan*>(argument);
  if (Prepare(plan)) {
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execve(plan.argv[0], const_cast<char* const*>(plan.argv), const_cast<char* const*>(plan.env));
    plan.error = errno;
    plan.step = "exec";
  }
  ::_exit(127);
}

std::vector<const char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<const char*> out;
  for (const std::string& s : strings) out.push_back(s.c_str());
  out.push_back(nullptr);
  return out;
}

Result<UniqueFd> OpenFor(const std::string& path, int flags) {
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC));
  if (!fd) return std::unexpected(ErrnoError(errno, "open " + path));
  return fd;
}

Result<UniqueFd> Lift(int fd) {
  UniqueFd lifted(::fcntl(fd, F_DUPFD_CLOEXEC, kSafe));
  if (!lifted) return std::unexpected(ErrnoError(errno, "duplicate descriptor"));
  return lifted;
}

// The child's side of one standard stream, and the parent's side when it is a pipe.
struct StdioEnds {
  UniqueFd child, parent;
};
Result<StdioEnds> PrepareStdio(const StdioSpec& spec, bool is_input) {
  StdioEnds ends;
  if (spec.kind == Stdio::kDescriptor) {
    TRY(ends.child, Lift(spec.descriptor));
  } else if (spec.kind == Stdio::kNull) {
    TRY(const UniqueFd null, OpenFor("/dev/null", is_input ? O_RDONLY : O_WRONLY));
    TRY(ends.child, Lift(null.get()));
  } else {
    TRY(auto pipe, MakePipe());
    TRY(ends.child, Lift(is_input ? pipe.read.get() : pipe.write.get()));
    ends.parent = std::move(is_input ? pipe.write : pipe.read);
  }
  return ends;
}

// Signals stay blocked across clone so that no handler runs in the child while it shares our memory.
class BlockSignals {
 public:
  BlockSignals() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &old_);
  }
  ~BlockSignals() { ::pthread_sigmask(SIG_SETMASK, &old_, nullptr); }

 private:
  sigset_t old_;
};

}  // namespace

Result<std::unique_ptr<Child>> Child::Spawn(const Command& command) {
  if (command.argv.empty() || !command.argv[0].starts_with('/')) return Fail(Code::kInvalid, "a program needs an absolute path");
  const auto argv = Pointers(command.argv), env = Pointers(command.env);
  Plan plan;
  plan.argv = argv.data();
  plan.env = env.data();
  plan.working_dir = command.working_dir.empty() ? "/" : command.working_dir.c_str();
  plan.new_session = command.new_session;
  plan.controlling_terminal = command.controlling_terminal;
  plan.death_signal = command.death_signal;

  std::vector<UniqueFd> held;   // open until the child has its own copies
  std::unique_ptr<Child> child(new Child);
  UniqueFd* const parents[3] = {&child->in_, &child->out_, &child->err_};
  const StdioSpec* const specs[3] = {&command.in, &command.out, &command.err};
  for (int i = 0; i < 3; ++i) {
    TRY(auto ends, PrepareStdio(*specs[i], i == 0));
    plan.stdio[i] = ends.child.get();
    held.push_back(std::move(ends.child));
    *parents[i] = std::move(ends.parent);
  }
  for (const auto& [from, to] : command.pass) {
    if (to < 3 || to >= kSafe) return Fail(Code::kInvalid, "descriptor number out of range");
    TRY(auto lifted, Lift(from));
    plan.moves.emplace_back(lifted.get(), to);
    held.push_back(std::move(lifted));
  }
  for (const std::string& path : command.cgroup_procs) {
    TRY(auto fd, OpenFor(path, O_WRONLY));
    plan.cgroups.push_back(fd.get());
    held.push_back(std::move(fd));
  }
  if (!command.netns_path.empty()) {
    TRY(auto fd, OpenFor(command.netns_path, O_RDONLY));
    plan.netns = fd.get();
    held.push_back(std::move(fd));
  }

  void* const stack = ::mmap(nullptr, kStackSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) return std::unexpected(ErrnoError(errno, "stack for " + command.argv[0]));
  int pidfd = -1;
  int pid = -1;
  {
    const BlockSignals blocked;
    pid = ::clone(ChildMain, static_cast<char*>(stack) + kStackSize, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &plan, &pidfd);
  }
  const int clone_error = errno;
  ::munmap(stack, kStackSize);
  if (pid < 0) return std::unexpected(ErrnoError(clone_error, "start " + command.argv[0]));
  child->pid_ = pid;
  child->pidfd_.Reset(pidfd);
  if (plan.error != 0) {   // the destructor reaps
    return std::unexpected(ErrnoError(plan.error, Cat(plan.step, " ", command.argv[0])));
  }
  return child;
}

Child::~Child() {
  if (pid_ < 0 || released_) return;
  {
    const std::lock_guard lock(mutex_);
    if (code_) return;
  }
  Kill(SIGKILL);
  if (auto r = Wait(Ctx{std::stop_token()}); !r) return;   // only fails when somebody else reaped it
}

Result<int> Child::Reap() {
  const std::lock_guard lock(mutex_);
  if (code_) return *code_;
  siginfo_t info{};
  if (::waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED) != 0) return std::unexpected(ErrnoError(errno, "wait for process"));
  code_ = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
  return *code_;
}

Result<int> Child::Wait(const Ctx& ctx) {
  TRY_VOID(WaitReadable(ctx, pidfd_.get()));
  return Reap();
}

void Child::Kill(int signal) noexcept {
  const std::lock_guard lock(mutex_);
  if (!code_) ::syscall(SYS_pidfd_send_signal, pidfd_.get(), signal, nullptr, 0);
}

namespace {

// False at the end.
bool ReadSome(UniqueFd& fd, std::string& into, std::size_t limit) {
  char buffer[16384];
  const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
  if (n < 0) return errno == EINTR || errno == EAGAIN;
  if (n == 0) return false;
  into.append(buffer, std::min(static_cast<std::size_t>(n), limit - std::min(limit, into.size())));
  return true;
}

// False when nothing is left to write or the reader is gone.
bool WriteSome(UniqueFd& fd, std::string_view& input) {
  const ssize_t n = ::write(fd.get(), input.data(), input.size());
  if (n < 0) return errno == EINTR || errno == EAGAIN;
  input.remove_prefix(static_cast<std::size_t>(n));
  return !input.empty();
}

}  // namespace

Result<Output> Run(const Ctx& ctx, Command command, std::string_view input, std::size_t limit) {
  command.out = command.err = {.kind = Stdio::kPipe};
  if (!input.empty()) command.in = {.kind = Stdio::kPipe};
  TRY(auto child, Child::Spawn(command));
  UniqueFd in = child->TakeInput(), out = child->TakeOutput(), err = child->TakeError();
  if (in) TRY_VOID(SetNonBlocking(in.get()));
  Output result;
  while (in || out || err) {
    pollfd fds[3] = {{out.get(), POLLIN, 0}, {err.get(), POLLIN, 0}, {in.get(), POLLOUT, 0}};
    TRY_VOID(Poll(ctx, fds));
    if (out && fds[0].revents != 0 && !ReadSome(out, result.out, limit)) out.Reset();
    if (err && fds[1].revents != 0 && !ReadSome(err, result.err, limit)) err.Reset();
    if (in && fds[2].revents != 0 && !WriteSome(in, input)) in.Reset();
  }
  TRY(result.exit_code, child->Wait(ctx));
  return result;
}

Result<std::string> FindProgram(std::string_view name) {
  for (const char* directory : {"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/libexec/podman"}) {
    std::string path = Cat(directory, "/", name);
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return Fail(Code::kNotFound, Cat("program ", name, " is not installed"));
}

}  // namespace skerry::process
