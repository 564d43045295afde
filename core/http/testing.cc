#include "core/http/testing.h"

#include "core/http/spdy.h"
#include "core/net/streams.h"
#include "core/net/task_group.h"

namespace skerry::http::testing {
namespace {

net::Task<void> EchoChannel(std::unique_ptr<Channel> channel) {
  std::string buffer(7000, 0);
  const std::span<std::byte> room(reinterpret_cast<std::byte*>(buffer.data()), buffer.size());
  for (;;) {
    const auto n = co_await channel->Read(room);
    if (!n || *n == 0) break;
    const std::string_view bytes(buffer.data(), *n);
    const auto written = co_await channel->Write(bytes);
    if (!written) co_return;
  }
  const auto closed = co_await channel->CloseWrite();
  static_cast<void>(closed);
}

net::Task<void> RunSpdy(std::shared_ptr<SpdySession> session) {
  const auto outcome = co_await session->Run();
  static_cast<void>(outcome);
}

net::Task<void> EchoSpdy(std::unique_ptr<net::Stream> stream, net::Shard* shard) {
  const auto session = SpdySession::Create(std::move(stream), SpdySession::Role::kServer, shard->executor());
  net::TaskGroup tasks;
  tasks.Spawn(*shard, RunSpdy(session));
  for (;;) {
    auto opened = co_await session->Accept();
    if (!opened) break;
    tasks.Spawn(*shard, EchoChannel(std::move(opened->channel)));
  }
  co_await tasks.Wait();
}

class Echoing final : public Tunnel {
 public:
  explicit Echoing(Headers headers) : headers_(std::move(headers)) {}
  Headers headers() const override { return headers_; }
  net::Task<void> Run(std::unique_ptr<net::Stream> stream) override {
    std::string buffer(7000, 0);
    const std::span<std::byte> room(reinterpret_cast<std::byte*>(buffer.data()), buffer.size());
    for (;;) {
      const auto n = co_await stream->Read(room);
      if (!n || *n == 0) co_return;
      const std::string_view bytes(buffer.data(), *n);
      const auto written = co_await stream->Write(bytes);
      if (!written) co_return;
    }
  }

 private:
  const Headers headers_;
};

}  // namespace

std::unique_ptr<net::BlockingStream> TestServer::Connect(std::size_t capacity) {
  auto [client, remote] = net::MakePair(shards.at(1).executor(), shards.at(0).executor(), capacity);
  server->Serve(shards.at(0), std::move(remote));
  return std::make_unique<net::BlockingStream>(shards.at(1), std::move(client));
}

std::unique_ptr<Tunnel> EchoTunnel(Headers headers) { return std::make_unique<Echoing>(std::move(headers)); }

std::string ReadToEnd(net::BlockingStream& stream) {
  std::string out, buffer(16384, 0);
  for (;;) {
    const auto n = stream.Read(Soon(), {reinterpret_cast<std::byte*>(buffer.data()), buffer.size()});
    if (!n) return out + "<error: " + std::string(n.error().message()) + ">";
    if (*n == 0) return out;
    out.append(buffer, 0, *n);
  }
}

std::string Exchange(net::BlockingStream& stream, std::string_view sent) {
  auto writing = std::async(std::launch::async, [&] { static_cast<void>(stream.Write(Soon(), sent)); });
  std::string out = ReadToEnd(stream);
  writing.get();
  return out;
}

std::string ExchangeSpdy(net::Shards& shards, std::string_view sent) {
  auto [client, remote] = net::MakePair(shards.at(1).executor(), shards.at(0).executor(), 64 << 10);
  net::TaskGroup tasks;
  tasks.Spawn(shards.at(0), EchoSpdy(std::move(remote), &shards.at(0)));
  std::string out;
  {
    net::BlockingStream stream(shards.at(1), std::move(client));
    auto writing = std::async(std::launch::async, [&] {
      static_cast<void>(stream.Write(Soon(), sent));
      static_cast<void>(stream.CloseWrite(Soon()));
    });
    out = ReadToEnd(stream);
    writing.get();
  }
  return out;
}

std::string ReadUntil(net::BlockingStream& stream, std::string_view text) {
  std::string out;
  std::byte one[1];
  while (!out.ends_with(text)) {
    const auto n = stream.Read(Soon(), one);
    if (!n || *n == 0) return out + "<end>";
    out += static_cast<char>(one[0]);
  }
  return out;
}

}  // namespace skerry::http::testing
