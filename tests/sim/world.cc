#include "tests/sim/world.h"

#include <algorithm>
#include <atomic>
#include <thread>
#include <tuple>

#include "core/base/strings.h"
#include "core/crypto/key.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/controllers/service_cidr.h"
#include "embedded-kube-shim/scheduler/scheduler.h"

namespace skerry::sim {
namespace {

using kube::Key;
using kube::Notification;
using kube::ObjectPtr;
using kube::Resource;

const Ctx kCtx{std::stop_token()};
constexpr const char* kMarkers = "v1/configmaps";    // nobody else uses them here
const Key kMarker{"default", "sim-marker"};

void Must(const Result<>& r) {
  if (!r) throw std::runtime_error(std::string(r.error().message()));
}
template <class T>
T Must(Result<T> r) {
  if (!r) throw std::runtime_error(std::string(r.error().message()));
  return std::move(*r);
}

const std::string& SigningKey() {
  static const std::string key = crypto::PrivateKey::GenerateP256().ToPem();
  return key;
}

}  // namespace

// Collects notifications and hands them out on the caller's thread. Two markers bracket the delivery thread's passes: when the first
// subscriber has seen one and the last one a later one, everybody between has seen all that was committed before.
class World::Notices final : public kube::Informers {
 public:
  Notices(kube::Informers& inner, kube::Client& client) : inner_(inner), client_(client) {
    json::Value marker;
    marker.Set("apiVersion") = "v1";
    marker.Set("kind") = "ConfigMap";
    marker.Set("metadata").Set("name") = kMarker.name;
    marker.Set("metadata").Set("namespace") = kMarker.ns;
    Must(client_.Create(kCtx, kMarkers, std::move(marker)));
    first_ = SubscribeMarker(&first_seen_);
  }

  const kube::Lister& Get(Resource resource) override { return inner_.Get(resource); }
  bool HasSynced() const override { return true; }

  std::shared_ptr<void> Subscribe(Resource resource, std::function<void(const Notification&)> callback) override {
    const std::size_t index = next_++;
    subscribed_ = true;
    callbacks_[index] = std::move(callback);
    // Not the markers: how many of them one batch has is for the delivery thread to say, not for the seed.
    std::shared_ptr<void> inner = inner_.Subscribe(resource, [this, index, marked = resource == kMarkers](const Notification& n) {
      if (marked && kube::KeyOf(*n.object) == kMarker) return;
      std::lock_guard lock(mutex_);
      held_.push_back({index, n});
    });
    last_ = SubscribeMarker(&last_seen_);              // always the last one
    return std::shared_ptr<void>(nullptr, [this, index, inner = std::move(inner)](void*) mutable {
      inner.reset();
      callbacks_.erase(index);
    });
  }

  // `revision`: of the store. Nothing has been committed since the last time: nothing to wait for.
  void HandOut(const std::function<store::Revision()>& revision) {
    if (!subscribed_ && revision() == handed_out_) return;
    subscribed_ = false;
    Await(first_seen_);
    Await(last_seen_);
    handed_out_ = revision();
    std::vector<Held> held;
    {
      std::lock_guard lock(mutex_);
      held.swap(held_);
    }
    std::stable_sort(held.begin(), held.end(), [](const Held& a, const Held& b) { return std::pair(a.Revision(), a.index) < std::pair(b.Revision(), b.index); });
    for (const Held& h : held) {
      if (const auto it = callbacks_.find(h.index); it != callbacks_.end()) it->second(h.notification);
    }
  }

 private:
  struct Held {
    std::size_t index;
    Notification notification;
    std::int64_t Revision() const { return ParseInt((*notification.object)["metadata"]["resourceVersion"].Str()).value_or(0); }
  };

  std::shared_ptr<void> SubscribeMarker(std::int64_t* seen) {
    return inner_.Subscribe(kMarkers, [this, seen](const Notification& n) {
      std::lock_guard lock(mutex_);
      *seen = std::max(*seen, ParseInt((*n.object)["metadata"]["labels"]["n"].Str()).value_or(0));
      seen_.notify_all();
    });
  }

