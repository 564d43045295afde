#include "embedded-kube-shim/server/pod_subresources.h"

#include <mutex>

#include "core/base/strings.h"
#include "core/text/selector.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/server/write_steps.h"

namespace skerry::kube {
namespace {

json::Value Success(int code) {
  auto status = json::Value::Object();
  status.Set("kind") = "Status";
  status.Set("apiVersion") = "v1";
  status.Set("metadata") = json::Value::Object();
  status.Set("status") = "Success";
  status.Set("code") = code;
  return status;
}

// Why the pod goes, for whoever looks at it while it does.
void MarkDisrupted(json::Value& pod, std::string now) {
  auto condition = json::Value::Object();
  condition.Set("type") = "DisruptionTarget";
  condition.Set("status") = "True";
  condition.Set("lastProbeTime") = json::Value();
  condition.Set("lastTransitionTime") = now;
  condition.Set("reason") = "EvictionByEvictionAPI";
  condition.Set("message") = "Eviction API: evicting";
  auto& conditions = pod.Set("status").Set("conditions");
  for (auto& existing : conditions.MutableItems()) {
    if (existing["type"].Str() != "DisruptionTarget") continue;
    if (existing["status"].Str() == "True") condition.Set("lastTransitionTime") = existing["lastTransitionTime"].Clone();
    existing = std::move(condition);
    return;
  }
  conditions.Append(std::move(condition));
}

void SetCondition(json::Value& pod, std::string_view type, std::string_view value, std::string now) {
  auto& conditions = pod.Set("status").Set("conditions");
  auto condition = json::Value::Object();
  condition.Set("type") = type;
  condition.Set("status") = value;
  condition.Set("lastProbeTime") = json::Value();
  condition.Set("lastTransitionTime") = now;
  for (auto& existing : conditions.MutableItems()) {
    if (existing["type"].Str() != type) continue;
    if (existing["status"].Str() == value) condition.Set("lastTransitionTime") = existing["lastTransitionTime"].Clone();
    existing = std::move(condition);
    return;
  }
  conditions.Append(std::move(condition));
}

class Bind final : public WriteOperation {
 public:
  Bind(Target t, json::Value binding) : WriteOperation(std::move(t)), binding_(std::move(binding)) {}

  Result<Attempt> Prepare(Engine& engine, const Ctx& ctx, const ItemPtr& current) override {
    static_cast<void>(ctx);
    const auto& def = *target.def;
    if (!current) return std::unexpected(NotFoundError(def.group, def.resource, target.name));
    TRY(auto pod, engine.InVersion(*current, def, target.version));
    const auto refuse = [&](std::string why) { return std::unexpected(ConflictError("", "pods/binding", target.name, why)); };
    const auto uid = binding_.At({"metadata", "uid"}).Str();
    if (!uid.empty() && uid != current->uid()) return std::unexpected(ConflictError("", "pods", target.name, UidMismatch(target, uid, current->uid(), options.dry_run)));
    if (!pod.At({"metadata", "deletionTimestamp"}).Str().empty()) return refuse(Cat("pod ", target.name, " is being deleted, cannot be assigned to a host"));
    if (const auto node = pod.At({"spec", "nodeName"}).Str(); !node.empty()) return refuse(Cat("pod ", target.name, " is already assigned to node ", Quote(node)));
    if (pod.At({"spec", "schedulingGates"}).size() > 0) return refuse(Cat("pod ", target.name, " has non-empty .spec.schedulingGates"));
    pod.Set("spec").Set("nodeName") = binding_.At({"target", "name"}).Str();
    for (const auto& [key, value] : binding_.At({"metadata", "annotations"}).Members()) pod.Set("metadata").Set("annotations").Set(key) = value.Clone();
    for (const auto& [key, value] : binding_.At({"metadata", "labels"}).Members()) pod.Set("metadata").Set("labels").Set(key) = value.Clone();
    SetCondition(pod, "PodScheduled", "True", FormatTime(engine.now()));
    pod.Set("status").Erase("nominatedNodeName");   // it is where it should be, or better
    Canonicalize(target.schema_version().schema, pod);
    Attempt attempt;
    attempt.key = StorageKey(def, target.ns, target.name);
    attempt.answer.answer = Success(201);
    attempt.key_expect = 0;
    attempt.batch.expects.push_back({attempt.key, current->modified});
    TRY(attempt.value, engine.Encode(target, std::move(pod)));
    attempt.batch.ops.push_back({attempt.key, attempt.value});
    if (options.dry_run) attempt.batch = {};
    return attempt;
  }
  Result<> Conflict(bool, int) override { return {}; }

