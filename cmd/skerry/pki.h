#pragma once
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"

// The keys of one appliance, made at its first start under "<data>/pki" and kept; leaves are renewed when half of their life is over or
// an address is new.
namespace skerry::cmd {

struct Pki {
  std::string ca_pem, ca_key_pem;
  std::string server_pem, server_key_pem;           // of the API listener
  std::string admin_pem, admin_key_pem;             // CN kubernetes-admin, O system:masters
  std::string proxy_ca_pem, proxy_pem, proxy_key_pem;   // of an authority of their own: by these other servers know requests that we hand on
  std::string service_account_key_pem;
  Clock::Wall renew_at;                             // when the first leaf is due
};

struct PkiNames {
  std::vector<std::string> dns, ips;                // of the API server
};

Result<Pki> LoadOrCreatePki(const std::string& directory, const PkiNames& names, Clock::Wall now);
// The administrator's kubeconfig (YAML) with everything embedded.
std::string Kubeconfig(const Pki& pki, const std::string& server);

}  // namespace skerry::cmd
