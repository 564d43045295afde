#include "core/net/buffered_reader.h"

namespace skerry::net {

std::string BufferedReader::TakeAll() {
  std::string out = bytes_.substr(taken_);
  bytes_.clear();
  taken_ = 0;
  return out;
}

Task<Result<bool>> BufferedReader::Need(std::size_t bytes) {
  while (view().size() < bytes) {
    bytes_.erase(0, taken_);
    taken_ = 0;
    const std::size_t old = bytes_.size();
    bytes_.resize(old + read_size_);
    const std::span<std::byte> room(reinterpret_cast<std::byte*>(bytes_.data()) + old, read_size_);
    auto n = co_await stream_.Read(room);
    bytes_.resize(old + n.value_or(0));
    if (!n) co_return std::unexpected(std::move(n).error());
    if (*n == 0) co_return false;
  }
  co_return true;
}

}  // namespace skerry::net
