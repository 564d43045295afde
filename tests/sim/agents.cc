#include "tests/sim/agents.h"

#include <signal.h>

#include <algorithm>
#include <optional>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/pod_facts.h"

namespace skerry::sim {
namespace {

using namespace kube;
using container::ContainerStatus;
using container::State;

const Ctx kCtx{std::stop_token()};
constexpr const char* kPods = "v1/pods";

bool EndsByItself(const json::Value& pod) { return pod["spec"]["restartPolicy"].Str() == "Never"; }

// The latest attempt of the pod's one container.
std::optional<ContainerStatus> Latest(container::Runtime& runtime, const std::string& uid, int* attempts) {
  auto all = runtime.ListContainers(uid);
  *attempts = all ? static_cast<int>(all->size()) : 0;
  if (*attempts == 0) return std::nullopt;
  auto last = runtime.InspectContainer(Cat(uid, "-", *attempts));
  if (!last) return std::nullopt;
  return *std::move(last);
}

std::string UidOf(std::string_view container_id) { return std::string(container_id.substr(0, container_id.rfind('-'))); }

}  // namespace

void Agents::Add(const std::string& name) {
  Node& node = nodes_[name];
  node.runtime = std::make_unique<container::fake::FakeRuntime>(world_.clock());
  node.runtime->AddImage("i:1");
  node.runtime->OnEvent([this, &node](const container::Event& e) {
    const std::uint64_t luck = world_.random().Below(1000);
    if (luck < static_cast<std::uint64_t>(faults_.lost)) return;
    // Twice: one look answers both, so another one is made due by forgetting that the first was made.
    if (luck >= 1000 - static_cast<std::uint64_t>(faults_.doubled)) node.seen.erase(UidOf(e.id));
    node.due.insert(UidOf(e.id));
  });
}

void Agents::Destroy(const std::string& node) { nodes_.erase(node); }

void Agents::TakeDown(const std::string& name, bool power_off) {
  Node& node = nodes_.at(name);
  node.down = true;
  if (!power_off) return;
  auto sandboxes = node.runtime->ListSandboxes();
  for (const auto& s : *sandboxes) node.runtime->KillSandbox(s.id);
}

void Agents::BringUp(const std::string& name) {
  Node& node = nodes_.at(name);
  if (!node.down) return;
  node.down = false;
  node.seen.clear();                                 // a new agent: it looks at everything
}

void Agents::BringUpAll() {
  for (const std::string& name : names()) BringUp(name);
}

std::vector<std::string> Agents::names() const {
  std::vector<std::string> out;
  for (const auto& [name, node] : nodes_) out.push_back(name);
  return out;
}

void Agents::LookAtEverything() {
  for (auto& [name, node] : nodes_) {
    if (!node.down) node.seen.clear();
  }
}

std::map<std::string, int> Agents::Running() const {
  std::map<std::string, int> out;
  for (const auto& [name, node] : nodes_) {
    auto all = node.runtime->ListContainers({});
    for (const ContainerStatus& c : *all) {
      if (c.state == State::kRunning) ++out[node.names.at(c.sandbox_id)];
    }
  }
  return out;
}

// What the API has said of the node's pods since the last time. Sandboxes of pods that no longer exist are due as well.
void Agents::Notice(Node& node, const std::string& name) {
  std::map<std::string, std::string> now;
  for (const ObjectPtr& pod : world_.Lister(kPods).OnNode(name)) {
    const std::string uid(Uid(*pod));
    const std::string version(Meta(*pod)["resourceVersion"].Str());
    const auto it = node.seen.find(uid);
    if (it == node.seen.end() || it->second != version) node.due.insert(uid);
    node.names[uid] = Name(*pod);
    now.emplace(uid, version);
  }
  for (const auto& [uid, pod_name] : node.names) {
    if (!now.contains(uid)) node.due.insert(uid);
  }
  node.seen = std::move(now);
}

std::vector<Agents::Move> Agents::Moves() {
  std::vector<Move> moves;
  for (auto& [name, node] : nodes_) {
    if (!node.down) {
      Notice(node, name);
      for (const std::string& uid : node.due) moves.push_back({&node, uid, true});
    }
    auto all = node.runtime->ListContainers({});
    for (const ContainerStatus& c : *all) {
      const bool ends = c.labels.contains("ends");
      if (c.state == State::kRunning && (ends || (faults_.crashes && world_.random().Below(20) == 0))) moves.push_back({&node, c.sandbox_id, false});
    }
    // What has become not ready becomes ready again some time.
    for (const std::string& uid : node.unready) moves.push_back({&node, uid, false});
  }
  return moves;
}

bool Agents::Step() {
  const std::vector<Move> moves = Moves();
  if (moves.empty()) return false;
  const Move& move = moves[world_.random().Below(moves.size())];
  if (move.pass) {
    move.node->due.erase(move.uid);
    Pass(*move.node, move.uid);
  } else {
    Happen(*move.node, move.uid);
  }
  return true;
}

void Agents::Happen(Node& node, const std::string& uid) {
  if (node.unready.erase(uid) > 0) {
    node.due.insert(uid);
    return;
  }
  int attempts = 0;
  const auto container = Latest(*node.runtime, uid, &attempts);
  if (!container || container->state != State::kRunning) return;
  if (container->labels.contains("ends")) {
    node.runtime->Exit(container->id, world_.random().Below(100) < static_cast<std::uint64_t>(faults_.failing_jobs) ? 1 : 0);
  } else if (world_.random().Below(2) == 0) {
    node.runtime->Exit(container->id, 1);
  } else {
    node.unready.insert(uid);
    node.due.insert(uid);
  }
}

void Agents::Forget(Node& node, const std::string& uid) {
  static_cast<void>(node.runtime->RemoveSandbox(kCtx, uid));
  node.names.erase(uid);
  node.unready.erase(uid);
  node.due.erase(uid);
}

void Agents::StartNext(Node& node, const json::Value& pod, int attempt) {
  const std::string uid(Uid(pod));
  container::SandboxSpec sandbox;
  sandbox.id = uid;
  container::ContainerSpec spec;
  spec.id = Cat(uid, "-", attempt);
  spec.sandbox_id = uid;
  spec.image = "i:1";
  if (EndsByItself(pod)) spec.labels["ends"] = "yes";
  static_cast<void>(node.runtime->EnsureSandbox(kCtx, sandbox));
  static_cast<void>(node.runtime->CreateContainer(kCtx, spec));
  static_cast<void>(node.runtime->StartContainer(kCtx, spec.id));
}

// An agent looks at one pod: what the API wants, what the runtime has, one step from this to that.
void Agents::Pass(Node& node, const std::string& uid) {
  const auto named = node.names.find(uid);
  if (named == node.names.end()) return;
  const ObjectPtr pod = world_.Lister(kPods).Get({"sim", named->second});
  if (!pod || Uid(*pod) != uid) return Forget(node, uid);
  int attempts = 0;
  auto container = Latest(*node.runtime, uid, &attempts);
  auto sandbox = node.runtime->InspectSandbox(uid);
  const bool runs = container && container->state == State::kRunning, finished = IsPodFinished(*pod);
  if (IsTerminating(*pod)) {
    if (runs) return static_cast<void>(node.runtime->Signal(kCtx, container->id, SIGTERM));
    if (!finished && EndsByItself(*pod)) return SetPhase(node, *pod, "Failed", false, 0);
    Forget(node, uid);
    DeleteOptions now;
    now.grace_seconds = 0;
    now.uid = uid;
    static_cast<void>(world_.user().Delete(kCtx, kPods, KeyOf(*pod), now));
  } else if (finished) {
    static_cast<void>(node.runtime->RemoveSandbox(kCtx, uid));
  } else if (!container) {
    StartNext(node, *pod, 1);
  } else if (runs) {
    SetPhase(node, *pod, "Running", !EndsByItself(*pod) && !node.unready.contains(uid), attempts - 1);
  } else if (EndsByItself(*pod)) {
    SetPhase(node, *pod, container->exit_code == 0 ? "Succeeded" : "Failed", false, 0);
  } else if (sandbox && !sandbox->ready) {
    static_cast<void>(node.runtime->RemoveSandbox(kCtx, uid));   // the machine was off: everything from the beginning
    node.due.insert(uid);
    SetPhase(node, *pod, "Running", false, attempts - 1);
  } else if (IsPodReady(*pod)) {
    SetPhase(node, *pod, "Running", false, attempts - 1);
    node.due.insert(uid);
  } else {
    StartNext(node, *pod, attempts + 1);
  }
}

void Agents::SetPhase(Node& node, const json::Value& pod, std::string_view phase, bool ready, int restarts) {
  // Nothing to tell: agents write what has changed.
  const auto told = pod["status"]["containerStatuses"].Items();
  if (pod["status"]["phase"].Str() == phase && IsPodReady(pod) == ready && !told.empty() && told[0]["restartCount"].Int() == restarts) return;
  const Clock::Wall now = world_.clock().Now();
  json::Value next = pod.Clone();
  json::Value& status = next.Set("status");
  status.Set("phase") = phase;
  if (status["startTime"].is_null()) status.Set("startTime") = FormatTime(now);
  if (status["podIP"].Str().empty()) {
    json::Value one;
    one.Set("ip") = Cat("10.1.", world_.random().Below(250), ".", world_.random().Below(250));
    status.Set("podIP") = one["ip"].Str();
    status.Set("podIPs").Append(std::move(one));
  }
  SetCondition(status, "Ready", ready ? "True" : "False", "", "", now);
  json::Value container;
  container.Set("name") = "c";
  container.Set("restartCount") = restarts;
  container.Set("ready") = ready;
  json::Value list = json::Value::Array();
  list.Append(std::move(container));
  status.Set("containerStatuses") = std::move(list);
  const bool was_finished = IsPodFinished(pod);
  if (!world_.user().Update(kCtx, kPods, std::move(next), "status")) {
    node.due.insert(std::string(Uid(pod)));          // somebody was quicker
    return;
  }
  if (phase == "Succeeded" && !was_finished) on_success_(pod);
}

}  // namespace skerry::sim
