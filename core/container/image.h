#pragma once
#include <functional>

#include "core/base/context.h"
#include "core/base/result.h"
#include "core/container/spec.h"

namespace skerry::container {

// "docker.io/library/busybox:1.36@sha256:…" after normalization: a first part without '.' or ':' (and not "localhost") means docker.io,
// a docker.io name of one part gets "library/", no tag and no digest means ":latest".
struct ImageReference {
  std::string registry, repository, tag, digest;   // tag empty when only a digest was given
  static Result<ImageReference> Parse(std::string_view text);   // kInvalid
  std::string Name() const { return registry + "/" + repository; }
  std::string ToString() const;
};

struct ImageConfig {
  std::vector<std::string> entrypoint, cmd, env;
  std::string user, working_dir, stop_signal;
  std::vector<std::string> volumes, exposed_ports;
  StringMap labels;
};

struct ImageInfo {
  std::string id;                            // "sha256:<hex>" of the image's configuration
  std::vector<std::string> tags;             // normalized references
  std::vector<std::string> digests;          // "name@sha256:…" of every manifest it was pulled by
  std::uint64_t size_bytes = 0;              // unpacked
  Clock::Wall last_used;
  bool in_use = false;                       // a container or a mount refers to it
  ImageConfig config;
};

struct Credentials {                         // all empty = anonymous
  std::string username, password;
  std::string identity_token;                // OAuth2 refresh token
  std::string registry_token;                // sent as it is
};

struct FilesystemUsage {
  std::string mount_point;
  std::uint64_t used_bytes = 0, used_inodes = 0;
};

// Blocking; any thread. Concurrent pulls of the same layers share the work.
// Errors of Pull: kNotFound (no such name, tag or platform), kUnauthenticated / kForbidden, kUnavailable (network, 5xx), kTooMany,
// kCorruption (digest differs), kInvalid (reference), kCancelled, kTimeout.
class Images {
 public:
  using Progress = std::function<void(std::uint64_t done_bytes, std::uint64_t total_bytes)>;
  virtual ~Images() = default;
  // Asks the registry what the reference means now and fetches what is missing. Returns after the image can be started.
  virtual Result<ImageInfo> Pull(const Ctx&, std::string_view reference, const Credentials&, const Progress& = {}) = 0;
  virtual Result<ImageInfo> Find(std::string_view reference_or_id) = 0;          // kNotFound: not on this machine
  virtual Result<std::vector<ImageInfo>> List() = 0;
  virtual Result<> Remove(std::string_view reference_or_id) = 0;                 // a tag: only the tag, the image with its last one. kConflict: in use
  virtual Result<ImageInfo> Import(const Ctx&, const std::string& archive_path, std::string_view tag) = 0;   // docker-archive or oci-archive; tag empty: as the archive says
  virtual Result<FilesystemUsage> Usage() = 0;
  // A read-only view of an image's files for volumes; `key` is the owner (idempotent). The path is valid until Unmount.
  virtual Result<std::string> MountImage(const Ctx&, std::string_view reference_or_id, std::string_view key) = 0;
  virtual Result<> UnmountImage(std::string_view key) = 0;
};

}  // namespace skerry::container
