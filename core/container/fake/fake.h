#pragma once
#include "core/base/guarded.h"
#include "core/container/runtime.h"

namespace skerry::container::fake {

// In memory, for tests of the layers above and for `--runtime=none`-like rehearsals. Nothing runs: a started container is kRunning
// until Exit() is called (or an auto-exit rule for its image fires). All methods are safe from any thread.
class FakeRuntime final : public Runtime {
 public:
  explicit FakeRuntime(const Clock& clock = Clock::System());
  ~FakeRuntime() override;

  // ── control ──
  void AddImage(std::string_view reference, ImageConfig config = {});             // Find and Pull succeed for it
  void SetPullError(std::string_view reference, Error error);                     // every Pull of it fails until cleared
  void ClearPullError(std::string_view reference);
  void ExitOnStart(std::string_view image, int exit_code);                        // containers of that image end at once
  void IgnoreSignal(std::string_view container_id, int signal);                   // default: TERM, KILL and the stop signal end it with 128 + n
  void Exit(std::string_view container_id, int exit_code, std::string reason = {});   // reason empty: by code
  void KillSandbox(std::string_view id);                                          // not ready any more, its containers exit 137
  void FailNext(std::string_view call, Error error);                              // "StartContainer": the next one fails, once
  // What an exec prints and returns; the default prints nothing and returns 0.
  using ExecHandler = std::function<ExecResult(const std::string& container_id, const ExecSpec&)>;
  void OnExec(ExecHandler handler);
  void SetStats(std::string_view id, Stats stats);
  void WriteLog(std::string_view container_id, std::string_view stream, std::string_view text);   // appends CRI lines to log_path
  // ── record: "EnsureSandbox a", "CreateContainer a-1", "Signal a-1 15", … in order ──
  std::vector<std::string> calls() const;
  void ClearCalls();

  std::string_view name() const noexcept override { return "fake-runtime"; }
  Result<> Start(const Ctx&) override { return {}; }
  void Stop() noexcept override {}
  void OnEvent(std::function<void(const Event&)> notify) override;
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
  Result<UniqueFd> Dial(const Ctx&, std::string_view sandbox_id, std::uint16_t port) override;   // a socket that says "port <n>" and ends
  Result<Stats> ContainerStats(std::string_view id, Measure what) override;
  Result<Stats> SandboxStats(std::string_view id) override;
  Images& images() override;

 private:
  struct Data;
  class FakeImages;
  Result<> Enter(std::string_view call, std::string_view id, std::string_view extra = {});
  void Emit(Event::Kind kind, std::string id);
  bool Finish(Data& data, std::string_view id, int code, std::string reason);
  const Clock& clock_;
  std::unique_ptr<FakeImages> images_;
  mutable Guarded<std::unique_ptr<Data>> data_;
  std::function<void(const Event&)> notify_;
};

}  // namespace skerry::container::fake
