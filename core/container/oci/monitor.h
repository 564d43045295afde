#pragma once
#include <memory>

#include "core/container/runtime.h"
#include "core/process/child.h"

// conmon: the per-container parent that keeps streams, log and exit code while we are away. Its protocol: two descriptors (sync, start),
// files in the bundle directory (attach, ctl, winsz) and an exit file.
namespace skerry::container::oci {

struct RuntimeProgram {
  std::string path;                     // crun or runc
  std::vector<std::string> prefix;      // wrapper and its arguments; empty: called directly
  std::string root;                     // --root
  bool is_crun = true;
  std::vector<std::string> Command(std::initializer_list<std::string> arguments) const;   // never wrapped: only "create" needs it
};

struct MonitorSpec {
  std::string conmon, id, bundle, exit_dir, log_path;
  bool tty = false, stdin_open = false, stdin_once = false;
  std::vector<std::string> cgroup_procs;
};
struct Monitored {
  int pid = 0, monitor_pid = 0;
};
// Starts conmon, which lets the runtime create the container. kInvalid with the runtime's words when it refuses; kTimeout.
Result<Monitored> StartMonitor(const Ctx& ctx, const RuntimeProgram& runtime, const MonitorSpec& spec);
Result<> ReopenMonitorLog(const std::string& bundle);

// A client of the container's streams. `wait` gives the container's exit code.
Result<std::unique_ptr<Session>> AttachToMonitor(const std::string& bundle, bool tty, bool with_stdin, std::function<Result<int>(const Ctx&)> wait);

// Runs a process in a running container; `process` is the JSON of its "process" object, `directory` is private to this exec and
// removed with the session.
Result<std::unique_ptr<Session>> StartExec(const RuntimeProgram& runtime, const std::string& id, const std::string& process, const ExecSpec& spec, const std::string& directory);

// "…level=error msg="…"…" or {"msg": …} lines of crun and runc → the message, in plain words.
std::string RuntimeMessage(std::string_view log);

}  // namespace skerry::container::oci
