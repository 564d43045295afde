#include "core/container/oci/testing.h"

#include <catch2/catch.hpp>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/crypto/digest.h"
#include "core/process/child.h"
#include "core/process/mounts.h"

namespace skerry::container::testing {

Tar& Tar::Add(const std::string& name, char type, const std::string& link, const std::string& content, const Options& o, int major, int minor) {
  if (!o.pax.empty()) {
    std::string records;
    for (const auto& [key, value] : o.pax) {
      const std::string body = " " + key + "=" + value + "\n";
      std::size_t length = body.size() + 1;
      while (std::to_string(length).size() + body.size() != length) ++length;
      records += std::to_string(length) + body;
    }
    Add("pax", 'x', "", records, Options{});
  }
  std::string h(512, '\0');
  const auto put = [&](std::size_t at, const std::string& text) { h.replace(at, text.size(), text); };
  const auto octal = [&](std::size_t at, int width, unsigned long v) {
    char text[24];
    std::snprintf(text, sizeof text, "%0*lo", width, v);
    put(at, text);
  };
  put(0, name);
  octal(100, 7, o.mode);
  octal(108, 7, static_cast<unsigned>(o.uid));
  octal(116, 7, static_cast<unsigned>(o.gid));
  octal(124, 11, content.size());
  octal(136, 11, 1'700'000'000);
  put(148, "        ");
  h[156] = type;
  put(157, link);
  put(257, "ustar");
  put(263, "00");
  octal(329, 7, static_cast<unsigned>(major));
  octal(337, 7, static_cast<unsigned>(minor));
  unsigned sum = 0;
  for (const char c : h) sum += static_cast<unsigned char>(c);
  octal(148, 6, sum);
  h[154] = '\0';
  out_ += h + content;
  out_.append((512 - content.size() % 512) % 512, '\0');
  return *this;
}

Tar& Tar::File(const std::string& name, const std::string& content, const Options& o) { return Add(name, '0', "", content, o); }
Tar& Tar::Directory(const std::string& name, unsigned mode) { return Add(name, '5', "", "", Options{.mode = mode}); }
Tar& Tar::Symlink(const std::string& name, const std::string& target) { return Add(name, '2', target, "", Options{.mode = 0777}); }
Tar& Tar::HardLink(const std::string& name, const std::string& target) { return Add(name, '1', target, "", Options{.mode = 0755}); }
Tar& Tar::Device(const std::string& name, int major, int minor) { return Add(name, '3', "", "", Options{}, major, minor); }
std::string Tar::Finish() const { return out_ + std::string(1024, '\0'); }

std::string Compress(const std::string& program, const std::string& bytes) {
  const auto result = process::Run(Within(60), {.argv = {program, "-c"}}, bytes, 256 << 20);
  REQUIRE(result);
  REQUIRE(result->exit_code == 0);
  return result->out;
}

const std::string& BusyboxLayer() {
  static const std::string layer = [] {
    const auto binary = ReadFile("/bin/busybox");
    REQUIRE(binary);
    Tar tar;
    tar.Directory("bin").Directory("etc").Directory("tmp", 01777).Directory("root", 0700).Directory("home").Directory("proc").Directory("dev").Directory("sys");
    tar.File("bin/busybox", *binary, {.mode = 0755});
    for (const char* applet : {"sh", "cat", "echo", "sleep", "ls", "id", "env", "mount", "unshare", "nc", "httpd", "touch", "rm", "stat", "dd", "hostname", "kill", "ps", "head", "grep",
                               "sort", "printf", "test", "true", "false", "tail", "mkdir", "df", "wc", "tr", "stty", "pwd", "readlink", "ip", "seq", "chmod", "cut"}) {
      tar.HardLink(Cat("bin/", applet), "bin/busybox");
    }
    tar.File("etc/passwd", "root:x:0:0:root:/root:/bin/sh\napp:x:1001:1002:app:/home/app:/bin/sh\n");
    tar.File("etc/group", "root:x:0:\napp:x:1002:\nextra:x:1003:app,other\n");
    return tar.Finish();
  }();
  return layer;
}

std::string DockerArchive(const std::string& tag, const std::vector<std::string>& layers, const std::string& config) {
  Tar tar;
  std::string names, diff_ids;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::string name = Cat("layer", i, ".tar");
    tar.File(name, layers[i]);
    names += Cat(i > 0 ? "," : "", "\"", name, "\"");
    diff_ids += Cat(i > 0 ? "," : "", "\"", crypto::OciDigest(layers[i]), "\"");
  }
  const std::string text = Cat(R"({"architecture":"amd64","os":"linux","config":)", config, R"(,"rootfs":{"type":"layers","diff_ids":[)", diff_ids, "]}}");
  const std::string file = crypto::Sha256Hex(text) + ".json";
  tar.File(file, text);
  tar.File("manifest.json", Cat(R"([{"Config":")", file, R"(","RepoTags":[")", tag, R"("],"Layers":[)", names, "]}]"));
  return tar.Finish();
}

Scratch::Scratch() {
  char buffer[] = "/tmp/skerry-oci-XXXXXX";
  REQUIRE(::mkdtemp(buffer));
  path = buffer;
}
Scratch::~Scratch() {
  CHECK(process::UnmountBelow(path));
  CHECK(process::RemoveTree(path));
}

}  // namespace skerry::container::testing
