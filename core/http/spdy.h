#pragma once
#include <deque>
#include <map>
#include <memory>

#include "core/http/channel.h"
#include "core/http/spdy_frame.h"
#include "core/net/buffered_reader.h"
#include "core/net/turn.h"

namespace skerry::http {

// One SPDY/3.1 session over a stream: streams with headers, opened by either side, used as byte channels.
// Everything runs on the stream's shard.
//
// Flow control: windows are honoured and updated only once the peer has shown that it keeps them (SETTINGS or WINDOW_UPDATE):
// the library behind kubectl neither sends nor expects updates, and a sender that waited for them would stop after 64 KiB.
// Without it a channel may hold kMaxUnread bytes; then the connection is not read until its reader caught up.
class SpdySession final : public ChannelOwner, public std::enable_shared_from_this<SpdySession> {
 public:
  enum class Role : std::uint8_t { kServer, kClient };
  static constexpr std::size_t kMaxUnread = 1 << 20;
  static constexpr std::size_t kMaxStreams = 256;   // open at a time; more are refused
  struct Opened {
    Headers headers;                       // as sent by the peer: lower-case names
    std::unique_ptr<Channel> channel;
  };

  static std::shared_ptr<SpdySession> Create(std::unique_ptr<net::Stream> stream, Role role, const boost::asio::any_io_executor& executor);

  // The session's work: reads and distributes until the peer goes away or fails, then every channel ends or fails. Run it once, in a TaskGroup.
  net::Task<Result<void>> Run();
  // The next stream that the peer opened, already accepted (SYN_REPLY sent). kTimeout, kCancelled: the session has ended.
  net::Task<Result<Opened>> Accept(net::Stream::TimePoint deadline = net::Stream::TimePoint::max());
  net::Task<Result<std::unique_ptr<Channel>>> Open(Headers headers, net::Stream::TimePoint deadline);   // waits for the peer's reply
  net::Task<void> GoAway();                // says that no new streams are wanted
  void Abort() noexcept { stream_->Abort(); }
  net::Stream& stream() { return *stream_; }

  net::Task<Result<void>> SendData(std::uint32_t channel, std::string_view bytes, net::Stream::TimePoint deadline) override;
  net::Task<Result<void>> SendEnd(std::uint32_t channel) override;
  void OnTaken(std::uint32_t channel, std::size_t bytes) override;
  void OnAbort(std::uint32_t channel) noexcept override;
  void OnGone(std::uint32_t channel) noexcept override;

  SpdySession(std::unique_ptr<net::Stream> stream, Role role, const boost::asio::any_io_executor& executor);

 private:
  struct Entry {
    Channel* channel = nullptr;          // null: dropped by its user
    bool sent_end = false, got_end = false, replied = false;
    std::int64_t send_window = spdy::kInitialWindow;
    std::int64_t taken = 0;              // not yet returned to the peer as window
    std::shared_ptr<net::Event> changed; // window, reply
  };
  net::Task<Result<void>> ReadFrames();
  net::Task<Result<void>> ReadControl(spdy::FrameHead head);
  net::Task<Result<void>> ReadData(spdy::FrameHead head);
  Result<void> OnSynStream(std::uint8_t flags, std::string_view payload);
  Result<void> OnReply(spdy::Type type, std::uint8_t flags, std::string_view payload);
  void OnSettings(std::string_view payload);
  void OnWindowUpdate(std::string_view payload);
  void OnReset(std::string_view payload);
  Entry& Add(std::uint32_t id, Channel* channel);
  Entry* Find(std::uint32_t id);
  void Forget(std::uint32_t id);                                   // once nothing can come and nobody holds it
  void Queue(spdy::Type type, std::string_view payload);           // control frame, sent soon by Flush
  void QueueReset(std::uint32_t id, spdy::Status status);
  net::Task<void> Flush(std::shared_ptr<SpdySession> self);
  void EndAll(const Result<void>& outcome);
  net::Task<Result<void>> Send(std::string_view frames);           // takes its turn
  bool AnyFull() const;

  const std::unique_ptr<net::Stream> stream_;
  const Role role_;
  const boost::asio::any_io_executor executor_;
  net::BufferedReader reader_;
  net::Turn turn_;
  const std::shared_ptr<net::Event> room_, queued_, opened_event_, window_;
  spdy::HeaderCoder compress_{spdy::HeaderCoder::Direction::kCompress}, decompress_{spdy::HeaderCoder::Direction::kDecompress};
  std::map<std::uint32_t, Entry> entries_;
  std::deque<Opened> opened_;
  std::string queue_;
  std::uint32_t next_id_, last_peer_id_ = 0;
  bool peer_keeps_windows_ = false, ended_ = false;
  std::int64_t peer_initial_window_ = spdy::kInitialWindow, session_window_ = spdy::kInitialWindow, session_taken_ = 0;
};

}  // namespace skerry::http