 private:
  const json::Value binding_;
};

Error BudgetError(std::string message, std::string cause, std::int64_t retry_after) {
  auto detail = std::make_shared<StatusDetail>();
  detail->http = 429;
  detail->reason = "TooManyRequests";
  detail->has_details = true;
  detail->retry_after_seconds = retry_after;
  return Error(Code::kTooMany, std::move(message)).WithCause({"", "DisruptionBudget", std::move(cause)}).WithAttachment(std::move(detail));
}

text::LabelSelector SelectorOf(const json::Value& selector, bool* valid) {
  std::vector<text::Requirement> requirements;
  for (const auto& [key, value] : selector["matchLabels"].Members()) requirements.push_back({key, text::Requirement::Op::kEquals, {std::string(value.Str())}});
  for (const auto& expression : selector["matchExpressions"].Items()) {
    const auto op = expression["operator"].Str();
    text::Requirement requirement{std::string(expression["key"].Str()), text::Requirement::Op::kExists, {}};
    if (op == "In") requirement.op = text::Requirement::Op::kIn;
    else if (op == "NotIn") requirement.op = text::Requirement::Op::kNotIn;
    else if (op == "DoesNotExist") requirement.op = text::Requirement::Op::kAbsent;
    for (const auto& value : expression["values"].Items()) requirement.values.emplace_back(value.Str());
    requirements.push_back(std::move(requirement));
  }
  auto created = text::LabelSelector::Create(std::move(requirements));
  *valid = created.has_value();
  return created ? std::move(*created) : text::LabelSelector();
}

bool IsReady(const json::Value& pod) {
  for (const auto& condition : pod.At({"status", "conditions"}).Items())
    if (condition["type"].Str() == "Ready") return condition["status"].Str() == "True";
  return false;
}

class Evict final : public WriteOperation {
 public:
  // With a refusal the pod is only marked: upstream finds options that do not hold after it has done so.
  Evict(Target t, ServerDeleteOptions delete_options, std::optional<Error> refusal) : WriteOperation(std::move(t)), delete_(std::move(delete_options)), refusal_(std::move(refusal)) {}

  Result<Attempt> Prepare(Engine& engine, const Ctx& ctx, const ItemPtr& current) override {
    const auto& def = *target.def;
    if (!current) return std::unexpected(NotFoundError(def.group, def.resource, target.name));
    store::Batch none;
    auto admission = AdmissionFor(*this, Operation::kCreate, nullptr, nullptr, none);
    TRY_VOID(engine.admission().Mutate(ctx, admission, engine));
    TRY_VOID(engine.admission().Validate(ctx, admission, engine));
    auto removal = NewServerDelete(target, delete_);
    removal->target.subresource.clear();
    removal->caller = caller;
    removal->options = options;
    const auto pod = current->Object();
    auto marked = current;
    if (!options.dry_run) {
      TRY(marked, Marked(engine, current));
    }
    TRY(auto attempt, refusal_ ? OnlyMark(marked) : removal->Prepare(engine, ctx, marked));
    attempt.answer = {};
    attempt.answer.answer = Success(201);
    const auto phase = pod->At({"status", "phase"}).Str();
    const bool exempt = phase == "Succeeded" || phase == "Failed" || phase == "Pending" || !current->deletion_timestamp().empty();
    if (!exempt && !attempt.batch.ops.empty()) TRY_VOID(ChargeBudget(engine, *pod, attempt));
    if (options.dry_run) attempt.batch = {};
    return attempt;
  }
  Result<> Conflict(bool, int) override { return {}; }
  std::optional<Error> Refusal() override { return std::move(refusal_); }

