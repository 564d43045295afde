#pragma once
#include <set>

#include "core/container/runtime.h"
#include "core/json/value.h"

// Between our plain data and the bodies of the Engine API.
namespace skerry::container::docker {

struct Host {
  std::set<std::string> capabilities;    // own bounding set
  int oom_score_adj = 0;
  bool systemd_cgroups = false;
};

inline constexpr const char* kInstance = "io.skerry.instance";
inline constexpr const char* kKind = "io.skerry.kind";           // "sandbox", "container"
inline constexpr const char* kId = "io.skerry.id";
inline constexpr const char* kSpec = "io.skerry.spec";           // JSON of what cannot be read back otherwise

std::string CgroupParent(const std::string& path, bool systemd);   // "/a/b" or "a-b.slice"
json::Value SandboxBody(const SandboxSpec& spec, const std::string& instance, const std::string& pause_image, const Host& host);
Result<json::Value> ContainerBody(const ContainerSpec& spec, const SandboxSpec& sandbox, const std::string& instance, const std::string& pause, const std::string& target,
                                  const std::string& image_id, const std::string& image_user, const Host& host);
SandboxSpec DecodeSandboxSpec(const std::string& text);
// From "inspect"; labels and what only we know come from the container's own labels.
ContainerStatus DecodeStatus(const json::Value& inspect);
ImageInfo DecodeImage(const json::Value& inspect);
Clock::Wall DecodeTime(std::string_view text);                     // "0001-01-01…" and nonsense: epoch

}  // namespace skerry::container::docker
