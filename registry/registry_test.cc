#include <catch2/catch.hpp>

#include <cstdlib>
#include <filesystem>

#include "core/base/files.h"
#include "registry/storage.h"

namespace skerry::registry {
namespace {

struct Scratch {
  Scratch() { REQUIRE(::mkdtemp(path)); }
  ~Scratch() { std::filesystem::remove_all(path); }
  char path[64] = "/tmp/skerry-registry-XXXXXX";
};

std::string Push(Storage& s, std::string_view name, std::string_view content) {
  const std::string digest = crypto::OciDigest(content);
  const std::string id = s.StartUpload().value();
  REQUIRE(s.AppendUpload(id, 0, content).value() == static_cast<std::int64_t>(content.size()));
  REQUIRE(s.FinishUpload(name, id, digest));
  return digest;
}

}  // namespace

TEST_CASE("an upload becomes a blob only with its right digest and may be resumed at its end alone", "[registry]") {
  Scratch scratch;
  auto s = Storage::Open(scratch.path).value();
  const std::string id = s->StartUpload().value();
  REQUIRE(s->AppendUpload(id, 0, "hello "));
  CHECK(s->AppendUpload(id, 3, "x").error().code() == Code::kInvalid);
  REQUIRE(s->AppendUpload(id, 6, "world"));
  const std::string digest = crypto::OciDigest("hello world");
  CHECK(s->FinishUpload("a/b", id, crypto::OciDigest("other")).error().code() == Code::kInvalid);
  REQUIRE(s->FinishUpload("a/b", id, digest));
  CHECK(s->UploadSize(id).error().code() == Code::kNotFound);
  CHECK(ReadFile(s->StatBlob("a/b", digest)->path).value() == "hello world");
  CHECK(s->StatBlob("c", digest).error().code() == Code::kNotFound);
}

TEST_CASE("content goes with the last repository that has it", "[registry]") {
  Scratch scratch;
  auto s = Storage::Open(scratch.path).value();
  const std::string digest = Push(*s, "a", "blob");
  REQUIRE(s->MountBlob("b", digest, "a"));
  const std::string path = s->StatBlob("a", digest)->path;
  REQUIRE(s->DeleteBlob("a", digest));
  CHECK(ReadFile(path));
  REQUIRE(s->DeleteBlob("b", digest));
  CHECK_FALSE(ReadFile(path));
  CHECK(s->DeleteBlob("b", digest).error().code() == Code::kNotFound);
  // The same again, with the links counted already; a second push of what is there is no second link.
  REQUIRE(Push(*s, "a", "blob") == digest);
  REQUIRE(Push(*s, "a", "blob") == digest);
  REQUIRE(s->MountBlob("b", digest, "a"));
  REQUIRE(s->DeleteBlob("b", digest));
  CHECK(ReadFile(path));
  REQUIRE(s->DeleteBlob("a", digest));
  CHECK_FALSE(ReadFile(path));
}

TEST_CASE("a manifest is found by tag and digest and deleting it takes its tags along", "[registry]") {
  Scratch scratch;
  auto s = Storage::Open(scratch.path).value();
  const std::string digest = s->PutManifest("team/app", "v1", "application/vnd.oci.image.manifest.v1+json", "{}").value();
  REQUIRE(s->PutManifest("team/app", "latest", "application/vnd.oci.image.manifest.v1+json", "{}"));
  CHECK(s->GetManifest("team/app", "v1")->digest == digest);
  CHECK(s->GetManifest("team/app", digest)->content == "{}");
  CHECK(s->Tags("team/app").value() == std::vector<std::string>{"latest", "v1"});
  CHECK(s->Repositories() == std::vector<std::string>{"team/app"});
  REQUIRE(s->DeleteManifest("team/app", digest));
  CHECK(s->Tags("team/app")->empty());
  CHECK(s->Tags("nothing").error().code() == Code::kNotFound);
}

TEST_CASE("names, tags and digests are checked before they become paths", "[registry]") {
  for (const char* good : {"a", "library/busybox", "a-b/c.d/e__f", "a--b"}) CHECK(IsValidName(good));
  for (const char* bad : {"", "/a", "a/", "a//b", "../a", "a/../b", "A", "a..b", "-a", "_layers", "a/_tags"}) CHECK_FALSE(IsValidName(bad));
  CHECK(IsValidTag("v1.2_3-x"));
  CHECK_FALSE(IsValidTag("../x"));
  CHECK_FALSE(IsValidDigest("sha256:../../etc"));
}

}  // namespace skerry::registry
