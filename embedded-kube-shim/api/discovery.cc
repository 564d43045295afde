#include <algorithm>
#include <map>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/openapi.h"

namespace skerry::kube {

namespace {

using json::Value;

Value Strings(const std::vector<std::string>& list) {
  Value out = Value::Array();
  for (const auto& text : list) out.Append(Value(text));
  return out;
}

// Served resources of a group and version, alphabetically.
std::vector<ResourcePtr> ResourcesOf(const Registry& registry, std::string_view group, std::string_view version) {
  std::vector<ResourcePtr> out;
  const auto all = registry.All();
  for (const auto& def : *all) {
    const Version* found = def->group == group ? def->FindVersion(version) : nullptr;
    if (found && found->served) out.push_back(def);
  }
  std::sort(out.begin(), out.end(), [](const ResourcePtr& a, const ResourcePtr& b) { return a->resource < b->resource; });
  return out;
}

std::vector<Subresource> SubresourcesOf(const ResourceDef& def, std::string_view version) {
  std::vector<Subresource> out;
  for (const auto& subresource : def.subresources)
    if (const Version* found = def.FindVersion(version); found && def.Serves(*found, subresource)) out.push_back(subresource);
  if (!def.custom) std::sort(out.begin(), out.end(), [](const Subresource& a, const Subresource& b) { return a.name < b.name; });
  return out;
}

// "v2" before "v1" before "v2beta1" before "v1alpha1", as clients expect of versions nobody has ranked.
std::tuple<int, std::int64_t, std::int64_t> VersionRank(std::string_view name) {
  std::size_t i = 1;
  const auto number = [&] {
    std::int64_t n = 0;
    while (i < name.size() && name[i] >= '0' && name[i] <= '9') n = n * 10 + (name[i++] - '0');
    return n;
  };
  if (name.empty() || name[0] != 'v') return {-1, 0, 0};
  const std::int64_t major = number();
  if (i == name.size()) return {2, major, 0};
  const std::string_view rest = name.substr(i);
  if (rest.starts_with("beta")) { i += 4; return {1, major, number()}; }
  if (rest.starts_with("alpha")) { i += 5; return {0, major, number()}; }
  return {-1, 0, 0};
}

struct Group {
  std::string name;
  int priority = 0;
  std::vector<std::string> versions;                     // preferred first
  std::map<std::string, const RemoteVersion*> remote;    // of those that other servers answer for
};

using RankedVersions = std::map<std::string, int>;      // name -> priority

// Versions of one server are ranked by their names alone; those of several first by what their APIServices say.
void Order(Group& group, const RankedVersions& priorities) {
  const auto rank = [&](const std::string& name) { return std::pair(group.remote.empty() ? 0 : priorities.at(name), VersionRank(name)); };
  std::stable_sort(group.versions.begin(), group.versions.end(), [&](const std::string& a, const std::string& b) { return rank(a) > rank(b); });
}

std::vector<Group> GroupsOf(const Registry& registry, const RemoteVersions& remote) {
  std::map<std::string, Group> groups;
  std::map<std::string, RankedVersions> priorities;
  const auto add = [&](const std::string& name, const std::string& version, int group_priority, int version_priority) -> Group& {
    Group& group = groups[name];
    group.name = name;
    group.priority = std::max(group.priority, group_priority);
    if (priorities[name].emplace(version, version_priority).second) group.versions.push_back(version);
    return group;
  };
  const auto all = registry.All();
  for (const auto& def : *all) {
    if (def->group.empty()) continue;
    for (const auto& version : def->versions)
      if (version.served) add(def->group, version.name, def->group_priority, def->version_priority);
  }
  for (const auto& other : remote) {
    if (other.group.empty()) continue;
    add(other.group, other.version, other.group_priority, other.version_priority).remote[other.version] = &other;
    priorities[other.group][other.version] = other.version_priority;
  }
  std::vector<Group> out;
  for (auto& [name, group] : groups) {
    Order(group, priorities[name]);
    out.push_back(std::move(group));
  }
  std::stable_sort(out.begin(), out.end(), [](const Group& a, const Group& b) { return a.priority > b.priority; });
  return out;
}

Value GroupVersionForDiscovery(std::string_view group, std::string_view version) {
  Value out = Value::Object();
  out.Set("groupVersion") = Value(Cat(group, '/', version));
  out.Set("version") = Value(version);
  return out;
}

Value GroupBody(const Group& group, Value out) {
  out.Set("name") = Value(group.name);
  Value& versions = out.Set("versions");
  for (const auto& version : group.versions) versions.Append(GroupVersionForDiscovery(group.name, version));
  out.Set("preferredVersion") = GroupVersionForDiscovery(group.name, group.versions.front());
  return out;
}

Value Kind(std::string_view kind, bool with_version = true) {
  Value out = Value::Object();
  out.Set("kind") = Value(kind);
  if (with_version) out.Set("apiVersion") = Value("v1");
  return out;
}

Value Resource(const ResourceDef& def) {
  Value out = Value::Object();
  out.Set("name") = Value(def.resource);
  out.Set("singularName") = Value(def.singular);
  out.Set("namespaced") = Value(def.scope == Scope::kNamespaced);
  out.Set("kind") = Value(def.kind);
  out.Set("verbs") = Strings(def.verbs);
  if (!def.short_names.empty()) out.Set("shortNames") = Strings(def.short_names);
  if (!def.categories.empty()) out.Set("categories") = Strings(def.categories);
  if (!def.storage_version_hash.empty()) out.Set("storageVersionHash") = Value(def.storage_version_hash);
  return out;
}

Value Resource(const ResourceDef& def, const Subresource& subresource) {
  Value out = Value::Object();
  out.Set("name") = Value(Cat(def.resource, '/', subresource.name));
  out.Set("singularName") = Value("");
  out.Set("namespaced") = Value(def.scope == Scope::kNamespaced);
  if (!subresource.version.empty()) {
    if (!subresource.group.empty()) out.Set("group") = Value(subresource.group);
    out.Set("version") = Value(subresource.version);
  }
  out.Set("kind") = Value(subresource.kind);
  out.Set("verbs") = Strings(subresource.verbs);
  return out;
}

Value ResponseKind(std::string_view group, std::string_view version, std::string_view kind) {
  Value out = Value::Object();
  out.Set("group") = Value(group);
  out.Set("version") = Value(version);
  out.Set("kind") = Value(kind);
  return out;
}

// Built-ins leave group and version open where they are those around them, custom resources name them.
Value AggregatedResource(const ResourceDef& def, std::string_view version) {
  const std::string_view own_group = def.custom ? std::string_view(def.group) : "", own_version = def.custom ? version : "";
  Value out = Value::Object();
  out.Set("resource") = Value(def.resource);
  out.Set("responseKind") = ResponseKind(own_group, own_version, def.kind);
  out.Set("scope") = Value(def.scope == Scope::kNamespaced ? "Namespaced" : "Cluster");
  out.Set("singularResource") = Value(def.singular);
  out.Set("verbs") = Strings(def.verbs);
  if (!def.short_names.empty()) out.Set("shortNames") = Strings(def.short_names);
  if (!def.categories.empty()) out.Set("categories") = Strings(def.categories);
  const auto subresources = SubresourcesOf(def, version);
  if (subresources.empty()) return out;
  Value& list = out.Set("subresources");
  for (const auto& subresource : subresources) {
    const bool foreign = !subresource.version.empty();
    Value item = Value::Object();
    item.Set("subresource") = Value(subresource.name);
    item.Set("responseKind") = ResponseKind(foreign ? std::string_view(subresource.group) : own_group, foreign ? std::string_view(subresource.version) : own_version, subresource.kind);
    item.Set("verbs") = Strings(subresource.verbs);
    list.Append(std::move(item));
  }
  return out;
}

Value RemoteVersionBody(const RemoteVersion& remote) {
  Value out = remote.discovery ? remote.discovery->Clone() : Value::Object();
  out.Set("version") = Value(remote.version);
  out.Set("freshness") = Value(remote.stale ? "Stale" : "Current");
  return out;
}

Value AggregatedGroup(const Registry& registry, const Group& group) {
  Value out = Value::Object();
  Value& metadata = out.Set("metadata");
  metadata = Value::Object();
  if (!group.name.empty()) metadata.Set("name") = Value(group.name);
  Value& versions = out.Set("versions");
  for (const auto& version : group.versions) {
    if (const auto at = group.remote.find(version); at != group.remote.end()) {
      versions.Append(RemoteVersionBody(*at->second));
      continue;
    }
    Value item = Value::Object();
    item.Set("version") = Value(version);
    Value& resources = item.Set("resources");
    for (const auto& def : ResourcesOf(registry, group.name, version)) resources.Append(AggregatedResource(*def, version));
    item.Set("freshness") = Value("Current");
    versions.Append(std::move(item));
  }
  return out;
}

}  // namespace

Value DiscoveryApiVersions() {
  Value out = Kind("APIVersions", false);
  out.Set("versions").Append(Value("v1"));
  return out;
}

Value DiscoveryGroupList(const Registry& registry, const RemoteVersions& remote) {
  Value out = Kind("APIGroupList");
  Value& groups = out.Set("groups");
  groups = Value::Array();
  for (const auto& group : GroupsOf(registry, remote)) groups.Append(GroupBody(group, Value::Object()));
  return out;
}

Value DiscoveryGroup(const Registry& registry, std::string_view name, const RemoteVersions& remote) {
  for (const auto& group : GroupsOf(registry, remote))
    if (group.name == name) return GroupBody(group, Kind("APIGroup"));
  return Value();
}

Value DiscoveryResources(const Registry& registry, std::string_view group, std::string_view version) {
  const auto defs = ResourcesOf(registry, group, version);
  if (defs.empty()) return Value();
  Value out = Kind("APIResourceList", !group.empty());   // the core group's list has no apiVersion
  out.Set("groupVersion") = Value(group.empty() ? std::string(version) : Cat(group, '/', version));
  Value& resources = out.Set("resources");
  for (const auto& def : defs) {
    resources.Append(Resource(*def));
    for (const auto& subresource : SubresourcesOf(*def, version)) resources.Append(Resource(*def, subresource));
  }
  return out;
}

Value DiscoveryAggregated(const Registry& registry, bool core, const RemoteVersions& remote) {
  Value out = Value::Object();
  out.Set("kind") = Value("APIGroupDiscoveryList");
  out.Set("apiVersion") = Value("apidiscovery.k8s.io/v2");
  out.Set("metadata") = Value::Object();
  Value& items = out.Set("items");
  items = Value::Array();
  if (core) {
    items.Append(AggregatedGroup(registry, Group{"", 0, {"v1"}, {}}));
    return out;
  }
  for (const auto& group : GroupsOf(registry, remote)) items.Append(AggregatedGroup(registry, group));
  return out;
}

}  // namespace skerry::kube
