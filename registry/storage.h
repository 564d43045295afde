#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/clock.h"
#include "core/base/context.h"
#include "core/base/result.h"
#include "core/crypto/digest.h"

// Images on disk, content-addressed. Everything that was acknowledged is synced; a cut at any moment leaves only files that the next
// start removes.
//
//   <root>/blobs/<algorithm>/<2 hex>/<hex>               content, shared by all repositories (also read by the container driver)
//   <root>/repositories/<name>/_layers/<algorithm>/<hex>  empty: the blob belongs to the repository
//   <root>/repositories/<name>/_manifests/<algorithm>/<hex>   media type of the manifest blob
//   <root>/repositories/<name>/_tags/<tag>                digest
//   <root>/uploads/<id>                                   bytes so far
namespace skerry::registry {

struct BlobInfo {
  std::string path;
  std::int64_t size = 0;
};

struct Manifest {
  std::string digest, media_type, content;
};

bool IsValidName(std::string_view name);            // components [a-z0-9]+([._-]|__|-+)…, joined by '/', at most 255
bool IsValidTag(std::string_view tag);              // [A-Za-z0-9_][A-Za-z0-9._-]{0,127}
bool IsValidDigest(std::string_view digest);        // sha256 or sha512 with lower-case hexadecimal

// Thread-safe, blocking. Errors: kNotFound, kInvalid (digest differs, bad range), kUnavailable (disk full, I/O).
class Storage {
 public:
  static Result<std::unique_ptr<Storage>> Open(const std::string& root);

  Result<BlobInfo> StatBlob(std::string_view name, std::string_view digest) const;
  Result<> DeleteBlob(std::string_view name, std::string_view digest);       // from the repository; content goes when no repository has it
  Result<> MountBlob(std::string_view name, std::string_view digest, std::string_view from);

  Result<std::string> StartUpload();                                         // id
  Result<std::int64_t> UploadSize(std::string_view id) const;
  // Appends at `offset` (nullopt: the end). kInvalid when it is not the end. Returns the new size.
  Result<std::int64_t> AppendUpload(std::string_view id, std::optional<std::int64_t> offset, std::string_view bytes);
  // Verifies the digest, syncs, and makes it a blob of the repository. The upload is gone afterwards, unless the digest differs.
  Result<> FinishUpload(std::string_view name, std::string_view id, std::string_view digest);
  Result<> CancelUpload(std::string_view id);

  // reference: tag or digest.
  Result<Manifest> GetManifest(std::string_view name, std::string_view reference) const;
  Result<std::string> PutManifest(std::string_view name, std::string_view reference, std::string_view media_type, std::string_view content);   // digest
  Result<> DeleteManifest(std::string_view name, std::string_view reference);   // a digest takes its tags along
  Result<std::vector<std::string>> Tags(std::string_view name) const;        // sorted; kNotFound: no such repository
  std::vector<std::string> Repositories() const;                             // sorted
  std::vector<Manifest> Referrers(std::string_view name, std::string_view subject) const;

 private:
  explicit Storage(std::string root) : root_(std::move(root)) {}
  std::string BlobPath(std::string_view digest) const;
  std::string LinkPath(std::string_view name, const char* kind, std::string_view digest) const;
  Result<> Link(std::string_view name, const char* kind, std::string_view digest, std::string_view content);
  Result<> AdoptFile(const std::string& file, std::string_view digest);
  Result<> Unlink(std::string_view name, const char* kind, std::string_view digest);   // kNotFound; the content goes with its last link
  void CountLinks();

  const std::string root_;
  mutable std::mutex mutex_;               // links against deletion of content
  // Links by digest, counted over all repositories at the first deletion and kept up from then on.
  std::optional<std::unordered_map<std::string, std::size_t>> links_;
};

}  // namespace skerry::registry
