#include <algorithm>
#include <map>
#include <set>
#include <thread>

#include "core/base/guarded.h"
#include "core/base/strings.h"
#include "core/json/patch.h"
#include "core/telemetry/log.h"
#include "core/text/base64.h"
#include "embedded-kube-shim/admission/policy_request.h"
#include "embedded-kube-shim/admission/webhook_client.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/status.h"

// Admission webhooks: mutating ones are called in turn, each seeing what those before it made of the object; validating ones together.
namespace skerry::kube {
namespace {

using json::Value;

struct Hook {
  std::shared_ptr<const Value> config;   // keeps `webhook` alive
  const Value* webhook;
  MatchedResource as;
  std::string_view name() const { return (*webhook)["name"].Str(); }
  bool fails_open() const { return (*webhook)["failurePolicy"].Str() == "Ignore"; }
};

struct Answer {
  std::string patch;                     // JSON patch text; empty = none
  std::vector<std::string> warnings;
  std::vector<std::pair<std::string, std::string>> audit;   // annotations, by name
};

// Why a call did not go well: the webhook refused, or could not be asked.
struct Trouble {
  std::optional<Error> refusal;
  std::string call;                      // not empty: "failed to call webhook: …"
};

Value GroupVersionKindOf(std::string_view group, std::string_view version, std::string_view last_key, std::string_view last) {
  Value out = Value::Object();
  out.Set("group") = group;
  out.Set("version") = version;
  out.Set(last_key) = last;
  return out;
}

Value UserInfo(const User& user) {
  Value out = Value::Object();
  out.Set("username") = user.name;
  if (!user.uid.empty()) out.Set("uid") = user.uid;
  for (const auto& group : user.groups) out.Set("groups").Append(Value(group));
  for (const auto& [key, values] : user.extra)
    for (const auto& value : values) out.Set("extra").Set(key).Append(Value(value));
  return out;
}

Error CannotCall(std::string_view name, std::string_view why) {
  const auto text = Cat("failed calling webhook ", Quote(name), ": ", why);
  return Error(Code::kInternal, Cat("Internal error occurred: ", text)).WithCause({"", "", text});
}

Error DeniedBy(std::string_view name, const Value& result) {
  Value status = result.is_object() ? result.Clone() : Value::Object();
  if (status["code"].Int() < 400) status.Set("code") = 400;
  status.Set("status") = "Failure";
  const auto denied = Cat("admission webhook ", Quote(name), " denied the request");
  const std::string message(status["message"].Str()), reason(status["reason"].Str());
  status.Set("message") = !message.empty() ? Cat(denied, ": ", message) : !reason.empty() ? Cat(denied, ": ", reason) : Cat(denied, " without explanation");
  return ErrorFromStatus(status);
}

bool IsExempt(const ResourceDef& def) {
  if (def.group != "admissionregistration.k8s.io") return false;
  return def.resource == "validatingwebhookconfigurations" || def.resource == "mutatingwebhookconfigurations" || def.resource.starts_with("validatingadmissionpolic") ||
         def.resource.starts_with("mutatingadmissionpolic");
}

// Match conditions are compiled once for each generation of a configuration.
class ConditionCache {
 public:
  std::shared_ptr<const MatchConditions> Get(const Hook& hook) const {
    const auto key = Cat(hook.config->At({"metadata", "uid"}).Str(), "/", hook.config->At({"metadata", "generation"}).Int(), "/", hook.name());
    {
      auto compiled = compiled_.Lock();
      if (const auto at = compiled->find(key); at != compiled->end()) return at->second;
    }
    auto fresh = std::make_shared<const MatchConditions>(CompileMatchConditions((*hook.webhook)["matchConditions"], {}));
    constexpr std::size_t kMost = 4096;
    auto compiled = compiled_.Lock();
    if (compiled->size() >= kMost) compiled->clear();
    return compiled->emplace(key, std::move(fresh)).first->second;
  }

