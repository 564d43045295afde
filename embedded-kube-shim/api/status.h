#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/json/value.h"
#include "embedded-kube-shim/api/field_error.h"

// meta/v1 Status from and to Error. An Error without attachment maps by its Code (table in status.cc); StatusDetail overrides where
// upstream says something explicit (a reason-less 500, 405, details of another kind).
namespace skerry::kube {

struct StatusDetail final : ErrorAttachment {
  int http = 0;                     // 0 = by Code
  std::string reason;               // empty and http != 0: no reason is sent
  bool has_details = false;         // an empty "details":{} is sent when true and nothing else is set
  std::string name, group, kind, uid;
  std::int64_t retry_after_seconds = 0;
  std::string continue_token;       // of a list that can go on without consistency
};

// Builders with upstream's texts. `resource` is the plural; group may be empty.
Error NotFoundError(std::string_view group, std::string_view resource, std::string_view name);
Error AlreadyExistsError(std::string_view group, std::string_view resource, std::string_view name);
Error ConflictError(std::string_view group, std::string_view resource, std::string_view name, std::string_view why);
Error InvalidError(std::string_view group, std::string_view kind, std::string_view name, const FieldErrors& errors);
Error ForbiddenError(std::string_view group, std::string_view resource, std::string_view name, std::string_view why);   // name may be empty
Error BadRequestError(std::string message);
Error MethodNotAllowedError();        // 405 "the server does not allow this method on the requested resource"
Error ResourceNotFoundError();        // 404 "the server could not find the requested resource"
Error PlainInternalError(std::string message);   // 500 without reason
Error ExpiredError(std::string message);         // 410 reason Expired

int HttpStatusOf(const Error& error);
std::string ReasonOf(const Error& error);
json::Value StatusObject(const Error& error);    // kind Status, apiVersion v1, status Failure
// The other way, for clients of a remote server.
Error ErrorFromStatus(const json::Value& status);

}  // namespace skerry::kube
