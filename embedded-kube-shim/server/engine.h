#pragma once
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/context.h"
#include "core/base/random.h"
#include "embedded-kube-shim/admission/admission.h"
#include "embedded-kube-shim/api/resource_def.h"
#include "embedded-kube-shim/auth/rbac.h"
#include "embedded-kube-shim/cache/object_cache.h"
#include "embedded-kube-shim/client/client.h"
#include "store/store.h"

namespace skerry::net {
class Shard;
}

// The one path of every write, for HTTP and for clients of this process. Reads go to the caches directly.
namespace skerry::kube {

struct Caller {
  User user;
  std::string user_agent;
  std::shared_ptr<std::map<std::string, std::string>> audit;   // what admission adds to the request's audit record; null: nothing is recorded
};

enum class FieldValidation : std::uint8_t { kIgnore, kWarn, kStrict };

// What a write is about.
struct Target {
  ResourcePtr def;
  std::string version;               // as requested; objects are in this version until they are stored
  std::string ns, name, subresource;
  const Version& schema_version() const { return *def->FindVersion(version); }
  GroupVersionKind gvk() const { return def->Kind(version); }
};

struct WriteOptions {
  bool dry_run = false;
  bool force = false;                // server-side apply
  std::string field_manager;         // empty = from the user agent
  FieldValidation field_validation = FieldValidation::kWarn;
};

struct Written {
  ItemPtr item;                      // as committed (storage version); modified 0 = shown without resourceVersion
  bool created = false;
  bool as_status = false;            // a deletion that is answered with a Status; `item` is the last state
  std::optional<json::Value> answer; // instead of the item: already in the requested version
  std::vector<std::string> warnings; // also when nothing was written
};

// One attempt's outcome: what to commit, and what to answer then.
struct Attempt {
  store::Batch batch;                // empty ops: nothing to commit (dry run)
  std::string key;                   // of the object that is answered
  std::optional<Bytes> value;        // its new content
  ParsedOffer parsed;                // the same as a document, for whoever looks at it first
  std::optional<std::size_t> key_expect;   // index of the expectation on `key`
  store::Revision created = 0;       // of an existing object
  Written answer;                    // item is filled from value and the commit's revision when null
};

class Engine;

// A write that can be tried again: Prepare sees the object as it is now. One owner at a time; not thread-safe.
class WriteOperation {
 public:
  virtual ~WriteOperation() = default;
  explicit WriteOperation(Target t) : target(std::move(t)) {}
  Target target;
  Caller caller;
  WriteOptions options;
  bool resets_managed_fields = false;          // the body asks for managedFields to be forgotten
  std::vector<std::string> decode_warnings;   // of the body, sent before those of an attempt
  std::vector<std::string> warnings;
  json::Value admission_options;               // CreateOptions, UpdateOptions, DeleteOptions as admission sees them
  std::shared_ptr<std::vector<std::string>> failed_warnings;   // when set: receives the warnings of a write that fails
  void KeepWarnings() {
    if (failed_warnings) *failed_warnings = warnings;
  }
  // `current` is null when there is none (or when the name is not known yet).
  virtual Result<Attempt> Prepare(Engine& engine, const Ctx& ctx, const ItemPtr& current) = 0;
  // After a lost race: an error ends the retries (a name that is taken).
  virtual Result<> Conflict(bool on_own_key, int attempt) = 0;
  // What to answer although everything was written.
  virtual std::optional<Error> Refusal() { return std::nullopt; }
  // What to answer instead of the written object, in the requested version.
  virtual std::optional<json::Value> Answer(const Engine&, const Item& /*written*/) const { return std::nullopt; }
};

struct EngineOptions {
  std::string service_cidr = "10.96.0.0/16";
  int node_port_first = 30000, node_port_last = 32767;
  std::chrono::seconds history_age{300};   // how long a chunked list can be continued consistently; 0 = no limit
};

class Engine final : public AdmissionWorld {
 public:
  using Done = std::move_only_function<void(Result<Written>)>;
  // Runs a job on `home`, or when it is null on a thread that may block.
  using Post = std::function<void(net::Shard* home, std::move_only_function<void()>)>;
  Engine(store::Store& store, class Registry& registry, Caches& caches, const Authorizer& authorizer, const RbacAuthorizer& rbac, AdmissionChain chain, const Clock& clock,
         Random& random, EngineOptions options, Post post);

  // `done` is called once, on the calling thread or a posted one: on the same shard when a shard calls.
  void Run(const Ctx& ctx, std::unique_ptr<WriteOperation> operation, Done done);
  Result<Written> RunAndWait(const Ctx& ctx, std::unique_ptr<WriteOperation> operation);
  // All of them at the same time; null ones are passed over and their answers left as they are. As many answers as operations.
  void RunAllAndWait(const Ctx& ctx, std::vector<std::unique_ptr<WriteOperation>> operations, std::vector<Result<Written>>* answers);

