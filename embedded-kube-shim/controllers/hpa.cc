#include <algorithm>
#include <map>
#include <mutex>

#include "core/base/strings.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/controllers/autoscale.h"
#include "embedded-kube-shim/controllers/context.h"
#include "embedded-kube-shim/controllers/hpa_figures.h"
#include "embedded-kube-shim/controllers/write.h"

// HorizontalPodAutoscaler: looks at the metrics every 15 s while there is one, and sets the scale of its target.
namespace skerry::kube {
namespace {

constexpr const char* kAutoscalers = "autoscaling/v2/horizontalpodautoscalers";
constexpr const char* kController = "horizontal-pod-autoscaler";
constexpr const char* kAccount = "system:serviceaccount:kube-system:horizontal-pod-autoscaler";
constexpr std::chrono::seconds kPeriod{15};

// A pass over one autoscaler at a time; what it has to remember lies beside.
struct Memory {
  std::string uid;
  std::int64_t generation = 0;
  Clock::MonoTime next{};
  ScaleHistory history;
};

std::string Shown(std::string_view resource, std::int64_t milli) {
  return resource == "cpu" ? text::Quantity::OfMilli(milli).Canonical() : text::Quantity::Of(milli / 1000).Canonical();
}

class HpaPass {
 public:
  HpaPass(const Ctx& ctx, Client& client, EventRecorder& events, MetricsSource* metrics, ObjectMetricsSource* figures, const Registry& registry, const Lister& pods, Clock::Wall now,
          const ObjectPtr& hpa, ScaleHistory& history, FigureServers servers)
      : ctx_(ctx), client_(client), events_(events), metrics_(metrics), figures_(figures), registry_(registry), pods_(pods), now_(now), current_(hpa), hpa_(hpa->Clone()), history_(history), servers_(std::move(servers)) {}

  Result<> Run() {
    const json::Value& ref = hpa_["spec"]["scaleTargetRef"];
    auto scale = FindScale(ref);
    if (!scale) {
      const std::string why(scale.error().message());
      events_.Event(*current_, "Warning", "FailedGetScale", why);
      Condition("AbleToScale", "False", "FailedGetScale", Cat("the HPA controller was unable to get the target's current scale: ", why));
      return Write();
    }
    Condition("AbleToScale", "True", "SucceededGetScale", "the HPA controller was able to get the target's current scale");
    return Decide(**scale);
  }

 private:
  Result<ObjectPtr> FindScale(const json::Value& ref) {
    const std::string_view api_version = ref["apiVersion"].Str();
    const std::size_t slash = api_version.find('/');
    const std::string_view group = slash == std::string_view::npos ? std::string_view() : api_version.substr(0, slash);
    const std::string_view version = slash == std::string_view::npos ? api_version : api_version.substr(slash + 1);
    const ResourcePtr def = registry_.FindKind(group, version, ref["kind"].Str());
    if (!def) {
      return Fail(Code::kInvalid, Cat("unable to determine resource for scale target reference: no matches for kind ", Quote(ref["kind"].Str()), " in group ", Quote(group)));
    }
    if (!def->FindSubresource("scale")) return Fail(Code::kNotFound, "the server could not find the requested resource");
    resource_ = Cat(api_version, "/", def->resource);
    return client_.Get(ctx_, resource_ + "/scale", {std::string(Namespace(hpa_)), std::string(ref["name"].Str())});
  }

  Result<> Decide(const json::Value& scale) {
    const std::int64_t now = scale["spec"]["replicas"].Int(), least = hpa_["spec"]["minReplicas"].Int(1), most = hpa_["spec"]["maxReplicas"].Int();
    std::int64_t wanted = now;
    std::string reason;
    json::Value statuses;
    if (now == 0 && least != 0) {
      Condition("ScalingActive", "False", "ScalingDisabled", "scaling is disabled since the replica count of the target is zero");
      SetStatus(now, 0, std::move(statuses), false);
      return Write();
    }
    if (now > most) {
      wanted = most;
      reason = "Current number of replicas above Spec.MaxReplicas";
    } else if (now < least) {
      wanted = least;
      reason = "Current number of replicas below Spec.MinReplicas";
    } else {
      const auto evaluated = Evaluate(scale, statuses);
      if (!evaluated) {
        SetStatus(now, std::nullopt, std::move(statuses), false);
        events_.Event(*current_, "Warning", "FailedComputeMetricsReplicas", std::string(evaluated.error().message()));
        return Write();
      }
      wanted = Limit(now, evaluated->proposal.replicas);
      reason = wanted > now ? evaluated->name + " above target" : "All metrics below target";
    }
    if (wanted != now) TRY_VOID(Rescale(scale, now, wanted, reason));
    SetStatus(now, wanted, std::move(statuses), wanted != now);
    return Write();
  }

