#include "embedded-kube-shim/server/engine.h"

#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/raw_json.h"
#include "embedded-kube-shim/api/custom_schema.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/server/conversion.h"

namespace skerry::kube {
namespace {

// Each lost race means that somebody else's write succeeded. What many objects share (a quota, an address range) may be lost very often.
constexpr int kMaxAttempts = 12, kMaxSharedAttempts = 4096;

// The stored form: kind and apiVersion come first.
json::Value TypeFirst(std::string_view kind, std::string_view api_version, json::Value object) {
  auto out = json::Value::Object();
  out.Set("kind") = kind;
  out.Set("apiVersion") = api_version;
  for (auto& [key, value] : object.MutableMembers())
    if (key != "kind" && key != "apiVersion") out.MutableMembers().push_back({std::move(key), std::move(value)});
  return out;
}

// Numbers that are no integers may be read back as another kind of number.
bool HoldsDouble(const json::Value& value) {
  if (value.kind() == json::Value::Kind::kDouble) return true;
  return std::any_of(value.Items().begin(), value.Items().end(), HoldsDouble) ||
         std::any_of(value.Members().begin(), value.Members().end(), [](const json::Member& m) { return HoldsDouble(m.value); });
}

bool IsDefinition(const ResourceDef& def) { return def.resource == "customresourcedefinitions" && def.group == "apiextensions.k8s.io"; }

}  // namespace

struct Engine::Running {
  Ctx ctx;
  std::unique_ptr<WriteOperation> operation;
  Done done;
  Attempt attempt;
  int attempts = 0, shared_losses = 0;
  net::Shard* home = nullptr;            // where it ends
};

// A batch under way. Also ends when nobody runs what the store answered (a shard that has stopped).
class Engine::Flight {
 public:
  explicit Flight(Engine& engine) : engine_(&engine) {
    std::lock_guard lock(engine.flight_mutex_);
    ++engine.in_flight_;
  }
  Flight(Flight&& other) noexcept : engine_(std::exchange(other.engine_, nullptr)) {}
  Flight& operator=(Flight&&) = delete;
  ~Flight() {
    if (!engine_) return;
    std::lock_guard lock(engine_->flight_mutex_);
    if (--engine_->in_flight_ == 0) engine_->landed_.notify_all();
  }

