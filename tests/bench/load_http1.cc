#include <charconv>
#include <cstring>

#include "tests/bench/load_http.h"

namespace skerry::bench {
namespace {

constexpr std::size_t kKeptBody = 64 << 10;

// Answers of servers that we start ourselves: heads end with an empty line, bodies have a length or are chunked.
class Http1 final : public Connection {
 public:
  Http1(Loop& loop, const Target& target) : Connection(loop, target) {
    for (const auto& [name, value] : target.headers) head_ += name + ": " + value + "\r\n";
    head_ += "host: " + target.host + "\r\n";
  }

  void Start(const Request& request, OnData on_data, OnEnd on_end) override {
    on_data_ = std::move(on_data);
    on_end_ = std::move(on_end);
    answer_ = {};
    state_ = State::kHead;
    no_body_ = request.method == "HEAD";
    std::string text = request.method + " " + request.path + " HTTP/1.1\r\n" + head_;
    if (!request.body.empty() || request.method != "GET") text += "content-length: " + std::to_string(request.body.size()) + "\r\n";
    Send(text + "\r\n" + request.body);
  }

 private:
  enum class State { kIdle, kHead, kBody, kChunkHead, kChunk, kChunkEnd, kTrailer };

  void OnBytes(std::string_view bytes) override {
    while (!bytes.empty() && state_ != State::kIdle) {
      switch (state_) {
        case State::kBody:
        case State::kChunk: Take(&bytes); break;
        case State::kHead:
          if (Line(&bytes, "\r\n\r\n")) Head();
          break;
        case State::kChunkHead:
          if (Line(&bytes, "\r\n")) {
            const auto text = std::string_view(line_);
            std::from_chars(text.data(), text.data() + text.size(), left_, 16);
            line_.clear();
            state_ = left_ == 0 ? State::kTrailer : State::kChunk;
          }
          break;
        case State::kChunkEnd:
          if (Line(&bytes, "\r\n")) {
            line_.clear();
            state_ = State::kChunkHead;
          }
          break;
        case State::kTrailer:
          if (Line(&bytes, "\r\n")) {
            line_.clear();
            End();
          }
          break;
        case State::kIdle: break;
      }
    }
  }

  void OnClosed() override {
    if (state_ == State::kIdle) return;
    answer_.status = 0;
    End();
  }

  // Collects into line_ up to and with `end`; true when it is complete.
  bool Line(std::string_view* bytes, std::string_view end) {
    const std::size_t before = line_.size() < end.size() ? 0 : line_.size() - end.size() + 1;
    line_.append(*bytes);
    const std::size_t at = line_.find(end, before);
    if (at == std::string::npos) {
      *bytes = {};
      return false;
    }
    const std::size_t surplus = line_.size() - at - end.size();
    line_.resize(at + end.size());
    *bytes = bytes->substr(bytes->size() - surplus);
    return true;
  }

  void Head() {
    std::string low = line_;
    for (char& c : low) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    line_.clear();
    answer_.status = std::atoi(low.c_str() + std::strlen("http/1.1 "));
    if (const auto at = low.find("\r\ncontent-length:"); at != std::string::npos) {
      left_ = std::strtoull(low.c_str() + at + std::strlen("\r\ncontent-length:"), nullptr, 10);
      state_ = State::kBody;
      if (left_ == 0 || no_body_) End();
    } else if (low.find("chunked") != std::string::npos) {
      state_ = State::kChunkHead;
    } else {
      End();
    }
  }

  void Take(std::string_view* bytes) {
    const std::string_view part = bytes->substr(0, left_);
    *bytes = bytes->substr(part.size());
    left_ -= part.size();
    answer_.bytes += part.size();
    if (answer_.body.size() < kKeptBody) answer_.body.append(part.substr(0, kKeptBody - answer_.body.size()));
    if (on_data_) on_data_(part);
    if (left_ > 0) return;
    if (state_ == State::kChunk) {
      state_ = State::kChunkEnd;
    } else {
      End();
    }
  }

  void End() {
    state_ = State::kIdle;
    const OnEnd end = std::move(on_end_);   // may start the next request
    if (end) end(answer_);
  }

  std::string head_;
  State state_ = State::kIdle;
  bool no_body_ = false;
  std::string line_;
  std::size_t left_ = 0;
  Answer answer_;
  OnData on_data_;
  OnEnd on_end_;
};

}  // namespace

std::unique_ptr<Connection> OpenHttp1(Loop& loop, const Target& target) { return std::make_unique<Http1>(loop, target); }

}  // namespace skerry::bench
