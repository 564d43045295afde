#pragma once
#include <functional>
#include <memory>
#include <string>

#include "core/http/message.h"
#include "registry/storage.h"

// OCI distribution (specification 1.1) over Storage. Knows nothing of Kubernetes: who may do what is asked of a hook.
namespace skerry::registry {

enum class Action : std::uint8_t { kPull, kPush, kDelete, kCatalog };

struct RegistryOptions {
  // Nullopt: allowed. Otherwise the reply to give (401 with its challenge, 403). Called on workers.
  std::function<std::optional<http::Response>(const http::Request& request, Action action, std::string_view name)> authorize;
  // After a manifest was stored (2xx is sent after it returns).
  std::function<void(std::string_view name, std::string_view reference, const Manifest& manifest)> pushed;
};

std::unique_ptr<http::Handler> NewRegistryHandler(Storage& storage, RegistryOptions options = {});

}  // namespace skerry::registry
