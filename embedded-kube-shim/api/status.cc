#include "embedded-kube-shim/api/status.h"

#include <algorithm>
#include <unordered_set>

#include "core/base/strings.h"

namespace skerry::kube {
namespace {

struct CodeRow { Code code; int http; std::string_view reason; };

constexpr CodeRow kCodes[] = {
    {Code::kInvalid, 422, "Invalid"},
    {Code::kBadRequest, 400, "BadRequest"},
    {Code::kUnauthenticated, 401, "Unauthorized"},
    {Code::kForbidden, 403, "Forbidden"},
    {Code::kNotFound, 404, "NotFound"},
    {Code::kAlreadyExists, 409, "AlreadyExists"},
    {Code::kConflict, 409, "Conflict"},
    {Code::kGone, 410, "Expired"},
    {Code::kTooLarge, 413, "RequestEntityTooLarge"},
    {Code::kUnsupported, 415, "UnsupportedMediaType"},
    {Code::kTooMany, 429, "TooManyRequests"},
    {Code::kTimeout, 504, "Timeout"},
    {Code::kCancelled, 503, "ServiceUnavailable"},
    {Code::kUnavailable, 503, "ServiceUnavailable"},
    {Code::kCorruption, 500, "InternalError"},
    {Code::kInternal, 500, "InternalError"},
};

const CodeRow& RowOf(Code code) {
  for (const CodeRow& row : kCodes)
    if (row.code == code) return row;
  return kCodes[std::size(kCodes) - 1];
}

const StatusDetail* DetailOf(const Error& error) { return dynamic_cast<const StatusDetail*>(error.attachment()); }

std::string Qualified(std::string_view group, std::string_view name) {
  return group.empty() ? std::string(name) : Cat(name, '.', group);
}

Error Named(Code code, std::string message, std::string_view group, std::string_view kind, std::string_view name) {
  auto detail = std::make_shared<StatusDetail>();
  detail->has_details = true;
  detail->group = group;
  detail->kind = kind;
  detail->name = name;
  return Error(code, std::move(message)).WithAttachment(std::move(detail));
}

Error Explicit(Code code, std::string message, int http, std::string reason, bool has_details) {
  auto detail = std::make_shared<StatusDetail>();
  detail->http = http;
  detail->reason = std::move(reason);
  detail->has_details = has_details;
  return Error(code, std::move(message)).WithAttachment(std::move(detail));
}

void SetText(json::Value& object, std::string_view key, std::string_view text) {
  if (!text.empty()) object.Set(key) = json::Value(text);
}

}  // namespace

Error NotFoundError(std::string_view group, std::string_view resource, std::string_view name) {
  return Named(Code::kNotFound, Cat(Qualified(group, resource), " \"", name, "\" not found"), group, resource, name);
}

Error AlreadyExistsError(std::string_view group, std::string_view resource, std::string_view name) {
  return Named(Code::kAlreadyExists, Cat(Qualified(group, resource), " \"", name, "\" already exists"), group, resource, name);
}

Error ConflictError(std::string_view group, std::string_view resource, std::string_view name, std::string_view why) {
  return Named(Code::kConflict, Cat("Operation cannot be fulfilled on ", Qualified(group, resource), " \"", name, "\": ", why), group, resource, name);
}

Error InvalidError(std::string_view group, std::string_view kind, std::string_view name, const FieldErrors& errors) {
  std::vector<std::string> texts;
  std::unordered_set<std::string> seen;   // there may be thousands
  for (const FieldError& error : errors) {
    std::string text = error.Text();
    if (seen.insert(text).second) texts.push_back(std::move(text));
  }
  std::string list = texts.empty() ? "<nil>" : texts.size() == 1 ? texts[0] : Cat('[', Join(texts, ", "), ']');
  Error result = Named(Code::kInvalid, Cat(Qualified(group, kind), " ", Quote(name), " is invalid: ", list), group, kind, name);
  for (const FieldError& error : errors) result = std::move(result).WithCause({error.path, std::string(error.Reason()), error.Message()});
  return result;
}

Error ForbiddenError(std::string_view group, std::string_view resource, std::string_view name, std::string_view why) {
  std::string message;
  if (resource.empty())
    message = Cat("forbidden: ", why);
  else if (name.empty())
    message = Cat(Qualified(group, resource), " is forbidden: ", why);
  else
    message = Cat(Qualified(group, resource), " \"", name, "\" is forbidden: ", why);
  return Named(Code::kForbidden, std::move(message), group, resource, name);
}

Error BadRequestError(std::string message) { return Error(Code::kBadRequest, std::move(message)); }

Error MethodNotAllowedError() {
  return Explicit(Code::kUnsupported, "the server does not allow this method on the requested resource", 405, "MethodNotAllowed", true);
}

Error ResourceNotFoundError() {
  return Explicit(Code::kNotFound, "the server could not find the requested resource", 404, "NotFound", true);
}

Error PlainInternalError(std::string message) { return Explicit(Code::kInternal, std::move(message), 500, "", false); }

Error ExpiredError(std::string message) { return Explicit(Code::kGone, std::move(message), 410, "Expired", false); }

int HttpStatusOf(const Error& error) {
  const StatusDetail* detail = DetailOf(error);
  return detail && detail->http ? detail->http : RowOf(error.code()).http;
}

std::string ReasonOf(const Error& error) {
  const StatusDetail* detail = DetailOf(error);
  return detail && detail->http ? detail->reason : std::string(RowOf(error.code()).reason);
}

json::Value StatusObject(const Error& error) {
  json::Value status = json::Value::Object();
  status.Set("kind") = "Status";
  status.Set("apiVersion") = "v1";
  status.Set("metadata") = json::Value::Object();
  status.Set("status") = "Failure";
  SetText(status, "message", error.message());
  SetText(status, "reason", ReasonOf(error));
  const StatusDetail* detail = DetailOf(error);
  if (detail) SetText(status.Set("metadata"), "continue", detail->continue_token);
  std::int64_t retry_after = error.retry_after().count();
  if (detail && detail->retry_after_seconds) retry_after = detail->retry_after_seconds;
  if ((detail && detail->has_details) || !error.causes().empty() || retry_after > 0) {
    json::Value details = json::Value::Object();
    if (detail) {
      SetText(details, "name", detail->name);
      SetText(details, "group", detail->group);
      SetText(details, "kind", detail->kind);
      SetText(details, "uid", detail->uid);
    }
    for (const Error::Cause& cause : error.causes()) {
      json::Value item = json::Value::Object();
      SetText(item, "reason", cause.reason);
      SetText(item, "message", cause.message);
      SetText(item, "field", cause.field);
      details.Set("causes").Append(std::move(item));
    }
    if (retry_after > 0) details.Set("retryAfterSeconds") = retry_after;
    status.Set("details") = std::move(details);
  }
  status.Set("code") = HttpStatusOf(error);
  return status;
}

Error ErrorFromStatus(const json::Value& status) {
  const std::string_view reason = status["reason"].Str();
  const int http = static_cast<int>(status["code"].Int(500));
  Code code = Code::kInternal;
  bool found = false;
  for (const CodeRow& row : kCodes)
    if (!found && !reason.empty() && row.reason == reason) code = row.code, found = true;
  for (const CodeRow& row : kCodes)
    if (!found && row.http == http) code = row.code, found = true;
  auto detail = std::make_shared<StatusDetail>();
  const json::Value& details = status["details"];
  detail->http = http;
  detail->reason = reason;
  detail->has_details = details.is_object();
  detail->name = details["name"].Str();
  detail->group = details["group"].Str();
  detail->kind = details["kind"].Str();
  detail->uid = details["uid"].Str();
  detail->retry_after_seconds = details["retryAfterSeconds"].Int();
  Error error(code, std::string(status["message"].Str()));
  for (const json::Value& cause : details["causes"].Items())
    error = std::move(error).WithCause({std::string(cause["field"].Str()), std::string(cause["reason"].Str()), std::string(cause["message"].Str())});
  if (detail->retry_after_seconds > 0) error = std::move(error).WithRetryAfter(std::chrono::seconds(detail->retry_after_seconds));
  return std::move(error).WithAttachment(std::move(detail));
}

}  // namespace skerry::kube
