#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/flow_schema.h"
#include "embedded-kube-shim/controllers/pod_facts.h"

// Says in the status of a flow schema whether the priority level it names exists.
namespace skerry::kube {
namespace {

constexpr const char* kSchemas = "flowcontrol.apiserver.k8s.io/v1/flowschemas";
constexpr const char* kLevels = "flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations";
constexpr const char* kName = "api-priority-and-fairness-config-consumer-v1";

class FlowSchemaStatus final : public Reconciler {
 public:
  explicit FlowSchemaStatus(const ControllerContext& c) : client_(c.client(kName)), schemas_(c.informers.Get(kSchemas)), levels_(c.informers.Get(kLevels)), clock_(c.clock) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr schema = schemas_.Get(key);
    if (!schema) return Outcome{};
    const std::string level((*schema)["spec"]["priorityLevelConfiguration"]["name"].Str());
    const bool there = levels_.Get({"", level}) != nullptr;
    auto next = schema->Clone();
    const auto message = Cat("This FlowSchema references the PriorityLevelConfiguration object named ", Quote(level), there ? " and it exists" : " but there is no such object");
    if (!SetCondition(next.Set("status"), "Dangling", there ? "False" : "True", there ? "Found" : "NotFound", message, clock_.Now())) return Outcome{};
    auto written = client_.Update(ctx, kSchemas, std::move(next), "status");
    if (!written && written.error().code() != Code::kNotFound) return std::unexpected(std::move(written).error());
    return Outcome{};
  }

 private:
  Client& client_;
  const Lister& schemas_;
  const Lister& levels_;
  const Clock& clock_;
};

}  // namespace

void AddFlowSchemaStatus(const ControllerContext& c) {
  ControllerSpec spec;
  spec.name = kName;
  spec.triggers.push_back({kSchemas, {}});
  const Lister& schemas = c.informers.Get(kSchemas);
  spec.triggers.push_back({kLevels, [&schemas](const Notification& n) {
                             std::vector<Key> keys;
                             if (n.type == Notification::Type::kModified) return keys;
                             for (const ObjectPtr& schema : schemas.List())
                               if ((*schema)["spec"]["priorityLevelConfiguration"]["name"].Str() == Name(*n.object)) keys.push_back(KeyOf(*schema));
                             return keys;
                           }});
  spec.reconciler = std::make_unique<FlowSchemaStatus>(c);
  c.manager.Add(std::move(spec));
}

}  // namespace skerry::kube
