#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "core/base/result.h"
#include "core/http/message.h"
#include "embedded-kube-shim/auth/rbac.h"

// Requests on behalf of somebody else, by the Impersonate-* headers. Two ways to be allowed: for all that the other may do (verb
// "impersonate" on users, groups, …), or for certain actions only (verb "impersonate-on:<mode>:<verb>" on what the request is about, and
// "impersonate:<mode>" on whom it names). Thread-safe.
namespace skerry::kube {

class Impersonation {
 public:
  explicit Impersonation(const Authorizer& authorizer) : authorizer_(authorizer) {}

  // `user` himself without such headers. `action` is what the request asks for; its user is not looked at. kForbidden in upstream's words,
  // kBadRequest when nobody is named.
  Result<User> Apply(User user, const http::Request& request, const Attributes& action) const;

 private:
  struct Wanted;
  enum class Way : std::uint8_t { kConstrained, kWhole };

  static std::optional<Wanted> Parse(const http::Request& request);
  Result<> Check(const User& user, Attributes attributes) const;
  Result<> CheckWhole(const User& user, Wanted& wanted) const;
  Result<> CheckConstrained(const User& user, Wanted& wanted, const Attributes& action) const;

  const Authorizer& authorizer_;
  // Whoever has been allowed the one way is told of that way's refusals. Bounded: forgotten when full.
  mutable std::mutex mutex_;
  mutable std::map<std::string, Way> last_;
};

}  // namespace skerry::kube
