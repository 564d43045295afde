#include "core/base/strings.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/apis/rules.h"
#include "embedded-kube-shim/server/service_fields.h"

namespace skerry::kube {
namespace {

using json::Value;

bool SameAddresses(const Value& a, const Value& b) { return a["clusterIP"].Str() == b["clusterIP"].Str() && a["clusterIPs"] == b["clusterIPs"]; }
bool HasNodePorts(const Value& service) { return service.At({"spec", "type"}).Str() == "NodePort" || service.At({"spec", "type"}).Str() == "LoadBalancer"; }

std::set<std::int64_t> NodePorts(const Value& service) {
  std::set<std::int64_t> out;
  for (const Value& port : service.At({"spec", "ports"}).Items())
    if (port["nodePort"].Int() != 0) out.insert(port["nodePort"].Int());
  return out;
}

void Truncate(Value& spec, std::string_view list) {
  if (spec[list].size() > 1) spec.Set(list).MutableItems().resize(1);
}

class Problems {
 public:
  void Invalid(std::string path, std::string value, std::string detail) { errors_.push_back({FieldErrorType::kInvalid, std::move(path), std::move(value), std::move(detail)}); }
  void Policy(const Value& spec, std::string detail) { Invalid("spec.ipFamilyPolicy", Quote(spec["ipFamilyPolicy"].Str()), std::move(detail)); }
  Result<> Outcome(const Value& service) {
    if (errors_.empty()) return {};
    return std::unexpected(InvalidError("", "Service", service.At({"metadata", "name"}).Str(), errors_));
  }

