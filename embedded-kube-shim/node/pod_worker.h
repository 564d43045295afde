#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "core/base/clock.h"
#include "core/base/thread_pool.h"
#include "core/container/runtime.h"
#include "embedded-kube-shim/controller/controller.h"
#include "embedded-kube-shim/node/hooks.h"
#include "embedded-kube-shim/node/image_puller.h"
#include "embedded-kube-shim/node/pod_files.h"
#include "embedded-kube-shim/node/pod_network.h"
#include "embedded-kube-shim/node/probes.h"
#include "embedded-kube-shim/node/volumes.h"

namespace skerry::kube::node {

struct DiskSpace {
  std::int64_t total = 0, free = 0;      // bytes
};

// Everything the workers use; borrowed, outlives them.
struct WorkerEnvironment {
  Manager& manager;
  Informers& informers;
  Client& client;
  EventRecorder& events;
  container::Runtime& runtime;
  PodNetwork& network;
  ElasticPool& pool;
  const Clock& clock;
  std::string node_name;
  std::function<std::string()> node_ip;  // now; any thread
  std::string data_directory;            // "pods/" and "logs/" below it
  DnsOptions dns;
  TokenSource tokens;
  ProbeRunner probe_runner;
  std::function<DiskSpace()> disk;       // of the data directory; empty: the kernel is asked
  std::stop_token stop;                  // ends pulls and hooks on the pool
};

// Where a pod's containers are, for streams. Empty ids when not there.
struct PodView {
  std::string uid, sandbox_id, pod_ip;
  std::map<std::string, std::string> containers;        // name -> id of the latest attempt
  std::map<std::string, std::string> previous;          // name -> log path of the attempt before
  std::map<std::string, std::string> logs;              // name -> log path of the latest attempt
};

//  Pod worker: one key per pod, one pass at a time, no thread while nothing happens.
//
//    (bound to this node) ──► volumes ──► sandbox ──► network ──► init containers ──► containers ──► Running
//            │                    │ any failure: event, waiting reason, try again later
//            └─ deletionTimestamp, deadline, eviction ──► Terminating: preStop ─► TERM ─► (grace) ─► KILL ─► all ended
//                 ──► final status ──► network, sandbox, volumes, directory removed ──► DELETE with grace 0 (deleted pods only)
class PodWorkers {
 public:
  explicit PodWorkers(const WorkerEnvironment& env);
  ~PodWorkers();

  // Before the manager starts: takes over what the runtime still runs. Pods of other nodes are none of our business.
  Result<> Adopt();
  void OnRuntimeEvent(const container::Event& event);   // from the runtime's thread
  std::optional<PodView> View(const Key& pod) const;
  std::vector<std::pair<Key, PodView>> Views() const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace skerry::kube::node
