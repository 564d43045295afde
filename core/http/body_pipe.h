#pragma once
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "core/http/message.h"

namespace skerry::http {

// The bounded pipe between a connection (producer, shard) and a handler's thread (consumer) for BodyMode::kReader.
class BodyPipe final : public BodyReader {
 public:
  static constexpr std::size_t kCapacity = 256 << 10;
  // `wake` is called (any thread) when room appears, and once when the first byte is asked for.
  explicit BodyPipe(std::function<void()> wake) : wake_(std::move(wake)) {}

  Result<std::size_t> Read(const Ctx& ctx, std::span<std::byte> into) override;

  // Producer side.
  std::size_t room() const;
  bool wanted() const;                     // Read was called
  void Push(std::string_view bytes);       // at most room()
  void End();
  void Fail(Error error);                  // what is buffered is dropped; first reason wins

 private:
  const std::function<void()> wake_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::string bytes_;                // guarded
  std::size_t taken_ = 0;            // guarded
  bool wanted_ = false, ended_ = false;   // guarded
  std::optional<Error> failed_;      // guarded
};

}  // namespace skerry::http