  std::int64_t Limit(std::int64_t now, std::int64_t proposed) {
    const Limited limited = LimitScale(hpa_, now, proposed, now_, history_);
    if (limited.stabilized_down) {
      Condition("AbleToScale", "True", "ScaleDownStabilized", "recent recommendations were higher than current one, applying the highest recent recommendation");
    } else if (limited.stabilized_up) {
      Condition("AbleToScale", "True", "ScaleUpStabilized", "recent recommendations were lower than current one, applying the lowest recent recommendation");
    } else {
      Condition("AbleToScale", "True", "ReadyForNewScale", "recommended size matches current size");
    }
    if (limited.limit_reason.empty()) {
      Condition("ScalingLimited", "False", "DesiredWithinRange", "the desired count is within the acceptable range");
    } else {
      Condition("ScalingLimited", "True", limited.limit_reason, limited.limit_message);
    }
    return limited.replicas;
  }

  Result<> Rescale(const json::Value& scale, std::int64_t from, std::int64_t to, const std::string& reason) {
    json::Value next = scale.Clone();
    next.Set("spec").Set("replicas") = to;
    auto written = client_.Update(ctx_, resource_, std::move(next), "scale");
    if (!written) {
      events_.Event(*current_, "Warning", "FailedRescale", Cat("New size: ", to, "; reason: ", reason, "; error: ", written.error().message()));
      Condition("AbleToScale", "False", "FailedUpdateScale", Cat("the HPA controller was unable to update the target scale: ", written.error().message()));
      SetStatus(from, std::nullopt, json::Value(), false);
      TRY_VOID(Write());
      return std::unexpected(std::move(written).error());
    }
    Condition("AbleToScale", "True", "SucceededRescale", Cat("the HPA controller was able to update the target scale to ", to));
    events_.Event(*current_, "Normal", "SuccessfulRescale", Cat("New size: ", to, "; reason: ", reason));
    (to > from ? history_.ups : history_.downs).push_back({now_, std::abs(to - from)});
    return {};
  }

  // The largest proposal of all metrics. One that fails only keeps the target from shrinking.
  Result<Evaluated> Evaluate(const json::Value& scale, json::Value& statuses) {
    const std::string selector(scale["status"]["selector"].Str());
    if (selector.empty()) {
      events_.Event(*current_, "Warning", "SelectorRequired", "selector is required");
      Condition("ScalingActive", "False", "InvalidSelector", "the HPA target's scale is missing a selector");
      return Fail(Code::kInvalid, "selector is required");
    }
    const std::vector<ObjectPtr> pods = pods_.Matching(Namespace(hpa_), selector);
    const auto metrics = hpa_["spec"]["metrics"].Items();
    std::optional<Evaluated> best;
    std::optional<std::pair<std::string, std::string>> first_failure;   // condition reason, message
    std::size_t failed = 0;
    statuses = json::Value::Array();
    for (const json::Value& m : metrics) {
      std::string failure_reason;
      auto one = EvaluateOne(m, scale, pods, &failure_reason);
      if (!one) {
        ++failed;
        json::Value none;
        none.Set("type") = "";
        statuses.Append(std::move(none));
        events_.Event(*current_, "Warning", failure_reason, std::string(one.error().message()));
        if (!first_failure) first_failure.emplace(failure_reason, std::string(one.error().message()));
        continue;
      }
      statuses.Append(std::move(one->status));
      if (!best || one->proposal.replicas > best->proposal.replicas) best = std::move(*one);
    }
    if (failed > 0 && (!best || best->proposal.replicas < scale["spec"]["replicas"].Int())) {
      Condition("ScalingActive", "False", first_failure->first, Cat("the HPA was unable to compute the replica count: ", first_failure->second));
      return Fail(Code::kInvalid, Cat("invalid metrics (", failed, " invalid out of ", metrics.size(), "), first error is: ", first_failure->second));
    }
    if (!best) return Fail(Code::kInvalid, "no metrics are given");
    Condition("ScalingActive", "True", "ValidMetricFound", Cat("the HPA was able to successfully calculate a replica count from ", best->name));
    return std::move(*best);
  }

