#include "cmd/skerry/runtime.h"

#include <unistd.h>

#include "core/base/strings.h"
#include "core/container/docker/runtime.h"
#include "core/container/oci/runtime.h"
#include "core/process/cgroup.h"
#include "core/process/mounts.h"

namespace skerry::cmd {
namespace {

bool WantsDocker(const Options& o) { return o.runtime == "docker" || (o.runtime == "auto" && !o.docker_socket.empty()); }

container::docker::Options DockerOptions(const Options& o) {
  container::docker::Options out;
  if (!o.docker_socket.empty()) out.socket = o.docker_socket;
  out.run_dir = o.run_dir + "/docker";
  out.instance = o.node_name;
  return out;
}

container::oci::Options OciOptions(const Options& o, const std::string& registry) {
  container::oci::Options out;
  out.data_dir = o.data_dir + "/runtime";
  out.run_dir = o.run_dir + "/runtime";
  if (!registry.empty()) out.local_registries.push_back({{registry, "localhost" + registry.substr(registry.rfind(':'))}, o.data_dir});
  return out;
}

Result<> RemoveAll(const Ctx& ctx, container::Runtime& runtime) {
  TRY_VOID(runtime.Start(ctx));
  TRY(const auto sandboxes, runtime.ListSandboxes());
  for (const auto& sandbox : sandboxes) TRY_VOID(runtime.RemoveSandbox(ctx, sandbox.id));
  runtime.Stop();
  return {};
}

}  // namespace

Result<std::unique_ptr<container::Runtime>> NewRuntime(const Options& options, const std::string& registry) {
  auto made = WantsDocker(options) ? container::docker::Create(DockerOptions(options)) : container::oci::Create(OciOptions(options, registry));
  if (made) return made;
  return std::unexpected(RuntimeError(options, std::move(made).error()));
}

Error RuntimeError(const Options& options, Error e) {
  if (e.code() == Code::kCorruption) return e;
  const char* remedy = WantsDocker(options) ? "start the engine or name its socket with --docker-socket" : "install crun and conmon, name a --docker-socket, or start with --runtime=none";
  return Error(Code::kForbidden, Cat("no container runtime: ", e.message(), "; ", remedy));
}

Result<> UninstallRuntime(const Ctx& ctx, const Options& options) {
  if (WantsDocker(options) || ::access((options.run_dir + "/docker").c_str(), F_OK) == 0) {
    TRY(auto runtime, container::docker::Create(DockerOptions(options)));
    TRY_VOID(RemoveAll(ctx, *runtime));
    // Other instances on the same engine may still need the image; then it stays.
    if (auto removed = runtime->images().Remove("skerry/pause:latest"); !removed && removed.error().code() != Code::kConflict) return removed;
  }
  const auto oci = OciOptions(options, "");
  if (::access(oci.data_dir.c_str(), F_OK) == 0) {
    TRY(auto runtime, container::oci::Create(oci));
    TRY_VOID(RemoveAll(ctx, *runtime));
  }
  if (const auto cgroups = process::Cgroups::Detect()) {
    for (const std::string& group : {std::string("/kubepods"), oci.monitor_cgroup}) cgroups->RemoveEmpty(group);
  }
  TRY_VOID(process::UnmountBelow(options.data_dir));
  return process::UnmountBelow(options.run_dir);
}

}  // namespace skerry::cmd
