#include "embedded-kube-shim/node/housekeeping.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/telemetry/log.h"
#include "core/text/quantity.h"
#include "core/volume/volume.h"
#include "embedded-kube-shim/controllers/pod_facts.h"

namespace skerry::kube::node {
namespace {

constexpr const char* kHousekeeping = "node-housekeeping";
constexpr std::chrono::seconds kEvery{30};
constexpr std::uint64_t kLogLimit = 10 << 20;
constexpr std::size_t kLogFiles = 5;                   // with the one that is being written
constexpr double kImagesHigh = 0.85, kImagesLow = 0.80, kEvictBelowFree = 0.05;   // shares of the file system

DiskSpace ReadDisk(const std::string& path) {
  struct statvfs fs;
  if (::statvfs(path.c_str(), &fs) != 0) return {};
  return {static_cast<std::int64_t>(fs.f_blocks) * static_cast<std::int64_t>(fs.f_frsize), static_cast<std::int64_t>(fs.f_bavail) * static_cast<std::int64_t>(fs.f_frsize)};
}

std::int64_t Bytes(const json::Value& v) {
  if (v.is_null()) return 0;
  const auto q = text::Quantity::Parse(v.is_string() ? std::string(v.Str()) : v.Dump());
  return q ? q->Value() : 0;
}

class Housekeeper final : public Reconciler {
 public:
  Housekeeper(const WorkerEnvironment& env, HousekeepingTools tools) : env_(env), tools_(std::move(tools)), pods_(env.informers.Get("v1/pods")) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key&) override {
    RotateLogs(ctx);
    const DiskSpace disk = CollectImages(ctx);
    if (!EvictGreedy(ctx) && disk.total > 0 && static_cast<double>(disk.free) < kEvictBelowFree * static_cast<double>(disk.total)) EvictOne(disk);
    return Outcome{kEvery};
  }

 private:
  DiskSpace Disk() const { return env_.disk ? env_.disk() : ReadDisk(env_.data_directory); }

  void RotateLogs(const Ctx& ctx) {
    for (const auto& [key, view] : tools_.views()) {
      for (const auto& [name, path] : view.logs) {
        if (ctx.done()) return;
        const auto id = view.containers.find(name);
        if (id == view.containers.end()) continue;
        if (auto r = RotateLog(ctx, env_.runtime, id->second, path, kLogLimit); !r) log::Warn("log not rotated", {{"path", path}, {"error", r.error()}});
      }
    }
  }

  // Images that nothing uses go, the longest unused first, when the disk is nearly full.
  DiskSpace CollectImages(const Ctx& ctx) {
    DiskSpace disk = Disk();
    const auto used = [&] { return 1 - static_cast<double>(disk.free) / static_cast<double>(disk.total); };
    if (disk.total <= 0 || used() < kImagesHigh) return disk;
    auto images = env_.runtime.images().List();
    if (!images) return disk;
    std::erase_if(*images, [](const container::ImageInfo& i) { return i.in_use; });
    std::sort(images->begin(), images->end(), [](const auto& a, const auto& b) { return a.last_used < b.last_used; });
    for (const container::ImageInfo& i : *images) {
      if (ctx.done() || used() < kImagesLow) break;
      if (auto r = env_.runtime.images().Remove(i.id); !r) continue;   // in use again
      log::Info("image removed to make room", {{"image", i.id}});
      disk = Disk();
    }
    return disk;
  }

  // Pods that use more than they said they would.
  bool EvictGreedy(const Ctx& ctx) {
    bool any = false;
    for (const auto& [key, view] : tools_.views()) {
      const ObjectPtr pod = pods_.Get(key);
      if (!pod || Uid(*pod) != view.uid || !IsPodActive(*pod)) continue;
      const std::string why = Excess(ctx, *pod, view);
      if (why.empty()) continue;
      tools_.evict(key, view.uid, {"Evicted", why});
      any = true;
    }
    return any;
  }

