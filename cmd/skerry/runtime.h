#pragma once
#include <memory>
#include <string>

#include "cmd/skerry/options.h"
#include "core/container/runtime.h"

// The container driver that the options ask for.
namespace skerry::cmd {

// `registry`: address of our own registry, whose blobs are read where they lie; empty: none.
Result<std::unique_ptr<container::Runtime>> NewRuntime(const Options& options, const std::string& registry);

// Tells what to do about a runtime that cannot be made or started.
Error RuntimeError(const Options& options, Error e);

// Ends every container and sandbox of this instance and removes what the drivers keep outside of the data directory, then detaches
// every mount below data and run directory, so that deleting them reaches nothing else. What is missing is fine.
Result<> UninstallRuntime(const Ctx& ctx, const Options& options);

}  // namespace skerry::cmd
