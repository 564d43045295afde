#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "core/base/clock.h"
#include "core/base/random.h"
#include "core/http/client.h"
#include "embedded-kube-shim/client/client.h"
#include "embedded-kube-shim/client/kubeconfig.h"

// The client interface over HTTPS: what runs on another machine, or in another process, sees the API as what runs in ours does.
namespace skerry::kube {

// Blocking, JSON. Requests end at the Ctx's deadline, after 30 s without one. kUnavailable, kTimeout: the server was not reached, or did
// not answer; the write may have happened. `agent` becomes the user agent and, with it, the field manager.
std::unique_ptr<Client> NewRemoteClient(RemoteServer server, std::string agent);

// A request for a path (which may have a query) to the server that answers for it, as whoever asks: URL, certificates and the headers that
// name them. Called anew for every request, on any thread; an error stands for one that cannot be made now.
using RequestMaker = std::function<Result<http::ClientRequest>(const std::string& path_and_query)>;
// The same over servers that are found again for each request.
std::unique_ptr<Client> NewRemoteClient(RequestMaker requests, std::string agent);

struct RemoteInformerOptions {
  // By resource: a field selector of what is wanted ("v1/pods" -> "spec.nodeName=a").
  std::map<std::string, std::string, std::less<>> field_selectors;
  std::size_t page = 500;                            // objects asked for at once
};

// A cache per resource, filled by a list and kept by a watch on a thread of its own; one further thread delivers. A watch that breaks goes
// on where it ended; when the server has forgotten that place, the difference to a new list is told. Failures, and watches that end at once,
// are tried again after 0.1 … 30 s. HasSynced() is true when every resource asked for has been listed once.
class RemoteInformers : public Informers {
 public:
  virtual Result<> WaitForSync(const Ctx& ctx) = 0;  // kTimeout, kCancelled
  virtual void Stop() noexcept = 0;                  // idempotent; no call runs afterwards
};
std::unique_ptr<RemoteInformers> NewRemoteInformers(RemoteServer server, std::string agent, RemoteInformerOptions options = {});
std::unique_ptr<RemoteInformers> NewRemoteInformers(RequestMaker requests, std::string agent, RemoteInformerOptions options = {});

}  // namespace skerry::kube
