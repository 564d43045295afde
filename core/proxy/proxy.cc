#include "core/proxy/proxy.h"

#include <algorithm>
#include <atomic>
#include <future>

#include "core/base/guarded.h"
#include "core/net/dial.h"
#include "core/net/listener.h"
#include "core/net/streams.h"
#include "core/net/task.h"
#include "core/net/task_group.h"
#include "core/net/tls.h"
#include "core/proxy/client_hello.h"
#include "core/proxy/connection.h"

namespace skerry::proxy {
namespace {

using Clock = std::chrono::steady_clock;

// Keeps a stream where Stop finds it.
class Listed {
 public:
  Listed(ShardState& state, net::Stream* stream) : state_(state), stream_(stream) { state_.streams.insert(stream_); }
  ~Listed() { state_.streams.erase(stream_); }
  Listed(const Listed&) = delete;
  Listed& operator=(const Listed&) = delete;

 private:
  ShardState& state_;
  net::Stream* const stream_;
};

}  // namespace

struct Proxy::Impl {
  Impl(net::Shards& on, Options o) : shards(on), options(std::move(o)) {
    for (std::size_t i = 0; i < shards.size(); ++i) states.push_back(std::make_shared<ShardState>(shards.at(i)));
  }

  ShardState* StateOf(net::Shard& shard) {
    for (auto& s : states) {
      if (&s->shard == &shard) return s.get();
    }
    return nullptr;
  }
  void ForEachShard(const std::function<void(ShardState&)>& fn) {
    for (auto& s : states) s->shard.Post([state = s, fn] { fn(*state); });
  }
  void OnConnection(net::Shard& shard, std::unique_ptr<net::Stream> stream, bool tls);
  net::Task<void> Serve(ShardState* state, std::unique_ptr<net::Stream> stream);
  net::Task<void> ServeTls(ShardState* state, std::unique_ptr<net::Stream> stream);
  net::Task<void> PassThrough(ShardState* state, std::shared_ptr<const Table> table, const Route* route, std::unique_ptr<net::Stream> client, std::string prefix);

