#include "tests/support/offline_write.h"

#include "core/base/strings.h"
#include "embedded-kube-shim/api/status.h"

namespace skerry::testing {
namespace {

using json::Value;

class Context final : public kube::StrategyContext {
 public:
  std::shared_ptr<const Value> Lookup(std::string_view, std::string_view, std::string_view, std::string_view) const override { return nullptr; }
  explicit Context(std::string subresource = "") : subresource_(std::move(subresource)) {}
  std::string_view subresource() const override { return subresource_; }
  std::string_view user() const override { return "oracle"; }
  const std::vector<std::string>& groups() const override { return groups_; }
  std::chrono::system_clock::time_point now() const override { return std::chrono::system_clock::time_point(std::chrono::seconds(1700000000)); }
  void AddWarning(std::string) override {}

 private:
  std::string subresource_;
  std::vector<std::string> groups_{"system:masters", "system:authenticated"};
};

struct Target { kube::ResourcePtr def; std::string version, ns; };

// "/api/v1/namespaces/default/pods", "/apis/apps/v1/deployments"; nothing for subresources.
std::optional<Target> Resolve(const kube::Registry& registry, std::string_view path) {
  auto parts = Split(path.substr(1), '/');
  const bool core = parts[0] == "api";
  if (parts.size() < (core ? 3u : 4u)) return {};
  Target target;
  const std::string group(core ? "" : parts[1]);
  target.version = core ? parts[1] : parts[2];
  std::vector<std::string_view> rest(parts.begin() + (core ? 2 : 3), parts.end());
  if (rest[0] == "namespaces" && rest.size() >= 3) {
    target.ns = rest[1];
    rest.erase(rest.begin(), rest.begin() + 2);
  }
  if (rest.size() != 1) return {};
  target.def = registry.Find(group, target.version, rest[0]);
  if (!target.def) return {};
  return target;
}

// What the allocator fills in before validation.
void PlayAllocator(const Target& target, Value& object) {
  if (target.def->resource != "services" || !target.def->group.empty()) return;
  Value& spec = object.Set("spec");
  const std::string type(spec["type"].Str());
  if (type == "ExternalName" || (type != "ClusterIP" && type != "NodePort" && type != "LoadBalancer")) return;
  if (spec["clusterIPs"].size() == 0 && !spec["clusterIP"].Str().empty()) spec.Set("clusterIPs").Append(spec["clusterIP"].Clone());
  if (spec["clusterIP"].Str().empty() && spec["clusterIPs"].size() == 0) {
    spec.Set("clusterIP") = "10.96.0.99";
    spec.Set("clusterIPs").Append("10.96.0.99");
  }
}

// What admission and the cluster add to a pod before it is validated.
void PlayAdmission(const Target& target, Value& object) {
  const std::string_view resource = target.def->resource;
  const std::string_view protection = resource == "persistentvolumes" ? "kubernetes.io/pv-protection" : resource == "persistentvolumeclaims" ? "kubernetes.io/pvc-protection"
                                      : resource == "volumeattributesclasses" ? "kubernetes.io/vac-protection" : "";
  if (!protection.empty()) object.Set("metadata").Set("finalizers").Append(Value(protection));
  if (resource == "nodes" && target.def->group.empty()) {
    Value taint = Value::Object();
    taint.Set("key") = "node.kubernetes.io/not-ready";
    taint.Set("effect") = "NoSchedule";
    bool there = false;
    for (const Value& own : object.At({"spec", "taints"}).Items()) there |= own["key"] == taint["key"];
    if (!there) object.Set("spec").Set("taints").Append(std::move(taint));
  }
  if (target.def->resource != "pods" || !target.def->group.empty()) return;
  Value& spec = object.Set("spec");
  if (spec["serviceAccountName"].Str().empty()) spec.Set("serviceAccountName") = "default", spec.Set("serviceAccount") = "default";
}

}  // namespace

OfflineWriter::OfflineWriter() : registry_(kube::NewRegistry()) { kube::RegisterBuiltins(*registry_); }

std::optional<Value> OfflineWriter::Create(std::string_view, const Value& step) const {
  if (step["method"].Str() != "POST" || !step["b64"].is_null()) return {};
  const auto target = Resolve(*registry_, step["path"].Str());
  if (!target) return {};
  const kube::ResourceDef& def = *target->def;
  const kube::Version& version = *def.FindVersion(target->version);
  const auto gvk = def.Kind(target->version);
  const std::string body = step["raw"].is_string() ? std::string(step["raw"].Str()) : step["body"].is_null() ? "" : step["body"].Dump();
  const bool yaml = step.At({"headers", "Content-Type"}).Str().find("yaml") != std::string_view::npos;
  auto decoded = kube::DecodeBody(gvk, version.schema, yaml ? kube::Encoding::kYaml : kube::Encoding::kJson, body);
  if (!decoded) return kube::StatusObject(decoded.error());
  if (step.At({"query", "fieldValidation"}).Str("Warn") == "Strict" && !decoded->strict_errors.empty())
    return kube::StatusObject(kube::StrictDecodingError(gvk, *decoded));
  Value object = std::move(decoded->object);
  object.Set("kind") = Value(gvk.kind);
  object.Set("apiVersion") = Value(gvk.api_version());
  kube::ApplyDefaults(def, version, object);
  Value& metadata = object.Set("metadata");
  if (!metadata["namespace"].Str().empty() && !target->ns.empty() && metadata["namespace"].Str() != target->ns)
    return kube::StatusObject(kube::BadRequestError("the namespace of the provided object does not match the namespace sent on the request"));
  if (target->ns.empty()) metadata.Erase("namespace");
  else metadata.Set("namespace") = Value(target->ns);
  PlayAdmission(*target, object);
  for (std::string_view field : {"deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"}) object.Set("metadata").Erase(field);
  Value& filled = object.Set("metadata");
  filled.Set("uid") = "11111111-2222-3333-4444-555555555555";
  filled.Set("creationTimestamp") = "2023-11-14T22:13:20Z";
  if (filled["name"].Str().empty() && !filled["generateName"].Str().empty()) filled.Set("name") = Value(Cat(filled["generateName"].Str().substr(0, 58), "x2x4z"));
  if (def.has_generation) filled.Set("generation") = 1;
  if (def.status_subresource && !(def.group.empty() && def.resource == "nodes")) object.Erase("status");
  Context context;
  if (def.strategy) def.strategy->PrepareForCreate(context, object);
  PlayAllocator(*target, object);
  kube::FieldErrors errors;
  kube::Validate(def, version, "", object, nullptr, errors);
  if (def.strategy) def.strategy->Validate(context, object, nullptr, errors);
  if (!errors.empty()) return kube::StatusObject(kube::InvalidObjectError(def, object.At({"metadata", "name"}).Str(), errors));
  if (def.strategy) def.strategy->Canonicalize(object);
  kube::Canonicalize(version.schema, object);
  return object;
}

namespace {

void DropTokens(Value& pod) {
  Value* spec = pod.Find("spec");
  if (!spec || !spec->is_object()) return;
  const auto is_token = [](const Value& item) { return item["name"].Str().starts_with("kube-api-access-"); };
  const auto drop = [&](Value& owner, std::string_view field) {
    Value* list = owner.Find(field);
    if (!list || !list->is_array()) return;
    std::erase_if(list->MutableItems(), is_token);
    if (list->size() == 0) owner.Erase(field);
  };
  drop(*spec, "volumes");
  for (std::string_view kind : {"containers", "initContainers"})
    if (Value* containers = spec->Find(kind); containers && containers->is_array())
      for (Value& container : containers->MutableItems()) drop(container, "volumeMounts");
  if (Value* tolerations = spec->Find("tolerations"); tolerations && tolerations->is_array()) {
    std::erase_if(tolerations->MutableItems(), [](const Value& t) { return t["key"].Str().starts_with("node.kubernetes.io/") && t["tolerationSeconds"].Int() == 300; });
    if (tolerations->size() == 0) spec->Erase("tolerations");
  }
  spec->Erase("priority");
  spec->Erase("preemptionPolicy");
}

void CopyMember(const Value& from, Value& to, std::string_view member) {
  if (const Value* value = from.Find(member)) to.Set(member) = value->Clone();
  else to.Erase(member);
}

// What the server keeps, whatever a PUT says.
void KeepSystemFields(const kube::ResourceDef& def, const std::string& subresource, const Value& old, Value& next) {
  if (subresource == "status") {
    Value kept = old.Clone();
    CopyMember(next, kept, "metadata");
    CopyMember(next, kept, "status");
    next = std::move(kept);
  } else if (def.status_subresource) {
    CopyMember(old, next, "status");
  }
  Value& metadata = next.Set("metadata");
  for (std::string_view field : {"uid", "creationTimestamp", "generation", "deletionTimestamp", "resourceVersion"})
    if (metadata[field].Str().empty() || field == "generation" || field == "resourceVersion") CopyMember(old["metadata"], metadata, field);
  metadata.Erase("managedFields");
}

}  // namespace

std::optional<Value> OfflineWriter::Update(const Value& created, const Value& step) const {
  std::string path(step["path"].Str());
  std::string subresource;
  if (path.ends_with("/status")) subresource = "status", path.resize(path.size() - 7);
  path.resize(path.rfind('/'));
  const auto target = Resolve(*registry_, path);
  if (!target || step["method"].Str() != "PUT") return {};
  const kube::ResourceDef& def = *target->def;
  const kube::Version& version = *def.FindVersion(target->version);
  const auto gvk = def.Kind(target->version);
  std::string body = step["raw"].is_string() ? std::string(step["raw"].Str()) : step["body"].Dump();
  constexpr std::string_view kUid = "${0.metadata.uid}";
  for (auto at = body.find(kUid); at != body.npos; at = body.find(kUid)) body.replace(at, kUid.size(), "11111111-2222-3333-4444-555555555555");
  auto decoded = kube::DecodeBody(gvk, version.schema, kube::Encoding::kJson, body);
  if (!decoded) return kube::StatusObject(decoded.error());
  Value object = std::move(decoded->object);
  if (gvk.kind == "Pod") DropTokens(object);
  object.Set("kind") = Value(gvk.kind);
  object.Set("apiVersion") = Value(gvk.api_version());
  kube::ApplyDefaults(def, version, object);
  Value old = created.Clone();
  old.Set("metadata").Erase("managedFields");
  kube::Canonicalize(version.schema, old);
  if (target->ns.empty()) object.Set("metadata").Erase("namespace");
  else object.Set("metadata").Set("namespace") = Value(target->ns);
  KeepSystemFields(def, subresource, old, object);
  Context context(subresource);
  if (def.strategy) def.strategy->PrepareForUpdate(context, object, old);
  kube::Canonicalize(version.schema, object);
  kube::FieldErrors errors;
  kube::Validate(def, version, subresource, object, &old, errors);
  if (!errors.empty()) return kube::StatusObject(kube::InvalidObjectError(def, object.At({"metadata", "name"}).Str(), errors));
  return object;
}

namespace {

bool Looks(std::string_view text, std::string_view pattern) {   // 9 = digit, x = hexadecimal digit
  if (text.size() != pattern.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool digit = c >= '0' && c <= '9';
    if (pattern[i] == '9' ? !digit : pattern[i] == 'x' ? !(digit || (c >= 'a' && c <= 'f')) : c != pattern[i]) return false;
  }
  return true;
}

void MaskTimes(Value& value) {
  if (value.is_string()) {
    std::string text(value.Str());
    for (std::string_view uid = "11111111-2222-3333-4444-555555555555"; text.find(uid) != text.npos && text != uid;) {
      text.replace(text.find(uid), uid.size(), "<uid>");
      value = Value(text);
    }
    if (Looks(text, "9999-99-99T99:99:99Z")) value = Value("<time>");
    if (Looks(text, "9999-99-99T99:99:99.999999Z")) value = Value("<time.us>");
    if (Looks(text, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")) value = Value("<uid>");
    if (const auto at = text.find("x2x4z"); at != text.npos) value = Value(text.substr(0, at) + "<gen>" + text.substr(at + 5));
  }
  if (value.is_array())
    for (Value& item : value.MutableItems()) MaskTimes(item);
  if (value.is_object())
    for (json::Member& member : value.MutableMembers()) MaskTimes(member.value);
}

}  // namespace

Value Comparable(const Value& answer) {
  Value out = answer.Clone();
  if (out["kind"].Str() == "Status") {
    MaskTimes(out);
    return out;
  }
  if (Value* metadata = out.Find("metadata"); metadata && metadata->is_object())
    for (std::string_view field : {"uid", "creationTimestamp", "resourceVersion", "managedFields"}) metadata->Erase(field);
  if (out["kind"].Str() == "Pod") DropTokens(out);
  if (out["kind"].Str() == "Service")
    for (std::string_view field : {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "ports", "healthCheckNodePort"}) out.Set("spec").Erase(field);
  MaskTimes(out);
  return out;
}

}  // namespace skerry::testing
