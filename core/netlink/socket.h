#pragma once
#include <functional>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/base/unique_fd.h"
#include "core/netlink/message.h"

namespace skerry::netlink {

// One netlink socket, bound to the network namespace of the thread that opens it and staying there whatever that thread does later.
// Not thread-safe. Blocking with a limit of five seconds per answer (kTimeout): the kernel answers within the call.
class Socket {
 public:
  static Result<Socket> Open(int protocol);   // NETLINK_ROUTE, NETLINK_NETFILTER

  // Sends one request that asks for an acknowledgement and reads until it came. Other messages of the answer go to `fn`.
  using OnMessage = std::function<void(const MessageView&)>;
  Result<> Transact(const MessageWriter& request, const OnMessage& fn = {});
  // Sends an nfnetlink batch in one datagram. `acks`: sequence numbers whose acknowledgement is awaited. The first error is returned
  // after all answers were read; the kernel then has changed nothing.
  Result<> TransactBatch(const MessageWriter& batch, const std::vector<std::uint32_t>& acks);
  // Sends a dump request and calls `fn` for each message. kConflict when the kernel says that the dump was interrupted by a change.
  Result<> Dump(const MessageWriter& request, const OnMessage& fn);

 private:
  explicit Socket(UniqueFd fd) : fd_(std::move(fd)), buffer_(256 << 10, '\0') {}
  Result<> Send(const std::string& bytes);
  Result<std::size_t> Receive();   // into buffer_
  UniqueFd fd_;
  std::string buffer_;
};

}  // namespace skerry::netlink