  Result<Evaluated> EvaluateOne(const json::Value& m, const json::Value& scale, const std::vector<ObjectPtr>& pods, std::string* reason) {
    const std::string_view type = m["type"].Str();
    if (type == "Resource") {
      *reason = "FailedGetResourceMetric";
      return EvaluateResource(m, m["resource"], "resource", scale, pods);
    }
    if (type == "ContainerResource") {
      *reason = "FailedGetContainerResourceMetric";
      return EvaluateResource(m, m["containerResource"], "containerResource", scale, pods);
    }
    *reason = type == "External" ? "FailedGetExternalMetric" : type == "Object" ? "FailedGetObjectMetric" : "FailedGetPodsMetric";
    const ResourceTarget tolerances = Tolerances();
    return EvaluateFigure({m, Namespace(hpa_), scale["spec"]["replicas"].Int(), scale["status"]["replicas"].Int(), pods, tolerances.up_tolerance, tolerances.down_tolerance, now_, figures_,
                           std::string(scale["status"]["selector"].Str()), servers_});
  }

  ResourceTarget Tolerances() const {
    ResourceTarget out;
    const json::Value& behavior = hpa_["spec"]["behavior"];
    if (const json::Value& t = behavior["scaleUp"]["tolerance"]; !t.is_null()) out.up_tolerance = static_cast<double>(MilliOf(t)) / 1000.0;
    if (const json::Value& t = behavior["scaleDown"]["tolerance"]; !t.is_null()) out.down_tolerance = static_cast<double>(MilliOf(t)) / 1000.0;
    return out;
  }

  Result<Evaluated> EvaluateResource(const json::Value& metric, const json::Value& source, const char* field, const json::Value& scale, const std::vector<ObjectPtr>& pods) {
    ResourceTarget target = Tolerances();
    target.resource = source["name"].Str();
    target.container = source["container"].Str();
    const json::Value& goal = source["target"];
    if (goal["averageUtilization"].is_int()) target.utilization = goal["averageUtilization"].Int();
    target.average_milli = MilliOf(goal["averageValue"]);
    const std::string prefix = Cat("failed to get ", target.resource, target.utilization ? " utilization: " : " usage: ");
    if (!metrics_) {
      return Fail(Code::kNotFound, Cat(prefix, "unable to get metrics for resource ", target.resource,
                                       ": unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)"));
    }
    auto proposal = ProposeForResource(target, scale["spec"]["replicas"].Int(), pods, metrics_->Pods(Namespace(hpa_)), now_);
    if (!proposal) return Fail(Code::kInvalid, Cat(prefix, proposal.error().message()));
    Evaluated out;
    out.proposal = *proposal;
    const char* kind = target.container.empty() ? " resource" : " container resource";
    out.name = Cat(target.resource, kind, target.utilization ? " utilization (percentage of request)" : "");
    out.status.Set("type") = metric["type"].Str();
    json::Value& shown = out.status.Set(field);
    shown.Set("name") = target.resource;
    if (!target.container.empty()) shown.Set("container") = target.container;
    json::Value& value = shown.Set("current");
    if (proposal->utilization) value.Set("averageUtilization") = *proposal->utilization;
    value.Set("averageValue") = Shown(target.resource, proposal->average_milli);
    return out;
  }

  void Condition(std::string_view type, std::string_view value, std::string_view reason, std::string_view message) {
    SetCondition(hpa_.Set("status"), type, value, reason, message, now_);
  }

  void SetStatus(std::int64_t now, std::optional<std::int64_t> wanted, json::Value metrics, bool rescaled) {
    json::Value& status = hpa_.Set("status");
    SetCount(status, "currentReplicas", now);
    if (wanted) status.Set("desiredReplicas") = *wanted;
    status.Set("currentMetrics") = std::move(metrics);
    if (rescaled) status.Set("lastScaleTime") = FormatTime(now_);
  }

  Result<> Write() {
    json::Value& status = hpa_.Set("status");
    if (status["desiredReplicas"].is_null()) status.Set("desiredReplicas") = 0;
    TRY_VOID(UpdateIfChanged(ctx_, client_, kAutoscalers, current_, hpa_.Clone(), "status"));
    return {};
  }

