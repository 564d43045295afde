#pragma once
#include <stdlib.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>

#include "core/netlink/netns.h"

// Network namespaces for tests, made and removed by the test itself.
namespace skerry::test {

inline bool IsRoot() {
  if (::geteuid() == 0) return true;
  WARN("skipped: needs root");
  return false;
}

class TempDirectory {
 public:
  TempDirectory() {
    char name[] = "/tmp/skerry-test.XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~TempDirectory() {
    const std::string command = "rm -rf --one-file-system " + path_;
    if (::system(command.c_str()) != 0) WARN("could not remove " + path_);
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
    auto r = netlink::InNetns(fd_.get(), fn);
    if (!r) FAIL(r.error().message());
  }

 private:
  TempDirectory directory_;
  std::string path_;
  UniqueFd fd_;
};

// Output of a command run by the shell inside a namespace (tests only); appends "[exit N]" when it fails.
inline std::string ShellIn(const TestNetns& ns, const std::string& command) {
  const std::string full = "nsenter --net=" + ns.path() + " sh -c '" + command + "' 2>&1";
  FILE* pipe = ::popen(full.c_str(), "r");
  std::string out;
  char buffer[4096];
  while (const std::size_t n = ::fread(buffer, 1, sizeof buffer, pipe)) out.append(buffer, n);
  const int rc = ::pclose(pipe);
  if (rc != 0) out += "[exit " + std::to_string(WIFEXITED(rc) ? WEXITSTATUS(rc) : -1) + "]";
  return out;
}

}  // namespace skerry::test
