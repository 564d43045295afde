#include <algorithm>
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
constexpr std::size_t kTogether = 32;                 // written at the same time
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
      std::vector<Pending> some;
      {
        std::unique_lock lock(mutex_);
        if (!wake_.wait(lock, stop, [&] { return !queue_.empty(); })) return;
        for (; !queue_.empty() && some.size() < kTogether; queue_.pop_front()) some.push_back(std::move(queue_.front()));
      }
      Write(Ctx(stop), std::move(some));
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

  static std::string ObjectOf(const Pending& p) {
    return Cat(p.involved["kind"].Str(), "/", p.involved["namespace"].Str(), "/", p.involved["name"].Str(), "/", p.involved["uid"].Str());
  }

  void Write(const Ctx& ctx, std::vector<Pending> some) {
    if (seen_.size() > kMemoryLimit) seen_.clear();
    std::vector<json::Value> fresh;
    std::vector<std::string> keys;                    // of them in seen_
    for (Pending& p : some) {
      const std::string object = ObjectOf(p);
      if (!Allowed(object)) continue;
      std::string ns(p.involved["namespace"].Str());
      if (ns.empty()) ns = "default";
      std::string same = Cat(object, "|", p.involved["fieldPath"].Str(), "|", p.type, "|", p.reason, "|", p.message);
      if (std::find(keys.begin(), keys.end(), same) != keys.end()) Create(ctx, fresh, keys);   // what it repeats has to be there
      if (Repeat(ctx, ns, seen_[same], p)) continue;
      const std::string now = FormatTime(p.at);
      char suffix[32];
      std::snprintf(suffix, sizeof suffix, "%llx", static_cast<unsigned long long>(std::chrono::duration_cast<std::chrono::nanoseconds>(p.at.time_since_epoch()).count()));
      Seen& seen = seen_[same] = {Cat(p.involved["name"].Str(), ".", suffix), 1, now, clock_.Mono()};
      fresh.push_back(Body(p, ns, seen.name, now));
      keys.push_back(std::move(same));
    }
    Create(ctx, fresh, keys);
  }

  bool Repeat(const Ctx& ctx, const std::string& ns, Seen& seen, const Pending& p) {
    const Clock::MonoTime mono = clock_.Mono();
    if (seen.count == 0 || mono - seen.last >= kSameEvent) return false;
    json::Value patch;
    patch.Set("count") = seen.count + 1;
    patch.Set("lastTimestamp") = FormatTime(p.at);
    if (!client_.Patch(ctx, "v1/events", {ns, seen.name}, PatchType::kMerge, std::move(patch))) return false;
    ++seen.count;
    seen.last = mono;
    return true;
  }

  // Empties both.
  void Create(const Ctx& ctx, std::vector<json::Value>& fresh, std::vector<std::string>& keys) {
    const std::vector<Result<ObjectPtr>> written = client_.CreateAll(ctx, "v1/events", std::exchange(fresh, {}));
    for (std::size_t i = 0; i < written.size(); ++i) {
      if (written[i]) continue;
      seen_[keys[i]].count = 0;
      // A namespace that ends takes no more events; that is no fault.
      const Error& error = written[i].error();
      if (error.code() != Code::kForbidden && error.code() != Code::kNotFound && error.code() != Code::kCancelled) log::Warn("event not recorded", {{"event", keys[i]}, {"error", error}});
    }
    keys.clear();
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
