#pragma once
#include <openssl/ssl.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// The client side of the benchmarks: many connections on one thread (epoll), HTTP/1.1 or HTTP/2, plain or TLS. It shares no code with the
// server that it measures. The peer's certificate is not verified: both sides of a comparison would pay the same for it.
namespace skerry::bench {

using Pairs = std::vector<std::pair<std::string, std::string>>;

struct Target {
  std::string host;
  int port = 0;
  bool tls = false, h2 = false;
  Pairs headers;   // sent with every request; names in lower case
};

struct Request {
  std::string method, path, body;
};

struct Answer {
  int status = 0;              // 0: the connection broke
  std::size_t bytes = 0;       // of the body
  std::string body;            // its first 64 KiB
  std::string grpc_status;     // HTTP/2 only
};

class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  // Serves all connections until `done` says so; `done` is asked after every turn, at the latest every `tick_ms`.
  void Run(const std::function<bool()>& done, int tick_ms = 50);
  int fd() const { return epoll_; }

 private:
  int epoll_;
};

using OnData = std::function<void(std::string_view)>;
using OnEnd = std::function<void(const Answer&)>;

// Lives on its loop. HTTP/1.1 carries one request at a time, HTTP/2 any number.
class Connection {
 public:
  static std::unique_ptr<Connection> Open(Loop& loop, const Target& target);   // connects and shakes hands before it returns; exits on failure
  virtual ~Connection();
  virtual void Start(const Request& request, OnData on_data, OnEnd on_end) = 0;
  void OnEvent(std::uint32_t events);

 protected:
  Connection(Loop& loop, const Target& target);
  virtual void OnBytes(std::string_view bytes) = 0;
  virtual void OnClosed() = 0;
  virtual void Pump() {}      // more to send?
  void Send(std::string_view bytes);
  const Target& target_;

 private:
  bool Flush();               // false: broken
  bool ReadAll();
  void Watch();
  int epoll_, fd_;
  SSL* ssl_ = nullptr;
  std::string out_;
  std::size_t sent_ = 0;
  bool wants_write_ = false, closed_ = false;
};

bool Connects(const Target& target);   // does somebody listen?
[[noreturn]] void Die(const std::string& why);

}  // namespace skerry::bench
