#pragma once
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace skerry::kube {

// Where a server is and who asks.
struct RemoteServer {
  std::string url;                                   // "https://10.0.0.1:6443", without a slash at the end
  std::string connect_to;                            // "10.0.0.1:6443" when TLS knows the server by the URL's name, but it is reached here
  std::string ca_pem;                                // empty: the system's authorities
  std::string certificate_pem, key_pem, token;       // any of them
  bool verify = true;
};

// The current context of a kubeconfig. Files that it names are read relative to `directory`. Exec plug-ins and passwords are not
// supported (kUnsupported); kInvalid tells what is missing.
Result<RemoteServer> ParseKubeconfig(std::string_view text, const std::string& directory);
Result<RemoteServer> LoadKubeconfig(const std::string& path);

}  // namespace skerry::kube
