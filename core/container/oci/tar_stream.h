#pragma once
#include <archive.h>
#include <archive_entry.h>

#include <optional>

#include "core/container/oci/layer.h"
#include "core/crypto/digest.h"

namespace skerry::container::oci {

struct ArchiveCloser {
  void operator()(archive* a) const { ::archive_read_free(a); }
};
using ArchivePtr = std::unique_ptr<archive, ArchiveCloser>;

// A source → (decompression) → tar entries, with the digest of both streams. libarchive does the formats; two of its readers are
// chained because only the text between them has the layer's identity.
class TarStream {
 public:
  TarStream(const Ctx& ctx, ByteSource& source) : ctx_(ctx), source_(source) {}
  Result<> Open();
  Result<archive_entry*> Next();                      // null at the end
  Result<> Finish();                                  // reads both streams to their ends; then the digests are known
  archive* tar() { return tar_.get(); }
  Error TakeError(std::string what);                  // the reason of a failed libarchive call
  std::string digest() { return "sha256:" + outer_.FinishHex(); }
  std::string diff_id() { return "sha256:" + inner_.FinishHex(); }

 private:
  static la_ssize_t ReadOuter(archive*, void* self, const void** buffer);
  static la_ssize_t ReadInner(archive*, void* self, const void** buffer);
  const Ctx& ctx_;
  ByteSource& source_;
  ArchivePtr filter_, tar_;
  crypto::Sha256 outer_, inner_;
  std::string outer_buffer_ = std::string(64 << 10, '\0'), inner_buffer_ = std::string(64 << 10, '\0');
  std::optional<Error> failure_;
  bool empty_ = false;
};

}  // namespace skerry::container::oci
