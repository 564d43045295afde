#include <algorithm>
#include <condition_variable>
#include <deque>
#include <list>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "core/base/strings.h"
#include "core/telemetry/log.h"
#include "embedded-kube-shim/controller/controller.h"

namespace skerry::kube {

Key KeyOf(const json::Value& object) {
  const json::Value& meta = object["metadata"];
  return {std::string(meta["namespace"].Str()), std::string(meta["name"].Str())};
}

namespace {

void AddOwner(const json::Value& object, std::string_view group, std::string_view kind, std::vector<Key>& out) {
  const json::Value& meta = object["metadata"];
  for (const json::Value& ref : meta["ownerReferences"].Items()) {
    if (!ref["controller"].Bool() || ref["kind"].Str() != kind) continue;
    const std::string_view api_version = ref["apiVersion"].Str();
    const std::size_t slash = api_version.find('/');
    if ((slash == std::string_view::npos ? std::string_view() : api_version.substr(0, slash)) != group) continue;
    Key key{std::string(meta["namespace"].Str()), std::string(ref["name"].Str())};
    if (out.empty() || out.back() != key) out.push_back(std::move(key));
  }
}

constexpr std::chrono::milliseconds kFirstBackoff{5};
constexpr std::chrono::milliseconds kLastBackoff{1'000'000};
constexpr std::chrono::milliseconds kInvalidBackoff{30'000};
constexpr int kKeptThreads = 2;                       // stay when idle; the others leave
constexpr std::chrono::seconds kThreadIdle{30};

std::chrono::milliseconds Backoff(int failures) {
  auto d = kFirstBackoff;
  for (int i = 1; i < failures && d < kLastBackoff; ++i) d *= 2;
  return std::min(d, kLastBackoff);
}

// A key is in at most one of: ready (queued), processing; `dirty` says that it must run (again). This is client-go's queue.
struct Queue {
  ControllerSpec spec;
  std::deque<Key> ready;
  std::set<Key> dirty, processing;
  std::map<Key, int> failures;
  std::map<Key, Clock::MonoTime> due;                 // the earliest delayed run of a key
  int running = 0;
};

class ManagerImpl final : public Manager {
 public:
  ManagerImpl(Informers& informers, const Clock& clock, ManagerOptions options) : informers_(informers), clock_(clock), options_(options) {}
  ~ManagerImpl() override { ManagerImpl::Stop(); }

  std::string_view name() const noexcept override { return "controllers"; }

  void Add(ControllerSpec spec) override {
    auto q = std::make_unique<Queue>();
    q->spec = std::move(spec);
    queues_.push_back(std::move(q));
  }

  Result<> Start(const Ctx&) override {
    {
      std::lock_guard lock(mutex_);
      started_ = true;
      stopping_ = false;
      for (const auto& q : queues_) {
        for (std::size_t i = 0; i < q->ready.size(); ++i) WakeWorker();   // queued before the start
      }
    }
    for (const auto& q : queues_) {
      for (const Trigger& t : q->spec.triggers) {
        subscriptions_.push_back(SubscribeChanges(informers_, t.resource, [this, queue = q.get(), map = t.map, wants = t.wants](const Change& change) {
          if (wants && !wants(change)) return;
          if (!map) return EnqueueIn(*queue, change.key());
          for (Key& key : map(change.Objects())) EnqueueIn(*queue, std::move(key));
        }));
      }
    }
    if (options_.threads > 0) timer_ = std::jthread([this] { RunTimer(); });
    std::lock_guard lock(mutex_);
    for (const auto& q : queues_) {
      for (std::size_t i = 0; i < q->ready.size(); ++i) WakeWorker();   // what was queued before there were threads
    }
    return {};
  }

  void Stop() noexcept override {
    subscriptions_.clear();
    std::list<std::jthread> threads;
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
      stop_.request_stop();
      threads.swap(threads_);
      work_.notify_all();
      timer_wake_.notify_all();
    }
    threads.clear();
    if (timer_.joinable()) timer_.join();
  }

  void Enqueue(std::string_view controller, Key key) override {
    if (Queue* q = Find(controller)) EnqueueIn(*q, std::move(key));
  }

  void EnqueueAfter(std::string_view controller, Key key, std::chrono::milliseconds delay) override {
    Queue* q = Find(controller);
    if (!q) return;
    if (delay.count() <= 0) return EnqueueIn(*q, std::move(key));
    std::lock_guard lock(mutex_);
    Delay(*q, key, delay);
  }

  void WakeDelayed() override {
    std::lock_guard lock(mutex_);
    auto delayed = std::move(delayed_);
    delayed_.clear();
    for (auto& [at, entry] : delayed) {
      entry.first->due.erase(entry.second);
      EnqueueLocked(*entry.first, std::move(entry.second));
    }
  }

  bool Idle() const override {
    std::lock_guard lock(mutex_);
    for (const auto& q : queues_) {
      if (!q->ready.empty() || !q->processing.empty()) return false;
    }
    return true;
  }

  std::optional<Clock::MonoTime> NextDue() const override {
    std::lock_guard lock(mutex_);
    if (delayed_.empty()) return std::nullopt;
    return delayed_.begin()->first;
  }

  std::size_t RunDue() override {
    std::size_t count = 0;
    std::unique_lock lock(mutex_);
    for (;;) {
      MoveDue();
      Queue* q = Next();
      if (!q) return count;
      RunOne(*q, lock);
      ++count;
    }
  }

  bool RunNext() override {
    std::unique_lock lock(mutex_);
    MoveDue();
    Queue* q = Next();
    if (q) RunOne(*q, lock);
    return q != nullptr;
  }

 private:
  Queue* Find(std::string_view name) {
    for (const auto& q : queues_) {
      if (q->spec.name == name) return q.get();
    }
    return nullptr;
  }

  void EnqueueIn(Queue& q, Key key) {
    std::lock_guard lock(mutex_);
    EnqueueLocked(q, std::move(key));
  }

  void EnqueueLocked(Queue& q, Key key) {
    if (stopping_ || !q.dirty.insert(key).second) return;
    if (q.processing.contains(key)) return;           // runs again when it is done
    q.ready.push_back(std::move(key));
    if (q.running < q.spec.workers) WakeWorker();     // else one of them takes it when it is done
  }

  // One at a time: whoever wakes up wakes the next one when there is more to do.
  void WakeWorker() {
    if (options_.threads == 0 || !started_ || waking_) return;
    if (idle_ > 0) {
      waking_ = true;
      work_.notify_one();
    } else if (thread_count_ < options_.threads) {
      waking_ = true;
      ++thread_count_;
      threads_.emplace_back([this] { RunWorker(); });
    }
  }

  void Delay(Queue& q, const Key& key, std::chrono::milliseconds delay) {
    const Clock::MonoTime at = clock_.Mono() + delay;
    const auto [it, fresh] = q.due.try_emplace(key, at);
    if (!fresh) {
      if (it->second <= at) return;
      EraseDelayed(it->second, q, key);
      it->second = at;
    }
    const bool first = delayed_.empty() || at < delayed_.begin()->first;
    delayed_.emplace(at, std::pair(&q, key));
    if (first) timer_wake_.notify_one();
  }

  void EraseDelayed(Clock::MonoTime at, Queue& q, const Key& key) {
    for (auto [i, end] = delayed_.equal_range(at); i != end; ++i) {
      if (i->second.first == &q && i->second.second == key) {
        delayed_.erase(i);
        return;
      }
    }
  }

  void MoveDue() {
    const Clock::MonoTime now = clock_.Mono();
    while (!delayed_.empty() && delayed_.begin()->first <= now) {
      auto [q, key] = std::move(delayed_.begin()->second);
      delayed_.erase(delayed_.begin());
      q->due.erase(key);
      EnqueueLocked(*q, std::move(key));
    }
  }

  static bool MayRun(const Queue& q) { return !q.ready.empty() && q.running < q.spec.workers; }

  // The next controller with work and a free slot, in turn so that none starves.
  Queue* Next() {
    for (std::size_t i = 0; i < queues_.size(); ++i) {
      Queue& q = *queues_[(turn_ + i) % queues_.size()];
      if (!MayRun(q)) continue;
      turn_ = (turn_ + i + 1) % queues_.size();
      return &q;
    }
    return nullptr;
  }

  void RunOne(Queue& q, std::unique_lock<std::mutex>& lock) {
    const Key key = std::move(q.ready.front());
    q.ready.pop_front();
    q.dirty.erase(key);
    q.processing.insert(key);
    ++q.running;
    if (!waking_ && std::any_of(queues_.begin(), queues_.end(), [](const auto& other) { return MayRun(*other); })) WakeWorker();
    lock.unlock();
    const Ctx ctx(stop_.get_token());
    Result<Outcome> outcome = q.spec.reconciler->Reconcile(ctx, key);
    lock.lock();
    --q.running;
    q.processing.erase(key);
    const bool again = q.dirty.contains(key);
    if (outcome) {
      q.failures.erase(key);
      if (outcome->requeue_after && !again) Delay(q, key, *outcome->requeue_after);
    } else {
      Retry(q, key, outcome.error(), again);
    }
    if (again) q.ready.push_back(key);                // this thread looks for work next
  }

  void Retry(Queue& q, const Key& key, const Error& error, bool again) {
    const Code code = error.code();
    if (code == Code::kCancelled || stopping_) return;
    const std::string object = key.ns.empty() ? key.name : key.ns + "/" + key.name;
    if (code == Code::kConflict || code == Code::kNotFound) {
      log::Debug("reconcile will be retried", {{"controller", q.spec.name}, {"object", object}, {"error", error}});
    } else {
      log::Warn("reconcile failed", {{"controller", q.spec.name}, {"object", object}, {"error", error}});
    }
    const int failures = ++q.failures[key];
    if (!again) Delay(q, key, code == Code::kInvalid ? std::max(kInvalidBackoff, Backoff(failures)) : Backoff(failures));
  }

  void RunWorker() {
    std::unique_lock lock(mutex_);
    waking_ = false;
    while (!stopping_) {
      if (Queue* q = Next()) {
        RunOne(*q, lock);
        continue;
      }
      ++idle_;
      bool leave = false;
      if (idle_ <= kKeptThreads) {
        work_.wait(lock);
      } else {
        leave = work_.wait_for(lock, kThreadIdle) == std::cv_status::timeout && idle_ > kKeptThreads;
      }
      --idle_;
      waking_ = false;
      if (leave && !Next()) break;
    }
    --thread_count_;
    Retire();
  }

  // A leaving thread cannot join itself: it joins the one that left before it.
  void Retire() {
    for (auto it = threads_.begin(); it != threads_.end(); ++it) {
      if (it->get_id() != std::this_thread::get_id()) continue;
      std::swap(retired_, *it);
      threads_.erase(it);                             // erases the previous retiree, which has nothing left to do but return
      return;
    }
  }

  void RunTimer() {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      MoveDue();
      if (delayed_.empty()) {
        timer_wake_.wait(lock);
      } else {
        timer_wake_.wait_for(lock, delayed_.begin()->first - clock_.Mono());
      }
    }
  }

