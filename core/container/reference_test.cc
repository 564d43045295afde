#include <catch2/catch.hpp>

#include "core/container/runtime.h"

namespace skerry::container {

TEST_CASE("image references are normalized the way users expect from Docker") {
  const std::string digest = "sha256:" + std::string(64, 'a');
  const std::vector<std::pair<std::string, std::string>> good = {
      {"busybox", "docker.io/library/busybox:latest"},
      {"user/app:v1", "docker.io/user/app:v1"},
      {"localhost/app", "localhost/app:latest"},
      {"127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b:latest"},
      {"127.0.0.1:5000/a/b:2.0", "127.0.0.1:5000/a/b:2.0"},
      {"index.docker.io/busybox", "docker.io/library/busybox:latest"},
      {"quay.io/a/b@" + digest, "quay.io/a/b@" + digest},
      {"quay.io/a/b:t@" + digest, "quay.io/a/b:t@" + digest},
      {"a__b/c-d.e", "docker.io/a__b/c-d.e:latest"},
  };
  for (const auto& [text, expected] : good) {
    const auto parsed = ImageReference::Parse(text);
    REQUIRE(parsed);
    CHECK(parsed->ToString() == expected);
  }
  for (const char* bad : {"", "Busybox", "a/../b", "a:b:c", "a@sha256:12", "a@md5:abc", "a/", "/a", "a b", "-a", "a:", "a___b"}) {
    INFO(bad);
    REQUIRE_FALSE(ImageReference::Parse(bad));
    CHECK(ImageReference::Parse(bad).error().code() == Code::kInvalid);
  }
}

TEST_CASE("ids that could leave a directory or an argument list are refused") {
  CHECK(IsValidId("0c5f-app_1.2"));
  for (const char* bad : {"", ".", "..", "-x", "a/b", "A", "a b", "_a"}) CHECK_FALSE(IsValidId(bad));
  CHECK_FALSE(IsValidId(std::string(129, 'a')));
}

}  // namespace skerry::container
