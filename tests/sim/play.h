#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/agents.h"
#include "tests/sim/world.h"

// One simulated cluster: what is in it, who disturbs it, and what must hold. Everything follows from the seed.
namespace skerry::sim {

json::Value ParseJson(std::string_view text);        // throws
void Must(bool ok, std::string_view what);           // throws

// What the play asks of the cluster at every instant and at the end.
//   always: a rollout stays within maxSurge and maxUnavailable (calm worlds: only controllers take pods away); an eviction leaves what the
//           budget asks for; nothing exceeds the quota; no index of a job completes twice; no identity of a stateful set runs twice
//   at rest: every workload has what it asked for and says so; pods have owners; what has no owner is gone; endpoints are the ready pods
//   then:    nobody writes anything any more
class Play {
 public:
  explicit Play(std::uint64_t seed);
  // Empty: everything held.
  std::vector<std::string> Run();
  std::size_t foreign_draws() const { return world_.foreign_draws(); }
  std::size_t writes() const { return world_.writes(); }
  std::size_t fingerprint() const { return world_.fingerprint(); }
  std::size_t objects() const { return objects_; }   // that the play's namespace held at the end
  const World& world() const { return world_; }

 private:
  void Wrong(std::string what);
  std::uint64_t Pick(std::uint64_t n) { return world_.random().Below(n); }
  kube::Client& user() { return world_.user(); }
  std::vector<kube::ObjectPtr> Pods() { return world_.Lister("v1/pods").List("sim"); }
  kube::ObjectPtr Workload(const std::string& name);
  std::int64_t Healthy(std::string_view app);        // ready and not about to go
  std::int64_t Ready(std::string_view app);
  std::string Told(std::string_view app);

  // play.cc
  void SetUp();
  void SetUpQuota();
  void SetUpWorkloads();
  void SetUpRules();
  void AddNode(const std::string& name);
  void Step();
  void PassTime(std::uint64_t most = 5);
  void Renew();
  void UserStep();
  void DeletePod();
  void DisturbNode();
  void Drain();
  void Settle();

  // promises.cc
  std::string CheckWrite(std::string_view who, std::string_view verb, kube::Resource resource, const kube::Key& key);
  void CheckAlways();
  void CheckIdentities();
  void CheckConverged();
  void CheckWorkloads();
  void CheckOwners();
  void CheckEndpoints();
  void CheckQuiet();
  void Succeeded(const json::Value& pod);

  const std::uint64_t seed_;
  const bool calm_;                                  // no node fails and no user takes pods away
  const bool tight_;                                 // a quota that sometimes is not enough
  World world_;
  Agents agents_;
  std::vector<std::string> nodes_, wrong_;           // nodes that are registered
  std::map<std::string, std::set<std::string>> succeeded_;   // by job: indexes or uids, as the agents know
  Clock::MonoTime renew_at_{};
  bool orphaned_ = false;                            // "gone" was deleted with its pods left behind
  std::size_t objects_ = 0;
  std::map<std::string, std::int64_t> known_available_;   // pods of "roll", as the deployment controller saw them when it last changed this set
};

}  // namespace skerry::sim