  Informers& informers_;
  const Clock& clock_;
  const ManagerOptions options_;
  std::vector<std::unique_ptr<Queue>> queues_;        // constant after Start; contents guarded by mutex_

  mutable std::mutex mutex_;
  std::condition_variable work_, timer_wake_;
  std::multimap<Clock::MonoTime, std::pair<Queue*, Key>> delayed_;
  std::stop_source stop_;
  std::size_t turn_ = 0;
  int idle_ = 0, thread_count_ = 0;
  bool started_ = false, stopping_ = false;
  bool waking_ = false;                               // a worker was told of work and has not looked yet

  std::vector<std::shared_ptr<void>> subscriptions_;
  std::jthread retired_;
  std::list<std::jthread> threads_;
  std::jthread timer_;
};

}  // namespace

std::function<std::vector<Key>(const Notification&)> OwnerOf(std::string group, std::string kind) {
  return [group = std::move(group), kind = std::move(kind)](const Notification& n) {
    std::vector<Key> out;
    AddOwner(*n.object, group, kind, out);
    if (n.previous) AddOwner(*n.previous, group, kind, out);
    return out;
  };
}

std::unique_ptr<Manager> NewManager(Informers& informers, const Clock& clock, ManagerOptions options) {
  return std::make_unique<ManagerImpl>(informers, clock, options);
}

}  // namespace skerry::kube
