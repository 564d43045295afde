#include <catch2/catch.hpp>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/container/oci/images.h"
#include "core/container/oci/testing.h"
#include "core/crypto/digest.h"

// The distribution protocol against a registry that lives in a map; real registries are in registry/ and tests/.
namespace skerry::container::oci {
namespace {

using testing::Scratch;
using testing::Tar;
using testing::Within;

class FakeRegistry final : public Transport {
 public:
  std::string Put(const std::string& bytes) {
    const std::string digest = crypto::OciDigest(bytes);
    documents["/v2/a/b/blobs/" + digest] = bytes;
    documents["/v2/a/b/manifests/" + digest] = bytes;
    return digest;
  }
  // An image of one layer under the tag, inside a list for two platforms.
  void PutImage(const std::string& tag, const std::string& layer) {
    const std::string zipped = testing::Compress("/bin/gzip", layer);
    const std::string layer_digest = Put(zipped);
    const std::string config = Put(Cat(R"({"config":{"Cmd":["x"]},"rootfs":{"diff_ids":[")", crypto::OciDigest(layer), "\"]}}"));
    const std::string manifest = Put(Cat(R"({"schemaVersion":2,"config":{"digest":")", config, R"(","size":1},"layers":[{"digest":")", layer_digest, R"(","size":)", zipped.size(), "}]}"));
    const std::string index = Cat(R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[)",
                                  R"({"digest":")", Put("arm"), R"(","platform":{"os":"linux","architecture":"s390x"}},)",
                                  R"({"digest":")", manifest, R"(","platform":{"os":"linux","architecture":")", kArchitecture, "\"}}]}");
    documents["/v2/a/b/manifests/" + tag] = index;
    index_digest = Put(index);
    blob_path = "/v2/a/b/blobs/" + layer_digest;
  }

  Result<TransportResponse> Do(const Ctx&, const TransportRequest& request, const Sink& sink) override {
    const std::string path = request.url.substr(request.url.find('/', 8));
    std::string authorization;
    for (const auto& [name, value] : request.headers) {
      if (name == "Authorization") authorization = value;
    }
    requests.push_back(Cat(request.method, " ", path));
    if (path.starts_with("/token")) {
      if (!token_credentials.empty() && authorization != token_credentials) return Answer(401, R"({"details":"who are you"})", sink);
      return Answer(200, R"({"token":"T0"})", sink);
    }
    if (wants_token && (authorization != "Bearer T0" || (expires_once && path.find("/blobs/") != std::string::npos && std::exchange(expires_once, false)))) {
      TransportResponse response{401, {{"www-authenticate", R"(Bearer realm="https://auth.example/token",service="reg",scope="repository:a/b:pull")"}}};
      return response;
    }
    const auto it = documents.find(path);
    if (it == documents.end()) return Answer(404, R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]})", sink);
    return Answer(200, it->second, sink);
  }

  static Result<TransportResponse> Answer(int status, const std::string& body, const Sink& sink) {
    if (status != 200) return TransportResponse{status, {}, body};
    for (std::size_t at = 0; at < body.size(); at += 1000) {
      if (!sink(std::string_view(body).substr(at, 1000))) return Fail(Code::kCancelled, "stopped");
    }
    return TransportResponse{status, {}};
  }

#if defined(__aarch64__)
  static constexpr const char* kArchitecture = "arm64";
#else
  static constexpr const char* kArchitecture = "amd64";
#endif
  std::map<std::string, std::string> documents;
  std::vector<std::string> requests;
  std::string index_digest, blob_path, token_credentials;
  bool wants_token = false, expires_once = false;
};

struct PullRig {
  PullRig() {
    options.data_dir = dir.path;
    options.transport = registry;
    images = OciImages::Open(options, [](const std::string&) { return false; }).value();
    registry->PutImage("1", Tar().File("f", std::string(200'000, 'f')).Finish());
  }
  Scratch dir;
  std::shared_ptr<FakeRegistry> registry = std::make_shared<FakeRegistry>();
  Options options;
  std::unique_ptr<OciImages> images;
};

}  // namespace

TEST_CASE("a pull takes this machine's image out of a list, with a token, and a second one fetches no layer", "[root]") {
  if (::geteuid() != 0) return;
  PullRig rig;
  rig.registry->wants_token = rig.registry->expires_once = true;
  const auto image = rig.images->Pull(Within(60), "reg.example/a/b:1", {}, {});
  INFO((image ? "" : image.error().message()));
  REQUIRE(image);
  CHECK(image->tags == std::vector<std::string>{"reg.example/a/b:1"});
  CHECK(image->digests == std::vector<std::string>{"reg.example/a/b@" + rig.registry->index_digest});
  CHECK(image->size_bytes == 200'000);
  CHECK(image->config.cmd == std::vector<std::string>{"x"});
  const auto fetched = std::count(rig.registry->requests.begin(), rig.registry->requests.end(), "GET " + rig.registry->blob_path);
  REQUIRE(rig.images->Pull(Within(60), "reg.example/a/b@" + rig.registry->index_digest, {}, {}));
  CHECK(std::count(rig.registry->requests.begin(), rig.registry->requests.end(), "GET " + rig.registry->blob_path) == fetched);
  CHECK(rig.images->Find("reg.example/a/b@" + rig.registry->index_digest)->id == image->id);
  REQUIRE(rig.images->Remove("reg.example/a/b:1"));
  CHECK(rig.images->List()->empty());
}

TEST_CASE("what a registry refuses or falsifies is told apart", "[root]") {
  if (::geteuid() != 0) return;
  PullRig rig;
  const auto pull = [&](const char* name, const Credentials& credentials = {}) { return rig.images->Pull(Within(60), name, credentials, {}); };
  CHECK(pull("reg.example/a/b:none").error().code() == Code::kNotFound);
  CHECK(pull("reg.example/a/b:none").error().message().find("manifest unknown") != std::string_view::npos);
  rig.registry->wants_token = true;
  rig.registry->token_credentials = "Basic dTpw";
  CHECK(pull("reg.example/a/b:1").error().code() == Code::kUnauthenticated);
  CHECK(pull("reg.example/a/b:1", {.username = "u", .password = "wrong"}).error().code() == Code::kUnauthenticated);
  std::string& blob = rig.registry->documents[rig.registry->blob_path];
  const std::string whole = blob;
  blob = testing::Compress("/bin/gzip", Tar().File("evil", "1").Finish());
  CHECK(pull("reg.example/a/b:1", {.username = "u", .password = "p"}).error().code() == Code::kCorruption);
  blob = whole.substr(0, whole.size() / 2);
  CHECK(pull("reg.example/a/b:1", {.username = "u", .password = "p"}).error().code() == Code::kCorruption);
  CHECK(rig.images->List()->empty());
  const std::string kept = rig.registry->blob_path;
  blob = whole;
  auto node = rig.registry->documents.extract(kept);
  CHECK(pull("reg.example/a/b:1", {.username = "u", .password = "p"}).error().code() == Code::kNotFound);   // not "no tar stream"
  rig.registry->documents.insert(std::move(node));
  CHECK(pull("reg.example/a/b:1", {.username = "u", .password = "p"}));
  rig.registry->documents["/v2/a/b/manifests/other"] = R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"digest":"sha256:0","platform":{"os":"linux","architecture":"s390x"}}]})";
  CHECK(pull("reg.example/a/b:other", {.username = "u", .password = "p"}).error().message().find("s390x") != std::string_view::npos);
  // Not in a list: only its configuration says what it is for.
  const std::string config = rig.registry->Put(R"({"architecture":"s390x","os":"linux","rootfs":{"diff_ids":[]}})");
  rig.registry->documents["/v2/a/b/manifests/alone"] = Cat(R"({"schemaVersion":2,"config":{"digest":")", config, R"(","size":1},"layers":[]})");
  const auto foreign = pull("reg.example/a/b:alone", {.username = "u", .password = "p"});
  REQUIRE(!foreign);
  CHECK(foreign.error().message().find("the image is for linux/s390x") != std::string_view::npos);
}

