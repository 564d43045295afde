#include "embedded-kube-shim/api/schema.h"

namespace skerry::kube {

const Field* Schema::Find(std::string_view field) const {
  for (const Field& candidate : fields)
    if (candidate.name == field) return &candidate;
  return nullptr;
}

}  // namespace skerry::kube
