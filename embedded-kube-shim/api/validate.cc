#include "embedded-kube-shim/api/codec.h"

namespace skerry::kube {

void Validate(const ResourceDef& def, const Version& version, std::string_view subresource, const json::Value& object, const json::Value* old, FieldErrors& errors) {
  if (def.strategy) def.strategy->ValidateRules(def, version, subresource, object, old, errors);
}

}  // namespace skerry::kube
