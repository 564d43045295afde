#include <fcntl.h>
#include <sys/statfs.h>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/container/docker/driver.h"
#include "core/container/helpers/helpers.h"
#include "core/container/oci/registry_client.h"
#include "core/crypto/digest.h"
#include "core/process/mounts.h"

namespace skerry::container::docker {
namespace {

Ctx Brief() { return Ctx{std::stop_token(), std::chrono::steady_clock::now() + std::chrono::seconds(30)}; }

// Names with a slash are one path segment for the engine, only what could end the path is escaped.
std::string PathOf(std::string_view reference) {
  std::string out;
  for (const char c : reference) {
    if (c == '?' || c == '#' || c == '%' || c == ' ') out += Escape(std::string_view(&c, 1));
    else out += c;
  }
  return out;
}

// One file in ustar form.
void AppendTarFile(std::string& out, std::string_view name, unsigned mode, std::string_view content) {
  std::string head(512, '\0');
  char number[16];
  const auto put = [&](std::size_t at, std::string_view text) { head.replace(at, text.size(), text); };
  const auto octal = [&](std::size_t at, int width, unsigned long long v) {
    std::snprintf(number, sizeof number, "%0*llo", width, v);
    put(at, number);
  };
  put(0, name);
  octal(100, 7, mode);
  octal(108, 7, 0);
  octal(116, 7, 0);
  octal(124, 11, content.size());
  octal(136, 11, 0);
  put(148, "        ");
  head[156] = '0';
  put(257, std::string_view("ustar\00000", 8));
  unsigned sum = 0;
  for (const char c : head) sum += static_cast<unsigned char>(c);
  octal(148, 6, sum);
  head[154] = '\0';
  out += head;
  out += content;
  out.append((512 - content.size() % 512) % 512, '\0');
}

// The engine reports failures of long calls inside a 200, as JSON lines.
class LineErrors {
 public:
  bool Take(std::string_view piece) {
    buffer_ += piece;
    for (std::size_t end = buffer_.find('\n'); end != std::string::npos; end = buffer_.find('\n')) {
      Look(std::string_view(buffer_).substr(0, end));
      buffer_.erase(0, end + 1);
    }
    return buffer_.size() < (1 << 20);
  }
  void Finish() {
    if (!buffer_.empty()) Look(buffer_);
    buffer_.clear();
  }
  std::string error, loaded;

