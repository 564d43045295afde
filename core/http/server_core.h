#pragma once
#include <atomic>
#include <set>

#include "core/http/server.h"
#include "core/net/event.h"
#include "core/net/listener.h"
#include "core/net/task.h"
#include "core/net/task_group.h"

// Inside core/http only: what a server's connections share.
namespace skerry::http {

// A connection as Stop sees it. Everything here runs on the connection's shard.
class Stoppable {
 public:
  virtual ~Stoppable() = default;
  virtual void BeginStop() = 0;    // finish what runs, start nothing new
  virtual void CutTunnel() = 0;
  virtual void Cut() = 0;
};

struct Server::Core {
  explicit Core(ServerOptions o) : options(std::move(o)), open(options.shards->size()) {}
  const ServerOptions options;
  std::unique_ptr<net::Listener> listener;
  std::atomic<std::size_t> count{0};
  std::atomic<bool> stopping{false};
  std::stop_source handshakes;
  std::vector<std::set<Stoppable*>> open;   // element i is touched on shard i only
  net::TaskGroup tasks;

  net::Shard& CurrentShard() const {   // on a shard
    std::size_t i = 0;
    while (!options.shards->at(i).IsCurrent()) ++i;
    return options.shards->at(i);
  }
  std::size_t ShardIndex(net::Shard& shard) const {
    std::size_t i = 0;
    while (&options.shards->at(i) != &shard) ++i;
    return i;
  }
};

// Keeps a connection in its shard's set while it runs.
class OpenConnection {
 public:
  OpenConnection(Server::Core& core, std::size_t shard, Stoppable* connection) : set_(core.open[shard]), connection_(connection) {
    set_.insert(connection_);
    if (core.stopping) connection_->BeginStop();
  }
  ~OpenConnection() { set_.erase(connection_); }
  OpenConnection(const OpenConnection&) = delete;
  OpenConnection& operator=(const OpenConnection&) = delete;

 private:
  std::set<Stoppable*>& set_;
  Stoppable* const connection_;
};

// Where a handler's thread leaves its reply. Outlives the connection when the client goes away first.
class ReplySlot {
 public:
  explicit ReplySlot(std::function<void()> wake) : wake_(std::move(wake)) {}
  void Put(Reply reply) {
    {
      std::lock_guard lock(mutex_);
      if (reply_ || taken_) return;
      reply_.emplace(std::move(reply));
    }
    wake_();
  }
  std::optional<Reply> Take() {
    std::lock_guard lock(mutex_);
    if (!reply_) return std::nullopt;
    taken_ = true;
    return std::exchange(reply_, std::nullopt);
  }

 private:
  const std::function<void()> wake_;
  std::mutex mutex_;
  std::optional<Reply> reply_;   // guarded
  bool taken_ = false;           // guarded
};

// On a shard: calls OnWorker on the pool that fits, or here when the server's options say so; a full pool puts Handler::Overloaded. A handler that drops its callback answers 500.
void CallWorker(const Server::Core& core, BodyPolicy::Mode mode, std::stop_token stop, std::shared_ptr<const Request> request,
                std::shared_ptr<ReplySlot> slot);

Response PlainReply(int status, std::string_view why);
std::string_view HttpDate();                       // now, cached per thread and second
bool IsServersHeader(std::string_view name);       // set by the server alone: a handler's value is dropped

net::Task<void> ServeHttp2(std::shared_ptr<Server::Core> core, std::size_t shard, std::unique_ptr<net::Stream> stream);
net::Task<void> ServeHttp1(std::shared_ptr<Server::Core> core, std::size_t shard, std::unique_ptr<net::Stream> stream);

}  // namespace skerry::http