 private:
  mutable Guarded<std::map<std::string, std::shared_ptr<const MatchConditions>>> compiled_;
};

class Webhooks final : public AdmissionPlugin {
 public:
  enum class Kind : std::uint8_t { kMutating, kValidating };
  explicit Webhooks(Kind kind) : kind_(kind) {}
  std::string_view name() const override { return kind_ == Kind::kMutating ? "MutatingAdmissionWebhook" : "ValidatingAdmissionWebhook"; }
  bool Handles(Operation) const override { return true; }

  Result<> Mutate(const Ctx& ctx, AdmissionRequest& request, const AdmissionWorld& world) const override {
    if (kind_ != Kind::kMutating || IsExempt(request.def)) return {};
    const auto hooks = All(world);
    if (hooks.empty()) return {};
    // Webhooks that want to see later changes are asked once more when there were some.
    std::map<const Value*, std::string> seen;
    for (const auto& hook : hooks) TRY_VOID(MutateBy(ctx, hook, request, world, seen));
    for (const auto& hook : hooks) {
      const auto at = seen.find(hook.webhook);
      const bool again = at != seen.end() && request.object && (*hook.webhook)["reinvocationPolicy"].Str() == "IfNeeded" && at->second != request.object->Dump();
      if (again) TRY_VOID(MutateBy(ctx, hook, request, world, seen));
    }
    return {};
  }

  Result<> Validate(const Ctx& ctx, AdmissionRequest& request, const AdmissionWorld& world) const override {
    if (kind_ != Kind::kValidating || IsExempt(request.def)) return {};
    std::vector<Hook> hooks;
    for (auto& hook : All(world)) {
      TRY(const bool called, ShouldCall(hook, request, world));
      if (called) hooks.push_back(std::move(hook));
    }
    if (hooks.empty()) return {};
    std::vector<Result<Answer>> answers;
    for (std::size_t i = 0; i < hooks.size(); ++i) answers.emplace_back(Answer());
    {
      std::vector<std::jthread> others;   // joined at the end of the block
      for (std::size_t i = 1; i < hooks.size(); ++i) others.emplace_back([&, i] { answers[i] = Ask(ctx, hooks[i], request, world); });
      answers[0] = Ask(ctx, hooks[0], request, world);
    }
    for (auto& answer : answers)
      if (answer) Note(*answer, request);
    for (auto& answer : answers)
      if (!answer) return std::unexpected(std::move(answer).error());
    return {};
  }

 private:
  std::vector<Hook> All(const AdmissionWorld& world) const {
    std::vector<Hook> out;
    const auto resource = kind_ == Kind::kMutating ? "mutatingwebhookconfigurations" : "validatingwebhookconfigurations";
    for (const auto& config : world.List("admissionregistration.k8s.io", resource, ""))   // by name
      for (const Value& webhook : (*config)["webhooks"].Items()) out.push_back({config, &webhook, {}});
    return out;
  }

  // Whether the webhook means the request; sets what the request is to it.
  Result<bool> ShouldCall(Hook& hook, const AdmissionRequest& request, const AdmissionWorld& world) const {
    const Value& webhook = *hook.webhook;
    if (!MatchesNamespace(webhook["namespaceSelector"], request, world) || !MatchesObject(webhook["objectSelector"], request)) return false;
    auto as = MatchRules(webhook["rules"], webhook["matchPolicy"].Str(), request, world);
    if (!as) return false;
    hook.as = std::move(*as);
    if (webhook["matchConditions"].size() == 0) return true;
    const auto conditions = conditions_.Get(hook);
    std::string error = conditions->error;
    auto outcome = ConditionOutcome::kError;
    if (error.empty()) {
      const PolicyRequest shown(request, world, hook.as);
      outcome = EvaluateMatchConditions(*conditions, shown.Values(nullptr), {}, &error);
    }
    if (outcome != ConditionOutcome::kError) return outcome == ConditionOutcome::kMatch;
    if (hook.fails_open()) return false;
    return std::unexpected(ForbiddenError(request.def.group, request.def.resource, RequestedName(request), error));
  }

