#include "embedded-kube-shim/api/field_error.h"

namespace skerry::kube {
namespace {

struct TypeText { std::string_view text, reason; bool shows_value; };

const TypeText& TextOf(FieldErrorType type) {
  static constexpr TypeText kTexts[] = {
      {"Required value", "FieldValueRequired", false},      {"Invalid value", "FieldValueInvalid", true},
      {"Unsupported value", "FieldValueNotSupported", true}, {"Duplicate value", "FieldValueDuplicate", true},
      {"Not found", "FieldValueNotFound", true},            {"Forbidden", "FieldValueForbidden", false},
      {"Too long", "FieldValueTooLong", false},             {"Too many", "FieldValueTooMany", true},
      {"Too few", "FieldValueTooFew", true},                {"Too short", "FieldValueTooShort", false},
      {"Internal error", "InternalError", false},           {"Invalid value", "FieldValueTypeInvalid", true},
  };
  return kTexts[static_cast<std::size_t>(type)];
}

}  // namespace

std::string FieldError::Message() const {
  const TypeText& type_text = TextOf(type);
  std::string out(type_text.text);
  // An empty rendering stands for upstream's "value omitted": every shown value has at least two quotes or a digit.
  if (type_text.shows_value && !value.empty()) out.append(": ").append(value);
  if (!detail.empty()) out.append(": ").append(detail);
  return out;
}

std::string FieldError::Text() const { return path + ": " + Message(); }

std::string_view FieldError::Reason() const { return TextOf(type).reason; }

}  // namespace skerry::kube
