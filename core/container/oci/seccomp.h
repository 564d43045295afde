#pragma once
#include <set>
#include <string>

#include "core/json/value.h"

namespace skerry::container::oci {

// Our own RuntimeDefault in the form of the OCI runtime specification: system calls that ordinary programs need are allowed; what
// reaches the host, other processes or kernel internals is EPERM unless the container has the capability it belongs to; what is not
// named (newer than this list) is ENOSYS, so that C libraries fall back.
json::Value DefaultSeccompProfile(const std::set<std::string>& capabilities);

}  // namespace skerry::container::oci
