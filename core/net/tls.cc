#include "core/net/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include "core/base/strings.h"
#include "core/crypto/certificate.h"
#include "core/net/descriptor.h"
#include "core/net/tls_context.h"

namespace skerry::net {
namespace {
using Direction = Descriptor::Direction;

// What OpenSSL reads from and writes to. Owned by the stream, outlives the SSL object.
struct Wire {
  std::shared_ptr<Descriptor> descriptor;
  std::string prefix;        // bytes read before TLS took over
  std::size_t prefix_taken = 0;
  bool ended = false;
  bool drained = false;      // the last read took all that had arrived
  bool more = false;         // the record to be written is not the last one
};

int BioWrite(BIO* bio, const char* bytes, int size) {
  auto* wire = static_cast<Wire*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  const ssize_t n = wire->descriptor->WriteSome(bytes, static_cast<std::size_t>(size), wire->more ? Descriptor::Follow::kMore : Descriptor::Follow::kNothing);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) BIO_set_retry_write(bio);
  return static_cast<int>(n);
}

int BioRead(BIO* bio, char* into, int size) {
  auto* wire = static_cast<Wire*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (wire->prefix_taken < wire->prefix.size()) {
    const auto n = std::min<std::size_t>(static_cast<std::size_t>(size), wire->prefix.size() - wire->prefix_taken);
    std::memcpy(into, wire->prefix.data() + wire->prefix_taken, n);
    wire->prefix_taken += n;
    return static_cast<int>(n);
  }
  const ssize_t n = wire->descriptor->ReadSome(into, static_cast<std::size_t>(size));
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) BIO_set_retry_read(bio);
  if (n == 0) wire->ended = true;
  wire->drained = n > 0 && n < size;
  return static_cast<int>(n);
}

long BioControl(BIO* bio, int command, long, void*) {
  if (command == BIO_CTRL_FLUSH) return 1;
  if (command == BIO_CTRL_EOF) return static_cast<Wire*>(BIO_get_data(bio))->ended ? 1 : 0;
  return 0;
}

BIO* NewBio(Wire* wire) {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "skerry stream");
    BIO_meth_set_write(m, BioWrite);
    BIO_meth_set_read(m, BioRead);
    BIO_meth_set_ctrl(m, BioControl);
    return m;
  }();
  BIO* bio = BIO_new(method);
  BIO_set_data(bio, wire);
  BIO_set_init(bio, 1);
  return bio;
}

class TlsStream final : public Stream {
 public:
  TlsStream(std::shared_ptr<Descriptor> descriptor, std::string prefix, SSL_CTX* context, std::shared_ptr<const void> keep, ConnectionInfo info)
      : keep_(std::move(keep)), info_(std::move(info)), ssl_(SSL_new(context)) {
    wire_.descriptor = std::move(descriptor);
    wire_.prefix = std::move(prefix);
    if (!ssl_) return;
    BIO* bio = NewBio(&wire_);
    SSL_set_bio(ssl_.get(), bio, bio);
  }
  ~TlsStream() override {
    if (ssl_ && healthy_ && !closed_) {   // best effort: tell the peer that this end is orderly
      ERR_clear_error();
      SSL_shutdown(ssl_.get());
      ERR_clear_error();
    }
    wire_.descriptor->Close();
  }
  SSL* ssl() { return ssl_.get(); }
  ConnectionInfo& mutable_info() { return info_; }

  Task<Result<void>> Handshake() {
    for (;;) {
      ERR_clear_error();
      const int r = SSL_do_handshake(ssl_.get());
      if (r == 1) break;
      const int reason = SSL_get_error(ssl_.get(), r);
      if (reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE) co_return std::unexpected(HandshakeError(reason));
      const Direction direction = reason == SSL_ERROR_WANT_READ ? Direction::kRead : Direction::kWrite;
      CO_TRY_VOID(co_await wire_.descriptor->Wait(direction));
    }
    healthy_ = true;
    co_return Result<void>();
  }

