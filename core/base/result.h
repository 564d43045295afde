#pragma once
#include <chrono>
#include <cstdint>
#include <expected>
#include <memory>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace skerry {

// Canonical error codes. A code exists only if some caller reacts to it differently
// (FoundationDB's rule). What a code means on a wire is a table of the layer that owns the wire.
enum class Code : std::uint8_t {
  kInvalid,          // well-formed but not allowed (field errors in causes)
  kBadRequest,       // not even well-formed
  kUnauthenticated,
  kForbidden,
  kNotFound,
  kAlreadyExists,
  kConflict,         // optimistic concurrency
  kGone,             // compacted revision: start over
  kTooLarge,
  kUnsupported,
  kTooMany,          // back off
  kTimeout,          // the context's deadline
  kCancelled,        // shutdown or client gone; never logged as error
  kUnavailable,      // retryable
  kCorruption,       // on-disk data is wrong; component must stop
  kInternal,         // bug
};

// What a layer above attaches to an error so that its own wire can say more (a Kubernetes Status, an OCI error code).
// Core never looks inside.
class ErrorAttachment {
 public:
  virtual ~ErrorAttachment() = default;
};

// One word when moved, allocation only on the failure path.
class [[nodiscard]] Error {
 public:
  struct Cause { std::string field, reason, message; };

  Error(Code code, std::string message,
        std::source_location where = std::source_location::current());

  Code code() const noexcept { return detail_->code; }
  std::string_view message() const noexcept { return detail_->message; }
  const std::vector<Cause>& causes() const noexcept { return detail_->causes; }
  std::string_view code_name() const noexcept;
  const std::source_location& where() const noexcept { return detail_->where; }

  bool IsRetryable() const noexcept;
  Error&& Wrap(std::string_view context) &&;        // "pull image: " + message
  Error&& WithCause(Cause cause) &&;
  Error&& WithRetryAfter(std::chrono::seconds s) &&;
  Error&& WithAttachment(std::shared_ptr<const ErrorAttachment> a) &&;
  std::chrono::seconds retry_after() const noexcept { return detail_->retry_after; }
  const ErrorAttachment* attachment() const noexcept { return detail_->attachment.get(); }
  Error Clone() const;   // explicit: an error normally travels, it is not copied

 private:
  struct Detail { Code code; std::string message; std::vector<Cause> causes; std::source_location where; std::chrono::seconds retry_after{0};
                  std::shared_ptr<const ErrorAttachment> attachment; };
  std::unique_ptr<Detail> detail_;
};
static_assert(sizeof(Error) == sizeof(void*));

template <class T = void>
using Result = std::expected<T, Error>;

[[nodiscard]] inline std::unexpected<Error> Fail(
    Code code, std::string message, std::source_location where = std::source_location::current()) {
  return std::unexpected(Error(code, std::move(message), where));
}

}  // namespace skerry

#define SKERRY_CAT_(a, b) a##b
#define SKERRY_CAT(a, b) SKERRY_CAT_(a, b)
// TRY(auto x, f());   declares x or returns the error.  Not an expression on purpose:
// GNU statement expressions around co_await/co_return crash g++ 12 (gimplify_var_or_parm_decl ICE).
#define SKERRY_TRY_IMPL_(tmp, kw, lhs, ...)                                     \
  auto tmp = (__VA_ARGS__);                                                 \
  if (!tmp.has_value()) [[unlikely]] kw std::unexpected(std::move(tmp).error()); \
  lhs = *std::move(tmp)
#define TRY(lhs, ...) SKERRY_TRY_IMPL_(SKERRY_CAT(skerry_try_, __COUNTER__), return, lhs, __VA_ARGS__)
#define CO_TRY(lhs, ...) SKERRY_TRY_IMPL_(SKERRY_CAT(skerry_try_, __COUNTER__), co_return, lhs, __VA_ARGS__)
#define TRY_VOID(...)                                                        \
  do { if (auto skerry_r_ = (__VA_ARGS__); !skerry_r_.has_value()) [[unlikely]]       \
         return std::unexpected(std::move(skerry_r_).error()); } while (false)
#define CO_TRY_VOID(...)                                                     \
  do { auto skerry_r_ = (__VA_ARGS__); if (!skerry_r_.has_value()) [[unlikely]]       \
         co_return std::unexpected(std::move(skerry_r_).error()); } while (false)