 private:
  Engine* engine_;
};

namespace {
thread_local net::Shard* home_shard = nullptr;
}

net::Shard* HomeShard() { return home_shard; }
void SetHomeShard(net::Shard& shard) { home_shard = &shard; }

Engine::Engine(store::Store& store, class Registry& registry, Caches& caches, const Authorizer& authorizer, const RbacAuthorizer& rbac, AdmissionChain chain, const Clock& clock,
               Random& random, EngineOptions options, Post post)
    : store_(store), registry_(registry), caches_(caches), authorizer_(authorizer), rbac_(rbac), chain_(std::move(chain)), clock_(clock), random_(random),
      options_(std::move(options)), post_(std::move(post)) {}

void Engine::Run(const Ctx& ctx, std::unique_ptr<WriteOperation> operation, Done done) {
  Try(std::make_shared<Running>(Running{ctx, std::move(operation), std::move(done), {}, 0, 0, HomeShard()}));
}

Result<Written> Engine::RunAndWait(const Ctx& ctx, std::unique_ptr<WriteOperation> operation) {
  std::vector<std::unique_ptr<WriteOperation>> one;
  one.push_back(std::move(operation));
  std::vector<Result<Written>> answer(1);
  RunAllAndWait(ctx, std::move(one), &answer);
  return std::move(answer[0]);
}

void Engine::RunAllAndWait(const Ctx& ctx, std::vector<std::unique_ptr<WriteOperation>> operations, std::vector<Result<Written>>* answers) {
  // Shared with the callbacks: a caller whose deadline passes leaves, the writes may still commit.
  struct Wait {
    std::mutex mutex;
    std::condition_variable ready;
    std::vector<std::optional<Result<Written>>> results;
    std::size_t left = 0;
  };
  auto wait = std::make_shared<Wait>();
  wait->results.resize(operations.size());
  wait->left = static_cast<std::size_t>(std::count_if(operations.begin(), operations.end(), [](const auto& o) { return o != nullptr; }));
  std::vector<bool> asked(operations.size());
  for (std::size_t i = 0; i < operations.size(); ++i) {
    if (!operations[i]) continue;
    asked[i] = true;
    Run(ctx, std::move(operations[i]), [wait, i](Result<Written> result) {
      std::lock_guard lock(wait->mutex);
      wait->results[i].emplace(std::move(result));
      if (--wait->left == 0) wait->ready.notify_all();
    });
  }
  std::unique_lock lock(wait->mutex);
  const auto arrived = [&] { return wait->left == 0; };
  if (ctx.deadline == std::chrono::steady_clock::time_point::max()) wait->ready.wait(lock, arrived);
  else wait->ready.wait_until(lock, ctx.deadline, arrived);
  for (std::size_t i = 0; i < operations.size(); ++i) {
    if (!asked[i]) continue;
    (*answers)[i] = wait->results[i] ? std::move(*wait->results[i]) : Result<Written>(Fail(Code::kTimeout, "the write was not acknowledged in time"));
  }
}

void Engine::Try(std::shared_ptr<Running> run) {
  auto& op = *run->operation;
  ++run->attempts;
  op.warnings = op.decode_warnings;
  if (op.caller.audit) op.caller.audit->clear();   // of an attempt that lost a race
  const auto current = op.target.name.empty() ? nullptr : Find(op.target);
  auto attempt = op.Prepare(*this, run->ctx, current);
  if (!attempt) {
    op.KeepWarnings();
    run->done(std::unexpected(std::move(attempt).error()));
    return;
  }
  run->attempt = std::move(*attempt);
  if (run->attempt.batch.ops.empty()) {
    auto answer = std::move(run->attempt.answer);
    answer.warnings = std::move(op.warnings);
    if (answer.item && !answer.answer) answer.answer = op.Answer(*this, *answer.item);
    run->done(std::move(answer));
    return;
  }
  auto batch = std::move(run->attempt.batch);
  store_.Submit(std::move(batch), [this, flight = Flight(*this), run](Result<store::Outcome> outcome) mutable {
    // On the commit thread: hand over at once, and leave nothing here to be destroyed.
    auto* home = run->home && !MayBlock(run->operation->target) ? run->home : nullptr;
    post_(home, [this, flight = std::move(flight), run = std::move(run), outcome = std::move(outcome)]() mutable { Finish(std::move(run), std::move(outcome)); });
  });
}

bool Engine::MayBlock(const Target& target) const { return custom_write_ && (target.def->custom || IsDefinition(*target.def)); }

void Engine::Drain() {
  std::unique_lock lock(flight_mutex_);
  landed_.wait(lock, [this] { return in_flight_ == 0; });
}

void Engine::Finish(std::shared_ptr<Running> run, Result<store::Outcome> outcome) {
  auto& op = *run->operation;
  if (!outcome) {
    run->done(std::unexpected(std::move(outcome).error()));
    return;
  }
  if (outcome->conflict) {
    const bool own = run->attempt.key_expect && *run->attempt.key_expect == outcome->failed_expect;
    if (!own) ++run->shared_losses;
    auto again = op.Conflict(own, run->attempts - run->shared_losses);
    if (!again) {
      op.KeepWarnings();
      run->done(std::unexpected(std::move(again).error()));
    } else if (run->attempts - run->shared_losses >= kMaxAttempts || run->shared_losses >= kMaxSharedAttempts) {
      run->done(std::unexpected(ConflictError(op.target.def->group, op.target.def->resource, op.target.name,
                                              "the object has been modified; please apply your changes to the latest version and try again")));
    } else {
      Try(std::move(run));
    }
    return;
  }
  if (!MayBlock(op.target)) return Answer(*run, outcome->revision);
  const auto revision = outcome->revision;
  custom_write_(op.target, [this, run, revision] { Answer(*run, revision); });
}

void Engine::Answer(Running& run, store::Revision revision) {
  auto& op = *run.operation;
  auto& attempt = run.attempt;
  if (auto refused = op.Refusal()) {
    run.done(std::unexpected(std::move(*refused)));
    return;
  }
  auto answer = std::move(attempt.answer);
  if (!answer.item && !answer.answer && attempt.value) {
    // Mostly the cache still has what was written, scanned already and perhaps parsed.
    std::string key = attempt.key.substr(StoragePrefix(*op.target.def).size());
    answer.item = caches_.For(*op.target.def).Get(key);
    if (!answer.item || answer.item->modified != revision) {
      store::Entry entry{attempt.key, *attempt.value, attempt.created ? attempt.created : revision, revision};
      answer.item = std::make_shared<const Item>(std::move(key), entry);
    }
  }
  if (answer.item && !answer.answer) answer.answer = op.Answer(*this, *answer.item);
  answer.warnings = std::move(op.warnings);
  run.done(std::move(answer));
}

ItemPtr Engine::Find(const Target& target) const {
  const std::string key = target.def->scope == Scope::kNamespaced ? Cat(target.ns, "/", target.name) : target.name;
  return caches_.For(*target.def).Get(key);
}

Result<std::shared_ptr<const json::Value>> Engine::Read(const Target& target) const {
  const auto item = Find(target);
  if (!item) return nullptr;
  return SharedInVersion(*item, *target.def, target.version);
}

Result<std::shared_ptr<const json::Value>> Engine::SharedInVersion(const Item& item, const ResourceDef& def, std::string_view version) const {
  if (item.api_version() == def.Kind(version).api_version() && !def.coerces_reads) return item.Object();
  TRY(auto object, InVersion(item, def, version));
  return std::make_shared<const json::Value>(std::move(object));
}

Result<json::Value> Engine::InVersion(const Item& item, const ResourceDef& def, std::string_view version) const {
  auto object = item.Object()->Clone();
  const auto wanted = def.Kind(version).api_version();
  if (def.custom && (def.coerces_reads || item.api_version() != wanted)) FreshenStored(def, object);
  if (item.api_version() != wanted) TRY_VOID(ConvertObject(def, item.api_version(), wanted, object));
  return object;
}

Result<std::vector<ItemPtr>> Engine::ItemsInVersion(std::vector<ItemPtr> items, const ResourceDef& def, std::string_view version) const {
  if (!def.custom) return items;
  const auto wanted = def.Kind(version).api_version();
  std::vector<json::Value> foreign;
  std::vector<std::size_t> at;
  const auto replace = [&](std::size_t index, json::Value object) {
    const auto& item = *items[index];
    if (auto* metadata = object.Find("metadata")) metadata->Erase("resourceVersion");
    store::Entry entry{Cat(StoragePrefix(def), item.key()), Bytes(TypeFirst(def.kind, wanted, std::move(object)).Dump()), item.created, item.modified};
    items[index] = std::make_shared<const Item>(item.key(), entry);
  };
  for (std::size_t i = 0; i < items.size(); ++i) {
    const bool other = items[i]->api_version() != wanted;
    if (!other && !def.coerces_reads) continue;
    auto object = items[i]->Object()->Clone();
    FreshenStored(def, object);
    if (other && def.conversion) {
      foreign.push_back(std::move(object));
      at.push_back(i);
      continue;
    }
    TRY_VOID(ConvertObject(def, items[i]->api_version(), wanted, object));
    replace(i, std::move(object));
  }
  if (foreign.empty()) return items;
  TRY(auto converted, def.conversion->Convert(wanted, std::move(foreign)));
  const auto* schema_version = def.FindVersion(version);
  for (std::size_t i = 0; i < converted.size(); ++i) {
    if (schema_version) CoerceCustom(schema_version->schema, def.kind, converted[i], OnInvalidMetadata::kDrop);
    replace(at[i], std::move(converted[i]));
  }
  return items;
}

Result<Bytes> Engine::Encode(const Target& target, json::Value object, ParsedOffer* parsed) const {
  const auto& def = *target.def;
  if (auto* metadata = object.Find("metadata")) metadata->Erase("resourceVersion");
  const auto stored = StorageApiVersion(def);
  const auto requested = target.gvk().api_version();
  if (stored != requested) TRY_VOID(ConvertObject(def, requested, stored, object));
  // What stays for as long as the object is exactly as long as it; growing happens in a buffer that is there already.
  constexpr std::size_t kMostKept = 256 << 10;
  thread_local std::string buffer;
  buffer.clear();
  const SchemaPtr schema = target.schema_version().schema;
  json::Value document = TypeFirst(def.kind, stored, std::move(object));
  DumpTyped(schema, document, buffer);
  Bytes bytes{std::string(buffer)};
  if (buffer.capacity() > kMostKept) std::string().swap(buffer);
  // Nobody here looks at events.
  if (parsed && !def.custom && !HoldsRawJson(schema) && def.resource != "events" && !HoldsDouble(document)) *parsed = ParsedOffer(bytes, std::move(document));
  return bytes;
}

Result<json::Value> Engine::Convert(const ResourceDef& def, std::string_view api_version, json::Value object) const {
  const std::string from(object["apiVersion"].Str());
  TRY_VOID(ConvertObject(def, from, api_version, object));
  return object;
}

std::shared_ptr<const json::Value> Engine::Lookup(std::string_view group, std::string_view resource, std::string_view ns, std::string_view name) const {
  const auto prefix = Cat("/", group.empty() ? std::string_view("core") : group, "/", resource, "/");
  const auto item = caches_.ForPrefix(prefix).Get(ns.empty() ? std::string(name) : Cat(ns, "/", name));
  return item ? item->Object() : nullptr;
}

std::vector<std::shared_ptr<const json::Value>> Engine::List(std::string_view group, std::string_view resource, std::string_view ns) const {
  const auto prefix = Cat("/", group.empty() ? std::string_view("core") : group, "/", resource, "/");
  std::vector<std::shared_ptr<const json::Value>> out;
  for (const auto& item : caches_.ForPrefix(prefix).List(ns.empty() ? std::string() : Cat(ns, "/")).items) out.push_back(item->Object());
  return out;
}

}  // namespace skerry::kube
