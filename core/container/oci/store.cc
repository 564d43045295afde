#include "core/container/oci/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "core/base/fault.h"
#include "core/base/files.h"
#include "core/base/random.h"
#include "core/base/strings.h"
#include "core/crypto/digest.h"
#include "core/process/mounts.h"

namespace skerry::container::oci {
namespace {

Result<json::Value> ParseJson(const std::string& text, std::string_view what) {
  json::Value value;
  std::string error;
  if (!json::Value::Parse(text, &value, &error)) return Fail(Code::kCorruption, Cat(what, ": ", error));
  return value;
}

std::vector<std::string> Strings(const json::Value& array) {
  std::vector<std::string> out;
  for (const json::Value& item : array.Items()) out.emplace_back(item.Str());
  return out;
}

json::Value ToJson(const std::vector<std::string>& strings) {
  json::Value out = json::Value::Array();
  for (const std::string& s : strings) out.Append(s);
  return out;
}

std::vector<std::string> ListDirectory(const std::string& path) {
  std::vector<std::string> out;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()), ::closedir);
  if (!dir) return out;
  while (const dirent* entry = ::readdir(dir.get())) {
    if (entry->d_name[0] != '.') out.emplace_back(entry->d_name);
  }
  return out;
}

}  // namespace

bool IsDigest(std::string_view text) {
  return text.size() == 71 && text.starts_with("sha256:") &&
         std::all_of(text.begin() + 7, text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// Base 32 of the first 160 bits: 32 characters, and nobody finds two layers with the same one (2^80 tries).
std::string LayerKey(const std::string& diff_id) {
  static constexpr char kAlphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
  std::string out;
  unsigned bits = 0, count = 0;
  for (std::size_t i = 7; i < 47; ++i) {
    const char c = diff_id.at(i);
    bits = (bits << 4) | static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10);
    count += 4;
    while (count >= 5) {
      count -= 5;
      out += kAlphabet[(bits >> count) & 31];
    }
    bits &= (1U << count) - 1;
  }
  return out;
}

Result<ImageConfig> ParseImageConfig(const std::string& text) {
  TRY(const json::Value root, ParseJson(text, "image configuration"));
  const json::Value& config = root["config"];
  ImageConfig out;
  out.entrypoint = Strings(config["Entrypoint"]);
  out.cmd = Strings(config["Cmd"]);
  out.env = Strings(config["Env"]);
  out.user = config["User"].Str();
  out.working_dir = config["WorkingDir"].Str();
  out.stop_signal = config["StopSignal"].Str();
  for (const auto& [name, _] : config["Volumes"].Members()) out.volumes.push_back(name);
  for (const auto& [name, _] : config["ExposedPorts"].Members()) out.exposed_ports.push_back(name);
  for (const auto& [name, value] : config["Labels"].Members()) out.labels[name] = value.Str();
  return out;
}

ImageStore::Pin::Pin(ImageStore& store) : store_(store) {
  auto index = store_.index_.Lock();
  ++index->pins;
}
ImageStore::Pin::~Pin() {
  auto index = store_.index_.Lock();
  --index->pins;
}

Result<std::unique_ptr<ImageStore>> ImageStore::Open(std::string directory) {
  std::unique_ptr<ImageStore> store(new ImageStore(std::move(directory)));
  TRY_VOID(process::RemoveTree(store->directory_ + "/tmp"));
  for (const char* sub : {"", "/tmp", "/layers", "/layers.d", "/images.d", "/mounts", "/mounts.d"}) TRY_VOID(MakeDirectories(store->directory_ + sub, 0700));
  TRY_VOID(store->Load());
  return store;
}

Result<> ImageStore::Load() {
  auto index = index_.Lock();
  for (const std::string& name : ListDirectory(directory_ + "/layers.d")) {
    TRY(const std::string text, ReadFile(Cat(directory_, "/layers.d/", name)));
    TRY(const json::Value record, ParseJson(text, name));
    const std::string diff_id(record["diffId"].Str());
    if (!IsDigest(diff_id)) return Fail(Code::kCorruption, Cat(directory_, "/layers.d/", name, ": no layer record"));
    index->layers[diff_id] = {static_cast<std::uint64_t>(record["bytes"].Int()), static_cast<std::uint64_t>(record["inodes"].Int())};
  }
  for (const std::string& name : ListDirectory(directory_ + "/images.d")) {
    TRY(const std::string text, ReadFile(Cat(directory_, "/images.d/", name)));
    TRY(const json::Value record, ParseJson(text, name));
    Image image{.id = "sha256:" + name.substr(0, name.find('.')), .config = std::string(record["config"].Str()), .layers = Strings(record["layers"]), .digests = Strings(record["digests"])};
    for (const std::string& layer : image.layers) {
      if (const auto it = index->layers.find(layer); it != index->layers.end()) image.bytes += it->second.bytes;
      else return Fail(Code::kCorruption, Cat("image ", image.id, " misses layer ", layer));
    }
    index->images[image.id] = std::move(image);
  }
  auto tags = ReadFile(directory_ + "/tags.json");
  if (tags) {
    TRY(const json::Value record, ParseJson(*tags, "tags.json"));
    for (const auto& [reference, id] : record.Members()) {
      if (index->images.contains(std::string(id.Str()))) index->tags[reference] = id.Str();
    }
  } else if (tags.error().code() != Code::kNotFound) {
    return std::unexpected(std::move(tags).error());
  }
  // Layers without a record are left over from an unpacking that a crash cut off.
  std::set<std::string> known;
  for (const auto& [diff_id, _] : index->layers) known.insert(LayerKey(diff_id));
  for (const std::string& name : ListDirectory(directory_ + "/layers")) {
    if (!known.contains(name)) TRY_VOID(process::RemoveTree(Cat(directory_, "/layers/", name)));
  }
  return {};
}

bool ImageStore::HasLayer(const std::string& diff_id) {
  auto index = index_.Lock();
  return index->layers.contains(diff_id);
}

Result<> ImageStore::EnsureLayer(const Ctx& ctx, const std::string& diff_id, const std::string& digest, const std::function<Result<std::unique_ptr<ByteSource>>()>& open) {
  if (!IsDigest(diff_id)) return Fail(Code::kInvalid, Cat("unsupported layer digest ", Quote(diff_id)));
  {
    auto index = index_.Lock();
    const std::stop_callback wake(ctx.stop, [&] { layer_done_.notify_all(); });
    while (index->busy.contains(diff_id)) {
      // Woken now and then too: a stop that is requested before the wait begins would be missed.
      index.WaitUntil(layer_done_, std::min(ctx.deadline, std::chrono::steady_clock::now() + std::chrono::seconds(1)), [&] { return !index->busy.contains(diff_id); });
      if (ctx.done()) return Fail(ctx.stop.stop_requested() ? Code::kCancelled : Code::kTimeout, "waiting for layer " + diff_id);
    }
    if (index->layers.contains(diff_id)) return {};
    index->busy.insert(diff_id);
  }
  auto result = UnpackTo(ctx, diff_id, digest, open);
  {
    auto index = index_.Lock();
    index->busy.erase(diff_id);
  }
  layer_done_.notify_all();
  return result;
}

Result<> ImageStore::UnpackTo(const Ctx& ctx, const std::string& diff_id, const std::string& digest, const std::function<Result<std::unique_ptr<ByteSource>>()>& open) {
  const std::string key = LayerKey(diff_id), temporary = Cat(directory_, "/tmp/", key, ".", HexToken(4)), final = Cat(directory_, "/layers/", key);
  TRY_VOID(MakeDirectories(temporary, 0755));
  const auto abandon = [&](Error error) -> Result<> {
    if (auto removed = process::RemoveTree(temporary); !removed) return std::unexpected(std::move(error).Wrap(removed.error().message()));
    return std::unexpected(std::move(error));
  };
  auto source = open();
  if (!source) return abandon(std::move(source).error());
  auto layer = UnpackLayer(ctx, **source, temporary);
  if (!layer) return abandon(std::move(layer).error().Wrap("unpack layer " + diff_id));
  if (!digest.empty() && layer->digest != digest) return abandon(Error(Code::kCorruption, Cat("layer digest is ", layer->digest, ", expected ", digest)));
  if (layer->diff_id != diff_id) return abandon(Error(Code::kCorruption, Cat("layer content is ", layer->diff_id, ", its configuration says ", diff_id)));
  if (auto fault = fault::Hit("oci.layer.before_sync"); !fault) return abandon(std::move(fault).error());
  const UniqueFd fd(::open(temporary.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::syncfs(fd.get()) != 0) return abandon(ErrnoError(errno, "sync " + temporary));
  TRY_VOID(process::RemoveTree(final));
  if (::rename(temporary.c_str(), final.c_str()) != 0) return abandon(ErrnoError(errno, "rename to " + final));
  TRY_VOID(SyncDirectory(directory_ + "/layers"));
  json::Value record = json::Value::Object();
  record.Set("diffId") = diff_id;
  record.Set("bytes") = static_cast<std::int64_t>(layer->bytes);
  record.Set("inodes") = static_cast<std::int64_t>(layer->inodes);
  TRY_VOID(WriteFileDurably(Cat(directory_, "/layers.d/", key, ".json"), record.Dump()));
  auto index = index_.Lock();
  index->layers[diff_id] = {layer->bytes, layer->inodes};
  return {};
}

Result<> ImageStore::WriteTags(const Index& index) const {
  json::Value record = json::Value::Object();
  for (const auto& [reference, id] : index.tags) record.Set(reference) = id;
  return WriteFileDurably(directory_ + "/tags.json", record.Dump());
}

Result<std::string> ImageStore::AddImage(const std::string& config, const std::string& tag, const std::string& digest) {
  TRY(const json::Value root, ParseJson(config, "image configuration"));
  Image image{.id = crypto::OciDigest(config), .config = config, .layers = Strings(root.At({"rootfs", "diff_ids"}))};
  auto index = index_.Lock();
  for (const std::string& layer : image.layers) {
    const auto it = index->layers.find(layer);
    if (it == index->layers.end()) return Fail(Code::kInternal, "image without layer " + layer);
    image.bytes += it->second.bytes;
  }
  const auto old = index->images.find(image.id);
  if (old != index->images.end()) image.digests = old->second.digests;
  const bool fresh_digest = !digest.empty() && std::count(image.digests.begin(), image.digests.end(), digest) == 0;
  if (fresh_digest) image.digests.push_back(digest);
  if (fresh_digest || old == index->images.end()) {
    json::Value record = json::Value::Object();
    record.Set("config") = image.config;
    record.Set("layers") = ToJson(image.layers);
    record.Set("digests") = ToJson(image.digests);
    TRY_VOID(WriteFileDurably(Cat(directory_, "/images.d/", image.id.substr(7), ".json"), record.Dump()));
  }
  const std::string id = image.id;
  index->images[id] = std::move(image);
  if (!tag.empty() && index->tags[tag] != id) {
    index->tags[tag] = id;
    TRY_VOID(WriteTags(*index));
  }
  return id;
}

Result<ImageStore::Image> ImageStore::Find(std::string_view text) {
  auto index = index_.Lock();
  const auto missing = [&] { return Fail(Code::kNotFound, Cat("no image ", Quote(text))); };
  if (IsDigest(text)) {
    const auto it = index->images.find(std::string(text));
    if (it == index->images.end()) return missing();
    return it->second;
  }
  TRY(const auto reference, ImageReference::Parse(text));
  if (!reference.digest.empty()) {
    const std::string wanted = Cat(reference.Name(), "@", reference.digest);
    for (const auto& [_, image] : index->images) {
      if (std::count(image.digests.begin(), image.digests.end(), wanted) > 0) return image;
    }
    return missing();
  }
  const auto tag = index->tags.find(reference.ToString());
  if (tag == index->tags.end()) return missing();
  return index->images.at(tag->second);
}

std::vector<ImageStore::Image> ImageStore::List() {
  std::vector<Image> out;
  auto index = index_.Lock();
  for (const auto& [_, image] : index->images) out.push_back(image);
  return out;
}

std::vector<std::string> ImageStore::TagsOf(const std::string& id) {
  std::vector<std::string> out;
  auto index = index_.Lock();
  for (const auto& [tag, image] : index->tags) {
    if (image == id) out.push_back(tag);
  }
  return out;
}

std::pair<std::uint64_t, std::uint64_t> ImageStore::TotalSize() {
  std::pair<std::uint64_t, std::uint64_t> out{0, 0};
  auto index = index_.Lock();
  for (const auto& [_, layer] : index->layers) {
    out.first += layer.bytes;
    out.second += layer.inodes;
  }
  return out;
}

std::vector<std::string> ImageStore::LowerNames(const Image& image) const {
  std::vector<std::string> out;
  for (auto it = image.layers.rbegin(); it != image.layers.rend(); ++it) {
    std::string key = LayerKey(*it);
    if (std::find(out.begin(), out.end(), key) == out.end()) out.push_back(std::move(key));   // overlayfs refuses a layer twice
  }
  return out;
}

Result<> ImageStore::Untag(const std::string& reference) {
  auto index = index_.Lock();
  if (index->tags.erase(reference) == 0) return {};
  return WriteTags(*index);
}

Result<> ImageStore::RemoveImage(const std::string& id) {
  {
    auto index = index_.Lock();
    if (std::erase_if(index->tags, [&](const auto& t) { return t.second == id; }) > 0) TRY_VOID(WriteTags(*index));
    if (index->images.erase(id) == 0) return {};
    const std::string record = Cat(directory_, "/images.d/", id.substr(7), ".json");
    if (::unlink(record.c_str()) != 0 && errno != ENOENT) return std::unexpected(ErrnoError(errno, "remove " + record));
  }
  return CollectLayers();
}

Result<> ImageStore::CollectLayers() {
  auto index = index_.Lock();
  if (index->pins > 0) return {};   // a pull may be about to use them; the next removal collects
  std::set<std::string> used;
  for (const auto& [_, image] : index->images) used.insert(image.layers.begin(), image.layers.end());
  for (auto it = index->layers.begin(); it != index->layers.end();) {
    if (used.contains(it->first)) {
      ++it;
      continue;
    }
    const std::string key = LayerKey(it->first);
    it = index->layers.erase(it);
    // The record goes first: a layer without one is rubbish that the next start removes.
    const std::string record = Cat(directory_, "/layers.d/", key, ".json");
    if (::unlink(record.c_str()) != 0 && errno != ENOENT) return std::unexpected(ErrnoError(errno, "remove " + record));
    TRY_VOID(process::RemoveTree(Cat(directory_, "/layers/", key)));
  }
  return {};
}

}  // namespace skerry::container::oci
