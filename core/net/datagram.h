#pragma once
#include <memory>
#include <span>
#include <string_view>

#include "core/net/address.h"
#include "core/net/shard.h"
#include "core/net/stream.h"

namespace skerry::net {

// A UDP socket on one shard. At most one Receive runs at a time; only Abort() may be called from other threads.
class DatagramSocket {
 public:
  // Port 0: any. kForbidden, kUnavailable (in use, address not of this host).
  static Result<std::unique_ptr<DatagramSocket>> Bind(Shard& shard, const SocketAddress& address);
  // On the caller's shard, to one peer, from a random port of the kernel's choice; datagrams of others are not received.
  static Task<Result<std::unique_ptr<DatagramSocket>>> Connect(SocketAddress peer);
  ~DatagramSocket();

  // One datagram; what does not fit is cut off. `from` may be null. A connected socket answers kUnavailable when its peer refuses.
  Task<Result<std::size_t>> Receive(std::span<std::byte> into, SocketAddress* from);
  // Never waits: kUnavailable when the socket's buffer is full or there is no route. `to` is null on a connected socket.
  Result<> Send(std::string_view datagram, const SocketAddress* to);
  void ReceiveExpiresAt(Stream::TimePoint deadline);
  void Abort() noexcept;   // any thread; Receive answers kCancelled
  const SocketAddress& local() const { return local_; }

  struct Impl;
  explicit DatagramSocket(std::unique_ptr<Impl> impl);

 private:
  std::unique_ptr<Impl> impl_;
  SocketAddress local_;
};

}  // namespace skerry::net
