#pragma once
#include <functional>
#include <memory>

#include "core/container/oci/layer.h"
#include "core/container/oci/transport.h"

namespace skerry::container::oci {

// Turns a push (a transfer into a sink) into a pull (a source): the transfer runs on a thread of its own behind a bounded buffer.
// Destroying the source stops the transfer and waits for its thread. A failed transfer is the error of Read.
Result<std::unique_ptr<ByteSource>> StartDownload(const Ctx& ctx, std::function<Result<>(const Ctx&, const Transport::Sink&)> transfer);

}  // namespace skerry::container::oci
