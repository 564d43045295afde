#pragma once
#include <optional>
#include <string>
#include <vector>

#include "embedded-kube-shim/controllers/owned_pods.h"

// ControllerRevisions: the templates that a StatefulSet or DaemonSet has had.
namespace skerry::kube {

inline constexpr const char* kRevisions = "apps/v1/controllerrevisions";
inline constexpr const char* kRevisionLabel = "controller-revision-hash";

// {"spec":{"template":{"$patch":"replace",…}}} with sorted keys: what a revision of this owner holds.
json::Value TemplatePatch(const json::Value& owner);
// The template of a revision.
json::Value TemplateOf(const json::Value& revision);
bool SameData(const json::Value& a, const json::Value& b);                // of two revisions

// FNV-1 32 of the data and the number of collisions, in the alphabet that names allow.
std::string DataHash(const json::Value& data, std::int64_t collisions);

// The owner's revisions, oldest first, after adopting those that match its selector.
Result<std::vector<ObjectPtr>> ClaimRevisions(const Ctx& ctx, Client& client, const Lister& revisions, const OwnerKind& kind, const json::Value& owner);

// Deletes the oldest of `revisions` that are not in `live` (by name) beyond the owner's revisionHistoryLimit.
Result<> TruncateHistory(const Ctx& ctx, Client& client, const json::Value& owner, const std::vector<ObjectPtr>& revisions, const std::vector<std::string>& live);

}  // namespace skerry::kube
