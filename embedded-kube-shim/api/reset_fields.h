#pragma once
#include <string_view>
#include <vector>

#include "embedded-kube-shim/api/field_set.h"
#include "embedded-kube-shim/api/resource_def.h"

namespace skerry::kube {

// Which fields a request to a resource or one of its subresources cannot change: nobody comes to own them by it.
class FieldFilter {
 public:
  FieldSet Apply(const FieldSet& fields) const;

  FieldSet excluded;   // with everything below
};
FieldFilter ResetFields(const ResourceDef& def, std::string_view subresource);

}  // namespace skerry::kube
