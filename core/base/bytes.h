#pragma once
#include <memory>
#include <string>
#include <string_view>
namespace skerry {
// Immutable, cheaply shared bytes. Everything that fans out (watch events, stored objects) is Bytes:
// encoded once, referenced by every watcher, never copied per consumer.
class Bytes {
 public:
  Bytes() = default;
  explicit Bytes(std::string s) : rep_(std::make_shared<const std::string>(std::move(s))) {}
  std::size_t size() const noexcept { return view().size(); }
  std::string_view view() const noexcept { return rep_ ? std::string_view(*rep_) : std::string_view(); }
  bool empty() const noexcept { return !rep_ || rep_->empty(); }
 private:
  std::shared_ptr<const std::string> rep_;
};
}  // namespace skerry
