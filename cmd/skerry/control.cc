#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <iostream>

#include "cmd/skerry/instance.h"
#include "cmd/skerry/pki.h"
#include "cmd/skerry/verbs.h"
#include "cmd/skerry/wire.h"
#include "core/base/files.h"
#include "core/base/strings.h"

// Verbs about an instance that runs, or ran: stop, status, kubeconfig, version.
namespace skerry::cmd {

int RunVersion(const std::vector<std::string>&) {
  std::cout << "skerry " << kVersion << " (Kubernetes API " << kKubernetesVersion << ")\n";
  return kExitOk;
}

int RunStop(const std::vector<std::string>& args) {
  const auto options = ParseInstanceOptions(args);
  if (!options) return ReportUsage(options.error());
  const auto pid = RunningInstance(options->data_dir);
  if (!pid) {
    std::cerr << "skerry: no instance uses " << options->data_dir << "\n";
    return kExitNotRunning;
  }
  if (::kill(*pid, SIGTERM) != 0) return Report(ErrnoError(errno, Cat("stop process ", *pid)));
  if (!WaitForExit(*pid, 30)) return Report(Error(Code::kTimeout, Cat("process ", *pid, " did not stop within 30 s; look at its log")));
  std::cout << "stopped\n";
  return kExitOk;
}

int RunStatus(const std::vector<std::string>& args) {
  const auto options = ParseInstanceOptions(args);
  if (!options) return ReportUsage(options.error());
  const auto pid = RunningInstance(options->data_dir);
  if (!pid) {
    std::cout << "not running (" << options->data_dir << ")\n";
    return kExitNotRunning;
  }
  auto api = ReadFile(options->run_dir + "/api-address", 256);
  std::cout << "running: process " << *pid << ", data " << options->data_dir;
  if (api) std::cout << ", API " << ReachableServer(std::string(Trim(*api)));
  std::cout << "\n";
  return kExitOk;
}

int RunKubeconfig(const std::vector<std::string>& args) {
  const auto options = ParseInstanceOptions(args);
  if (!options) return ReportUsage(options.error());
  auto text = ReadFile(options->data_dir + "/kubeconfig", 1 << 20);
  if (!text) return Report(Error(text.error().code(), Cat("no kubeconfig in ", options->data_dir, ": start the appliance once (", text.error().message(), ")")));
  std::cout << *text;
  return kExitOk;
}

}  // namespace skerry::cmd