  Task<Result<std::size_t>> Read(std::span<std::byte> into) override {
    if (auto allowed = wire_.descriptor->Check(Direction::kRead); !allowed) co_return std::unexpected(std::move(allowed).error());
    if (into.empty()) co_return std::size_t{0};
    if (std::exchange(wire_.drained, false) && SSL_has_pending(ssl_.get()) == 0) CO_TRY_VOID(co_await wire_.descriptor->Wait(Direction::kRead));
    for (;;) {
      ERR_clear_error();
      std::size_t n = 0;
      const int r = SSL_read_ex(ssl_.get(), into.data(), into.size(), &n);
      if (r == 1) {
        co_await wire_.descriptor->Breathe();
        co_return n;
      }
      const int reason = SSL_get_error(ssl_.get(), r);
      if (reason == SSL_ERROR_ZERO_RETURN) co_return std::size_t{0};
      if (reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE) {
        healthy_ = false;
        co_return Fail(Code::kUnavailable, wire_.ended ? "connection closed without TLS close_notify" : OsslError("TLS read"));
      }
      const Direction direction = reason == SSL_ERROR_WANT_READ ? Direction::kRead : Direction::kWrite;
      CO_TRY_VOID(co_await wire_.descriptor->Wait(direction));
    }
  }

  Task<Result<void>> Write(std::string_view bytes) override {
    if (auto allowed = wire_.descriptor->Check(Direction::kWrite); !allowed) co_return allowed;
    if (!healthy_ || closed_) co_return Fail(Code::kUnavailable, "write: TLS connection closed");
    while (!bytes.empty()) {
      ERR_clear_error();
      std::size_t n = 0;
      wire_.more = bytes.size() > SSL3_RT_MAX_PLAIN_LENGTH;   // a write is one record
      const int r = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &n);
      if (r == 1) {
        bytes.remove_prefix(n);
        continue;
      }
      const int reason = SSL_get_error(ssl_.get(), r);
      if (reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE) {
        healthy_ = false;
        co_return Fail(Code::kUnavailable, OsslError("TLS write"));
      }
      const Direction direction = reason == SSL_ERROR_WANT_READ ? Direction::kRead : Direction::kWrite;
      CO_TRY_VOID(co_await wire_.descriptor->Wait(direction));
    }
    co_await wire_.descriptor->Breathe();
    co_return Result<void>();
  }

  std::size_t WriteAtOnce(std::string_view bytes) override {
    std::size_t all = 0;
    while (healthy_ && !closed_ && !wire_.descriptor->is_aborted() && all < bytes.size()) {
      ERR_clear_error();
      std::size_t n = 0;
      wire_.more = bytes.size() - all > SSL3_RT_MAX_PLAIN_LENGTH;
      const int r = SSL_write_ex(ssl_.get(), bytes.data() + all, bytes.size() - all, &n);
      if (r != 1) {
        const int reason = SSL_get_error(ssl_.get(), r);
        healthy_ = reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE;   // if not, Write finds out
        break;
      }
      all += n;
    }
    return all;
  }

  Task<Result<void>> CloseWrite() override {
    if (closed_) co_return Result<void>();
    closed_ = true;
    for (;;) {
      ERR_clear_error();
      const int r = SSL_shutdown(ssl_.get());
      if (r >= 0) {
        ::shutdown(wire_.descriptor->fd(), SHUT_WR);
        co_return Result<void>();
      }
      const int reason = SSL_get_error(ssl_.get(), r);
      if (reason != SSL_ERROR_WANT_WRITE) co_return Fail(Code::kUnavailable, OsslError("TLS shutdown"));
      CO_TRY_VOID(co_await wire_.descriptor->Wait(Direction::kWrite));
    }
  }
  void ReadExpiresAt(TimePoint deadline) override { wire_.descriptor->SetDeadline(Direction::kRead, deadline); }
  void WriteExpiresAt(TimePoint deadline) override { wire_.descriptor->SetDeadline(Direction::kWrite, deadline); }
  void Abort() noexcept override { wire_.descriptor->Abort(); }
  const ConnectionInfo& info() const override { return info_; }
  // TLS 1.3 session tickets wait on a fresh connection: only its end would matter, and a read finds that.
  bool Quiet() override { return healthy_ && !wire_.ended; }

 private:
  Error HandshakeError(int reason) {
    const long verdict = SSL_get_verify_result(ssl_.get());
    if (verdict != X509_V_OK) {
      ERR_clear_error();
      return Error(Code::kUnauthenticated, Cat("certificate: ", X509_verify_cert_error_string(verdict)));
    }
    if (wire_.ended || reason == SSL_ERROR_SYSCALL) return Error(Code::kUnavailable, "TLS handshake: connection closed");
    return Error(Code::kUnavailable, OsslError("TLS handshake"));
  }

  const std::shared_ptr<const void> keep_;   // the context that callbacks point into
  ConnectionInfo info_;                      // constant after the handshake
  Wire wire_;
  SslPtr ssl_;
  bool healthy_ = false, closed_ = false;
};

