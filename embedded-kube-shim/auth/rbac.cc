#include "embedded-kube-shim/auth/rbac.h"

#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/auth/rbac_index.h"

namespace skerry::kube {
namespace {

constexpr std::string_view kGroup = "rbac.authorization.k8s.io";

std::vector<std::string> Strings(const json::Value& list) {
  std::vector<std::string> out;
  for (const json::Value& v : list.Items()) out.emplace_back(v.Str());
  return out;
}

bool Has(const std::vector<std::string>& list, std::string_view item) { return std::find(list.begin(), list.end(), item) != list.end(); }

bool ResourceMatches(const std::vector<std::string>& resources, std::string_view resource, std::string_view subresource) {
  const std::string combined = subresource.empty() ? std::string(resource) : Cat(resource, "/", subresource);
  for (const std::string& r : resources) {
    if (r == "*" || r == combined) return true;
    if (!subresource.empty() && r.starts_with("*/") && std::string_view(r).substr(2) == subresource) return true;
  }
  return false;
}

bool PathMatches(const std::vector<std::string>& urls, std::string_view path) {
  for (const std::string& u : urls) {
    if (u == "*" || u == path) return true;
    if (u.ends_with('*') && path.starts_with(std::string_view(u).substr(0, u.size() - 1))) return true;
  }
  return false;
}

bool SubjectMatches(const json::Value& subject, const User& user, std::string_view ns) {
  const std::string_view kind = subject["kind"].Str(), name = subject["name"].Str();
  if (kind == "User") return name == user.name;
  if (kind == "Group") return user.InGroup(name);
  if (kind == "ServiceAccount") {
    const std::string_view home = subject["namespace"].Str(ns);
    return !home.empty() && user.name == Cat("system:serviceaccount:", home, ":", name);
  }
  return false;
}

std::string SubjectText(const json::Value& subject) {
  const std::string_view kind = subject["kind"].Str();
  if (kind == "ServiceAccount") return Cat("ServiceAccount \"", subject["name"].Str(), "/", subject["namespace"].Str(), "\"");
  return Cat(kind, " ", Quote(subject["name"].Str()));
}

// Does one owned rule cover one wanted single-item rule? All wanted items must be covered by the same owned rule.
bool Covers(const PolicyRule& owner, const PolicyRule& wanted) {
  const auto all = [](const std::vector<std::string>& have, const std::vector<std::string>& want) {
    return Has(have, "*") || std::all_of(want.begin(), want.end(), [&](const std::string& w) { return Has(have, w); });
  };
  const auto resource = [&](const std::string& w) {
    if (Has(owner.resources, w)) return true;
    const std::size_t slash = w.find('/');
    return slash != std::string::npos && Has(owner.resources, "*/" + w.substr(slash + 1));
  };
  if (!all(owner.verbs, wanted.verbs)) return false;
  if (!all(owner.api_groups, wanted.api_groups)) return false;
  if (!Has(owner.resources, "*") && !std::all_of(wanted.resources.begin(), wanted.resources.end(), resource)) return false;
  if (wanted.resource_names.empty() ? !owner.resource_names.empty() && !wanted.resources.empty()
                                    : !owner.resource_names.empty() && !all(owner.resource_names, wanted.resource_names)) {
    return false;
  }
  return std::all_of(wanted.non_resource_urls.begin(), wanted.non_resource_urls.end(), [&](const std::string& u) { return PathMatches(owner.non_resource_urls, u); });
}

// One wanted rule as rules of one verb, group, resource and name each, so that several owned rules may cover it together.
std::vector<PolicyRule> Breakdown(const PolicyRule& rule) {
  std::vector<PolicyRule> out;
  for (const std::string& verb : rule.verbs) {
    for (const std::string& url : rule.non_resource_urls) out.push_back({{verb}, {}, {}, {}, {url}});
    for (const std::string& group : rule.api_groups) {
      for (const std::string& resource : rule.resources) {
        if (rule.resource_names.empty()) out.push_back({{verb}, {group}, {resource}, {}, {}});
        for (const std::string& name : rule.resource_names) out.push_back({{verb}, {group}, {resource}, {name}, {}});
      }
    }
  }
  return out;
}

// Rules of one group, one resource and the same names are told as one with all their verbs.
std::vector<PolicyRule> Compact(std::vector<PolicyRule> rules) {
  std::vector<PolicyRule> out;
  for (PolicyRule& rule : rules) {
    const auto same = [&](const PolicyRule& o) {
      return rule.non_resource_urls.empty() && o.non_resource_urls.empty() && o.api_groups == rule.api_groups && o.resources == rule.resources &&
             o.resource_names == rule.resource_names;
    };
    const auto it = std::find_if(out.begin(), out.end(), same);
    if (it == out.end()) {
      out.push_back(std::move(rule));
    } else if (!Has(it->verbs, rule.verbs[0])) {
      it->verbs.push_back(rule.verbs[0]);
    }
  }
  std::stable_sort(out.begin(), out.end(), [](const PolicyRule& a, const PolicyRule& b) { return a.Describe() < b.Describe(); });
  return out;
}

}  // namespace

bool User::InGroup(std::string_view group) const { return std::find(groups.begin(), groups.end(), group) != groups.end(); }

PolicyRule PolicyRule::From(const json::Value& rule) {
  return {Strings(rule["verbs"]), Strings(rule["apiGroups"]), Strings(rule["resources"]), Strings(rule["resourceNames"]), Strings(rule["nonResourceURLs"])};
}

json::Value PolicyRule::ToJson() const {
  json::Value v;
  const auto set = [&](std::string_view key, const std::vector<std::string>& items) {
    if (items.empty()) return;
    for (const std::string& i : items) v.Set(key).Append(i);
  };
  set("verbs", verbs);
  set("apiGroups", api_groups);
  set("resources", resources);
  set("resourceNames", resource_names);
  set("nonResourceURLs", non_resource_urls);
  return v;
}

bool PolicyRule::Allows(const Attributes& a) const {
  if (!Has(verbs, "*") && !Has(verbs, a.verb)) return false;
  if (!a.resource_request) return PathMatches(non_resource_urls, a.path);
  if (!Has(api_groups, "*") && !Has(api_groups, a.group)) return false;
  if (!ResourceMatches(resources, a.resource, a.subresource)) return false;
  return resource_names.empty() || Has(resource_names, a.name);
}

std::string PolicyRule::Describe() const {
  const auto list = [](const std::vector<std::string>& items) {
    std::string out = "[";
    for (const std::string& i : items) {
      if (out.size() > 1) out += ' ';
      out += Quote(i);
    }
    return out + "]";
  };
  std::vector<std::string> parts;
  if (!non_resource_urls.empty()) parts.push_back("NonResourceURLs:" + list(non_resource_urls));
  if (!api_groups.empty()) parts.push_back("APIGroups:" + list(api_groups));
  if (!resources.empty()) parts.push_back("Resources:" + list(resources));
  if (!resource_names.empty()) parts.push_back("ResourceNames:" + list(resource_names));
  if (!verbs.empty()) parts.push_back("Verbs:" + list(verbs));
  return "{" + Join(parts, ", ") + "}";
}

RbacAuthorizer::RbacAuthorizer(Informers& informers, std::function<std::uint64_t()> version)
    : roles_(informers.Get("rbac.authorization.k8s.io/v1/roles")),
      cluster_roles_(informers.Get("rbac.authorization.k8s.io/v1/clusterroles")),
      role_bindings_(informers.Get("rbac.authorization.k8s.io/v1/rolebindings")),
      cluster_role_bindings_(informers.Get("rbac.authorization.k8s.io/v1/clusterrolebindings")),
      index_(std::make_unique<RbacIndex>(std::move(version), [this](std::string_view ns) { return ScopeOf(ns); })) {}

RbacAuthorizer::~RbacAuthorizer() = default;

RbacScope RbacAuthorizer::ScopeOf(std::string_view ns) const {
  RbacScope scope;
  std::map<std::string, RbacScope::Grant, std::less<>> roles;   // many bindings share a role
  const auto bindings = ns.empty() ? cluster_role_bindings_.List() : role_bindings_.List(ns);
  for (std::size_t i = 0; i < bindings.size(); ++i) {
    const json::Value& ref = (*bindings[i])["roleRef"];
    const std::string_view kind = ref["kind"].Str(), name = ref["name"].Str();
    auto [role, fresh] = roles.try_emplace(Cat(kind, "/", name));
    if (fresh) {
      Result<> found;
      role->second.rules = std::make_shared<const std::vector<PolicyRule>>(RulesOfRole(kind, ns, name, &found));
      if (!found) role->second.problem = found.error().message();
    }
    RbacScope::Grant grant = role->second;
    grant.order = i;
    grant.binding = bindings[i];
    scope.Add(std::move(grant), ns);
  }
  return scope;
}

std::vector<PolicyRule> RbacAuthorizer::RulesOfRole(std::string_view kind, std::string_view ns, std::string_view name, Result<>* found) const {
  const bool cluster = kind == "ClusterRole";
  const ObjectPtr role = cluster ? cluster_roles_.Get({"", std::string(name)}) : roles_.Get({std::string(ns), std::string(name)});
  std::vector<PolicyRule> out;
  if (!role) {
    if (found) *found = Fail(Code::kNotFound, Cat(cluster ? "clusterrole" : "role", ".", kGroup, " ", Quote(name), " not found"));
    return out;
  }
  for (const json::Value& rule : (*role)["rules"].Items()) out.push_back(PolicyRule::From(rule));
  return out;
}

namespace {
// Calls visit(binding, subject) for every binding of the list that names the user; stops when it returns true.
template <class Visit>
bool ForBindings(const std::vector<ObjectPtr>& bindings, const User& user, std::string_view ns, Visit visit) {
  for (const ObjectPtr& binding : bindings) {
    for (const json::Value& subject : (*binding)["subjects"].Items()) {
      if (!SubjectMatches(subject, user, ns)) continue;
      if (visit(*binding, subject)) return true;
      break;
    }
  }
  return false;
}
}  // namespace

namespace {
// Everything that a verdict depends on where no rule speaks of names. Sizes come before the texts: no text can pass for two others.
void NameQuestion(const Attributes& a, std::string& out) {
  const auto add = [&](std::string_view text) {
    const std::size_t size = text.size();
    out.append(reinterpret_cast<const char*>(&size), sizeof size).append(text);
  };
  out.clear();
  for (const std::string_view text : {std::string_view(a.verb), std::string_view(a.user.name), std::string_view(a.resource_request ? "r" : "p")}) add(text);
  if (a.resource_request)
    for (const std::string* text : {&a.group, &a.resource, &a.subresource, &a.ns}) add(*text);
  else add(a.path);
  for (const std::string& group : a.user.groups) add(group);
}

// `by_name`: a rule that was looked at speaks of names.
Verdict Judge(const RbacIndex& index, const Attributes& a, bool* by_name) {
  Verdict verdict;
  std::vector<std::string> unresolved;
  const auto allowed = [&](std::string_view ns) {
    const auto scope = index.ScopeOf(ns);
    for (const RbacScope::Grant* grant : scope->Of(a.user)) {
      if (!grant->problem.empty()) unresolved.push_back(grant->problem);
      const auto rule_allows = [&](const PolicyRule& rule) {
        *by_name = *by_name || !rule.resource_names.empty();
        return rule.Allows(a);
      };
      if (std::none_of(grant->rules->begin(), grant->rules->end(), rule_allows)) continue;
      const json::Value& binding = *grant->binding;
      const std::string_view kind = binding["roleRef"]["kind"].Str(), role = binding["roleRef"]["name"].Str(), name = binding["metadata"]["name"].Str();
      verdict.decision = Decision::kAllow;
      verdict.reason = ns.empty() ? Cat("RBAC: allowed by ClusterRoleBinding ", Quote(name), " of ", kind, " ", Quote(role), " to ", SubjectText(*grant->subject))
                                  : Cat("RBAC: allowed by RoleBinding ", Quote(Cat(name, "/", ns)), " of ", kind, " ", Quote(role), " to ", SubjectText(*grant->subject));
      return true;
    }
    return false;
  };
  if (allowed("")) return verdict;
  if (a.resource_request && !a.ns.empty() && allowed(a.ns)) return verdict;
  if (unresolved.size() == 1) verdict.reason = "RBAC: " + unresolved[0];
  if (unresolved.size() > 1) verdict.reason = "RBAC: [" + Join(unresolved, ", ") + "]";
  return verdict;
}
}  // namespace

Verdict RbacAuthorizer::Authorize(const Attributes& a) const {
  thread_local std::string asked;
  NameQuestion(a, asked);
  std::uint64_t at = 0;
  if (const auto known = index_->Known(asked, &at)) return *known;
  bool by_name = false;
  Verdict verdict = Judge(*index_, a, &by_name);
  if (verdict.decision == Decision::kAllow && !by_name) index_->Keep(asked, verdict, at);
  return verdict;
}

std::vector<PolicyRule> RbacAuthorizer::RulesFor(const User& user, std::string_view ns, std::string* incomplete) const {
  std::vector<PolicyRule> out;
  std::vector<std::string> unresolved;
  const auto collect = [&](std::string_view home) {
    return [&, home](const json::Value& binding, const json::Value&) {
      Result<> found;
      for (PolicyRule& rule : RulesOfRole(binding["roleRef"]["kind"].Str(), home, binding["roleRef"]["name"].Str(), &found)) out.push_back(std::move(rule));
      if (!found) unresolved.emplace_back(found.error().message());
      return false;
    };
  };
  ForBindings(cluster_role_bindings_.List(), user, "", collect(""));
  if (!ns.empty()) ForBindings(role_bindings_.List(ns), user, ns, collect(ns));
  if (incomplete) *incomplete = unresolved.size() > 1 ? "[" + Join(unresolved, ", ") + "]" : unresolved.empty() ? "" : unresolved[0];
  return out;
}

std::vector<PolicyRule> RbacAuthorizer::Missing(const User& user, std::string_view ns, const std::vector<PolicyRule>& wanted) const {
  const std::vector<PolicyRule> held = RulesFor(user, ns, nullptr);
  std::vector<PolicyRule> missing;
  for (const PolicyRule& rule : wanted) {
    for (PolicyRule& item : Breakdown(rule)) {
      if (!std::any_of(held.begin(), held.end(), [&](const PolicyRule& h) { return Covers(h, item); })) missing.push_back(std::move(item));
    }
  }
  return Compact(std::move(missing));
}

}  // namespace skerry::kube
