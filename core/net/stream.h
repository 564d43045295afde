#pragma once
#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/net/task_fwd.h"

namespace skerry::net {

// One TCP, TLS, Unix or in-memory connection. Lives and dies on one shard; never touched from another thread except Abort().
// This is the only type HTTP, SPDY, WebSocket, DNS over TCP and the proxies see of the network.
class Stream {
 public:
  virtual ~Stream() = default;
  virtual Task<Result<std::size_t>> Read(std::span<std::byte> into) = 0;        // 0 = orderly end
  virtual Task<Result<void>> Write(std::string_view bytes) = 0;                  // all or error; bytes stay valid until it returns
  virtual Task<Result<void>> CloseWrite() = 0;                                   // half-close where the transport has one (TLS: close_notify)
  virtual void ExpiresAt(std::chrono::steady_clock::time_point deadline) = 0;    // covers the next operations; failing ones answer kTimeout
  virtual void Abort() noexcept = 0;                                             // any thread; pending operations fail with kCancelled
};

}  // namespace skerry::net
