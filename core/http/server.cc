#include "core/http/server.h"

#include <ctime>

#include "core/base/strings.h"
#include "core/http/server_core.h"
#include "core/net/tls.h"

namespace skerry::http {
namespace {

net::Task<void> ServeAccepted(std::shared_ptr<Server::Core> core, std::size_t shard, std::unique_ptr<net::Stream> stream) {
  if (core->options.tls && !stream->info().tls) {
    const auto deadline = std::chrono::steady_clock::now() + core->options.timeouts.handshake;
    std::stop_token stop = core->handshakes.get_token();
    std::string nothing_read;
    auto tls = co_await net::TlsAccept(std::move(stream), core->options.tls, deadline, std::move(nothing_read), std::move(stop));
    if (!tls) co_return;
    stream = std::move(*tls);
  }
  if (stream->info().alpn == "h2") {
    co_await ServeHttp2(core, shard, std::move(stream));
  } else {
    co_await ServeHttp1(core, shard, std::move(stream));
  }
}

net::Task<void> Counted(std::shared_ptr<Server::Core> core, std::size_t shard, std::unique_ptr<net::Stream> stream) {
  if (core->count.fetch_add(1) < core->options.max_connections) co_await ServeAccepted(core, shard, std::move(stream));
  --core->count;
}

// Runs `what` for every connection of every shard.
void ForAll(const std::shared_ptr<Server::Core>& core, void (Stoppable::*what)()) {
  for (std::size_t i = 0; i < core->open.size(); ++i) {
    core->options.shards->at(i).Post([core, i, what] {
      const std::vector<Stoppable*> now(core->open[i].begin(), core->open[i].end());
      for (Stoppable* c : now) (c->*what)();
    });
  }
}

// Guarantees that a slot is filled however the handler's callback ends.
class ReplyGuard {
 public:
  explicit ReplyGuard(std::shared_ptr<ReplySlot> slot) : slot_(std::move(slot)) {}
  ReplyGuard(ReplyGuard&&) = default;
  ReplyGuard& operator=(ReplyGuard&&) = default;
  ~ReplyGuard() {
    if (slot_) slot_->Put(PlainReply(500, "the request was dropped"));
  }
  void operator()(Reply reply) {
    if (auto slot = std::exchange(slot_, nullptr)) slot->Put(std::move(reply));
  }

 private:
  std::shared_ptr<ReplySlot> slot_;
};

}  // namespace

Server::Server(std::shared_ptr<Core> core) : core_(std::move(core)) {}
Server::~Server() { Stop(); }
std::uint16_t Server::bound_port() const noexcept { return core_->listener ? core_->listener->bound_port() : 0; }
std::size_t Server::connections() const noexcept { return core_->count; }

const std::string& Server::address() const noexcept {
  static const std::string none;
  return core_->listener ? core_->listener->address() : none;
}

Result<std::unique_ptr<Server>> Server::Create(ServerOptions options, std::unique_ptr<net::Listener> bound) {
  auto core = std::make_shared<Core>(std::move(options));
  auto server = std::make_unique<Server>(core);
  core->listener = std::move(bound);
  if (!core->listener && !core->options.listen.empty()) {
    TRY(core->listener, net::Listener::Create(*core->options.shards, core->options.listen));
  }
  if (core->listener) {
    core->listener->Start([s = server.get()](net::Shard& shard, std::unique_ptr<net::Stream> stream) { s->Serve(shard, std::move(stream)); });
  }
  return server;
}

void Server::Serve(net::Shard& shard, std::unique_ptr<net::Stream> stream) {
  if (core_->stopping) return;
  core_->tasks.Spawn(shard, Counted(core_, core_->ShardIndex(shard), std::move(stream)));
}

void Server::Stop() noexcept {
  if (core_->stopping.exchange(true)) return;
  if (core_->listener) core_->listener->Stop();
  core_->handshakes.request_stop();
  const auto begin = std::chrono::steady_clock::now();
  const auto& limit = core_->options.timeouts;
  ForAll(core_, &Stoppable::BeginStop);
  if (core_->tasks.JoinUntil(begin + limit.stop / 5)) return;
  ForAll(core_, &Stoppable::CutTunnel);
  if (core_->tasks.JoinUntil(begin + limit.stop)) return;
  ForAll(core_, &Stoppable::Cut);
  core_->tasks.Join();
}

void CallWorker(const Server::Core& core, BodyPolicy::Mode mode, std::stop_token stop, std::shared_ptr<const Request> request,
                std::shared_ptr<ReplySlot> slot) {
  Handler* handler = core.options.handler;
  auto job = [handler, stop = std::move(stop), request, slot] {
    const Ctx ctx(stop);
    handler->OnWorker(ctx, request, ReplyGuard(slot));
  };
  if (mode == BodyPolicy::Mode::kBytes && core.options.runs_on_shard && core.options.runs_on_shard(core.CurrentShard(), *request)) {
    try {
      return job();
    } catch (...) {   // as in a pool: the guard has answered
      return;
    }
  }
  const bool accepted =
      mode == BodyPolicy::Mode::kReader ? core.options.elastic->TrySubmit(std::move(job)) : core.options.workers->TrySubmit(std::move(job));
  if (!accepted) slot->Put(handler->Overloaded(*request));
}

Response PlainReply(int status, std::string_view why) {
  Response out;
  out.status = status;
  out.headers.push_back({"Content-Type", "text/plain; charset=utf-8"});
  out.body = Bytes(Cat(status, " ", ReasonPhrase(status), why.empty() ? "" : ": ", why, "\n"));
  return out;
}

std::string_view HttpDate() {
  thread_local std::time_t at = 0;
  thread_local char text[40];
  const std::time_t now = std::time(nullptr);
  if (now != at) {
    at = now;
    std::tm parts = {};
    gmtime_r(&now, &parts);
    std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);   // the C locale's names: skerry never calls setlocale
  }
  return text;
}

bool IsServersHeader(std::string_view name) {
  switch (name.size()) {
    case 4: return EqualsIgnoreCase(name, "Date");
    case 10: return EqualsIgnoreCase(name, "Connection") || EqualsIgnoreCase(name, "Keep-Alive");
    case 14: return EqualsIgnoreCase(name, "Content-Length");
    case 17: return EqualsIgnoreCase(name, "Transfer-Encoding");
    default: return false;
  }
}

}  // namespace skerry::http
