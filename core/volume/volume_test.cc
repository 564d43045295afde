#include "core/volume/volume.h"

#include <catch2/catch.hpp>

#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include <thread>

#include "core/base/fault.h"
#include "core/base/files.h"
#include "core/process/mounts.h"

namespace skerry::volume {
namespace {

struct TempTree {
  TempTree() { path = ::mkdtemp(buffer) != nullptr ? buffer : ""; }
  ~TempTree() {
    CHECK(process::UnmountBelow(path));
    CHECK(process::RemoveTree(path));
  }
  char buffer[32] = "/tmp/skerry-vol-XXXXXX";
  std::string path;
};

Ctx Soon() { return Ctx{std::stop_token(), std::chrono::steady_clock::now() + std::chrono::seconds(30)}; }

unsigned Mode(const std::string& path) {
  struct stat st{};
  return ::stat(path.c_str(), &st) == 0 ? st.st_mode & 07777 : 0;
}
gid_t Group(const std::string& path) {
  struct stat st{};
  return ::lstat(path.c_str(), &st) == 0 ? st.st_gid : 0;
}
bool Exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

}  // namespace

TEST_CASE("an empty directory is open to all, on disk or in memory, and gone with what is in it", "[root]") {
  if (::geteuid() != 0) return;
  const TempTree tree;
  EmptyDir plugin;
  const Request disk{.target_dir = tree.path + "/pods/u/volumes/d"};
  REQUIRE(plugin.SetUp(Soon(), disk).value() == disk.target_dir);
  CHECK(Mode(disk.target_dir) == 0777);
  REQUIRE(WriteFileDurably(disk.target_dir + "/f", "kept"));
  REQUIRE(plugin.SetUp(Soon(), disk));
  CHECK(ReadFile(disk.target_dir + "/f").value() == "kept");
  const Request memory{.target_dir = tree.path + "/m", .params = {{"medium", "Memory"}, {"size_bytes", "1048576"}}, .fs_group = 4321};
  REQUIRE(plugin.SetUp(Soon(), memory));
  REQUIRE(plugin.SetUp(Soon(), memory));
  struct statfs fs{};
  REQUIRE(::statfs(memory.target_dir.c_str(), &fs) == 0);
  CHECK(fs.f_type == TMPFS_MAGIC);
  CHECK(fs.f_blocks * static_cast<std::uint64_t>(fs.f_bsize) == 1048576);
  CHECK(Mode(memory.target_dir) == 02777);
  CHECK(Group(memory.target_dir) == 4321);
  CHECK_FALSE(WriteFileDurably(memory.target_dir + "/big", std::string(2 << 20, 'x')));
  for (const Request& r : {disk, memory}) {
    REQUIRE(plugin.TearDown(Soon(), r.target_dir));
    REQUIRE(plugin.TearDown(Soon(), r.target_dir));
    CHECK_FALSE(Exists(r.target_dir));
  }
}

TEST_CASE("host paths are checked for their type and made where that is asked for", "[root]") {
  if (::geteuid() != 0) return;
  const TempTree tree;
  HostPath plugin;
  const auto set_up = [&](const std::string& path, const std::string& type) { return plugin.SetUp(Soon(), {.params = {{"path", path}, {"type", type}}}); };
  CHECK(set_up(tree.path + "/absent", ""));
  CHECK(set_up(tree.path + "/absent", "Directory").error().message() == "hostPath type check failed: " + tree.path + "/absent is not a directory");
  REQUIRE(set_up(tree.path + "/d", "DirectoryOrCreate"));
  CHECK(Mode(tree.path + "/d") == 0755);
  REQUIRE(set_up(tree.path + "/f", "FileOrCreate"));
  CHECK(set_up(tree.path + "/f", "File"));
  CHECK(set_up("/dev/null", "CharDevice"));
  CHECK(set_up(tree.path + "/f", "Socket").error().code() == Code::kInvalid);
  CHECK(set_up("relative", "").error().code() == Code::kInvalid);
}

TEST_CASE("projected files have their modes and owners, change as one and disappear when dropped", "[root]") {
  if (::geteuid() != 0) return;
  const TempTree tree;
  Projected plugin;
  Request request{.target_dir = tree.path + "/p", .payload = {{"a", {"1", 0644}}, {"dir/sub/b", {"2", 0400}}}};
  REQUIRE(plugin.SetUp(Soon(), request));
  const std::string first = tree.path + "/p/";
  CHECK(ReadFile(first + "a").value() == "1");
  CHECK(ReadFile(first + "dir/sub/b").value() == "2");
  CHECK(Mode(first + "a") == 0644);
  CHECK(Mode(first + "dir/sub/b") == 0400);
  const auto link = [&](const char* name) {
    char text[256];
    const ssize_t n = ::readlink((first + name).c_str(), text, sizeof text);
    return std::string(text, n > 0 ? static_cast<std::size_t>(n) : 0);
  };
  CHECK(link("a") == "..data/a");
  CHECK(link("dir") == "..data/dir");
  const std::string generation = link("..data");
  CHECK(generation.starts_with(".."));
  REQUIRE(plugin.SetUp(Soon(), request));
  CHECK(link("..data") == generation);
  request.payload = {{"a", {"changed", 0644}}, {"c", {"3", 0440, 1234}}};
  request.fs_group = 1001;
  REQUIRE(plugin.SetUp(Soon(), request));
  CHECK(link("..data") != generation);
  CHECK_FALSE(Exists(first + generation));
  CHECK(ReadFile(first + "a").value() == "changed");
  CHECK_FALSE(Exists(first + "dir"));
  CHECK(link("dir").empty());
  CHECK(Group(first + "..data/a") == 1001);
  CHECK(Mode(first + "c") == 0440);
  struct stat st{};
  REQUIRE(::stat((first + "c").c_str(), &st) == 0);
  CHECK(st.st_uid == 1234);
  // Damage is seen and repaired although the payload did not change.
  REQUIRE(WriteFileDurably(first + "..data/a", "tampered"));
  REQUIRE(plugin.SetUp(Soon(), request));
  CHECK(ReadFile(first + "a").value() == "changed");
  request.payload.clear();
  REQUIRE(plugin.SetUp(Soon(), request));
  CHECK(link("a").empty());
  REQUIRE(plugin.TearDown(Soon(), request.target_dir));
  CHECK_FALSE(Exists(request.target_dir));
}

TEST_CASE("a secret with mode 0400 becomes readable for the group that owns the volume", "[root]") {
  if (::geteuid() != 0) return;
  const TempTree tree;
  Projected plugin;
  const Request request{.target_dir = tree.path + "/s", .params = {{"medium", "Memory"}}, .payload = {{"key", {"x", 0400}}}, .fs_group = 1001};
  REQUIRE(plugin.SetUp(Soon(), request));
  CHECK(Mode(tree.path + "/s/key") == 0440);
  CHECK(Group(tree.path + "/s/..data/key") == 1001);
  CHECK(process::IsMountPoint(tree.path + "/s").value());
}

TEST_CASE("paths that leave a projected volume are refused before anything is written", "[root]") {
  const TempTree tree;
  Projected plugin;
  for (const char* bad : {"../x", "/x", "a/../b", "..data", "..x", "", "a//b", "a/./b"}) {
    INFO(bad);
    CHECK(plugin.SetUp(Soon(), {.target_dir = tree.path + "/p", .payload = {{bad, {"1"}}}}).error().code() == Code::kInvalid);
  }
  CHECK_FALSE(Exists(tree.path + "/p"));
}

#ifdef SKERRY_FAULT_POINTS
TEST_CASE("an update that is cut off leaves the old files, and the next one succeeds", "[root]") {
  if (::geteuid() != 0) return;
  const TempTree tree;
  Projected plugin;
  Request request{.target_dir = tree.path + "/p", .payload = {{"a", {"old"}}}};
  REQUIRE(plugin.SetUp(Soon(), request));
  request.payload["a"].content = "new";
  fault::SetFault("volume.projected.before_switch", Error(Code::kUnavailable, "cut"));
  CHECK_FALSE(plugin.SetUp(Soon(), request));
  CHECK(ReadFile(tree.path + "/p/a").value() == "old");
  REQUIRE(plugin.SetUp(Soon(), request));
  CHECK(ReadFile(tree.path + "/p/a").value() == "new");
}
#endif

TEST_CASE("a reader of a projected volume never sees a mixture of two versions", "[root]") {
  if (::geteuid() != 0) return;
  const TempTree tree;
  Projected plugin;
  Request request{.target_dir = tree.path + "/p", .payload = {{"a", {"0"}}, {"b", {"0"}}}};
  REQUIRE(plugin.SetUp(Soon(), request));
  std::atomic<bool> done = false;
  std::atomic<int> mixed = 0, reads = 0;
  std::thread reader([&] {
    while (!done) {
      // One look at ..data, then both files of that generation: what an application does that opens the directory.
      char text[256];
      const ssize_t n = ::readlink((tree.path + "/p/..data").c_str(), text, sizeof text);
      const std::string generation = tree.path + "/p/" + std::string(text, n > 0 ? static_cast<std::size_t>(n) : 0);
      const auto a = ReadFile(generation + "/a"), b = ReadFile(generation + "/b");
      if (a && b && *a != *b) ++mixed;
      if (ReadFile(tree.path + "/p/a")) ++reads;
    }
  });
  for (int i = 1; i <= 50; ++i) {
    request.payload["a"].content = request.payload["b"].content = std::to_string(i);
    if (!plugin.SetUp(Soon(), request)) break;
  }
  while (reads == 0) std::this_thread::yield();
  done = true;
  reader.join();
  CHECK(mixed == 0);
  CHECK(ReadFile(tree.path + "/p/b").value() == "50");
}

TEST_CASE("a group gets a whole tree without following links out of it", "[root]") {
  if (::geteuid() != 0) return;
  const TempTree tree;
  REQUIRE(MakeDirectories(tree.path + "/v/d", 0700));
  REQUIRE(WriteFileDurably(tree.path + "/v/d/f", "1", 0600));
  REQUIRE(WriteFileDurably(tree.path + "/outside", "1", 0600));
  REQUIRE(::symlink((tree.path + "/outside").c_str(), (tree.path + "/v/link").c_str()) == 0);
  REQUIRE(ApplyFsGroup(Soon(), tree.path + "/v", 777, OwnershipPolicy::kOnRootMismatch, false));
  CHECK(Mode(tree.path + "/v/d") == 02770);
  CHECK(Mode(tree.path + "/v/d/f") == 0660);
  CHECK(Group(tree.path + "/v/d/f") == 777);
  CHECK(Group(tree.path + "/v/link") == 777);
  CHECK(Group(tree.path + "/outside") == 0);
  CHECK(Mode(tree.path + "/outside") == 0600);
  REQUIRE(WriteFileDurably(tree.path + "/v/new", "1", 0600));
  REQUIRE(ApplyFsGroup(Soon(), tree.path + "/v", 777, OwnershipPolicy::kOnRootMismatch, false));
  CHECK(Mode(tree.path + "/v/new") == 0600);
  REQUIRE(ApplyFsGroup(Soon(), tree.path + "/v", 777, OwnershipPolicy::kAlways, false));
  CHECK(Mode(tree.path + "/v/new") == 0660);
}

TEST_CASE("a sub-path is bound to what it was when it was resolved and cannot leave its volume", "[root]") {
  if (::geteuid() != 0) return;
  const TempTree tree;
  REQUIRE(MakeDirectories(tree.path + "/v", 0750));
  REQUIRE(WriteFileDurably(tree.path + "/v/file", "f"));
  REQUIRE(MakeDirectories(tree.path + "/outside"));
  REQUIRE(::symlink((tree.path + "/outside").c_str(), (tree.path + "/v/abs").c_str()) == 0);
  REQUIRE(::symlink("../outside", (tree.path + "/v/up").c_str()) == 0);
  REQUIRE(::symlink("file", (tree.path + "/v/in").c_str()) == 0);
  const auto prepare = [&](const char* sub, const char* anchor) { return PrepareSubPath(tree.path + "/v", sub, tree.path + "/anchors/" + anchor); };
  for (const char* bad : {"abs", "up", "abs/x", "../outside", "a/../../outside", "/etc"}) {
    INFO(bad);
    CHECK(prepare(bad, "bad").error().code() == Code::kInvalid);
  }
  CHECK_FALSE(Exists(tree.path + "/outside/x"));
  CHECK(ReadFile(prepare("in", "0").value()).value() == "f");
  const std::string made = prepare("new/deep", "1").value();
  CHECK(Mode(tree.path + "/v/new/deep") == 0750);
  REQUIRE(WriteFileDurably(made + "/x", "1"));
  CHECK(ReadFile(tree.path + "/v/new/deep/x").value() == "1");
  // Whoever swaps the directory for a link afterwards gains nothing.
  REQUIRE(::rename((tree.path + "/v/new/deep").c_str(), (tree.path + "/v/moved").c_str()) == 0);
  REQUIRE(::symlink((tree.path + "/outside").c_str(), (tree.path + "/v/new/deep").c_str()) == 0);
  CHECK(ReadFile(made + "/x").value() == "1");
  CHECK(prepare("in", "0"));
  REQUIRE(ReleaseSubPath(tree.path + "/anchors/0"));
  REQUIRE(ReleaseSubPath(tree.path + "/anchors/0"));
  REQUIRE(ReleaseSubPath(tree.path + "/anchors/1"));
  CHECK(ReadFile(tree.path + "/v/moved/x").value() == "1");
}

}  // namespace skerry::volume
