#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <thread>
#include <vector>

#include "core/base/strings.h"
#include "core/base/unique_fd.h"
#include "store/store.h"

// skerry_store_bench [directory] [milliseconds per figure]: durable commits of 1 KB beside a bare write + fdatasync loop on the same
// disk, interleaved, medians of five. Prints; never judges.
namespace skerry::bench {
namespace {

using Steady = std::chrono::steady_clock;
constexpr int kRounds = 5;
constexpr std::size_t kValue = 1024;

double CpuSeconds() {
  rusage u;
  ::getrusage(RUSAGE_SELF, &u);
  const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6; };
  return seconds(u.ru_utime) + seconds(u.ru_stime);
}

struct Figure {
  double per_second = 0, cpu_us = 0;
};

Figure Median(std::vector<Figure> all) {
  const auto middle = [&](double Figure::*field) {
    std::sort(all.begin(), all.end(), [&](const Figure& a, const Figure& b) { return a.*field < b.*field; });
    return all[all.size() / 2].*field;
  };
  return {middle(&Figure::per_second), middle(&Figure::cpu_us)};
}

// Runs `one(thread, i)` on so many threads for so long.
Figure Measure(int threads, std::chrono::milliseconds time, const std::function<void(int, int)>& one) {
  std::atomic<long> done{0};
  const double cpu = CpuSeconds();
  const auto begin = Steady::now(), end = begin + time;
  std::vector<std::thread> workers;
  for (int t = 0; t < threads; ++t) {
    workers.emplace_back([&, t] {
      for (int i = 0; Steady::now() < end; ++i, ++done) one(t, i);
    });
  }
  for (std::thread& w : workers) w.join();
  const double seconds = std::chrono::duration<double>(Steady::now() - begin).count(), n = static_cast<double>(std::max(done.load(), 1L));
  return {n / seconds, (CpuSeconds() - cpu) * 1e6 / n};
}

std::string Value(int thread, int i) {
  std::string v = Cat("{\"thread\":", thread, ",\"i\":", i, ",\"text\":\"");
  std::uint64_t x = static_cast<std::uint64_t>(thread) << 32 | static_cast<std::uint32_t>(i);
  while (v.size() < kValue) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    v += static_cast<char>('a' + (x >> 59) % 26);
  }
  return v;
}

void Print(const char* what, const std::vector<Figure>& rounds) {
  const Figure m = Median(rounds);
  std::printf("%-44s %10.0f /s %8.1f CPU-us/op\n", what, m.per_second, m.cpu_us);
}

void Check(const Result<store::Outcome>& r) {
  if (r && !r->conflict) return;
  std::fprintf(stderr, "commit: %s\n", r ? "conflict" : std::string(r.error().message()).c_str());
  std::exit(1);
}

void OpenTime(const store::Options& options, const char* what) {
  const auto begin = Steady::now();
  auto store = store::OpenRocksStore(options);
  const double ms = std::chrono::duration<double, std::milli>(Steady::now() - begin).count();
  const auto page = (*store)->List("/", {"", 1, 0});
  std::printf("%-44s %10.0f ms with %lld entries and revisions %lld to %lld\n", what, ms, static_cast<long long>(page->remaining + 1),
              static_cast<long long>((*store)->horizon()), static_cast<long long>((*store)->current()));
}

void Run(const std::string& directory, std::chrono::milliseconds time) {
  store::Options options;
  options.directory = directory + "/store";
  options.volatile_prefixes = {"/lease/"};
  auto opened = store::OpenRocksStore(options);
  if (!opened) {
    std::fprintf(stderr, "%s\n", std::string(opened.error().message()).c_str());
    std::exit(1);
  }
  store::Store& s = **opened;
  const UniqueFd raw(::open((directory + "/raw").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  int series = 0;
  const auto create = [&](int t, int i) {
    Check(SubmitAndWait(s, {{{Cat("/c/", series, "/", t, "/", i), 0}}, {{Cat("/c/", series, "/", t, "/", i), Bytes(Value(t, i))}}}));
  };
  const auto update = [&](int t, int i) {
    Check(SubmitAndWait(s, {{}, {{Cat("/u/", t, "/", i % 100), Bytes(Value(t, i + series * 1'000'000))}}}));
  };
  const auto lease = [&](int t, int i) { Check(SubmitAndWait(s, {{}, {{Cat("/lease/", t), Bytes(Cat(i, " ", series))}}})); };
  const auto get = [&](int t, int i) { static_cast<void>(s.Get(Cat("/u/", t, "/", i % 100))); };
  const auto sync = [&](int t, int i) {
    const std::string v = Value(t, i);
    if (::write(raw.get(), v.data(), v.size()) < 0 || ::fdatasync(raw.get()) != 0) std::exit(1);
  };
  std::vector<Figure> syncs, creates1, creates64, updates64, leases, gets;
  for (; series < kRounds; ++series) {
    syncs.push_back(Measure(1, time, sync));
    creates1.push_back(Measure(1, time, create));
    creates64.push_back(Measure(64, time, [&](int t, int i) { create(t + 1, i); }));
    updates64.push_back(Measure(64, time, update));
    leases.push_back(Measure(8, time, lease));
    gets.push_back(Measure(1, time, get));
  }
  Print("raw write 1 KB + fdatasync, 1 thread", syncs);
  Print("durable create 1 KB, 1 writer", creates1);
  Print("durable create 1 KB, 64 writers", creates64);
  Print("durable update 1 KB, 64 writers", updates64);
  Print("volatile write, 8 writers", leases);
  Print("get, 1 reader", gets);
  opened->reset();
  OpenTime(options, "open after the above");
  options.directory = directory + "/small";
  {
    auto small = store::OpenRocksStore(options);
    for (int i = 0; i < 10'000; ++i) Check(SubmitAndWait(**small, {{}, {{Cat("/o/", i), Bytes(Value(1, i))}}}));
  }
  OpenTime(options, "open");
}

}  // namespace
}  // namespace skerry::bench

int main(int argc, char** argv) {
  std::string path = argc > 1 ? argv[1] : "/tmp";
  path += "/skerry-store-bench-XXXXXX";
  if (!::mkdtemp(path.data())) return 1;
  skerry::bench::Run(path, std::chrono::milliseconds(argc > 2 ? std::atoi(argv[2]) : 500));
  std::filesystem::remove_all(path);
  return 0;
}
