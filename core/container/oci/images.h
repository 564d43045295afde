#pragma once
#include "core/base/guarded.h"
#include "core/container/oci/registry_client.h"
#include "core/container/oci/runtime.h"
#include "core/container/oci/store.h"

namespace skerry::container::oci {

// Images over the store: pulls, imports, read-only views.
class OciImages final : public Images {
 public:
  using InUse = std::function<bool(const std::string& image_id)>;
  static Result<std::unique_ptr<OciImages>> Open(const Options& options, InUse in_use);

  Result<ImageInfo> Pull(const Ctx&, std::string_view reference, const Credentials&, const Progress&) override;
  Result<ImageInfo> Find(std::string_view reference_or_id) override;
  Result<std::vector<ImageInfo>> List() override;
  Result<> Remove(std::string_view reference_or_id) override;
  Result<ImageInfo> Import(const Ctx&, const std::string& archive_path, std::string_view tag) override;
  Result<FilesystemUsage> Usage() override;
  Result<std::string> MountImage(const Ctx&, std::string_view reference_or_id, std::string_view key) override;
  Result<> UnmountImage(std::string_view key) override;

  ImageStore& store() { return *store_; }
  // Layers of an image as overlayfs wants them; an image without layers gets an empty one.
  Result<std::vector<std::string>> Lowers(const ImageStore::Image& image) const;
  void Touch(const std::string& id);          // used now

 private:
  OciImages(const Options& options, InUse in_use);
  ImageInfo Describe(const ImageStore::Image& image);
  Result<std::string> ImportDocker(const Ctx& ctx, const std::string& path, std::string_view tag, const std::string& manifest);
  Result<std::string> ImportOci(const Ctx& ctx, const std::string& path, std::string_view tag, const std::string& index);
  Result<std::unique_ptr<ByteSource>> OpenLayer(const Ctx& ctx, RegistryClient& client, const Manifest::Blob& blob);
  std::string LocalBlob(const std::string& registry, const std::string& digest) const;
  bool IsUsed(const std::string& id) const;
  bool IsInsecure(const std::string& registry) const;

  const Options options_;
  const std::shared_ptr<Transport> transport_;
  const InUse in_use_;
  std::unique_ptr<ImageStore> store_;
  Guarded<std::map<std::string, Clock::Wall>> used_;
};

}  // namespace skerry::container::oci
