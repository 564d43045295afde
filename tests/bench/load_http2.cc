#include <nghttp2/nghttp2.h>

#include <cstring>
#include <map>

#include "tests/bench/load_http.h"

namespace skerry::bench {
namespace {

constexpr std::size_t kKeptBody = 64 << 10;
constexpr std::int32_t kWindow = 64 << 20;   // flow control is not what is measured

class Http2 final : public Connection {
 public:
  Http2(Loop& loop, const Target& target) : Connection(loop, target), authority_(target.host + ":" + std::to_string(target.port)) {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, OnHeader);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, OnChunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, OnStreamClose);
    nghttp2_session_client_new(&session_, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kWindow}, {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kWindow);
    Pump();
  }
  ~Http2() override { nghttp2_session_del(session_); }

  void Start(const Request& request, OnData on_data, OnEnd on_end) override {
    auto call = std::make_unique<Call>();
    call->on_data = std::move(on_data);
    call->on_end = std::move(on_end);
    call->body = request.body;
    Pairs fields{{":method", request.method}, {":scheme", target_.tls ? "https" : "http"}, {":authority", authority_}, {":path", request.path}};
    fields.insert(fields.end(), target_.headers.begin(), target_.headers.end());
    std::vector<nghttp2_nv> list;
    for (auto& [name, value] : fields) {
      list.push_back({reinterpret_cast<std::uint8_t*>(name.data()), reinterpret_cast<std::uint8_t*>(value.data()), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE});
    }
    nghttp2_data_provider body{};
    body.source.ptr = call.get();
    body.read_callback = ReadBody;
    const std::int32_t id = nghttp2_submit_request(session_, nullptr, list.data(), list.size(), request.body.empty() ? nullptr : &body, call.get());
    if (id < 0) Die(std::string("HTTP/2: ") + nghttp2_strerror(id));
    calls_.emplace(id, std::move(call));
    if (!receiving_) Pump();
  }

 private:
  struct Call {
    OnData on_data;
    OnEnd on_end;
    std::string body;
    std::size_t sent = 0;
    Answer answer;
  };

  void Pump() override {
    for (;;) {
      const std::uint8_t* data = nullptr;
      const ssize_t n = nghttp2_session_mem_send(session_, &data);
      if (n <= 0) return;
      Send({reinterpret_cast<const char*>(data), static_cast<std::size_t>(n)});
    }
  }

  void OnBytes(std::string_view bytes) override {
    receiving_ = true;
    const ssize_t n = nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    receiving_ = false;
    if (n < 0) Die(std::string("HTTP/2: ") + nghttp2_strerror(static_cast<int>(n)));
  }

  void OnClosed() override {
    for (auto calls = std::move(calls_); auto& [id, call] : calls) {
      call->answer.status = 0;
      if (call->on_end) call->on_end(call->answer);
    }
  }

  static ssize_t ReadBody(nghttp2_session*, std::int32_t, std::uint8_t* buffer, std::size_t size, std::uint32_t* flags, nghttp2_data_source* source, void*) {
    auto& call = *static_cast<Call*>(source->ptr);
    const std::size_t n = std::min(size, call.body.size() - call.sent);
    std::memcpy(buffer, call.body.data() + call.sent, n);
    call.sent += n;
    if (call.sent == call.body.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(n);
  }
  static int OnHeader(nghttp2_session* session, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                      std::uint8_t, void*) {
    auto* call = static_cast<Call*>(nghttp2_session_get_stream_user_data(session, frame->hd.stream_id));
    if (!call) return 0;
    const std::string_view key(reinterpret_cast<const char*>(name), name_size);
    const std::string text(reinterpret_cast<const char*>(value), value_size);
    if (key == ":status") call->answer.status = std::atoi(text.c_str());
    if (key == "grpc-status") call->answer.grpc_status = text;
    return 0;
  }
  static int OnChunk(nghttp2_session* session, std::uint8_t, std::int32_t id, const std::uint8_t* data, std::size_t size, void*) {
    auto* call = static_cast<Call*>(nghttp2_session_get_stream_user_data(session, id));
    if (!call) return 0;
    call->answer.bytes += size;
    const std::string_view part(reinterpret_cast<const char*>(data), size);
    if (call->answer.body.size() < kKeptBody) call->answer.body.append(part.substr(0, kKeptBody - call->answer.body.size()));
    if (call->on_data) call->on_data(part);
    return 0;
  }
  static int OnStreamClose(nghttp2_session*, std::int32_t id, std::uint32_t code, void* self) {
    auto& calls = static_cast<Http2*>(self)->calls_;
    const auto it = calls.find(id);
    if (it == calls.end()) return 0;
    const std::unique_ptr<Call> call = std::move(it->second);
    calls.erase(it);
    if (code != NGHTTP2_NO_ERROR) call->answer.status = 0;
    if (call->on_end) call->on_end(call->answer);
    return 0;
  }

  const std::string authority_;
  nghttp2_session* session_ = nullptr;
  std::map<std::int32_t, std::unique_ptr<Call>> calls_;
  bool receiving_ = false;
};

}  // namespace

std::unique_ptr<Connection> OpenHttp2(Loop& loop, const Target& target) { return std::make_unique<Http2>(loop, target); }

}  // namespace skerry::bench
