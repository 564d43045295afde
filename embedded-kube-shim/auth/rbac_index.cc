#include "embedded-kube-shim/auth/rbac_index.h"

#include <algorithm>

#include "core/base/strings.h"

namespace skerry::kube {
namespace {

// The name that a request must carry to be meant by the subject; "" = nobody's.
std::string NameOf(const json::Value& subject, std::string_view ns) {
  const std::string_view kind = subject["kind"].Str(), name = subject["name"].Str();
  if (kind == "User") return Cat("u", name);
  if (kind == "Group") return Cat("g", name);
  const std::string_view home = subject["namespace"].Str(ns);
  return kind == "ServiceAccount" && !home.empty() ? Cat("usystem:serviceaccount:", home, ":", name) : std::string();
}

}  // namespace

void RbacScope::Add(Grant grant, std::string_view ns) {
  for (const json::Value& subject : (*grant.binding)["subjects"].Items()) {
    const std::string name = NameOf(subject, ns);
    if (name.empty()) continue;
    Grant& added = by_name_[name].emplace_back(grant);
    added.subject = &subject;
  }
}

std::vector<const RbacScope::Grant*> RbacScope::Of(const User& user) const {
  std::vector<const Grant*> out;
  const auto collect = [&](const std::string& name) {
    const auto it = by_name_.find(name);
    if (it == by_name_.end()) return;
    for (const Grant& grant : it->second) out.push_back(&grant);
  };
  collect(Cat("u", user.name));
  for (const std::string& group : user.groups) collect(Cat("g", group));
  // A binding may name the user more than once: the subject that stands first counts.
  std::sort(out.begin(), out.end(), [](const Grant* a, const Grant* b) { return a->order != b->order ? a->order < b->order : a->subject < b->subject; });
  out.erase(std::unique(out.begin(), out.end(), [](const Grant* a, const Grant* b) { return a->order == b->order; }), out.end());
  return out;
}

void RbacIndex::Advance(std::uint64_t now) const {
  if (now == built_at_) return;
  scopes_.clear();
  verdicts_.clear();
  built_at_ = now;
}

std::shared_ptr<const Verdict> RbacIndex::Known(const std::string& asked, std::uint64_t* at) const {
  if (!version_) return nullptr;
  *at = version_();
  std::lock_guard lock(mutex_);
  Advance(*at);
  const auto it = verdicts_.find(asked);
  return it == verdicts_.end() ? nullptr : it->second;
}

void RbacIndex::Keep(const std::string& asked, const Verdict& verdict, std::uint64_t at) const {
  if (!version_ || asked.size() > kLongestQuestion) return;
  auto kept = std::make_shared<const Verdict>(verdict);
  std::lock_guard lock(mutex_);
  if (built_at_ != at) return;
  if (verdicts_.size() >= kMostVerdicts) verdicts_.clear();
  verdicts_.insert_or_assign(asked, std::move(kept));
}

std::shared_ptr<const RbacScope> RbacIndex::ScopeOf(std::string_view ns) const {
  if (!version_) return std::make_shared<const RbacScope>(build_(ns));
  const std::uint64_t now = version_();
  {
    std::lock_guard lock(mutex_);
    Advance(now);
    if (scopes_.size() > kMostScopes) scopes_.clear();
    if (const auto it = scopes_.find(ns); it != scopes_.end()) return it->second;
  }
  auto made = std::make_shared<const RbacScope>(build_(ns));
  std::lock_guard lock(mutex_);
  if (built_at_ == now) scopes_.insert_or_assign(std::string(ns), made);
  return made;
}

}  // namespace skerry::kube
