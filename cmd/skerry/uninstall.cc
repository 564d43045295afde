#include <signal.h>

#include <filesystem>
#include <iostream>

#include "cmd/skerry/data_plane.h"
#include "cmd/skerry/instance.h"
#include "cmd/skerry/runtime.h"
#include "cmd/skerry/verbs.h"
#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/process/mounts.h"

namespace skerry::cmd {

int RunUninstall(const std::vector<std::string>& args) {
  const auto options = ParseInstanceOptions(args);
  if (!options) return ReportUsage(options.error());
  if (const auto pid = RunningInstance(options->data_dir)) {
    ::kill(*pid, SIGTERM);
    if (!WaitForExit(*pid, 30)) return Report(Error(Code::kTimeout, Cat("process ", *pid, " did not stop within 30 s; nothing was removed")));
  }
  const Ctx ctx(std::stop_token(), std::chrono::steady_clock::now() + std::chrono::minutes(5));
  if (auto removed = UninstallRuntime(ctx, *options); !removed) return Report(std::move(removed).error().Wrap("containers are not removed, nothing else was"));
  if (auto removed = podnet::PodNetwork::Uninstall(NetworkOptions(*options)); !removed) return Report(std::move(removed).error().Wrap("pod network"));
  for (const std::string& path : {options->data_dir, options->run_dir, options->kubeconfig_out}) {
    if (path.empty()) continue;
    if (auto removed = process::RemoveTree(std::filesystem::absolute(path).string()); !removed) return Report(std::move(removed).error());
  }
  std::cout << "removed\n";
  return kExitOk;
}

}  // namespace skerry::cmd