 private:
  Result<ItemPtr> Marked(const Engine& engine, const ItemPtr& current) const {
    auto main = target;
    main.subresource.clear();
    TRY(auto pod, engine.InVersion(*current, *target.def, target.version));
    MarkDisrupted(pod, FormatTime(engine.now()));
    Canonicalize(target.schema_version().schema, pod);
    TRY(auto bytes, engine.Encode(main, std::move(pod)));
    return std::make_shared<const Item>(current->key(), store::Entry{StorageKey(*target.def, target.ns, target.name), std::move(bytes), current->created, current->modified});
  }

  Result<Attempt> OnlyMark(const ItemPtr& marked) const {
    Attempt attempt;
    attempt.key = StorageKey(*target.def, target.ns, target.name);
    attempt.created = marked->created;
    attempt.key_expect = 0;
    attempt.value = marked->bytes();
    attempt.batch.expects.push_back({attempt.key, marked->modified});
    attempt.batch.ops.push_back({attempt.key, attempt.value});
    return attempt;
  }

  Result<> ChargeBudget(Engine& engine, const json::Value& pod, Attempt& attempt) const {
    const auto budget_def = engine.resources().Find("policy", "v1", "poddisruptionbudgets");
    if (!budget_def) return {};
    ItemPtr found;
    for (const auto& item : engine.CacheOf(*budget_def).List(target.ns + "/").items) {
      bool valid = false;
      const auto object = item->Object();
      const auto* wanted = object->At({"spec"}).Find("selector");
      if (!wanted) continue;
      const auto selector = SelectorOf(*wanted, &valid);
      const bool selected = valid && selector.Matches([&](std::string_view key) -> std::optional<std::string_view> {
        const auto* value = pod.At({"metadata", "labels"}).Find(key);
        if (!value) return std::nullopt;
        return value->Str();
      });
      if (!selected) continue;
      if (found) return std::unexpected(PlainInternalError("This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."));
      found = item;
    }
    if (!found) return {};
    auto budget = found->Object()->Clone();
    const auto& status = budget["status"];
    if (status["observedGeneration"].Int() < budget.At({"metadata", "generation"}).Int())
      return std::unexpected(BudgetError("Cannot evict pod as it would violate the pod's disruption budget.", Cat("The disruption budget ", found->name(), " is still being processed by the server."), 10));
    const bool healthy_enough = status["currentHealthy"].Int() >= status["desiredHealthy"].Int() && status["desiredHealthy"].Int() > 0;
    const bool always = budget.At({"spec", "unhealthyPodEvictionPolicy"}).Str() == "AlwaysAllow";
    if (!IsReady(pod) && (healthy_enough || always)) return {};
    if (status["disruptionsAllowed"].Int() <= 0)
      return std::unexpected(BudgetError("Cannot evict pod as it would violate the pod's disruption budget.",
                                         Cat("The disruption budget ", found->name(), " needs ", status["desiredHealthy"].Int(), " healthy pods and has ", status["currentHealthy"].Int(), " currently"), 0));
    auto& written = budget.Set("status");
    written.Set("disruptionsAllowed") = written["disruptionsAllowed"].Int() - 1;
    written.Set("disruptedPods").Set(target.name) = FormatTime(engine.now());
    const Target budget_target{budget_def, "v1", target.ns, std::string(found->name()), "status"};
    Canonicalize(budget_target.schema_version().schema, budget);
    const auto key = StorageKey(*budget_def, target.ns, found->name());
    attempt.batch.expects.push_back({key, found->modified});
    TRY(auto counted, engine.Encode(budget_target, std::move(budget)));
    attempt.batch.ops.push_back({key, std::move(counted)});
    return {};
  }

