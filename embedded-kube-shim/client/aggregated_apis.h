#pragma once
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/context.h"
#include "core/base/result.h"
#include "core/json/value.h"

// Groups of the API that other servers answer for (APIService objects with a service), as controllers see them.
namespace skerry::kube {

class AggregatedApis {
 public:
  struct Resource {
    std::string group, version, resource, kind;
    bool namespaced = false;
    std::vector<std::string> verbs;
    // "/apis/<group>/<version>[/namespaces/<ns>]/<resource>[/<name>]"
    std::string Path(std::string_view ns, std::string_view name = {}) const {
      std::string out = "/apis/" + group + "/" + version + "/";
      if (namespaced && !ns.empty()) out.append("namespaces/").append(ns).append("/");
      out += resource;
      if (!name.empty()) out.append("/").append(name);
      return out;
    }
    bool HasVerb(std::string_view verb) const { return std::find(verbs.begin(), verbs.end(), verb) != verbs.end(); }
  };
  struct Discovered {
    std::vector<Resource> resources;     // each once, in the version that its group prefers
    std::vector<std::string> stale;      // "metrics.k8s.io/v1beta1": what they hold is not known; sorted
  };
  struct Answer {
    int status = 0;
    json::Value body;                    // null when it is no JSON
  };
  virtual ~AggregatedApis() = default;
  // Asks the server of an APIService for the group version that it must know, at most six seconds. The error's message is what the
  // object's condition says of it.
  virtual Result<> Probe(const Ctx& ctx, const json::Value& api_service) = 0;
  virtual Discovered Discover() const = 0;
  // One request to the server of a group version, as a user of this name (a service account is in its groups); the path may have a query. kUnavailable: there is no server, or no answer.
  virtual Result<Answer> Call(const Ctx& ctx, std::string_view user, std::string_view method, const std::string& path, const json::Value& body = {}) = 0;
};

}  // namespace skerry::kube
