#pragma once
#include <stdlib.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>

#include "core/netlink/netns.h"
#include "tests/support/asserting.h"
#include "tests/support/run.h"
#include "tests/support/skip.h"

// Network namespaces for tests, made and removed by the test itself.
namespace skerry::test {

inline bool IsRoot() {
  if (::geteuid() == 0) return true;
  Skip("needs root");
  return false;
}

class TempDirectory {
 public:
  TempDirectory() {
    char name[] = "/tmp/skerry-test.XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~TempDirectory() {
    const std::string said = RunText("rm -rf --one-file-system " + path_);
    if (!said.empty()) WARN("could not remove " + path_ + ": " + said);
  }
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class TestNetns {
 public:
  TestNetns() : path_(directory_.path() + "/ns") {
    auto made = netlink::CreateNetns(path_);
    if (!made) FAIL(made.error().message());
    auto fd = netlink::OpenNetns(path_);
    if (!fd) FAIL(fd.error().message());
    fd_ = std::move(*fd);
  }
  ~TestNetns() { static_cast<void>(netlink::DeleteNetns(path_)); }
  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }
  // Runs inside; an error fails the test.
  void Run(const std::function<Result<>()>& fn) const {
    auto r = netlink::InNetns(fd_.get(), [&fn] {
      asserts_for_test = true;
      return fn();
    });
    if (!r) FAIL(r.error().message());
  }

 private:
  TempDirectory directory_;
  std::string path_;
  UniqueFd fd_;
};

// As RunText, inside a namespace.
inline std::string RunIn(const TestNetns& ns, const std::string& line) { return RunText(line, ns.path()); }

}  // namespace skerry::test
