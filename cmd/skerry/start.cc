#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <iostream>

#include "cmd/skerry/instance.h"
#include "cmd/skerry/verbs.h"
#include "cmd/skerry/wire.h"
#include "core/base/allocator.h"
#include "core/base/strings.h"
#include "core/telemetry/log.h"

namespace skerry::cmd {
namespace {

// A link with a code is a secret: only a terminal gets one, never a journal or a file.
std::string ConsoleLine(const Options& options, Appliance& appliance, const std::string& server) {
  std::string verb = "skerry console";
  if (options.data_dir != Options().data_dir) verb += Cat(" --data-dir ", options.data_dir);
  if (options.run_dir != Options().run_dir) verb += Cat(" --run-dir ", options.run_dir);
  const auto code = ::isatty(STDOUT_FILENO) ? appliance.NewLoginCode() : Fail(Code::kUnsupported, "no terminal");
  if (!code) return Cat("  Console     ", server, "/console/  (log in: ", verb, ")\n");
  return Cat("  Console     ", LoginLink(server, *code), "\n              (opens once, within 15 minutes; another link: ", verb, ")\n");
}

void PrintBanner(const Options& options, Appliance& appliance, std::chrono::milliseconds took) {
  const Addresses& a = appliance.addresses();
  std::string out = Cat("\nskerry is ready after ", took.count(), " ms\n\n");
  const std::string server = ReachableServer(a.api);
  out += Cat("  API         ", server, "\n");
  out += ConsoleLine(options, appliance, server);
  if (!a.registry.empty()) out += Cat("  Registry    ", a.registry, "\n");
  if (!a.router_http.empty()) out += Cat("  Router      http://<name>.", options.apps_domain, a.router_http.ends_with(":80") ? "/" : ":" + a.router_http.substr(a.router_http.rfind(':') + 1) + "/", "\n");
  out += Cat("\n  export KUBECONFIG=", a.kubeconfig, "\n  kubectl get nodes\n");
  if (options.runtime == "none") out += "\n  Control plane only: no node agent runs here (--runtime=none).\n";
  out += "\n";
  std::cout << out << std::flush;
}

}  // namespace

int RunStart(const std::vector<std::string>& args) {
  const auto begin = std::chrono::steady_clock::now();
  auto options = ParseOptions(args);
  if (!options) return ReportUsage(options.error());
  if (options->help) {
    std::cout << StartHelp();
    return kExitOk;
  }
  log::SetLevel(log::ParseLevel(options->log_level == "warn" ? "warn" : options->log_level).value_or(log::Level::kInfo));
  log::SetFormat(log::ParseFormat(options->log_format).value_or(log::Format::kText));
  if (options->runtime != "none" && ::geteuid() != 0) {
    return Report(Error(Code::kForbidden, "running containers needs root; use sudo, or --runtime=none for a control plane alone"));
  }
  TuneAllocator();
  // Signals are taken from a wait, not from handlers: no code runs at an unexpected place.
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int s : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&signals, s);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }

  auto appliance = Appliance::Start(*options);
  if (!appliance) return Report(appliance.error());
  PrintBanner(*options, **appliance, std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin));
  NotifyServiceManager("READY=1");
  int got = 0;
  do {
    ::sigwait(&signals, &got);
  } while (got == SIGHUP);
  NotifyServiceManager("STOPPING=1");
  log::Info("stopping", {{"signal", got}});
  (*appliance)->Stop();
  return kExitOk;
}

}  // namespace skerry::cmd
