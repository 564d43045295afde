#pragma once
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/base/context.h"
#include "core/base/result.h"
#include "core/container/image.h"
#include "core/volume/volume.h"
#include "embedded-kube-shim/node/sources.h"

// Pod volumes -> directories on this host.
namespace skerry::kube::node {

// Issues a token for the pod's service account (audience empty = the API's own).
struct IssuedToken {
  std::string token;
  std::chrono::system_clock::time_point renew_at;
};
using TokenSource = std::function<Result<IssuedToken>(const Ctx&, const json::Value& pod, std::string_view audience, std::int64_t expiration_seconds)>;

struct MountedVolumes {
  std::map<std::string, std::string> paths;                            // volume name -> host path
  std::optional<std::chrono::system_clock::time_point> renew_at;       // the earliest token to renew
};

// Sets up (or brings up to date) every volume of the pod. Idempotent. Errors are shown as FailedMount with the volume's name:
// `MountVolume.SetUp failed for volume "x" : configmap "y" not found`.
Result<MountedVolumes> SetUpVolumes(const Ctx& ctx, const json::Value& pod, const std::string& directory, const Sources& sources, const TokenSource& tokens,
                                    container::Images& images);
// All volumes and sub-paths of a pod and its directory; needs nothing but the disk. Never reaches into what volumes lent from elsewhere.
Result<> RemovePodDirectory(const Ctx& ctx, const std::string& directory, container::Images& images);

std::vector<std::string> Entries(const std::string& directory);   // names in a directory; none when it cannot be read

// Changes whenever SetUpVolumes could have something new to write: versions of what is referred to, and of the pod what files can show.
std::string VolumeInputs(const json::Value& pod, const Sources& sources);

// Config maps and secrets whose change must reach the pod's files: "configmaps/<name>", "secrets/<name>" in its namespace.
std::set<std::string> ReferencedByVolumes(const json::Value& pod);

}  // namespace skerry::kube::node
