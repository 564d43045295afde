#include <algorithm>
#include <functional>

#include "core/base/strings.h"
#include "embedded-kube-shim/apis/cron.h"
#include "embedded-kube-shim/apis/rules_shared.h"
#include "embedded-kube-shim/apis/same_value.h"

namespace skerry::kube::rules {
namespace {

using json::Value;

// "1,3-5": the number of indexes, or what is wrong with the text.
std::int64_t CountIndexes(std::string_view text, std::int64_t completions, std::string& error) {
  std::int64_t total = 0, previous = -1;
  if (text.empty()) return 0;
  for (std::string_view interval : Split(text, ',')) {
    const auto parts = Split(interval, '-');
    if (parts.size() > 2) {
      error = Cat("the fragment ", Quote(interval), " violates the requirement that an index interval can have at most two parts separated by '-'");
      return 0;
    }
    std::int64_t bounds[2] = {0, 0};
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const auto number = ParseInt(parts[i]);
      if (!number) {
        error = Cat("cannot convert string to integer for index: ", Quote(parts[i]));
        return 0;
      }
      if (*number >= completions) {
        error = Cat("too large index: ", Quote(parts[i]));
        return 0;
      }
      bounds[i] = *number;
    }
    if (parts.size() == 1) bounds[1] = bounds[0];
    if (bounds[0] <= previous) {
      error = Cat("non-increasing order, previous: ", previous, ", current: ", bounds[0]);
      return 0;
    }
    if (parts.size() == 2 && bounds[1] <= bounds[0]) {
      error = Cat("non-increasing order, previous: ", bounds[0], ", current: ", bounds[1]);
      return 0;
    }
    total += bounds[1] - bounds[0] + 1;
    previous = bounds[1];
  }
  return total;
}

void CheckDomainPrefixedPath(Run& run, const Node& at) {
  const std::string_view text = at->Str();
  if (text.empty()) return run.Required(at);
  const auto slash = text.find('/');
  if (slash == text.npos || slash == 0 || slash + 1 == text.size()) return run.Invalid(at, "must be a domain-prefixed path (such as \"acme.io/foo\")");
  const std::string_view host = text.substr(0, slash), path = text.substr(slash + 1);
  for (const std::string& message : format::Dns1123Subdomain(host)) run.Invalid(at, Quote(host), message);
  if (path.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/-._~%!$&'()*+,;=:") != path.npos)
    run.Invalid(at, Quote(path), "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')");
}

void CheckIndexed(Run& run, const Node& spec) {
  const Node parallelism = spec["parallelism"], completions = spec["completions"], failed = spec["maxFailedIndexes"], per_index = spec["backoffLimitPerIndex"];
  if (const std::string_view mode = spec.Str("completionMode"); mode != "Indexed") {
    if (!spec["completionMode"]->is_null() && mode != "NonIndexed") return;
    if (!per_index->is_null()) run.Invalid(per_index, "requires indexed completion mode");
    if (!failed->is_null()) run.Invalid(failed, "requires indexed completion mode");
    return;
  }
  if (completions->is_null()) run.Required(completions, "when completion mode is Indexed");
  if (parallelism->Int() > 100000) run.Invalid(parallelism, "must be less than or equal to 100000 when completion mode is Indexed");
  if (!completions->is_null() && failed->Int() > completions->Int()) run.Invalid(failed, "must be less than or equal to completions");
  if (failed->Int() > 100000) run.Invalid(failed, "must be less than or equal to 100000");
  if (completions->Int() <= 100000 || per_index->is_null()) return;
  if (failed->is_null()) run.Required(failed, "must be specified when completions is above 100000");
  constexpr const char* kText = "must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index";
  if (parallelism->Int() > 10000) run.Invalid(parallelism, kText);
  if (failed->Int() > 10000) run.Invalid(failed, kText);
}

void CheckExitCodes(Run& run, const Node& spec, const Node& codes) {
  if (const std::string_view op = codes.Str("operator"); op.empty()) run.Required(codes["operator"], "valid values: [\"In\" \"NotIn\"]");
  else run.Enum(codes["operator"], {"In", "NotIn"});
  if (const Node name = codes["containerName"]; !name->is_null()) {
    bool known = false;
    for (std::string_view list : {"containers", "initContainers"})
      for (const Value& container : spec->At({"template", "spec", list}).Items()) known = known || container["name"].Str() == name->Str();
    if (!known) run.Invalid(name, "must be one of the container or initContainer names in the pod template");
  }
  const Node values = codes["values"];
  if (values.size() == 0) run.Invalid(values, RenderJson(values.schema, *values), "at least one value is required");
  else if (values.size() > 255) run.TooMany(values, 255);
  bool ordered = true;
  std::set<std::int64_t> seen;
  std::int64_t previous = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::int64_t code = values->Items()[i].Int();
    if (codes.Str("operator") == "In" && code == 0) run.Invalid(values.At(i), "must not be 0 for the In operator");
    if (!seen.insert(code).second) run.Duplicate(values.At(i));
    if (i > 0 && code < previous) ordered = false;
    previous = code;
  }
  if (!ordered) run.Invalid(values, RenderJson(values.schema, *values), "must be ordered");
}

void CheckFailurePolicy(Run& run, const Node& spec) {
  const Node policy = spec["podFailurePolicy"];
  if (policy->is_null()) return;
  const Node rules = policy["rules"];
  if (rules.size() > 20) run.TooMany(rules, 20);
  for (const Node& rule : rules.Items()) {
    const std::string_view action = rule.Str("action");
    if (action.empty()) run.Required(rule["action"], "valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]");
    else if (action == "FailIndex" && spec["backoffLimitPerIndex"]->is_null()) run.Invalid(rule["action"], "requires the backoffLimitPerIndex to be set");
    else run.Enum(rule["action"], {"Count", "FailIndex", "FailJob", "Ignore"});
    const Node codes = rule["onExitCodes"], conditions = rule["onPodConditions"];
    if (!codes->is_null()) CheckExitCodes(run, spec, codes);
    if (conditions.size() > 0) {
      if (conditions.size() > 20) run.TooMany(conditions, 20);
      for (const Node& condition : conditions.Items()) {
        run.Format(condition["type"], format::QualifiedName);
        if (condition.Str("status").empty()) run.Required(condition["status"], "valid values: [\"False\" \"True\" \"Unknown\"]");
        else run.Enum(condition["status"], {"False", "True", "Unknown"});
      }
    }
    if (!codes->is_null() && conditions.size() > 0) run.Add(FieldErrorType::kInvalid, rule.path, "", "specifying both OnExitCodes and OnPodConditions is not supported");
    if (codes->is_null() && conditions.size() == 0) run.Add(FieldErrorType::kInvalid, rule.path, "", "specifying one of OnExitCodes and OnPodConditions is required");
  }
}

void CheckSuccessPolicy(Run& run, const Node& spec) {
  const Node policy = spec["successPolicy"];
  if (policy->is_null()) return;
  if (spec.Str("completionMode") != "Indexed") return run.Invalid(policy, RenderInternal(policy.schema, *policy), "requires indexed completion mode");
  const Node rules = policy["rules"];
  const std::int64_t completions = (*spec)["completions"].Int();
  if (rules.size() == 0) run.Required(rules, "at least one rules must be specified when the successPolicy is specified");
  if (rules.size() > 20) run.TooMany(rules, 20);
  for (const Node& rule : rules.Items()) {
    const Node count = rule["succeededCount"], indexes = rule["succeededIndexes"];
    if (count->is_null() && indexes->is_null()) run.Required(rule, "at least one of succeededCount or succeededIndexes must be specified");
    std::int64_t total = 0;
    if (!indexes->is_null()) {
      if (indexes->Str().size() > 65536) run.TooLong(indexes, 65536);
      std::string error;
      total = CountIndexes(indexes->Str(), completions, error);
      if (!error.empty()) run.Invalid(indexes, Cat("error parsing succeededIndexes: ", error));
    }
    if (count->is_null()) continue;
    run.NonNegative(count);
    if (count->Int() > completions) run.Invalid(count, Cat("must be less than or equal to ", completions, " (the number of specified completions)"));
    if (!indexes->is_null() && count->Int() > total)
      run.Invalid(count, Cat("must be less than or equal to ", total, " (the number of indexes in the specified succeededIndexes field)"));
  }
}

void CheckJobSpec(Run& run, const Node& spec) {
  for (std::string_view field : {"parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished", "backoffLimitPerIndex", "maxFailedIndexes"})
    if (!spec[field]->is_null()) run.NonNegative(spec[field]);
  if (!spec["maxFailedIndexes"]->is_null() && spec["backoffLimitPerIndex"]->is_null()) run.Required(spec["backoffLimitPerIndex"], "when maxFailedIndexes is specified");
  if (const Node manager = spec["managedBy"]; !manager->is_null()) {
    CheckDomainPrefixedPath(run, manager);
    if (manager->Str().size() > 63) run.TooLong(manager, 63);
  }
  if (const Node mode = spec["completionMode"]; !mode->is_null() && mode->Str() != "NonIndexed" && mode->Str() != "Indexed") run.NotSupported(mode, {"NonIndexed", "Indexed"});
  CheckIndexed(run, spec);
  CheckFailurePolicy(run, spec);
  CheckSuccessPolicy(run, spec);
  if (const Node replacement = spec["podReplacementPolicy"]; !replacement->is_null()) {
    if (!spec["podFailurePolicy"]->is_null()) run.Enum(replacement, {"Failed"});
    else run.Enum(replacement, {"Failed", "TerminatingOrFailed"});
  }
  CheckPodTemplate(run, spec["template"]);
  const Node restart = spec["template"]["spec"]["restartPolicy"];
  if (restart->Str() == "Always" || restart->Str().empty()) run.Required(restart, "valid values: \"OnFailure\", \"Never\"");
  else if (restart->Str() != "OnFailure" && restart->Str() != "Never") run.NotSupported(restart, {"OnFailure", "Never"});
  else if (!spec["podFailurePolicy"]->is_null() && restart->Str() != "Never") run.Invalid(restart, "only \"Never\" is supported when podFailurePolicy is specified");
}

void CheckSelectorOfJob(Run& run, const Node& spec) {
  const Node selector = spec["selector"], labels = spec["template"]["metadata"]["labels"];
  if (selector->is_null()) run.Required(selector);
  else CheckSelector(run, selector);
  // Upstream converts first: what cannot be a selector matches nothing it complains about.
  if (ParsesAsSelector(*selector) && !MatchesSelector(*selector, *labels)) run.Invalid(labels, RenderJson(labels.schema, *labels), "`selector` does not match template `labels`");
}

void CheckGenerated(Run& run, const Node& job) {
  const Node spec = job["spec"], selector = spec["selector"];
  if ((*spec)["manualSelector"].Bool() || selector->is_null()) return;
  const std::string name(job["metadata"].Str("name")), uid(job["metadata"].Str("uid"));
  const Node labels = spec["template"]["metadata"]["labels"];
  if (uid.empty()) run.Required(job["metadata"]["uid"]);
  const bool prefixed = !run.updating() || (*labels.old)["batch.kubernetes.io/controller-uid"].is_string();
  const auto require = [&](std::string_view key, const std::string& want) {
    const Value* value = labels->Find(key);
    if (!value) run.Required(labels.Key(key), Cat("must be '", want, "'"));
    else if (value->Str() != want) run.Add(FieldErrorType::kInvalid, labels.Key(key).path, RenderJson(labels.schema, *labels), Cat("must be '", want, "'"));
  };
  require("controller-uid", uid);
  require("job-name", name);
  Value generated = Value::Object();
  generated.Set("controller-uid") = Value(uid);
  generated.Set("job-name") = Value(name);
  if (prefixed) {
    require("batch.kubernetes.io/controller-uid", uid);
    require("batch.kubernetes.io/job-name", name);
    generated.Set("batch.kubernetes.io/controller-uid") = Value(uid);
    generated.Set("batch.kubernetes.io/job-name") = Value(name);
  }
  if (!MatchesSelector(*selector, generated)) run.Invalid(selector, "`selector` not auto-generated");
}

// Suspended, and no pods run.
bool MayChangeTemplate(const Value& job) {
  const Value& status = job["status"];
  const auto conditions = status["conditions"].Items();
  const bool told = std::any_of(conditions.begin(), conditions.end(), [](const Value& c) { return c["type"].Str() == "Suspended" && c["status"].Str() == "True"; });
  return job.At({"spec", "suspend"}).Bool() && (status["startTime"].is_null() || told) && status["active"].Int() == 0;
}

// What of a template may change while its job does not run: where pods go, how they are labeled and what they ask for.
void CheckJobTemplateUpdate(Run& run, const Node& pod_template, bool relaxed) {
  Value now = pod_template->Clone(), before = pod_template.old->Clone();
  if (relaxed)
    for (Value* value : {&now, &before}) {
      if (Value* metadata = value->Find("metadata")) metadata->Erase("labels"), metadata->Erase("annotations");
      Value& pod = value->Set("spec");
      for (std::string_view field : {"nodeSelector", "tolerations", "schedulingGates"}) pod.Erase(field);
      if (Value* affinity = pod.Find("affinity")) {
        affinity->Erase("nodeAffinity");
        if (affinity->size() == 0) pod.Erase("affinity");
      }
      for (std::string_view list : {"containers", "initContainers"})
        if (Value* containers = pod.Find(list); containers && containers->is_array())
          for (Value& container : containers->MutableItems()) container.Erase("resources");
    }
  if (relaxed ? SameTyped(pod_template["spec"].schema, now["spec"], before["spec"]) : SameTyped(pod_template.schema, now, before)) return;
  // When parts may change the rest is compared as the pod's spec, and that alone is named.
  const Node shown = relaxed ? pod_template["spec"] : pod_template;
  run.Invalid(shown, RenderInternal(shown.schema, *shown), "field is immutable");
}

void JobUpdate(Run& run, const Node& job) {
  const Node spec = job["spec"], completions = spec["completions"];
  if (!Unchanged(completions)) {
    if (spec.Str("completionMode") != "Indexed") run.Invalid(completions, "field is immutable");
    else if (!completions->is_null() && !SameValue(*completions, (*spec)["parallelism"])) run.Invalid(completions, "can only be modified in tandem with spec.parallelism");
  }
  run.Immutable(spec["selector"]);
  CheckJobTemplateUpdate(run, spec["template"], MayChangeTemplate(*run.old_root));
  for (std::string_view field : {"completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"}) run.Immutable(spec[field]);
}

void Job(Run& run, const Node& job) {
  const Node spec = job["spec"];
  CheckGenerated(run, job);
  CheckJobSpec(run, spec);
  CheckSelectorOfJob(run, spec);
  if (spec.Str("completionMode") == "Indexed" && (*spec)["completions"].Int() > 0) {
    const std::string last = Cat(job["metadata"].Str("name"), "-", (*spec)["completions"].Int() - 1);
    for (const std::string& message : format::Dns1123Label(last)) (void)message, run.Invalid(job["metadata"]["name"], Cat("will not able to create pod with invalid DNS label: ", last));
  }
  if (!run.updating()) return;
  for (const NamedCall& call : MetaCalls())
    if (call.name == "MetaUpdate") call.call(run, job["metadata"]);
  CheckJobSpec(run, spec);
  CheckSelectorOfJob(run, spec);
  JobUpdate(run, job);
}

// What a job's status says now and said before.
struct JobState {
  explicit JobState(const Node& job) : status(job["status"]), spec(job["spec"]) {}
  const Node status, spec;

