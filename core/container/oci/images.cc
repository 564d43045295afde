#include "core/container/oci/images.h"

#include <dirent.h>
#include <fcntl.h>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/container/oci/download.h"
#include "core/container/oci/plain_transport.h"
#include "core/crypto/digest.h"
#include "core/process/mounts.h"

namespace skerry::container::oci {
namespace {

constexpr std::size_t kDocumentLimit = 8 << 20;

Result<json::Value> Parse(const std::string& text, std::string_view what) {
  json::Value value;
  std::string error;
  if (!json::Value::Parse(text, &value, &error)) return Fail(Code::kCorruption, Cat(what, ": ", error));
  return value;
}

Result<std::string> ReadAll(ByteSource& source, std::size_t limit) {
  std::string out, buffer(64 << 10, '\0');
  for (;;) {
    TRY(const std::size_t n, source.Read(buffer));
    if (n == 0) return out;
    out.append(buffer, 0, n);
    if (out.size() > limit) return Fail(Code::kTooLarge, "document in archive is too large");
  }
}

// The files of an archive that are wanted, by name; small documents only.
Result<std::map<std::string, std::string>> ReadDocuments(const Ctx& ctx, const std::string& path, const std::function<bool(const std::string&)>& wanted) {
  std::map<std::string, std::string> out;
  TRY(auto source, OpenFileSource(path));
  TRY_VOID(ReadArchive(ctx, *source, [&](const std::string& raw, ByteSource& content) -> Result<> {
    const std::string name = raw.starts_with("./") ? raw.substr(2) : raw;
    if (!wanted(name)) return {};
    TRY(out[name], ReadAll(content, kDocumentLimit));
    return {};
  }));
  return out;
}

std::string BlobName(const std::string& digest) { return "blobs/sha256/" + digest.substr(7); }

// A source that lends another one.
class Borrowed final : public ByteSource {
 public:
  explicit Borrowed(ByteSource& inner) : inner_(inner) {}
  Result<std::size_t> Read(std::span<char> into) override { return inner_.Read(into); }

 private:
  ByteSource& inner_;
};

}  // namespace

OciImages::OciImages(const Options& options, InUse in_use)
    : options_(options), transport_(MakePlainTransport(options.transport != nullptr ? options.transport : MakeHttpTransport())), in_use_(std::move(in_use)) {}

Result<std::unique_ptr<OciImages>> OciImages::Open(const Options& options, InUse in_use) {
  std::unique_ptr<OciImages> out(new OciImages(options, std::move(in_use)));
  TRY(out->store_, ImageStore::Open(options.data_dir + "/images"));
  return out;
}

bool OciImages::IsUsed(const std::string& id) const {
  if (in_use_(id)) return true;
  const std::string directory = store_->directory() + "/mounts.d";
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(directory.c_str()), ::closedir);
  while (const dirent* entry = dir ? ::readdir(dir.get()) : nullptr) {
    const auto mounted = entry->d_name[0] == '.' ? Result<std::string>("") : ReadFile(Cat(directory, "/", entry->d_name), 256);
    if (mounted && *mounted == id) return true;
  }
  return false;
}

void OciImages::Touch(const std::string& id) {
  auto used = used_.Lock();
  (*used)[id] = options_.clock->Now();
}

ImageInfo OciImages::Describe(const ImageStore::Image& image) {
  ImageInfo info{.id = image.id, .tags = store_->TagsOf(image.id), .digests = image.digests, .size_bytes = image.bytes, .in_use = IsUsed(image.id)};
  if (auto config = ParseImageConfig(image.config)) info.config = *std::move(config);
  auto used = used_.Lock();
  info.last_used = used->try_emplace(image.id, options_.clock->Now()).first->second;
  return info;
}

Result<ImageInfo> OciImages::Find(std::string_view reference_or_id) {
  TRY(const auto image, store_->Find(reference_or_id));
  return Describe(image);
}

Result<std::vector<ImageInfo>> OciImages::List() {
  std::vector<ImageInfo> out;
  for (const auto& image : store_->List()) out.push_back(Describe(image));
  return out;
}

