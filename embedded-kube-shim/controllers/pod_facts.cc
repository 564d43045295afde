#include "embedded-kube-shim/controllers/pod_facts.h"

#include <algorithm>
#include <cmath>

#include "core/base/strings.h"

namespace skerry::kube {

const json::Value& Meta(const json::Value& object) { return object["metadata"]; }
std::string_view Name(const json::Value& object) { return Meta(object)["name"].Str(); }
std::string_view Namespace(const json::Value& object) { return Meta(object)["namespace"].Str(); }
std::string_view Uid(const json::Value& object) { return Meta(object)["uid"].Str(); }
bool IsTerminating(const json::Value& object) { return !Meta(object)["deletionTimestamp"].is_null(); }

bool IsPodFinished(const json::Value& pod) {
  const std::string_view phase = pod["status"]["phase"].Str();
  return phase == "Succeeded" || phase == "Failed";
}
bool IsPodActive(const json::Value& pod) { return !IsPodFinished(pod) && !IsTerminating(pod); }

const json::Value* FindCondition(const json::Value& status, std::string_view type) {
  for (const json::Value& c : status["conditions"].Items()) {
    if (c["type"].Str() == type) return &c;
  }
  return nullptr;
}

bool IsPodReady(const json::Value& pod) {
  const json::Value* c = FindCondition(pod["status"], "Ready");
  return c && (*c)["status"].Str() == "True";
}

bool IsPodAvailable(const json::Value& pod, std::chrono::seconds min_ready, Clock::Wall now, std::optional<std::chrono::milliseconds>* due) {
  const json::Value* c = FindCondition(pod["status"], "Ready");
  if (!c || (*c)["status"].Str() != "True") return false;
  if (min_ready.count() == 0) return true;
  const auto since = ParseTime((*c)["lastTransitionTime"].Str());
  if (!since) return false;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*since + min_ready - now);
  if (left.count() <= 0) return true;
  if (due && (!*due || left < **due)) *due = left;
  return false;
}

const json::Value* ControllerRef(const json::Value& object) {
  for (const json::Value& ref : Meta(object)["ownerReferences"].Items()) {
    if (ref["controller"].Bool()) return &ref;
  }
  return nullptr;
}

bool IsControlledBy(const json::Value& object, std::string_view uid) {
  const json::Value* ref = ControllerRef(object);
  return ref && (*ref)["uid"].Str() == uid;
}

json::Value NewControllerRef(const json::Value& owner, std::string_view api_version, std::string_view kind) {
  json::Value ref;
  ref.Set("apiVersion") = api_version;
  ref.Set("kind") = kind;
  ref.Set("name") = Name(owner);
  ref.Set("uid") = Uid(owner);
  ref.Set("controller") = true;
  ref.Set("blockOwnerDeletion") = true;
  return ref;
}

std::string SelectorTextOfMap(const json::Value& labels) {
  std::string out;
  for (const json::Member& m : labels.Members()) {
    if (!out.empty()) out += ',';
    out += Cat(m.key, "=", m.value.Str());
  }
  return out;
}

std::string SelectorText(const json::Value& selector) {
  std::string out = SelectorTextOfMap(selector["matchLabels"]);
  for (const json::Value& e : selector["matchExpressions"].Items()) {
    if (!out.empty()) out += ',';
    const std::string_view op = e["operator"].Str(), key = e["key"].Str();
    if (op == "Exists") {
      out += key;
    } else if (op == "DoesNotExist") {
      out += Cat("!", key);
    } else {
      out += Cat(key, op == "In" ? " in (" : " notin (");
      bool first = true;
      for (const json::Value& v : e["values"].Items()) {
        if (!first) out += ',';
        first = false;
        out += v.Str();
      }
      out += ')';
    }
  }
  return out;
}

bool MatchesSelector(const json::Value& selector, const json::Value& labels) {
  if (!selector.is_object()) return false;
  for (const json::Member& m : selector["matchLabels"].Members()) {
    const json::Value* v = labels.Find(m.key);
    if (!v || v->Str() != m.value.Str()) return false;
  }
  for (const json::Value& e : selector["matchExpressions"].Items()) {
    const std::string_view op = e["operator"].Str();
    const json::Value* v = labels.Find(e["key"].Str());
    const auto listed = [&] {
      return std::any_of(e["values"].Items().begin(), e["values"].Items().end(), [&](const json::Value& x) { return x.Str() == v->Str(); });
    };
    if (op == "Exists" && !v) return false;
    if (op == "DoesNotExist" && v) return false;
    if (op == "In" && (!v || !listed())) return false;
    if (op == "NotIn" && v && listed()) return false;
  }
  return true;
}

