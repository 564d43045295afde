#include "core/proxy/upstream.h"

#include <algorithm>
#include <unordered_set>

namespace skerry::proxy {
namespace {
constexpr auto kIdleFor = std::chrono::seconds(30);
constexpr auto kDownFor = std::chrono::seconds(1);
constexpr std::size_t kIdlePerBackend = 64;

std::string Key(const Pool& pool, const std::string& address) {
  if (!pool.tls) return address;
  return Cat(address, '|', pool.server_name, '|', reinterpret_cast<std::uintptr_t>(pool.tls.get()));
}
}  // namespace

std::string StickyValue(std::string_view address) {
  std::uint64_t h = 14695981039346656037ULL;   // FNV-1a and a final mix
  for (const char c : address) h = (h ^ static_cast<std::uint8_t>(c)) * 1099511628211ULL;
  h ^= h >> 31;
  h *= 0x9e3779b97f4a7c15ULL;
  h ^= h >> 32;
  std::string out(16, '0');
  for (auto at = out.rbegin(); at != out.rend(); ++at, h >>= 4) *at = "0123456789abcdef"[h & 15];
  return out;
}

void Upstreams::SetPool(const std::string& id, const Pool& pool) {
  PoolState& state = pools_[id];
  const bool same_speech = state.pool.tls == pool.tls && state.pool.server_name == pool.server_name;
  const auto stays = [&](const Backend& b) { return std::find(pool.backends.begin(), pool.backends.end(), b) != pool.backends.end(); };
  const bool lost = !same_speech || !std::all_of(state.pool.backends.begin(), state.pool.backends.end(), stays);
  state.pool = pool;
  if (lost) CloseUnused();
}

void Upstreams::RemovePool(const std::string& id) {
  pools_.erase(id);
  CloseUnused();
}

void Upstreams::CloseUnused() {
  if (idle_.empty()) return;
  std::unordered_set<std::string> used;
  for (const auto& [id, state] : pools_) {
    for (const Backend& b : state.pool.backends) used.insert(Key(state.pool, b.address));
  }
  std::erase_if(idle_, [&](const auto& entry) { return !used.contains(entry.first); });
}

Upstreams::PoolState* Upstreams::Choose(const std::vector<WeightedPool>& pools, std::size_t draw) {
  PoolState* found = nullptr;
  std::size_t total = 0;
  for (const WeightedPool& p : pools) {
    const auto at = pools_.find(p.pool);
    if (p.weight == 0 || at == pools_.end() || at->second.pool.backends.empty()) continue;   // an empty pool's share goes to the others
    if (pools.size() == 1) return &at->second;
    total += p.weight;
    found = &at->second;
  }
  if (total == 0) return nullptr;
  draw %= total;
  for (const WeightedPool& p : pools) {
    const auto at = pools_.find(p.pool);
    if (p.weight == 0 || at == pools_.end() || at->second.pool.backends.empty()) continue;
    if (draw < p.weight) return &at->second;
    draw -= p.weight;
  }
  return found;
}

void Upstreams::Fill(const PoolState& state, const Backend& backend, Target& out) const {
  out.address = backend.address;
  out.key = Key(state.pool, backend.address);
  out.tls = state.pool.tls;
  out.server_name = state.pool.server_name;
  for (const auto* counter : {&state.pool.counter, &backend.counter}) {
    if (*counter) (*counter)->Add();
  }
}

bool Upstreams::IsDown(const std::string& address) {
  if (down_.empty()) return false;
  const auto at = down_.find(address);
  if (at == down_.end()) return false;
  if (Clock::now() < at->second) return true;
  down_.erase(at);
  return false;
}

void Upstreams::MarkDown(const std::string& address) { down_[address] = Clock::now() + kDownFor; }

bool Upstreams::Pick(const std::vector<WeightedPool>& pools, Target& out) {
  PoolState* state = Choose(pools, draw_++);
  if (state == nullptr) return false;
  const auto& backends = state->pool.backends;
  for (std::size_t tried = 0; tried < backends.size(); ++tried) {
    const Backend& b = backends[state->turn++ % backends.size()];
    if (IsDown(b.address)) continue;
    Fill(*state, b, out);
    return true;
  }
  Fill(*state, backends[state->turn++ % backends.size()], out);
  return true;
}

bool Upstreams::PickByHash(const std::vector<WeightedPool>& pools, std::size_t hash, Target& out) {
  PoolState* state = Choose(pools, hash);
  if (state == nullptr) return false;
  const auto& backends = state->pool.backends;
  for (std::size_t tried = 0; tried < backends.size(); ++tried) {
    const Backend& b = backends[(hash + tried) % backends.size()];
    if (IsDown(b.address) && tried + 1 < backends.size()) continue;
    Fill(*state, b, out);
    return true;
  }
  return false;
}

bool Upstreams::PickSticky(const std::vector<WeightedPool>& pools, std::string_view cookie, Target& out) {
  for (const WeightedPool& p : pools) {
    const auto at = pools_.find(p.pool);
    if (at == pools_.end()) continue;
    for (const Backend& b : at->second.pool.backends) {
      if (StickyValue(b.address) != cookie) continue;
      if (IsDown(b.address)) return false;
      Fill(at->second, b, out);
      return true;
    }
  }
  return false;
}

std::unique_ptr<net::Stream> Upstreams::TakeIdle(const std::string& key) {
  const auto at = idle_.find(key);
  if (at == idle_.end()) return nullptr;
  const auto oldest = Clock::now() - kIdleFor;
  auto& list = at->second;
  while (!list.empty()) {
    Idle last = std::move(list.back());
    list.pop_back();
    if (last.since >= oldest && last.stream->Quiet()) return std::move(last.stream);
  }
  return nullptr;
}

void Upstreams::Keep(const std::string& key, std::unique_ptr<net::Stream> stream) {
  if (closing_) return;
  auto& list = idle_[key];
  if (list.size() >= kIdlePerBackend) list.erase(list.begin());
  list.push_back({std::move(stream), Clock::now()});
  ArmSweep();
}

void Upstreams::ArmSweep() {
  if (sweep_armed_) return;
  sweep_armed_ = true;
  shard_.PostAt(Clock::now() + kIdleFor, [this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    sweep_armed_ = false;
    const auto oldest = Clock::now() - kIdleFor;
    for (auto& [key, list] : idle_) {
      std::erase_if(list, [&](const Idle& i) { return i.since < oldest; });
    }
    std::erase_if(idle_, [](const auto& entry) { return entry.second.empty(); });
    if (!idle_.empty()) ArmSweep();
  });
}

void Upstreams::CloseIdle() {
  closing_ = true;
  idle_.clear();
}

std::size_t Upstreams::idle_count() const {
  std::size_t n = 0;
  for (const auto& [key, list] : idle_) n += list.size();
  return n;
}

}  // namespace skerry::proxy
