#include "embedded-kube-shim/server/flow_control.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "core/base/strings.h"

namespace skerry::kube {
namespace {

constexpr const char* kSchemas = "flowcontrol.apiserver.k8s.io/v1/flowschemas";
constexpr const char* kLevels = "flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations";

using Texts = std::vector<std::string>;

Texts TextsOf(const json::Value& list) {
  Texts out;
  for (const auto& item : list.Items()) out.emplace_back(item.Str());
  return out;
}
bool Has(const Texts& list, std::string_view text) {
  return std::any_of(list.begin(), list.end(), [&](const std::string& item) { return item == "*" || item == text; });
}

struct Subject { char kind; std::string prefix, name; };   // U, G, S; prefix: what names of the service accounts begin with

struct Rule {
  std::vector<Subject> subjects;
  struct Resource { Texts verbs, groups, resources, namespaces; bool cluster; };
  struct Path { Texts verbs, urls; };
  std::vector<Resource> resources;
  std::vector<Path> paths;
};

Rule RuleOf(const json::Value& rule) {
  Rule out;
  for (const auto& subject : rule["subjects"].Items()) {
    const auto kind = subject["kind"].Str();
    if (kind == "User") out.subjects.push_back({'U', {}, std::string(subject["user"]["name"].Str())});
    if (kind == "Group") out.subjects.push_back({'G', {}, std::string(subject["group"]["name"].Str())});
    if (kind == "ServiceAccount") out.subjects.push_back({'S', Cat("system:serviceaccount:", subject["serviceAccount"]["namespace"].Str(), ":"), std::string(subject["serviceAccount"]["name"].Str())});
  }
  for (const auto& resource : rule["resourceRules"].Items())
    out.resources.push_back({TextsOf(resource["verbs"]), TextsOf(resource["apiGroups"]), TextsOf(resource["resources"]), TextsOf(resource["namespaces"]), resource["clusterScope"].Bool()});
  for (const auto& path : rule["nonResourceRules"].Items()) out.paths.push_back({TextsOf(path["verbs"]), TextsOf(path["nonResourceURLs"])});
  return out;
}

bool Matches(const Subject& subject, const User& user) {
  if (subject.kind == 'U') return subject.name == "*" || subject.name == user.name;
  if (subject.kind == 'G') return subject.name == "*" || user.InGroup(subject.name);
  return user.name.starts_with(subject.prefix) && (subject.name == "*" || std::string_view(user.name).substr(subject.prefix.size()) == subject.name);
}

bool Matches(const Rule::Resource& rule, const Attributes& a) {
  if (!Has(rule.verbs, a.verb) || !Has(rule.groups, a.group)) return false;
  if (!Has(rule.resources, a.subresource.empty() ? a.resource : Cat(a.resource, "/", a.subresource))) return false;
  return a.ns.empty() ? rule.cluster : Has(rule.namespaces, a.ns);
}

bool Matches(const Rule::Path& rule, const Attributes& a) {
  if (!Has(rule.verbs, a.verb)) return false;
  return std::any_of(rule.urls.begin(), rule.urls.end(), [&](const std::string& url) {
    return url == "*" || url == a.path || (url.ends_with('*') && a.path.starts_with(std::string_view(url).substr(0, url.size() - 1)));
  });
}

bool Matches(const Rule& rule, const Attributes& a) {
  if (std::none_of(rule.subjects.begin(), rule.subjects.end(), [&](const Subject& subject) { return Matches(subject, a.user); })) return false;
  if (a.resource_request) return std::any_of(rule.resources.begin(), rule.resources.end(), [&](const Rule::Resource& resource) { return Matches(resource, a); });
  return std::any_of(rule.paths.begin(), rule.paths.end(), [&](const Rule::Path& path) { return Matches(path, a); });
}

}  // namespace

struct FlowControl::Schema {
  std::int64_t precedence = 0;
  std::string name, uid, level, level_uid, method;
  bool exempt = false;
  std::vector<Rule> rules;
};

struct FlowControl::Configuration {
  std::vector<Schema> schemas;       // in the order of matching
};

FlowControl::FlowControl(Informers& informers, Timers& timers, FlowOptions options, Post post)
    : timers_(timers), options_(options), post_(std::move(post)), schemas_(informers.Get(kSchemas)), levels_(informers.Get(kLevels)), configuration_(std::make_shared<Configuration>()) {
  for (const char* resource : {kSchemas, kLevels}) subscriptions_.push_back(informers.Subscribe(resource, [this](const Notification&) { Reload(); }));
}

FlowControl::~FlowControl() { subscriptions_.clear(); }

void FlowControl::Reload() {
  auto next = std::make_shared<Configuration>();
  std::map<std::string, Level, std::less<>> levels;
  std::map<std::string, std::pair<std::string, bool>> identity;   // uid, exempt
  double shares = 0;
  const auto limited = [](const json::Value& level) -> const json::Value& { return level["spec"]["limited"]; };
  for (const auto& level : levels_.List())
    if ((*level)["spec"]["type"].Str() == "Limited") shares += static_cast<double>(limited(*level)["nominalConcurrencyShares"].Int(30));
  for (const auto& level : levels_.List()) {
    const std::string name((*level)["metadata"]["name"].Str());
    const bool exempt = (*level)["spec"]["type"].Str() == "Exempt";
    identity[name] = {std::string((*level)["metadata"]["uid"].Str()), exempt};
    if (exempt) continue;
    Level& made = levels[name];
    const auto& settings = limited(*level);
    made.limit = shares > 0 ? static_cast<int>(std::ceil(options_.seats * static_cast<double>(settings["nominalConcurrencyShares"].Int(30)) / shares)) : options_.seats;
    made.lendable = static_cast<int>(made.limit * settings["lendablePercent"].Int() / 100);
    if (const auto& queuing = settings["limitResponse"]["queuing"]; settings["limitResponse"]["type"].Str() == "Queue") {
      made.queues = std::max(1, static_cast<int>(std::min<std::int64_t>(queuing["queues"].Int(64), 10000)));
      made.hand = std::clamp(static_cast<int>(queuing["handSize"].Int(8)), 1, made.queues);
      made.queue_limit = static_cast<int>(std::min<std::int64_t>(queuing["queueLengthLimit"].Int(50), 100000));
    }
  }
  for (const auto& schema : schemas_.List()) {
    const auto& spec = (*schema)["spec"];
    const auto level = identity.find(std::string(spec["priorityLevelConfiguration"]["name"].Str()));
    if (level == identity.end()) continue;   // dangling
    Schema made{spec["matchingPrecedence"].Int(1000), std::string((*schema)["metadata"]["name"].Str()), std::string((*schema)["metadata"]["uid"].Str()), level->first, level->second.first,
                std::string(spec["distinguisherMethod"]["type"].Str()), level->second.second, {}};
    for (const auto& rule : spec["rules"].Items()) made.rules.push_back(RuleOf(rule));
    next->schemas.push_back(std::move(made));
  }
  std::sort(next->schemas.begin(), next->schemas.end(), [](const Schema& a, const Schema& b) { return std::tie(a.precedence, a.name) < std::tie(b.precedence, b.name); });
  std::vector<Run> due;
  {
    std::lock_guard lock(mutex_);
    configuration_ = std::move(next);
    for (auto& [name, level] : levels) {
      auto& now = seats_[name];
      now.limit = level.limit, now.lendable = level.lendable, now.queues = level.queues, now.hand = level.hand, now.queue_limit = level.queue_limit;
    }
    for (auto& [name, level] : seats_)
      if (!levels.contains(name)) level.limit = level.lendable = level.queues = 0;   // goes when its last request has left
    for (auto& [name, level] : seats_) {
      auto more = TakeDue(level);
      due.insert(due.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
    }
  }
  for (auto& run : due) post_(std::move(run));
}

std::shared_ptr<const FlowControl::Schema> FlowControl::Match(const Attributes& attributes) const {
  std::shared_ptr<const Configuration> configuration;
  {
    std::lock_guard lock(mutex_);
    configuration = configuration_;
  }
  for (const auto& schema : configuration->schemas)
    if (std::any_of(schema.rules.begin(), schema.rules.end(), [&](const Rule& rule) { return Matches(rule, attributes); }))
      return std::shared_ptr<const Schema>(std::move(configuration), &schema);
  return nullptr;
}

FlowControl::Class FlowControl::Classify(const Attributes& attributes) const {
  const auto schema = Match(attributes);
  if (!schema) return {};
  Class out{schema->uid, schema->level_uid, schema->level, schema->name, schema->exempt};
  if (schema->method == "ByUser") out.flow += Cat("/", attributes.user.name);
  if (schema->method == "ByNamespace") out.flow += Cat("/", attributes.ns);
  return out;
}

FlowControl::Uids FlowControl::UidsFor(const Attributes& attributes) const {
  auto schema = Match(attributes);
  if (!schema) return {};
  const std::string_view uid = schema->uid, level = schema->level_uid;
  return {std::move(schema), uid, level};
}

// Its own seats, and those that other levels lend and do not use.
bool FlowControl::HasSeat(const Level& level) const {
  if (options_.seats == 0 || level.in_use < level.limit) return true;
  int free = 0;
  for (const auto& [name, other] : seats_) free += &other == &level ? 0 : std::min(other.lendable, std::max(0, other.limit - other.in_use));
  for (const auto& [name, other] : seats_) free -= std::max(0, other.in_use - other.limit);
  return level.limit > 0 && free > 0;
}

void FlowControl::Acquire(const Class& which, Run admitted, Run refused) {
  if (which.exempt) return admitted();
  {
    std::unique_lock lock(mutex_);
    Level& level = seats_[which.level];
    if (HasSeat(level)) {
      ++level.in_use;
      lock.unlock();
      return admitted();
    }
    // The shortest queue of the flow's hand.
    int chosen = -1;
    std::size_t shortest = SIZE_MAX;
    std::uint64_t hash = std::hash<std::string>{}(which.flow);
    for (int i = 0; i < level.hand && level.queues > 0; ++i) {
      const int queue = static_cast<int>(hash % static_cast<std::uint64_t>(level.queues));
      hash = hash * 6364136223846793005ULL + 1442695040888963407ULL;
      const auto at = level.waiting.find(queue);
      const std::size_t length = at == level.waiting.end() ? 0 : at->second.size();
      if (length < shortest) shortest = length, chosen = queue;
    }
    if (chosen >= 0 && shortest < static_cast<std::size_t>(level.queue_limit)) {
      const auto id = next_id_++;
      const auto timer = timers_.At(std::chrono::steady_clock::now() + options_.max_wait, [this, name = which.level, id] { post_([this, name, id] { Expire(name, id); }); });
      level.waiting[chosen].push_back({id, std::move(admitted), std::move(refused), timer});
      return;
    }
    ++level.refused;
  }
  refused();
}

void FlowControl::Expire(const std::string& name, std::uint64_t id) {
  Run refused;
  {
    std::lock_guard lock(mutex_);
    Level& level = seats_[name];
    for (auto at = level.waiting.begin(); at != level.waiting.end() && !refused; ++at) {
      auto& queue = at->second;
      const auto found = std::find_if(queue.begin(), queue.end(), [&](const Waiting& one) { return one.id == id; });
      if (found == queue.end()) continue;
      refused = std::move(found->refused);
      queue.erase(found);
      ++level.refused;
      if (queue.empty()) {
        level.waiting.erase(at);
        break;
      }
    }
  }
  if (refused) refused();
}

std::vector<FlowControl::Run> FlowControl::TakeDue(Level& level) {
  std::vector<Run> due;
  while (!level.waiting.empty() && HasSeat(level)) {
    auto at = level.waiting.lower_bound(level.next);
    if (at == level.waiting.end()) at = level.waiting.begin();
    level.next = at->first + 1;
    due.push_back(std::move(at->second.front().admitted));
    // Cancel would wait for a callback that waits for our lock: one that still comes finds nothing.
    at->second.pop_front();
    if (at->second.empty()) level.waiting.erase(at);
    ++level.in_use;
  }
  return due;
}

void FlowControl::Release(const Class& which) {
  if (which.exempt) return;
  std::vector<Run> due;
  {
    std::lock_guard lock(mutex_);
    Level& level = seats_[which.level];
    --level.in_use;
    // A seat that was lent may be what another level waits for.
    for (auto& [name, other] : seats_) {
      if (other.waiting.empty()) continue;
      auto more = TakeDue(other);
      due.insert(due.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
    }
  }
  for (auto& run : due) post_(std::move(run));
}

std::vector<FlowControl::LevelState> FlowControl::State() const {
  std::lock_guard lock(mutex_);
  std::vector<LevelState> out;
  for (const auto& [name, level] : seats_) {
    std::size_t waiting = 0;
    for (const auto& [queue, requests] : level.waiting) waiting += requests.size();
    out.push_back({name, level.limit, level.in_use, waiting, level.refused});
  }
  return out;
}

std::string FlowControl::Metrics() const {
  const auto levels = State();
  std::string out;
  const auto family = [&](std::string_view name, std::string_view type, std::string_view help, auto member) {
    const auto full = Cat("apiserver_flowcontrol_", name);
    out += Cat("# HELP ", full, " ", help, "\n# TYPE ", full, " ", type, "\n");
    // Names of objects: there is nothing to escape.
    for (const auto& level : levels) out += Cat(full, "{priority_level=\"", level.name, "\"} ", level.*member, "\n");
  };
  family("current_executing_seats", "gauge", "Seats that requests of the level hold.", &LevelState::in_use);
  family("current_inqueue_requests", "gauge", "Requests of the level that wait for a seat.", &LevelState::waiting);
  family("nominal_limit_seats", "gauge", "Seats of the level's own.", &LevelState::limit);
  family("rejected_requests_total", "counter", "Requests of the level that found no seat in time.", &LevelState::refused);
  return out;
}

}  // namespace skerry::kube
