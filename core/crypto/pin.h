#pragma once
#include <string>
#include <string_view>

#include "core/base/clock.h"

namespace skerry::crypto {

// The public keys of those trusted certificates that are their own issuer and have no name at all (subject and issuer are empty), made for
// a server of this name or address and valid at `now`: "sha256//<base64 of the digest of the key>", separated by ';'. Empty: there are none.
// Such certificates are lawful (RFC 5280, 4.1.2.6: the alternative names stand in), but not every TLS library takes them.
std::string PinsOfNamelessServers(std::string_view authorities_pem, const std::string& host, Clock::Wall now);

}  // namespace skerry::crypto
