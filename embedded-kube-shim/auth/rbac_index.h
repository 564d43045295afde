#pragma once
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "embedded-kube-shim/auth/rbac.h"

namespace skerry::kube {

// Bindings and their roles as a request needs them: found by the names that a user goes by, rules already read. One per namespace, and one of
// the cluster ("").
class RbacScope {
 public:
  struct Grant {
    std::size_t order = 0;                                   // of the binding in its list
    ObjectPtr binding;
    const json::Value* subject = nullptr;                    // of the binding
    std::shared_ptr<const std::vector<PolicyRule>> rules;
    std::string problem;                                     // why there are no rules
  };
  // In the order of the bindings, one for each that names the user.
  std::vector<const Grant*> Of(const User& user) const;
  void Add(Grant grant, std::string_view ns);

 private:
  std::unordered_map<std::string, std::vector<Grant>> by_name_;   // "u<user>", "g<group>"
};

// Makes scopes when they are asked for and forgets all of them when `version` has changed: it counts the changes of roles and bindings, and is
// read before they are. Without it nothing is kept. Thread-safe.
class RbacIndex {
 public:
  using Build = std::function<RbacScope(std::string_view ns)>;
  RbacIndex(std::function<std::uint64_t()> version, Build build) : version_(std::move(version)), build_(std::move(build)) {}
  std::shared_ptr<const RbacScope> ScopeOf(std::string_view ns) const;

  // Verdicts that were kept since the last change. `asked` names everything that the verdict depends on. Null: none; `*at` then goes to Keep.
  std::shared_ptr<const Verdict> Known(const std::string& asked, std::uint64_t* at) const;
  void Keep(const std::string& asked, const Verdict& verdict, std::uint64_t at) const;

 private:
  static constexpr std::size_t kMostScopes = 1000, kMostVerdicts = 2000, kLongestQuestion = 2048;
  void Advance(std::uint64_t now) const;   // with the lock held
  const std::function<std::uint64_t()> version_;
  const Build build_;
  mutable std::mutex mutex_;
  mutable std::uint64_t built_at_ = 0;                                                          // guarded by mutex_
  mutable std::map<std::string, std::shared_ptr<const RbacScope>, std::less<>> scopes_;         // guarded by mutex_
  mutable std::unordered_map<std::string, std::shared_ptr<const Verdict>> verdicts_;            // guarded by mutex_
};

}  // namespace skerry::kube
