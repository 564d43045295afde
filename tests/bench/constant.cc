#include <signal.h>

#include <cstdio>

#include "core/base/files.h"
#include "core/http/server.h"
#include "core/net/tls.h"

// skerry_constant ADDRESS PEM FILE: our HTTP server over TLS answering every request on the shard with the content of FILE, until SIGTERM.
// The least that any answer of ours costs.
namespace {

using namespace skerry;

class Constant final : public http::Handler {
 public:
  explicit Constant(std::string body) : body_(std::move(body)) {}
  http::Reply OnShard(const Ctx&, const http::Request&) override { return http::Response{200, {{"Content-Type", "application/json"}}, body_}; }
  void OnWorker(const Ctx&, std::shared_ptr<const http::Request>, http::ReplyFn done) override { done(http::Response{500, {}, {}}); }

 private:
  const Bytes body_;
};

int Fail(const Error& error) {
  std::fprintf(stderr, "skerry_constant: %s\n", std::string(error.message()).c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: skerry_constant ADDRESS PEM FILE\n");
    return 2;
  }
  sigset_t end;
  sigemptyset(&end);
  sigaddset(&end, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &end, nullptr);
  const auto pem = ReadFile(argv[2]);
  if (!pem) return Fail(pem.error());
  auto body = ReadFile(argv[3]);
  if (!body) return Fail(body.error());
  net::TlsServerConfig tls;
  tls.identity = {*pem, *pem};
  tls.alpn = {"h2", "http/1.1"};
  auto context = net::TlsServerContext::Create(std::move(tls));
  if (!context) return Fail(context.error());
  net::Shards shards;
  WorkerPool workers("bench", 1, 16);
  ElasticPool elastic("bench");
  Constant handler(std::move(*body));
  http::ServerOptions options;
  options.shards = &shards;
  options.handler = &handler;
  options.workers = &workers;
  options.elastic = &elastic;
  options.listen = argv[1];
  options.tls = *context;
  auto server = http::Server::Create(std::move(options));
  if (!server) return Fail(server.error());
  int signal = 0;
  sigwait(&end, &signal);
  (*server)->Stop();
  return 0;
}
