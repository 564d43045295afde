#pragma once
#include <memory>
#include <string>

#include "core/base/component.h"
#include "embedded-kube-shim/client/metrics.h"
#include "embedded-kube-shim/client/node_streams.h"
#include "embedded-kube-shim/node/node_status.h"
#include "embedded-kube-shim/node/pod_worker.h"

namespace skerry::kube::node {

struct AgentOptions {
  NodeOptions node;
  DnsOptions dns;
};

// The node agent: registers the node and runs the pods that are bound to it. Talks to the API through `client` alone. The manager is its
// own (its workers may block on the runtime); Stop() leaves every pod running.
class Agent final : public Component, public NodeStreams {
 public:
  Agent(Informers& informers, Client& client, container::Runtime& runtime, PodNetwork& network, const Clock& clock, AgentOptions options);
  ~Agent() override;

  std::string_view name() const noexcept override { return "node-agent"; }
  Result<> Start(const Ctx&) override;       // adopts what runs, then reconciles
  void Stop() noexcept override;

  Result<std::unique_ptr<container::LogReader>> Logs(const Key& pod, std::string_view container, bool previous, container::LogOptions options) override;
  Result<std::unique_ptr<container::Session>> Exec(const Ctx&, const Key& pod, std::string_view container, const container::ExecSpec& spec) override;
  Result<std::unique_ptr<container::Session>> Attach(const Ctx&, const Key& pod, std::string_view container, bool with_stdin) override;
  Result<UniqueFd> Dial(const Ctx&, const Key& pod, std::uint16_t port) override;
  MetricsSource& usage();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace skerry::kube::node
