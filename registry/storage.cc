#include "registry/storage.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "core/base/files.h"
#include "core/base/random.h"
#include "core/base/strings.h"
#include "core/json/value.h"

namespace skerry::registry {
namespace fs = std::filesystem;
namespace {

constexpr const char* kLayers = "_layers";
constexpr const char* kManifests = "_manifests";

std::string_view AlgorithmOf(std::string_view digest) { return digest.substr(0, digest.find(':')); }
std::string_view HexOf(std::string_view digest) { return digest.substr(digest.find(':') + 1); }

Result<std::string> DigestOfFile(const std::string& path, std::string_view algorithm) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return std::unexpected(ErrnoError(errno, "open upload"));
  crypto::Digest digest(algorithm == "sha512" ? crypto::Hash::kSha512 : crypto::Hash::kSha256);
  std::string buffer(256 << 10, '\0');
  for (;;) {
    const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::unexpected(ErrnoError(errno, "read upload"));
    if (n == 0) return Cat(algorithm, ":", digest.FinishHex());
    digest.Update(std::string_view(buffer.data(), static_cast<std::size_t>(n)));
  }
}

bool IsUploadId(std::string_view id) {
  return id.size() == 36 && std::all_of(id.begin(), id.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == '-'; });
}

}  // namespace

bool IsValidName(std::string_view name) {
  if (name.empty() || name.size() > 255) return false;
  for (const std::string_view part : Split(name, '/')) {
    if (part.empty()) return false;
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
    if (!letter(part.front()) || !letter(part.back())) return false;
    for (std::size_t i = 0; i < part.size(); ++i) {
      if (letter(part[i]) || part[i] == '-') continue;
      // One '.', one '_' or two between letters.
      if (part[i] != '.' && part[i] != '_') return false;
      std::size_t end = i;
      while (end < part.size() && !letter(part[end])) ++end;
      const std::string_view separator = part.substr(i, end - i);
      if (separator != "." && separator != "_" && separator != "__") return false;
      i = end - 1;
    }
  }
  return true;
}

bool IsValidTag(std::string_view tag) {
  if (tag.empty() || tag.size() > 128 || tag[0] == '.' || tag[0] == '-') return false;
  return std::all_of(tag.begin(), tag.end(), [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '.' || c == '-'; });
}

