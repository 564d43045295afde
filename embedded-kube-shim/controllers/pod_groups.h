#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "embedded-kube-shim/client/client.h"

namespace skerry::kube {

// What endpoints are made of, of one pod.
struct PodFact {
  struct Port {
    std::string name, protocol;
    std::int64_t number = 0;
    bool operator==(const Port&) const = default;
  };
  std::string name, uid, node, hostname, subdomain;
  std::vector<std::string> addresses;
  std::vector<Port> ports;             // named ones, of containers and then of sidecars
  bool ready = false, terminating = false, finished = false;
  bool operator==(const PodFact&) const = default;
  bool has_endpoint() const { return !finished && !addresses.empty(); }
};

// The pods of the cluster by namespace and labels: those of one workload share their labels, so whoever has a selector asks a few groups
// instead of every pod, and reads small facts instead of whole objects. One trigger feeds it, before it enqueues for everybody who listens.
// Thread-safe.
class PodGroups {
 public:
  // One for all controllers that share `informers`.
  static std::shared_ptr<PodGroups> Of(Informers& informers);

  explicit PodGroups(const Lister& pods) : pods_(pods) {}   // looks at the pods that are there when it is first used, not before
  // Before anything runs. True: the first one, which has to feed it.
  bool AddListener(std::string controller);
  const std::vector<std::string>& listeners() const { return listeners_; }

  // Whether what endpoints are made of is another now than when the pod was last noted: mostly a pod without an address only goes on.
  bool Note(const Notification& n);
  // The namespace's pods whose labels satisfy `selects`, sorted by name.
  std::vector<std::shared_ptr<const PodFact>> Find(std::string_view ns, const std::function<bool(const json::Value& labels)>& selects);
  // How many pods have this pod's labels.
  std::size_t SizeOf(const json::Value& pod) const;

 private:
  struct Group {
    json::Value labels;
    std::map<std::string, std::shared_ptr<const PodFact>, std::less<>> pods;   // by name
  };
  struct Place {
    std::string uid;
    std::map<std::string, Group>::iterator group;
  };
  using Groups = std::map<std::string, Group>;         // by the labels' text

  void Begin();                                        // these with the lock held
  bool Put(const json::Value& pod);
  void Drop(const Key& key);

  const Lister& pods_;
  std::vector<std::string> listeners_;                 // constant once anything runs
  mutable std::mutex mutex_;                           // guards the rest
  bool begun_ = false;
  std::map<std::string, Groups, std::less<>> namespaces_;
  std::map<Key, Place> places_;
};

}  // namespace skerry::kube