  // Waits until no submitted batch is unanswered. Before destruction; nobody may start writes any more.
  void Drain();

  // The stored object in the requested version, with resourceVersion. Null when there is none.
  Result<std::shared_ptr<const json::Value>> Read(const Target& target) const;
  ItemPtr Find(const Target& target) const;
  ObjectCache& CacheOf(const ResourceDef& def) const { return caches_.For(def); }
  // An item in another version than it is stored in.
  Result<json::Value> InVersion(const Item& item, const ResourceDef& def, std::string_view version) const;
  // The same where nobody changes it: not a copy when it is stored like that.
  Result<std::shared_ptr<const json::Value>> SharedInVersion(const Item& item, const ResourceDef& def, std::string_view version) const;
  // The items, converted where they are stored in another version or form. One conversion request for all of them.
  Result<std::vector<ItemPtr>> ItemsInVersion(std::vector<ItemPtr> items, const ResourceDef& def, std::string_view version) const;

  // Steps that operations share.
  struct WriteContext;
  Result<Attempt> PrepareCreate(const Ctx& ctx, WriteOperation& op, json::Value object);
  // `next` is decoded and defaulted, in the requested version.
  Result<Attempt> PrepareUpdate(const Ctx& ctx, WriteOperation& op, const ItemPtr& current, json::Value next);
  // Canonical bytes in the storage version, without resourceVersion.
  // `parsed`: also offers the document to the item that will be made of the bytes.
  Result<Bytes> Encode(const Target& target, json::Value object, ParsedOffer* parsed = nullptr) const;
  // Told of every committed write of a custom resource or of a definition; the write is answered when `answer` is called, once. Set before
  // the first write.
  using CustomWrite = std::function<void(const Target&, std::move_only_function<void()> answer)>;
  void OnCustomWrite(CustomWrite notify) { custom_write_ = std::move(notify); }

  class Registry& resources() const { return registry_; }
  Caches& caches() const { return caches_; }
  store::Store& store() const { return store_; }
  const Clock& clock() const { return clock_; }
  Random& random() const override { return random_; }
  const AdmissionChain& admission() const { return chain_; }
  const EngineOptions& options() const { return options_; }
  const Authorizer& authorizer() const { return authorizer_; }

  std::shared_ptr<const json::Value> Lookup(std::string_view group, std::string_view resource, std::string_view ns, std::string_view name) const override;
  std::vector<std::shared_ptr<const json::Value>> List(std::string_view group, std::string_view resource, std::string_view ns) const override;
  Verdict Authorize(const Attributes& attributes) const override { return authorizer_.Authorize(attributes); }
  const RbacAuthorizer& rbac() const override { return rbac_; }
  Result<json::Value> Convert(const ResourceDef& def, std::string_view api_version, json::Value object) const override;
  const class Registry& registry() const override { return registry_; }
  std::chrono::system_clock::time_point now() const override { return clock_.Now(); }

 private:
  struct Running;
  class Flight;
  void Try(std::shared_ptr<Running> run);
  void Finish(std::shared_ptr<Running> run, Result<store::Outcome> outcome);
  void Answer(Running& run, store::Revision revision);
  bool MayBlock(const Target& target) const;   // its end waits for somebody

  store::Store& store_;
  class Registry& registry_;
  Caches& caches_;
  const Authorizer& authorizer_;
  const RbacAuthorizer& rbac_;
  const AdmissionChain chain_;
  const Clock& clock_;
  Random& random_;
  const EngineOptions options_;
  const Post post_;
  CustomWrite custom_write_;             // may be empty
  std::mutex flight_mutex_;
  std::condition_variable landed_;
  std::size_t in_flight_ = 0;            // guarded: batches that the store has not answered
};

// The shard whose thread this is; null elsewhere. A shard becomes known when it is first asked to run a write.
net::Shard* HomeShard();
void SetHomeShard(net::Shard& shard);

// Operations.
std::unique_ptr<WriteOperation> NewCreate(Target target, json::Value object);          // decoded, not yet defaulted
std::unique_ptr<WriteOperation> NewUpdate(Target target, json::Value object);
struct PatchBody {
  PatchType type;
  std::string text;                  // as received; empty when `document` is used
  json::Value document;
  bool yaml = false;
};
std::unique_ptr<WriteOperation> NewPatch(Target target, PatchBody body);
std::unique_ptr<WriteOperation> NewDelete(Target target, DeleteOptions options);

}  // namespace skerry::kube
