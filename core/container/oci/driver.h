#pragma once
#include "core/base/guarded.h"
#include "core/container/oci/bundle.h"
#include "core/container/oci/images.h"
#include "core/container/oci/monitor.h"
#include "core/container/oci/records.h"
#include "core/container/oci/runtime.h"
#include "core/process/cgroup.h"
#include "core/process/exit_watcher.h"

namespace skerry::container::oci {

// Places, per sandbox:   <data>/sandboxes/<id>.json      record
//                        <run>/sandboxes/<id>/{net,ipc,uts,shm}
//            container:  <data>/containers/<id>/record.json, upper, work, rootfs (overlay), volumes/
//                        <run>/containers/<id>/          bundle: config.json, conmon's files
//                        <run>/exits/<id>                exit code, by conmon
// Locks: a container's or sandbox's `busy` serializes what is done to it; table_ is held only for look-ups and copies.
class Driver final : public Runtime {
 public:
  static Result<std::unique_ptr<Driver>> Create(Options options);
  ~Driver() override;

  std::string_view name() const noexcept override { return "oci-runtime"; }
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
  Images& images() override { return *images_; }

 private:
  struct Sandbox {
    std::mutex busy;
    SandboxRecord record;              // guarded by table_
  };
  struct Container {
    std::mutex busy;
    ContainerRecord record;            // guarded by table_
  };
  struct Table {
    std::map<std::string, std::shared_ptr<Sandbox>, std::less<>> sandboxes;
    std::map<std::string, std::shared_ptr<Container>, std::less<>> containers;
  };
  // The parts of a container that only a pause container lacks.
  struct Root {
    std::string path;
    ImageConfig image;
    std::vector<Mount> volumes;
  };

  explicit Driver(Options options) : options_(std::move(options)) {}
  Result<> FindPrograms();
  Result<> InstallHelpers();

  // driver.cc: records and recovery
  Result<> Recover(const Ctx& ctx);
  Result<> RecoverContainer(const Ctx& ctx, const std::string& id);
  Result<> Save(const ContainerRecord& record, bool durable);
  std::shared_ptr<Container> FindContainer(std::string_view id);
  std::shared_ptr<Sandbox> FindSandbox(std::string_view id);
  ContainerRecord Copy(const Container& container);
  SandboxRecord Copy(const Sandbox& sandbox);
  void Store(Container& container, const ContainerRecord& record);
  void Emit(Event::Kind kind, std::string id) {
    if (notify_) notify_(Event{kind, std::move(id)});
  }
  void Forget(std::string_view id);

  // containers.cc
  Result<Root> PrepareRoot(const ContainerSpec& spec, const ImageStore::Image& image);
  Result<std::vector<Mount>> PrepareVolumes(const ContainerSpec& spec, const ImageConfig& image, const std::string& rootfs);
  Result<> WriteBundle(const ContainerRecord& record, const SandboxRecord& sandbox, const Root& root);
  Result<> Launch(const Ctx& ctx, ContainerRecord& record);
  Result<> Watch(const std::shared_ptr<Container>& container);
  void OnMonitorExit(const std::shared_ptr<Container>& container);
  void Conclude(ContainerRecord& record);
  Result<> Destroy(const Ctx& ctx, const ContainerRecord& record);
  Result<> StartPause(const Ctx& ctx, const SandboxRecord& sandbox);
  ContainerStatus Describe(const ContainerRecord& record) const;
  Result<int> AwaitExit(const Ctx& ctx, const std::string& id);

  // sandboxes.cc
  Result<> BuildSandbox(const Ctx& ctx, const SandboxRecord& record);
  Result<> DestroySandbox(const Ctx& ctx, const SandboxRecord& record);
  bool IsReady(const SandboxRecord& record);
  SandboxStatus Describe(const SandboxRecord& record);

  std::string SandboxFile(std::string_view id) const;
  std::string SandboxRun(std::string_view id) const;
  std::string ContainerData(std::string_view id) const;
  std::string Bundle(std::string_view id) const;
  std::string ExitFile(std::string_view id) const;

  const Options options_;
  std::function<void(const Event&)> notify_;
  std::optional<process::Cgroups> cgroups_;
  Machine machine_;
  RuntimeProgram runtime_;
  std::string conmon_, runtime_version_, boot_id_;
  std::unique_ptr<OciImages> images_;
  Guarded<Table> table_;
  std::condition_variable exited_;
  std::unique_ptr<process::ExitWatcher> watcher_;   // last: its callbacks use everything above
};

process::CgroupLimits ToLimits(const Resources& resources);
std::string PauseId(std::string_view sandbox_id);

}  // namespace skerry::container::oci
