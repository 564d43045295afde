#pragma once
#include <memory>
#include <string>
#include <utility>

#include "core/base/unique_fd.h"
#include "core/net/stream.h"

namespace skerry::net {

// A socket, pipe or pty as a Stream on the executor's shard.
Result<std::unique_ptr<Stream>> FromDescriptor(const boost::asio::any_io_executor& executor, UniqueFd fd, ConnectionInfo info = {});

// Two connected in-memory ends; each lives on its own executor, which may be the same. A writer waits while `capacity` bytes are unread.
std::pair<std::unique_ptr<Stream>, std::unique_ptr<Stream>> MakePair(const boost::asio::any_io_executor& first,
                                                                     const boost::asio::any_io_executor& second,
                                                                     std::size_t capacity = 64 << 10);

// Reads `bytes` first, then the stream.
std::unique_ptr<Stream> WithPrefix(std::string bytes, std::unique_ptr<Stream> stream);

// Copies until both directions have ended or one fails; an orderly end of one side becomes CloseWrite of the other.
// With `idle` > 0 the relay ends when nothing moved for that long.
Task<void> Relay(Stream& a, Stream& b, std::chrono::milliseconds idle = std::chrono::milliseconds(0));

}  // namespace skerry::net