  Result<> MutateBy(const Ctx& ctx, Hook hook, AdmissionRequest& request, const AdmissionWorld& world, std::map<const Value*, std::string>& seen) const {
    TRY(const bool called, ShouldCall(hook, request, world));
    if (!called) return {};
    TRY(const auto answer, Ask(ctx, hook, request, world));
    Note(answer, request);
    if (!answer.patch.empty() && request.object) TRY_VOID(ApplyPatch(hook, answer.patch, request, world));
    if (request.object) seen[hook.webhook] = request.object->Dump();
    return {};
  }

  static void Note(const Answer& answer, AdmissionRequest& request) {
    request.warnings.insert(request.warnings.end(), answer.warnings.begin(), answer.warnings.end());
    if (request.audit) request.audit->insert(answer.audit.begin(), answer.audit.end());
  }

  static Error Internal(std::string_view why) { return Error(Code::kInternal, Cat("Internal error occurred: ", why)).WithCause({"", "", std::string(why)}); }

  Result<> ApplyPatch(const Hook& hook, const std::string& text, AdmissionRequest& request, const AdmissionWorld& world) const {
    auto patch = json::ParsePatch(text);
    if (!patch) return std::unexpected(Internal(patch.error().message()));
    TRY(auto shown, InVersionOf(hook, request, world, *request.object));
    auto patched = json::ApplyPatch(std::move(shown), *patch);
    if (!patched) return std::unexpected(Internal(patched.error().message()));
    if (request.operation == Operation::kConnect) {
      *request.object = std::move(*patched);   // options are of no kind that is stored
      return {};
    }
    TRY(auto own, world.Convert(request.def, request.def.Kind(request.version).api_version(), std::move(*patched)));
    const auto& version = *request.def.FindVersion(request.version);
    auto decoded = DecodeValue(version.schema, std::move(own));
    if (!decoded) return std::unexpected(Internal(decoded.error().message()));
    *request.object = std::move(decoded->object);
    ApplyDefaults(request.def, version, *request.object);
    return {};
  }

  static Result<Value> InVersionOf(const Hook& hook, const AdmissionRequest& request, const AdmissionWorld& world, const Value& object) {
    const auto wanted = GroupVersionKind{hook.as.group, hook.as.version, hook.as.kind}.api_version();
    return world.Convert(request.def, request.subresource == "scale" ? request.def.Kind(request.version).api_version() : wanted, object.Clone());
  }

  Result<Value> Review(const Hook& hook, const AdmissionRequest& request, const AdmissionWorld& world, const std::string& uid) const {
    Value review = Value::Object();
    review.Set("kind") = "AdmissionReview";
    review.Set("apiVersion") = Cat("admission.k8s.io/", ReviewVersion(*hook.webhook));
    Value& out = review.Set("request");
    const auto own = RequestedKind(request);
    const bool plain = request.subresource.empty() || (own.group == request.def.group && own.kind == request.def.kind);
    out.Set("uid") = uid;
    out.Set("kind") = plain ? GroupVersionKindOf(hook.as.group, hook.as.version, "kind", hook.as.kind) : GroupVersionKindOf(own.group, own.version, "kind", own.kind);
    out.Set("resource") = GroupVersionKindOf(hook.as.group, hook.as.version, "resource", hook.as.resource);
    if (!request.subresource.empty()) out.Set("subResource") = request.subresource;
    out.Set("requestKind") = GroupVersionKindOf(own.group, own.version, "kind", own.kind);
    out.Set("requestResource") = GroupVersionKindOf(request.def.group, request.version, "resource", request.def.resource);
    if (!request.subresource.empty()) out.Set("requestSubResource") = request.subresource;
    if (const auto name = RequestedName(request); !name.empty()) out.Set("name") = name;
    if (!request.ns.empty()) out.Set("namespace") = request.ns;
    out.Set("operation") = OperationName(request.operation);
    out.Set("userInfo") = UserInfo(request.user);
    for (const auto& [key, value] : {std::pair<const char*, const Value*>("object", request.object), {"oldObject", request.old}}) {
      out.Set(key);
      if (!value) continue;
      TRY(out.Set(key), InVersionOf(hook, request, world, *value));
    }
    out.Set("dryRun") = request.dry_run;
    out.Set("options") = request.options ? request.options->Clone() : Value();
    return review;
  }

