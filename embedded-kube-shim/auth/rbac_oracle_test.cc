#include <catch2/catch.hpp>

#include <map>
#include <set>

#include "core/base/random.h"
#include "core/base/strings.h"
#include "embedded-kube-shim/auth/rbac.h"
#include "tests/support/fixed_informers.h"

// RBAC against an evaluation of its own: random policies, and for each many questions. The evaluation here is written from the definition
// (the union of all rules of all bindings that name the asker) and shares nothing with the authorizer: it keeps policies as plain structs
// and never looks at the objects made of them.
namespace skerry::kube {
namespace {
using skerry::testing::FixedInformers;

using Set = std::set<std::string>;
struct Grant {
  Set verbs, groups, resources, names, urls;
};
struct Who {
  char kind;   // u, g, s
  std::string ns, name;
};
struct Tie {
  std::string ns;        // empty: cluster-wide
  bool cluster_role;
  std::string role;
  std::vector<Who> whom;
};
struct World {
  std::map<std::string, std::vector<Grant>> cluster_roles;
  std::map<std::pair<std::string, std::string>, std::vector<Grant>> roles;
  std::vector<Tie> ties;
};

const std::vector<std::string> kVerbs = {"get", "list", "watch", "create", "delete", "*"}, kGroups = {"", "apps", "batch", "*"},
                               kResources = {"pods", "pods/log", "pods/*", "*/scale", "deployments", "secrets", "*"}, kNames = {"a", "b", "c"}, kSpaces = {"x", "y", "z"},
                               kUsers = {"ann", "bob", "system:serviceaccount:x:robot", "system:serviceaccount:y:robot"}, kTeams = {"dev", "ops", "system:authenticated"},
                               kUrls = {"/healthz", "/metrics", "/api/*", "/*", "*"};

class Maker {
 public:
  explicit Maker(std::uint64_t seed) : random_(seed) {}
  std::size_t Below(std::size_t n) { return random_.Below(n); }
  const std::string& One(const std::vector<std::string>& of) { return of[Below(of.size())]; }
  Set Some(const std::vector<std::string>& of, std::size_t most) {
    Set out;
    for (std::size_t n = 1 + Below(most); n > 0; --n) out.insert(One(of));
    return out;
  }
  std::vector<Grant> Grants() {
    std::vector<Grant> out;
    for (std::size_t n = Below(4); n > 0; --n) {
      if (Below(5) == 0) out.push_back({Some(kVerbs, 2), {}, {}, {}, Some(kUrls, 2)});
      else out.push_back({Some(kVerbs, 3), Some(kGroups, 2), Some(kResources, 2), Below(3) == 0 ? Some(kNames, 2) : Set{}, {}});
    }
    return out;
  }
  std::vector<Who> Whom() {
    std::vector<Who> out;
    for (std::size_t n = 1 + Below(2); n > 0; --n) {
      const auto kind = Below(3);
      if (kind == 0) out.push_back({'u', "", One(kUsers)});
      else if (kind == 1) out.push_back({'g', "", One(kTeams)});
      else out.push_back({'s', One({"x", "y"}), "robot"});
    }
    return out;
  }
  World NewWorld() {
    World world;
    for (const std::string name : {"r0", "r1", "r2"}) {
      world.cluster_roles[name] = Grants();
      for (const auto& ns : kSpaces)
        if (Below(2) == 0) world.roles[{ns, name}] = Grants();
    }
    for (std::size_t n = 1 + Below(6); n > 0; --n) {
      const bool local = Below(2) == 0;
      world.ties.push_back({local ? One(kSpaces) : "", !local || Below(2) == 0, One({"r0", "r1", "r2", "gone"}), Whom()});
    }
    return world;
  }
  Attributes Question() {
    Attributes a;
    a.user.name = One(kUsers);
    if (Below(2) == 0) a.user.groups.push_back(One(kTeams));
    a.verb = One({"get", "list", "watch", "create", "delete", "escalate"});
    if (Below(6) == 0) {
      a.resource_request = false;
      a.path = One({"/healthz", "/healthz/x", "/metrics", "/api/v1", "/other"});
      return a;
    }
    a.group = One({"", "apps", "batch", "extensions"});
    a.resource = One({"pods", "deployments", "secrets", "nodes"});
    a.subresource = One({"", "", "log", "scale"});
    a.ns = Below(4) == 0 ? "" : One(kSpaces);
    a.name = Below(2) == 0 ? "" : One({"a", "b", "c", "d"});
    return a;
  }

