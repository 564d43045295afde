#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/context.h"
#include "core/base/result.h"
#include "core/net/task_fwd.h"

namespace skerry::crypto {
struct PeerCertificate;   // core/crypto/certificate.h: verified client certificate
}
namespace skerry::net {
class Stream;
}

// Transport-independent HTTP (RFC 9110). Handlers never see a connection: HTTP/1.1 today, HTTP/2 beside it.
namespace skerry::http {

struct Header {
  std::string name, value;
};
using Headers = std::vector<Header>;
// First value of a header, case-insensitive; empty when absent.
std::string_view Get(const Headers& headers, std::string_view name);
bool HasToken(const Headers& headers, std::string_view name, std::string_view token);     // comma lists, case-insensitive
std::vector<std::string> ListValues(const Headers& headers, std::string_view name);       // every element of every line, trimmed
std::string_view ReasonPhrase(int status);

struct QueryParameter {
  std::string key, value;   // percent-decoded, '+' is a space
};

// Blocking, backpressured body for routes that asked for BodyMode::kReader. Runs on a worker. 0 = end.
class BodyReader {
 public:
  virtual ~BodyReader() = default;
  virtual Result<std::size_t> Read(const Ctx& ctx, std::span<std::byte> into) = 0;
};

// Immutable once handed to a handler; owns its bytes.
struct Request {
  std::string method;                     // upper case as sent
  std::string target;                     // as sent: path and query, still encoded
  std::string path;                       // percent-decoded, without query
  std::vector<QueryParameter> query;      // in order, repeated keys kept
  Headers headers;
  std::string body;                       // BodyMode::kBytes; bounded by the policy
  std::shared_ptr<BodyReader> reader;     // BodyMode::kReader; else null
  std::string remote_address;             // "10.0.0.7:40312"; empty for in-process requests
  std::shared_ptr<const crypto::PeerCertificate> peer;   // null without a verified client certificate
  std::string peer_error;                 // a client certificate was presented but does not verify: why
  bool tls = false;

  std::string_view Get(std::string_view header) const { return http::Get(headers, header); }
  std::string_view Query(std::string_view key) const;                   // first value; empty when absent
  bool HasQuery(std::string_view key) const;
  std::vector<std::string_view> QueryAll(std::string_view key) const;
};

struct Response {
  int status = 200;
  Headers headers;                        // Content-Length and Date are the server's (a HEAD reply without body may carry its own length)
  Bytes body;
};
// A range of a file by sendfile. length -1 = to the end.
struct File {
  int status = 200;
  Headers headers;
  std::string path;
  std::int64_t offset = 0, length = -1;
};
// Pull side of a long-lived reply (watch, logs -f, big lists). Called on the shard; Next must not block.
class Source {
 public:
  virtual ~Source() = default;
  // Bytes to send now; empty = nothing yet (OnReady's callback will be called); kCancelled = orderly end; any other error cuts the connection.
  virtual Result<Bytes> Next() = 0;
  // The same behind what is in `out`. A source that makes its bytes for one reader only spares a copy here.
  virtual Result<> AppendNext(std::string& out) {
    TRY(const auto next, Next());
    out += next.view();
    return {};
  }
  // `notify` may be called from any thread, any number of times. Set once, before the first Next.
  virtual void OnReady(std::function<void()> notify) = 0;
};
struct Streaming {
  int status = 200;
  Headers headers;                        // without Content-Length: chunked; with one: exactly that many bytes
  std::unique_ptr<Source> source;
};
// exec, attach, port-forward, proxy upgrades, WebSocket watch: takes over the stream after its response head was sent.
class Tunnel {
 public:
  virtual ~Tunnel() = default;
  virtual int status() const { return 101; }
  virtual Headers headers() const = 0;    // Connection/Upgrade and the chosen protocol included
  virtual net::Task<void> Run(std::unique_ptr<net::Stream> stream) = 0;   // on the connection's shard; bytes read ahead are replayed by the stream
};
struct NeedsWorker {};                    // this answer is not ready on the shard: OnWorker is called
using Reply = std::variant<Response, File, Streaming, std::unique_ptr<Tunnel>, NeedsWorker>;
using ReplyFn = std::move_only_function<void(Reply)>;

struct BodyPolicy {
  enum class Mode : std::uint8_t { kBytes, kReader } mode = Mode::kBytes;
  std::int64_t limit = 3 << 20;           // a longer body is answered with Handler::TooLarge
};

// One per listener; does its own routing. Errors are turned into replies by the handler: it owns its wire's error form.
class Handler {
 public:
  virtual ~Handler() = default;
  virtual BodyPolicy PolicyFor(const Request& /*head*/) const { return {}; }     // shard; headers only
  virtual Reply OnShard(const Ctx&, const Request&) { return NeedsWorker{}; }    // shard; never blocks
  // Worker pool (kReader requests: the elastic pool). `done` is called exactly once, from any thread, now or later.
  // ctx.stop is requested when the client goes away or the server stops.
  virtual void OnWorker(const Ctx& ctx, std::shared_ptr<const Request> request, ReplyFn done) = 0;
  virtual Response TooLarge(const Request&, std::int64_t limit) const;            // 413
  virtual Response Overloaded(const Request&) const;                              // 429 with Retry-After: 1
};

}  // namespace skerry::http
