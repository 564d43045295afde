#pragma once
#include <deque>
#include <memory>
#include <string>

#include "core/net/event.h"
#include "core/net/stream.h"
#include "core/net/task.h"

namespace skerry::http {

// What a multiplexer does for its channels. Shard-local.
class ChannelOwner {
 public:
  virtual ~ChannelOwner() = default;
  virtual net::Task<Result<void>> SendData(std::uint32_t channel, std::string_view bytes, net::Stream::TimePoint deadline) = 0;
  virtual net::Task<Result<void>> SendEnd(std::uint32_t channel) = 0;    // no more data from this side
  virtual void OnTaken(std::uint32_t channel, std::size_t bytes) = 0;    // the reader took that much: room for more
  virtual void OnAbort(std::uint32_t channel) noexcept = 0;              // neither side goes on
  virtual void OnGone(std::uint32_t channel) noexcept = 0;               // the channel object was destroyed
};

// One byte stream inside a multiplexed connection: exec's stdin, stdout, stderr, a forwarded port. Used like any net::Stream.
// Lives on the connection's shard; may outlive the connection, whose end it then reports.
class Channel final : public net::Stream {
 public:
  Channel(std::shared_ptr<ChannelOwner> owner, std::uint32_t id, const boost::asio::any_io_executor& executor)
      : owner_(std::move(owner)), id_(id), executor_(executor), changed_(net::Event::Create(executor)) {}
  ~Channel() override { owner_->OnGone(id_); }
  std::uint32_t id() const { return id_; }
  const net::Executor& executor() const { return executor_; }   // the connection's shard

  net::Task<Result<std::size_t>> Read(std::span<std::byte> into) override;
  net::Task<Result<void>> Write(std::string_view bytes) override;
  net::Task<Result<void>> CloseWrite() override;
  void ReadExpiresAt(TimePoint deadline) override;
  void WriteExpiresAt(TimePoint deadline) override { write_deadline_ = deadline; }
  void Abort() noexcept override;   // the connection's shard only

  // For the owner.
  void Deliver(std::string_view bytes);
  void DeliverEnd();                // orderly end of what the peer sends
  void Fail(Error error);           // both directions; first reason wins
  std::size_t unread() const { return bytes_.size() - taken_; }
  bool ended() const { return ended_; }

 private:
  const std::shared_ptr<ChannelOwner> owner_;
  const std::uint32_t id_;
  const net::Executor executor_;
  const std::shared_ptr<net::Event> changed_;
  std::string bytes_;
  std::size_t taken_ = 0;
  bool ended_ = false, write_closed_ = false;
  std::optional<Error> failed_;
  TimePoint read_deadline_ = TimePoint::max(), write_deadline_ = TimePoint::max();
};

}  // namespace skerry::http