 private:
  SeededRandom random_;
};

json::Value ListOf(const Set& set) {
  auto out = json::Value::Array();
  for (const auto& text : set) out.Append(json::Value(text));
  return out;
}

json::Value RoleObject(const std::string& ns, const std::string& name, const std::vector<Grant>& grants) {
  json::Value role;
  role.Set("metadata").Set("name") = name;
  if (!ns.empty()) role.Set("metadata").Set("namespace") = ns;
  role.Set("rules") = json::Value::Array();
  for (const auto& grant : grants) {
    json::Value rule;
    rule.Set("verbs") = ListOf(grant.verbs);
    if (!grant.urls.empty()) {
      rule.Set("nonResourceURLs") = ListOf(grant.urls);
    } else {
      rule.Set("apiGroups") = ListOf(grant.groups);
      rule.Set("resources") = ListOf(grant.resources);
      if (!grant.names.empty()) rule.Set("resourceNames") = ListOf(grant.names);
    }
    role.Set("rules").Append(std::move(rule));
  }
  return role;
}

void Fill(FixedInformers& policies, const World& world) {
  for (const auto& [name, grants] : world.cluster_roles) policies.Add("rbac.authorization.k8s.io/v1/clusterroles", RoleObject("", name, grants));
  for (const auto& [key, grants] : world.roles) policies.Add("rbac.authorization.k8s.io/v1/roles", RoleObject(key.first, key.second, grants));
  int number = 0;
  for (const auto& tie : world.ties) {
    json::Value binding;
    binding.Set("metadata").Set("name") = Cat("b", number++);
    if (!tie.ns.empty()) binding.Set("metadata").Set("namespace") = tie.ns;
    binding.Set("roleRef").Set("kind") = tie.cluster_role ? "ClusterRole" : "Role";
    binding.Set("roleRef").Set("apiGroup") = "rbac.authorization.k8s.io";
    binding.Set("roleRef").Set("name") = tie.role;
    for (const auto& who : tie.whom) {
      json::Value subject;
      subject.Set("kind") = who.kind == 'u' ? "User" : who.kind == 'g' ? "Group" : "ServiceAccount";
      subject.Set("name") = who.name;
      if (who.kind == 's') subject.Set("namespace") = who.ns;
      binding.Set("subjects").Append(std::move(subject));
    }
    policies.Add(tie.ns.empty() ? "rbac.authorization.k8s.io/v1/clusterrolebindings" : "rbac.authorization.k8s.io/v1/rolebindings", std::move(binding));
  }
}

// The definition, once more.
bool Grants(const Grant& grant, const Attributes& a) {
  const auto has = [](const Set& set, const std::string& text) { return set.count("*") > 0 || set.count(text) > 0; };
  if (!has(grant.verbs, a.verb)) return false;
  if (!a.resource_request) {
    for (const auto& url : grant.urls)
      if (url == a.path || (url.back() == '*' && a.path.compare(0, url.size() - 1, url, 0, url.size() - 1) == 0)) return true;
    return false;
  }
  if (!grant.urls.empty() || !has(grant.groups, a.group)) return false;
  if (!grant.names.empty() && grant.names.count(a.name) == 0) return false;
  if (grant.resources.count("*") > 0) return true;
  if (a.subresource.empty()) return grant.resources.count(a.resource) > 0;
  return grant.resources.count(a.resource + "/" + a.subresource) > 0 || grant.resources.count("*/" + a.subresource) > 0;
}

bool Concerns(const Who& who, const Attributes& a) {
  if (who.kind == 'u') return who.name == a.user.name;
  if (who.kind == 's') return a.user.name == "system:serviceaccount:" + who.ns + ":" + who.name;
  for (const auto& group : a.user.groups)
    if (group == who.name) return true;
  return false;
}

bool Allowed(const World& world, const Attributes& a) {
  for (const auto& tie : world.ties) {
    if (!tie.ns.empty() && (!a.resource_request || tie.ns != a.ns)) continue;
    bool concerned = false;
    for (const auto& who : tie.whom) concerned = concerned || Concerns(who, a);
    if (!concerned) continue;
    const std::vector<Grant>* grants = nullptr;
    if (tie.cluster_role) {
      if (const auto at = world.cluster_roles.find(tie.role); at != world.cluster_roles.end()) grants = &at->second;
    } else if (const auto at = world.roles.find({tie.ns, tie.role}); at != world.roles.end()) {
      grants = &at->second;
    }
    if (!grants) continue;
    for (const auto& grant : *grants)
      if (Grants(grant, a)) return true;
  }
  return false;
}

std::string Shown(const Attributes& a) {
  return Cat(a.user.name, " [", Join(a.user.groups, ","), "] ", a.verb, " ", a.resource_request ? Cat(a.group, "/", a.resource, "/", a.subresource, " in ", a.ns, " named ", a.name) : a.path);
}

}  // namespace

TEST_CASE("the authorizer agrees with an independent evaluation on 120000 generated questions", "[rbac]") {
  constexpr int kWorlds = 600, kQuestions = 200;
  std::size_t allowed = 0, wrong = 0;
  std::string first;
  for (int seed = 0; seed < kWorlds; ++seed) {
    Maker maker(static_cast<std::uint64_t>(seed) + 1);
    const World world = maker.NewWorld();
    FixedInformers policies;
    Fill(policies, world);
    const RbacAuthorizer rbac(policies, [] { return std::uint64_t{1}; });
    for (int i = 0; i < kQuestions; ++i) {
      const auto question = maker.Question();
      const bool expected = Allowed(world, question), got = rbac.Authorize(question).decision == Decision::kAllow;
      allowed += expected;
      if (expected == got) continue;
      if (wrong++ == 0) first = Cat("seed ", seed, ": ", Shown(question), expected ? " should be allowed" : " should be refused");
    }
  }
  INFO(first);
  CHECK(wrong == 0);
  // Both answers are common, so that neither "always" nor "never" would pass.
  CHECK(allowed > kWorlds * kQuestions / 50);
  CHECK(allowed < kWorlds * kQuestions / 2);
}

}  // namespace skerry::kube
