#pragma once
#include "embedded-kube-shim/server/rest.h"

namespace skerry::kube {

// The whole chain on the caller's thread, with an identity.
std::unique_ptr<Client> NewLocalClient(Engine& engine, const Authorizer& authorizer, const ServiceAccountTokens& tokens, User user, std::string manager);
// Listers and notifications from the caches.
std::unique_ptr<Informers> NewCacheInformers(Caches& caches, const class Registry& registry);

}  // namespace skerry::kube
