#include "core/container/runtime.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "core/base/files.h"

namespace skerry::container {

bool IsValidId(std::string_view id) {
  if (id.empty() || id.size() > 128) return false;
  const auto alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (!alnum(id.front())) return false;
  return std::all_of(id.begin(), id.end(), [&](char c) { return alnum(c) || c == '.' || c == '_' || c == '-'; });
}

std::string_view ReasonOf(int exit_code) { return exit_code == 0 ? "Completed" : "Error"; }

namespace {

// Milliseconds to give to poll: -1 without a deadline.
int PollTimeout(const Ctx& ctx) {
  if (ctx.deadline == std::chrono::steady_clock::time_point::max()) return -1;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(ctx.deadline - std::chrono::steady_clock::now()).count() + 1;
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1 << 30));
}

// False at the end of the stream. Output over the limit is read and dropped, so that the process never blocks on it.
bool Drain(int fd, std::string& into, std::size_t limit) {
  char buffer[16384];
  const ssize_t n = ::read(fd, buffer, sizeof buffer);
  if (n < 0) return errno == EINTR || errno == EAGAIN;
  if (n == 0) return false;
  into.append(buffer, std::min(static_cast<std::size_t>(n), limit - std::min(limit, into.size())));
  return true;
}

}  // namespace

Result<ExecResult> Runtime::ExecSync(const Ctx& ctx, std::string_view id, const std::vector<std::string>& argv, std::size_t limit) {
  TRY(auto session, Exec(ctx, id, ExecSpec{.argv = argv}));
  UniqueFd output = session->TakeOutput(), error = session->TakeError();
  const UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return std::unexpected(ErrnoError(errno, "eventfd"));
  const std::stop_callback on_stop(ctx.stop, [&] {
    const std::uint64_t one = 1;
    if (::write(wake.get(), &one, sizeof one) < 0) {}   // only fails when it is already signalled
  });
  ExecResult result;
  while (output || error) {
    if (ctx.done()) {
      session->Kill();
      return Fail(ctx.stop.stop_requested() ? Code::kCancelled : Code::kTimeout, "command did not end in time");
    }
    pollfd fds[3] = {{output.get(), POLLIN, 0}, {error.get(), POLLIN, 0}, {wake.get(), POLLIN, 0}};
    if (::poll(fds, 3, PollTimeout(ctx)) < 0 && errno != EINTR) return std::unexpected(ErrnoError(errno, "poll"));
    if (output && fds[0].revents != 0 && !Drain(output.get(), result.output, limit)) output.Reset();
    if (error && fds[1].revents != 0 && !Drain(error.get(), result.error, limit)) error.Reset();
  }
  auto code = session->Wait(ctx);
  if (!code) {
    session->Kill();
    return std::unexpected(std::move(code).error());
  }
  result.exit_code = *code;
  return result;
}

}  // namespace skerry::container
