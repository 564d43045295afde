#include <algorithm>
#include <cstdio>
#include <deque>

#include "tests/bench/load_flags.h"
#include "tests/bench/load_process.h"

namespace skerry::bench {
namespace {

// N watches and one connection that changes what they watch. A change carries a number; a round ends when every watch has shown it.
class Watches {
 public:
  explicit Watches(const Flags& flags)
      : flags_(flags), target_(TargetOf(flags, flags.Get("url"))), changing_(target_), pid_(static_cast<pid_t>(flags.Number("pid", 0))), wanted_(flags.Number("watchers", 1000)),
        streams_(target_.h2 ? flags.Number("streams", 100) : 1), body_(flags.File("change-body")), change_(flags.Number("first", 1)) {
    changing_.h2 = false;
    if (!flags.Get("change-type").empty()) changing_.headers.emplace_back("content-type", flags.Get("change-type"));
    for (std::int64_t i = 0; i < wanted_; i += streams_) connections_.push_back(Connection::Open(loop_, target_));
    changer_ = Connection::Open(loop_, changing_);
  }

  int Run() {
    if (streams_ > 1) {   // the first watch of a connection pays for the connection's own state
      for (std::int64_t i = 0; i < wanted_; i += streams_) OpenWatch(i);
      Round();
    }
    const std::int64_t before = ResidentKib(pid_);
    const std::size_t first = seen_.size();
    for (std::int64_t i = 0; i < wanted_; ++i) {
      if (streams_ == 1 || i % streams_ != 0) OpenWatch(i);
    }
    Round();   // answered by all: the proof that all of them stand
    const std::int64_t rise = ResidentKib(pid_) - before;
    std::vector<double> times;
    const double cpu = CpuSeconds(pid_);
    const std::int64_t rounds = flags_.Number("rounds", 20);
    for (std::int64_t i = 0; i < rounds; ++i) times.push_back(Round());
    const double spent = CpuSeconds(pid_) - cpu;
    std::sort(times.begin(), times.end());
    std::printf("watchers=%zu rounds=%zu cpu_ms=%.2f p50_ms=%.2f max_ms=%.2f rss_each_bytes=%.0f next=%lld\n", seen_.size(), times.size(),
                spent * 1e3 / static_cast<double>(std::max<std::size_t>(times.size(), 1)), Quantile(times, 0.5) * 1e3, Quantile(times, 1) * 1e3,
                static_cast<double>(rise) * 1024 / static_cast<double>(std::max<std::size_t>(seen_.size() - first, 1)), static_cast<long long>(change_));
    std::fflush(stdout);
    const double end = Now() + static_cast<double>(flags_.Number("hold", 0));
    loop_.Run([end] { return Now() >= end; }, 1000);
    return 0;
  }

 private:
  struct Seen {
    std::string tail;   // the mark may be cut by the end of a read
    bool marked = false;
  };

  void OpenWatch(std::int64_t i) {
    Seen& seen = seen_.emplace_back();
    connections_[static_cast<std::size_t>(i / streams_)]->Start(
        {"GET", flags_.Get("path"), ""}, [this, &seen](std::string_view data) { Look(seen, data); },
        [](const Answer& a) { Die("a watch ended: " + std::to_string(a.status) + " " + a.body.substr(0, 300)); });
  }

  void Look(Seen& seen, std::string_view data) {
    if (seen.marked) return;
    seen.tail.append(data);
    if (seen.tail.find(mark_) != std::string::npos) {
      seen.marked = true;
      seen.tail.clear();
      ++marked_;
    } else if (seen.tail.size() > mark_.size()) {
      seen.tail.erase(0, seen.tail.size() - mark_.size());
    }
  }

  double Round() {
    for (Seen& s : seen_) s = {};
    marked_ = 0;
    mark_ = "mark-" + std::to_string(change_) + "-";
    const double begin = Now();
    const Answer answer = Ask(loop_, *changer_, {flags_.Get("change-method", "PUT"), flags_.Get("change-path"), Numbered(body_, change_++)});
    if (answer.status / 100 != 2) Die("the change failed: " + std::to_string(answer.status) + " " + answer.body.substr(0, 300));
    loop_.Run([this] { return marked_ == seen_.size(); }, 1000);
    return Now() - begin;
  }

  const Flags& flags_;
  const Target target_;
  Target changing_;
  const pid_t pid_;
  const std::int64_t wanted_, streams_;
  const std::string body_;   // holds mark-{n}-
  std::int64_t change_;
  Loop loop_;
  std::deque<Seen> seen_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::unique_ptr<Connection> changer_;
  std::string mark_;
  std::size_t marked_ = 0;
};

}  // namespace

int RunWatch(const Flags& flags) { return Watches(flags).Run(); }

}  // namespace skerry::bench