 private:
  FieldErrors errors_;
};

// More than one stack is not offered; what goes back to one stack gives the second up.
void CheckStacks(Value& spec, const Value* before, Problems& problems) {
  const bool single = spec["ipFamilyPolicy"].Str() == "SingleStack";
  if (before && single) {
    if (SameAddresses(*before, spec)) Truncate(spec, "clusterIPs");
    if ((*before)["ipFamilies"] == spec["ipFamilies"]) Truncate(spec, "ipFamilies");
  } else if (before) {
    const auto reduced = [&](std::string_view list) { return (*before)[list].size() == 2 && spec[list].size() == 1 && (*before)[list].Items()[0] == spec[list].Items()[0]; };
    if (reduced("clusterIPs")) problems.Policy(spec, "must be 'SingleStack' to release the secondary cluster IP");
    if (reduced("ipFamilies")) problems.Policy(spec, "must be 'SingleStack' to release the secondary IP family");
  }
  if (single && spec["clusterIPs"].size() == 2) problems.Policy(spec, "must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs are specified");
  if (single && spec["ipFamilies"].size() == 2) problems.Policy(spec, "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified");
}

void FamiliesOfAddresses(Value& spec, Problems& problems) {
  for (std::size_t i = 0; i < spec["clusterIPs"].size(); ++i) {
    const std::string_view ip = spec["clusterIPs"].Items()[i].Str();
    if (ip == "None") break;
    if (i < spec["ipFamilies"].size()) continue;
    if (ip.find(':') == ip.npos) spec.Set("ipFamilies").Append("IPv4");
    else problems.Invalid(Cat("spec.clusterIPs[", i, "]"), spec["clusterIPs"].Dump(), "IPv6 is not configured on this cluster");
  }
}

void FamiliesOfBareHeadless(Value& spec) {
  if (spec["ipFamilies"].size() == 0) spec.Set("ipFamilies").Append("IPv4");
  if (spec["ipFamilies"].size() > 1 || spec["ipFamilyPolicy"].Str() == "SingleStack") return;
  const bool v4 = spec["ipFamilies"].Items()[0].Str() == "IPv4";
  spec.Set("ipFamilies").Append(v4 ? "IPv6" : "IPv4");
}

}  // namespace

void KeepAllocated(const Value& old, Value& next) {
  Value& spec = next.Set("spec");
  const Value& before = old["spec"];
  if (before["type"].Str() != "ExternalName" && spec["type"].Str() != "ExternalName") {
    if (spec["clusterIP"].Str().empty() && !before["clusterIP"].Str().empty()) spec.Set("clusterIP") = before["clusterIP"].Clone();
    if (spec["clusterIPs"].size() == 0 && before["clusterIPs"].size() > 0) spec.Set("clusterIPs") = before["clusterIPs"].Clone();
  }
  if (HasNodePorts(old) && HasNodePorts(next)) {
    const auto had = NodePorts(old), has = NodePorts(next);
    for (Value& port : spec.Set("ports").MutableItems()) {
      if (port["nodePort"].Int() != 0) continue;
      for (const Value& known : before["ports"].Items())
        if (known["name"] == port["name"] && known["nodePort"].Int() != 0 && !has.contains(known["nodePort"].Int())) port.Set("nodePort") = known["nodePort"].Int();
    }
  }
  const auto checks_health = [](const Value& s) { return s["type"].Str() == "LoadBalancer" && s["externalTrafficPolicy"].Str() == "Local"; };
  if (checks_health(before) && checks_health(spec) && spec["healthCheckNodePort"].Int() == 0 && before["healthCheckNodePort"].Int() != 0)
    spec.Set("healthCheckNodePort") = before["healthCheckNodePort"].Int();
}

void LinkAddresses(const Value* old, Value& next) {
  Value& spec = next.Set("spec");
  const auto follow = [&] {
    spec.Set("clusterIPs") = Value::Array();
    spec.Set("clusterIPs").Append(spec["clusterIP"].Clone());
  };
  const std::string ip(spec["clusterIP"].Str());
  if (!old) {
    if (!ip.empty() && spec["clusterIPs"].size() == 0) follow();
    return;
  }
  const Value& before = (*old)["spec"];
  const std::string_view old_ip = before["clusterIP"].Str();
  if (before["clusterIPs"].size() > 0 && spec["clusterIPs"].size() == 0 && old_ip == ip) spec.Set("clusterIPs") = before["clusterIPs"].Clone();
  if (old_ip == ip || !(before["clusterIPs"] == spec["clusterIPs"])) return;
  if (ip.empty()) spec.Erase("clusterIPs");
  else follow();
}

Result<> InitFamilies(const Target& target, const Value* old, Value& next) {
  Value& spec = next.Set("spec");
  if (spec["type"].Str() == "ExternalName") return {};
  const Value* before = old ? &(*old)["spec"] : nullptr;
  const bool bare = spec["clusterIP"].Str() == "None" && spec["selector"].size() == 0;
  if (spec["ipFamilyPolicy"].is_null()) {
    if (before && !(*before)["ipFamilyPolicy"].Str().empty()) spec.Set("ipFamilyPolicy") = (*before)["ipFamilyPolicy"].Clone();
    else spec.Set("ipFamilyPolicy") = bare ? "RequireDualStack" : "SingleStack";
  }
  const auto errors = rules::ServiceAddressErrors(*target.def, target.schema_version(), next, old);
  if (!errors.empty()) return std::unexpected(InvalidError("", "Service", next.At({"metadata", "name"}).Str(), errors));
  Problems problems;
  CheckStacks(spec, before, problems);
  FamiliesOfAddresses(spec, problems);
  TRY_VOID(problems.Outcome(next));
  if (bare) {
    FamiliesOfBareHeadless(spec);
    return {};
  }
  if (spec["ipFamilyPolicy"].Str() == "RequireDualStack") problems.Policy(spec, "this cluster is not configured for dual-stack services");
  for (std::size_t i = 0; i < spec["ipFamilies"].size(); ++i)
    if (const auto family = spec["ipFamilies"].Items()[i].Str(); family != "IPv4") problems.Invalid(Cat("spec.ipFamilies[", i, "]"), Quote(family), "not configured on this cluster");
  TRY_VOID(problems.Outcome(next));
  if (spec["ipFamilies"].size() == 0) spec.Set("ipFamilies").Append("IPv4");
  return {};
}

}  // namespace skerry::kube
