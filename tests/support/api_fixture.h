#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/http/message.h"
#include "embedded-kube-shim/server/api_server.h"

// An API server in this process, spoken to through its HTTP handler: no sockets, no TLS.
namespace skerry::testing {

struct Answer {
  int status = 0;
  http::Headers headers;
  std::string text;
  json::Value body;                  // null when the text is no JSON
  std::unique_ptr<http::Source> source;   // of a watch
  std::string_view Header(std::string_view name) const { return http::Get(headers, name); }
};

class Api {
 public:
  enum class Engine : std::uint8_t { kMemory, kRocks };
  enum class As : std::uint8_t { kAdmin, kAnonymous };
  // `adjust` may change the server's options before each start.
  explicit Api(Engine engine = Engine::kMemory, std::function<void(kube::ApiServerOptions&)> adjust = {});
  ~Api();
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;

  kube::ApiServer& server() { return *server_; }
  std::unique_ptr<kube::Client> Client(std::string manager);       // in system:masters
  std::shared_ptr<const http::Request> Request(std::string_view method, std::string_view target, std::string body, http::Headers headers, As as) const;
  // Waits for the answer, at most ten seconds.
  Answer Call(std::string_view method, std::string_view target, std::string body, http::Headers headers = {}, As as = As::kAdmin);
  // Stops everything and starts it again over the same directory. Engine::kRocks only.
  void Reopen();

 private:
  void Open();
  void Close();

  const Engine engine_;
  const std::function<void(kube::ApiServerOptions&)> adjust_;
  std::string directory_, key_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<kube::Registry> registry_;
  std::unique_ptr<kube::ApiServer> server_;
};

}  // namespace skerry::testing
