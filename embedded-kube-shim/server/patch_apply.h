#pragma once
#include "embedded-kube-shim/server/engine.h"

namespace skerry::kube {

// JSON patch, merge patch or strategic merge patch onto `live`: decoded, in the target's version, not yet defaulted. Errors in upstream's forms.
Result<json::Value> ApplyPatch(const Target& target, const PatchBody& body, const json::Value& live, FieldValidation validation, std::vector<std::string>& warnings);
// The body of a server-side apply: YAML or JSON, with apiVersion and kind of the target. Repeated keys are told in `repeated`: what to do about
// them is decided once the body was applied (an error of the apply itself comes first).
Result<json::Value> ParseApply(const PatchBody& body, std::vector<std::string>& repeated);
Result<> ReportRepeated(FieldValidation validation, const std::vector<std::string>& repeated, std::vector<std::string>& warnings);

}  // namespace skerry::kube
