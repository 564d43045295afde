#include "core/base/result.h"

namespace skerry {

Error::Error(Code code, std::string message, std::source_location where)
    : detail_(std::make_unique<Detail>(Detail{code, std::move(message), {}, where, std::chrono::seconds{0}, nullptr})) {}

bool Error::IsRetryable() const noexcept {
  switch (code()) {
    case Code::kUnavailable:
    case Code::kTooMany:
    case Code::kTimeout:
    case Code::kConflict: return true;
    default: return false;
  }
}

std::string_view Error::code_name() const noexcept {
  switch (code()) {
    case Code::kInvalid: return "invalid";
    case Code::kBadRequest: return "bad request";
    case Code::kUnauthenticated: return "unauthenticated";
    case Code::kForbidden: return "forbidden";
    case Code::kNotFound: return "not found";
    case Code::kAlreadyExists: return "already exists";
    case Code::kConflict: return "conflict";
    case Code::kGone: return "gone";
    case Code::kTooLarge: return "too large";
    case Code::kUnsupported: return "unsupported";
    case Code::kTooMany: return "too many";
    case Code::kTimeout: return "timeout";
    case Code::kCancelled: return "cancelled";
    case Code::kUnavailable: return "unavailable";
    case Code::kCorruption: return "corruption";
    case Code::kInternal: return "internal";
  }
  return "unknown";
}

Error&& Error::Wrap(std::string_view context) && {
  std::string m(context);
  m += ": ";
  m += detail_->message;
  detail_->message = std::move(m);
  return std::move(*this);
}

Error&& Error::WithCause(Cause cause) && {
  detail_->causes.push_back(std::move(cause));
  return std::move(*this);
}

Error&& Error::WithRetryAfter(std::chrono::seconds s) && {
  detail_->retry_after = s;
  return std::move(*this);
}

Error&& Error::WithAttachment(std::shared_ptr<const ErrorAttachment> a) && {
  detail_->attachment = std::move(a);
  return std::move(*this);
}

Error Error::Clone() const {
  Error e(detail_->code, detail_->message, detail_->where);
  *e.detail_ = *detail_;
  return e;
}

}  // namespace skerry
