#include "core/netlink/socket.h"

#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/base/files.h"

namespace skerry::netlink {
namespace {

// Calls fn(view, error) for each message of a datagram. `error` is 0 for an acknowledgement and for other messages.
template <class F>
void Walk(std::string_view in, F fn) {
  while (in.size() >= sizeof(nlmsghdr)) {
    nlmsghdr header;
    std::memcpy(&header, in.data(), sizeof header);
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > in.size()) return;
    fn(header, MessageView{header.nlmsg_type, header.nlmsg_flags, header.nlmsg_seq,
                           in.substr(sizeof header, header.nlmsg_len - sizeof header)});
    in.remove_prefix(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), in.size()));
  }
}

int ErrorOf(std::string_view body) {
  int e = 0;
  if (body.size() >= sizeof e) std::memcpy(&e, body.data(), sizeof e);
  return -e;
}

// The kernel's own words, when it gave some (extended acknowledgement).
std::string ErrorText(const MessageView& m) {
  if ((m.flags & NLM_F_ACK_TLVS) == 0 || m.body.size() < sizeof(nlmsgerr)) return "netlink";
  nlmsgerr error;
  std::memcpy(&error, m.body.data(), sizeof error);
  std::size_t skip = sizeof error;
  if ((m.flags & NLM_F_CAPPED) == 0) skip += NLMSG_ALIGN(error.msg.nlmsg_len) - sizeof(nlmsghdr);
  if (skip > m.body.size()) return "netlink";
  const auto text = ReadString(FindAttribute(m.body.substr(skip), NLMSGERR_ATTR_MSG));
  return text.empty() ? std::string("netlink") : std::string(text);
}

}  // namespace

Result<Socket> Socket::Open(int protocol) {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!fd) return std::unexpected(ErrnoError(errno, "open netlink socket"));
  const int on = 1;
  ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  ::setsockopt(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  const timeval limit{5, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  sockaddr_nl self{};
  self.nl_family = AF_NETLINK;
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&self), sizeof self) != 0) {
    return std::unexpected(ErrnoError(errno, "bind netlink socket"));
  }
  return Socket(std::move(fd));
}

Result<> Socket::Send(const std::string& bytes) {
  // The kernel copies the whole datagram at once and wants the send buffer to be larger than it.
  if (bytes.size() > 100'000) {
    const int size = static_cast<int>(bytes.size() + 65536);
    if (::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) != 0) {
      return std::unexpected(ErrnoError(errno, "enlarge netlink send buffer"));
    }
  }
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  const ssize_t n = ::sendto(fd_.get(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&kernel), sizeof kernel);
  if (n < 0) return std::unexpected(ErrnoError(errno, "send to netlink"));
  return {};
}

Result<std::size_t> Socket::Receive() {
  for (;;) {
    const ssize_t n = ::recv(fd_.get(), buffer_.data(), buffer_.size(), MSG_TRUNC);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return Fail(Code::kTimeout, "netlink: no answer within 5 s");
    if (n < 0) return std::unexpected(ErrnoError(errno, "receive from netlink"));
    if (static_cast<std::size_t>(n) > buffer_.size()) return Fail(Code::kInternal, "netlink: answer larger than the buffer");
    return static_cast<std::size_t>(n);
  }
}

Result<> Socket::Transact(const MessageWriter& request, const OnMessage& fn) {
  TRY_VOID(Send(request.bytes()));
  for (;;) {
    TRY(const std::size_t n, Receive());
    bool done = false;
    Result<> out;
    Walk(std::string_view(buffer_).substr(0, n), [&](const nlmsghdr&, const MessageView& m) {
      if (m.sequence != request.sequence()) return;   // an answer to an earlier request that timed out
      if (m.type != NLMSG_ERROR) {
        if (fn) fn(m);
        return;
      }
      done = true;
      if (const int e = ErrorOf(m.body); e != 0) out = std::unexpected(ErrnoError(e, ErrorText(m)));
    });
    if (done) return out;
  }
}

Result<> Socket::TransactBatch(const MessageWriter& batch, const std::vector<std::uint32_t>& acks) {
  TRY_VOID(Send(batch.bytes()));
  std::size_t waiting = acks.size();
  Result<> out;
  while (waiting > 0) {
    TRY(const std::size_t n, Receive());
    Walk(std::string_view(buffer_).substr(0, n), [&](const nlmsghdr&, const MessageView& m) {
      if (m.type != NLMSG_ERROR) return;
      const int e = ErrorOf(m.body);
      if (e != 0 && out) out = std::unexpected(ErrnoError(e, ErrorText(m)));
      if (std::binary_search(acks.begin(), acks.end(), m.sequence)) {
        --waiting;
      } else if (e != 0) {
        waiting = 0;   // the frame of the batch itself was refused: nothing else is answered
      }
    });
  }
  return out;
}

Result<> Socket::Dump(const MessageWriter& request, const OnMessage& fn) {
  TRY_VOID(Send(request.bytes()));
  Result<> out;
  bool interrupted = false;
  for (bool done = false; !done;) {
    TRY(const std::size_t n, Receive());
    Walk(std::string_view(buffer_).substr(0, n), [&](const nlmsghdr&, const MessageView& m) {
      if (m.sequence != request.sequence() || done) return;
      if ((m.flags & NLM_F_DUMP_INTR) != 0) interrupted = true;
      if (m.type == NLMSG_ERROR || m.type == NLMSG_DONE) {
        done = true;
        if (const int e = ErrorOf(m.body); e != 0) out = std::unexpected(ErrnoError(e, ErrorText(m)));
        return;
      }
      fn(m);
    });
  }
  if (out && interrupted) return Fail(Code::kConflict, "netlink: list changed while it was read");
  return out;
}

}  // namespace skerry::netlink