  void Await(const std::int64_t& seen) {
    json::Value patch;
    const std::int64_t mark = ++mark_;
    patch.Set("metadata").Set("labels").Set("n") = std::to_string(mark);
    Must(client_.Patch(kCtx, kMarkers, kMarker, kube::PatchType::kMerge, std::move(patch)));
    std::unique_lock lock(mutex_);
    seen_.wait(lock, [&] { return seen >= mark; });
  }

  kube::Informers& inner_;
  kube::Client& client_;
  std::size_t next_ = 0;
  std::map<std::size_t, std::function<void(const Notification&)>> callbacks_;
  std::int64_t mark_ = 0;
  bool subscribed_ = false;
  store::Revision handed_out_ = 0;
  std::mutex mutex_;
  std::condition_variable seen_;
  std::vector<Held> held_;                             // guarded
  std::int64_t first_seen_ = 0, last_seen_ = 0;        // guarded
  std::shared_ptr<void> first_, last_;
};

// The seed's numbers. Once the world stands one thread draws them: another one's draws would come in no order.
class World::Dice final : public Random {
 public:
  explicit Dice(World& world) : world_(world) {}
  void Fill(std::span<std::byte> out) override {
    if (stands_ && std::this_thread::get_id() != mine_) ++foreign_;
    world_.random_.Fill(out);
  }
  void Stands() { stands_ = true; }
  std::size_t foreign() const { return foreign_; }

 private:
  World& world_;
  const std::thread::id mine_ = std::this_thread::get_id();
  std::atomic<bool> stands_ = false;
  std::atomic<std::size_t> foreign_ = 0;
};

// The store on a bad day: commits of controllers fail, or take their time.
class World::Disk final : public store::Store {
 public:
  Disk(World& world, std::unique_ptr<store::Store> inner) : world_(world), inner_(std::move(inner)) {}

  void Submit(store::Batch batch, std::move_only_function<void(Result<store::Outcome>)> done) override {
    if (world_.writing_) {
      const std::uint64_t luck = world_.Roll();
      if (luck < static_cast<std::uint64_t>(world_.faults_.failed_commit)) return done(Fail(Code::kUnavailable, "the disk refuses, thrown in"));
      if (luck >= 1000 - static_cast<std::uint64_t>(world_.faults_.slow_commit)) world_.clock_.Advance(std::chrono::seconds(1 + world_.random_.Below(3)));
    }
    inner_->Submit(std::move(batch), std::move(done));
  }
  Result<std::optional<store::Entry>> Get(std::string_view key, store::Revision at) const override { return inner_->Get(key, at); }
  Result<store::Page> List(std::string_view prefix, const store::ListOptions& options) const override { return inner_->List(prefix, options); }
  Result<std::unique_ptr<store::Watch>> Subscribe(std::string_view prefix, store::Revision after, std::shared_ptr<std::function<void()>> wake) override {
    return inner_->Subscribe(prefix, after, std::move(wake));
  }
  void SetFeed(store::Feed* feed) override { inner_->SetFeed(feed); }
  Result<> Checkpoint(const std::string& directory) override { return inner_->Checkpoint(directory); }
  store::Revision current() const noexcept override { return inner_->current(); }
  store::Revision horizon() const noexcept override { return inner_->horizon(); }
  Result<> Compact(store::Revision revision) override { return inner_->Compact(revision); }
  Result<> Healthy() const override { return inner_->Healthy(); }

 private:
  World& world_;
  const std::unique_ptr<store::Store> inner_;
};

// A controller's client on a bad day.
class World::Client final : public kube::Client {
 public:
  Client(World& world, std::string name, std::unique_ptr<kube::Client> inner) : world_(world), name_(std::move(name)), inner_(std::move(inner)) {}

