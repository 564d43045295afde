#pragma once
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/container/fake/fake.h"
#include "tests/sim/world.h"

// The agents of all nodes, played on fake runtimes. An agent looks at a pod when the API or its runtime says that something happened to
// it. What the API says is never lost; what the runtime says may be lost or come twice, and then only a look at everything helps.
namespace skerry::sim {

class Agents {
 public:
  struct Faults {
    int lost = 0, doubled = 0;                       // of a thousand events of a runtime
    bool crashes = false;                            // containers that should run for ever end, or are not ready for a while
    int failing_jobs = 0;                            // of a hundred containers that should end well
  };
  // `on_success` hears of every pod that is written as Succeeded.
  Agents(World& world, std::function<void(const json::Value& pod)> on_success) : world_(world), on_success_(std::move(on_success)) {}

  void SetFaults(Faults faults) { faults_ = faults; }
  void Add(const std::string& node);
  void Destroy(const std::string& node);             // the machine is gone with all that ran on it
  void TakeDown(const std::string& node, bool power_off);   // nobody hears of it; with power_off its containers end, too
  void BringUp(const std::string& node);
  void BringUpAll();
  bool IsDown(const std::string& node) const { return nodes_.at(node).down; }
  std::vector<std::string> names() const;

  bool Step();                                       // one thing happens on one node; false: nothing is left to do
  void LookAtEverything();                           // what agents do now and then
  // Containers that run, by the name of their pod: more than one is one identity twice.
  std::map<std::string, int> Running() const;

 private:
  struct Node {
    bool down = false;
    std::unique_ptr<container::fake::FakeRuntime> runtime;
    std::map<std::string, std::string> seen;         // pod uid -> resourceVersion that was looked at
    std::set<std::string> due;                       // pod uids
    std::map<std::string, std::string> names;        // pod uid -> pod name
    std::set<std::string> unready;
  };
  struct Move {
    Node* node;
    std::string uid;
    bool pass;                                       // the agent looks; else something happens in the runtime
  };

  void Notice(Node& node, const std::string& name);
  std::vector<Move> Moves();
  void Pass(Node& node, const std::string& uid);
  void Happen(Node& node, const std::string& uid);
  void Forget(Node& node, const std::string& uid);
  void StartNext(Node& node, const json::Value& pod, int attempt);
  void SetPhase(Node& node, const json::Value& pod, std::string_view phase, bool ready, int restarts);

  World& world_;
  const std::function<void(const json::Value&)> on_success_;
  Faults faults_;
  std::map<std::string, Node> nodes_;
};

}  // namespace skerry::sim
