#include "embedded-kube-shim/client/remote_store.h"

#include <algorithm>

#include "core/text/selector.h"

namespace skerry::kube::remote {
namespace {

Key KeyIn(const json::Value& object) {
  const json::Value& meta = object["metadata"];
  return {std::string(meta["namespace"].Str()), std::string(meta["name"].Str())};
}

std::string ControllerUid(const json::Value& object) {
  for (const json::Value& ref : object.At({"metadata", "ownerReferences"}).Items()) {
    if (ref["controller"].Bool()) return std::string(ref["uid"].Str());
  }
  return {};
}

std::vector<ObjectPtr> Found(const std::unordered_map<std::string, std::map<Key, ObjectPtr>>& index, std::string_view what) {
  std::vector<ObjectPtr> out;
  if (const auto it = index.find(std::string(what)); it != index.end()) {
    for (const auto& [key, object] : it->second) out.push_back(object);
  }
  return out;
}

void Drop(std::unordered_map<std::string, std::map<Key, ObjectPtr>>& index, const std::string& what, const Key& key) {
  const auto it = index.find(what);
  if (it == index.end()) return;
  it->second.erase(key);
  if (it->second.empty()) index.erase(it);
}

}  // namespace

void Delivery::Post(std::vector<SubscriberPtr> to, Notification notification) {
  if (to.empty()) return;
  std::lock_guard lock(mutex_);
  items_.push_back({std::move(to), std::move(notification)});
  more_.notify_one();
}

void Delivery::Run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    more_.wait(lock, [this] { return stopped_ || !items_.empty(); });
    if (stopped_) return;
    const Item item = std::move(items_.front());
    items_.pop_front();
    lock.unlock();
    for (const SubscriberPtr& s : item.to) {
      std::lock_guard running(s->running);
      if (!s->gone) s->callback(item.notification);
    }
    lock.lock();
  }
}

void Delivery::Stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  more_.notify_all();
}

ObjectPtr Store::Get(const Key& key) const {
  std::shared_lock lock(mutex_);
  const auto it = objects_.find(key);
  return it == objects_.end() ? nullptr : it->second;
}

std::vector<ObjectPtr> Store::List(std::string_view ns) const {
  std::shared_lock lock(mutex_);
  std::vector<ObjectPtr> out;
  for (auto it = ns.empty() ? objects_.begin() : objects_.lower_bound({std::string(ns), {}}); it != objects_.end(); ++it) {
    if (!ns.empty() && it->first.ns != ns) break;
    out.push_back(it->second);
  }
  return out;
}

std::vector<ObjectPtr> Store::OwnedBy(std::string_view uid) const {
  std::shared_lock lock(mutex_);
  return Found(by_owner_, uid);
}

std::vector<ObjectPtr> Store::OnNode(std::string_view node) const {
  std::shared_lock lock(mutex_);
  return Found(by_node_, node);
}

std::vector<ObjectPtr> Store::Matching(std::string_view ns, std::string_view label_selector) const {
  const auto selector = text::LabelSelector::Parse(label_selector);
  if (!selector) return {};
  std::vector<ObjectPtr> out = List(ns);
  std::erase_if(out, [&](const ObjectPtr& o) {
    const json::Value& labels = o->At({"metadata", "labels"});
    return !selector->Matches([&](std::string_view key) -> std::optional<std::string_view> {
      const json::Value* value = labels.Find(key);
      return value ? std::optional(value->Str()) : std::nullopt;
    });
  });
  return out;
}

void Store::Index(const ObjectPtr& object) {
  const Key key = KeyIn(*object);
  if (std::string owner = ControllerUid(*object); !owner.empty()) by_owner_[std::move(owner)][key] = object;
  if (const std::string_view node = (*object)["spec"]["nodeName"].Str(); !node.empty()) by_node_[std::string(node)][key] = object;
}

void Store::Forget(const ObjectPtr& object) {
  const Key key = KeyIn(*object);
  Drop(by_owner_, ControllerUid(*object), key);
  Drop(by_node_, std::string((*object)["spec"]["nodeName"].Str()), key);
}

void Store::Tell(Notification::Type type, ObjectPtr object, ObjectPtr previous) {
  delivery_.Post(subscribers_, {type, std::move(object), std::move(previous)});
}

void Store::Put(ObjectPtr object) {
  std::unique_lock lock(mutex_);
  ObjectPtr& slot = objects_[KeyIn(*object)];
  const ObjectPtr previous = std::exchange(slot, object);
  if (previous) Forget(previous);
  Index(object);
  Tell(previous ? Notification::Type::kModified : Notification::Type::kAdded, std::move(object), previous);
}

void Store::Remove(const ObjectPtr& last) {
  std::unique_lock lock(mutex_);
  const auto it = objects_.find(KeyIn(*last));
  if (it == objects_.end()) return;
  Forget(it->second);
  objects_.erase(it);
  Tell(Notification::Type::kDeleted, last, nullptr);
}

void Store::Replace(std::vector<ObjectPtr> all) {
  std::unique_lock lock(mutex_);
  std::map<Key, ObjectPtr> next;
  for (ObjectPtr& o : all) next[KeyIn(*o)] = std::move(o);
  by_owner_.clear();
  by_node_.clear();
  for (const auto& [key, object] : next) Index(object);
  const std::map<Key, ObjectPtr> before = std::exchange(objects_, std::move(next));
  for (const auto& [key, object] : before) {
    const auto now = objects_.find(key);
    // Another object of the same name: the old one has gone in between.
    const bool same = now != objects_.end() && now->second->At({"metadata", "uid"}) == object->At({"metadata", "uid"});
    if (!same) Tell(Notification::Type::kDeleted, object, nullptr);
  }
  for (const auto& [key, object] : objects_) {
    const auto old = before.find(key);
    if (old == before.end() || !(old->second->At({"metadata", "uid"}) == object->At({"metadata", "uid"}))) {
      Tell(Notification::Type::kAdded, object, nullptr);
    } else if (!(old->second->At({"metadata", "resourceVersion"}) == object->At({"metadata", "resourceVersion"}))) {
      Tell(Notification::Type::kModified, object, old->second);
    }
  }
}

void Store::Subscribe(Delivery::SubscriberPtr subscriber) {
  std::unique_lock lock(mutex_);
  for (const auto& [key, object] : objects_) delivery_.Post({subscriber}, {Notification::Type::kAdded, object, nullptr});
  subscribers_.push_back(std::move(subscriber));
}

void Store::Unsubscribe(const Delivery::SubscriberPtr& subscriber) {
  {
    std::unique_lock lock(mutex_);
    std::erase(subscribers_, subscriber);
  }
  std::lock_guard running(subscriber->running);      // waits for a call under way
  subscriber->gone = true;
}

}  // namespace skerry::kube::remote