  Result<ObjectPtr> Get(const Ctx& ctx, Resource r, const Key& key) override { return inner_->Get(ctx, r, key); }
  Result<std::vector<ObjectPtr>> List(const Ctx& ctx, Resource r, std::string_view ns, std::string_view labels) override { return inner_->List(ctx, r, ns, labels); }
  Result<ObjectPtr> Create(const Ctx& ctx, Resource r, json::Value object, std::string_view sub) override {
    const Key key = kube::KeyOf(object);
    return Write<ObjectPtr>("create", r, key, false, [&] { return inner_->Create(ctx, r, std::move(object), sub); });
  }
  Result<ObjectPtr> Update(const Ctx& ctx, Resource r, json::Value object, std::string_view sub) override {
    const Key key = kube::KeyOf(object);
    return Write<ObjectPtr>("update", r, key, true, [&] { return inner_->Update(ctx, r, std::move(object), sub); });
  }
  Result<ObjectPtr> Patch(const Ctx& ctx, Resource r, const Key& key, kube::PatchType type, json::Value patch, std::string_view sub) override {
    return Write<ObjectPtr>("patch", r, key, false, [&] { return inner_->Patch(ctx, r, key, type, std::move(patch), sub); });
  }
  Result<> Delete(const Ctx& ctx, Resource r, const Key& key, const kube::DeleteOptions& options) override {
    return Write<void>("delete", r, key, false, [&] { return inner_->Delete(ctx, r, key, options); });
  }

 private:
  template <class T, class F>
  Result<T> Write(std::string_view verb, Resource resource, const Key& key, bool may_conflict, F write) {
    const Faults& f = world_.faults_;
    if (may_conflict && world_.Roll() < static_cast<std::uint64_t>(f.conflict)) return std::unexpected(kube::ConflictError("", resource, key.name, "thrown in"));
    if (world_.Roll() < static_cast<std::uint64_t>(f.refused)) return std::unexpected(Error(Code::kUnavailable, "refused, thrown in"));
    if (world_.check_) {
      if (std::string wrong = world_.check_(name_, verb, resource, key); !wrong.empty()) world_.violations_.push_back(std::move(wrong));
    }
    ++world_.writes_;
    ++world_.writes_to_[Cat(resource, " ", key.ns, "/", key.name)];
    world_.last_writes_.push_back(Cat(name_, " ", verb, " ", resource, " ", key.name));
    world_.fingerprint_ = world_.fingerprint_ * 31 + std::hash<std::string>{}(world_.last_writes_.back());
    if (world_.last_writes_.size() > 20) world_.last_writes_.pop_front();
    world_.writing_ = true;
    Result<T> r = write();
    world_.writing_ = false;
    if (r && world_.Roll() < static_cast<std::uint64_t>(f.lost_reply)) return std::unexpected(Error(Code::kUnavailable, "reply lost, thrown in"));
    return r;
  }

  World& world_;
  const std::string name_;
  const std::unique_ptr<kube::Client> inner_;
};

// Events are kept for tests to look at: in the store they would only cost time.
class World::Notebook final : public kube::EventRecorder {
 public:
  explicit Notebook(std::deque<std::string>& events) : events_(events) {}
  void Event(const json::Value& involved, std::string_view, std::string_view reason, std::string message, std::string_view) override {
    events_.push_back(Cat(involved["kind"].Str(), " ", involved["metadata"]["name"].Str(), " ", reason, ": ", message));
    if (events_.size() > 2000) events_.pop_front();
  }

