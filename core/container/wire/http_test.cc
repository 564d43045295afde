#include "core/container/wire/http.h"

#include <catch2/catch.hpp>

#include <sys/socket.h>

#include <thread>

#include "core/base/files.h"

namespace skerry::container::wire {
namespace {

struct Answer {
  Result<Response> response;
  std::string body, request;
};

// Plays `bytes` at the client in pieces of `step` and ends the connection.
Answer Play(const std::string& bytes, std::size_t step, Request request = {.target = "/x"}) {
  int fds[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
  const UniqueFd mine(fds[0]);
  Answer answer{Fail(Code::kInternal, ""), "", ""};
  std::thread server([&, other = UniqueFd(fds[1])] {
    char buffer[4096];
    while (answer.request.find("\r\n\r\n") == std::string::npos) {
      const ssize_t n = ::read(other.get(), buffer, sizeof buffer);
      if (n <= 0) return;
      answer.request.append(buffer, static_cast<std::size_t>(n));
    }
    for (std::size_t at = 0; at < bytes.size(); at += step) {
      if (::send(other.get(), bytes.data() + at, std::min(step, bytes.size() - at), MSG_NOSIGNAL) < 0) return;
    }
    ::shutdown(other.get(), SHUT_WR);
    while (::read(other.get(), buffer, sizeof buffer) > 0) {}
  });
  {
    const Ctx ctx(std::stop_token(), std::chrono::steady_clock::now() + std::chrono::seconds(60));
    answer.response = Exchange(ctx, mine, request, [&](std::string_view piece) {
      answer.body += piece;
      return true;
    });
  }
  ::shutdown(mine.get(), SHUT_RDWR);
  server.join();
  return answer;
}

}  // namespace

TEST_CASE("responses are read the same however they are cut into pieces") {
  for (const std::size_t step : {1UL, 3UL, 1000UL}) {
    const auto fixed = Play("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: 1\r\n\r\nhelloGARBAGE", step);
    REQUIRE(fixed.response);
    CHECK(fixed.body == "hello");
    CHECK(fixed.response->headers.at("x-a") == "1");
    CHECK(Play("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nT: 1\r\n\r\n", step).body == "abc0123456789");
    const auto refused = Play("HTTP/1.0 404 Not Found\r\n\r\ntill the end", step);
    CHECK(refused.body.empty());
    CHECK(refused.response->refusal == "till the end");
    CHECK(Play("HTTP/1.0 200 OK\r\n\r\ntill the end", step).body == "till the end");
  }
}

TEST_CASE("broken responses are errors, not truncated successes") {
  for (const char* bytes : {"", "HTTP/1.1", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
                            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n"}) {
    INFO(bytes);
    const auto answer = Play(bytes, 1000);
    REQUIRE_FALSE(answer.response);
    CHECK(answer.response.error().code() == Code::kUnavailable);
  }
  CHECK(Play("HTTP/1.1 200 OK\r\nX: " + std::string(100'000, 'x') + "\r\n\r\n", 1000).response.error().code() == Code::kTooLarge);
}

TEST_CASE("a request cannot be split by what is put into it") {
  CHECK(Play("", 1, {.target = "/a\r\nX: 1"}).response.error().code() == Code::kInvalid);
  CHECK(Play("", 1, {.target = "/a", .headers = {{"A", "b\nc"}}}).response.error().code() == Code::kInvalid);
  const auto sent = Play("HTTP/1.1 204 No Content\r\n\r\n", 100, {.method = "POST", .target = "/p", .body = "xy"});
  CHECK(sent.request.find("POST /p HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\n\r\nxy") == 0);
}

}  // namespace skerry::container::wire