  net::Shards& shards;
  const Options options;
  Counters counters;
  std::vector<std::shared_ptr<ShardState>> states;
  Guarded<std::shared_ptr<const Table>> table;   // for certificates; the shards have their own
  std::shared_ptr<net::TlsServerContext> tls_context;
  std::vector<std::unique_ptr<net::Listener>> plain, secure;
  std::vector<std::string> http_addresses, https_addresses;
  std::atomic<bool> stopped{false};
  net::TaskGroup tasks;
};

Proxy::Proxy(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Proxy::~Proxy() { Stop(); }
const std::vector<std::string>& Proxy::http_addresses() const { return impl_->http_addresses; }
const std::vector<std::string>& Proxy::https_addresses() const { return impl_->https_addresses; }

Result<std::unique_ptr<Proxy>> Proxy::Create(net::Shards& shards, Options options) {
  auto impl = std::make_unique<Impl>(shards, std::move(options));
  for (const std::string& address : impl->options.http) {
    TRY(auto listener, net::Listener::Create(shards, address));
    impl->http_addresses.push_back(listener->address());
    impl->plain.push_back(std::move(listener));
  }
  for (const std::string& address : impl->options.https) {
    TRY(auto listener, net::Listener::Create(shards, address));
    impl->https_addresses.push_back(listener->address());
    impl->secure.push_back(std::move(listener));
  }
  net::TlsServerConfig config;
  config.alpn = {"http/1.1"};
  config.select = [raw = impl.get()](std::string_view name) -> std::shared_ptr<const net::TlsCertificate> {
    std::shared_ptr<const Table> now;
    {
      auto locked = raw->table.Lock();
      now = *locked;
    }
    return now ? now->CertificateFor(name) : nullptr;
  };
  TRY(impl->tls_context, net::TlsServerContext::Create(std::move(config)));
  return std::unique_ptr<Proxy>(new Proxy(std::move(impl)));
}

void Proxy::Start() {
  for (auto& listener : impl_->plain) {
    listener->Start([impl = impl_.get()](net::Shard& shard, std::unique_ptr<net::Stream> s) { impl->OnConnection(shard, std::move(s), false); });
  }
  for (auto& listener : impl_->secure) {
    listener->Start([impl = impl_.get()](net::Shard& shard, std::unique_ptr<net::Stream> s) { impl->OnConnection(shard, std::move(s), true); });
  }
}

void Proxy::Stop() noexcept {
  if (impl_->stopped.exchange(true)) return;
  for (auto& listener : impl_->plain) listener->Stop();
  for (auto& listener : impl_->secure) listener->Stop();
  impl_->ForEachShard([](ShardState& s) {
    s.draining = true;
    s.upstreams.CloseIdle();
    for (Connection* c : s.connections) c->Drain();
  });
  for (auto& s : impl_->states) {
    s->shard.PostAt(Clock::now() + impl_->options.drain, [weak = std::weak_ptr(s)] {
      const auto state = weak.lock();
      if (!state) return;
      for (Connection* c : state->connections) c->Abort();
      for (net::Stream* stream : state->streams) stream->Abort();
    });
  }
  impl_->tasks.Join();
  // What lives on a shard dies there.
  for (auto& s : impl_->states) {
    std::promise<void> gone;
    net::Shard& shard = s->shard;
    shard.Post([state = std::move(s), &gone]() mutable {
      state.reset();
      gone.set_value();
    });
    gone.get_future().wait();
  }
  impl_->states.clear();
}

void Proxy::SetTable(std::shared_ptr<const Table> table) {
  {
    auto locked = impl_->table.Lock();
    *locked = table;
  }
  impl_->ForEachShard([table](ShardState& s) { s.table = table; });
}

void Proxy::SetPool(const std::string& id, Pool pool) {
  impl_->ForEachShard([id, pool = std::make_shared<const Pool>(std::move(pool))](ShardState& s) { s.upstreams.SetPool(id, *pool); });
}

void Proxy::RemovePool(const std::string& id) {
  impl_->ForEachShard([id](ShardState& s) { s.upstreams.RemovePool(id); });
}

void Proxy::Settle() {
  for (auto& s : impl_->states) {
    std::promise<void> reached;
    s->shard.Post([&reached] { reached.set_value(); });
    reached.get_future().wait();
  }
}

void Proxy::Impl::OnConnection(net::Shard& shard, std::unique_ptr<net::Stream> stream, bool tls) {
  ShardState* state = StateOf(shard);
  if (state == nullptr || state->draining) return;
  if ((state->connections.size() + state->streams.size()) * states.size() >= options.max_connections) return;
  counters.connections.Add();
  tasks.Spawn(shard, tls ? ServeTls(state, std::move(stream)) : Serve(state, std::move(stream)));
}

net::Task<void> Proxy::Impl::Serve(ShardState* state, std::unique_ptr<net::Stream> stream) {
  Connection connection(options, counters, *state, std::move(stream));
  co_await connection.Run();
}

net::Task<void> Proxy::Impl::ServeTls(ShardState* state, std::unique_ptr<net::Stream> stream) {
  const auto deadline = Clock::now() + options.head_timeout;
  std::string prefix;
  if (state->table->has_passthrough()) {
    const Listed listed(*state, stream.get());
    stream->ReadExpiresAt(deadline);
    std::vector<std::byte> chunk(2048);
    const std::span<std::byte> room(chunk);
    Sni sni;
    while (sni.state == Sni::State::kIncomplete) {
      const auto n = co_await stream->Read(room);
      if (!n || *n == 0) co_return;
      prefix.append(reinterpret_cast<const char*>(chunk.data()), *n);
      sni = ReadSni(prefix);
    }
    const auto now = state->table;
    if (const Route* route = now->FindPassthrough(sni.name)) {
      co_await PassThrough(state, now, route, std::move(stream), std::move(prefix));
      co_return;
    }
  }
  auto accepted = co_await net::TlsAccept(std::move(stream), tls_context, deadline, std::move(prefix));
  if (!accepted || state->draining) co_return;
  co_await Serve(state, std::move(*accepted));
}

net::Task<void> Proxy::Impl::PassThrough(ShardState* state, std::shared_ptr<const Table> held, const Route* route, std::unique_ptr<net::Stream> client,
                                         std::string prefix) {
  const auto keep = std::move(held);   // the route lives in it
  const Listed listed(*state, client.get());
  const std::string& remote = client->info().remote;
  const std::size_t hash = std::hash<std::string_view>{}(std::string_view(remote).substr(0, remote.rfind(':')));   // a client stays with its backend
  for (int attempt = 0; attempt < 3; ++attempt) {
    Target target;
    if (!state->upstreams.PickByHash(route->pools, hash, target)) co_return;
    net::DialTarget to;
    to.address = target.address;
    const auto deadline = Clock::now() + options.connect_timeout;
    auto dialed = co_await net::Dial(to, deadline);
    if (!dialed) {
      state->upstreams.MarkDown(target.address);
      continue;
    }
    const std::unique_ptr<net::Stream> backend = std::move(*dialed);
    const std::string_view bytes(prefix);
    backend->WriteExpiresAt(deadline);
    const auto written = co_await backend->Write(bytes);
    if (!written) co_return;
    client->ExpiresAt(Clock::time_point::max());
    backend->ExpiresAt(Clock::time_point::max());
    co_await net::Relay(*client, *backend, options.tunnel_idle);
    co_return;
  }
}

}  // namespace skerry::proxy