  static bool Is(const Value& from, std::string_view type) {
    for (const Value& condition : from["conditions"].Items())
      if (condition["type"].Str() == type && condition["status"].Str() == "True") return true;
    return false;
  }
  bool now(std::string_view type) const { return Is(*status, type); }
  bool before(std::string_view type) const { return Is(*status.old, type); }
  bool turned(std::string_view type) const { return now(type) != before(type); }
  bool changed(std::string_view field) const { return !Unchanged(status[field]); }
  bool finished() const { return now("Complete") || now("Failed"); }
  bool finish_changed() const { return finished() != (before("Complete") || before("Failed")); }
  bool indexed() const { return spec.Str("completionMode") == "Indexed"; }
};

// Conditions that exclude or need each other, and times that go with them.
void CheckJobConditions(Run& run, const Node& job) {
  const JobState s(job);
  const Node& status = s.status;
  const auto refuse = [&](std::string text) { run.Add(FieldErrorType::kInvalid, status.path + ".conditions", "", std::move(text)); };
  if ((s.turned("Complete") || s.turned("Failed")) && s.now("Complete") && s.now("Failed")) refuse("cannot set Complete=True and Failed=true conditions");
  if ((s.turned("Complete") || s.turned("FailureTarget")) && s.now("Complete") && s.now("FailureTarget")) refuse("cannot set Complete=True and FailureTarget=true conditions");
  const Node start = status["startTime"], completion = status["completionTime"];
  if (s.turned("Complete") || s.changed("completionTime")) {
    if (!s.now("Complete") && !completion->is_null()) run.Invalid(completion, "cannot set completionTime when there is no Complete=True condition");
    if (s.now("Complete") && completion->is_null()) run.Required(completion, "completionTime is required for Complete jobs");
  }
  if ((s.changed("startTime") || s.changed("completionTime")) && !start->is_null() && !completion->is_null() && completion->Str() < start->Str())
    run.Invalid(completion, "must be equal to or after `startTime`");
  if ((s.turned("Failed") || s.changed("failedIndexes")) && s.now("Failed") && !s.now("FailureTarget")) refuse("cannot set Failed=True condition without the FailureTarget=true condition");
  if ((s.turned("Complete") || s.turned("SuccessCriteriaMet")) && s.now("Complete") && !s.now("SuccessCriteriaMet"))
    refuse("cannot set Complete=True condition without the SuccessCriteriaMet=true condition");
  if ((s.finish_changed() || s.changed("active")) && s.finished() && status["active"]->Int() > 0) run.Invalid(status["active"], "active>0 is invalid for finished job");
  const bool never_started = (*s.spec)["suspend"].Bool() && (*s.spec)["completions"].is_int() && (*s.spec)["completions"].Int() == 0;
  if ((s.finish_changed() || s.changed("startTime")) && s.finished() && start->is_null() && !never_started) run.Required(start, "startTime is required for finished job");
  const Node uncounted = status["uncountedTerminatedPods"];
  if ((s.finish_changed() || s.changed("uncountedTerminatedPods")) && s.finished() && (uncounted["succeeded"].size() > 0 || uncounted["failed"].size() > 0))
    run.Invalid(uncounted, RenderInternal(uncounted.schema, *uncounted), "must be empty for finished job");
}

// The first numbers of the intervals of both texts that overlap; -1 = none.
std::int64_t FirstCommonIndex(std::string_view a, std::string_view b) {
  using Interval = std::pair<std::int64_t, std::int64_t>;
  const auto intervals = [](std::string_view text) {
    std::vector<Interval> out;
    for (const std::string_view part : Split(text, ',')) {
      const auto dash = part.find('-');
      const auto first = ParseInt(part.substr(0, dash)), last = dash == part.npos ? first : ParseInt(part.substr(dash + 1));
      if (first && last) out.emplace_back(*first, *last);
    }
    return out;
  };
  for (const Interval& x : intervals(a))
    for (const Interval& y : intervals(b))
      if (x.first <= y.second && y.first <= x.second) return std::max(x.first, y.first);
  return -1;
}

void CheckJobIndexes(Run& run, const Node& job) {
  const JobState s(job);
  const Node completed = s.status["completedIndexes"], failed = s.status["failedIndexes"], completions = s.spec["completions"];
  const auto parse = [&](const Node& indexes, std::string_view name) {
    std::string error;
    CountIndexes(indexes->Str(), completions->Int(), error);
    if (!error.empty()) run.Invalid(indexes, Cat("error parsing ", name, ": ", error));
  };
  const bool completed_changed = s.changed("completedIndexes"), failed_changed = s.changed("failedIndexes");
  const bool per_index = !s.spec["backoffLimitPerIndex"]->is_null();
  if (completed_changed && !completions->is_null()) parse(completed, "completedIndexes");
  if (failed_changed && !completions->is_null() && per_index && !failed->is_null()) parse(failed, "failedIndexes");
  if (completed_changed && !completed->Str().empty() && !s.indexed()) run.Invalid(completed, "cannot set non-empty completedIndexes when non-indexed completion mode");
  if (failed_changed && !failed->is_null() && !per_index) run.Invalid(failed, "cannot set non-null failedIndexes when backoffLimitPerIndex is null");
  if (!completed_changed && !failed_changed) return;
  if (const std::int64_t common = FirstCommonIndex(failed->Str(), completed->Str()); common >= 0) run.Invalid(failed, Cat("failedIndexes and completedIndexes overlap at index: ", common));
}

void CheckJobTransition(Run& run, const Node& job) {
  const JobState s(job);
  const Node& status = s.status;
  const auto refuse = [&](std::string text) { run.Add(FieldErrorType::kInvalid, status.path + ".conditions", "", std::move(text)); };
  const Node terminating = status["terminating"], ready = status["ready"];
  if ((s.finish_changed() || s.changed("terminating")) && s.finished() && terminating->Int() > 0) run.Invalid(terminating, "terminating>0 is invalid for finished job");
  if ((s.changed("ready") || s.changed("active")) && !ready->is_null() && ready->Int() > status["active"]->Int()) run.Invalid(ready, "cannot set more ready pods than active");
  if (s.now("SuccessCriteriaMet") && s.now("Failed")) refuse("cannot set SuccessCriteriaMet=True and Failed=true conditions");
  if (s.now("SuccessCriteriaMet") && s.now("FailureTarget")) refuse("cannot set SuccessCriteriaMet=True and FailureTarget=true conditions");
  if (!s.spec["successPolicy"]->is_null() && s.now("Complete") && !s.now("SuccessCriteriaMet")) refuse("cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True");
  for (std::string_view type : {"Failed", "Complete", "FailureTarget"})
    if (s.before(type) && !s.now(type)) refuse(Cat("cannot disable the terminal ", type, "=True condition"));
  if (status["failed"]->Int() < status["failed"].old->Int()) run.Invalid(status["failed"], std::to_string(status["failed"]->Int()), "cannot decrease the failed counter");
  const bool elastic = s.indexed() && SameValue((*s.spec)["completions"], (*s.spec)["parallelism"]);
  if (!elastic && status["succeeded"]->Int() < status["succeeded"].old->Int())
    run.Invalid(status["succeeded"], std::to_string(status["succeeded"]->Int()), "cannot decrease the succeeded counter");
  const Node completion = status["completionTime"], start = status["startTime"];
  if (!completion->is_null() && !completion.old->is_null() && s.changed("completionTime")) run.Invalid(completion, "field is immutable");
  const auto suspended = [](const Value& from, std::string_view wanted) {
    for (const Value& condition : from["conditions"].Items())
      if (condition["type"].Str() == "Suspended") return condition["status"].Str() == wanted;
    return false;
  };
  const bool resuming = suspended(*status.old, "True") && suspended(*status, "False");
  if (s.changed("startTime") && !start.old->is_null() && !resuming && !(*s.spec)["suspend"].Bool()) run.Invalid(start, "field is immutable for unsuspended job once set");
  if (s.before("SuccessCriteriaMet") && !s.now("SuccessCriteriaMet")) refuse("cannot disable the SuccessCriteriaMet=True condition");
  if (s.before("Complete") && !s.before("SuccessCriteriaMet") && s.now("SuccessCriteriaMet")) refuse("cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions");
}

void JobStatus(Run& run, const Node& job) {
  const Node status = job["status"];
  for (std::string_view field : {"active", "succeeded", "failed", "ready", "terminating"})
    if (!status[field]->is_null()) run.NonNegative(status[field]);
  std::set<std::string> seen;
  for (std::string_view list : {"succeeded", "failed"})
    for (const Node& uid : status["uncountedTerminatedPods"][list].Items()) {
      if (uid->Str().empty()) run.Invalid(uid, "must not be empty");
      else if (!seen.insert(std::string(uid->Str())).second) run.Duplicate(uid);
    }
  CheckJobConditions(run, job);
  CheckJobIndexes(run, job);
  CheckJobTransition(run, job);
}

void CheckTimeZone(Run& run, const Node& zone) {
  if (zone->is_null() || (run.updating() && Unchanged(zone))) return;
  const std::string_view name = zone->Str();
  if (name.empty()) return run.Invalid(zone, "timeZone must be nil or non-empty string");
  for (std::string_view part : Split(name, '/')) {
    const bool ok = !part.empty() && part.size() <= 14 && part != "." && part != ".." && part[0] != '-' &&
                    part.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz.-_0123456789+") == part.npos;
    if (!ok) return run.Invalid(zone, Cat("unknown time zone ", name));
  }
  if (EqualsIgnoreCase(name, "Local")) return run.Invalid(zone, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones");
  if (!cron::IsTimeZone(name)) run.Invalid(zone, Cat("unknown time zone ", name));
}

void CronJob(Run& run, const Node& object) {
  const Node spec = object["spec"], schedule = spec["schedule"];
  if (schedule->Str().empty()) run.Required(schedule);
  else {
    if (const std::string error = cron::CheckSchedule(schedule->Str()); !error.empty()) run.Invalid(schedule, error);
    const bool zoned = schedule->Str().find("TZ") != std::string_view::npos, was = schedule.old->Str().find("TZ") != std::string_view::npos;
    if (zoned && !(run.updating() && was)) run.Invalid(schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead");
    else if (zoned && !spec["timeZone"]->is_null()) run.Invalid(schedule, "cannot use both timeZone field and TZ or CRON_TZ in schedule");
  }
  if (!spec["startingDeadlineSeconds"]->is_null()) run.NonNegative(spec["startingDeadlineSeconds"]);
  CheckTimeZone(run, spec["timeZone"]);
  if (spec.Str("concurrencyPolicy").empty()) run.Required(spec["concurrencyPolicy"]);
  else run.Enum(spec["concurrencyPolicy"], {"Allow", "Forbid", "Replace"});
  const Node job = spec["jobTemplate"]["spec"];
  CheckJobSpec(run, job);
  if (!job["selector"]->is_null()) run.Invalid(job["selector"], "`selector` will be auto-generated");
  if (const Node manual = job["manualSelector"]; manual->Bool()) run.NotSupported(manual, {"nil", "false"});
  for (std::string_view field : {"successfulJobsHistoryLimit", "failedJobsHistoryLimit"})
    if (!spec[field]->is_null()) run.NonNegative(spec[field]);
  if (!run.updating() && object["metadata"].Str("name").size() > 52) run.Invalid(object["metadata"]["name"], "must be no more than 52 characters");
}

}  // namespace

void CheckDomainPath(Run& run, const Node& at) { CheckDomainPrefixedPath(run, at); }

std::span<const NamedCall> BatchCalls() {
  static constexpr NamedCall kCalls[] = {{"Job", Job}, {"JobStatus", JobStatus}, {"CronJob", CronJob}};
  return kCalls;
}

}  // namespace skerry::kube::rules