  const Ctx& ctx_;
  Client& client_;
  EventRecorder& events_;
  MetricsSource* const metrics_;       // null: there is no metrics API
  ObjectMetricsSource* const figures_; // null: nor one of custom and external metrics
  const Registry& registry_;
  const Lister& pods_;
  const Clock::Wall now_;
  const ObjectPtr current_;
  json::Value hpa_;                    // with the status in the making
  ScaleHistory& history_;
  const FigureServers servers_;
  std::string resource_;
};

class HpaReconciler final : public Reconciler {
 public:
  explicit HpaReconciler(const ControllerContext& c)
      : client_(c.client(kController)), events_(c.events(kController)), clock_(c.clock), registry_(c.registry), metrics_(c.metrics), figures_(c.object_metrics), autoscalers_(c.informers.Get(kAutoscalers)),
        pods_(c.informers.Get("v1/pods")), apis_(c.informers.Get("apiregistration.k8s.io/v1/apiservices")), aggregated_(c.aggregated) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr hpa = autoscalers_.Get(key);
    Memory memory = Take(key);
    if (!hpa) return Outcome{};
    const Clock::MonoTime now = clock_.Mono();
    Outcome outcome;
    if (memory.uid != Uid(*hpa)) memory = {std::string(Uid(*hpa)), 0, now + kPeriod, {}};   // the first look, too, comes after a period
    if (now < memory.next) {
      outcome.requeue_after = std::chrono::ceil<std::chrono::milliseconds>(memory.next - now);
      Put(key, std::move(memory));
      return outcome;
    }
    memory.generation = Meta(*hpa)["generation"].Int();
    memory.next = now + kPeriod;
    auto done = HpaPass(ctx, client_, events_, metrics_ ? metrics_() : nullptr, figures_ ? figures_() : nullptr, registry_, pods_, clock_.Now(), hpa, memory.history, Servers(ctx)).Run();
    if (!done) memory.next = {};
    Put(key, std::move(memory));
    if (!done) return std::unexpected(std::move(done).error());
    outcome.requeue_after = kPeriod;
    return outcome;
  }

 private:
  // Who answers for a group in the first of these versions for which an APIService names a service. Null: this process does.
  FigureServers::Ask ServerOf(const Ctx& ctx, std::string_view group, std::initializer_list<std::string_view> versions) const {
    for (const std::string_view version : versions) {
      const ObjectPtr api = aggregated_ ? apis_.Get({"", Cat(version, ".", group)}) : nullptr;
      if (!api || (*api)["spec"]["service"].is_null()) continue;
      return [this, &ctx, base = Cat("/apis/", group, "/", version, "/")](const std::string& path) -> Result<json::Value> {
        TRY(auto answer, aggregated_->Call(ctx, kAccount, "GET", base + path));
        if (answer.status == 200) return std::move(answer.body);
        const std::string_view message = answer.body["message"].Str();
        return Fail(Code::kNotFound, message.empty() ? Cat("the server answered ", answer.status) : std::string(message));
      };
    }
    return nullptr;
  }

  FigureServers Servers(const Ctx& ctx) const {
    FigureServers out{ServerOf(ctx, "custom.metrics.k8s.io", {"v1beta2", "v1beta1"}), ServerOf(ctx, "external.metrics.k8s.io", {"v1beta1"}), {}};
    out.resource_of = [this](std::string_view api_version, std::string_view kind) -> FigureServers::Named {
      const std::size_t slash = api_version.find('/');
      const std::string_view group = slash == std::string_view::npos ? std::string_view() : api_version.substr(0, slash);
      const ResourcePtr def = registry_.FindKind(group, slash == std::string_view::npos ? api_version : api_version.substr(slash + 1), kind);
      const std::string resource = def ? def->resource : Cat(ToLower(kind), "s");
      return {group.empty() ? resource : Cat(resource, ".", group), !def || def->scope == Scope::kNamespaced};
    };
    return out;
  }

  Memory Take(const Key& key) {
    std::lock_guard lock(mutex_);
    Memory out = std::move(memory_[key]);
    memory_.erase(key);
    return out;
  }
  void Put(const Key& key, Memory memory) {
    std::lock_guard lock(mutex_);
    memory_[key] = std::move(memory);
  }

  Client& client_;
  EventRecorder& events_;
  const Clock& clock_;
  const Registry& registry_;
  const std::function<MetricsSource*()> metrics_;
  const std::function<ObjectMetricsSource*()> figures_;
  const Lister& autoscalers_;
  const Lister& pods_;
  const Lister& apis_;
  AggregatedApis* const aggregated_;   // null: there are no other servers
  std::mutex mutex_;
  std::map<Key, Memory> memory_;
};

}  // namespace

void AddHorizontalPodAutoscaler(const ControllerContext& c) {
  ControllerSpec spec;
  spec.name = kController;
  spec.workers = 5;
  spec.triggers.push_back({kAutoscalers, {}});
  spec.reconciler = std::make_unique<HpaReconciler>(c);
  c.manager.Add(std::move(spec));
}

}  // namespace skerry::kube
