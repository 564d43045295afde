#include <algorithm>
#include <map>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/builtin_tables.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/apis/metrics_kinds.h"
#include "embedded-kube-shim/apis/strategy.h"

namespace skerry::kube {
namespace {

using builtin::ResourceRow;

std::vector<std::string> List(std::string_view text) {
  std::vector<std::string> out;
  if (!text.empty())
    for (std::string_view piece : Split(text, ',')) out.emplace_back(piece);
  return out;
}

// "scale[autoscaling/v1.Scale]:get,patch status[Deployment]:get"
std::vector<Subresource> Subresources(std::string_view text) {
  std::vector<Subresource> out;
  if (text.empty()) return out;
  for (std::string_view piece : Split(text, ' ')) {
    const auto open = piece.find('['), close = piece.find("]:");
    Subresource subresource;
    subresource.name = piece.substr(0, open);
    std::string_view kind = piece.substr(open + 1, close - open - 1);
    if (const auto slash = kind.find('/'); slash != kind.npos) {
      const auto dot = kind.find('.', slash);
      // A group may contain dots itself, the version does not.
      subresource.group = kind.substr(0, slash);
      subresource.version = kind.substr(slash + 1, dot - slash - 1);
      kind.remove_prefix(dot + 1);
    }
    subresource.kind = kind;
    subresource.verbs = List(piece.substr(close + 2));
    out.push_back(std::move(subresource));
  }
  return out;
}

std::vector<std::string> SelectableFields(std::string_view group, std::string_view resource) {
  struct Row { std::string_view group, resource, fields; };
  static constexpr Row kRows[] = {
      {"", "pods", ".spec.nodeName,.spec.restartPolicy,.spec.schedulerName,.spec.serviceAccountName,.spec.hostNetwork,.status.phase,.status.podIP,.status.podIPs,.status.nominatedNodeName"},
      {"", "nodes", ".spec.unschedulable"},
      {"", "namespaces", ".status.phase"},
      {"", "secrets", ".type"},
      {"", "services", ".spec.clusterIP,.spec.type"},
      {"", "events", ".involvedObject.kind,.involvedObject.namespace,.involvedObject.name,.involvedObject.uid,.involvedObject.apiVersion,.involvedObject.resourceVersion,"
                     ".involvedObject.fieldPath,.reason,.reportingComponent,.source,.type"},
      {"events.k8s.io", "events", ".regarding.kind,.regarding.namespace,.regarding.name,.regarding.uid,.regarding.apiVersion,.regarding.resourceVersion,"
                                  ".regarding.fieldPath,.reason,.reportingController,.source,.type"},
      {"", "replicationcontrollers", ".status.replicas"},
      {"apps", "replicasets", ".status.replicas"},
      {"batch", "jobs", ".status.successful"},
      {"certificates.k8s.io", "certificatesigningrequests", ".spec.signerName"},
      {"resource.k8s.io", "resourceslices", ".spec.nodeName,.spec.driver"},
  };
  for (const Row& row : kRows)
    if (row.group == group && row.resource == resource) return List(row.fields);
  return {};
}

Version VersionOf(const ResourceRow& row) {
  Version version;
  version.name = row.version;
  version.schema = FindBuiltinSchema(GroupVersionKind{row.group, row.version, row.kind});
  version.selectable_fields = SelectableFields(row.group, row.plural);
  if (std::string_view(row.subresources).find("scale[") != std::string_view::npos) version.scale = ScalePaths{".spec.replicas", ".status.replicas", ".spec.selector"};
  if (std::string_view(row.group).empty() && std::string_view(row.kind) == "Endpoints") version.deprecation_warning = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice";
  if (std::string_view(row.group).empty() && std::string_view(row.kind) == "ComponentStatus") version.deprecation_warning = "v1 ComponentStatus is deprecated in v1.19+";
  return version;
}

ResourceDef DefinitionOf(const ResourceRow& row) {
  const std::string_view policy = row.policy;
  const auto has = [policy](char letter) { return policy.find(letter) != policy.npos; };
  ResourceDef def;
  def.group = row.group;
  def.resource = row.plural;
  def.singular = row.singular;
  def.kind = row.kind;
  def.list_kind = Cat(row.kind, "List");
  def.short_names = List(row.short_names);
  def.categories = List(row.categories);
  def.scope = row.namespaced ? Scope::kNamespaced : Scope::kCluster;
  def.verbs = List(row.verbs);
  def.subresources = Subresources(row.subresources);
  def.storage_version_hash = row.storage_version_hash;
  def.group_priority = row.group_priority;
  def.version_priority = row.version_priority;
  def.status_subresource = has('S');
  def.create_on_update = has('C');
  def.unconditional_update = has('U');
  def.has_generation = has('G');
  def.virtual_resource = has('V');
  def.graceful_deletion = def.group.empty() && def.resource == "pods";
  def.default_deletion = row.deletion == 'o' ? DefaultDeletion::kOrphan : row.deletion == 'x' ? DefaultDeletion::kUnsupported : DefaultDeletion::kBackground;
  // Both event groups read and write the same objects.
  def.storage_key = def.resource == "events" ? "core/events" : Cat(def.group.empty() ? "core" : def.group, '/', def.resource);
  def.strategy = StrategyFor(def.group, def.resource);
  return def;
}

bool IsMetrics(const ResourceRow& row) { return std::string_view(row.policy).find('M') != std::string_view::npos; }

// Rows with or without the letter M.
void Register(Registry& registry, bool metrics) {
  std::map<std::pair<std::string_view, std::string_view>, ResourceDef> defs;   // versions of one resource are one definition
  for (std::size_t i = 0; i < builtin::kResourceCount; ++i) {
    const ResourceRow& row = builtin::kResources[i];
    if (IsMetrics(row) != metrics) continue;
    auto [it, added] = defs.try_emplace({row.group, row.plural});
    if (added) it->second = DefinitionOf(row);
    it->second.version_priority = std::max(it->second.version_priority, row.version_priority);
    it->second.versions.push_back(VersionOf(row));
  }
  for (auto& [key, def] : defs) {
    // Newest version first; autoscaling/v2 and v1 are the only pair, and v2 is stored.
    std::sort(def.versions.begin(), def.versions.end(), [](const Version& a, const Version& b) { return a.name > b.name; });
    for (std::size_t i = 0; i < def.versions.size(); ++i) def.versions[i].storage = i == 0;
    registry.Publish(std::move(def));
  }
}

}  // namespace

void RegisterBuiltins(Registry& registry) { Register(registry, false); }
void RegisterMetrics(Registry& registry) { Register(registry, true); }

}  // namespace skerry::kube