namespace {

struct DeletionRank {
  bool assigned;
  int phase;
  bool ready;
  std::int64_t cost;
  int rank;
  int ready_age, age;      // logarithmic: of two pods of about the same age either may go
  std::int64_t restarts;
};

int PhaseRank(std::string_view phase) { return phase == "Pending" || phase.empty() ? 0 : phase == "Unknown" ? 1 : 2; }

int LogAge(std::string_view since, Clock::Wall now) {
  const auto t = ParseTime(since);
  if (!t) return -1;
  const double s = std::chrono::duration<double>(now - *t).count();
  return s < 1 ? 0 : static_cast<int>(std::log2(s)) + 1;
}

DeletionRank RankOf(const json::Value& pod, const std::function<int(const json::Value&)>& rank, Clock::Wall now) {
  DeletionRank r{};
  r.assigned = !pod["spec"]["nodeName"].Str().empty();
  r.phase = PhaseRank(pod["status"]["phase"].Str());
  r.ready = IsPodReady(pod);
  r.cost = ParseInt(Meta(pod)["annotations"]["controller.kubernetes.io/pod-deletion-cost"].Str()).value_or(0);
  r.rank = rank ? rank(pod) : 0;
  const json::Value* c = FindCondition(pod["status"], "Ready");
  r.ready_age = r.ready && c ? LogAge((*c)["lastTransitionTime"].Str(), now) : 0;
  r.age = LogAge(Meta(pod)["creationTimestamp"].Str(), now);
  for (const json::Value& s : pod["status"]["containerStatuses"].Items()) r.restarts = std::max(r.restarts, s["restartCount"].Int());
  return r;
}

}  // namespace

void SortForDeletion(std::vector<ObjectPtr>& pods, const std::function<int(const json::Value&)>& rank, Clock::Wall now) {
  std::vector<std::pair<DeletionRank, ObjectPtr>> ranked;
  for (ObjectPtr& p : pods) ranked.emplace_back(RankOf(*p, rank, now), std::move(p));
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& x, const auto& y) {
    const DeletionRank &a = x.first, &b = y.first;
    if (a.assigned != b.assigned) return !a.assigned;
    if (a.phase != b.phase) return a.phase < b.phase;
    if (a.ready != b.ready) return !a.ready;
    if (a.cost != b.cost) return a.cost < b.cost;
    if (a.rank != b.rank) return a.rank > b.rank;
    if (a.ready_age != b.ready_age) return a.ready_age < b.ready_age;
    if (a.restarts != b.restarts) return a.restarts > b.restarts;
    if (a.age != b.age) return a.age < b.age;
    return Uid(*x.second) < Uid(*y.second);
  });
  for (std::size_t i = 0; i < pods.size(); ++i) pods[i] = std::move(ranked[i].second);
}

json::Value PodFromTemplate(const json::Value& pod_template, std::string_view ns, std::string_view prefix, json::Value owner_ref) {
  json::Value pod;
  pod.Set("apiVersion") = "v1";
  pod.Set("kind") = "Pod";
  json::Value& meta = pod.Set("metadata");
  meta.Set("generateName") = prefix;
  meta.Set("namespace") = ns;
  for (const char* key : {"labels", "annotations", "finalizers"}) {
    if (const json::Value* v = Meta(pod_template).Find(key); v && !v->is_null()) meta.Set(key) = v->Clone();
  }
  meta.Set("ownerReferences").Append(std::move(owner_ref));
  pod.Set("spec") = pod_template["spec"].Clone();
  return pod;
}

Result<std::int64_t> ScaledValue(const json::Value& v, std::int64_t total, bool round_up) {
  if (v.is_int()) return v.Int();
  std::string_view text = v.Str();
  if (!text.ends_with('%')) return Fail(Code::kInvalid, "not a number or a percentage: " + v.Dump());
  const auto percent = ParseInt(text.substr(0, text.size() - 1));
  if (!percent) return Fail(Code::kInvalid, "not a percentage: " + v.Dump());
  const std::int64_t product = *percent * total;
  return round_up ? (product + 99) / 100 : product / 100;
}

bool SetCondition(json::Value& status, std::string_view type, std::string_view value, std::string_view reason, std::string_view message, Clock::Wall now,
                  bool with_update_time) {
  json::Value& list = status.Set("conditions");
  json::Value* found = nullptr;
  for (json::Value& c : list.MutableItems()) {
    if (c["type"].Str() == type) found = &c;
  }
  if (found && (*found)["status"].Str() == value && (*found)["reason"].Str() == reason && (*found)["message"].Str() == message) return false;
  json::Value next;
  next.Set("type") = type;
  next.Set("status") = value;
  if (with_update_time) next.Set("lastUpdateTime") = FormatTime(now);
  next.Set("lastTransitionTime") = found && (*found)["status"].Str() == value ? std::string((*found)["lastTransitionTime"].Str()) : FormatTime(now);
  next.Set("reason") = reason;
  next.Set("message") = message;
  if (found) {
    *found = std::move(next);
  } else {
    list.Append(std::move(next));
  }
  return true;
}

bool RemoveCondition(json::Value& status, std::string_view type) {
  json::Value* list = status.Find("conditions");
  if (!list || !list->is_array()) return false;
  return std::erase_if(list->MutableItems(), [&](const json::Value& c) { return c["type"].Str() == type; }) > 0;
}

std::string TemplateHash(const json::Value& pod_template, std::optional<std::int64_t> collision_count) {
  std::uint32_t hash = 2166136261u;
  const auto add = [&](std::string_view bytes) {
    for (const char c : bytes) {
      hash ^= static_cast<unsigned char>(c);
      hash *= 16777619u;
    }
  };
  add(pod_template.Dump());
  if (collision_count) add(std::to_string(*collision_count));
  return SafeName(std::to_string(hash));
}

std::string SafeName(std::string_view text) {
  static constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  std::string out;
  for (const char c : text) out += kAlphabet[static_cast<unsigned char>(c) % kAlphabet.size()];
  return out;
}

}  // namespace skerry::kube
