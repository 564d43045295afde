#pragma once
#include <functional>
#include <memory>
#include <string>

#include "embedded-kube-shim/client/client.h"
#include "embedded-kube-shim/client/remote_client.h"

namespace skerry::kube {

// AggregatedApis that also let objects be watched and changed. They must outlive what they made.
class AggregatedObjects {
 public:
  // Calls back on a thread of its own when Discover() may answer something else; for as long as this object lives.
  virtual void OnChange(std::function<void()> callback) = 0;
  // A client of those servers, and caches of what they hold, as a user of this name; resources as "group/version/resource".
  virtual std::unique_ptr<Client> NewClient(std::string user) = 0;
  virtual std::unique_ptr<RemoteInformers> NewInformers(std::string user) = 0;

 protected:
  ~AggregatedObjects() = default;
};

}  // namespace skerry::kube
