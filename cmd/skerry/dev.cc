#include <malloc.h>
#include <signal.h>

#include <iostream>
#include <map>

#include "cmd/skerry/verbs.h"
#include "core/base/strings.h"
#include "core/telemetry/log.h"
#include "embedded-kube-shim/client/remote_client.h"
#include "embedded-kube-shim/node/hollow.h"

// Tools for people who test clusters. None of them touches an instance's files.
namespace skerry::cmd {
namespace {

constexpr const char* kUsage =
    "usage: skerry dev hollow-node [flags]\n\n"
    "Adds nodes that only pretend to run their pods to any cluster, until it is interrupted.\n\n"
    "  --count N           how many (1)\n"
    "  --kubeconfig FILE   whose cluster; $KUBECONFIG or /etc/skerry/kubeconfig without it\n"
    "  --prefix TEXT       names are TEXT0, TEXT1, … (hollow-)\n"
    "  --cpu, --memory, --pods AMOUNT   what each of them has (32, 128Gi, 250)\n"
    "  --log-level LEVEL   debug, info, warn, error (info)\n";
constexpr std::int64_t kMostNodes = 5000;
constexpr std::chrono::seconds kPatience{30};

struct HollowFlags {
  kube::node::HollowOptions nodes;
  std::string kubeconfig, log_level = "info";
};

Result<HollowFlags> ParseFlags(const std::vector<std::string>& args) {
  HollowFlags flags;
  std::string count = "1";
  const char* from_environment = ::getenv("KUBECONFIG");
  flags.kubeconfig = from_environment && *from_environment ? from_environment : "/etc/skerry/kubeconfig";
  const std::map<std::string, std::string*> known = {{"--count", &count}, {"--kubeconfig", &flags.kubeconfig}, {"--prefix", &flags.nodes.prefix}, {"--cpu", &flags.nodes.cpu},
                                                     {"--memory", &flags.nodes.memory}, {"--pods", &flags.nodes.pods}, {"--log-level", &flags.log_level}};
  for (std::size_t i = 0; i < args.size(); ++i) {
    const std::size_t equals = args[i].find('=');
    const auto it = known.find(args[i].substr(0, equals));
    if (it == known.end()) return Fail(Code::kInvalid, Cat("unknown flag ", Quote(args[i]), "; see `skerry dev hollow-node --help`"));
    if (equals == std::string::npos && i + 1 == args.size()) return Fail(Code::kInvalid, Cat(args[i], ": a value is missing"));
    *it->second = equals != std::string::npos ? args[i].substr(equals + 1) : args[++i];
  }
  const auto number = ParseInt(count);
  if (!number || *number < 1 || *number > kMostNodes) return Fail(Code::kInvalid, Cat("--count=", count, ": expected a number from 1 to ", kMostNodes));
  if (flags.nodes.prefix.empty()) return Fail(Code::kInvalid, "--prefix: must not be empty, or every node of the cluster would be taken for one of these");
  flags.nodes.count = static_cast<int>(*number);
  return flags;
}

int RunHollowNode(const std::vector<std::string>& args) {
  if (!args.empty() && (args[0] == "--help" || args[0] == "-h")) {
    std::cout << kUsage;
    return kExitOk;
  }
  auto flags = ParseFlags(args);
  if (!flags) return ReportUsage(flags.error());
  const auto level = log::ParseLevel(flags->log_level);
  if (!level) return ReportUsage(Error(Code::kInvalid, Cat("--log-level=", flags->log_level, ": expected debug, info, warn or error")));
  log::SetLevel(*level);
  auto server = kube::LoadKubeconfig(flags->kubeconfig);
  if (!server) return Report(server.error());
  ::mallopt(M_ARENA_MAX, 2);
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int s : {SIGTERM, SIGINT}) ::sigaddset(&signals, s);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);

  const Ctx ctx{std::stop_token()};
  const int count = flags->nodes.count;
  const auto client = kube::NewRemoteClient(*server, "kubelet");
  const auto informers = kube::NewRemoteInformers(*server, "kubelet");
  for (const char* resource : {"v1/pods", "v1/nodes"}) informers->Get(resource);
  if (auto synced = informers->WaitForSync(Ctx(ctx.stop, std::chrono::steady_clock::now() + kPatience)); !synced) return Report(synced.error());
  const auto manager = kube::NewManager(*informers, Clock::System());
  kube::node::AddHollowNodes(*manager, *informers, *client, Clock::System(), std::move(flags->nodes));
  if (auto started = manager->Start(ctx); !started) return Report(started.error());
  std::cout << count << (count == 1 ? " hollow node is" : " hollow nodes are") << " at work for " << server->url << "\n" << std::flush;
  int got = 0;
  ::sigwait(&signals, &got);
  manager->Stop();
  informers->Stop();
  return kExitOk;
}

}  // namespace

int RunDev(const std::vector<std::string>& args) {
  if (!args.empty() && args[0] == "hollow-node") return RunHollowNode({args.begin() + 1, args.end()});
  if (!args.empty() && (args[0] == "--help" || args[0] == "-h" || args[0] == "help")) {
    std::cout << kUsage;
    return kExitOk;
  }
  return ReportUsage(Error(Code::kInvalid, "expected `skerry dev hollow-node`; see `skerry dev --help`"));
}

}  // namespace skerry::cmd
