#include "tests/sim/world.h"

#include <algorithm>
#include <tuple>

#include "core/base/strings.h"
#include "core/crypto/key.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/status.h"
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
    callbacks_[index] = std::move(callback);
    std::shared_ptr<void> inner = inner_.Subscribe(resource, [this, index](const Notification& n) {
      std::lock_guard lock(mutex_);
      held_.push_back({index, n});
    });
    last_ = SubscribeMarker(&last_seen_);              // always the last one
    return std::shared_ptr<void>(nullptr, [this, index, inner = std::move(inner)](void*) mutable {
      inner.reset();
      callbacks_.erase(index);
    });
  }

  void HandOut() {
    Await(first_seen_);
    Await(last_seen_);
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
  std::mutex mutex_;
  std::condition_variable seen_;
  std::vector<Held> held_;                             // guarded
  std::int64_t first_seen_ = 0, last_seen_ = 0;        // guarded
  std::shared_ptr<void> first_, last_;
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
    world_.last_writes_.push_back(Cat(name_, " ", verb, " ", resource, " ", key.name));
    if (world_.last_writes_.size() > 20) world_.last_writes_.pop_front();
    Result<T> r = write();
    if (r && world_.Roll() < static_cast<std::uint64_t>(f.lost_reply)) return std::unexpected(Error(Code::kUnavailable, "reply lost, thrown in"));
    return r;
  }

  World& world_;
  const std::string name_;
  const std::unique_ptr<kube::Client> inner_;
};

class World::Silence final : public kube::EventRecorder {
 public:
  void Event(const json::Value&, std::string_view, std::string_view, std::string, std::string_view) override {}
};

World::World(std::uint64_t seed) : random_(seed), silence_(std::make_unique<Silence>()) {
  store::Options options;
  options.sync = false;                                // simulated crashes are of controllers, not of the machine
  options.ballast_bytes = 0;
  options.volatile_prefixes = {"/coordination.k8s.io/leases/kube-node-lease/"};
  store_ = store::NewMemoryStore(std::move(options));
  registry_ = kube::NewRegistry();
  kube::RegisterBuiltins(*registry_);
  kube::ApiServerOptions api;
  api.service_account_key = SigningKey();
  server_ = Must(kube::ApiServer::Create(*store_, *registry_, std::move(api), clock_, random_));
  Must(server_->Start(kCtx));
  admin_ = server_->NewClient({"admin", "", {"system:masters", "system:authenticated"}, {}}, "sim");
  notices_ = std::make_unique<Notices>(server_->informers(), *admin_);
}

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
  const kube::ControllerContext context{*manager_, *notices_, client, [this](std::string_view) -> kube::EventRecorder& { return *silence_; }, clock_, *registry_, "ca", {}};
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
  kube::AddVolumes(context);
  kube::AddPodGc(context);
  kube::AddTaintEviction(context);
  collector_ = kube::AddGarbageCollector(context);
  scheduler_ = kube::AddScheduler(*manager_, *notices_, client("scheduler"), *silence_, clock_, "default-scheduler", random_);
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

void World::Deliver() { notices_->HandOut(); }

bool World::Reconcile() { return manager_->RunNext(); }

}  // namespace skerry::sim
