#pragma once
#include "embedded-kube-shim/server/engine.h"

namespace skerry::kube {

// meta/v1 DeleteOptions as the server sees them.
struct ServerDeleteOptions {
  std::optional<std::int64_t> grace_seconds;
  std::optional<std::string> uid, resource_version;   // preconditions
  std::optional<bool> orphan_dependents;
  std::optional<std::string> propagation;             // Orphan, Background, Foreground
  std::vector<std::string> dry_run;
  std::shared_ptr<const json::Value> status_condition;   // set on the object when it stays for a while (evictions); null = none
};
// 422 of kind DeleteOptions.
Result<> ValidateDeleteOptions(const ServerDeleteOptions& options);
ServerDeleteOptions FromClient(const DeleteOptions& options);

std::unique_ptr<WriteOperation> NewServerDelete(Target target, ServerDeleteOptions options);

}  // namespace skerry::kube
