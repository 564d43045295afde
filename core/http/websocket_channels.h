#pragma once
#include <map>

#include "core/http/channel.h"
#include "core/http/websocket.h"

namespace skerry::http {

// Numbered byte channels over one WebSocket: the first byte of each message names its channel.
class WebSocketChannels final : public ChannelOwner, public std::enable_shared_from_this<WebSocketChannels> {
 public:
  struct Options {
    std::uint32_t count = 1;      // channels 0 … count-1; messages for others are dropped
    bool base64 = false;          // text messages: the channel's digit, then base64
    bool close_signal = false;    // the message {255, n} ends channel n; only a client sends it
    WebSocket::Role role = WebSocket::Role::kServer;
  };
  static constexpr std::size_t kMaxUnread = 256 << 10;   // beyond it the connection is not read until the channel's reader caught up

  static std::shared_ptr<WebSocketChannels> Create(std::unique_ptr<WebSocket> socket, Options options, const boost::asio::any_io_executor& executor);
  std::unique_ptr<net::Stream> Open(std::uint32_t channel);   // at most once each, before Run
  // Distributes until the peer closes or the connection fails; then every channel ends (orderly close) or fails.
  // Also returns when Shutdown was called.
  net::Task<Result<void>> Run();
  net::Task<void> Shutdown(std::uint16_t code, std::string_view reason);   // sends the close frame; Run returns with the peer's answer
  WebSocket& socket() { return *socket_; }

  net::Task<Result<void>> SendData(std::uint32_t channel, std::string_view bytes, net::Stream::TimePoint deadline) override;
  net::Task<Result<void>> SendEnd(std::uint32_t channel) override;
  void OnTaken(std::uint32_t channel, std::size_t bytes) override;
  void OnAbort(std::uint32_t channel) noexcept override;
  void OnGone(std::uint32_t channel) noexcept override;

  WebSocketChannels(std::unique_ptr<WebSocket> socket, Options options, const boost::asio::any_io_executor& executor);

 private:
  void Distribute(WebSocket::Message message);
  void EndAll(const Result<void>& outcome);

  const std::unique_ptr<WebSocket> socket_;
  const Options options_;
  const boost::asio::any_io_executor executor_;
  const std::shared_ptr<net::Event> room_;
  std::map<std::uint32_t, Channel*> channels_;   // those still held by someone
};

}  // namespace skerry::http
