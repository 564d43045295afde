#pragma once
#include "core/container/oci/transport.h"

namespace skerry::container::oci {

// Plain HTTP for registries on this host; other URLs go to `other` (null: kUnsupported). Redirects to the same host are followed.
std::shared_ptr<Transport> MakePlainTransport(std::shared_ptr<Transport> other);

// Everything else: TLS, proxies, redirects to object stores, by http::Client (which loads libcurl at the first request).
std::shared_ptr<Transport> MakeHttpTransport();

}  // namespace skerry::container::oci
