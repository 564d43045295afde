#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "core/base/clock.h"
#include "embedded-kube-shim/client/aggregated_apis.h"
#include "embedded-kube-shim/client/aggregated_objects.h"
#include "embedded-kube-shim/client/change.h"

namespace skerry::kube {

// Caches of what aggregated servers hold, one per resource that can be listed, watched and deleted. A resource is named as
// "group/version/resource". Thread-safe.
class AggregatedWatches {
 public:
  struct Listener {
    std::function<void(const std::string& resource, const Change&)> changed;
    std::function<void(const std::string& resource)> gone;     // nobody serves it any more: its objects are not known, no call is under way
  };
  // Asks and changes as `user`.
  AggregatedWatches(AggregatedApis& apis, AggregatedObjects& objects, const Clock& clock, const std::string& user, Listener listener)
      : apis_(apis), objects_(objects), clock_(clock), user_(user), listener_(std::move(listener)), client_(objects.NewClient(user)), began_(clock.Mono()) {}
  ~AggregatedWatches() { Stop(); }

  // Begins to watch what discovery names and ends what it names no longer. What a server that does not answer held goes on being known.
  void Follow();
  void Stop();                                                 // no call runs afterwards

  bool Has(const std::string& resource) const;
  ObjectPtr Get(const std::string& resource, const Key& key) const;   // null also when the resource is not watched
  // Whether what is held elsewhere is not known yet but may soon be: waiting for it is worth while. False after ten seconds.
  bool StillListing() const;
  Client& client() { return *client_; }

 private:
  struct Watched {
    std::unique_ptr<RemoteInformers> informers;
    const Lister* objects = nullptr;
    std::chrono::steady_clock::time_point since;
    std::shared_ptr<void> subscription;                        // goes before its informers
  };
  using WatchedPtr = std::shared_ptr<Watched>;

  AggregatedApis& apis_;
  AggregatedObjects& objects_;
  const Clock& clock_;
  const std::string user_;
  const Listener listener_;
  const std::unique_ptr<Client> client_;
  const std::chrono::steady_clock::time_point began_;
  std::mutex following_;                                       // one Follow at a time
  mutable std::mutex mutex_;
  std::map<std::string, WatchedPtr> watched_;                  // guarded: by resource
  bool stopped_ = false;                                       // guarded
};

}  // namespace skerry::kube
