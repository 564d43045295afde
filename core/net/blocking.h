#pragma once
#include <memory>
#include <span>
#include <string_view>

#include "core/base/context.h"
#include "core/net/dial.h"
#include "core/net/shard.h"
#include "core/net/stream.h"

namespace skerry::net {

// Lets plain threads use a stream: each call waits for the shard. One reader and one writer thread at a time. Never called on a shard.
// ctx.deadline gives kTimeout, ctx.stop kCancelled; a Read that ended so may be repeated.
class BlockingStream {
 public:
  static Result<std::unique_ptr<BlockingStream>> Dial(const Ctx& ctx, Shard& shard, DialTarget target);
  BlockingStream(Shard& shard, std::unique_ptr<Stream> stream);   // the stream lives on that shard
  ~BlockingStream();                                              // no call may be running

  Result<std::size_t> Read(const Ctx& ctx, std::span<std::byte> into);   // 0 = orderly end
  Result<> Write(const Ctx& ctx, std::string_view bytes);
  Result<> CloseWrite(const Ctx& ctx);
  void Abort() noexcept;                                          // any thread
  const ConnectionInfo& info() const;

 private:
  Shard& shard_;
  std::unique_ptr<Stream> stream_;
};

// Runs a coroutine on a shard and waits for it. Never called on a shard.
void RunOn(Shard& shard, Task<void> task);

}  // namespace skerry::net
