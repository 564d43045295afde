#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/base/context.h"
#include "core/http/message.h"

// Outgoing HTTP for plain threads, over the system's libcurl, which is loaded at the first request (proxies, redirects, HTTP/2 are its trade).
namespace skerry::http {

struct ClientRequest {
  std::string method = "GET";
  std::string url;                       // http or https
  Headers headers;
  std::string body;
  // Instead of `body`: called for more bytes until it answers 0. Length -1: chunked.
  std::function<Result<std::size_t>(std::span<std::byte>)> upload;
  std::int64_t upload_length = -1;

  std::string ca_pem;                    // trusted instead of the system's bundle
  std::string certificate_pem, key_pem;  // client certificate
  bool verify_server = true;             // false: any certificate is accepted
  std::string connect_to;                // "address:port" to dial instead of the URL's host, whose name stays in Host and TLS
  std::string unix_socket;               // path to dial instead
  std::string proxy;                     // "http://host:3128"; empty: HTTP_PROXY, HTTPS_PROXY, NO_PROXY of the environment; "none": direct

  int max_redirects = 0;                 // 0: a redirect is the answer. Credentials do not follow to another host.
  std::int64_t max_body = 64 << 20;      // of ClientResponse::body; kTooLarge beyond
  std::chrono::milliseconds connect_timeout = std::chrono::seconds(10);
  std::chrono::seconds stall_timeout = std::chrono::seconds(60);   // without a byte either way; 0: none (watches, followed logs)
};

struct ClientResponse {
  int status = 0;
  Headers headers;       // of the last response when redirects were followed
  std::string body;      // empty when it went to a callback
  std::string url;       // that answered
};

class Client {
 public:
  Client();
  ~Client();   // no call may be running
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;

  // One exchange; any status is a success. Errors: kTimeout, kCancelled, kUnavailable (no connection, cut off), kUnauthenticated (server
  // certificate), kInvalid (URL, PEM), kTooLarge, kUnsupported (no libcurl on this machine), or what a callback answered.
  Result<ClientResponse> Do(const Ctx& ctx, const ClientRequest& request);

  // The body goes to `on_body` piece by piece, after `on_head` saw the status and headers; an error of either ends the exchange.
  using OnHead = std::function<Result<>(const ClientResponse& head)>;
  using OnBody = std::function<Result<>(std::string_view piece)>;
  Result<ClientResponse> Stream(const Ctx& ctx, const ClientRequest& request, const OnHead& on_head, const OnBody& on_body);

  static Client& Shared();   // one for the process: connections are reused between its users

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry::http
