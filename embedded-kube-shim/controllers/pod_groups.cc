#include "embedded-kube-shim/controllers/pod_groups.h"

#include <algorithm>

#include "embedded-kube-shim/controllers/pod_facts.h"

namespace skerry::kube {

std::shared_ptr<PodGroups> PodGroups::Of(Informers& informers) {
  static std::mutex mutex;
  static std::map<Informers*, std::weak_ptr<PodGroups>> all;
  std::lock_guard lock(mutex);
  std::erase_if(all, [](const auto& e) { return e.second.expired(); });
  auto& slot = all[&informers];
  std::shared_ptr<PodGroups> groups = slot.lock();
  if (!groups) slot = groups = std::make_shared<PodGroups>(informers.Get("v1/pods"));
  return groups;
}

namespace {

std::shared_ptr<const PodFact> FactOf(const json::Value& pod) {
  auto f = std::make_shared<PodFact>();
  const json::Value& spec = pod["spec"];
  const json::Value& status = pod["status"];
  f->name = Name(pod);
  f->uid = Uid(pod);
  f->node = spec["nodeName"].Str();
  f->hostname = spec["hostname"].Str();
  f->subdomain = spec["subdomain"].Str();
  for (const json::Value& ip : status["podIPs"].Items()) f->addresses.emplace_back(ip["ip"].Str());
  if (const std::string_view ip = status["podIP"].Str(); f->addresses.empty() && !ip.empty()) f->addresses.emplace_back(ip);
  for (const char* list : {"containers", "initContainers"}) {
    for (const json::Value& c : spec[list].Items()) {
      if (list[0] == 'i' && c["restartPolicy"].Str() != "Always") continue;
      for (const json::Value& p : c["ports"].Items()) {
        if (!p["name"].Str().empty()) f->ports.push_back({std::string(p["name"].Str()), std::string(p["protocol"].Str("TCP")), p["containerPort"].Int()});
      }
    }
  }
  f->ready = IsPodReady(pod);
  f->terminating = IsTerminating(pod);
  f->finished = IsPodFinished(pod);
  return f;
}

}  // namespace

bool PodGroups::AddListener(std::string controller) {
  listeners_.push_back(std::move(controller));
  return listeners_.size() == 1;
}

void PodGroups::Begin() {
  if (std::exchange(begun_, true)) return;
  for (const ObjectPtr& pod : pods_.List()) Put(*pod);
}

bool PodGroups::Note(const Notification& n) {
  std::lock_guard lock(mutex_);
  Begin();
  if (n.type != Notification::Type::kDeleted) return Put(*n.object);
  const Key key{std::string(Namespace(*n.object)), std::string(Name(*n.object))};
  // A new pod of that name may be known already.
  const auto it = places_.find(key);
  if (it == places_.end() || it->second.uid != Uid(*n.object)) return false;
  const bool had = it->second.group->second.pods.at(key.name)->has_endpoint();
  Drop(key);
  return had;
}

bool PodGroups::Put(const json::Value& pod) {
  Key key{std::string(Namespace(pod)), std::string(Name(pod))};
  const json::Value& labels = Meta(pod)["labels"];
  auto fact = FactOf(pod);
  const auto known = places_.find(key);
  bool had = false;
  if (known != places_.end()) {
    auto& before = known->second.group->second.pods[key.name];
    had = before->has_endpoint();
    if (known->second.group->second.labels == labels) {
      known->second.uid = fact->uid;
      const bool matters = (had || fact->has_endpoint()) && !(*before == *fact);
      before = std::move(fact);
      return matters;
    }
    Drop(key);
  }
  std::vector<std::string> parts;
  for (const json::Member& m : labels.Members()) parts.push_back(std::string(m.key) + '=' + std::string(m.value.Str()));
  std::sort(parts.begin(), parts.end());
  std::string text;
  for (const std::string& part : parts) text += part + '\n';
  const auto group = namespaces_[key.ns].try_emplace(std::move(text)).first;
  if (group->second.labels.is_null()) group->second.labels = labels.Clone();
  const bool has = fact->has_endpoint();
  group->second.pods[key.name] = std::move(fact);
  places_.emplace(std::move(key), Place{std::string(Uid(pod)), group});
  return had || has;
}

void PodGroups::Drop(const Key& key) {
  const auto it = places_.find(key);
  const Groups::iterator group = it->second.group;
  places_.erase(it);
  group->second.pods.erase(key.name);
  if (!group->second.pods.empty()) return;
  const auto ns = namespaces_.find(key.ns);
  ns->second.erase(group);
  if (ns->second.empty()) namespaces_.erase(ns);
}

std::size_t PodGroups::SizeOf(const json::Value& pod) const {
  std::lock_guard lock(mutex_);
  const auto it = places_.find({std::string(Namespace(pod)), std::string(Name(pod))});
  return it == places_.end() ? 0 : it->second.group->second.pods.size();
}

std::vector<std::shared_ptr<const PodFact>> PodGroups::Find(std::string_view ns, const std::function<bool(const json::Value& labels)>& selects) {
  std::vector<std::shared_ptr<const PodFact>> out;
  std::lock_guard lock(mutex_);
  Begin();
  const auto groups = namespaces_.find(ns);
  if (groups == namespaces_.end()) return out;
  for (const auto& [text, group] : groups->second) {
    if (!selects(group.labels)) continue;
    for (const auto& [name, pod] : group.pods) out.push_back(pod);
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a->name < b->name; });
  return out;
}

}  // namespace skerry::kube
