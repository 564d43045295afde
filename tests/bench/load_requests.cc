#include <algorithm>
#include <cstdio>

#include "tests/bench/load_flags.h"
#include "tests/bench/load_process.h"

namespace skerry::bench {
namespace {

// gRPC frame of etcdserverpb.PutRequest: key = 1, value = 2.
std::string PutRequest(const std::string& key, const std::string& value) {
  const auto field = [](char tag, const std::string& bytes) {
    std::string out(1, tag);
    std::size_t size = bytes.size();
    for (; size >= 128; size >>= 7) out += static_cast<char>((size & 127) | 128);
    return out + static_cast<char>(size) + bytes;
  };
  const std::string message = field(0x0a, key) + field(0x12, value);
  std::string out(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(message.size() >> shift);
  return out + message;
}

class Requests {
 public:
  explicit Requests(const Flags& flags)
      : flags_(flags), target_(TargetOf(flags, flags.Get("url"))), method_(flags.Get("method", "GET")), path_(flags.Get("path", "/")), body_(flags.File("body")),
        grpc_(flags.Get("grpc-put") == "1"), streams_(target_.h2 ? static_cast<std::size_t>(flags.Number("streams", 1)) : 1), next_(flags.Number("first", 1)), pid_(static_cast<pid_t>(flags.Number("pid", 0))) {
    if (grpc_) {
      target_.headers.emplace_back("content-type", "application/grpc");
      target_.headers.emplace_back("te", "trailers");
    }
    const std::int64_t n = flags.Number("connections", 1);
    for (std::int64_t i = 0; i < n; ++i) connections_.push_back(Connection::Open(loop_, target_));
  }

  int Run() {
    Phase(flags_.Number("warmup", static_cast<std::int64_t>(connections_.size())), 0);
    latencies_.clear();
    bytes_ = errors_ = 0;
    const std::int64_t resident = ResidentKib(pid_);
    highest_ = resident;
    const double cpu = CpuSeconds(pid_), begin = Now();
    Phase(flags_.Number("count", 0), std::stod(flags_.Get("seconds", "0")));
    const double seconds = Now() - begin, spent = CpuSeconds(pid_) - cpu;
    auto n = static_cast<double>(latencies_.size());
    std::sort(latencies_.begin(), latencies_.end());
    std::printf("requests=%zu seconds=%.3f rate=%.1f errors=%zu cpu_us=%.2f cpu_s=%.3f p50_ms=%.3f p99_ms=%.3f bytes=%.0f rss_rise_kib=%lld next=%lld\n", latencies_.size(), seconds,
                n / seconds, errors_, n > 0 ? spent * 1e6 / n : 0, spent, Quantile(latencies_, 0.5) * 1e3, Quantile(latencies_, 0.99) * 1e3, n > 0 ? static_cast<double>(bytes_) / n : 0,
                static_cast<long long>(highest_ - resident), static_cast<long long>(next_));
    if (errors_ > 0) std::fprintf(stderr, "skerry_load: %zu of %.0f failed, the first with %s\n", errors_, n, first_error_.c_str());
    return errors_ > 0 ? 1 : 0;
  }

 private:
  void Phase(std::int64_t count, double seconds) {
    left_ = seconds > 0 ? INT64_MAX : count;
    end_ = seconds > 0 ? Now() + seconds : 0;
    for (std::size_t i = 0; i < connections_.size() * streams_; ++i) Next(i);
    loop_.Run([this] {
      if (pid_) highest_ = std::max(highest_, ResidentKib(pid_));
      return running_ == 0;
    }, 2);
  }

  void Next(std::size_t index) {
    if (left_ == 0 || (end_ > 0 && Now() >= end_)) return;
    --left_;
    ++running_;
    const std::int64_t n = next_++;
    const std::string own = std::to_string(index), path = Replaced(Numbered(path_, n), "{c}", own), body = Replaced(Numbered(body_, n), "{c}", own);
    const double begin = Now();
    connections_[index % connections_.size()]->Start(grpc_ ? Request{"POST", "/etcdserverpb.KV/Put", PutRequest(path, body)} : Request{method_, path, body}, {}, [this, begin, index](const Answer& answer) {
      latencies_.push_back(Now() - begin);
      bytes_ += answer.bytes;
      if (answer.status / 100 != 2 || (grpc_ && answer.grpc_status != "0")) {
        if (errors_++ == 0) first_error_ = std::to_string(answer.status) + " " + answer.body.substr(0, 300);
        if (answer.status == 0) Die("a connection broke");
      }
      --running_;
      Next(index);
    });
  }

  const Flags& flags_;
  Target target_;
  const std::string method_, path_, body_;
  const bool grpc_;
  const std::size_t streams_;   // requests at a time on one connection
  std::int64_t next_, left_ = 0;
  const pid_t pid_;
  Loop loop_;
  std::vector<std::unique_ptr<Connection>> connections_;
  double end_ = 0;
  std::size_t running_ = 0, bytes_ = 0, errors_ = 0;
  std::int64_t highest_ = 0;
  std::vector<double> latencies_;
  std::string first_error_;
};

}  // namespace

int RunRequests(const Flags& flags) { return Requests(flags).Run(); }

}  // namespace skerry::bench
