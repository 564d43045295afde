#include "core/http/websocket_channels.h"

#include <boost/asio/any_io_executor.hpp>

#include "core/text/base64.h"

namespace skerry::http {
namespace {
constexpr char kCloseSignal = static_cast<char>(255);
constexpr std::size_t kMaxPiece = 32 << 10;
}  // namespace

std::shared_ptr<WebSocketChannels> WebSocketChannels::Create(std::unique_ptr<WebSocket> socket, Options options,
                                                             const boost::asio::any_io_executor& executor) {
  return std::make_shared<WebSocketChannels>(std::move(socket), options, executor);
}

WebSocketChannels::WebSocketChannels(std::unique_ptr<WebSocket> socket, Options options, const boost::asio::any_io_executor& executor)
    : socket_(std::move(socket)), options_(options), executor_(executor), room_(net::Event::Create(executor)) {}

std::unique_ptr<net::Stream> WebSocketChannels::Open(std::uint32_t channel) {
  auto out = std::make_unique<Channel>(shared_from_this(), channel, executor_);
  channels_[channel] = out.get();
  return out;
}

net::Task<Result<void>> WebSocketChannels::Run() {
  const auto self = shared_from_this();
  Result<void> outcome;
  for (;;) {
    auto message = co_await socket_->Read();
    if (!message || !*message) {
      if (!message) outcome = std::unexpected(std::move(message).error());
      break;
    }
    Distribute(std::move(**message));
    const auto full = [this] {
      return std::any_of(channels_.begin(), channels_.end(), [](const auto& c) { return c.second->unread() > kMaxUnread; });
    };
    while (full()) co_await room_->Wait();
  }
  EndAll(outcome);
  co_return outcome;
}

void WebSocketChannels::Distribute(WebSocket::Message message) {
  if (message.data.empty()) return;
  std::string_view data = message.data;
  const char first = data.front();
  data.remove_prefix(1);
  std::string decoded;
  std::uint32_t number = static_cast<unsigned char>(first);
  if (options_.base64) {
    number -= '0';
    auto raw = text::FromBase64(data);
    if (!raw) return;
    decoded = std::move(*raw);
    data = decoded;
  }
  const bool ends = options_.close_signal && first == kCloseSignal && data.size() == 1;
  if (ends) number = static_cast<unsigned char>(data.front());
  const auto found = channels_.find(number);
  if (found == channels_.end()) return;
  if (ends) {
    found->second->DeliverEnd();
  } else {
    found->second->Deliver(data);
  }
}

void WebSocketChannels::EndAll(const Result<void>& outcome) {
  for (const auto& [number, channel] : channels_) {
    if (outcome) {
      channel->DeliverEnd();
    } else {
      channel->Fail(outcome.error().Clone());
    }
  }
}

net::Task<void> WebSocketChannels::Shutdown(std::uint16_t code, std::string_view reason) {
  const auto sent = co_await socket_->Close(code, reason);
  if (!sent) socket_->Abort();
}

net::Task<Result<void>> WebSocketChannels::SendData(std::uint32_t channel, std::string_view bytes, net::Stream::TimePoint deadline) {
  const auto self = shared_from_this();
  std::string message;
  while (!bytes.empty()) {
    const auto piece = bytes.substr(0, kMaxPiece);
    bytes.remove_prefix(piece.size());
    message.assign(1, static_cast<char>(options_.base64 ? '0' + channel : channel));
    if (options_.base64) {
      message += text::Base64(piece);
    } else {
      message += piece;
    }
    socket_->stream().WriteExpiresAt(deadline);
    const Opcode kind = options_.base64 ? Opcode::kText : Opcode::kBinary;
    CO_TRY_VOID(co_await socket_->Write(kind, message));
  }
  co_return Result<void>();
}

net::Task<Result<void>> WebSocketChannels::SendEnd(std::uint32_t channel) {
  if (!options_.close_signal || options_.role != WebSocket::Role::kClient) co_return Result<void>();
  std::string message(1, kCloseSignal);
  message += static_cast<char>(channel);
  co_return co_await socket_->Write(Opcode::kBinary, message);
}

void WebSocketChannels::OnTaken(std::uint32_t, std::size_t) { room_->Notify(); }
void WebSocketChannels::OnAbort(std::uint32_t) noexcept { room_->Notify(); }

void WebSocketChannels::OnGone(std::uint32_t channel) noexcept {
  channels_.erase(channel);
  room_->Notify();
}

}  // namespace skerry::http
