#pragma once
#include <poll.h>

#include <span>

#include "core/base/context.h"
#include "core/base/result.h"
#include "core/base/unique_fd.h"

namespace skerry::process {

// poll(2) that also ends with the context: kTimeout or kCancelled. Entries with fd -1 are ignored, as poll does.
Result<> Poll(const Ctx& ctx, std::span<pollfd> fds);
// Waits until `fd` can be read (or has ended).
Result<> WaitReadable(const Ctx& ctx, int fd);
// Sleeps for at most `d`, shorter when the context ends. For retries against the kernel where it gives no notice.
void Pause(const Ctx& ctx, std::chrono::milliseconds d);

struct Pipe {
  UniqueFd read, write;
};
Result<Pipe> MakePipe();               // close-on-exec
Result<> SetNonBlocking(int fd);

}  // namespace skerry::process
