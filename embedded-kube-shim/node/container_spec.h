#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/container/spec.h"
#include "embedded-kube-shim/node/environment.h"

// Pod -> what the container runtime is asked for. Pure.
namespace skerry::kube::node {

// Labels by which a restarted agent finds what belongs to which pod.
inline constexpr const char* kPodName = "io.kubernetes.pod.name";
inline constexpr const char* kPodNamespace = "io.kubernetes.pod.namespace";
inline constexpr const char* kPodUid = "io.kubernetes.pod.uid";
inline constexpr const char* kContainerName = "io.kubernetes.container.name";
inline constexpr const char* kContainerKind = "io.skerry.container.kind";         // "init", "container", "ephemeral"
inline constexpr const char* kContainerAttempt = "io.skerry.container.attempt";
inline constexpr const char* kContainerHash = "io.skerry.container.hash";

enum class ContainerKind : std::uint8_t { kInit, kContainer, kEphemeral };
std::string_view ToString(ContainerKind kind);

struct PodPlace {
  std::string directory;                                  // "<data>/pods/<uid>"
  std::string log_directory;                              // "<data>/logs/<ns>_<name>_<uid>"
};

enum class QosClass : std::uint8_t { kGuaranteed, kBurstable, kBestEffort };
QosClass QosOf(const json::Value& pod);
std::string CgroupParent(const json::Value& pod);         // "/kubepods/burstable/pod<uid>"

container::SandboxSpec MakeSandbox(const json::Value& pod, const std::string& id, std::string_view domain);
container::Resources PodResources(const json::Value& pod);
container::Resources ContainerResources(const json::Value& pod, const json::Value& container, const json::Value& node);

// A container whose hash differs from the running one's is replaced.
std::string ContainerHash(const json::Value& container);

struct ContainerInput {
  const json::Value& pod;
  const json::Value& container;
  const json::Value& node;
  ContainerKind kind;
  std::string id, sandbox_id;
  int attempt = 0;
  PodPlace place;
  Environment environment;
  std::map<std::string, std::string> volumes;             // name -> host path
  std::map<std::string, std::string> sub_paths;           // index of the volume mount -> prepared host path
  std::string target;                                     // id of the container whose processes a debug container sees
};
// Errors are shown as CreateContainerConfigError (runAsNonRoot with a root image is checked by the caller, who knows the image).
Result<container::ContainerSpec> MakeContainer(const ContainerInput& input);

}  // namespace skerry::kube::node
