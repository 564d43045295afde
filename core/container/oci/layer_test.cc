#include "core/container/oci/layer.h"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "core/base/files.h"
#include "core/container/oci/store.h"
#include "core/container/oci/testing.h"
#include "core/crypto/digest.h"
#include "core/process/mounts.h"

namespace skerry::container::oci {

using testing::Scratch;
using testing::Tar;
using testing::Within;

namespace {
Result<UnpackedLayer> Unpack(const Scratch& dir, const std::string& bytes, const UnpackLimits& limits = {}) {
  REQUIRE(process::RemoveTree(dir.path + "/l"));
  REQUIRE(MakeDirectories(dir.path + "/l", 0755));
  auto source = OpenMemorySource(bytes);
  return UnpackLayer(Within(60), *source, dir.path + "/l", limits);
}
}  // namespace

TEST_CASE("a layer keeps owners, modes, links, attributes and times, whatever compresses it", "[root]") {
  if (::geteuid() != 0) return;
  const Scratch dir;
  const std::string tar = Tar().Directory("d", 01777).File("d/f", "hello", {.mode = 04755, .uid = 12, .gid = 34, .pax = {{"SCHILY.xattr.user.note", "n"}}})
                              .HardLink("d/g", "d/f").Symlink("s", "/d/f").Device("d/null", 1, 3).File("deep/er/x", "1").File("name-\xc3\xa9", "u").Finish();
  for (const std::string& bytes : {tar, testing::Compress("/bin/gzip", tar)}) {
    const auto layer = Unpack(dir, bytes);
    INFO((layer ? "" : layer.error().message()));
    REQUIRE(layer);
    CHECK(layer->diff_id == crypto::OciDigest(tar));
    CHECK(layer->digest == crypto::OciDigest(bytes));
    CHECK(layer->bytes == 7);
    struct stat st{};
    REQUIRE(::stat((dir.path + "/l/d/f").c_str(), &st) == 0);
    CHECK(st.st_mode == (S_IFREG | 04755));
    CHECK(st.st_uid == 12);
    CHECK(st.st_gid == 34);
    CHECK(st.st_nlink == 2);
    CHECK(st.st_mtim.tv_sec == 1'700'000'000);
    char value[8];
    CHECK(::getxattr((dir.path + "/l/d/f").c_str(), "user.note", value, sizeof value) == 1);
    REQUIRE(::stat((dir.path + "/l/d").c_str(), &st) == 0);
    CHECK(st.st_mode == (S_IFDIR | 01777));
    CHECK(st.st_mtim.tv_sec == 1'700'000'000);
    REQUIRE(::lstat((dir.path + "/l/s").c_str(), &st) == 0);
    CHECK(S_ISLNK(st.st_mode));
    REQUIRE(::stat((dir.path + "/l/d/null").c_str(), &st) == 0);
    CHECK(st.st_rdev == ::makedev(1, 3));
    CHECK(ReadFile(dir.path + "/l/deep/er/x").value() == "1");
    CHECK(ReadFile(dir.path + "/l/name-\xc3\xa9").value() == "u");
  }
}

TEST_CASE("whiteouts hide what lower layers have and nothing of their own layer", "[root]") {
  if (::geteuid() != 0) return;
  const Scratch dir;
  for (const char* sub : {"/l", "/a", "/t", "/u", "/w"}) REQUIRE(MakeDirectories(dir.path + sub, 0755));
  {
    auto source = OpenMemorySource(Tar().Directory("o").File("o/old", "1").File("gone", "1").File("kept", "1").Directory("sub").File("sub/x", "1").Finish());
    REQUIRE(UnpackLayer(Within(60), *source, dir.path + "/a"));
  }
  REQUIRE(Unpack(dir, Tar().Directory("o").File("o/.wh..wh..opq", "").File("o/new", "2").File(".wh.gone", "").File("sub/.wh.x", "").File(".wh..wh.plnk", "").Finish()));
  REQUIRE(process::MountOverlay(dir.path, {"l", "a"}, "", "", dir.path + "/t"));
  const auto exists = [&](const char* name) { return ::access((dir.path + "/t/" + name).c_str(), F_OK) == 0; };
  CHECK(exists("o/new"));
  CHECK_FALSE(exists("o/old"));
  CHECK_FALSE(exists("gone"));
  CHECK(exists("kept"));
  CHECK(exists("sub"));
  CHECK_FALSE(exists("sub/x"));
}

TEST_CASE("no entry of a layer reaches outside its directory", "[root]") {
  if (::geteuid() != 0) return;
  const Scratch dir;
  REQUIRE(MakeDirectories(dir.path + "/outside"));
  REQUIRE(WriteFileDurably(dir.path + "/outside/secret", "s"));
  CHECK(Unpack(dir, Tar().File("../outside/x", "1").Finish()).error().code() == Code::kInvalid);
  CHECK(Unpack(dir, Tar().File("a/../../x", "1").Finish()).error().code() == Code::kInvalid);
  CHECK(Unpack(dir, Tar().File("ok", "1").HardLink("h", "../outside/secret").Finish()).error().code() == Code::kInvalid);
  CHECK(Unpack(dir, Tar().HardLink("h", "missing").Finish()).error().code() == Code::kInvalid);
  // A link that points out is kept as text; what is written "through" it lands inside.
  REQUIRE(Unpack(dir, Tar().Symlink("esc", dir.path + "/outside").Directory(dir.path.substr(1) + "/outside").File("esc/x", "1").Finish()));
  CHECK(::access((dir.path + "/outside/x").c_str(), F_OK) != 0);
  CHECK(ReadFile(dir.path + "/l" + dir.path + "/outside/x").value() == "1");
  REQUIRE(Unpack(dir, Tar().Symlink("f", dir.path + "/outside/secret").File("f", "overwritten").Finish()));
  CHECK(ReadFile(dir.path + "/outside/secret").value() == "s");
  CHECK(ReadFile(dir.path + "/l/f").value() == "overwritten");
  REQUIRE(Unpack(dir, Tar().Directory("d").File("d/x", "1").File("d", "now a file").Finish()));
  CHECK(ReadFile(dir.path + "/l/d").value() == "now a file");
}

TEST_CASE("damaged, cut and oversized layers are refused", "[root]") {
  if (::geteuid() != 0) return;
  const Scratch dir;
  const std::string tar = Tar().File("f", std::string(5000, 'x')).Finish();
  CHECK(Unpack(dir, "this is not a tar stream, not at all " + std::string(600, 'y')).error().code() == Code::kCorruption);
  CHECK(Unpack(dir, tar.substr(0, 3000)).error().code() == Code::kCorruption);
  std::string zipped = testing::Compress("/bin/gzip", tar);
  CHECK(Unpack(dir, zipped.substr(0, zipped.size() / 2)).error().code() == Code::kCorruption);
  CHECK(Unpack(dir, tar, {.bytes = 4999}).error().code() == Code::kTooLarge);
  CHECK(Unpack(dir, tar, {.entries = 0}).error().code() == Code::kTooLarge);
  std::stop_source stop;
  stop.request_stop();
  auto source = OpenMemorySource(tar);
  CHECK(UnpackLayer(Ctx{stop.get_token()}, *source, dir.path + "/l").error().code() == Code::kCancelled);
}

TEST_CASE("the image store shares layers, survives a reopen and forgets what was cut off", "[root]") {
  if (::geteuid() != 0) return;
  const Scratch dir;
  const std::string tar = Tar().File("f", "1").Finish(), other = Tar().File("g", "2").Finish();
  const std::string diff = crypto::OciDigest(tar), diff2 = crypto::OciDigest(other);
  const auto config = [&](const char* name) { return std::string(R"({"config":{"Cmd":[")") + name + R"("]},"rootfs":{"diff_ids":[")" + diff + "\"]}}"; };
  auto store = ImageStore::Open(dir.path + "/images").value();
  int opened = 0;
  const auto open = [&]() -> Result<std::unique_ptr<ByteSource>> {
    ++opened;
    return OpenMemorySource(tar);
  };
  REQUIRE(store->EnsureLayer(Within(60), diff, "", open));
  REQUIRE(store->EnsureLayer(Within(60), diff, "", open));
  CHECK(opened == 1);
  CHECK(store->EnsureLayer(Within(60), diff2, "", open).error().code() == Code::kCorruption);
  CHECK(store->EnsureLayer(Within(60), diff2, diff2, open).error().code() == Code::kCorruption);
  CHECK_FALSE(store->HasLayer(diff2));
  const std::string a = store->AddImage(config("a"), "docker.io/library/a:latest", "docker.io/library/a@" + diff2).value();
  const std::string b = store->AddImage(config("b"), "docker.io/library/b:latest", "").value();
  REQUIRE(MakeDirectories(dir.path + "/images/layers/halfunpacked"));
  store = ImageStore::Open(dir.path + "/images").value();
  CHECK(::access((dir.path + "/images/layers/halfunpacked").c_str(), F_OK) != 0);
  CHECK(store->Find("a")->id == a);
  CHECK(store->Find("a@" + diff2)->id == a);
  CHECK(store->Find(b)->bytes == 1);
  CHECK(ParseImageConfig(store->Find("b")->config)->cmd == std::vector<std::string>{"b"});
  REQUIRE(store->RemoveImage(a));
  CHECK(store->HasLayer(diff));
  CHECK(store->Find("a").error().code() == Code::kNotFound);
  REQUIRE(store->RemoveImage(b));
  CHECK_FALSE(store->HasLayer(diff));
  CHECK(::access((store->LayersDirectory() + "/" + LayerKey(diff)).c_str(), F_OK) != 0);
}

}  // namespace skerry::container::oci
