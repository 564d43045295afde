#include <signal.h>

#include <cstdio>

#include "core/base/files.h"
#include "core/proxy/proxy.h"

// skerry_router_bench HTTP_ADDRESS HTTPS_ADDRESS BACKEND CERTIFICATE_AND_KEY: the router alone on one shard with one route, until SIGTERM.
// router.sh puts load on it and on a peer.
int main(int argc, char** argv) {
  using namespace skerry;
  if (argc != 5) {
    std::fprintf(stderr, "usage: skerry_router_bench HTTP_ADDRESS HTTPS_ADDRESS BACKEND PEM\n");
    return 2;
  }
  sigset_t end;
  sigemptyset(&end);
  sigaddset(&end, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &end, nullptr);
  const auto fail = [](const Error& e) {
    std::fprintf(stderr, "%s\n", std::string(e.message()).c_str());
    return 1;
  };
  net::Shards shards(1);
  proxy::Options options;
  options.http = {argv[1]};
  options.https = {argv[2]};
  auto router = proxy::Proxy::Create(shards, options);
  if (!router) return fail(router.error());
  const auto pem = ReadFile(argv[4]);
  if (!pem) return fail(pem.error());
  auto certificate = net::TlsCertificate::Create({*pem, *pem});
  if (!certificate) return fail(certificate.error());
  proxy::Route route;
  route.pools = {{"backend", 1}};
  route.termination = proxy::Termination::kEdge;
  route.name = "bench";
  (*router)->SetPool("backend", {{{argv[3]}}, nullptr, ""});
  (*router)->SetTable(std::make_shared<const proxy::Table>(std::vector<proxy::Route>{route}, *certificate));
  (*router)->Settle();
  (*router)->Start();
  int signal = 0;
  sigwait(&end, &signal);
  (*router)->Stop();
  return 0;
}
