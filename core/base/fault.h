#pragma once
#include "core/base/result.h"

// Named places where a test may cut the process or make a step fail. Compiled out of release builds.
// SKERRY_FAULT_POINT=name[:n] in the environment kills the process (SIGKILL) at the n-th pass of that place (n from 1, default 1);
// SKERRY_FAULT_HOLD=name:path holds the first thread that passes: it opens the FIFO at `path` for reading and goes on when the writer closes.
// SetFault(name, error) makes the next pass return the error.
namespace skerry::fault {
#ifdef SKERRY_FAULT_POINTS
Result<> Hit(const char* name);
#else
inline Result<> Hit(const char*) { return {}; }
#endif
void SetFault(std::string name, Error error);   // tests only; no effect in release builds
}  // namespace skerry::fault

#ifdef SKERRY_FAULT_POINTS
#define SKERRY_FAULT(name) TRY_VOID(::skerry::fault::Hit(name))
#else
#define SKERRY_FAULT(name) static_cast<void>(0)
#endif
