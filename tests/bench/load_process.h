#pragma once
#include <sys/types.h>

#include <cstdint>
#include <string>

namespace skerry::bench {

// Seconds of processor time of a process and its children, living and reaped, from /proc/PID/stat. 0 for pid 0.
double CpuSeconds(pid_t pid);
std::int64_t ResidentKib(pid_t pid);   // VmRSS of the process alone
double Now();                          // monotonic seconds

}  // namespace skerry::bench