Result<std::unique_ptr<TlsStream>> Wrap(std::unique_ptr<Stream> plain, std::string prefix, SSL_CTX* context, std::shared_ptr<const void> keep) {
  auto* fd_stream = dynamic_cast<FdStream*>(plain.get());
  if (fd_stream == nullptr) return Fail(Code::kUnsupported, "TLS runs over sockets only");
  ConnectionInfo info = fd_stream->info();
  info.tls = true;
  auto out = std::make_unique<TlsStream>(fd_stream->TakeDescriptor(), std::move(prefix), context, std::move(keep), std::move(info));
  if (out->ssl() == nullptr) return Fail(Code::kInternal, OsslError("TLS session"));
  return out;
}

void FillInfo(TlsStream& stream) {
  ConnectionInfo& info = stream.mutable_info();
  const unsigned char* protocol = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(stream.ssl(), &protocol, &size);
  if (size > 0) info.alpn.assign(reinterpret_cast<const char*>(protocol), size);
  if (const char* name = SSL_get_servername(stream.ssl(), TLSEXT_NAMETYPE_host_name)) info.server_name = name;
  const X509Ptr peer(SSL_get1_peer_certificate(stream.ssl()));
  if (!peer) return;
  const long verdict = SSL_get_verify_result(stream.ssl());
  if (verdict == X509_V_OK) {
    info.peer = ReadCertificate(peer.get());
  } else {
    info.peer_error = X509_verify_cert_error_string(verdict);
  }
}

bool ExpectName(SSL* ssl, const std::string& name) {
  unsigned char address[16];
  if (inet_pton(AF_INET, name.c_str(), address) == 1 || inet_pton(AF_INET6, name.c_str(), address) == 1) {
    return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name.c_str()) == 1;
  }
  SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return SSL_set_tlsext_host_name(ssl, name.c_str()) == 1 && SSL_set1_host(ssl, name.c_str()) == 1;
}

}  // namespace

Task<Result<std::unique_ptr<Stream>>> TlsAccept(std::unique_ptr<Stream> plain, std::shared_ptr<const TlsServerContext> context,
                                                Stream::TimePoint deadline, std::string prefix, std::stop_token stop) {
  const auto snapshot = context->snapshot();
  CO_TRY(auto stream, Wrap(std::move(plain), std::move(prefix), snapshot->context.get(), snapshot));
  SSL_set_accept_state(stream->ssl());
  stream->ExpiresAt(deadline);
  const std::stop_callback on_stop(std::move(stop), [s = stream.get()] { s->Abort(); });
  CO_TRY_VOID(co_await stream->Handshake());
  stream->ExpiresAt(Stream::TimePoint::max());
  FillInfo(*stream);
  co_return std::unique_ptr<Stream>(std::move(stream));
}

Task<Result<std::unique_ptr<Stream>>> TlsConnect(std::unique_ptr<Stream> plain, std::shared_ptr<const TlsClientContext> context,
                                                 std::string server_name, Stream::TimePoint deadline) {
  CO_TRY(auto stream, Wrap(std::move(plain), std::string(), context->impl().context.get(), context));
  SSL_set_connect_state(stream->ssl());
  if (!server_name.empty() && !ExpectName(stream->ssl(), server_name)) co_return Fail(Code::kInvalid, Cat("server name ", Quote(server_name)));
  if (server_name.empty() && context->impl().verification == ServerVerification::kFull) {
    co_return Fail(Code::kInvalid, "a verified TLS connection needs a server name");
  }
  stream->ExpiresAt(deadline);
  CO_TRY_VOID(co_await stream->Handshake());
  stream->ExpiresAt(Stream::TimePoint::max());
  FillInfo(*stream);
  co_return std::unique_ptr<Stream>(std::move(stream));
}

}  // namespace skerry::net
