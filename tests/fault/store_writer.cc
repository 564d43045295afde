#include "tests/fault/store_writer.h"

#include <unistd.h>
#include <zlib.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "core/base/random.h"
#include "core/base/strings.h"
#include "tests/fault/store_ledger.h"

namespace skerry::fault_test {
namespace {

// A line is one write below PIPE_BUF: whole or not at all, whenever the process dies.
void Say(const std::string& line) {
  if (::write(kSayFd, line.data(), line.size()) != static_cast<ssize_t>(line.size())) ::_exit(3);
}

class Writer {
 public:
  Writer(store::Store& store, int index, int first, std::uint64_t seed) : store_(store), index_(index), sequence_(first), random_(seed) {}

  [[noreturn]] void Run() {
    for (;;) {
      switch (random_.Below(8)) {
        case 0: Volatile(); break;
        case 1: Increment(); break;
        case 2: WriteOwn(false); break;
        default: WriteOwn(true); break;
      }
    }
  }

 private:
  // The disk is gone. What was under way stays in doubt, as the contract says.
  [[noreturn]] static void GiveUp() {
    Say("E\n");
    for (;;) ::pause();
  }

  void WriteOwn(bool put) {
    const int sequence = sequence_++;
    const std::string key = Cat(kPrefix, index_, "/", random_.Below(12));
    Say(Cat("S ", index_, " ", sequence, put ? " p " : " d ", key, "\n"));
    const auto r = store::SubmitAndWait(store_, {{}, {{key, put ? std::optional(Bytes(ValueOf(index_, sequence))) : std::nullopt}}});
    if (r) Say(Cat("A ", index_, " ", sequence, " ", r->changed ? r->revision : 0, "\n"));
    if (!r) GiveUp();
  }

  void Volatile() {
    const auto r = store::SubmitAndWait(store_, {{}, {{Cat("/lease/", index_), Bytes(Cat(sequence_++))}}});
    if (r) Say(Cat("V ", r->revision, "\n"));
    if (!r) GiveUp();
  }

  void Increment() {
    const auto entry = store_.Get(kCounter);
    const store::Revision modified = *entry ? (*entry)->modified : 0;
    const std::int64_t value = *entry ? ParseInt((*entry)->value.Load().view()).value() : 0;
    Say("I\n");
    const auto r = store::SubmitAndWait(store_, {{{kCounter, modified}}, {{kCounter, Bytes(Cat(value + 1))}}});
    if (!r) GiveUp();
    if (r->conflict) return Say("K\n");
    Say("J\n");
    Say(Cat("V ", r->revision, "\n"));
  }

  store::Store& store_;
  const int index_;
  int sequence_;
  SeededRandom random_;
};

[[noreturn]] void WatchAndSay(store::Store& store, store::Revision after) {
  std::mutex mutex;
  std::condition_variable changed;
  bool woken = true;
  auto wake = std::make_shared<std::function<void()>>([&] {
    const std::lock_guard lock(mutex);
    woken = true;
    changed.notify_one();
  });
  auto watch = store.Subscribe(kPrefix, after, wake);
  for (;;) {
    auto events = watch ? (*watch)->TryNext() : std::unexpected(watch.error().Clone());
    if (!events) {
      std::fprintf(stderr, "watch: %s\n", std::string(events.error().message()).c_str());
      ::_exit(4);
    }
    for (const store::Event& e : *events) {
      const auto bytes = e.entry.value.Load();
      const auto value = bytes.view();
      const auto crc = static_cast<std::uint32_t>(::crc32_z(0, reinterpret_cast<const unsigned char*>(value.data()), value.size()));
      Say(Cat("W ", e.entry.modified, e.type == store::Event::Type::kDelete ? " d " : " p ", e.entry.key, " ", crc, "\n"));
    }
    if (!events->empty()) {
      Say(Cat("P ", (*watch)->position(), "\n"));
      continue;
    }
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return woken; });
    woken = false;
  }
}

}  // namespace

store::Options FaultOptions(const std::string& directory, bool sync) {
  store::Options o;
  o.directory = directory;
  o.volatile_prefixes = {"/lease/"};
  o.history_bytes = 8 << 20;   // keeps opening quick
  o.ballast_bytes = 1 << 20;
  o.sync = sync;
  return o;
}

int RunWriters(const WriterArguments& a) {
  if (!a.fault_point.empty()) ::setenv("SKERRY_FAULT_POINT", a.fault_point.c_str(), 1);
  auto store = store::OpenRocksStore(FaultOptions(a.directory, a.sync));
  if (!store) {
    if (store.error().code() != Code::kUnavailable) std::fprintf(stderr, "%s\n", std::string(store.error().message()).c_str());
    return kCannotOpen;
  }
  std::vector<std::thread> threads;
  threads.emplace_back([&] { WatchAndSay(**store, a.after); });
  for (int i = 0; i < a.writers; ++i) {
    threads.emplace_back([&, i] {
      Writer(**store, i, a.first_sequence, static_cast<std::uint64_t>(a.first_sequence) * 1000 + static_cast<std::uint64_t>(i)).Run();
    });
  }
  for (std::thread& t : threads) t.join();   // until the process is killed
  return 0;
}

}  // namespace skerry::fault_test
