#pragma once
#include <string>

#include "core/base/result.h"

namespace skerry::netlink {

// Runs `nft -f -` with the text on its standard input, in the network namespace of the calling thread: one atomic transaction.
// kUnavailable when nft is not installed; kInvalid with nft's first line when it refuses the text. For what changes rarely (tables,
// chains, rules); elements go through NftTable.
Result<> LoadRuleset(const std::string& text);

}  // namespace skerry::netlink
