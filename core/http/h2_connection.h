#pragma once
#include <nghttp2/nghttp2.h>

#include <map>
#include <stop_token>

#include "core/base/unique_fd.h"
#include "core/http/body_pipe.h"
#include "core/http/server_core.h"

// Inside core/http only.
namespace skerry::http {

// Streams with something to do, told from any thread. Outlives the connection.
class H2Ready {
 public:
  explicit H2Ready(std::shared_ptr<net::Event> wake) : wake_(std::move(wake)) {}
  void Add(std::int32_t stream) {
    {
      std::lock_guard lock(mutex_);
      streams_.insert(stream);
    }
    wake_->Notify();
  }
  std::set<std::int32_t> Take() {
    std::lock_guard lock(mutex_);
    return std::exchange(streams_, {});
  }

 private:
  const std::shared_ptr<net::Event> wake_;
  std::mutex mutex_;
  std::set<std::int32_t> streams_;   // guarded
};

// One HTTP/2 connection of a server. nghttp2 frames and keeps the windows; two coroutines of one shard feed it: the reader, and Run, which
// writes what is ready and otherwise waits for a wake-up.
class H2Connection final : public Stoppable, public std::enable_shared_from_this<H2Connection> {
 public:
  H2Connection(std::shared_ptr<Server::Core> core, net::Executor executor, std::unique_ptr<net::Stream> stream);
  ~H2Connection() override;
  net::Task<void> Run();
  void BeginStop() override;
  void CutTunnel() override {}
  void Cut() override;

 private:
  using TimePoint = net::Stream::TimePoint;
  // One request. kBytes: headers → body → handler → reply; kReader: the handler runs while the body comes.
  struct H2Stream {
    std::int32_t id = 0;
    std::shared_ptr<Request> request = std::make_shared<Request>();
    BodyPolicy policy;
    std::stop_source gone;
    std::size_t head_bytes = 0;
    bool dispatched = false, body_done = false, replied = false, expects_continue = false, too_large = false;
    TimePoint last_progress;
    std::int64_t received = 0, returned = 0;     // body bytes, and those given back to the peer's window
    std::shared_ptr<BodyPipe> pipe;
    std::shared_ptr<ReplySlot> slot;
    // What the reply's data come from; one of them.
    Bytes bytes;
    std::size_t sent = 0;
    std::unique_ptr<Source> source;
    UniqueFd file;
    std::int64_t file_at = 0, file_left = 0;
    bool has_length = false;                     // of a streaming reply
  };

  Result<void> Open();
  static net::Task<void> ReadLoop(std::shared_ptr<H2Connection> self);
  std::size_t Collect(std::string& out);
  void HandleReady();
  void ExpireBodies();
  TimePoint NextDeadline() const;
  void StopAll();

  void OnHeadDone(H2Stream& s, bool end_of_stream);
  void OnBodyEnd(H2Stream& s);
  void Dispatch(H2Stream& s);
  void GiveBack(H2Stream& s);
  void Submit(H2Stream& s, Reply reply);
  void SubmitResponse(H2Stream& s, Response response);
  void SubmitFile(H2Stream& s, File file);
  void SubmitStreaming(H2Stream& s, Streaming streaming);
  void SubmitHead(H2Stream& s, int status, const Headers& headers, std::optional<std::int64_t> length, bool with_data);
  ssize_t ReadReply(H2Stream& s, std::uint8_t* into, std::size_t size, std::uint32_t* flags);
  H2Stream* Find(std::int32_t id);

  static H2Connection& Self(void* user) { return *static_cast<H2Connection*>(user); }
  static int OnBeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* user);
  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size, const std::uint8_t* value,
                      std::size_t value_size, std::uint8_t flags, void* user);
  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* user);
  static int OnData(nghttp2_session*, std::uint8_t flags, std::int32_t id, const std::uint8_t* data, std::size_t size, void* user);
  static int OnClose(nghttp2_session*, std::int32_t id, std::uint32_t error, void* user);
  static ssize_t OnReadReply(nghttp2_session*, std::int32_t id, std::uint8_t* into, std::size_t size, std::uint32_t* flags, nghttp2_data_source*, void* user);

  const std::shared_ptr<Server::Core> core_;
  const net::Executor executor_;
  const std::shared_ptr<net::Event> wake_;
  const std::shared_ptr<H2Ready> ready_;
  const std::unique_ptr<net::Stream> stream_;
  nghttp2_session* session_ = nullptr;
  std::map<std::int32_t, std::unique_ptr<H2Stream>> streams_;
  bool reading_ = false, ended_ = false, stopping_ = false;
};

}  // namespace skerry::http
