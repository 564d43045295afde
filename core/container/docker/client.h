#pragma once
#include "core/container/runtime.h"
#include "core/container/wire/http.h"
#include "core/json/value.h"

namespace skerry::container::docker {

// Calls of the Engine API. Any thread; one connection a call.
class Client {
 public:
  explicit Client(std::string socket) : socket_(std::move(socket)) {}
  // Picks the version both sides know. kUnavailable, kUnsupported.
  Result<> Negotiate(const Ctx& ctx);
  const std::string& server_version() const { return server_version_; }

  // The answer of a 2xx or 304; other statuses become errors with the daemon's message: 404 kNotFound, 409 kConflict, 400 kInvalid, 5xx kUnavailable.
  Result<json::Value> Call(const Ctx& ctx, const std::string& method, const std::string& path, const json::Value* body = nullptr,
                           std::vector<std::pair<std::string, std::string>> headers = {}) const;
  Result<> Stream(const Ctx& ctx, wire::Request request, const wire::Sink& sink) const;
  struct Hijacked {
    UniqueFd connection;
    std::string early;
  };
  // `body` null: none is sent; what follows the head of an attach is the container's input.
  Result<Hijacked> Hijack(const Ctx& ctx, const std::string& path, const json::Value* body) const;

 private:
  Result<UniqueFd> Dial(const Ctx& ctx) const { return wire::DialUnix(ctx, socket_); }
  const std::string socket_;
  std::string version_ = "1.40", server_version_;
};

std::string Escape(std::string_view text);   // for a query or path segment
Error Refused(int status, const std::string& body, const std::string& what);

// Streams of an exec or attach behind a hijacked connection; without a terminal they are framed (8 bytes: stream, 0, 0, 0, length).
struct SessionHooks {
  std::function<Result<>(std::uint16_t columns, std::uint16_t rows)> resize;
  // Given the first output: a daemon that cannot run a program says so there, framed or not, and reports 126 or 127.
  std::function<Result<int>(const Ctx&, const std::string& said)> wait;
  std::function<void()> kill;
};
Result<std::unique_ptr<Session>> MakeSession(Client::Hijacked hijacked, bool tty, bool with_stdin, SessionHooks hooks);

}  // namespace skerry::container::docker
