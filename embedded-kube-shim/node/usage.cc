#include "embedded-kube-shim/node/usage.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "core/base/fault.h"
#include "core/base/files.h"
#include "core/base/strings.h"

// Kernel: Documentation/filesystems/proc.rst
namespace skerry::kube::node {
namespace {

constexpr std::string_view kMachine = "/";   // no container has this id

// A group of the machine's root has no memory figures in a v2 tree, and what it counts in a v1 tree leaves the kernel's share out: the
// machine as a whole is read from /proc.
struct ProcFigures {
  std::uint64_t cpu_ns = 0, memory_bytes = 0, working_set_bytes = 0, available_bytes = 0, rss_bytes = 0;
  std::uint64_t page_faults = 0, major_page_faults = 0;
  std::int64_t boot_seconds = 0;
};

std::uint64_t Field(std::string_view text, std::string_view key) {
  for (const std::string_view line : Split(text, '\n')) {
    if (!line.starts_with(key)) continue;
    std::string_view rest = line.substr(key.size());
    if (rest.empty() || (rest.front() != ' ' && rest.front() != ':')) continue;
    const std::size_t digit = rest.find_first_of("0123456789");
    if (digit == rest.npos) return 0;
    rest.remove_prefix(digit);
    return ParseUint(rest.substr(0, rest.find(' '))).value_or(0);
  }
  return 0;
}

std::optional<ProcFigures> ReadProc(const std::string& proc) {
  const auto stat = ReadFile(proc + "/stat", 1 << 20), memory = ReadFile(proc + "/meminfo", 64 << 10), paging = ReadFile(proc + "/vmstat", 64 << 10);
  if (!stat || !memory) return std::nullopt;
  ProcFigures out;
  // "cpu  user nice system idle iowait irq softirq steal …"; guests are part of user.
  std::uint64_t ticks = 0;
  int column = 0;
  for (const std::string_view word : Split(std::string_view(*stat).substr(0, stat->find('\n')), ' ')) {
    const auto n = ParseUint(word);
    if (!n) continue;
    const bool idle = column == 3 || column == 4;
    if (!idle && column < 8) ticks += *n;
    ++column;
  }
  const std::uint64_t per_second = static_cast<std::uint64_t>(std::max(::sysconf(_SC_CLK_TCK), 1L));
  out.cpu_ns = ticks * (1'000'000'000 / per_second);
  out.boot_seconds = static_cast<std::int64_t>(Field(*stat, "btime"));
  const auto bytes = [&](std::string_view key) { return Field(*memory, key) * 1024; };
  out.memory_bytes = bytes("MemTotal") - std::min(bytes("MemTotal"), bytes("MemFree"));
  out.working_set_bytes = out.memory_bytes - std::min(out.memory_bytes, bytes("Inactive(file)"));
  out.available_bytes = bytes("MemAvailable");
  out.rss_bytes = bytes("AnonPages");
  if (paging) {
    out.page_faults = Field(*paging, "pgfault");
    out.major_page_faults = Field(*paging, "pgmajfault");
  }
  return out;
}

// The columns of /proc/net/dev: eight of what came in (bytes, packets, errors, …), then eight of what went out.
std::vector<InterfaceUsage> ReadInterfaces(const std::string& proc) {
  std::vector<InterfaceUsage> out;
  const auto table = ReadFile(proc + "/net/dev", 1 << 20), routes = ReadFile(proc + "/net/route", 1 << 20);
  if (!table) return out;
  for (const std::string_view line : Split(*table, '\n')) {
    const std::size_t colon = line.find(':');
    if (colon == line.npos) continue;
    const std::string_view name = Trim(line.substr(0, colon));
    std::vector<std::uint64_t> columns;
    for (const std::string_view word : Split(line.substr(colon + 1), ' ')) {
      if (const auto n = ParseUint(word)) columns.push_back(*n);
    }
    if (name == "lo" || columns.size() < 12) continue;
    out.push_back({std::string(name), columns[0], columns[2], columns[8], columns[10]});
  }
  // "eth0  00000000  <gateway> …" is the default route.
  std::string_view main;
  if (routes) {
    for (const std::string_view line : Split(*routes, '\n')) {
      const auto words = Split(line, '\t');
      if (main.empty() && words.size() > 2 && Trim(words[1]) == "00000000") main = Trim(words[0]);
    }
  }
  std::stable_partition(out.begin(), out.end(), [&](const InterfaceUsage& i) { return i.name == main; });
  return out;
}

std::optional<DiskUsage> ReadDisk(const std::string& directory) {
  struct statvfs fs{};
  if (directory.empty() || ::statvfs(directory.c_str(), &fs) != 0) return std::nullopt;
  const std::uint64_t block = fs.f_frsize;
  return DiskUsage{fs.f_blocks * block, fs.f_bavail * block, (fs.f_blocks - fs.f_bfree) * block, fs.f_files, fs.f_ffree};
}

std::int64_t Whole(double v) { return static_cast<std::int64_t>(v + 0.5); }

}  // namespace

struct UsageMeter::Reading {
  Key pod;
  std::string id;
  Clock::MonoTime started;
  ContainerUsage usage;
  Clock::Wall at;
  std::chrono::milliseconds window{};
  enum class State : std::uint8_t { kUnread, kKnown, kGone } state = State::kUnread;
};

std::vector<UsageMeter::Reading> UsageMeter::Running(std::string_view ns) const {
  std::vector<Reading> out;
  const Clock::Wall now = clock_.Now();
  const Clock::MonoTime mono = clock_.Mono();
  for (const auto& [key, view] : options_.pods()) {
    if (!ns.empty() && key.ns != ns) continue;
    for (const auto& [name, id] : view.containers) {
      const auto status = runtime_.InspectContainer(id);
      if (!status || status->state != container::State::kRunning) continue;
      Reading r;
      r.pod = key;
      r.id = id;
      r.usage.name = name;
      r.usage.counters.since = status->started;
      r.started = mono - std::chrono::duration_cast<Clock::MonoTime::duration>(std::max(now - status->started, Clock::Wall::duration(0)));
      out.push_back(std::move(r));
    }
  }
  return out;
}

bool UsageMeter::Measure(Reading& r) {
  const auto stats = runtime_.ContainerStats(r.id, container::Measure::kCounters);
  if (!stats) {
    r.state = Reading::State::kGone;
    return true;
  }
  const auto rate = rates_.Note(r.id, stats->cpu_usage_ns, clock_.Mono(), r.started);
  if (!rate) return false;
  r.usage.cpu_nanos = Whole(rate->per_second);
  r.usage.memory_bytes = static_cast<std::int64_t>(stats->memory_working_set_bytes);
  r.usage.counters.cpu_ns = stats->cpu_usage_ns;
  r.usage.counters.memory_usage_bytes = stats->memory_usage_bytes;
  r.usage.counters.memory_rss_bytes = stats->memory_rss_bytes;
  r.usage.counters.page_faults = stats->page_faults;
  r.usage.counters.major_page_faults = stats->major_page_faults;
  r.at = stats->time;
  r.window = rate->window;
  r.state = Reading::State::kKnown;
  return true;
}

std::vector<PodUsage> UsageMeter::Pods(std::string_view ns) {
  std::vector<Reading> readings = Running(ns);
  bool complete = true;
  for (Reading& r : readings) complete = Measure(r) && complete;
  if (!complete) {
    options_.pause(telemetry::Rates::kShortest + std::chrono::milliseconds(100));
    for (Reading& r : readings) {
      if (r.state == Reading::State::kUnread) Measure(r);
    }
  }
  rates_.Forget(clock_.Mono());
  std::vector<PodUsage> out;   // the containers of a pod stand side by side
  for (Reading& r : readings) {
    if (r.state != Reading::State::kKnown) continue;
    if (out.empty() || out.back().pod != r.pod) out.push_back({r.pod, r.at, r.window, {}});
    out.back().window = std::max(out.back().window, r.window);
    out.back().containers.push_back(std::move(r.usage));
  }
  return out;
}

bool UsageMeter::Measure(NodeUsage& node) {
  const auto machine = ReadProc(options_.proc);
  if (!machine) return false;
  const auto rate = rates_.Note(kMachine, machine->cpu_ns, clock_.Mono());
  node.at = clock_.Now();
  node.memory_bytes = static_cast<std::int64_t>(machine->working_set_bytes);
  node.memory_available_bytes = static_cast<std::int64_t>(machine->available_bytes);
  node.counters = {machine->cpu_ns, machine->memory_bytes, machine->rss_bytes, machine->page_faults, machine->major_page_faults, Clock::Wall(std::chrono::seconds(machine->boot_seconds))};
  if (!rate) return false;
  node.interfaces = ReadInterfaces(options_.proc);
  node.disk = ReadDisk(options_.disk);
  node.cpu_nanos = Whole(rate->per_second);
  node.window = rate->window;
  return true;
}

std::vector<NodeUsage> UsageMeter::Nodes() {
  static_cast<void>(fault::Hit("usage.before_read"));
  NodeUsage node;
  node.node = options_.node;
  if (!Measure(node)) {
    options_.pause(telemetry::Rates::kShortest + std::chrono::milliseconds(100));
    if (!Measure(node)) return {};
  }
  return {node};
}

}  // namespace skerry::kube::node
