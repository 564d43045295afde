#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "core/net/shard.h"
#include "core/net/stream.h"
#include "core/net/task_group.h"
#include "core/proxy/head.h"
#include "core/proxy/proxy.h"
#include "core/proxy/table.h"
#include "core/proxy/upstream.h"
#include "core/telemetry/metrics.h"

// Inside core/proxy: one client connection.
namespace skerry::proxy {

// Bytes read and not yet used. Views into it die when Room moves them.
class Buffer {
 public:
  std::string_view view() const { return {bytes_.data() + begin_, end_ - begin_}; }
  bool empty() const { return begin_ == end_; }
  std::size_t size() const { return end_ - begin_; }
  std::size_t capacity() const { return bytes_.size(); }
  std::span<std::byte> Room(std::size_t want);
  void Added(std::size_t n) { end_ += n; }
  void Consume(std::size_t n) {
    begin_ += n;
    if (begin_ == end_) begin_ = end_ = 0;
  }
  void Clear() { begin_ = end_ = 0; }

 private:
  std::string bytes_;
  std::size_t begin_ = 0, end_ = 0;
};

struct Counters {
  Counters();
  telemetry::Counter* by_class[6];            // index: hundreds of the status
  telemetry::Counter& retries;
  telemetry::Counter& connections;
};

class Connection;

// What one shard needs; touched on the shard only.
struct ShardState {
  explicit ShardState(net::Shard& on) : shard(on), upstreams(on) {}
  net::Shard& shard;
  Upstreams upstreams;
  std::shared_ptr<const Table> table = std::make_shared<const Table>();
  std::unordered_set<Connection*> connections;
  std::unordered_set<net::Stream*> streams;     // in a TLS handshake or passed through
  std::vector<std::unique_ptr<Buffer>> spare;   // large buffers between requests: idle connections hold none
  bool draining = false;

  std::unique_ptr<Buffer> TakeBuffer();
  void GiveBuffer(std::unique_ptr<Buffer> buffer);
};

class Connection {
 public:
  Connection(const Options& options, Counters& counters, ShardState& local, std::unique_ptr<net::Stream> client);
  ~Connection();
  net::Task<void> Run();
  void Drain();             // ends when the current request is served; at once when there is none
  void Abort() noexcept;

 private:
  enum class Outcome : std::uint8_t { kNextRequest, kClose };
  enum class ResponseRead : std::uint8_t { kGot, kClosedBeforeFirstByte, kTimedOut, kBroken };

  net::Task<bool> ReadRequest();
  net::Task<Outcome> Serve();
  net::Task<Outcome> Forward();
  net::Task<bool> ReadSmallBody();
  net::Task<bool> Reach(bool fresh);                   // link_ to target_
  net::Task<ResponseRead> ReadResponse();              // final head in response_; interim ones were passed on
  net::Task<Outcome> Deliver();
  net::Task<bool> CopyBody();
  net::Task<Outcome> Tunnel();
  net::Task<void> PumpRequestBody();
  net::Task<void> StopPump();
  net::Task<Outcome> Reply(int status, std::string_view reason, std::string_view extra_headers, std::string_view text);
  net::Task<void> Linger();
  void ComposeRequest(std::string_view body);
  void ComposeResponse();
  void Release(bool reusable);
  bool IsIdempotent() const;
  bool PickBackend(int attempt);

  const Options& options_;
  Counters& counters_;
  ShardState& local_;
  std::unique_ptr<net::Stream> client_;
  const bool tls_;
  std::string forwarded_;                              // the forwarding headers that every request of this client gets
  std::string client_address_;
  Buffer in_;
  RequestHead request_;
  bool idle_ = true, served_ = false;

  // Of the current request.
  std::shared_ptr<const Table> table_;
  const Route* route_ = nullptr;
  std::string_view path_;                              // origin form of the target
  std::string_view host_;
  bool head_only_ = false, wants_upgrade_ = false, keep_client_ = true;
  Body request_body_, response_body_;
  Target target_;
  std::unique_ptr<net::Stream> link_;
  bool link_reused_ = false, tell_cookie_ = false;
  std::unique_ptr<Buffer> back_;
  ResponseHead response_;
  std::string out_;
  bool pump_failed_ = false;
  std::optional<net::TaskGroup> pump_;
};

}  // namespace skerry::proxy
