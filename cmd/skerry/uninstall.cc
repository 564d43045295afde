#include <signal.h>

#include <filesystem>
#include <iostream>

#include "cmd/skerry/instance.h"
#include "cmd/skerry/verbs.h"
#include "core/base/files.h"
#include "core/base/strings.h"

namespace skerry::cmd {

int RunUninstall(const std::vector<std::string>& args) {
  const auto options = ParseOptions(args);
  if (!options) return ReportUsage(options.error());
  if (const auto pid = RunningInstance(options->data_dir)) {
    ::kill(*pid, SIGTERM);
    if (!WaitForExit(*pid, 30)) return Report(Error(Code::kTimeout, Cat("process ", *pid, " did not stop within 30 s; nothing was removed")));
  }
  std::error_code error;
  for (const std::string& path : {options->data_dir, options->run_dir, options->kubeconfig_out}) {
    std::filesystem::remove_all(path, error);
    if (error) return Report(Error(Code::kUnavailable, Cat("remove ", path, ": ", error.message())));
  }
  std::cout << "removed\n";
  return kExitOk;
}

}  // namespace skerry::cmd
