#pragma once
#include "core/container/oci/transport.h"

namespace skerry::container::oci {

// Plain HTTP for registries on this host; other URLs go to `other` (null: kUnsupported). Redirects to the same host are followed.
std::shared_ptr<Transport> MakePlainTransport(std::shared_ptr<Transport> other);

}  // namespace skerry::container::oci