  static std::string_view ReviewVersion(const Value& webhook) {
    for (const Value& version : webhook["admissionReviewVersions"].Items())
      if (version.Str() == "v1" || version.Str() == "v1beta1") return version.Str();
    return "v1";
  }

  // A refusal of the webhook is an error; so is a call that fails, unless the webhook may be done without.
  Result<Answer> Ask(const Ctx& ctx, const Hook& hook, const AdmissionRequest& request, const AdmissionWorld& world) const {
    const Value& webhook = *hook.webhook;
    const auto effects = webhook["sideEffects"].Str();
    if (request.dry_run && effects != "None" && effects != "NoneOnDryRun") return std::unexpected(BadRequestError(Cat("admission webhook ", Quote(hook.name()), " does not support dry run")));
    const auto uid = NewUuid(world.random());
    TRY(const auto review, Review(hook, request, world, uid));
    const std::chrono::seconds timeout(webhook["timeoutSeconds"].is_null() ? 10 : webhook["timeoutSeconds"].Int());
    Trouble trouble;
    auto answer = Answer();
    auto called = CallWebhook(ctx, world, webhook["clientConfig"], timeout, review, "failed to call webhook");
    if (!called) trouble.call = called.error().message();
    else answer = Read(hook, review["apiVersion"].Str(), *called, uid, trouble);
    if (trouble.refusal) return std::unexpected(std::move(*trouble.refusal));
    if (trouble.call.empty()) return answer;
    if (!hook.fails_open()) return std::unexpected(CannotCall(hook.name(), trouble.call));
    log::Warn("failed calling webhook, failing open", {{"webhook", hook.name()}, {"error", trouble.call}});
    return Answer();
  }

  Answer Read(const Hook& hook, std::string_view api_version, const Value& review, const std::string& uid, Trouble& trouble) const {
    Answer answer;
    const auto invalid = [&](std::string why) { trouble.call = Cat("received invalid webhook response: ", why); };
    const Value& response = review["response"];
    const auto gvk = [](std::string_view version, std::string_view kind) { return Cat(version, ", Kind=", kind); };
    if (review["apiVersion"].Str() != api_version || review["kind"].Str() != "AdmissionReview") {
      invalid(Cat("expected webhook response of ", gvk(api_version, "AdmissionReview"), ", got ", review["apiVersion"].Str().empty() && review["kind"].Str().empty() ? "/, Kind=" : gvk(review["apiVersion"].Str(), review["kind"].Str())));
      return answer;
    }
    if (!response.is_object()) return invalid("webhook response was absent"), answer;
    if (response["uid"].Str() != uid) return invalid(Cat("expected response.uid=", Quote(uid), ", got ", Quote(response["uid"].Str()))), answer;
    for (const Value& warning : response["warnings"].Items()) answer.warnings.emplace_back(warning.Str());
    for (const auto& [name, value] : response["auditAnnotations"].Members()) answer.audit.emplace_back(Cat(hook.name(), "/", name), value.Str());
    const auto patch = response["patch"].Str(), type = response["patchType"].Str();
    if (!patch.empty() && kind_ == Kind::kValidating) return invalid("validating webhook may not return response.patch"), answer;
    if (!patch.empty() && type.empty()) return invalid("webhook returned response.patch but not response.patchType"), answer;
    if (!type.empty() && type != "JSONPatch") return invalid(Cat("webhook returned invalid response.patchType of ", Quote(type))), answer;
    if (!response["allowed"].Bool()) {
      trouble.refusal.emplace(DeniedBy(hook.name(), response["status"]));
      return answer;
    }
    if (patch.empty()) return answer;
    auto text = text::FromBase64(patch);
    if (!text) return invalid(std::string(text.error().message())), answer;
    answer.patch = std::move(*text);
    return answer;
  }

  const Kind kind_;
  const ConditionCache conditions_;
};

}  // namespace

std::unique_ptr<AdmissionPlugin> NewMutatingWebhooks() { return std::make_unique<Webhooks>(Webhooks::Kind::kMutating); }
std::unique_ptr<AdmissionPlugin> NewValidatingWebhooks() { return std::make_unique<Webhooks>(Webhooks::Kind::kValidating); }

}  // namespace skerry::kube
