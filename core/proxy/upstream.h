#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/strings.h"
#include "core/net/shard.h"
#include "core/net/stream.h"
#include "core/proxy/table.h"

namespace skerry::proxy {

// Where one request goes. By value: the pool may change while the request runs.
struct Target {
  std::string address, key;   // key: address and how it is spoken to; connections are kept by it
  std::shared_ptr<const net::TlsClientContext> tls;
  std::string server_name;
};

// What a cookie says of a backend: nothing about its address can be read from it, and it is the same on every shard and after a restart.
std::string StickyValue(std::string_view address);

// The backends as one shard knows them, with the connections it keeps open to them. No locks: everything runs on the shard.
class Upstreams {
 public:
  using Clock = std::chrono::steady_clock;
  explicit Upstreams(net::Shard& shard) : shard_(shard) {}

  void SetPool(const std::string& id, const Pool& pool);   // connections kept to backends that left all pools are closed
  void RemovePool(const std::string& id);

  // The next backend of one of the pools, by weight and then in turn; backends that refused a connection within the last second come
  // last. False: there is none at all.
  bool Pick(const std::vector<WeightedPool>& pools, Target& out);
  // The same for a client that should stay where it was: by hash.
  bool PickByHash(const std::vector<WeightedPool>& pools, std::size_t hash, Target& out);
  // The backend that a cookie names; false: it is none of these, or refused lately.
  bool PickSticky(const std::vector<WeightedPool>& pools, std::string_view cookie, Target& out);
  void MarkDown(const std::string& address);

  std::unique_ptr<net::Stream> TakeIdle(const std::string& key);   // null: none that is still good
  void Keep(const std::string& key, std::unique_ptr<net::Stream> stream);
  void CloseIdle();
  std::size_t idle_count() const;

 private:
  struct PoolState {
    Pool pool;
    std::size_t turn = 0;
  };
  struct Idle {
    std::unique_ptr<net::Stream> stream;
    Clock::time_point since;
  };
  PoolState* Choose(const std::vector<WeightedPool>& pools, std::size_t draw);
  void Fill(const PoolState& state, const Backend& backend, Target& out) const;
  bool IsDown(const std::string& address);
  void CloseUnused();
  void ArmSweep();

  net::Shard& shard_;
  std::unordered_map<std::string, PoolState, StringHash, std::equal_to<>> pools_;
  std::unordered_map<std::string, std::vector<Idle>, StringHash, std::equal_to<>> idle_;   // most recently used last
  std::unordered_map<std::string, Clock::time_point> down_;
  std::size_t draw_ = 0;
  bool sweep_armed_ = false, closing_ = false;
  const std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);   // for the sweep; this dies on its shard
};

}  // namespace skerry::proxy
