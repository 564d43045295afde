#pragma once
#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>
#include <mutex>
#include <optional>

#include "core/base/context.h"
#include "core/base/result.h"
#include "core/base/unique_fd.h"

namespace skerry::process {

enum class Stdio : std::uint8_t { kNull, kPipe, kDescriptor };

struct StdioSpec {
  Stdio kind = Stdio::kNull;
  int descriptor = -1;          // kDescriptor: stays the caller's
};

// A program to run. Nothing is inherited that is not named here: no descriptor, no environment, no signal mask or handler.
struct Command {
  std::vector<std::string> argv;             // argv[0] is an absolute path; never a shell line
  std::vector<std::string> env;              // the whole environment
  std::string working_dir;                   // empty: "/"
  StdioSpec in, out, err;
  std::vector<std::pair<int, int>> pass;     // caller's descriptor → number in the child (3 and up)
  std::string netns_path;                    // joined before exec; empty: ours
  std::vector<std::string> cgroup_procs;     // cgroup.procs files that the child enters before exec
  bool new_session = false;                  // setsid
  bool controlling_terminal = false;         // with new_session: descriptor 0 becomes the terminal
  int death_signal = 0;                      // sent when the spawning *thread* ends
};

// A child process held by a pidfd. Destroying it kills and reaps; Release() lets it go on (somebody else or init reaps it).
class Child {
 public:
  // kNotFound: no such program; other codes name the step that failed ("exec /x: …").
  static Result<std::unique_ptr<Child>> Spawn(const Command& command);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const noexcept { return pid_; }
  UniqueFd TakeInput() { return std::move(in_); }
  UniqueFd TakeOutput() { return std::move(out_); }
  UniqueFd TakeError() { return std::move(err_); }
  // Exit code, 128 + n after signal n. Repeatable, any thread.
  Result<int> Wait(const Ctx& ctx);
  void Kill(int signal) noexcept;            // nothing when it has ended
  void Release() noexcept { released_ = true; }

 private:
  Child() = default;
  Result<int> Reap();
  pid_t pid_ = -1;
  UniqueFd pidfd_, in_, out_, err_;
  bool released_ = false;
  std::mutex mutex_;
  std::optional<int> code_;                  // guarded by mutex_
};

struct Output {
  int exit_code = 0;
  std::string out, err;                      // cut at the limit; the program never blocks on the rest
};
// Runs to the end. Past the deadline, or when stopped, the program is killed and kTimeout or kCancelled returned.
// `input` is written to its standard input.
Result<Output> Run(const Ctx& ctx, Command command, std::string_view input = {}, std::size_t limit = 1 << 20);

// Searches PATH-like "/usr/local/sbin:/usr/sbin:…" for a program. kNotFound.
Result<std::string> FindProgram(std::string_view name);

}  // namespace skerry::process
