#pragma once
#include "embedded-kube-shim/apis/rules.h"

// Checks that several kinds share.
namespace skerry::kube::rules {

std::string RenderField(const Node& node);                  // as the parent declares it: null or a zero value when absent
// Unified diff of the internal forms; `only` restricts it to some fields (JSON names).
std::string InternalDiff(SchemaPtr schema, const json::Value& before, const json::Value& now, std::span<const std::string_view> only = {});
void CheckPodTemplate(Run& run, const Node& pod_template);
// The selector of a workload and the labels of its template.
void CheckTemplateSelector(Run& run, const Node& selector, const Node& pod_template);
void CheckPodUpdate(Run& run, const Node& pod);
void CheckPodStatus(Run& run, const Node& pod);
void CheckNonSpecialIp(Run& run, const Node& ip);           // endpoints: no loopback, link-local or unspecified addresses

// Resource names and lists. `at` is where an error is reported, `name` the resource.
bool CheckResourceName(Run& run, const Node& at, std::string_view name);
void CheckContainerResourceName(Run& run, const Node& at, std::string_view name);
void CheckQuotaResourceName(Run& run, const Node& at, std::string_view name);
void CheckResourceAmount(Run& run, const Node& at, std::string_view name);
bool IsIntegerResource(std::string_view name);
bool IsExtendedResource(std::string_view name);
enum class ResourcesOf : std::uint8_t { kContainer, kPod };
void CheckRequirements(Run& run, const Node& resources, ResourcesOf of);   // limits, requests and claims
void CheckProbe(Run& run, const Node& probe, std::int64_t grace_seconds);
void CheckContainers(Run& run, const Node& pod_spec);       // all three kinds of containers
void CheckFieldSelector(Run& run, const Node& selector, bool for_env);
void CheckResourceFieldSelector(Run& run, const Node& selector, bool for_volume);
void CheckSecurityContext(Run& run, const Node& context);   // of a container
void CheckSeccomp(Run& run, const Node& profile);
void CheckAppArmor(Run& run, const Node& profile);
void CheckWindowsOptions(Run& run, const Node& options);

void CheckVolumes(Run& run, const Node& volumes);
void CheckVolumeSource(Run& run, const Node& volume);
void CheckClaimSpec(Run& run, const Node& spec);
void CheckNodeSelector(Run& run, const Node& selector);
void CheckTolerations(Run& run, const Node& tolerations);
void CheckTemplateMetadata(Run& run, const Node& metadata); // only labels and annotations may be set
void CheckPersistentVolumeSpec(Run& run, const Node& spec, bool is_inline);
void CheckPersistentVolumeSources(Run& run, const Node& spec);
void CheckLoadBalancerIngress(Run& run, const Node& ingress, bool with_mode);
std::string RenderPort(const Node& service_port);           // upstream's internal ServicePort
void CheckDomainPath(Run& run, const Node& at);             // "acme.io/foo"
bool CheckCsiDriverName(Run& run, const Node& at);
void CheckWebhookClient(Run& run, const Node& client);   // a URL or a service
bool ParsesAsSelector(const json::Value& selector);          // upstream gives up on one whose keys or values are none
json::Value InternalCustomSchema(const json::Value& schema);   // as upstream's internal type shows it
void CheckCustomSchema(Run& run, const Node& schema, bool status_enabled);
bool MatchesSelector(const json::Value& selector, const json::Value& labels);
void CheckPositiveIntOrPercent(Run& run, const Node& at);
void CheckNotMoreThan100Percent(Run& run, const Node& at);

}  // namespace skerry::kube::rules