bool IsValidDigest(std::string_view digest) {
  const std::string_view hex = HexOf(digest);
  const bool size = digest.starts_with("sha256:") ? hex.size() == 64 : digest.starts_with("sha512:") && hex.size() == 128;
  return size && std::all_of(hex.begin(), hex.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Result<std::unique_ptr<Storage>> Storage::Open(const std::string& root) {
  for (const char* d : {"/blobs/sha256", "/blobs/sha512", "/repositories", "/uploads"}) TRY_VOID(MakeDirectories(root + d, 0755));
  // Uploads of an earlier process cannot be told from abandoned ones after a day.
  std::error_code error;
  const auto day_ago = fs::file_time_type::clock::now() - std::chrono::hours(24);
  for (const auto& entry : fs::directory_iterator(root + "/uploads", error)) {
    if (entry.last_write_time(error) < day_ago) fs::remove(entry.path(), error);
  }
  return std::unique_ptr<Storage>(new Storage(root));
}

std::string Storage::BlobPath(std::string_view digest) const { return Cat(root_, "/blobs/", AlgorithmOf(digest), "/", HexOf(digest).substr(0, 2), "/", HexOf(digest)); }

std::string Storage::LinkPath(std::string_view name, const char* kind, std::string_view digest) const {
  return Cat(root_, "/repositories/", name, "/", kind, "/", AlgorithmOf(digest), "/", HexOf(digest));
}

Result<> Storage::Link(std::string_view name, const char* kind, std::string_view digest, std::string_view content) {
  const std::string path = LinkPath(name, kind, digest);
  TRY_VOID(MakeDirectories(path.substr(0, path.rfind('/')), 0755));
  const bool known = ::access(path.c_str(), F_OK) == 0;
  TRY_VOID(WriteFileDurably(path, content, 0644));
  if (links_ && !known) ++(*links_)[std::string(digest)];
  return {};
}

Result<BlobInfo> Storage::StatBlob(std::string_view name, std::string_view digest) const {
  struct stat st;
  const bool linked = ::stat(LinkPath(name, kLayers, digest).c_str(), &st) == 0 || ::stat(LinkPath(name, kManifests, digest).c_str(), &st) == 0;
  BlobInfo info{BlobPath(digest), 0};
  if (!linked || ::stat(info.path.c_str(), &st) != 0) return Fail(Code::kNotFound, "blob unknown to registry");
  info.size = st.st_size;
  return info;
}

void Storage::CountLinks() {
  links_.emplace();
  std::error_code error;
  for (const std::string& repository : Repositories()) {
    for (const char* kind : {kLayers, kManifests}) {
      for (const char* algorithm : {"sha256", "sha512"}) {
        for (const auto& entry : fs::directory_iterator(Cat(root_, "/repositories/", repository, "/", kind, "/", algorithm), error)) {
          const std::string hex = entry.path().filename().string();
          if (hex.find('.') == std::string::npos) ++(*links_)[Cat(algorithm, ":", hex)];   // not what a cut write left
        }
      }
    }
  }
}

Result<> Storage::Unlink(std::string_view name, const char* kind, std::string_view digest) {
  if (!links_) CountLinks();
  const std::string link = LinkPath(name, kind, digest);
  if (::unlink(link.c_str()) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return Fail(Code::kNotFound, "unknown to registry");
    return std::unexpected(ErrnoError(errno, "delete"));
  }
  const auto count = links_->find(std::string(digest));
  if (count == links_->end() || --count->second == 0) {
    ::unlink(BlobPath(digest).c_str());
    if (count != links_->end()) links_->erase(count);
  }
  return SyncDirectory(link.substr(0, link.rfind('/')));
}

Result<> Storage::DeleteBlob(std::string_view name, std::string_view digest) {
  std::lock_guard lock(mutex_);
  auto gone = Unlink(name, kLayers, digest);
  if (!gone && gone.error().code() == Code::kNotFound) return Fail(Code::kNotFound, "blob unknown to registry");
  return gone;
}

Result<> Storage::MountBlob(std::string_view name, std::string_view digest, std::string_view from) {
  std::lock_guard lock(mutex_);
  TRY(const BlobInfo info, StatBlob(from, digest));
  static_cast<void>(info);
  return Link(name, kLayers, digest, "");
}

Result<std::string> Storage::StartUpload() {
  std::string id = NewUuid();
  const UniqueFd fd(::open((root_ + "/uploads/" + id).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) return std::unexpected(ErrnoError(errno, "start upload"));
  return id;
}

Result<std::int64_t> Storage::UploadSize(std::string_view id) const {
  struct stat st;
  if (!IsUploadId(id) || ::stat(Cat(root_, "/uploads/", id).c_str(), &st) != 0) return Fail(Code::kNotFound, "blob upload unknown to registry");
  return static_cast<std::int64_t>(st.st_size);
}

Result<std::int64_t> Storage::AppendUpload(std::string_view id, std::optional<std::int64_t> offset, std::string_view bytes) {
  TRY(const std::int64_t size, UploadSize(id));
  if (offset && *offset != size) return Fail(Code::kInvalid, Cat("the upload has ", size, " bytes; a chunk must start there, not at ", *offset));
  const UniqueFd fd(::open(Cat(root_, "/uploads/", id).c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (!fd) return std::unexpected(ErrnoError(errno, "append to upload"));
  TRY_VOID(WriteAll(fd.get(), bytes));
  return size + static_cast<std::int64_t>(bytes.size());
}

// Durable before it has a name that anybody looks for.
Result<> Storage::AdoptFile(const std::string& file, std::string_view digest) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return std::unexpected(ErrnoError(errno, "open upload"));
  if (::fsync(fd.get()) != 0) return std::unexpected(ErrnoError(errno, "sync upload"));
  ::fchmod(fd.get(), 0644);
  const std::string path = BlobPath(digest);
  const std::string directory = path.substr(0, path.rfind('/'));
  TRY_VOID(MakeDirectories(directory, 0755));
  if (::rename(file.c_str(), path.c_str()) != 0) return std::unexpected(ErrnoError(errno, "keep upload"));
  TRY_VOID(SyncDirectory(directory));
  return SyncDirectory(directory.substr(0, directory.rfind('/')));
}

Result<> Storage::FinishUpload(std::string_view name, std::string_view id, std::string_view digest) {
  TRY(const std::int64_t size, UploadSize(id));
  static_cast<void>(size);
  const std::string file = Cat(root_, "/uploads/", id);
  TRY(const std::string actual, DigestOfFile(file, AlgorithmOf(digest)));
  if (actual != digest) return Fail(Code::kInvalid, Cat("provided digest ", digest, " did not match uploaded content (", actual, ")"));
  std::lock_guard lock(mutex_);
  TRY_VOID(AdoptFile(file, digest));
  return Link(name, kLayers, digest, "");
}

Result<> Storage::CancelUpload(std::string_view id) {
  TRY(const std::int64_t size, UploadSize(id));
  static_cast<void>(size);
  ::unlink(Cat(root_, "/uploads/", id).c_str());
  return {};
}

Result<Manifest> Storage::GetManifest(std::string_view name, std::string_view reference) const {
  Manifest m;
  if (IsValidDigest(reference)) {
    m.digest = reference;
  } else {
    if (!IsValidTag(reference)) return Fail(Code::kNotFound, "manifest unknown");
    auto digest = ReadFile(Cat(root_, "/repositories/", name, "/_tags/", reference), 256);
    if (!digest) return Fail(Code::kNotFound, "manifest unknown");
    m.digest = std::move(*digest);
  }
  auto type = ReadFile(LinkPath(name, kManifests, m.digest), 256);
  if (!type) return Fail(Code::kNotFound, "manifest unknown");
  m.media_type = std::move(*type);
  TRY(m.content, ReadFile(BlobPath(m.digest), 8 << 20));
  return m;
}

Result<std::string> Storage::PutManifest(std::string_view name, std::string_view reference, std::string_view media_type, std::string_view content) {
  const bool by_digest = IsValidDigest(reference);
  const std::string digest = by_digest && AlgorithmOf(reference) == "sha512"
                                 ? [&] {
                                     crypto::Digest d(crypto::Hash::kSha512);
                                     d.Update(content);
                                     return "sha512:" + d.FinishHex();
                                   }()
                                 : "sha256:" + crypto::Sha256Hex(content);
  if (by_digest && digest != reference) return Fail(Code::kInvalid, "provided digest did not match uploaded content");
  std::lock_guard lock(mutex_);
  const std::string path = BlobPath(digest);
  TRY_VOID(MakeDirectories(path.substr(0, path.rfind('/')), 0755));
  TRY_VOID(WriteFileDurably(path, content, 0644));
  TRY_VOID(Link(name, kManifests, digest, media_type));
  if (!by_digest) {
    const std::string tags = Cat(root_, "/repositories/", name, "/_tags");
    TRY_VOID(MakeDirectories(tags, 0755));
    TRY_VOID(WriteFileDurably(Cat(tags, "/", reference), digest, 0644));
  }
  return digest;
}

Result<> Storage::DeleteManifest(std::string_view name, std::string_view reference) {
  std::lock_guard lock(mutex_);
  const std::string tags = Cat(root_, "/repositories/", name, "/_tags");
  if (!IsValidDigest(reference)) {
    if (!IsValidTag(reference) || ::unlink(Cat(tags, "/", reference).c_str()) != 0) return Fail(Code::kNotFound, "manifest unknown");
    return SyncDirectory(tags);
  }
  struct stat st;
  if (::stat(LinkPath(name, kManifests, reference).c_str(), &st) != 0) return Fail(Code::kNotFound, "manifest unknown");
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(tags, error)) {   // tags first: none may point to what is gone
    auto digest = ReadFile(entry.path().string(), 256);
    if (digest && *digest == reference) fs::remove(entry.path(), error);
  }
  auto gone = Unlink(name, kManifests, reference);
  if (!gone && gone.error().code() == Code::kNotFound) return Fail(Code::kNotFound, "manifest unknown");
  return gone;
}

Result<std::vector<std::string>> Storage::Tags(std::string_view name) const {
  std::error_code error;
  if (!fs::is_directory(Cat(root_, "/repositories/", name), error)) return Fail(Code::kNotFound, "repository name not known to registry");
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(Cat(root_, "/repositories/", name, "/_tags"), error)) {
    std::string tag = entry.path().filename().string();
    if (tag.find(".tmp.") == std::string::npos) out.push_back(std::move(tag));
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<std::string> Storage::Repositories() const {
  std::vector<std::string> out;
  std::error_code error;
  const std::string base = root_ + "/repositories";
  for (auto it = fs::recursive_directory_iterator(base, error); it != fs::recursive_directory_iterator(); it.increment(error)) {
    if (error) break;
    const std::string leaf = it->path().filename().string();
    if (!leaf.starts_with('_')) continue;
    it.disable_recursion_pending();
    std::string name = it->path().parent_path().string().substr(base.size() + 1);
    if (out.empty() || out.back() != name) out.push_back(std::move(name));
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

std::vector<Manifest> Storage::Referrers(std::string_view name, std::string_view subject) const {
  std::vector<Manifest> out;
  std::error_code error;
  for (const char* algorithm : {"sha256", "sha512"}) {
    for (const auto& entry : fs::directory_iterator(Cat(root_, "/repositories/", name, "/", kManifests, "/", algorithm), error)) {
      auto m = GetManifest(name, Cat(algorithm, ":", entry.path().filename().string()));
      json::Value v;
      std::string why;
      if (m && json::Value::Parse(m->content, &v, &why) && v["subject"]["digest"].Str() == subject) out.push_back(std::move(*m));
    }
  }
  std::sort(out.begin(), out.end(), [](const Manifest& a, const Manifest& b) { return a.digest < b.digest; });
  return out;
}

}  // namespace skerry::registry
