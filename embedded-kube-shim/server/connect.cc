#include "embedded-kube-shim/server/connect.h"

#include "core/base/strings.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/server/list_options.h"

namespace skerry::kube {
namespace {

json::Value OptionsOf(const RestRequest& request) {
  const http::Request& r = *request.http;
  const Subresource& part = *request.subresource;
  auto out = json::Value::Object();
  out.Set("kind") = part.kind;
  out.Set("apiVersion") = part.version.empty() ? request.target.gvk().api_version() : GroupVersionKind{part.group, part.version, part.kind}.api_version();
  if (part.name == "exec" || part.name == "attach") {
    for (const char* flag : {"stdin", "stdout", "stderr", "tty"}) {
      if (QueryFlag(r, flag)) out.Set(flag) = true;
    }
    if (!r.Query("container").empty()) out.Set("container") = r.Query("container");
    for (const std::string_view word : r.QueryAll("command")) out.Set("command").Append(json::Value(word));
  } else if (part.name == "portforward") {
    for (const std::string_view port : r.QueryAll("ports")) {
      if (const auto n = ParseInt(port)) out.Set("ports").Append(json::Value(*n));
    }
  } else {
    out.Set("path") = Join(request.info.trailing, "/");
  }
  return out;
}

}  // namespace

Result<> AdmitConnect(Rest& rest, const RestRequest& request) {
  if (!request.subresource) return {};
  if (request.http->HasQuery("dryRun")) return std::unexpected(BadRequestError("dryRun is not supported"));
  auto options = OptionsOf(request);
  std::vector<std::string> warnings;
  store::Batch none;
  const Target& target = request.target;
  AdmissionRequest admission{*target.def, target.version, target.subresource, target.ns, target.name, Operation::kConnect, &options, nullptr, nullptr, request.caller.user, false, warnings, none,
                             request.caller.audit.get()};
  TRY_VOID(rest.engine().admission().Mutate(request.ctx, admission, rest.engine()));
  return rest.engine().admission().Validate(request.ctx, admission, rest.engine());
}

}  // namespace skerry::kube