Result<> OciImages::Remove(std::string_view reference_or_id) {
  auto image = store_->Find(reference_or_id);
  if (!image) return image.error().code() == Code::kNotFound ? Result<>() : std::unexpected(std::move(image).error());
  if (!IsDigest(reference_or_id)) {
    TRY(const auto reference, ImageReference::Parse(reference_or_id));
    if (reference.digest.empty() && store_->TagsOf(image->id).size() > 1) return store_->Untag(reference.ToString());
  }
  if (IsUsed(image->id)) return Fail(Code::kConflict, Cat("image ", reference_or_id, " is in use"));
  return store_->RemoveImage(image->id);
}

Result<FilesystemUsage> OciImages::Usage() {
  const auto [bytes, inodes] = store_->TotalSize();
  return FilesystemUsage{.mount_point = store_->directory(), .used_bytes = bytes, .used_inodes = inodes};
}

bool OciImages::IsInsecure(const std::string& registry) const {
  const std::string host = registry.starts_with('[') ? registry.substr(1, registry.find(']') - 1) : registry.substr(0, registry.find(':'));
  if (host == "localhost" || host.starts_with("127.") || host == "::1") return true;
  return std::find(options_.insecure_registries.begin(), options_.insecure_registries.end(), registry) != options_.insecure_registries.end();
}

std::string OciImages::LocalBlob(const std::string& registry, const std::string& digest) const {
  for (const LocalRegistry& local : options_.local_registries) {
    if (std::find(local.hosts.begin(), local.hosts.end(), registry) == local.hosts.end()) continue;
    std::string path = Cat(local.data_dir, "/blobs/sha256/", digest.substr(7, 2), "/", digest.substr(7));
    if (::access(path.c_str(), R_OK) == 0) return path;
  }
  return {};
}

Result<std::unique_ptr<ByteSource>> OciImages::OpenLayer(const Ctx& ctx, RegistryClient& client, const Manifest::Blob& blob) {
  // Our own registry's blobs are read where they lie: no copy, no HTTP. Their digest is checked like any other.
  if (const std::string local = LocalBlob(client.reference().registry, blob.digest); !local.empty()) return OpenFileSource(local);
  return StartDownload(ctx, [&client, blob](const Ctx& inner, const Transport::Sink& sink) { return client.FetchBlob(inner, blob, sink); });
}

Result<ImageInfo> OciImages::Pull(const Ctx& ctx, std::string_view text, const Credentials& credentials, const Progress& progress) {
  TRY(const auto reference, ImageReference::Parse(text));
  const bool insecure = IsInsecure(reference.registry);
  const ImageStore::Pin pin(*store_);
  RegistryClient client(*transport_, reference, credentials, insecure);
  TRY(const Manifest manifest, client.FetchManifest(ctx));
  // The id of an image is the digest of its configuration: one that is here need not be asked for.
  std::string config;
  if (auto known = store_->Find(manifest.config.digest)) {
    config = std::move(known->config);
  } else {
    TRY(config, client.FetchConfig(ctx, manifest.config));
  }
  TRY(const json::Value root, Parse(config, "image configuration"));
  TRY_VOID(CheckPlatform(root));
  const auto diff_ids = root.At({"rootfs", "diff_ids"}).Items();
  if (diff_ids.size() != manifest.layers.size()) return Fail(Code::kCorruption, Cat("image ", reference.ToString(), " has ", manifest.layers.size(), " layers and ", diff_ids.size(), " diff ids"));
  std::uint64_t done = 0, total = 0;
  for (const auto& layer : manifest.layers) total += static_cast<std::uint64_t>(std::max<std::int64_t>(layer.size, 0));
  for (std::size_t i = 0; i < manifest.layers.size(); ++i) {
    const auto& layer = manifest.layers[i];
    TRY_VOID(store_->EnsureLayer(ctx, std::string(diff_ids[i].Str()), layer.digest, [&] { return OpenLayer(ctx, client, layer); }));
    done += static_cast<std::uint64_t>(std::max<std::int64_t>(layer.size, 0));
    if (progress) progress(done, total);
  }
  ImageReference tag = reference;
  tag.digest.clear();
  TRY(const std::string id, store_->AddImage(config, tag.tag.empty() ? "" : tag.ToString(), Cat(reference.Name(), "@", manifest.index_digest)));
  Touch(id);
  return Find(id);
}

