#include "embedded-kube-shim/node/log_followers.h"

#include <catch2/catch.hpp>

#include "core/base/files.h"
#include "tests/support/netns.h"

namespace skerry::kube::node {

TEST_CASE("a follower at the end of a log is told when its container has ended, and no other", "[node]") {
  const test::TempDirectory directory;
  const std::string path = directory.path() + "/log";
  REQUIRE(WriteFileDurably(path, "2026-11-21T01:34:33.1Z stdout F last words\n"));
  bool running = true;
  container::LogOptions follow;
  follow.follow = true;
  LogFollowers followers;
  int woken = 0;
  {
    auto reader = followers.Track("mine", container::LogReader::Open(path, follow, nullptr, [&] { return running; }).value());
    reader->OnReady([&] { ++woken; });
    CHECK(reader->Next().value() == "last words\n");
    CHECK(reader->Next().value() == "");
    followers.Ended("another's");
    CHECK(woken == 0);
    running = false;
    followers.Ended("mine");
    CHECK(woken == 1);
    CHECK(reader->Next().error().code() == Code::kCancelled);
    followers.WakeAll();
    CHECK(woken == 2);
  }
  followers.Ended("mine");   // gone: not called any more
  CHECK(woken == 2);
}

}  // namespace skerry::kube::node
