#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "tests/bench/load_flags.h"
#include "tests/bench/load_process.h"

namespace skerry::bench {
namespace {

constexpr double kGiveUp = 60;

// The resolution of what is measured from outside; nothing tells a stranger when a port begins to listen.
void Breathe() {
  const timespec pause{0, 500'000};
  ::nanosleep(&pause, nullptr);
}

// {"type":"Ready", … "status":"True"} in a list of nodes, whatever the order of its members.
bool HasReadyNode(const std::string& body) {
  const std::size_t at = body.find("\"type\":\"Ready\"");
  if (at == std::string::npos) return false;
  const std::size_t from = body.rfind('{', at), to = body.find('}', at);
  return body.substr(from, to - from).find("\"status\":\"True\"") != std::string::npos;
}

pid_t Launch(const Flags& flags) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  const int log = ::open(flags.Get("log", "/dev/null").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  ::dup2(log, 1);
  ::dup2(log, 2);
  ::execv(flags.command[0], flags.command.data());
  ::_exit(127);
}

}  // namespace

int RunReady(const Flags& flags) {
  const Target target = TargetOf(flags, flags.Get("url"));
  const double begin = Now(), end = begin + kGiveUp;
  const pid_t child = Launch(flags);
  const auto since = [begin] { return (Now() - begin) * 1e3; };
  while (!Connects(target)) {
    if (::waitpid(child, nullptr, WNOHANG) == child) Die("the server ended");
    if (Now() > end) Die("nothing listens");
    Breathe();
  }
  const double listens = since();
  Loop loop;
  const auto connection = Connection::Open(loop, target);
  const auto insist = [&](const Request& request, const auto& good) {
    for (;;) {
      const Answer answer = Ask(loop, *connection, request);
      if (good(answer)) return since();
      if (answer.status == 0 || Now() > end) Die("not ready: " + std::to_string(answer.status) + " " + answer.body.substr(0, 300));
      Breathe();
    }
  };
  const double created = insist({"POST", flags.Get("create-path"), flags.File("body")}, [](const Answer& a) { return a.status == 201; });
  const double ready = flags.Get("path").empty() ? created : insist({"GET", flags.Get("path"), ""}, [](const Answer& a) { return HasReadyNode(a.body); });
  const double cpu = CpuSeconds(child);
  ::kill(child, SIGTERM);
  const double asked = Now();
  int status = 0;
  ::waitpid(child, &status, 0);
  std::printf("listens_ms=%.1f created_ms=%.1f ready_ms=%.1f cpu_ms=%.0f stop_ms=%.1f exit=%d\n", listens, created, ready, cpu * 1e3, (Now() - asked) * 1e3, WEXITSTATUS(status));
  return 0;
}

// From before a pod is created until the watch shows its containers running.
int RunStarted(const Flags& flags) {
  Target target = TargetOf(flags, flags.Get("url"));
  Target creating = target;
  creating.headers.emplace_back("content-type", "application/json");
  Loop loop;
  const auto watch = Connection::Open(loop, target), connection = Connection::Open(loop, creating);
  std::string wanted, buffered;
  bool running = false;
  watch->Start({"GET", flags.Get("path") + "?watch=1", ""}, [&](std::string_view data) {
    buffered.append(data);
    for (std::size_t end; (end = buffered.find('\n')) != std::string::npos; buffered.erase(0, end + 1)) {
      const std::string_view line = std::string_view(buffered).substr(0, end);
      running = running || (!wanted.empty() && line.find(wanted) != std::string_view::npos && line.find("\"phase\":\"Running\"") != std::string_view::npos);
    }
  }, [](const Answer& a) { Die("the watch ended: " + a.body); });
  const auto pid = static_cast<pid_t>(flags.Number("pid", 0));
  const std::string body = flags.File("body");
  std::vector<double> times;
  const double cpu = CpuSeconds(pid);
  std::int64_t n = flags.Number("first", 1);
  for (std::int64_t i = 0; i < flags.Number("count", 10); ++i, ++n) {
    running = false;
    wanted = Numbered("\"name\":\"p{n}\"", n);
    const double begin = Now();
    const Answer created = Ask(loop, *connection, {"POST", flags.Get("path"), Numbered(body, n)});
    if (created.status != 201) Die("no pod: " + created.body);
    loop.Run([&] {
      if (Now() > begin + kGiveUp) Die("the pod does not start");
      return running;
    });
    times.push_back(Now() - begin);
  }
  std::sort(times.begin(), times.end());
  std::printf("pods=%zu p50_ms=%.1f min_ms=%.1f max_ms=%.1f cpu_ms=%.1f next=%lld\n", times.size(), Quantile(times, 0.5) * 1e3, times.front() * 1e3, times.back() * 1e3,
              (CpuSeconds(pid) - cpu) * 1e3 / static_cast<double>(times.size()), static_cast<long long>(n));
  return 0;
}

// A change, then requests on new connections until one is answered by what it changed to.
int RunSwitch(const Flags& flags) {
  const std::string both = flags.Get("expect"), body = flags.File("change-body");
  const std::string expected[] = {both.substr(0, both.find('|')), both.substr(both.find('|') + 1)};
  Target target = TargetOf(flags, flags.Get("url"));
  target.headers.emplace_back("content-type", flags.Get("change-type", "application/json"));
  Target probe = TargetOf(flags, flags.Get("probe"));
  probe.headers.clear();
  Loop loop;
  const auto connection = Connection::Open(loop, target);
  const auto pid = static_cast<pid_t>(flags.Number("pid", 0));
  std::vector<double> times;
  const double cpu = CpuSeconds(pid);
  for (std::int64_t i = 0; i < flags.Number("rounds", 20); ++i) {
    const std::string& expect = expected[i % 2];
    const double begin = Now();
    const Answer changed = Ask(loop, *connection, {flags.Get("change-method", "PATCH"), flags.Get("change-path"), Replaced(body, "{expect}", expect)});
    if (changed.status / 100 != 2) Die("the change failed: " + std::to_string(changed.status) + " " + changed.body.substr(0, 300));
    for (std::string answer; answer.find(expect) == std::string::npos;) {
      if (Now() > begin + kGiveUp) Die("the change has no effect; the last answer: " + answer);
      if (!Connects(probe)) continue;
      answer = Ask(loop, *Connection::Open(loop, probe), {"GET", "/", ""}).body;
    }
    times.push_back(Now() - begin);
  }
  std::sort(times.begin(), times.end());
  std::printf("rounds=%zu p50_ms=%.2f max_ms=%.2f cpu_ms=%.2f\n", times.size(), Quantile(times, 0.5) * 1e3, times.back() * 1e3, (CpuSeconds(pid) - cpu) * 1e3 / static_cast<double>(times.size()));
  return 0;
}

}  // namespace skerry::bench
