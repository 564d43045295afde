#pragma once
#include <memory>
#include <string>

#include "cmd/skerry/options.h"

// The only place that knows every component: builds them bottom up, starts them in order, stops them in reverse.
namespace skerry::cmd {

struct Addresses {
  std::string api, registry, router_http, router_https;   // as bound, "127.0.0.1:6443"; empty = off
  std::string kubeconfig;                                 // path
};

class Appliance {
 public:
  // Errors name cause and remedy in one line.
  static Result<std::unique_ptr<Appliance>> Start(const Options& options);
  virtual ~Appliance() = default;
  virtual const Addresses& addresses() const = 0;
  // Opens one console session for the administrator; see kube::ConsoleSessions.
  virtual Result<std::string> NewLoginCode() = 0;
  virtual void Stop() noexcept = 0;                       // requests end, pods go on
};

std::string ReachableServer(const std::string& api_address);   // "https://127.0.0.1:6443" for a listener on every address

}  // namespace skerry::cmd
