#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "embedded-kube-shim/node/pod_worker.h"

// One look at one pod: compares what should be with what the runtime has and takes the next steps. Nothing here survives the pass
// except PodState, and that can be rebuilt from the runtime after a restart.
namespace skerry::kube::node {

inline constexpr const char* kPodController = "pod-worker";

enum class Ending : std::uint8_t { kNone, kPreStop, kTerminating, kKilled };

struct ContainerMemory {
  Ending ending = Ending::kNone;
  std::shared_ptr<std::atomic<bool>> pre_stop_done;
  Clock::MonoTime kill_at{};                          // when TERM has had its time
  bool post_start_failed = false;
  bool resize = false;                                // its resources change by a restart
  bool replace = false;                               // ended by us to start anew, whatever its exit code and the restart policy say
};

struct PodState {
  std::string uid;
  Key key;
  std::string sandbox_id;
  int sandbox_attempt = 0;
  std::string pod_ip;
  bool adopted = false;                               // found running when the agent started
  bool network_ready = false;
  bool terminating = false;
  bool refused = false;                               // not taken by this node; constant after construction
  Clock::MonoTime deadline{};                         // of the termination
  std::string failed_reason, failed_message;
  std::map<std::string, ContainerMemory> memory;      // by container id
  std::map<std::string, int> next_number;             // by container name: the first attempt in this sandbox, when there was one before
  std::map<std::string, int> series;                  // by container name: the attempt before which the crashes that count began
  std::map<std::string, WaitReason> waiting;          // by container name
  std::map<std::string, int> backoff_told;            // by container name: the attempt whose back-off an event told
  std::optional<Clock::Wall> renew_tokens;
  std::string volume_inputs;                          // what the volumes were last made from; empty: not made by this process
  MountedVolumes volumes;
  std::map<std::string, json::Value> granted;         // by container name: the resources that it has on this node
  std::optional<WaitReason> resize_pending, resize_error;
  bool final_status_written = false;
};

struct PassTools {
  ImagePuller& puller;
  Prober& prober;
  const Lister& nodes;
  const Lister& config_maps;
  const Lister& secrets;
  const Lister& services;
  std::function<void(const Key&)> enqueue;
  std::function<std::vector<ObjectPtr>(const std::string& uid)> others;   // pods this node has taken, without that one
};

struct PassResult {
  Outcome outcome;
  bool removed = false;                               // nothing of the pod is left on this node
};

class PodPass {
 public:
  // `pod` null: the object is gone, end everything.
  PodPass(const Ctx& ctx, const WorkerEnvironment& env, PassTools tools, std::shared_ptr<PodState> state, ObjectPtr pod);
  Result<PassResult> Run();
  PodView View() const;

 private:
  struct Attempt {
    const json::Value* spec = nullptr;                // of the pod; null when it names no such container any more
    ContainerKind kind = ContainerKind::kContainer;
    container::ContainerStatus status;
    int number = 0;
  };

  // pod_pass.cc
  Result<> Load();
  void BindSpecs();                                   // attempts point into the pod: after it changed
  Result<PassResult> RunActive();
  Result<PassResult> Finish();
  Result<> WriteStatus();
  Result<> RemoveEverything();
  bool Overdue();
  // pod_start.cc
  Result<bool> Prepare();                             // volumes, sandbox, network; false: not yet
  Result<> EnsureFiles();
  Result<bool> EnsureSandbox();
  Result<> RunInit(bool* done);
  Result<> RunContainers();
  int FirstNumber(const std::string& name) const;
  bool IsDue(const json::Value& c, ContainerKind kind, const Attempt& ended);
  Result<> StartIfDue(const json::Value& c, ContainerKind kind);
  Result<> Start(const json::Value& c, ContainerKind kind, int attempt, const container::ImageInfo& image);
  Result<> PrepareSubPaths(const json::Value& c, const Environment& env, ContainerInput* input);
  void RunPostStart(const json::Value& c, const std::string& id);
  void CheckRunning(const json::Value& c, ContainerKind kind);
  void Trim(const std::string& name);
  // pod_resize.cc
  json::Value Granted() const;
  const json::Value& GrantedTo(const json::Value& c) const;
  void RememberGrants();
  Result<> Resize();
  Result<> ResizeContainer(const json::Value& c);
  // pod_stop.cc
  Result<> Terminate();
  bool StopContainer(const Attempt& a, const json::Value* spec, std::chrono::seconds grace, std::string_view why);
  void KillForRestart(const Attempt& a, const json::Value& c, std::string message, std::string_view probe = "");   // the field of the probe that failed

  Attempt* Latest(std::string_view name);
  const Attempt* Previous(std::string_view name) const;
  bool AnyAlive() const;
  void Again(std::chrono::milliseconds after);
  std::string FieldPath(const json::Value& c, ContainerKind kind) const;
  std::string TerminationMessage(const Attempt& a) const;
  const json::Value& Pod() const { return *pod_; }
  Sources MakeSources() const;
  StatusInput MakeInput();

  const Ctx& ctx_;
  const WorkerEnvironment& env_;
  PassTools tools_;
  std::shared_ptr<PodState> state_;
  ObjectPtr pod_;
  ObjectPtr node_;
  PodPlace place_;
  bool sandbox_ready_ = false;
  std::string netns_path_;
  std::map<std::string, std::vector<Attempt>, std::less<>> attempts_;   // by container name, oldest first
  MountedVolumes volumes_;
  ObjectPtr granted_;
  Outcome outcome_;
};

}  // namespace skerry::kube::node
