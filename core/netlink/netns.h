#pragma once
#include <functional>
#include <string>

#include "core/base/result.h"
#include "core/base/unique_fd.h"

// Network namespaces. They belong to threads, so work inside one runs on a short-lived thread of its own (about 0.05 ms):
// the caller's thread never changes its namespace.
namespace skerry::netlink {

// Makes a namespace with its loopback up and pins it by a bind mount at `path` (the file is created, its folder must exist).
// kAlreadyExists when something is pinned there already.
Result<> CreateNetns(const std::string& path);
// Unpins and removes the file; the namespace lives on while a process or descriptor uses it. Missing is fine.
Result<> DeleteNetns(const std::string& path);
Result<UniqueFd> OpenNetns(const std::string& path);   // also /proc/<pid>/ns/net; kNotFound, kInvalid when it is no namespace
// Runs `fn` inside and returns what it returned. `fn` must not keep anything thread-bound.
Result<> InNetns(int netns, const std::function<Result<>()>& fn);

// /proc/sys values, e.g. ("net/ipv4/conf/eth0/rp_filter", "1"): of the calling thread's network namespace.
Result<std::string> ReadSysctl(const std::string& name);
Result<> WriteSysctl(const std::string& name, std::string_view value);   // writes only when it differs

}  // namespace skerry::netlink
