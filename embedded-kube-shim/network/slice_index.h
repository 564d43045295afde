#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/base/guarded.h"
#include "embedded-kube-shim/client/client.h"

namespace skerry::kube::network {

inline constexpr const char* kServicesResource = "v1/services";
inline constexpr const char* kSlicesResource = "discovery.k8s.io/v1/endpointslices";

// Which EndpointSlices belong to a service, whoever manages them. Names only: the slices themselves are read from the lister, which is
// never older than a notification.
class SliceIndex {
 public:
  explicit SliceIndex(const Lister& slices);                  // starts from what is there
  // The services that a change of a slice concerns (its label may have changed).
  std::vector<Key> Note(const Notification& n);
  // IPv4 slices of the service, by name.
  std::vector<ObjectPtr> Of(const Key& service) const;

 private:
  static Key ServiceOf(const json::Value& slice);            // empty name: none
  const Lister& slices_;
  struct State {
    std::map<Key, std::set<std::string>> by_service;
    std::map<Key, std::string> service_of;                   // slice -> service name
  };
  static std::vector<Key> Put(State& state, const json::Value& slice, bool deleted);
  mutable Guarded<State> state_;
};

}  // namespace skerry::kube::network