TEST_CASE("layers of our own registry are unpacked from its directory and still verified", "[root]") {
  if (::geteuid() != 0) return;
  PullRig rig;
  const std::string digest = rig.registry->blob_path.substr(rig.registry->blob_path.rfind(':') + 1);
  const std::string blob = rig.registry->documents[rig.registry->blob_path];
  rig.registry->documents.erase(rig.registry->blob_path);
  const std::string directory = rig.dir.path + "/registry/blobs/sha256/" + digest.substr(0, 2);
  REQUIRE(MakeDirectories(directory));
  REQUIRE(WriteFileDurably(directory + "/" + digest, blob + "damaged"));
  rig.options.local_registries = {{.hosts = {"reg.example"}, .data_dir = rig.dir.path + "/registry"}};
  rig.images = OciImages::Open(rig.options, [](const std::string&) { return false; }).value();
  CHECK(rig.images->Pull(Within(60), "reg.example/a/b:1", {}, {}).error().code() == Code::kCorruption);
  REQUIRE(WriteFileDurably(directory + "/" + digest, blob));
  CHECK(rig.images->Pull(Within(60), "reg.example/a/b:1", {}, {}));
}

TEST_CASE("an image is mounted read-only for a volume and stays until it is released", "[root]") {
  if (::geteuid() != 0) return;
  PullRig rig;
  REQUIRE(rig.images->Pull(Within(60), "reg.example/a/b:1", {}, {}));
  const std::string path = rig.images->MountImage(Within(60), "reg.example/a/b:1", "vol-1").value();
  CHECK(rig.images->MountImage(Within(60), "reg.example/a/b:1", "vol-1").value() == path);
  CHECK(ReadFile(path + "/f")->size() == 200'000);
  CHECK_FALSE(WriteFileDurably(path + "/g", "x"));
  CHECK(rig.images->Remove("reg.example/a/b:1").error().code() == Code::kConflict);
  REQUIRE(rig.images->UnmountImage("vol-1"));
  REQUIRE(rig.images->UnmountImage("vol-1"));
  CHECK(rig.images->Remove("reg.example/a/b:1"));
}

TEST_CASE("challenges and base 64 are read and written as registries do") {
  const auto parsed = ParseChallenge(R"(Bearer realm="https://a/t?x=1",service="s, t",scope="repository:a:pull,push")");
  CHECK(parsed.at("") == "bearer");
  CHECK(parsed.at("realm") == "https://a/t?x=1");
  CHECK(parsed.at("service") == "s, t");
  CHECK(parsed.at("scope") == "repository:a:pull,push");
  CHECK(ParseChallenge("Basic").at("") == "basic");
  CHECK(Base64("u:p") == "dTpw");
  CHECK(Base64("a") == "YQ==");
  CHECK(Base64("ab") == "YWI=");
}

}  // namespace skerry::container::oci
