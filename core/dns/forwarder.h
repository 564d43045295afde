#pragma once
#include <chrono>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/base/clock.h"
#include "core/base/guarded.h"
#include "core/dns/message.h"
#include "core/net/address.h"
#include "core/net/stream.h"

namespace skerry::dns {

// Answers of upstream servers, kept for their time to live (1 s to 5 min; negative ones by their SOA, at most 30 s). Thread-safe; bounded,
// the least recently used goes first.
class Cache {
 public:
  explicit Cache(std::size_t capacity, const Clock& clock = Clock::System()) : capacity_(capacity), clock_(clock) {}
  // The stored answer with its times to live reduced by its age.
  std::optional<Message> Get(const std::string& key);
  void Put(const std::string& key, const Message& answer);   // only answers worth keeping are kept
  static std::string Key(const Question& question, const Message& query);

 private:
  struct Entry {
    std::string key;
    Message answer;
    Clock::MonoTime stored, expires;
  };
  struct State {
    std::list<Entry> entries;   // most recently used first
    std::unordered_map<std::string, std::list<Entry>::iterator> index;
  };
  const std::size_t capacity_;
  const Clock& clock_;
  Guarded<State> state_;
};

struct ForwarderOptions {
  std::vector<std::string> upstreams;               // "192.0.2.1" or "192.0.2.1:53"; empty: the name servers of `resolv_conf`
  std::string resolv_conf = "/etc/resolv.conf";     // read again when it changes
  std::vector<std::string> not_these;               // our own addresses, which must not be asked
  std::chrono::milliseconds per_try{2000}, total{5000};
  std::size_t cache_entries = 10'000;
};

// Asks upstream servers in turn over UDP, over TCP when an answer was cut. Identifiers and source ports are random and answers must
// match both and the question. Usable from several shards.
class Forwarder {
 public:
  explicit Forwarder(ForwarderOptions options);
  // The answer to `query` with its question's name replaced; kUnavailable or kTimeout when no server answered.
  net::Task<Result<Message>> Ask(Message query, std::string name);
  std::vector<net::SocketAddress> Upstreams();

 private:
  net::Task<Result<Message>> AskOne(net::SocketAddress server, Message query, net::Stream::TimePoint deadline);
  net::Task<Result<Message>> AskOverTcp(net::SocketAddress server, Message query, net::Stream::TimePoint deadline);

  const ForwarderOptions options_;
  Cache cache_;
  struct Servers {
    std::vector<net::SocketAddress> list;
    std::int64_t version = -1;                      // of the file: its modification time in nanoseconds
  };
  Guarded<Servers> servers_;
};

// Name servers of a resolv.conf text, as "address"; comments and other lines are skipped.
std::vector<std::string> NameServers(std::string_view resolv_conf);

}  // namespace skerry::dns