// docker-archive: manifest.json names a configuration and layer files of the same archive.
Result<std::string> OciImages::ImportDocker(const Ctx& ctx, const std::string& path, std::string_view tag, const std::string& manifest) {
  TRY(const json::Value list, Parse(manifest, "manifest.json"));
  if (list.size() == 0) return Fail(Code::kCorruption, "manifest.json is empty");
  const json::Value& entry = list.Items()[0];
  const std::string config_name(entry["Config"].Str());
  TRY(auto documents, ReadDocuments(ctx, path, [&](const std::string& name) { return name == config_name; }));
  const std::string& config = documents[config_name];
  TRY(const json::Value root, Parse(config, "image configuration"));
  TRY_VOID(CheckPlatform(root));
  const auto diff_ids = root.At({"rootfs", "diff_ids"}).Items();
  const auto layers = entry["Layers"].Items();
  if (diff_ids.size() != layers.size()) return Fail(Code::kCorruption, "archive and image configuration disagree about the layers");
  std::multimap<std::string, std::string> wanted;
  for (std::size_t i = 0; i < layers.size(); ++i) wanted.emplace(layers[i].Str(), diff_ids[i].Str());
  TRY(auto source, OpenFileSource(path));
  TRY_VOID(ReadArchive(ctx, *source, [&](const std::string& raw, ByteSource& content) -> Result<> {
    const auto it = wanted.find(raw.starts_with("./") ? raw.substr(2) : raw);
    if (it == wanted.end()) return {};
    return store_->EnsureLayer(ctx, it->second, "", [&]() -> Result<std::unique_ptr<ByteSource>> { return std::make_unique<Borrowed>(content); });
  }));
  for (const json::Value& diff_id : diff_ids) {
    if (!store_->HasLayer(std::string(diff_id.Str()))) return Fail(Code::kCorruption, Cat("archive misses layer ", diff_id.Str()));
  }
  std::string name(tag);
  if (name.empty() && entry["RepoTags"].size() > 0) name = entry["RepoTags"].Items()[0].Str();
  if (name.empty()) return store_->AddImage(config, "", "");
  TRY(const auto reference, ImageReference::Parse(name));
  return store_->AddImage(config, reference.ToString(), "");
}

// oci-archive: index.json → manifest → blobs/sha256/…
Result<std::string> OciImages::ImportOci(const Ctx& ctx, const std::string& path, std::string_view tag, const std::string& index_text) {
  TRY(json::Value index, Parse(index_text, "index.json"));
  std::string name(tag), manifest_digest;
  if (name.empty() && index["manifests"].size() > 0) name = index["manifests"].Items()[0].At({"annotations", "org.opencontainers.image.ref.name"}).Str();
  json::Value root;
  for (int depth = 0; depth < 4; ++depth) {   // an index may name an index
    TRY(manifest_digest, ChoosePlatform(index));
    if (!IsDigest(manifest_digest)) return Fail(Code::kUnsupported, "manifest with digest " + Quote(manifest_digest));
    TRY(auto documents, ReadDocuments(ctx, path, [&](const std::string& file) { return file == BlobName(manifest_digest); }));
    TRY(root, Parse(documents[BlobName(manifest_digest)], "manifest"));
    if (root.Find("manifests") == nullptr) break;
    index = std::move(root);
  }
  TRY(const Manifest manifest, ParseManifest(root));
  TRY(auto documents, ReadDocuments(ctx, path, [&](const std::string& file) { return file == BlobName(manifest.config.digest); }));
  const std::string& config = documents[BlobName(manifest.config.digest)];
  if (crypto::OciDigest(config) != manifest.config.digest) return Fail(Code::kCorruption, "image configuration does not match its digest");
  TRY(const json::Value parsed, Parse(config, "image configuration"));
  TRY_VOID(CheckPlatform(parsed));
  const auto diff_ids = parsed.At({"rootfs", "diff_ids"}).Items();
  if (diff_ids.size() != manifest.layers.size()) return Fail(Code::kCorruption, "manifest and image configuration disagree about the layers");
  std::map<std::string, std::size_t> wanted;
  for (std::size_t i = 0; i < manifest.layers.size(); ++i) wanted.emplace(BlobName(manifest.layers[i].digest), i);
  TRY(auto source, OpenFileSource(path));
  TRY_VOID(ReadArchive(ctx, *source, [&](const std::string& raw, ByteSource& content) -> Result<> {
    const auto it = wanted.find(raw.starts_with("./") ? raw.substr(2) : raw);
    if (it == wanted.end()) return {};
    return store_->EnsureLayer(ctx, std::string(diff_ids[it->second].Str()), manifest.layers[it->second].digest,
                               [&]() -> Result<std::unique_ptr<ByteSource>> { return std::make_unique<Borrowed>(content); });
  }));
  for (const json::Value& diff_id : diff_ids) {
    if (!store_->HasLayer(std::string(diff_id.Str()))) return Fail(Code::kCorruption, Cat("archive misses layer ", diff_id.Str()));
  }
  if (name.empty()) return store_->AddImage(config, "", "");
  TRY(const auto reference, ImageReference::Parse(name));
  return store_->AddImage(config, reference.ToString(), Cat(reference.Name(), "@", manifest_digest));
}