 private:
  void Look(std::string_view line) {
    json::Value value;
    std::string ignored;
    if (!json::Value::Parse(line, &value, &ignored)) return;
    if (!value["error"].Str().empty()) error = value["error"].Str();
    std::string_view text = Trim(value["stream"].Str());
    for (const std::string_view prefix : {"Loaded image ID: ", "Loaded image: "}) {
      if (text.starts_with(prefix)) loaded = text.substr(prefix.size());
    }
  }
  std::string buffer_;
};

Error PullError(const std::string& reference, const std::string& message) {
  const auto has = [&](std::string_view text) { return message.find(text) != std::string::npos; };
  Code code = Code::kUnavailable;
  if (has("not found") || has("manifest unknown") || has("no matching manifest") || has("does not exist")) code = Code::kNotFound;
  else if (has("unauthorized") || has("authentication required")) code = Code::kUnauthenticated;
  else if (has("denied")) code = Code::kForbidden;
  else if (has("toomanyrequests")) code = Code::kTooMany;
  return Error(code, Cat(reference, ": ", message));
}

}  // namespace

Result<ImageInfo> DockerImages::Pull(const Ctx& ctx, std::string_view text, const Credentials& credentials, const Progress&) {
  TRY(const auto reference, ImageReference::Parse(text));
  json::Value auth = json::Value::Object();
  if (!credentials.username.empty()) {
    auth.Set("username") = credentials.username;
    auth.Set("password") = credentials.password;
  }
  if (!credentials.identity_token.empty()) auth.Set("identitytoken") = credentials.identity_token;
  if (!credentials.registry_token.empty()) auth.Set("registrytoken") = credentials.registry_token;
  auth.Set("serveraddress") = reference.registry;
  const std::string tag = reference.digest.empty() ? reference.tag : reference.digest;
  std::string encoded = oci::Base64(auth.Dump());
  std::replace(encoded.begin(), encoded.end(), '+', '-');
  std::replace(encoded.begin(), encoded.end(), '/', '_');
  wire::Request request{.method = "POST", .target = Cat("/images/create?fromImage=", Escape(reference.Name()), "&tag=", Escape(tag)), .headers = {{"X-Registry-Auth", encoded}}};
  LineErrors lines;
  auto pulled = client_.Stream(ctx, std::move(request), [&](std::string_view piece) { return lines.Take(piece); });
  lines.Finish();
  if (!pulled) {
    if (pulled.error().code() == Code::kTimeout || pulled.error().code() == Code::kCancelled) return std::unexpected(std::move(pulled).error());
    return std::unexpected(PullError(reference.ToString(), std::string(pulled.error().message())));
  }
  if (!lines.error.empty()) return std::unexpected(PullError(reference.ToString(), lines.error));
  return Find(reference.ToString());
}

Result<ImageInfo> DockerImages::Find(std::string_view reference_or_id) {
  std::string name(reference_or_id);
  if (!name.starts_with("sha256:")) {
    TRY(const auto reference, ImageReference::Parse(reference_or_id));
    name = reference.digest.empty() ? reference.ToString() : Cat(reference.Name(), "@", reference.digest);
  }
  TRY(const auto inspect, client_.Call(Brief(), "GET", Cat("/images/", PathOf(name), "/json")));
  return DecodeImage(inspect);
}

Result<std::vector<ImageInfo>> DockerImages::List() {
  TRY(const auto list, client_.Call(Brief(), "GET", "/images/json"));
  std::vector<ImageInfo> out;
  for (const json::Value& entry : list.Items()) {
    ImageInfo image = DecodeImage(entry);
    image.in_use = entry["Containers"].Int() > 0;
    out.push_back(std::move(image));
  }
  return out;
}

Result<> DockerImages::Remove(std::string_view reference_or_id) {
  auto found = Find(reference_or_id);
  if (!found) return found.error().code() == Code::kNotFound ? Result<>() : std::unexpected(std::move(found).error());
  std::string name = found->id;
  if (!reference_or_id.starts_with("sha256:") && found->tags.size() > 1) {
    TRY(const auto reference, ImageReference::Parse(reference_or_id));
    if (reference.digest.empty()) name = reference.ToString();
  }
  // Every tag by itself: the engine refuses an id with several unless forced, and force would take images from containers.
  if (name == found->id && found->tags.size() > 1) {
    for (const std::string& tag : found->tags) {
      if (auto removed = client_.Call(Brief(), "DELETE", Cat("/images/", PathOf(tag))); !removed && removed.error().code() != Code::kNotFound) return std::unexpected(std::move(removed).error());
    }
    return {};
  }
  if (auto removed = client_.Call(Brief(), "DELETE", Cat("/images/", PathOf(name))); !removed && removed.error().code() != Code::kNotFound) return std::unexpected(std::move(removed).error());
  return {};
}

Result<std::string> DockerImages::Load(const Ctx& ctx, wire::Request request) {
  request.method = "POST";
  request.target = "/images/load";
  request.headers.emplace_back("Content-Type", "application/x-tar");
  LineErrors lines;
  TRY_VOID(client_.Stream(ctx, std::move(request), [&](std::string_view piece) { return lines.Take(piece); }));
  lines.Finish();
  if (!lines.error.empty()) return Fail(Code::kInvalid, "load image: " + lines.error);
  return lines.loaded;
}

Result<ImageInfo> DockerImages::Import(const Ctx& ctx, const std::string& archive_path, std::string_view tag) {
  TRY(const std::string loaded, Load(ctx, {.body_file = archive_path}));
  TRY(auto image, Find(loaded));
  if (tag.empty()) return image;
  TRY(const auto reference, ImageReference::Parse(tag));
  TRY_VOID(client_.Call(ctx, "POST", Cat("/images/", PathOf(image.id), "/tag?repo=", Escape(reference.Name()), "&tag=", Escape(reference.tag))));
  return Find(image.id);
}

Result<std::string> DockerImages::EnsurePause(const Ctx& ctx) {
  std::string layer, archive;
  AppendTarFile(layer, "pause", 0755, helpers::Pause());
  layer.append(1024, '\0');
#if defined(__aarch64__)
  const char* const architecture = "arm64";
#else
  const char* const architecture = "amd64";
#endif
  const std::string config = Cat(R"({"architecture":")", architecture, R"(","os":"linux","config":{"Entrypoint":["/pause"],"User":"65535:65535"},"rootfs":{"type":"layers","diff_ids":[")",
                                 crypto::OciDigest(layer), "\"]}}");
  const std::string id = crypto::Sha256Hex(config);
  if (Find("sha256:" + id)) return "sha256:" + id;
  AppendTarFile(archive, "layer.tar", 0644, layer);
  AppendTarFile(archive, id + ".json", 0644, config);
  AppendTarFile(archive, "manifest.json", 0644, Cat(R"([{"Config":")", id, R"(.json","RepoTags":["skerry/pause:latest"],"Layers":["layer.tar"]}])"));
  archive.append(1024, '\0');
  TRY_VOID(Load(ctx, {.body = archive}));
  TRY(const auto image, Find("skerry/pause:latest"));
  return image.id;
}

