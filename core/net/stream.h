#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/net/task_fwd.h"

namespace skerry::crypto {
struct PeerCertificate;   // core/crypto/certificate.h
}

namespace skerry::net {

// What is known of a connection once it stands. Constant afterwards.
struct ConnectionInfo {
  std::string remote;        // "10.0.0.7:40312", "[::1]:80", "unix"; empty: in-process
  std::string local;
  bool tls = false;
  std::string alpn;          // negotiated protocol, empty when none
  std::string server_name;   // SNI sent by the client
  std::shared_ptr<const crypto::PeerCertificate> peer;   // only when it verified
  std::string peer_error;    // a certificate was presented but does not verify: why
};

// One TCP, TLS, Unix or in-memory connection, or a pipe. Lives and dies on one shard; never touched from another thread except Abort().
// At most one Read and one Write run at a time; a Read and a Write may run together.
// This is the only type HTTP, SPDY, WebSocket, DNS over TCP and the proxies see of the network.
class Stream {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  virtual ~Stream() = default;
  virtual Task<Result<std::size_t>> Read(std::span<std::byte> into) = 0;   // 0 = orderly end
  virtual Task<Result<void>> Write(std::string_view bytes) = 0;            // all or error; bytes stay valid until it returns
  // What can be written without waiting; how much that was. The rest goes to Write, next and unchanged. Not while a Write runs.
  virtual std::size_t WriteAtOnce(std::string_view) { return 0; }
  virtual Task<Result<void>> CloseWrite() = 0;                             // half-close where the transport has one (TLS: close_notify)

  // Deadlines hold for the running and the following operations of a direction, which then answer kTimeout; max() = none.
  // A Read that timed out took nothing and may be repeated; a Write that timed out leaves the stream unusable.
  virtual void ReadExpiresAt(TimePoint deadline) = 0;
  virtual void WriteExpiresAt(TimePoint deadline) = 0;
  void ExpiresAt(TimePoint deadline) { ReadExpiresAt(deadline), WriteExpiresAt(deadline); }

  // Any thread. Running and later operations fail with kCancelled, and the peer sees the connection end (not orderly, with TLS).
  virtual void Abort() noexcept = 0;

  // Writes of the file's `length` bytes from `offset` what the peer takes without a second wait (sendfile where the transport can), and says
  // how many: at least one. kCorruption: the file ends there.
  virtual Task<Result<std::int64_t>> WriteFile(int file, std::int64_t offset, std::int64_t length);
  virtual const ConnectionInfo& info() const;
  // The next Read will have to wait: it need not look first. A hint; wrong ones cost nothing but time.
  virtual void ExpectSilence() {}
  // False when something (bytes or the end) already waits to be read: a kept connection that is not quiet must not be used again.
  // True also when the transport cannot tell. Not while a Read runs.
  virtual bool Quiet() { return true; }
};

}  // namespace skerry::net
