#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/base/unique_fd.h"

// A scripted HTTP/1.1 server on blocking threads: what it sends is exactly what the test says, correct or not.
namespace skerry::test {

inline bool SendAllBytes(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

inline UniqueFd DialLoopback(std::uint16_t port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(port);
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&a), sizeof a) != 0) fd.Reset();
  const timeval limit{10, 0};
  if (fd) ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  return fd;
}

// Reads until `text` holds `until`, the end or 10 s.
inline bool ReadUntil(int fd, std::string& text, std::string_view until) {
  char buffer[16384];
  while (text.find(until) == std::string::npos) {
    const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
    if (n <= 0) return false;
    text.append(buffer, static_cast<std::size_t>(n));
  }
  return true;
}
inline std::string ReadToEnd(int fd) {
  std::string out;
  ReadUntil(fd, out, std::string_view("\0never\0", 7));
  return out;
}

class HttpBackend {
 public:
  struct Request {
    std::string head, body;
    int fd;            // for handlers that talk themselves
    std::string rest;  // what was read beyond the body
  };
  // Returns the answer; an empty one closes the connection.
  using Handler = std::function<std::string(Request&)>;

  explicit HttpBackend(Handler handler) : handler_(std::move(handler)) {
    listener_.Reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof a;
    ::bind(listener_.get(), reinterpret_cast<sockaddr*>(&a), size);
    ::listen(listener_.get(), 512);
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&a), &size);
    port_ = ntohs(a.sin_port);
    acceptor_ = std::thread([this] { AcceptLoop(); });
  }
  ~HttpBackend() { Stop(); }

  // As a process that exits: closes the port and all connections.
  void Stop() {
    if (stopping_.exchange(true)) return;
    ::shutdown(listener_.get(), SHUT_RDWR);
    acceptor_.join();
    {
      std::lock_guard lock(mutex_);
      for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& t : workers_) t.join();
    listener_.Reset();
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  int connections() const { return connections_; }
  int requests() const { return requests_; }

 private:
  void AcceptLoop() {
    for (;;) {
      const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      ++connections_;
      std::lock_guard lock(mutex_);
      open_.push_back(fd);
      workers_.emplace_back([this, fd] { Serve(fd); });
    }
  }
  static bool ReadBody(int fd, Request& r) {
    std::string lower = r.head;
    for (char& c : lower) c = static_cast<char>(::tolower(c));
    if (const auto at = lower.find("\r\ncontent-length: "); at != std::string::npos) {
      const std::size_t length = std::strtoull(lower.c_str() + at + 18, nullptr, 10);
      char buffer[65536];
      while (r.rest.size() < length) {
        const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
        if (n <= 0) return false;
        r.rest.append(buffer, static_cast<std::size_t>(n));
      }
      r.body = r.rest.substr(0, length);
      r.rest.erase(0, length);
    } else if (lower.find("\r\ntransfer-encoding: chunked") != std::string::npos) {
      if (!ReadUntil(fd, r.rest, "0\r\n\r\n")) return false;
      r.body.swap(r.rest);
      r.rest.clear();
    }
    return true;
  }
  void Serve(int fd) {
    std::string rest;
    for (;;) {
      Request r{"", "", fd, std::move(rest)};
      if (!ReadUntil(fd, r.rest, "\r\n\r\n")) break;
      const std::size_t end = r.rest.find("\r\n\r\n") + 4;
      r.head = r.rest.substr(0, end);
      r.rest.erase(0, end);
      if (r.head.find("Expect: 100-continue") != std::string::npos) SendAllBytes(fd, "HTTP/1.1 100 Continue\r\n\r\n");
      if (!no_body_ && !ReadBody(fd, r)) break;
      ++requests_;
      const std::string answer = handler_(r);
      if (answer.empty() || !SendAllBytes(fd, answer)) break;
      rest = std::move(r.rest);
    }
    std::lock_guard lock(mutex_);
    std::erase(open_, fd);
    ::close(fd);
  }

 public:
  bool no_body_ = false;   // the handler reads the body itself

 private:
  const Handler handler_;
  UniqueFd listener_;
  std::uint16_t port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<int> connections_{0}, requests_{0};
  std::mutex mutex_;
  std::vector<int> open_;              // guarded
  std::vector<std::thread> workers_;   // by the acceptor until it is joined
  std::thread acceptor_;
};

inline std::string Ok(std::string_view body, std::string_view headers = "") {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + std::string(headers) + "\r\n" + std::string(body);
}

}  // namespace skerry::test