  std::string Excess(const Ctx& ctx, const json::Value& pod, const PodView& view) const {
    for (const json::Value& v : pod["spec"]["volumes"].Items()) {
      const json::Value& limit = v["emptyDir"]["sizeLimit"];
      if (limit.is_null() || v["emptyDir"]["medium"].Str() == "Memory" || Bytes(limit) <= 0) continue;   // memory is limited by the kernel
      const auto usage = volume::DiskUsage(ctx, Cat(env_.data_directory, "/pods/", view.uid, "/volumes/empty-dir/", v["name"].Str()));
      if (usage && static_cast<std::int64_t>(usage->bytes) > Bytes(limit)) {
        return Cat("Usage of EmptyDir volume ", Quote(v["name"].Str()), " exceeds the limit ", Quote(limit.Str()), ". ");
      }
    }
    for (const json::Value& c : pod["spec"]["containers"].Items()) {
      const json::Value& limit = c["resources"]["limits"]["ephemeral-storage"];
      const auto id = view.containers.find(std::string(c["name"].Str()));
      if (limit.is_null() || id == view.containers.end()) continue;
      const auto stats = env_.runtime.ContainerStats(id->second);
      if (stats && static_cast<std::int64_t>(stats->writable_layer_bytes + stats->log_bytes) > Bytes(limit)) {
        return Cat("Container ", c["name"].Str(), " exceeded its local ephemeral storage limit ", Quote(limit.Str()), ". ");
      }
    }
    return {};
  }

  // The disk is nearly full and no image can go: the least important pod ends, of equal ones the largest.
  void EvictOne(const DiskSpace& disk) {
    std::optional<std::pair<std::int64_t, std::int64_t>> best_rank;
    std::pair<Key, std::string> best;
    for (const auto& [key, view] : tools_.views()) {
      const ObjectPtr pod = pods_.Get(key);
      if (!pod || Uid(*pod) != view.uid || !IsPodActive(*pod)) continue;
      const std::int64_t priority = (*pod)["spec"]["priority"].Int();
      if (priority >= 2'000'000'000) continue;         // the system's own
      std::int64_t bytes = 0;
      for (const auto& [name, id] : view.containers) {
        if (const auto stats = env_.runtime.ContainerStats(id)) bytes += static_cast<std::int64_t>(stats->writable_layer_bytes + stats->log_bytes);
      }
      const std::pair rank(priority, -bytes);
      if (best_rank && *best_rank <= rank) continue;
      best_rank = rank;
      best = {key, view.uid};
    }
    if (!best_rank) return;
    const auto threshold = static_cast<std::int64_t>(kEvictBelowFree * static_cast<double>(disk.total));
    tools_.evict(best.first, best.second,
                 {"Evicted", Cat("The node was low on resource: ephemeral-storage. Threshold quantity: ", threshold, ", available: ", disk.free / 1024, "Ki. ")});
  }

  const WorkerEnvironment& env_;
  const HousekeepingTools tools_;
  const Lister& pods_;
};

}  // namespace

Result<bool> RotateLog(const Ctx& ctx, container::Runtime& runtime, const std::string& id, const std::string& path, std::uint64_t limit) {
  struct stat st;
  if (::stat(path.c_str(), &st) != 0 || static_cast<std::uint64_t>(st.st_size) <= limit) return false;
  const auto status = runtime.InspectContainer(id);
  if (!status || status->state != container::State::kRunning) return false;   // its last word stays in one piece
  const std::size_t slash = path.rfind('/');
  const std::string directory = path.substr(0, slash), name = path.substr(slash + 1);
  std::vector<std::string> old;
  for (std::string& entry : Entries(directory)) {
    if (entry.starts_with(name + ".")) old.push_back(std::move(entry));
  }
  std::sort(old.begin(), old.end());                   // "<name>.<number>", numbers of equal width
  const auto last = old.empty() ? std::nullopt : ParseInt(std::string_view(old.back()).substr(name.size() + 1));
  std::string number = std::to_string(last.value_or(0) + 1);
  number.insert(0, number.size() < 8 ? 8 - number.size() : 0, '0');
  const std::string moved = Cat(path, ".", number);
  if (::rename(path.c_str(), moved.c_str()) != 0) return std::unexpected(ErrnoError(errno, "rename " + path));
  if (auto r = runtime.ReopenLog(ctx, id); !r) {
    static_cast<void>(::rename(moved.c_str(), path.c_str()));   // what is written goes on where it went
    return std::unexpected(std::move(r).error());
  }
  for (std::size_t i = 0; i + kLogFiles - 2 < old.size(); ++i) ::unlink(Cat(directory, "/", old[i]).c_str());
  return true;
}

void AddHousekeeping(Manager& manager, const WorkerEnvironment& env, HousekeepingTools tools) {
  ControllerSpec spec;
  spec.name = kHousekeeping;
  spec.reconciler = std::make_unique<Housekeeper>(env, std::move(tools));
  manager.Add(std::move(spec));
  manager.EnqueueAfter(kHousekeeping, {"", "node"}, kEvery);
}

}  // namespace skerry::kube::node
