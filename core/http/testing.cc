#include "core/http/testing.h"

#include "core/net/streams.h"

namespace skerry::http::testing {

std::unique_ptr<net::BlockingStream> TestServer::Connect(std::size_t capacity) {
  auto [client, remote] = net::MakePair(shards.at(1).executor(), shards.at(0).executor(), capacity);
  server->Serve(shards.at(0), std::move(remote));
  return std::make_unique<net::BlockingStream>(shards.at(1), std::move(client));
}

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
