#include <fcntl.h>
#include <sys/stat.h>

#include "core/base/strings.h"
#include "core/base/unique_fd.h"
#include "core/http/h1_connection.h"
#include "core/net/streams.h"

namespace skerry::http {
namespace {
constexpr std::size_t kWritePiece = 256 << 10;     // the write time-out starts anew with each
constexpr std::size_t kStreamBatch = 64 << 10;     // what a source has ready goes out together up to here
constexpr std::size_t kIdleRoom = 4 << 10;         // what a stream that waits may keep
constexpr std::size_t kHeadRoom = 14;              // before the bytes of a chunk: its size in hexadecimal and the end of the line
constexpr std::size_t kCoalesce = 32 << 10;        // smaller bodies are sent with their head

bool HasBody(int status) { return status >= 200 && status != 204 && status != 304; }

// Appends what the source has ready, up to a batch.
std::size_t TakePieces(Source* source, std::string& out, bool& ended, bool& cut) {
  const std::size_t start = out.size();
  while (out.size() < start + kStreamBatch && !ended && !cut) {
    const std::size_t before = out.size();
    const auto more = source->AppendNext(out);
    if (!more) (more.error().code() == Code::kCancelled ? ended : cut) = true;
    else if (out.size() == before) break;
  }
  return out.size() - start;
}
}  // namespace

// What a tunnel gets: tells the connection when it is gone, so that Stop can cut it while it lives.
class TunnelStream final : public net::Stream {
 public:
  TunnelStream(std::shared_ptr<H1Connection> connection, std::unique_ptr<net::Stream> stream)
      : connection_(std::move(connection)), stream_(std::move(stream)) {
    connection_->tunnel_ = this;
  }
  ~TunnelStream() override { connection_->tunnel_ = nullptr; }
  net::Task<Result<std::size_t>> Read(std::span<std::byte> into) override { return stream_->Read(into); }
  net::Task<Result<void>> Write(std::string_view bytes) override { return stream_->Write(bytes); }
  net::Task<Result<std::int64_t>> WriteFile(int file, std::int64_t offset, std::int64_t length) override { return stream_->WriteFile(file, offset, length); }
  net::Task<Result<void>> CloseWrite() override { return stream_->CloseWrite(); }
  void ReadExpiresAt(TimePoint deadline) override { stream_->ReadExpiresAt(deadline); }
  void WriteExpiresAt(TimePoint deadline) override { stream_->WriteExpiresAt(deadline); }
  void Abort() noexcept override { stream_->Abort(); }
  const net::ConnectionInfo& info() const override { return stream_->info(); }

 private:
  const std::shared_ptr<H1Connection> connection_;
  const std::unique_ptr<net::Stream> stream_;
};

std::string H1Connection::Head(const Request* request, int status, const Headers& headers, std::optional<std::int64_t> length, std::size_t room) {
  constexpr std::size_t kOwnHeaders = 160, kBetween = 4;
  std::string out;
  for (const auto& h : headers) room += h.name.size() + h.value.size() + kBetween;
  out.reserve(kOwnHeaders + room);
  out += Cat("HTTP/1.1 ", status, " ", ReasonPhrase(status), "\r\n");
  const bool head_only = request != nullptr && request->method == "HEAD";
  for (const auto& h : headers) {
    if (!IsServersHeader(h.name)) AppendHeader(out, h.name, h.value);
    if (EqualsIgnoreCase(h.name, "Connection") && EqualsIgnoreCase(h.value, "close")) keep_alive_ = false;
  }
  out += "Date: ";
  out += HttpDate();
  out += "\r\n";
  if (head_only && length == 0) {
    if (const auto own = Get(headers, "Content-Length"); !own.empty()) length = ParseInt(own);
  }
  if (!HasBody(status)) {
    if (const auto own = Get(headers, "Content-Length"); status == 304 && !own.empty()) AppendHeader(out, "Content-Length", own);
  } else if (length) {
    out += Cat("Content-Length: ", *length, "\r\n");
  } else if (chunk_replies_) {
    out += "Transfer-Encoding: chunked\r\n";
  } else {
    keep_alive_ = false;   // HTTP/1.0: the end of the connection ends the body
  }
  if (!keep_alive_) {
    out += "Connection: close\r\n";
  } else if (framing_.http10) {
    out += "Connection: keep-alive\r\n";
  }
  out += "\r\n";
  return out;
}

net::Task<bool> H1Connection::WriteBytes(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto piece = bytes.substr(0, kWritePiece);
    stream_->WriteExpiresAt(std::chrono::steady_clock::now() + core_->options.timeouts.write);
    const auto written = co_await stream_->Write(piece);
    if (!written) {
      keep_alive_ = false;
      client_gone_ = true;
      gone_.request_stop();
      co_return false;
    }
    bytes.remove_prefix(piece.size());
  }
  co_return true;
}

