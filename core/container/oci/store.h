#pragma once
#include <condition_variable>
#include <set>

#include "core/base/guarded.h"
#include "core/container/image.h"
#include "core/container/oci/layer.h"
#include "core/json/value.h"

namespace skerry::container::oci {

// Unpacked images on disk:
//   layers/<key>/          files of one layer, named by its diff id, shared by all images that have it
//   layers.d/<key>.json    {"diffId","bytes","inodes"}: written after the layer is synced; a directory without it is rubbish
//   images.d/<hex>.json    {"config": text, "layers": [diff ids], "digests": [...]}: written after all layers
//   tags.json              {reference: image id}
//   tmp/                   emptied by Open
//   mounts/<key>           image volumes; mounts.d/<key>.json {"image"}
// <key> is short because overlayfs takes all layers of an image in one page of mount options.
class ImageStore {
 public:
  struct Image {
    std::string id;                          // "sha256:<hex>"
    std::string config;                      // JSON text
    std::vector<std::string> layers;         // diff ids, lowest first
    std::vector<std::string> digests;
    std::uint64_t bytes = 0;
  };

  static Result<std::unique_ptr<ImageStore>> Open(std::string directory);

  // ── writing ──
  // Makes the layer present. `open` is called only when it is missing; the stream must match diff_id, and `digest` unless that is empty.
  Result<> EnsureLayer(const Ctx& ctx, const std::string& diff_id, const std::string& digest, const std::function<Result<std::unique_ptr<ByteSource>>()>& open);
  bool HasLayer(const std::string& diff_id);
  // Publishes an image whose layers are present, under a tag (may be empty) and a manifest digest "name@sha256:…" (may be empty).
  Result<std::string> AddImage(const std::string& config, const std::string& tag, const std::string& digest);
  Result<> Untag(const std::string& reference);
  Result<> RemoveImage(const std::string& id);       // tags, record, layers that nothing else uses
  // While alive, no layer is collected.
  class Pin {
   public:
    explicit Pin(ImageStore& store);
    ~Pin();
    Pin(const Pin&) = delete;
    Pin& operator=(const Pin&) = delete;

   private:
    ImageStore& store_;
  };

  // ── reading ──
  Result<Image> Find(std::string_view reference_or_id);           // kNotFound
  std::vector<Image> List();
  std::vector<std::string> TagsOf(const std::string& id);
  std::pair<std::uint64_t, std::uint64_t> TotalSize();            // bytes and inodes of all layers
  // Layer directory names below LayersDirectory(), topmost first, as overlayfs wants them.
  std::vector<std::string> LowerNames(const Image& image) const;
  std::string LayersDirectory() const { return directory_ + "/layers"; }
  const std::string& directory() const { return directory_; }

 private:
  struct Layer {
    std::uint64_t bytes = 0, inodes = 0;
  };
  struct Index {
    std::map<std::string, Layer> layers;     // by diff id
    std::map<std::string, Image> images;     // by id
    std::map<std::string, std::string> tags;
    std::set<std::string> busy;              // diff ids being unpacked
    int pins = 0;
  };
  explicit ImageStore(std::string directory) : directory_(std::move(directory)) {}
  Result<> Load();
  Result<> UnpackTo(const Ctx& ctx, const std::string& diff_id, const std::string& digest, const std::function<Result<std::unique_ptr<ByteSource>>()>& open);
  Result<> WriteTags(const Index& index) const;
  Result<> CollectLayers();
  const std::string directory_;
  Guarded<Index> index_;
  std::condition_variable layer_done_;
};

std::string LayerKey(const std::string& diff_id);
Result<ImageConfig> ParseImageConfig(const std::string& text);
bool IsDigest(std::string_view text);                // "sha256:" + 64 lower-case hex digits

}  // namespace skerry::container::oci
