#include "embedded-kube-shim/node/hooks.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <condition_variable>
#include <mutex>

#include "core/base/clock.h"
#include "core/base/files.h"
#include "core/base/strings.h"
#include "embedded-kube-shim/node/probes.h"

namespace skerry::kube::node {
namespace {

constexpr std::size_t kBodyLimit = 10 << 10;
constexpr std::chrono::seconds kHookDeadline{60};

std::vector<std::string> Argv(const json::Value& exec) {
  std::vector<std::string> out;
  for (const json::Value& v : exec["command"].Items()) out.emplace_back(v.Str());
  return out;
}

int PollTimeout(const Ctx& ctx) {
  if (ctx.deadline == std::chrono::steady_clock::time_point::max()) return 60'000;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(ctx.deadline - std::chrono::steady_clock::now());
  return left.count() <= 0 ? 0 : static_cast<int>(std::min<std::int64_t>(left.count(), 3'600'000));
}

std::string Host(const json::Value& action, const std::string& pod_ip) { return action["host"].Str().empty() ? pod_ip : std::string(action["host"].Str()); }

}  // namespace

Result<int> PortOf(const json::Value& port, const json::Value& container) {
  if (port.is_int()) return static_cast<int>(port.Int());
  for (const json::Value& p : container["ports"].Items()) {
    if (p["name"].Str() == port.Str()) return static_cast<int>(p["containerPort"].Int());
  }
  if (const auto n = ParseInt(port.Str())) return static_cast<int>(*n);
  return Fail(Code::kInvalid, Cat("couldn't find port: ", Quote(port.Str())));
}

Result<UniqueFd> ConnectTo(const Ctx& ctx, const std::string& host, int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  if (::inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) return Fail(Code::kInvalid, Cat("not an address: ", host));
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return std::unexpected(ErrnoError(errno, "socket"));
  const std::string what = Cat("dial tcp ", host, ":", port);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  int error = errno;
  if (error == EINPROGRESS) {
    pollfd p{fd.get(), POLLOUT, 0};
    if (::poll(&p, 1, PollTimeout(ctx)) == 0) return Fail(Code::kTimeout, what + ": i/o timeout");
    socklen_t size = sizeof error;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  }
  if (error == ECONNREFUSED) return Fail(Code::kUnavailable, what + ": connect: connection refused");
  if (error != 0) return std::unexpected(ErrnoError(error, what + ": connect"));
  return fd;
}

Result<> RunHook(const Ctx& ctx, container::Runtime& runtime, const json::Value& handler, const json::Value& container, const std::string& id, const std::string& pod_ip) {
  if (handler["exec"].is_object()) {
    TRY(const container::ExecResult r, runtime.ExecSync(ctx, id, Argv(handler["exec"])));
    if (r.exit_code == 0) return {};
    return Fail(Code::kInvalid, Cat("command '", Join(Argv(handler["exec"]), " "), "' exited with ", r.exit_code, ": ", r.error));
  }
  if (handler["httpGet"].is_object()) {
    const Ctx limited(ctx.stop, std::min(ctx.deadline, std::chrono::steady_clock::now() + kHookDeadline));
    TRY(const HttpAnswer answer, HttpGet(limited, handler["httpGet"], container, pod_ip));
    if (answer.status >= 200 && answer.status < 400) return {};
    return Fail(Code::kInvalid, Cat("HTTP lifecycle hook failed with statuscode: ", answer.status));
  }
  if (handler["sleep"].is_object()) {
    const auto until = std::min(ctx.deadline, std::chrono::steady_clock::now() + std::chrono::seconds(handler["sleep"]["seconds"].Int()));
    std::mutex mutex;
    std::condition_variable_any never;
    std::unique_lock lock(mutex);
    never.wait_until(lock, ctx.stop, until, [] { return false; });
    return {};
  }
  return {};
}

ProbeRunner NewProbeRunner(container::Runtime& runtime) {
  return [&runtime](const Ctx& ctx, const json::Value& probe, const json::Value& container, const std::string& id, const std::string& pod_ip) -> ProbeAnswer {
    if (probe["exec"].is_object()) {
      auto r = runtime.ExecSync(ctx, id, Argv(probe["exec"]), kBodyLimit);
      if (!r) return {false, r.error().code() == Code::kTimeout ? "command timed out" : std::string(r.error().message())};
      return {r->exit_code == 0, r->output + r->error};
    }
    if (probe["httpGet"].is_object()) {
      auto answer = HttpGet(ctx, probe["httpGet"], container, pod_ip);
      if (!answer) return {false, std::string(answer.error().message())};
      if (answer->status >= 300 && answer->status < 400) return {true, "Probe terminated redirects, Response body: " + answer->body, true};
      if (answer->status >= 200 && answer->status < 300) return {true, answer->body};
      return {false, Cat("HTTP probe failed with statuscode: ", answer->status)};
    }
    if (probe["tcpSocket"].is_object()) {
      auto port = PortOf(probe["tcpSocket"]["port"], container);
      if (!port) return {false, std::string(port.error().message())};
      auto r = ConnectTo(ctx, Host(probe["tcpSocket"], pod_ip), *port);
      return {r.has_value(), r ? std::string() : std::string(r.error().message())};
    }
    if (probe["grpc"].is_object()) {
      auto r = GrpcHealth(ctx, pod_ip, static_cast<int>(probe["grpc"]["port"].Int()), probe["grpc"]["service"].Str());
      return {r.has_value(), r ? std::string() : std::string(r.error().message())};
    }
    return {false, "missing probe handler"};
  };
}

}  // namespace skerry::kube::node
