#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "core/base/files.h"
#include "core/base/random.h"
#include "core/base/strings.h"
#include "core/telemetry/log.h"
#include "tests/fault/powercut_fs.h"
#include "tests/fault/store_full.h"
#include "tests/fault/store_ledger.h"
#include "tests/fault/store_writer.h"

// skerry_fault_store kill|powercut|diskfull [rounds] [seed]
//   kill       a process with 32 concurrent writers is killed again and again
//   powercut   the same on a file system that drops what was not synced
//   diskfull   a small tmpfs runs full and is freed again
// Exit 0: nothing acknowledged was lost, no revision used twice, watches resumed without gap or duplicate. 77: cannot run here.
namespace skerry::fault_test {
namespace {

constexpr int kSkipped = 77;

class Workspace {
 public:
  Workspace() {
    std::string path = "/tmp/skerry-fault-XXXXXX";
    if (!::mkdtemp(path.data())) std::abort();
    path_ = path;
  }
  ~Workspace() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Starts the writers in a process of their own.
pid_t StartWriters(const WriterArguments& a, UniqueFd* output) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return -1;
  *output = UniqueFd(ends[0]);
  UniqueFd theirs(ends[1]);
  const std::string after = Cat(a.after), writers = Cat(a.writers), first = Cat(a.first_sequence), sync = a.sync ? "1" : "0";
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  if (::dup2(theirs.get(), kSayFd) < 0) ::_exit(9);
  if (theirs.get() == kSayFd) ::fcntl(kSayFd, F_SETFD, 0);
  ::execl("/proc/self/exe", "skerry_fault_store", "writers", a.directory.c_str(), after.c_str(), writers.c_str(), first.c_str(),
          sync.c_str(), a.fault_point.c_str(), nullptr);
  ::_exit(9);
}

class Reader {
 public:
  Reader(int fd, Ledger& ledger) : fd_(fd), ledger_(ledger) {}
  // Takes lines until `until`; false at the end of the pipe.
  bool Until(std::chrono::steady_clock::time_point until) {
    for (;;) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
      if (left <= 0) return true;
      pollfd p{fd_, POLLIN, 0};
      if (::poll(&p, 1, static_cast<int>(left)) <= 0) continue;
      if (!Take()) return false;
    }
  }
  void ToTheEnd() {
    while (Take()) {
    }
  }
  bool FirstAnswer() {
    const std::size_t before = ledger_.acknowledged();
    while (ledger_.acknowledged() == before && !ledger_.refused()) {
      if (!Take()) return false;
    }
    return true;
  }

