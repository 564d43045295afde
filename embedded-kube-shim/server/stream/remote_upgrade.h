#pragma once
#include <memory>
#include <string>

#include "core/base/context.h"
#include "core/http/message.h"
#include "core/net/tls.h"

namespace skerry::kube::stream {

// Requests to TLS servers that turn the connection into a byte stream (RFC 9110, 7.8), and the streams that come of them. Thread-safe.
class RemoteUpgrades {
 public:
  struct Request {
    std::string address;                  // "10.0.0.7:443"
    std::string server_name;              // whom the server's certificate must name
    std::string ca_pem;                   // empty: the system's bundle
    net::TlsIdentity identity;
    bool verify = true;
    std::string head;                     // request line and headers, with the empty line
  };
  RemoteUpgrades();
  ~RemoteUpgrades();                      // Stop()
  // Blocks until the server has answered, at most ten seconds: a tunnel when it switched protocols, else its refusal (64 KiB of it).
  Result<http::Reply> Run(const Ctx& ctx, const Request& request);
  void Stop() noexcept;                   // cuts what runs; no reply may be asked for any more

  struct State;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace skerry::kube::stream
