#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/base/context.h"
#include "core/base/result.h"

// For tests: tar streams and images made by hand, from nothing but the machine's busybox.
namespace skerry::container::testing {

// ustar, written byte by byte so that it can also say what no archiver would.
class Tar {
 public:
  struct Options {
    unsigned mode = 0644;
    int uid = 0, gid = 0;
    std::map<std::string, std::string> pax;   // extended attributes of the next entry ("SCHILY.xattr.user.x")
  };
  Tar& File(const std::string& name, const std::string& content, const Options& o);
  Tar& File(const std::string& name, const std::string& content) { return File(name, content, Options{}); }
  Tar& Directory(const std::string& name, unsigned mode = 0755);
  Tar& Symlink(const std::string& name, const std::string& target);
  Tar& HardLink(const std::string& name, const std::string& target);
  Tar& Device(const std::string& name, int major, int minor);
  std::string Finish() const;

 private:
  Tar& Add(const std::string& name, char type, const std::string& link, const std::string& content, const Options& o, int major = 0, int minor = 0);
  std::string out_;
};

std::string Compress(const std::string& program, const std::string& bytes);   // "/bin/gzip"
// A root file system around /bin/busybox: applets as hard links, /etc/passwd with user "app" (1001:1002, extra group "extra" 1003).
const std::string& BusyboxLayer();
// A docker-archive with the given layers; returns its bytes. `config` is the "config" member as JSON text.
std::string DockerArchive(const std::string& tag, const std::vector<std::string>& layers, const std::string& config);
inline Ctx Within(int seconds) { return Ctx{std::stop_token(), std::chrono::steady_clock::now() + std::chrono::seconds(seconds)}; }

// A directory that is removed with everything in and mounted below it.
struct Scratch {
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  std::string path;
};

}  // namespace skerry::container::testing