 private:
  bool Take() {
    char buffer[65536];
    const ssize_t n = ::read(fd_, buffer, sizeof buffer);
    if (n <= 0) return false;
    rest_.append(buffer, static_cast<std::size_t>(n));
    std::size_t from = 0;
    for (std::size_t end; (end = rest_.find('\n', from)) != std::string::npos; from = end + 1)
      ledger_.Line(std::string_view(rest_).substr(from, end - from));
    rest_.erase(0, from);
    return true;
  }
  const int fd_;
  Ledger& ledger_;
  std::string rest_;
};

// One life of the writers, which may also end at their fault point or because the disk is gone.
bool RunAndKill(const WriterArguments& arguments, Ledger& ledger, Random& random) {
  UniqueFd output;
  const pid_t pid = StartWriters(arguments, &output);
  if (pid < 0) return false;
  ledger.StartRun();
  Reader reader(output.get(), ledger);
  bool alive = true;
  if (random.Below(8) == 0) {   // already while it opens
    alive = reader.Until(std::chrono::steady_clock::now() + std::chrono::microseconds(random.Below(40'000)));
  } else {
    alive = reader.FirstAnswer() && reader.Until(std::chrono::steady_clock::now() + std::chrono::milliseconds(random.Below(120)));
  }
  ::kill(pid, SIGKILL);
  reader.ToTheEnd();
  int status = 0;
  ::waitpid(pid, &status, 0);
  const bool disk_gone = WIFEXITED(status) && WEXITSTATUS(status) == kCannotOpen;
  const bool at_fault_point = !arguments.fault_point.empty() && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  if (!alive && !disk_gone && !at_fault_point) std::printf("the writers ended by themselves with status %d\n", status);
  return alive || disk_gone || at_fault_point;
}

// Every third life ends between judging a group and answering it.
std::string FaultPoint(Random& random) {
  if (random.Below(3) != 0) return "";
  return Cat(random.Below(2) ? "store.commit.before_sync:" : "store.commit.after_sync:", 1 + random.Below(50));
}

struct Totals {
  int rounds = 0, checks = 0;
  bool broken = false;
};

template <class Before, class AfterKill>
Totals Rounds(int rounds, std::uint64_t seed, const std::string& directory, bool sync, Ledger& ledger, const Before& before,
              const AfterKill& after_kill) {
  SeededRandom random(seed);
  Totals totals;
  for (int i = 0; i < rounds && ledger.failures().empty(); ++i, ++totals.rounds) {
    WriterArguments a{directory, ledger.position(), 32, i * 1'000'000, sync, FaultPoint(random)};
    if (!before(i) || !RunAndKill(a, ledger, random) || !after_kill(i)) {
      totals.broken = true;
      return totals;
    }
    if (i % 4 == 3 && i + 1 != rounds) continue;   // the next writers open what the crash left, without a clean close in between
    auto store = store::OpenRocksStore(FaultOptions(directory, sync));
    if (!store) {
      std::printf("FAILED: round %d: %s\n", i, std::string(store.error().message()).c_str());
      totals.broken = true;
      return totals;
    }
    ledger.Check(**store);
    ++totals.checks;
  }
  return totals;
}

int Report(const char* what, const Totals& totals, const Ledger& ledger, std::uint64_t seed) {
  for (const std::string& f : ledger.failures()) std::printf("FAILED: %s\n", f.c_str());
  std::printf("%s: %d rounds, %d checks, %zu acknowledged writes, %zu failures (seed %llu)\n", what, totals.rounds, totals.checks,
              ledger.acknowledged(), ledger.failures().size(), static_cast<unsigned long long>(seed));
  return totals.broken || !ledger.failures().empty() || ledger.acknowledged() == 0 ? 1 : 0;
}

int Kill(int rounds, std::uint64_t seed) {
  const Workspace work;
  Ledger ledger;
  const Totals totals = Rounds(rounds, seed, work.path() + "/store", true, ledger, [](int) { return true; }, [](int) { return true; });
  return Report("kill -9", totals, ledger, seed);
}

int PowerCut(int rounds, std::uint64_t seed) {
  if (::access("/dev/fuse", R_OK | W_OK) != 0 || ::geteuid() != 0) {
    std::printf("power cut: SKIPPED, needs root and /dev/fuse\n");
    return kSkipped;
  }
  for (const bool sync : {false, true}) {
    const Workspace work;
    auto fs = PowercutFs::Mount(work.path());
    if (!fs) {
      std::printf("power cut: %s\n", std::string(fs.error().message()).c_str());
      return 1;
    }
    Ledger ledger;
    const auto mode = [&](int i) { return !sync || i % 2 == 0 ? CutMode::kDropAll : CutMode::kKeepSome; };
    const auto seed_of = [&](int i) { return seed + static_cast<std::uint64_t>(i); };
    const auto arm = [&](int i) {
      return !sync || i % 4 < 2 || fs->CutAtSync(1 + static_cast<int>(seed_of(i) * 7919 % 80), mode(i), seed_of(i)).has_value();
    };
    const auto cut = [&](int i) { return fs->Cut(mode(i), seed_of(i)).has_value(); };
    const Totals totals = Rounds(sync ? rounds : 5, seed, work.path() + "/store", sync, ledger, arm, cut);
    if (sync) return Report("power cut", totals, ledger, seed);
    // A store that does not sync must be caught, or this test proves nothing.
    const bool caught = !ledger.failures().empty() || totals.broken;
    std::printf("power cut of a store that does not sync: %s\n", caught ? "loss was noticed" : "FAILED: loss was not noticed");
    if (!caught) return 1;
  }
  return 1;
}

int Main(int argc, char** argv) {
  const std::string_view verb = argc > 1 ? argv[1] : "";
  if (verb != "diskfull") log::SetLevel(log::Level::kOff);   // a disk that is gone says so in every round
  if (verb == "writers" && argc == 8) {
    return RunWriters({argv[2], std::atoll(argv[3]), std::atoi(argv[4]), std::atoi(argv[5]), argv[6][0] == '1', argv[7]});
  }
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 20;
  const std::uint64_t seed = argc > 3 ? static_cast<std::uint64_t>(std::atoll(argv[3])) : Random::System().Below(1'000'000);
  if (verb == "kill") return Kill(rounds, seed);
  if (verb == "powercut") return PowerCut(rounds, seed);
  if (verb == "diskfull") return DiskFull();
  std::fprintf(stderr, "usage: skerry_fault_store kill|powercut|diskfull [rounds] [seed]\n");
  return 2;
}

}  // namespace
}  // namespace skerry::fault_test

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  return skerry::fault_test::Main(argc, argv);
}
