#include "tests/bench/load_connection.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/bench/load_http.h"

namespace skerry::bench {

void Die(const std::string& why) {
  std::fprintf(stderr, "skerry_load: %s\n", why.c_str());
  std::exit(1);
}

Loop::Loop() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}
Loop::~Loop() { ::close(epoll_); }

void Loop::Run(const std::function<bool()>& done, int tick_ms) {
  std::array<epoll_event, 256> events;
  while (!done()) {
    const int n = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), tick_ms);
    for (int i = 0; i < n; ++i) static_cast<Connection*>(events[static_cast<std::size_t>(i)].data.ptr)->OnEvent(events[static_cast<std::size_t>(i)].events);
  }
}

namespace {

// -1: nobody listens.
int TryDial(const Target& target) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  if (::getaddrinfo(target.host.c_str(), std::to_string(target.port).c_str(), &hints, &found) != 0) Die("no such host: " + target.host);
  const int fd = ::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool connected = ::connect(fd, found->ai_addr, found->ai_addrlen) == 0;
  ::freeaddrinfo(found);
  if (!connected) {
    ::close(fd);
    return -1;
  }
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return fd;
}

int Dial(const Target& target) {
  const int fd = TryDial(target);
  if (fd < 0) Die("cannot connect to " + target.host + ":" + std::to_string(target.port) + ": " + std::strerror(errno));
  return fd;
}

SSL_CTX* TlsContext() {
  static SSL_CTX* const context = [] {
    SSL_CTX* made = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_mode(made, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(made, 1);   // one call for a record: the load shares the processors with who is measured
    return made;
  }();
  return context;
}

SSL* Shake(int fd, bool h2) {
  SSL* ssl = SSL_new(TlsContext());
  SSL_set_fd(ssl, fd);
  const std::string offer = h2 ? std::string("\x02h2") : std::string("\x08http/1.1");
  SSL_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(offer.data()), static_cast<unsigned>(offer.size()));
  if (SSL_connect(ssl) != 1) Die("TLS handshake failed");
  return ssl;
}

}  // namespace

bool Connects(const Target& target) {
  const int fd = TryDial(target);
  if (fd >= 0) ::close(fd);
  return fd >= 0;
}

Connection::Connection(Loop& loop, const Target& target) : target_(target), epoll_(loop.fd()), fd_(Dial(target)) {
  if (target.tls) ssl_ = Shake(fd_, target.h2);
  ::fcntl(fd_, F_SETFL, ::fcntl(fd_, F_GETFL) | O_NONBLOCK);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = this;
  ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd_, &event);
}

Connection::~Connection() {
  if (ssl_) SSL_free(ssl_);
  ::close(fd_);
}

std::unique_ptr<Connection> Connection::Open(Loop& loop, const Target& target) {
  if (target.h2) return OpenHttp2(loop, target);
  return OpenHttp1(loop, target);
}

void Connection::OnEvent(std::uint32_t events) {
  if (closed_) return;
  bool alive = true;
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) alive = ReadAll();
  if (alive) {
    Pump();
    alive = Flush();
  }
  if (alive) return Watch();
  closed_ = true;
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd_, nullptr);
  OnClosed();
}

void Connection::Send(std::string_view bytes) {
  out_.append(bytes);
  if (!closed_ && Flush()) Watch();
}

void Connection::Watch() {
  const bool wanted = sent_ < out_.size();
  if (wanted == wants_write_) return;
  wants_write_ = wanted;
  epoll_event event{};
  event.events = EPOLLIN | (wanted ? static_cast<std::uint32_t>(EPOLLOUT) : 0u);
  event.data.ptr = this;
  ::epoll_ctl(epoll_, EPOLL_CTL_MOD, fd_, &event);
}

bool Connection::Flush() {
  while (sent_ < out_.size()) {
    const std::string_view rest = std::string_view(out_).substr(sent_);
    ssize_t n;
    if (ssl_) {
      n = SSL_write(ssl_, rest.data(), static_cast<int>(rest.size()));
      if (n <= 0) return SSL_get_error(ssl_, static_cast<int>(n)) == SSL_ERROR_WANT_WRITE;
    } else {
      n = ::send(fd_, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (n < 0) return errno == EAGAIN;
    }
    sent_ += static_cast<std::size_t>(n);
  }
  out_.clear();
  sent_ = 0;
  return true;
}

bool Connection::ReadAll() {
  constexpr std::size_t kShort = 8 << 10;   // of a TLS record: no more lay in the socket
  static std::array<char, 1 << 17> buffer;
  for (;;) {
    ssize_t n;
    if (ssl_) {
      n = SSL_read(ssl_, buffer.data(), static_cast<int>(buffer.size()));
      if (n <= 0) return SSL_get_error(ssl_, static_cast<int>(n)) == SSL_ERROR_WANT_READ;
    } else {
      n = ::recv(fd_, buffer.data(), buffer.size(), 0);
      if (n < 0) return errno == EAGAIN;
      if (n == 0) return false;
    }
    OnBytes({buffer.data(), static_cast<std::size_t>(n)});
    // What was short has been read; what comes after it is told anew.
    if (!ssl_ && static_cast<std::size_t>(n) < buffer.size()) return true;
    if (ssl_ && static_cast<std::size_t>(n) < kShort && SSL_has_pending(ssl_) == 0) return true;
  }
}

}  // namespace skerry::bench