net::Task<void> H1Connection::Send(const Request* request, Reply reply) {
  if (auto* response = std::get_if<Response>(&reply)) {
    co_await SendResponse(request, std::move(*response));
  } else if (auto* file = std::get_if<File>(&reply)) {
    co_await SendFile(request, std::move(*file));
  } else if (auto* streaming = std::get_if<Streaming>(&reply)) {
    co_await SendStreaming(request, std::move(*streaming));
  } else if (auto* tunnel = std::get_if<std::unique_ptr<Tunnel>>(&reply); tunnel != nullptr && *tunnel != nullptr) {
    co_await RunTunnel(std::move(*tunnel));
  } else {
    auto none = PlainReply(500, "no reply");
    co_await SendResponse(request, std::move(none));
  }
}

net::Task<void> H1Connection::SendResponse(const Request* request, Response response) {
  const auto body = response.body.view();
  const bool with_body = HasBody(response.status) && !(request != nullptr && request->method == "HEAD");
  const bool together = with_body && body.size() <= kCoalesce;
  std::string out = Head(request, response.status, response.headers, static_cast<std::int64_t>(body.size()), together ? body.size() : 0);
  if (together) out += body;
  const bool sent = co_await WriteBytes(out);
  if (!sent || !with_body || together) co_return;
  const bool all = co_await WriteBytes(body);
  static_cast<void>(all);
}

