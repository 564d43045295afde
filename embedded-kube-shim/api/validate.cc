#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/status.h"

namespace skerry::kube {

void Validate(const ResourceDef& def, const Version& version, std::string_view subresource, const json::Value& object, const json::Value* old, FieldErrors& errors) {
  if (def.strategy) def.strategy->ValidateRules(def, version, subresource, object, old, errors);
}

Error InvalidObjectError(const ResourceDef& def, std::string_view name, const FieldErrors& errors) {
  if (def.group == "authorization.k8s.io") return InvalidError(def.group, "", "", errors);
  return InvalidError(def.resource == "events" ? "" : def.group, def.kind, name, errors);
}

}  // namespace skerry::kube
