#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "embedded-kube-shim/api/resource_def.h"

// What the API tells a client about an object that it accepts: deprecated fields and annotations, values that do not do what they seem to.
// The texts are those that upstream's clients print after "Warning:". Pure functions; objects are valid.
namespace skerry::kube::warnings {

using Texts = std::vector<std::string>;

// `old` is null on create. Looks at `object` after generation was counted.
void ForBuiltin(const ResourceDef& def, std::string_view subresource, const json::Value& object, const json::Value* old, Texts& out);

// A pod template at `path` ("spec.template"), or a pod ("").
void ForPodTemplate(std::string_view path, const json::Value& pod_template, Texts& out);
void ForNodeSelectorTerm(const json::Value& term, bool check_values, const std::string& path, Texts& out);
void ForClaimSpec(const std::string& path, const json::Value& spec, Texts& out);

// Why a label of nodes should not be used any more; empty when nothing is wrong with it.
std::string_view DeprecatedNodeLabel(std::string_view key);
void ForNodeLabels(const json::Value& labels, const std::string& path, Texts& out);   // map: "path[key]: reason"
void ForFractionalBytes(const json::Value& amounts, std::string_view resource, const std::string& path, Texts& out);
std::string Quoted(std::string_view text);

// What Go's TLS library says of a certificate and a key that do not make a pair; empty for a good one. Both are base64 of PEM.
std::string TlsPairProblem(std::string_view certificate, std::string_view key);

}  // namespace skerry::kube::warnings
