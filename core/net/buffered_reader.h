#pragma once
#include <string>
#include <string_view>

#include "core/net/stream.h"
#include "core/net/task.h"

namespace skerry::net {

// Reads ahead of a parser. One user at a time; what was read and not consumed survives a timed-out Need.
class BufferedReader {
 public:
  explicit BufferedReader(Stream& stream, std::size_t read_size = 16 << 10) : stream_(stream), read_size_(read_size) {}
  std::string_view view() const { return std::string_view(bytes_).substr(taken_); }
  void Consume(std::size_t n) { taken_ += n; }
  std::string TakeAll();                              // what was read ahead, for who takes the stream over
  Task<Result<bool>> Need(std::size_t bytes);         // until view() has that many; false: the stream ended before
  Task<Result<bool>> More() { return Need(view().size() + 1); }

 private:
  Stream& stream_;
  const std::size_t read_size_;
  std::string bytes_;
  std::size_t taken_ = 0;
};

}  // namespace skerry::net