 private:
  std::deque<std::string>& events_;
};

World::World(std::uint64_t seed) : random_(seed), dice_(std::make_unique<Dice>(*this)), notebook_(std::make_unique<Notebook>(events_)) {
  store::Options options;
  options.sync = false;                                // simulated crashes are of controllers, not of the machine
  options.ballast_bytes = 0;
  options.volatile_prefixes = {"/coordination.k8s.io/leases/kube-node-lease/"};
  store_ = std::make_unique<Disk>(*this, store::NewMemoryStore(std::move(options)));
  registry_ = kube::NewRegistry();
  kube::RegisterBuiltins(*registry_);
  kube::ApiServerOptions api;
  api.service_account_key = SigningKey();
  api.bootstrap_writers = 1;                           // in this order controllers will hear of what is there
  server_ = Must(kube::ApiServer::Create(*store_, *registry_, std::move(api), clock_, *dice_));
  Must(server_->Start(kCtx));
  admin_ = server_->NewClient({"admin", "", {"system:masters", "system:authenticated"}, {}}, "sim");
  notices_ = std::make_unique<Notices>(server_->informers(), *admin_);
  dice_->Stands();
}

std::size_t World::foreign_draws() const { return dice_->foreign(); }

World::~World() {
  if (manager_) StopControllers();
  notices_.reset();
  clients_.clear();
  admin_.reset();
  server_->Stop();
}

void World::StartControllers() {
  manager_ = kube::NewManager(*notices_, clock_, {.threads = 0});
  const auto client = [this](std::string_view name) -> kube::Client& {
    auto& slot = clients_[std::string(name)];
    if (!slot) {
      kube::User user{Cat("system:serviceaccount:kube-system:", name), "", {"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"}, {}};
      if (name == "scheduler") user = {"system:kube-scheduler", "", {"system:authenticated"}, {}};
      slot = std::make_unique<Client>(*this, std::string(name), server_->NewClient(std::move(user), std::string(name)));
    }
    return *slot;
  };
  const kube::ControllerContext context{*manager_, *notices_, client, [this](std::string_view) -> kube::EventRecorder& { return *notebook_; }, clock_, *registry_, "ca", {}};
  kube::AddNamespace(context);
  kube::AddNodeLifecycle(context);
  kube::AddServiceAccount(context);
  kube::AddReplicaSet(context);
  kube::AddDeployment(context);
  kube::AddStatefulSet(context);
  kube::AddDaemonSet(context);
  kube::AddJob(context);
  kube::AddCronJob(context);
  kube::AddDisruption(context);
  kube::AddResourceQuota(context);
  kube::AddEndpoints(context);
  kube::AddEndpointSlice(context);
  kube::AddServiceCidrs(context);
  kube::AddVolumes(context);
  kube::AddHorizontalPodAutoscaler(context);
  kube::AddPodGc(context);
  kube::AddTaintEviction(context);
  collector_ = kube::AddGarbageCollector(context);
  scheduler_ = kube::AddScheduler(*manager_, *notices_, client("scheduler"), context.events, clock_, {kube::SchedulerProfile()}, *dice_);
  Must(manager_->Start(kCtx));
  Deliver();
}

void World::StopControllers() {
  manager_->Stop();
  collector_.reset();
  scheduler_.reset();
  manager_.reset();
}

std::string World::LastWrites() const { return Join({last_writes_.begin(), last_writes_.end()}, "; "); }

std::size_t World::MostWritesToOne(std::string* object) const {
  std::size_t most = 0;
  for (const auto& [name, n] : writes_to_) {
    if (n <= most || name.ends_with("/")) continue;  // created with a name of the server's choice: many objects
    most = n;
    *object = name;
  }
  return most;
}

std::size_t World::Run(std::chrono::nanoseconds passes, std::size_t most) {
  const auto end = clock_.Mono() + passes;
  std::size_t reconciled = 0;
  for (;;) {
    Deliver();
    while (reconciled < most && Reconcile()) {
      ++reconciled;
      Deliver();
    }
    if (reconciled >= most || clock_.Mono() >= end) return reconciled;
    const auto due = NextDue();
    clock_.Advance(std::max<std::chrono::nanoseconds>(std::chrono::milliseconds(1), std::min(due.value_or(end), end) - clock_.Mono()));
  }
}

std::size_t World::CountEvents(std::string_view part) const {
  return static_cast<std::size_t>(std::count_if(events_.begin(), events_.end(), [&](const std::string& e) { return e.find(part) != std::string::npos; }));
}

void World::Deliver() {
  notices_->HandOut([this] { return store_->current(); });
}

bool World::Reconcile() { return manager_->RunNext(); }

}  // namespace skerry::sim
