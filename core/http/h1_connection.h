#pragma once
#include <stop_token>

#include "core/http/body_pipe.h"
#include "core/http/chunked.h"
#include "core/http/head.h"
#include "core/http/server_core.h"

// Inside core/http only.
namespace skerry::http {

// One HTTP/1.x connection of a server. Requests are answered one after the other; bytes of the next one wait in the buffer.
// While a reply is being made, one background read watches for the client's going away and reads ahead into the same buffer.
class H1Connection final : public Stoppable, public std::enable_shared_from_this<H1Connection> {
 public:
  H1Connection(std::shared_ptr<Server::Core> core, net::Executor executor, std::unique_ptr<net::Stream> stream);

  net::Task<void> Run();
  void BeginStop() override;
  void CutTunnel() override;
  void Cut() override;

 private:
  friend class TunnelStream;
  using TimePoint = net::Stream::TimePoint;
  static constexpr std::size_t kMaxBuffer = kMaxHead;

  std::function<void()> Waker() const {
    return [wake = wake_] { wake->Notify(); };
  }
  // Reading.
  std::string_view buffered() const { return std::string_view(in_).substr(taken_, filled_ - taken_); }
  void Consume(std::size_t n) { taken_ += n; }
  std::span<std::byte> MakeRoom(std::size_t wanted);
  net::Task<Result<std::size_t>> Fill(std::size_t wanted, TimePoint deadline);   // more bytes, through the background read if one runs; 0 = end
  void WatchClient(TimePoint deadline = TimePoint::max());                       // starts the background read unless it runs
  static net::Task<void> BackgroundRead(std::shared_ptr<H1Connection> self, std::span<std::byte> room);
  net::Task<void> EndBackgroundRead();

  // One request.
  net::Task<std::optional<HeadFault>> ReadHead(Request* out);
  net::Task<void> Serve(std::shared_ptr<Request> request);
  net::Task<void> ServeBytes(std::shared_ptr<Request> request, std::int64_t limit);
  net::Task<void> ServeReader(std::shared_ptr<Request> request, std::int64_t limit);
  net::Task<Result<void>> ReadWholeBody(std::string* out, std::int64_t limit);
  net::Task<Result<void>> MovePiece(BodyPipe* pipe, ChunkedDecoder* decoder);
  net::Task<std::optional<Reply>> AwaitReply(std::shared_ptr<ReplySlot> slot);
  net::Task<void> SendContinue();

  // Replies. Each leaves keep_alive_ false when the connection cannot go on.
  net::Task<void> Send(const Request* request, Reply reply);
  net::Task<void> SendResponse(const Request* request, Response response);
  net::Task<void> SendFile(const Request* request, File file);
  net::Task<void> SendStreaming(const Request* request, Streaming streaming);
  struct Pieces {
    Pieces(Source* from, bool in_chunks) : source(from), chunked(in_chunks) {}
    Source* const source;
    const bool chunked;
    bool ended = false, cut = false;
    std::string unsent;   // framed, with what could not be written at once
  };
  net::Task<void> StreamPieces(Source* source, std::int64_t length);
  std::string_view Frame(Pieces& pieces, std::string& out, std::size_t* size);
  bool SendAtOnce(Pieces& pieces);
  void SendMeanwhile(Pieces* pieces);
  net::Task<void> RunTunnel(std::unique_ptr<Tunnel> tunnel);
  net::Task<bool> WriteBytes(std::string_view bytes);
  // `room`: for what follows the head in the same write.
  std::string Head(const Request* request, int status, const Headers& headers, std::optional<std::int64_t> length, std::size_t room = 0);
  net::Task<void> Close();

  const std::shared_ptr<Server::Core> core_;
  const net::Executor executor_;
  const std::shared_ptr<net::Event> wake_;   // reply, background read, source, pipe, stop
  std::unique_ptr<net::Stream> stream_;      // null once a tunnel took it
  net::Stream* tunnel_ = nullptr;            // what the tunnel holds
  std::stop_source gone_;
  std::string in_;
  std::size_t taken_ = 0, filled_ = 0;
  bool reading_ = false;                     // a background read runs
  bool client_gone_ = false, read_timed_out_ = false;
  bool idle_ = true, stopping_ = false, keep_alive_ = true, linger_ = false, chunk_replies_ = true;
  Framing framing_;                          // of the current request
  std::int64_t body_left_ = 0;               // kLength: not yet taken from the buffer
  bool body_done_ = true;
};

}  // namespace skerry::http
