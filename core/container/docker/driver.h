#pragma once
#include <condition_variable>
#include <thread>

#include "core/base/guarded.h"
#include "core/container/docker/client.h"
#include "core/container/docker/convert.h"
#include "core/container/docker/runtime.h"
#include "core/process/cgroup.h"

namespace skerry::container::docker {

class DockerImages final : public Images {
 public:
  DockerImages(const Client& client, std::string run_dir) : client_(client), run_dir_(std::move(run_dir)) {}
  Result<ImageInfo> Pull(const Ctx&, std::string_view reference, const Credentials&, const Progress&) override;
  Result<ImageInfo> Find(std::string_view reference_or_id) override;
  Result<std::vector<ImageInfo>> List() override;
  Result<> Remove(std::string_view reference_or_id) override;
  Result<ImageInfo> Import(const Ctx&, const std::string& archive_path, std::string_view tag) override;
  Result<FilesystemUsage> Usage() override;
  Result<std::string> MountImage(const Ctx&, std::string_view reference_or_id, std::string_view key) override;
  Result<> UnmountImage(std::string_view key) override;
  // Loads our pause program as an image of a known id; nothing is asked of a registry.
  Result<std::string> EnsurePause(const Ctx& ctx);

 private:
  Result<std::string> Load(const Ctx& ctx, wire::Request request);
  const Client& client_;
  const std::string run_dir_;
};

// The cache mirrors the daemon: filled by a full look at Start and after every break of the event stream, one container at a time
// after events and our own calls. Lists and inspects answer from it.
class Driver final : public Runtime {
 public:
  explicit Driver(Options options) : options_(std::move(options)), client_(options_.socket), images_(client_, options_.run_dir) {}
  ~Driver() override { Stop(); }

  std::string_view name() const noexcept override { return "docker-runtime"; }
  Result<> Start(const Ctx&) override;
  void Stop() noexcept override;
  void OnEvent(std::function<void(const Event&)> notify) override { notify_ = std::move(notify); }
  RuntimeInfo Info() const override;
  Result<SandboxStatus> EnsureSandbox(const Ctx&, const SandboxSpec&) override;
  Result<SandboxStatus> InspectSandbox(std::string_view id) override;
  Result<std::vector<SandboxStatus>> ListSandboxes() override;
  Result<> UpdateSandbox(const Ctx&, std::string_view id, const Resources&) override;
  Result<> RemoveSandbox(const Ctx&, std::string_view id) override;
  Result<> CreateContainer(const Ctx&, const ContainerSpec&) override;
  Result<> StartContainer(const Ctx&, std::string_view id) override;
  Result<> Signal(const Ctx&, std::string_view id, int signal) override;
  Result<> RemoveContainer(const Ctx&, std::string_view id) override;
  Result<> UpdateContainer(const Ctx&, std::string_view id, const Resources&) override;
  Result<ContainerStatus> InspectContainer(std::string_view id) override;
  Result<std::vector<ContainerStatus>> ListContainers(std::string_view sandbox_id) override;
  Result<> ReopenLog(const Ctx&, std::string_view id) override;
  Result<std::unique_ptr<Session>> Exec(const Ctx&, std::string_view id, const ExecSpec&) override;
  Result<std::unique_ptr<Session>> Attach(const Ctx&, std::string_view id, bool with_stdin) override;
  Result<UniqueFd> Dial(const Ctx&, std::string_view sandbox_id, std::uint16_t port) override;
  Result<Stats> ContainerStats(std::string_view id, Measure what) override;
  Result<Stats> SandboxStats(std::string_view id) override;
  Images& images() override { return images_; }

 private:
  struct Sandbox {
    std::string docker_id;
    SandboxStatus status;
    int pid = 0;
  };
  struct Container {
    std::string docker_id, log_path;    // the daemon's own log file
    ContainerStatus status;
  };
  struct Cache {
    std::map<std::string, Sandbox, std::less<>> sandboxes;
    std::map<std::string, Container, std::less<>> containers;
    std::map<std::string, std::shared_ptr<std::mutex>, std::less<>> busy;
  };

  std::string Name(std::string_view id) const;
  std::shared_ptr<std::mutex> Busy(std::string_view id);
  Result<> Refresh(const Ctx& ctx, const std::string& docker_id_or_name);   // one container; gone: forgotten
  Result<> Resync(const Ctx& ctx);
  void Accept(const json::Value& inspect);
  void Forget(const std::string& docker_id);
  void WatchEvents(const std::stop_token& stop);
  void OnEngineEvent(const json::Value& event);
  Result<Container> Find(std::string_view id);
  Result<Sandbox> FindSandbox(std::string_view id);
  Result<> RemoveByName(const Ctx& ctx, const std::string& name);
  Result<> PinNetwork(const std::string& id, int pid);
  std::string NetnsFile(std::string_view id) const;
  std::string CgroupOf(const Sandbox& sandbox, const std::string& docker_id) const;
  Result<int> WaitForExit(const Ctx& ctx, const std::string& id);
  void Emit(Event::Kind kind, std::string id) {
    if (notify_) notify_(Event{kind, std::move(id)});
  }

  const Options options_;
  Client client_;
  DockerImages images_;
  Host host_;
  std::optional<process::Cgroups> cgroups_;
  std::string pause_image_;
  std::function<void(const Event&)> notify_;
  Guarded<Cache> cache_;
  std::condition_variable changed_;
  std::jthread events_;
};

}  // namespace skerry::container::docker
