#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "core/base/context.h"
#include "core/base/result.h"

// Image layers: tar streams (plain, gzip or zstd) unpacked into directories that overlayfs can stack.
// Format: OCI image specification, layer.md (change sets, whiteouts). Overlay's own marks: kernel Documentation/filesystems/overlayfs.rst.
namespace skerry::container::oci {

// Bytes from somewhere (a file, a response body). 0 = end.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual Result<std::size_t> Read(std::span<char> into) = 0;
};
Result<std::unique_ptr<ByteSource>> OpenFileSource(const std::string& path);
std::unique_ptr<ByteSource> OpenMemorySource(std::string bytes);

struct UnpackedLayer {
  std::string diff_id;          // "sha256:…" of the uncompressed stream
  std::string digest;           // "sha256:…" of the stream as it came
  std::uint64_t bytes = 0, inodes = 0;
};

struct UnpackLimits {
  std::uint64_t bytes = std::uint64_t{64} << 30;   // of file content
  std::uint64_t entries = 4'000'000;
};

// Unpacks into `directory` (exists, empty). Names are resolved inside it whatever links the archive brings; owners, modes, times,
// hard links, devices, file capabilities and user attributes are kept; whiteouts become overlayfs' own. Nothing is synced.
// kCorruption: not a tar stream; kInvalid: a name that leaves the directory or a link to nothing; kTooLarge: a limit.
Result<UnpackedLayer> UnpackLayer(const Ctx& ctx, ByteSource& source, const std::string& directory, const UnpackLimits& limits = {});

// Calls `file` for every regular file of a tar stream, in order (docker-archive, oci-archive). `content` is valid during the call.
Result<> ReadArchive(const Ctx& ctx, ByteSource& source, const std::function<Result<>(const std::string& name, ByteSource& content)>& file);

// Opens a path below `root_fd` as if that were "/", links included. flags as for open(2), O_CLOEXEC is added.
Result<int> OpenInRoot(int root_fd, const std::string& path, int flags, unsigned mode = 0);

}  // namespace skerry::container::oci
