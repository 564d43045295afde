#include "core/container/oci/user.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/base/unique_fd.h"
#include "core/container/oci/layer.h"

namespace skerry::container::oci {
namespace {

constexpr std::size_t kLimit = 4 << 20;

// A database of the image; absent or unreadable: empty.
std::string ReadInRoot(int root_fd, const char* path) {
  auto opened = OpenInRoot(root_fd, path, O_RDONLY | O_NONBLOCK);
  if (!opened) return {};
  const UniqueFd fd(*opened);
  struct stat st;
  if (::fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode)) return {};
  auto text = ReadFile(Cat("/proc/self/fd/", fd.get()), kLimit);
  return text ? *std::move(text) : std::string();
}

struct PasswdEntry {
  std::string name, home;
  std::int64_t uid = 0, gid = 0;
};

template <class Match>
std::optional<PasswdEntry> FindUser(const std::string& passwd, Match match) {
  for (const std::string_view line : Split(passwd, '\n')) {
    const auto f = Split(line, ':');
    if (f.size() < 6) continue;
    const auto uid = ParseInt(f[2]), gid = ParseInt(f[3]);
    if (!uid || !gid) continue;
    PasswdEntry entry{std::string(f[0]), std::string(f[5]), *uid, *gid};
    if (match(entry)) return entry;
  }
  return std::nullopt;
}

Result<std::int64_t> GroupId(const std::string& groups, std::string_view name) {
  if (const auto number = ParseInt(name)) return *number;
  for (const std::string_view line : Split(groups, '\n')) {
    const auto f = Split(line, ':');
    if (f.size() >= 3 && f[0] == name) {
      if (const auto gid = ParseInt(f[2])) return *gid;
    }
  }
  return Fail(Code::kInvalid, Cat("unable to find group ", name, ": no matching entries in group file"));
}

void AddMemberships(const std::string& groups, std::string_view user, std::vector<std::int64_t>& out) {
  for (const std::string_view line : Split(groups, '\n')) {
    const auto f = Split(line, ':');
    if (f.size() < 4) continue;
    const auto gid = ParseInt(f[2]);
    const auto members = Split(f[3], ',');
    if (gid && std::find(members.begin(), members.end(), user) != members.end()) out.push_back(*gid);
  }
}

bool ValidId(std::int64_t id) { return id >= 0 && id <= 0x7fffffff; }

}  // namespace

Result<ResolvedUser> ResolveUser(int root_fd, const User& wanted, const std::string& image_user) {
  const std::string passwd = ReadInRoot(root_fd, "/etc/passwd"), groups = ReadInRoot(root_fd, "/etc/group");
  ResolvedUser out;
  std::optional<PasswdEntry> entry;
  const std::size_t colon = image_user.find(':');
  const std::string user_part = image_user.substr(0, colon);
  if (wanted.uid) {
    out.uid = *wanted.uid;
    entry = FindUser(passwd, [&](const PasswdEntry& e) { return e.uid == out.uid; });
  } else if (const auto number = ParseInt(user_part); number || user_part.empty()) {
    out.uid = number.value_or(0);
    entry = FindUser(passwd, [&](const PasswdEntry& e) { return e.uid == out.uid; });
  } else {
    entry = FindUser(passwd, [&](const PasswdEntry& e) { return e.name == user_part; });
    if (!entry) return Fail(Code::kInvalid, Cat("unable to find user ", user_part, ": no matching entries in passwd file"));
    out.uid = entry->uid;
  }
  if (wanted.gid) {
    out.gid = *wanted.gid;
  } else if (!wanted.uid && colon != std::string::npos) {
    TRY(out.gid, GroupId(groups, std::string_view(image_user).substr(colon + 1)));
  } else if (entry) {
    out.gid = entry->gid;
  }
  if (!ValidId(out.uid) || !ValidId(out.gid)) return Fail(Code::kInvalid, "user and group ids must be in 0-2147483647");
  if (entry) {
    out.home = entry->home;
    if (wanted.merge_image_groups) AddMemberships(groups, entry->name, out.groups);
  }
  for (const std::int64_t gid : wanted.supplementary_groups) {
    if (!ValidId(gid)) return Fail(Code::kInvalid, "group ids must be in 0-2147483647");
    out.groups.push_back(gid);
  }
  std::sort(out.groups.begin(), out.groups.end());
  out.groups.erase(std::unique(out.groups.begin(), out.groups.end()), out.groups.end());
  return out;
}

Result<> MakeDirectoriesInRoot(int root_fd, const std::string& path) {
  std::string at;
  for (const std::string_view part : Split(path, '/')) {
    if (part.empty() || part == ".") continue;
    TRY(const int parent_fd, OpenInRoot(root_fd, at.empty() ? "." : at, O_PATH | O_DIRECTORY));
    const UniqueFd parent(parent_fd);
    const std::string name(part);
    if (name != ".." && ::mkdirat(parent.get(), name.c_str(), 0755) != 0 && errno != EEXIST) return std::unexpected(ErrnoError(errno, "create " + path));
    at += Cat("/", part);
  }
  return {};
}

}  // namespace skerry::container::oci
