#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/json/value.h"
#include "embedded-kube-shim/client/client.h"

// What controllers ask of pods, owners and selectors. Pure functions.
namespace skerry::kube {

const json::Value& Meta(const json::Value& object);
std::string_view Name(const json::Value& object);
std::string_view Namespace(const json::Value& object);
std::string_view Uid(const json::Value& object);
bool IsTerminating(const json::Value& object);                            // has a deletionTimestamp

bool IsPodActive(const json::Value& pod);                                 // neither finished nor being deleted
bool IsPodFinished(const json::Value& pod);                               // Succeeded or Failed
const json::Value* FindCondition(const json::Value& status, std::string_view type);
bool IsPodReady(const json::Value& pod);
// Ready for at least min_ready. Sets *due to the time until it will be, when it is ready but not yet long enough.
bool IsPodAvailable(const json::Value& pod, std::chrono::seconds min_ready, Clock::Wall now, std::optional<std::chrono::milliseconds>* due = nullptr);

const json::Value* ControllerRef(const json::Value& object);              // null when it has none
bool IsControlledBy(const json::Value& object, std::string_view uid);
json::Value NewControllerRef(const json::Value& owner, std::string_view api_version, std::string_view kind);

// meta/v1 LabelSelector -> text form; an empty selector gives "" (matches everything).
std::string SelectorText(const json::Value& label_selector);
std::string SelectorTextOfMap(const json::Value& labels);                 // {"a":"b"} -> "a=b"
bool MatchesSelector(const json::Value& label_selector, const json::Value& labels);   // LabelSelector object; null matches nothing

// Orders the pods that should go first to the front: unassigned, pending, unready, cheap to delete, doubled up on a node, young.
// `rank` counts related pods on the pod's node.
void SortForDeletion(std::vector<ObjectPtr>& pods, const std::function<int(const json::Value& pod)>& rank, Clock::Wall now);

// A pod made of a template: labels, annotations, finalizers and spec copied, generateName "<prefix>", owned by `owner_ref`.
json::Value PodFromTemplate(const json::Value& pod_template, std::string_view ns, std::string_view prefix, json::Value owner_ref);

// int-or-string scaled to total; percentages round up or down. kInvalid for other text.
Result<std::int64_t> ScaledValue(const json::Value& int_or_percent, std::int64_t total, bool round_up);

// Sets a status condition by type; keeps lastTransitionTime while the status stays the same. Returns whether anything changed.
bool SetCondition(json::Value& status, std::string_view type, std::string_view value, std::string_view reason, std::string_view message, Clock::Wall now,
                  bool with_update_time = false);
bool RemoveCondition(json::Value& status, std::string_view type);

// FNV-1a 32 of the template and the collision count in the alphabet that names allow: the pod-template-hash.
std::string TemplateHash(const json::Value& pod_template, std::optional<std::int64_t> collision_count);
std::string SafeName(std::string_view text);                              // letters that spell nothing: for names made of numbers

}  // namespace skerry::kube