Result<FilesystemUsage> DockerImages::Usage() {
  TRY(const auto info, client_.Call(Brief(), "GET", "/info"));
  TRY(const auto list, client_.Call(Brief(), "GET", "/images/json"));
  FilesystemUsage out{.mount_point = std::string(info["DockerRootDir"].Str())};
  for (const json::Value& image : list.Items()) out.used_bytes += static_cast<std::uint64_t>(std::max<std::int64_t>(image["Size"].Int(), 0));
  return out;
}

// The engine cannot mount an image; on overlay2 its layers are directories that we can stack ourselves.
Result<std::string> DockerImages::MountImage(const Ctx&, std::string_view reference_or_id, std::string_view key) {
  if (!IsValidId(key)) return Fail(Code::kInvalid, Cat("invalid mount key ", Quote(key)));
  const std::string target = Cat(run_dir_, "/images/", key);
  TRY(const bool mounted, process::IsMountPoint(target));
  if (mounted) return target;
  TRY(const auto image, Find(reference_or_id));
  TRY(const auto inspect, client_.Call(Brief(), "GET", Cat("/images/", image.id, "/json")));
  const json::Value& driver = inspect["GraphDriver"];
  if (driver["Name"].Str() != "overlay2") return Fail(Code::kUnsupported, Cat("image volumes need the overlay2 storage driver, the engine has ", driver["Name"].Str()));
  std::vector<std::string> layers = {std::string(driver.At({"Data", "UpperDir"}).Str())};
  for (const std::string_view lower : Split(driver.At({"Data", "LowerDir"}).Str(), ':')) {
    if (!lower.empty()) layers.emplace_back(lower);
  }
  TRY_VOID(MakeDirectories(target, 0755));
  TRY_VOID(MakeDirectories(run_dir_ + "/empty", 0755));
  if (layers.size() < 2) layers.push_back(run_dir_ + "/empty");
  TRY_VOID(process::MountOverlay("/", layers, "", "", target));
  return target;
}

Result<> DockerImages::UnmountImage(std::string_view key) {
  if (!IsValidId(key)) return Fail(Code::kInvalid, Cat("invalid mount key ", Quote(key)));
  return process::RemoveTree(Cat(run_dir_, "/images/", key));
}

}  // namespace skerry::container::docker
