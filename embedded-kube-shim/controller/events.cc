#include <condition_variable>
#include <cstdio>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "core/base/strings.h"
#include "core/telemetry/log.h"
#include "embedded-kube-shim/controller/controller.h"

namespace skerry::kube {
namespace {

constexpr std::size_t kQueueLimit = 1000;
constexpr std::size_t kMemoryLimit = 4096;            // remembered events for correlation
constexpr std::chrono::minutes kSameEvent{10};
constexpr double kBurst = 25;
constexpr double kPerSecond = 1.0 / 300;

struct Pending {
  json::Value involved;                               // ObjectReference
  std::string type, reason, message;
  Clock::Wall at;
};

struct Seen {
  std::string name;
  std::int64_t count = 0;
  std::string first;
  Clock::MonoTime last;
};

struct Bucket {
  double tokens = kBurst;
  Clock::MonoTime filled;
};

json::Value Reference(const json::Value& object, std::string_view field_path) {
  const json::Value& meta = object["metadata"];
  json::Value ref;
  ref.Set("kind") = object["kind"].Str();
  if (!meta["namespace"].Str().empty()) ref.Set("namespace") = meta["namespace"].Str();
  ref.Set("name") = meta["name"].Str();
  if (!meta["uid"].Str().empty()) ref.Set("uid") = meta["uid"].Str();
  ref.Set("apiVersion") = object["apiVersion"].Str();
  if (!meta["resourceVersion"].Str().empty()) ref.Set("resourceVersion") = meta["resourceVersion"].Str();
  if (!field_path.empty()) ref.Set("fieldPath") = field_path;
  return ref;
}

class Recorder final : public EventRecorder {
 public:
  Recorder(Client& client, std::string component, std::string host, const Clock& clock)
      : client_(client), component_(std::move(component)), host_(std::move(host)), clock_(clock), thread_([this](std::stop_token stop) { Run(stop); }) {}
  ~Recorder() override {
    thread_.request_stop();
    wake_.notify_all();
  }

  void Event(const json::Value& involved, std::string_view type, std::string_view reason, std::string message, std::string_view field_path) override {
    if (message.size() > 1024) message.resize(1024);
    Pending p{Reference(involved, field_path), std::string(type), std::string(reason), std::move(message), clock_.Now()};
    {
      std::lock_guard lock(mutex_);
      if (queue_.size() >= kQueueLimit) return;
      queue_.push_back(std::move(p));
    }
    wake_.notify_one();
  }

 private:
  void Run(std::stop_token stop) {
    for (;;) {
      Pending p;
      {
        std::unique_lock lock(mutex_);
        if (!wake_.wait(lock, stop, [&] { return !queue_.empty(); })) return;
        p = std::move(queue_.front());
        queue_.pop_front();
      }
      Write(Ctx(stop), std::move(p));
    }
  }

  bool Allowed(const std::string& object) {
    if (buckets_.size() > kMemoryLimit) buckets_.clear();
    const Clock::MonoTime now = clock_.Mono();
    Bucket& b = buckets_.try_emplace(object, Bucket{kBurst, now}).first->second;
    b.tokens = std::min(kBurst, b.tokens + kPerSecond * std::chrono::duration<double>(now - b.filled).count());
    b.filled = now;
    if (b.tokens < 1) return false;
    b.tokens -= 1;
    return true;
  }

  void Write(const Ctx& ctx, Pending p) {
    const std::string object = Cat(p.involved["kind"].Str(), "/", p.involved["namespace"].Str(), "/", p.involved["name"].Str(), "/", p.involved["uid"].Str());
    if (!Allowed(object)) return;
    std::string ns(p.involved["namespace"].Str());
    if (ns.empty()) ns = "default";
    const std::string same = Cat(object, "|", p.involved["fieldPath"].Str(), "|", p.type, "|", p.reason, "|", p.message);
    const std::string now = FormatTime(p.at);
    if (seen_.size() > kMemoryLimit) seen_.clear();
    Seen& seen = seen_[same];
    const Clock::MonoTime mono = clock_.Mono();
    if (seen.count > 0 && mono - seen.last < kSameEvent) {
      json::Value patch;
      patch.Set("count") = seen.count + 1;
      patch.Set("lastTimestamp") = now;
      if (client_.Patch(ctx, "v1/events", {ns, seen.name}, PatchType::kMerge, std::move(patch))) {
        ++seen.count;
        seen.last = mono;
        return;
      }
    }
    char suffix[32];
    std::snprintf(suffix, sizeof suffix, "%llx", static_cast<unsigned long long>(std::chrono::duration_cast<std::chrono::nanoseconds>(p.at.time_since_epoch()).count()));
    seen = {Cat(p.involved["name"].Str(), ".", suffix), 1, now, mono};
    if (auto r = client_.Create(ctx, "v1/events", Body(p, ns, seen.name, now)); !r) {
      seen.count = 0;
      // A namespace that ends takes no more events; that is no fault.
      if (r.error().code() != Code::kForbidden && r.error().code() != Code::kNotFound && r.error().code() != Code::kCancelled) {
        log::Warn("event not recorded", {{"object", object}, {"reason", p.reason}, {"error", r.error()}});
      }
    }
  }

  json::Value Body(Pending& p, const std::string& ns, const std::string& name, const std::string& now) const {
    json::Value e;
    e.Set("apiVersion") = "v1";
    e.Set("kind") = "Event";
    e.Set("metadata").Set("name") = name;
    e.Set("metadata").Set("namespace") = ns;
    e.Set("involvedObject") = std::move(p.involved);
    e.Set("reason") = p.reason;
    e.Set("message") = p.message;
    e.Set("source").Set("component") = component_;
    if (!host_.empty()) e.Set("source").Set("host") = host_;
    e.Set("firstTimestamp") = now;
    e.Set("lastTimestamp") = now;
    e.Set("count") = 1;
    e.Set("type") = p.type;
    e.Set("reportingComponent") = component_;
    e.Set("reportingInstance") = host_;
    return e;
  }

  Client& client_;
  const std::string component_, host_;
  const Clock& clock_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::deque<Pending> queue_;                         // guarded by mutex_
  std::map<std::string, Seen> seen_;                  // the thread's own
  std::map<std::string, Bucket> buckets_;
  std::jthread thread_;
};

}  // namespace

std::unique_ptr<EventRecorder> NewEventRecorder(Client& client, std::string component, std::string host, const Clock& clock) {
  return std::make_unique<Recorder>(client, std::move(component), std::move(host), clock);
}

}  // namespace skerry::kube
