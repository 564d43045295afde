#include "embedded-kube-shim/auth/impersonation.h"

#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/auth/authenticator.h"

namespace skerry::kube {
namespace {

constexpr std::string_view kAuthenticated = "system:authenticated", kUnauthenticated = "system:unauthenticated", kAnonymous = "system:anonymous";
constexpr std::string_view kAccount = "system:serviceaccount:", kNode = "system:node:", kAuthentication = "authentication.k8s.io";
constexpr std::size_t kRemembered = 4096, kMaxValues = 1000;

std::string PercentDecode(std::string_view text) {
  const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0) {
      out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

Attributes About(std::string_view verb, std::string_view group, std::string_view resource, std::string_view name, std::string_view ns = {}, std::string_view subresource = {}) {
  Attributes attributes;
  attributes.verb = verb;
  attributes.group = group;
  attributes.version = "v1";
  attributes.resource = resource;
  attributes.name = name;
  attributes.ns = ns;
  attributes.subresource = subresource;
  return attributes;
}

}  // namespace

struct Impersonation::Wanted {
  User user;
  std::string account_ns, account;   // of a service account
  bool bare() const { return user.groups.empty() && user.uid.empty() && user.extra.empty(); }
};

std::optional<Impersonation::Wanted> Impersonation::Parse(const http::Request& request) {
  constexpr std::string_view kExtra = "impersonate-extra-";
  Wanted wanted;
  bool asked = false;
  std::size_t values = 0;
  for (const auto& header : request.headers) {
    const auto name = ToLower(header.name);
    if (!name.starts_with("impersonate-") || ++values > kMaxValues) continue;
    asked = true;
    if (name == "impersonate-user") wanted.user.name = header.value;
    else if (name == "impersonate-group") wanted.user.groups.push_back(header.value);
    else if (name == "impersonate-uid") wanted.user.uid = header.value;
    else if (name.starts_with(kExtra)) wanted.user.extra[PercentDecode(std::string_view(name).substr(kExtra.size()))].push_back(header.value);
  }
  if (!asked) return std::nullopt;
  if (const auto parts = Split(wanted.user.name, ':'); wanted.user.name.starts_with(kAccount) && parts.size() == 4) {
    wanted.account_ns = parts[2];
    wanted.account = parts[3];
  }
  return wanted;
}

Result<> Impersonation::Check(const User& user, Attributes attributes) const {
  attributes.user = user;
  const auto verdict = authorizer_.Authorize(attributes);
  if (verdict.decision == Decision::kAllow) return {};
  return std::unexpected(ForbiddenFor(attributes, verdict.reason));
}

Result<> Impersonation::CheckWhole(const User& user, Wanted& wanted) const {
  constexpr std::string_view kVerb = "impersonate";
  auto& as = wanted.user;
  if (wanted.account.empty()) TRY_VOID(Check(user, About(kVerb, "", "users", as.name)));
  else TRY_VOID(Check(user, About(kVerb, "", "serviceaccounts", wanted.account, wanted.account_ns)));
  for (const auto& group : as.groups) TRY_VOID(Check(user, About(kVerb, "", "groups", group)));
  if (!as.uid.empty()) TRY_VOID(Check(user, About(kVerb, kAuthentication, "uids", as.uid)));
  for (const auto& [key, values] : as.extra)
    for (const auto& value : values) TRY_VOID(Check(user, About(kVerb, kAuthentication, "userextras", value, "", key)));
  if (!wanted.account.empty() && as.groups.empty()) as.groups = {"system:serviceaccounts", Cat("system:serviceaccounts:", wanted.account_ns)};
  return {};
}

Result<> Impersonation::CheckConstrained(const User& user, Wanted& wanted, const Attributes& action) const {
  auto& as = wanted.user;
  const bool node = as.name.starts_with(kNode) && wanted.bare(), account = !wanted.account.empty() && wanted.bare();
  const auto own_node = user.extra.find("authentication.kubernetes.io/node-name");
  const bool associated = node && own_node != user.extra.end() && own_node->second.size() == 1 && as.name.substr(kNode.size()) == own_node->second[0];
  const std::string_view mode = node ? "arbitrary-node" : account ? "serviceaccount" : "user-info";
  const auto try_mode = [&](std::string_view name) -> Result<> {
    auto on = action;
    on.verb = Cat("impersonate-on:", name, ":", action.verb);
    TRY_VOID(Check(user, std::move(on)));
    const auto verb = Cat("impersonate:", name);
    if (name == "associated-node") return Check(user, About(verb, kAuthentication, "nodes", "*"));
    if (node) return Check(user, About(verb, kAuthentication, "nodes", as.name.substr(kNode.size())));
    if (account) return Check(user, About(verb, kAuthentication, "serviceaccounts", wanted.account, wanted.account_ns));
    TRY_VOID(Check(user, About(verb, kAuthentication, "users", as.name)));
    for (const auto& group : as.groups) TRY_VOID(Check(user, About(verb, kAuthentication, "groups", group)));
    if (!as.uid.empty()) TRY_VOID(Check(user, About(verb, kAuthentication, "uids", as.uid)));
    for (const auto& [key, values] : as.extra)
      for (const auto& value : values) TRY_VOID(Check(user, About(verb, kAuthentication, "userextras", value, "", key)));
    return {};
  };
  if (!associated || !try_mode("associated-node")) TRY_VOID(try_mode(mode));
  if (node) as.groups = {"system:nodes"};
  if (account) as.groups = {"system:serviceaccounts", Cat("system:serviceaccounts:", wanted.account_ns)};
  return {};
}

Result<User> Impersonation::Apply(User user, const http::Request& request, const Attributes& action) const {
  auto wanted = Parse(request);
  if (!wanted) return user;
  if (wanted->user.name.empty()) {
    std::vector<std::string> groups;
    for (const auto& group : wanted->user.groups) groups.push_back(Quote(group));
    std::string extra = "map[string][]string(nil)";
    if (!wanted->user.extra.empty()) {
      std::vector<std::string> entries;
      for (const auto& [key, values] : wanted->user.extra) {
        std::vector<std::string> quoted;
        for (const auto& value : values) quoted.push_back(Quote(value));
        entries.push_back(Cat(Quote(key), ":[]string{", Join(quoted, ", "), "}"));
      }
      extra = Cat("map[string][]string{", Join(entries, ", "), "}");
    }
    return std::unexpected(BadRequestError(Cat("requested &user.DefaultInfo{Name:\"\", UID:", Quote(wanted->user.uid), ", Groups:[]string", groups.empty() ? std::string("(nil)") : Cat("{", Join(groups, ", "), "}"),
                                               ", Extra:", extra, "} without impersonating a user name")));
  }
  auto chosen = *wanted;
  auto used = Way::kWhole;
  if (auto whole = CheckWhole(user, chosen); !whole) {
    chosen = *wanted;
    used = Way::kConstrained;
    if (auto constrained = CheckConstrained(user, chosen, action); !constrained) {
      std::lock_guard lock(mutex_);
      const auto known = last_.find(user.name);
      return std::unexpected(known != last_.end() && known->second == Way::kWhole ? std::move(whole).error() : std::move(constrained).error());
    }
  }
  {
    std::lock_guard lock(mutex_);
    if (last_.size() >= kRemembered) last_.clear();
    last_[user.name] = used;
  }
  auto& as = chosen.user;
  const auto add = [&](std::string_view group) {
    if (!as.InGroup(group)) as.groups.emplace_back(group);
  };
  if (as.name == kAnonymous) add(kUnauthenticated);
  else if (!as.InGroup(kUnauthenticated)) add(kAuthenticated);
  return as;
}

}  // namespace skerry::kube