  const ServerDeleteOptions delete_;
  std::optional<Error> refusal_;
};

template <class Make>
void ServeWrite(Rest& rest, RestRequest request, RestDone done, SchemaPtr schema, const GroupVersionKind& gvk, Make make) {
  auto prepare = [&]() -> Result<std::pair<Output, std::unique_ptr<WriteOperation>>> {
    TRY(auto output, Negotiate(*request.http, MediaScope::kObject));
    TRY(auto options, ParseWriteOptions(*request.http, "CreateOptions"));
    std::vector<std::string> warnings;
    TRY(auto body, ReadBody(request, schema, gvk, options.field_validation, warnings));
    TRY_VOID(PlaceInNamespace(request.target, body));
    TRY(auto operation, make(request, std::move(body), options));
    operation->options = std::move(options);
    operation->decode_warnings = std::move(warnings);
    return std::pair(std::move(output), std::move(operation));
  };
  auto prepared = prepare();
  if (!prepared) return done(std::unexpected(std::move(prepared).error()));
  rest.Run(std::make_shared<RestRequest>(std::move(request)), std::move(prepared->first), std::move(prepared->second), 201, std::move(done));
}

}  // namespace

std::unique_ptr<WriteOperation> NewBinding(Target pod, json::Value binding) { return std::make_unique<Bind>(std::move(pod), std::move(binding)); }
std::unique_ptr<WriteOperation> NewEviction(Target pod, ServerDeleteOptions options) { return std::make_unique<Evict>(std::move(pod), std::move(options), std::nullopt); }

void ServeBinding(Rest& rest, RestRequest request, RestDone done) {
  const auto pods = rest.engine().resources().Find("", "v1", "pods");
  const auto make = [pods](const RestRequest& r, json::Value body, const WriteOptions&) -> Result<std::unique_ptr<WriteOperation>> {
    const std::string name(body.At({"metadata", "name"}).Str());
    if (!r.target.name.empty() && name != r.target.name)
      return std::unexpected(BadRequestError(name.empty() ? NamelessText(r.target.name) : Cat("name in URL does not match name in Binding object")));
    FieldErrors errors;
    const auto kind = body.At({"target", "kind"}).Str();
    if (!kind.empty() && kind != "Node") errors.push_back({FieldErrorType::kNotSupported, "target.kind", Quote(kind), "supported values: \"Node\", \"<empty>\""});
    if (body.At({"target", "name"}).Str().empty()) errors.push_back({FieldErrorType::kRequired, "target.name", "", ""});
    if (!errors.empty()) {
      std::vector<std::string> texts;
      for (const auto& error : errors) texts.push_back(error.Text());
      return std::unexpected(PlainInternalError(texts.size() == 1 ? texts[0] : Cat("[", Join(texts, ", "), "]")));
    }
    return NewBinding(Target{pods, "v1", r.target.ns, name, "binding"}, std::move(body));
  };
  ServeWrite(rest, std::move(request), std::move(done), FindBuiltinSchema("io.k8s.api.core.v1.Binding"), {"", "v1", "Binding"}, make);
}

void ServeEviction(Rest& rest, RestRequest request, RestDone done) {
  const auto make = [](const RestRequest& r, json::Value body, WriteOptions& options) -> Result<std::unique_ptr<WriteOperation>> {
    const auto name = body.At({"metadata", "name"}).Str();
    if (name != r.target.name) return std::unexpected(BadRequestError("name in URL does not match name in Eviction object"));
    ServerDeleteOptions removal;
    const auto& given = body["deleteOptions"];
    if (const auto* grace = given.Find("gracePeriodSeconds"); grace && grace->is_int()) removal.grace_seconds = grace->Int();
    if (const auto uid = given.At({"preconditions", "uid"}).Str(); !uid.empty()) removal.uid = uid;
    if (const auto version = given.At({"preconditions", "resourceVersion"}).Str(); !version.empty()) removal.resource_version = version;
    if (const auto policy = given["propagationPolicy"].Str(); !policy.empty()) removal.propagation = policy;
    for (const auto& value : given["dryRun"].Items()) removal.dry_run.emplace_back(value.Str());
    std::optional<Error> refusal;
    if (auto valid = ValidateDeleteOptions(removal); !valid) refusal = std::move(valid).error();
    options.dry_run = options.dry_run || !removal.dry_run.empty();
    if (refusal && options.dry_run) return std::unexpected(std::move(*refusal));
    return std::unique_ptr<WriteOperation>(std::make_unique<Evict>(r.target, std::move(removal), std::move(refusal)));
  };
  // Bodies of the version before are as good: the kind has not changed.
  const bool beta = request.http->body.find("policy/v1beta1") != std::string::npos;
  ServeWrite(rest, std::move(request), std::move(done), FindBuiltinSchema("io.k8s.api.policy.v1.Eviction"), {"policy", beta ? "v1beta1" : "v1", "Eviction"}, make);
}

}  // namespace skerry::kube
