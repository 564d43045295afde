#pragma once
#include "embedded-kube-shim/auth/console_sessions.h"
#include "embedded-kube-shim/server/rest.h"
#include "embedded-kube-shim/server/row_stream.h"

// What the console asks of the server beside the Kubernetes API, all of it as the caller:
//   POST /console/v1/login   {"code":C}         → {"token":T,"expires":TIME}; needs no other credential
//   POST /console/v1/codes                      → {"code":C}; for callers that a client certificate identifies
//   POST /console/v1/stream  {"subs":[{"id":I,"path":"/api/v1/pods","labels":S,"fields":S,"rv":N,"cells":B,"extra":[["spec","nodeName"],…]},…]}
//                                               → rows, see row_stream.h; each subscription needs the right to watch its path
// Errors are Status objects.
namespace skerry::kube {

inline constexpr std::string_view kConsoleApi = "/console/v1/";

class ConsoleApi {
 public:
  ConsoleApi(const Engine& engine, Timers& timers, const Authorizer& authorizer, ConsoleSessions& sessions)
      : engine_(engine), timers_(timers), authorizer_(authorizer), sessions_(sessions) {}
  // The caller is known, nothing is authorized yet.
  http::Reply Serve(const RestRequest& request);

 private:
  Result<http::Reply> Login(const http::Request& request);
  Result<http::Reply> NewCode(const RestRequest& request);
  Result<http::Reply> Stream(const RestRequest& request);
  Result<RowQuery> QueryFrom(const RestRequest& request, const json::Value& sub) const;

  const Engine& engine_;
  Timers& timers_;
  const Authorizer& authorizer_;
  ConsoleSessions& sessions_;
};

}  // namespace skerry::kube
