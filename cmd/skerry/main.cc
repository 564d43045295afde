#include <unistd.h>

#include <iostream>

#include "cmd/skerry/verbs.h"
#include "core/base/strings.h"

namespace skerry::cmd {

int Report(const Error& error) {
  std::cerr << "skerry: " << error.message() << "\n";
  switch (error.code()) {
    case Code::kAlreadyExists: return kExitInUse;
    case Code::kCorruption:
    case Code::kUnsupported: return kExitDamaged;
    case Code::kForbidden: return kExitPrivilege;
    default: return kExitFailure;
  }
}

int ReportUsage(const Error& error) {
  std::cerr << "skerry: " << error.message() << "\n";
  return kExitUsage;
}

namespace {

struct Verb {
  const char* name;
  int (*run)(const std::vector<std::string>&);
  const char* help;
};

constexpr Verb kVerbs[] = {
    {"start", RunStart, "start the appliance in the foreground"},
    {"stop", RunStop, "stop it; pods keep running and are taken over at the next start"},
    {"status", RunStatus, "tell whether it runs and is ready"},
    {"kubeconfig", RunKubeconfig, "print the administrator's kubeconfig"},
    {"console", RunConsole, "print a link that logs in to the console, once"},
    {"token", RunToken, "print an administrator's token for the console, kubectl --token or curl; valid for 12 hours"},
    {"backup", RunBackup, "copy state and keys to a new directory; the appliance may run"},
    {"restore", RunRestore, "put a copy back"},
    {"dev", RunDev, "tools for tests of clusters: `skerry dev hollow-node --count N`"},
    {"uninstall", RunUninstall, "remove every trace from this machine"},
    {"version", RunVersion, "print the version"},
};

int Help(std::ostream& out) {
  out << "skerry is a Kubernetes application platform in one process.\n\nusage: skerry VERB [flags]\n\n";
  for (const Verb& v : kVerbs) {
    std::string name = v.name;
    name.resize(12, ' ');
    out << "  " << name << v.help << "\n";
  }
  out << "\nThe data directory of all verbs is --data-dir (/var/lib/skerry). `skerry start --help` lists all flags.\n\n"
         "exit codes: 0 done, 1 failed, 2 wrong usage, 3 not running, 4 in use (directory or port), 5 data damaged or of a newer version,\n"
         "            6 privilege or kernel feature missing\n";
  return kExitOk;
}

}  // namespace
}  // namespace skerry::cmd

int main(int argc, char** argv) {
  using namespace skerry::cmd;
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.empty()) {
    Help(std::cerr);
    return kExitUsage;
  }
  if (args[0] == "help" || args[0] == "--help" || args[0] == "-h") return Help(std::cout);
  for (const Verb& v : kVerbs) {
    if (args[0] == v.name) return v.run({args.begin() + 1, args.end()});
  }
  return ReportUsage(skerry::Error(skerry::Code::kInvalid, "unknown verb " + skerry::Quote(args[0]) + "; see `skerry help`"));
}
