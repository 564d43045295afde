#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "core/http/websocket.h"
#include "core/net/streams.h"
#include "core/net/task_group.h"
#include "core/text/base64.h"
#include "embedded-kube-shim/server/stream/pod_streams.h"

using namespace skerry;
using namespace skerry::kube;

namespace {

// A node that has one log and nothing else.
class OneLog final : public NodeStreams {
 public:
  explicit OneLog(std::string path) : path_(std::move(path)) {}
  Result<std::unique_ptr<container::LogReader>> Logs(const Key&, std::string_view, bool, container::LogOptions options) override { return container::LogReader::Open(path_, options); }
  Result<std::unique_ptr<container::Session>> Exec(const Ctx&, const Key&, std::string_view, const container::ExecSpec&) override { return Fail(Code::kUnsupported, "exec"); }
  Result<std::unique_ptr<container::Session>> Attach(const Ctx&, const Key&, std::string_view, bool) override { return Fail(Code::kUnsupported, "attach"); }
  Result<UniqueFd> Dial(const Ctx&, const Key&, std::uint16_t) override { return Fail(Code::kUnsupported, "dial"); }

 private:
  const std::string path_;
};

struct Seen {
  std::string text;
  std::vector<http::Opcode> kinds;
  bool closed = false;
};

net::Task<void> ReadAll(std::unique_ptr<net::Stream> stream, Seen* seen) {
  http::WebSocket socket(std::move(stream), http::WebSocket::Role::kClient);
  for (;;) {
    auto message = co_await socket.Read();
    if (!message) co_return;
    if (!*message) break;
    seen->kinds.push_back((*message)->kind);
    seen->text += (*message)->data;
  }
  seen->closed = true;
}

}  // namespace

TEST_CASE("a log goes over a WebSocket as messages, and its end closes the connection", "[stream]") {
  const auto path = std::filesystem::temp_directory_path() / ("skerry-log-" + std::to_string(::getpid()));
  std::ofstream(path) << "2026-01-01T00:00:00.000000000Z stdout F alive\n2026-01-01T00:00:01.000000000Z stderr F and well\n";
  OneLog node(path.string());
  for (const std::string protocol : {"binary.k8s.io", "base64.binary.k8s.io", ""}) {
    http::Request request;
    request.method = "GET";
    request.headers = {{"Connection", "Upgrade"}, {"Upgrade", "websocket"}, {"Sec-WebSocket-Version", "13"}, {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}};
    if (!protocol.empty()) request.headers.push_back({"Sec-WebSocket-Protocol", protocol});
    auto reply = stream::Log(node, request, {"default", "p"});
    REQUIRE(reply);
    auto* tunnel = std::get_if<std::unique_ptr<http::Tunnel>>(&*reply);
    REQUIRE(tunnel);
    CHECK(http::Get((*tunnel)->headers(), "Sec-WebSocket-Protocol") == protocol);
    net::Shard shard("t");
    auto [client, server] = net::MakePair(shard.executor(), shard.executor());
    Seen seen;
    net::TaskGroup tasks;
    tasks.Spawn(shard, (*tunnel)->Run(std::move(server)));
    tasks.Spawn(shard, ReadAll(std::move(client), &seen));
    tasks.Join();
    const bool base64 = protocol.starts_with("base64");
    CHECK(seen.closed);
    CHECK(seen.text == (base64 ? text::Base64("alive\nand well\n") : "alive\nand well\n"));
    REQUIRE(seen.kinds.size() == 1);
    CHECK(seen.kinds[0] == (base64 ? http::Opcode::kText : http::Opcode::kBinary));
  }
  std::filesystem::remove(path);
}