net::Task<void> H1Connection::SendFile(const Request* request, File file) {
  const UniqueFd fd(::open(file.path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat st = {};
  if (!fd || ::fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode) || file.offset < 0 || file.offset > st.st_size) {
    auto unreadable = PlainReply(500, "the file cannot be read");
    co_await SendResponse(request, std::move(unreadable));
    co_return;
  }
  std::int64_t left = file.length < 0 ? st.st_size - file.offset : std::min<std::int64_t>(file.length, st.st_size - file.offset);
  const std::string head = Head(request, file.status, file.headers, left);
  const bool sent = co_await WriteBytes(head);
  if (!sent || request->method == "HEAD" || !HasBody(file.status)) co_return;
  for (std::int64_t at = file.offset; left > 0;) {
    stream_->WriteExpiresAt(std::chrono::steady_clock::now() + core_->options.timeouts.write);
    const auto written = co_await stream_->WriteFile(fd.get(), at, left);
    if (!written) {
      keep_alive_ = false;
      client_gone_ = true;
      co_return;
    }
    at += *written;
    left -= *written;
  }
}

net::Task<void> H1Connection::SendStreaming(const Request* request, Streaming streaming) {
  std::optional<std::int64_t> length = ParseInt(Get(streaming.headers, "Content-Length"));
  if (length && *length < 0) length.reset();
  const bool with_body = HasBody(streaming.status) && request->method != "HEAD";
  if (with_body) streaming.source->OnReady([wake = wake_] { wake->Notify(); });
  const std::string head = Head(request, streaming.status, streaming.headers, length);
  const bool sent = co_await WriteBytes(head);
  if (sent && with_body) co_await StreamPieces(streaming.source.get(), length.value_or(-1));
}

// Takes what the source has ready, `size` bytes, and frames it in `out`.
std::string_view H1Connection::Frame(Pieces& pieces, std::string& out, std::size_t* size) {
  out.assign(kHeadRoom, ' ');
  *size = TakePieces(pieces.source, out, pieces.ended, pieces.cut);
  std::size_t begin = kHeadRoom;
  if (*size > 0 && pieces.chunked) {
    std::string head;
    AppendChunkHead(head, *size);
    begin -= head.size();
    out.replace(begin, head.size(), head);
    out += "\r\n";
  }
  if (pieces.ended && !pieces.cut && pieces.chunked) out += kLastChunk;
  return std::string_view(out).substr(begin);
}

// While the coroutine sleeps: what came is sent without waking it, which costs more than the sending. False: it has to go on.
bool H1Connection::SendAtOnce(Pieces& pieces) {
  constexpr std::size_t kMostKept = 128 << 10;
  thread_local std::string out;
  if (client_gone_ || stopping_ || !reading_) return false;
  std::size_t size = 0;
  const auto bytes = Frame(pieces, out, &size);
  const std::size_t sent = pieces.ended || pieces.cut ? 0 : stream_->WriteAtOnce(bytes);
  pieces.unsent = bytes.substr(sent);
  if (out.capacity() > kMostKept) std::string().swap(out);
  return size < kStreamBatch && pieces.unsent.empty() && !pieces.ended && !pieces.cut;
}

void H1Connection::SendMeanwhile(Pieces* pieces) {
  if (pieces) wake_->Meanwhile([this, pieces] { return SendAtOnce(*pieces); });
  else wake_->Meanwhile(nullptr);
}

net::Task<void> H1Connection::StreamPieces(Source* source, std::int64_t length) {
  Pieces pieces(source, length < 0 && chunk_replies_);
  std::int64_t left = length;
  std::string out;
  while (!pieces.ended && !pieces.cut) {
    std::size_t size = 0;
    auto bytes = Frame(pieces, out, &size);
    if (size == 0 && !pieces.ended && !pieces.cut) {
      pieces.ended = stopping_ && length < 0;   // an orderly end: the client comes back elsewhere
      pieces.cut = client_gone_;
      if (pieces.ended && !pieces.cut && pieces.chunked) bytes = kLastChunk;
      if (!pieces.ended && !pieces.cut) {
        if (out.capacity() > kIdleRoom) std::string().swap(out);   // after a burst a watch may be quiet for hours
        WatchClient();
        if (length < 0) SendMeanwhile(&pieces);
        co_await wake_->Wait();
        SendMeanwhile(nullptr);
        if (pieces.unsent.empty()) continue;
        out = std::exchange(pieces.unsent, {});
        bytes = out;
      }
    }
    left -= static_cast<std::int64_t>(size);
    pieces.cut = pieces.cut || (length >= 0 && left < 0);
    if (pieces.cut || bytes.empty()) continue;
    const bool sent = co_await WriteBytes(bytes);
    pieces.cut = !sent;
  }
  const bool cut = pieces.cut;
  if (!cut && (length < 0 || left == 0)) co_return;
  keep_alive_ = false;
  client_gone_ = true;
  stream_->Abort();   // without the end of the body: the client must notice
}

net::Task<void> H1Connection::RunTunnel(std::unique_ptr<Tunnel> tunnel) {
  const int status = tunnel->status();
  std::string head = Cat("HTTP/1.1 ", status, " ", ReasonPhrase(status), "\r\n");
  for (const auto& h : tunnel->headers()) AppendHeader(head, h.name, h.value);
  head += "Date: ";
  head += HttpDate();
  head += "\r\n\r\n";
  keep_alive_ = false;
  co_await EndBackgroundRead();
  if (client_gone_) co_return;
  const bool sent = co_await WriteBytes(head);
  if (!sent) co_return;
  stream_->ExpiresAt(TimePoint::max());
  auto replayed = net::WithPrefix(std::string(buffered()), std::move(stream_));
  std::string().swap(in_);
  taken_ = filled_ = 0;
  auto guarded = std::make_unique<TunnelStream>(shared_from_this(), std::move(replayed));
  co_await tunnel->Run(std::move(guarded));
}

}  // namespace skerry::http
