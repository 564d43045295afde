#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

// Validation errors in the API's form: facts in the Kubernetes API conventions, "field.Error".
namespace skerry::kube {

enum class FieldErrorType : std::uint8_t {
  kRequired, kInvalid, kNotSupported, kDuplicate, kNotFound, kForbidden, kTooLong, kTooMany, kTooFew, kTooShort, kInternal, kTypeInvalid,
};

struct FieldError {
  FieldErrorType type;
  std::string path;      // "spec.containers[0].name"
  std::string value;     // rendered as the message shows it (`"x"`, `3`, compact JSON); unused by Required, Forbidden, TooLong, Internal
  std::string detail;    // may be empty

  std::string Text() const;      // "<path>: <Type text>[: <value>][: <detail>]"
  std::string Message() const;   // without the path
  std::string_view Reason() const;   // "FieldValueRequired", …
};
using FieldErrors = std::vector<FieldError>;

}  // namespace skerry::kube