Result<ImageInfo> OciImages::Import(const Ctx& ctx, const std::string& archive_path, std::string_view tag) {
  const ImageStore::Pin pin(*store_);
  TRY(auto documents, ReadDocuments(ctx, archive_path, [](const std::string& name) { return name == "manifest.json" || name == "index.json"; }));
  std::string id;
  if (const auto docker = documents.find("manifest.json"); docker != documents.end()) {
    TRY(id, ImportDocker(ctx, archive_path, tag, docker->second));
  } else if (const auto oci = documents.find("index.json"); oci != documents.end()) {
    TRY(id, ImportOci(ctx, archive_path, tag, oci->second));
  } else {
    return Fail(Code::kInvalid, archive_path + " is neither a docker-archive nor an oci-archive");
  }
  Touch(id);
  return Find(id);
}

Result<std::vector<std::string>> OciImages::Lowers(const ImageStore::Image& image) const {
  std::vector<std::string> out = store_->LowerNames(image);
  // overlayfs without an upper directory wants two lower ones, and an image may have none at all.
  TRY_VOID(MakeDirectories(store_->directory() + "/empty", 0755));
  if (out.size() < 2) out.push_back("../empty");
  return out;
}

Result<std::string> OciImages::MountImage(const Ctx&, std::string_view reference_or_id, std::string_view key) {
  if (!IsValidId(key)) return Fail(Code::kInvalid, Cat("invalid mount key ", Quote(key)));
  TRY(const auto image, store_->Find(reference_or_id));
  const std::string target = Cat(store_->directory(), "/mounts/", key), record = Cat(store_->directory(), "/mounts.d/", key);
  TRY_VOID(WriteFileDurably(record, image.id));
  TRY_VOID(MakeDirectories(target, 0755));
  TRY(const bool mounted, process::IsMountPoint(target));
  if (mounted) return target;
  TRY(const auto lowers, Lowers(image));
  TRY_VOID(process::MountOverlay(store_->LayersDirectory(), lowers, "", "", target));
  Touch(image.id);
  return target;
}

Result<> OciImages::UnmountImage(std::string_view key) {
  if (!IsValidId(key)) return Fail(Code::kInvalid, Cat("invalid mount key ", Quote(key)));
  TRY_VOID(process::RemoveTree(Cat(store_->directory(), "/mounts/", key)));
  const std::string record = Cat(store_->directory(), "/mounts.d/", key);
  if (::unlink(record.c_str()) != 0 && errno != ENOENT) return std::unexpected(ErrnoError(errno, "remove " + record));
  return {};
}

}  // namespace skerry::container::oci
