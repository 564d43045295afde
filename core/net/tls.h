#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "core/net/stream.h"

// TLS 1.2 and 1.3 over sockets. Certificates and keys are PEM text; errors of Create say which part is wrong (kInvalid).
namespace skerry::net {

struct TlsIdentity {
  std::string chain_pem;   // leaf first
  std::string key_pem;
  bool empty() const { return chain_pem.empty() && key_pem.empty(); }
};

// A parsed identity, ready to be offered. Immutable, shared between connections.
class TlsCertificate {
 public:
  static Result<std::shared_ptr<const TlsCertificate>> Create(const TlsIdentity& identity);   // kInvalid: no certificate, or key and leaf differ
  struct Impl;
  explicit TlsCertificate(std::unique_ptr<Impl> impl);
  ~TlsCertificate();
  const Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

enum class ClientAuth : std::uint8_t {
  kNone,
  kRequest,   // asked for; a certificate that does not verify is reported in ConnectionInfo::peer_error, the connection stands
  kRequire,   // the handshake fails without a verified one
};

struct TlsServerConfig {
  TlsIdentity identity;           // may be empty when `select` always answers
  std::string client_ca_pem;      // bundle that client certificates are verified against
  ClientAuth client_auth = ClientAuth::kNone;
  std::vector<std::string> alpn;  // in order of preference; no overlap: the handshake goes on without a protocol
  // Called on the shard at each handshake with the lower-case SNI ("" without one); must not block. Null result: `identity`.
  std::function<std::shared_ptr<const TlsCertificate>(std::string_view server_name)> select;
};

class TlsServerContext {
 public:
  static Result<std::shared_ptr<TlsServerContext>> Create(TlsServerConfig config);
  Result<> Reload(TlsServerConfig config);   // any thread; holds for later handshakes; on error nothing changed
  struct Snapshot;
  std::shared_ptr<const Snapshot> snapshot() const;
  explicit TlsServerContext(std::shared_ptr<const Snapshot> first);
  ~TlsServerContext();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

enum class ServerVerification : std::uint8_t { kFull, kNone };

struct TlsClientConfig {
  std::string ca_pem;        // empty: the system's bundle
  TlsIdentity identity;      // client certificate; may be empty
  std::vector<std::string> alpn;
  ServerVerification verification = ServerVerification::kFull;
};

class TlsClientContext {
 public:
  static Result<std::shared_ptr<const TlsClientContext>> Create(const TlsClientConfig& config);
  struct Impl;
  explicit TlsClientContext(std::unique_ptr<Impl> impl);
  ~TlsClientContext();
  const Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

// Handshakes over a stream of this folder's TCP or Unix listener or dialer (kUnsupported for others), which is consumed.
// `prefix`: bytes already read from the peer; `stop` aborts the handshake. Errors: kTimeout, kUnauthenticated (certificate), kUnavailable.
Task<Result<std::unique_ptr<Stream>>> TlsAccept(std::unique_ptr<Stream> plain, std::shared_ptr<const TlsServerContext> context,
                                                Stream::TimePoint deadline, std::string prefix = {}, std::stop_token stop = {});
// `server_name`: host name or address that the certificate must cover; host names are sent as SNI.
Task<Result<std::unique_ptr<Stream>>> TlsConnect(std::unique_ptr<Stream> plain, std::shared_ptr<const TlsClientContext> context,
                                                 std::string server_name, Stream::TimePoint deadline);

}  // namespace skerry::net
