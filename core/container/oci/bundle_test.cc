#include "core/container/oci/bundle.h"

#include <catch2/catch.hpp>

#include <fcntl.h>

#include "core/base/files.h"
#include "core/base/unique_fd.h"
#include "core/container/oci/records.h"
#include "core/container/oci/seccomp.h"
#include "core/container/oci/testing.h"

namespace skerry::container::oci {
namespace {

struct Inputs {
  ContainerSpec spec{.id = "c", .sandbox_id = "s", .command = {"/run"}};
  ImageConfig image;
  SandboxSpec sandbox{.id = "s", .hostname = "h"};
  ResolvedUser user{.uid = 5, .gid = 6, .groups = {7}};
  Machine machine;
  BundleInput Bundle() { return {.spec = spec, .image = image, .sandbox = sandbox, .user = user, .machine = machine, .rootfs = "/r", .cgroup = "/k/s/c", .netns = "/n", .ipcns = "/i", .utsns = "/u", .shm = "/shm"}; }
};

std::string NamespacesOf(const json::Value& bundle) {
  std::string out;
  for (const json::Value& n : bundle.At({"linux", "namespaces"}).Items()) out += std::string(n["type"].Str()) + (n["path"].Str().empty() ? " " : "=" + std::string(n["path"].Str()) + " ");
  return out;
}

}  // namespace

TEST_CASE("a bundle gives no more than was asked for and the machine has") {
  Inputs in;
  in.machine.capabilities = {"CAP_CHOWN", "CAP_NET_ADMIN", "CAP_KILL"};
  in.machine.oom_score_adj = 100;
  in.machine.nofile_hard = 2000;
  in.spec.resources.oom_score_adj = -900;
  in.spec.rlimits = {{"RLIMIT_NOFILE", 100'000, 50'000}};
  in.spec.annotations = {{"run.oci.hooks.stdout", "/evil"}};
  auto bundle = MakeBundle(in.Bundle()).value();
  CHECK(bundle.At({"process", "capabilities", "bounding"}).Dump() == R"(["CAP_CHOWN","CAP_KILL"])");
  CHECK(bundle.At({"process", "oomScoreAdj"}).Int() == 100);
  CHECK(bundle.At({"process", "rlimits"}).Items()[0]["hard"].Int() == 2000);
  CHECK(bundle.At({"process", "user"}).Dump() == R"({"uid":5,"gid":6,"additionalGids":[7]})");
  CHECK(bundle["annotations"].is_null());
  CHECK(bundle.At({"linux", "maskedPaths"}).size() > 5);
  CHECK(bundle.At({"linux", "seccomp", "defaultAction"}).Str() == "SCMP_ACT_ERRNO");
  CHECK(NamespacesOf(bundle) == "mount pid network=/n ipc=/i uts=/u ");
  in.spec.security.add_capabilities = {"net_admin", "SYS_TIME"};
  in.spec.security.drop_capabilities = {"ALL"};
  CHECK(MakeBundle(in.Bundle())->At({"process", "capabilities", "effective"}).Dump() == R"(["CAP_NET_ADMIN"])");
  in.spec.security.privileged = true;
  bundle = MakeBundle(in.Bundle()).value();
  CHECK(bundle.At({"process", "capabilities", "permitted"}).size() == 3);
  CHECK(bundle.At({"linux", "maskedPaths"}).is_null());
  CHECK(bundle.At({"linux", "seccomp"}).is_null());
}

TEST_CASE("on a v2 machine a bundle uses what only v2 has") {
  Inputs in;
  in.machine.cgroup_v2 = true;
  in.spec.resources = {.memory_bytes = 1 << 20, .memory_low_bytes = 1 << 19};
  const auto bundle = MakeBundle(in.Bundle()).value();
  CHECK(NamespacesOf(bundle).ends_with("cgroup "));
  CHECK(bundle.At({"linux", "resources", "unified"}).Dump() == R"({"memory.oom.group":"1","memory.low":"524288"})");
}

TEST_CASE("arguments and environment follow image and specification") {
  Inputs in;
  in.image.entrypoint = {"/e"};
  in.image.cmd = {"c"};
  in.image.env = {"PATH=/x", "A=image"};
  in.spec.env = {"A=spec", "1-odd.name=v", "HOME=/h"};
  const auto args = [&](std::vector<std::string> command, std::vector<std::string> list) {
    in.spec.command = std::move(command);
    in.spec.args = std::move(list);
    return MakeBundle(in.Bundle())->At({"process", "args"}).Dump();
  };
  CHECK(args({}, {}) == R"(["/e","c"])");
  CHECK(args({}, {"a"}) == R"(["/e","a"])");
  CHECK(args({"/x"}, {}) == R"(["/x"])");
  CHECK(args({"/x"}, {"a"}) == R"(["/x","a"])");
  CHECK(MakeBundle(in.Bundle())->At({"process", "env"}).Dump() == R"(["PATH=/x","HOSTNAME=h","A=spec","1-odd.name=v","HOME=/h"])");
  in.image = {};
  in.spec.command = in.spec.args = {};
  CHECK(MakeBundle(in.Bundle()).error().code() == Code::kInvalid);
}

TEST_CASE("mounts are ordered outside in and replace the defaults they cover") {
  Inputs in;
  in.spec.mounts = {{.host_path = "/1", .container_path = "/a/b"}, {.host_path = "/2", .container_path = "/a"}, {.host_path = "/3", .container_path = "/dev/shm", .propagation = Propagation::kBidirectional}};
  const auto bundle = MakeBundle(in.Bundle()).value();
  std::vector<std::string> bound;
  for (const json::Value& m : bundle["mounts"].Items()) {
    if (m["type"].Str() == "bind") bound.emplace_back(m["destination"].Str());
  }
  CHECK(bound == std::vector<std::string>{"/a", "/a/b", "/dev/shm"});
  CHECK(bundle.At({"linux", "rootfsPropagation"}).Str() == "rshared");
}

TEST_CASE("the default seccomp profile opens a call only with its capability") {
  const auto action = [](const json::Value& profile, std::string_view call) {
    std::string out;
    for (const json::Value& rule : profile["syscalls"].Items()) {
      for (const json::Value& name : rule["names"].Items()) {
        if (name.Str() == call && rule.Find("args") == nullptr) out += std::string(rule["action"].Str()) + " ";
      }
    }
    return out;
  };
  const auto plain = DefaultSeccompProfile({}), admin = DefaultSeccompProfile({"CAP_SYS_ADMIN"});
  CHECK(action(plain, "read") == "SCMP_ACT_ALLOW ");
  CHECK(action(plain, "mount") == "SCMP_ACT_ERRNO ");
  CHECK(action(admin, "mount") == "SCMP_ACT_ALLOW ");
  CHECK(action(plain, "clone3") == "SCMP_ACT_ERRNO ");
  CHECK(action(admin, "io_uring_setup") == "SCMP_ACT_ERRNO ");
  CHECK(action(plain, "ptrace") == "SCMP_ACT_ERRNO ");
}

TEST_CASE("users come from the image's own files, never from outside of it", "[root]") {
  const testing::Scratch dir;
  REQUIRE(MakeDirectories(dir.path + "/etc"));
  REQUIRE(WriteFileDurably(dir.path + "/etc/passwd", "app:x:10:20::/home/app:/bin/sh\nbroken\n"));
  REQUIRE(WriteFileDurably(dir.path + "/etc/group", "extra:x:30:app,b\nlead:x:40:\n"));
  const UniqueFd root(::open(dir.path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const auto resolve = [&](const User& user, const char* image) { return ResolveUser(root.get(), user, image); };
  CHECK(resolve({}, "app")->gid == 20);
  CHECK(resolve({}, "app")->groups == std::vector<std::int64_t>{30});
  CHECK(resolve({}, "app:lead")->gid == 40);
  CHECK(resolve({}, "10")->home == "/home/app");
  CHECK(resolve({}, "")->uid == 0);
  CHECK(resolve({.uid = 99, .supplementary_groups = {5}}, "app")->gid == 0);
  CHECK(resolve({.uid = 10, .merge_image_groups = false}, "")->groups.empty());
  CHECK(resolve({}, "nobody").error().message() == "unable to find user nobody: no matching entries in passwd file");
  CHECK(resolve({.uid = -1}, "").error().code() == Code::kInvalid);
  REQUIRE(::unlink((dir.path + "/etc/passwd").c_str()) == 0);
  REQUIRE(::symlink("/proc/self/../../etc/passwd", (dir.path + "/etc/passwd").c_str()) == 0);
  CHECK(resolve({}, "daemon").error().code() == Code::kInvalid);   // the host's file has it
}

TEST_CASE("records come back as they were written and damage is noticed") {
  ContainerRecord record;
  record.spec = {.id = "c", .sandbox_id = "s", .image = "i", .command = {"a", "b"}, .user = {.uid = 0, .merge_image_groups = false}, .mounts = {{.host_path = "/h", .container_path = "/c", .propagation = Propagation::kHostToContainer}},
                 .resources = {.memory_bytes = 5, .oom_score_adj = -3}, .tty = true, .labels = {{"a.b/c", "v"}}};
  record.phase = Phase::kRunning;
  record.pid = 7;
  record.started_ns = 1'700'000'000'123'456'789;
  const std::string text = Encode(record);
  const auto back = DecodeContainer(text).value();
  CHECK(Encode(back) == text);
  CHECK(back.spec.user.uid == 0);
  CHECK_FALSE(back.spec.user.merge_image_groups);
  CHECK(back.spec.resources == record.spec.resources);
  CHECK(back.spec.labels == record.spec.labels);
  CHECK(FromNs(ToNs(FromNs(record.started_ns))) == FromNs(record.started_ns));
  for (std::size_t n = 0; n < text.size(); ++n) CHECK_FALSE(DecodeContainer(text.substr(0, n)));
  CHECK(DecodeContainer(R"({"version":2,"spec":{"id":"x"}})").error().code() == Code::kUnsupported);
  CHECK(DecodeSandbox(R"({"version":1})").error().code() == Code::kCorruption);
}

}  // namespace skerry::container::oci
