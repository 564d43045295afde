#pragma once
#include <string>

#include "core/base/unique_fd.h"
#include "core/http/message.h"

namespace skerry::kube::stream {

// An upgraded connection handed through to a backend that has answered 101: `headers` are its own, `early` what came behind them.
http::Reply RelayUpgrade(http::Headers headers, UniqueFd backend, std::string early);

}  // namespace skerry::kube::stream
