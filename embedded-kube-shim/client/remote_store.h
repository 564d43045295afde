#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>
#include <unordered_set>

#include "embedded-kube-shim/client/client.h"

// What a remote informer knows of one resource, and whom it tells.
namespace skerry::kube::remote {

using Callback = std::function<void(const Notification&)>;

// Hands notifications out, in the order they were posted, on whatever thread calls Run. Thread-safe.
class Delivery {
 public:
  struct Subscriber {
    Callback callback;
    std::recursive_mutex running;                    // guards gone; a callback may unsubscribe itself
    bool gone = false;
  };
  using SubscriberPtr = std::shared_ptr<Subscriber>;

  void Post(std::vector<SubscriberPtr> to, Notification notification);
  void Run();                                        // until Stop
  void Stop();

 private:
  struct Item {
    std::vector<SubscriberPtr> to;
    Notification notification;
  };
  std::mutex mutex_;
  std::condition_variable more_;
  std::deque<Item> items_;                           // guarded. Not bounded: what is posted is at most what the caches hold, and each change once
  bool stopped_ = false;                             // guarded
};

// A lister that is fed. Thread-safe; one feeding thread.
class Store final : public Lister {
 public:
  explicit Store(Delivery& delivery) : delivery_(delivery) {}

  ObjectPtr Get(const Key& key) const override;
  std::vector<ObjectPtr> List(std::string_view ns) const override;
  std::vector<ObjectPtr> OwnedBy(std::string_view uid) const override;
  std::vector<ObjectPtr> Matching(std::string_view ns, std::string_view label_selector) const override;
  std::vector<ObjectPtr> OnNode(std::string_view node) const override;

  void Replace(std::vector<ObjectPtr> all);          // a list: tells the difference to what was known
  void Put(ObjectPtr object);
  void Remove(const ObjectPtr& last);
  void Subscribe(Delivery::SubscriberPtr subscriber);
  void Unsubscribe(const Delivery::SubscriberPtr& subscriber);

 private:
  void Index(const ObjectPtr& object);               // with the lock held
  void Forget(const ObjectPtr& object);
  void Tell(Notification::Type type, ObjectPtr object, ObjectPtr previous);

  Delivery& delivery_;
  mutable std::shared_mutex mutex_;                  // guards the rest; posts happen under it, so that subscribers see one order
  std::map<Key, ObjectPtr> objects_;
  std::unordered_map<std::string, std::map<Key, ObjectPtr>> by_owner_, by_node_;
  std::vector<Delivery::SubscriberPtr> subscribers_;
};

}  // namespace skerry::kube::remote
