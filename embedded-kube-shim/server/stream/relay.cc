#include "embedded-kube-shim/server/stream/relay.h"

#include <boost/asio/this_coro.hpp>

#include "core/net/streams.h"
#include "core/net/task.h"

namespace skerry::kube::stream {
namespace {

constexpr std::chrono::hours kIdle{1};

class RelayTunnel final : public http::Tunnel {
 public:
  RelayTunnel(http::Headers headers, UniqueFd backend, std::string early) : headers_(std::move(headers)), backend_(std::move(backend)), early_(std::move(early)) {}

  http::Headers headers() const override { return headers_; }

  net::Task<void> Run(std::unique_ptr<net::Stream> stream) override {
    const auto executor = co_await boost::asio::this_coro::executor;
    auto socket = net::FromDescriptor(executor, std::move(backend_));
    if (!socket) co_return;
    if (!early_.empty()) {
      const auto sent = co_await stream->Write(early_);
      if (!sent) co_return;
    }
    net::Stream& here = *stream;
    net::Stream& there = **socket;
    co_await net::Relay(here, there, kIdle);
  }

 private:
  const http::Headers headers_;
  UniqueFd backend_;
  const std::string early_;
};

}  // namespace

http::Reply RelayUpgrade(http::Headers headers, UniqueFd backend, std::string early) {
  return std::unique_ptr<http::Tunnel>(std::make_unique<RelayTunnel>(std::move(headers), std::move(backend), std::move(early)));
}

}  // namespace skerry::kube::stream
