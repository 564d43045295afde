#include <algorithm>
#include <optional>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/managers.h"
#include "embedded-kube-shim/api/patch.h"
#include "embedded-kube-shim/api/patch_typed.h"
#include "embedded-kube-shim/api/raw_json.h"
#include "embedded-kube-shim/api/reset_fields.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/api/typed_value.h"
#include "embedded-kube-shim/api/typed_walk.h"

// Ownership of fields. The steps and their order are upstream's, because every answer shows the outcome:
//   strip metadata nobody may own <- compare and merge <- the operation's own entry <- cap <- objects without managers <- last-applied
namespace skerry::kube {

namespace {

using json::Value;

constexpr std::string_view kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";
const ManagerId kCurrentOperation{"current-operation", "", "", ""};

const FieldSet& Stripped() {
  static const FieldSet set = [] {
    FieldSet out;
    for (const char* name : {"apiVersion", "kind", "metadata"}) out.Insert(FieldPath{FieldStep(name)});
    for (const char* name : {"name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields", "resourceVersion"})
      out.Insert(FieldPath{FieldStep("metadata"), FieldStep(name)});
    return out;
  }();
  return set;
}

struct Conflict {
  ManagerId manager;
  FieldPath path;
};

class Ownerships {
 public:
  Ownerships(const ResourceDef& def, SchemaPtr schema, const ManagerInfo& info) : def_(def), schema_(schema), info_(info), filter_(ResetFields(def, info.subresource)) {}

  // Without managedFields and with what Go always writes.
  Value Typed(const Value* object) const {
    Value out = Value::Object();
    if (object) {
      out = json::Share(*object);
      RemoveManaged(out);
    } else {
      out.Set("apiVersion") = Value(info_.api_version);
      out.Set("kind") = Value(def_.kind);
    }
    if (!def_.custom) FillAlwaysEmitted(schema_, out);
    return out;
  }

  static void RemoveManaged(Value& object) {
    if (Value* metadata = object.Find("metadata")) metadata->Erase("managedFields");
  }

  // Both objects are as they are: comparing leaves managedFields out and adds what Go always writes.
  void Update(const Value& live, const Value& object, Managers& managers, const ManagerId& id) const {
    Reconcile(managers);
    Comparison compare;
    const Seen seen_as = def_.custom ? Seen::kWithoutManagers : Seen::kAsWritten;
    if (managers.fields.empty()) compare = CompareTyped(schema_, live, object, RawObjects::kAsBytes, seen_as);
    else UpdateOthers(live, object, managers, kCurrentOperation, compare, seen_as, false, &id);
    FieldSet own = compare.modified.empty() ? std::move(compare.added) : compare.modified.Union(compare.added);
    if (!filter_.excluded.empty()) own = filter_.Apply(own);
    own = own.Difference(Stripped());
    if (own.empty()) return;
    Ownership& entry = managers.fields[id];
    if (!entry.OwnsAll(own)) entry.Set(entry.fields().Union(own));
    entry.api_version = info_.api_version;
    managers.times[id] = ManagerTime(info_.now);
  }

  bool failed() const { return failed_; }

  // Null = nothing changed. Conflicts are reported unless forced.
  std::optional<Value> Apply(const Value& live, const Value& config, Managers& managers, const ManagerId& id, bool force, std::vector<Conflict>* conflicts) const {
    Reconcile(managers);
    Value merged = MergeTyped(schema_, live, config);
    const bool again = OwnsAlready(managers, id, config);
    if (!again) {
      const auto last = managers.fields.find(id);
      const Ownership former = last == managers.fields.end() ? Ownership() : last->second;
      FieldSet wanted = filter_.Apply(FieldsOf(schema_, config));
      // What is applied again is owned again: nothing can fall away then.
      const bool keeps_all = former.api_version == info_.api_version && former.fields().Difference(wanted).empty();
      managers.fields[id] = Ownership(std::move(wanted), info_.api_version, true);
      if (!former.fields().empty() && !keeps_all) merged = Prune(std::move(merged), managers, former);
    }
    Comparison compare;
    *conflicts = UpdateOthers(live, merged, managers, id, compare, Seen::kAsIs, !force);
    if (!conflicts->empty()) return {};
    if (const auto own = managers.fields.find(id); !again && own != managers.fields.end()) {
      own->second.Set(own->second.fields().Difference(Stripped()));
      if (own->second.empty()) managers.fields.erase(own);
    }
    if (merged == live) return {};   // another order of list elements is a change, too
    if (!def_.custom) json::Unify(merged, live);
    managers.times[id] = ManagerTime(info_.now);
    return merged;
  }

  std::optional<Value> ToVersion(const Value& object, const std::string& api_version) const {
    if (api_version == info_.api_version) return object.Clone();
    const Version* version = VersionOf(api_version);
    if (!version) return {};
    if (info_.convert) {
      auto converted = info_.convert(object, api_version);
      if (converted && !def_.custom) FillAlwaysEmitted(version->schema, *converted);
      return converted;
    }
    if (!def_.custom) return {};
    Value out = object.Clone();
    out.Set("apiVersion") = Value(api_version);
    return out;
  }

 private:
  const Version* VersionOf(const std::string& api_version) const {
    const auto slash = api_version.find('/');
    const std::string_view group = slash == std::string::npos ? std::string_view() : std::string_view(api_version).substr(0, slash);
    if (group != def_.group) return nullptr;
    const Version* version = def_.FindVersion(slash == std::string::npos ? std::string_view(api_version) : std::string_view(api_version).substr(slash + 1));
    return version && version->served ? version : nullptr;
  }
  SchemaPtr SchemaOf(const std::string& api_version) const {
    if (api_version == info_.api_version) return schema_;
    const Version* version = VersionOf(api_version);
    return version ? version->schema : schema_;
  }

  // Whether the applier has what the configuration sets, neither more nor less: most apply the same fields again and again.
  bool OwnsAlready(const Managers& managers, const ManagerId& id, const Value& config) const {
    const auto own = managers.fields.find(id);
    if (own == managers.fields.end() || !own->second.stored() || own->second.api_version != info_.api_version) return false;
    const auto concerned = [&](const FieldSet::Node& node) { return config.Find(std::string_view(node.step).substr(2)); };
    if (std::any_of(filter_.excluded.nodes().begin(), filter_.excluded.nodes().end(), concerned)) return false;
    return SetsExactly(schema_, config, Stripped(), *own->second.stored());
  }

  bool Declared(const std::string& api_version, const Value& object) const { return ValidateTyped(SchemaOf(api_version), object, Duplicates::kAllow).empty(); }

  void Reconcile(Managers& managers) const {
    for (auto it = managers.fields.begin(); it != managers.fields.end();) {
      Ownership& ownership = it->second;
      if (ownership.api_version != info_.api_version && (!VersionOf(ownership.api_version) || (!def_.custom && !info_.convert))) {
        it = managers.fields.erase(it);
        continue;
      }
      // The types of built-in kinds do not change: what this program has stored fits them.
      if (def_.custom || !ownership.stored()) ownership.Set(ReconcileWithSchema(SchemaOf(ownership.api_version), ownership.fields()));
      ++it;
    }
  }

  // Takes from everybody but `self` what changed or went away. Conflicts are only computed when asked for. What `writer` changed becomes his own
  // again: from him only that is taken which went away.
  std::vector<Conflict> UpdateOthers(const Value& live, const Value& object, Managers& managers, const ManagerId& self, Comparison& compare, Seen seen_as,
                                     bool stop_on_conflict = false, const ManagerId* writer = nullptr) const {
    const RawObjects raw = self == kCurrentOperation ? RawObjects::kAsBytes : RawObjects::kAsValues;
    compare = CompareTyped(schema_, live, object, raw, seen_as);
    std::map<std::string, Comparison> by_version;
    by_version[info_.api_version] = {filter_.Apply(compare.added), filter_.Apply(compare.removed), filter_.Apply(compare.modified)};
    std::vector<Conflict> conflicts;
    std::map<ManagerId, FieldSet> lost;
    for (auto it = managers.fields.begin(); it != managers.fields.end();) {
      auto& [id, ownership] = *it;
      if (id == self) {
        ++it;
        continue;
      }
      if (!by_version.contains(ownership.api_version)) {
        const auto convert = [&](const Value& from) { return ToVersion(seen_as == Seen::kAsIs ? from.Clone() : Typed(&from), ownership.api_version); };
        const auto before = convert(live), after = convert(object);
        if (!before || !after) {
          it = managers.fields.erase(it);
          continue;
        }
        // Upstream fails on what the other version does not declare, and then forgets all owners.
        if (def_.custom && !(Declared(ownership.api_version, *before) && Declared(ownership.api_version, *after))) failed_ = true;
        const Comparison other = CompareTyped(SchemaOf(ownership.api_version), *before, *after, raw);
        by_version[ownership.api_version] = {filter_.Apply(other.added), filter_.Apply(other.removed), filter_.Apply(other.modified)};
      }
      const Comparison& seen = by_version[ownership.api_version];
      const FieldSet changed = writer && id == *writer ? FieldSet() : seen.modified.Union(seen.added);
      if (ownership.MayOwn(changed) || ownership.MayOwn(seen.removed)) {
        const FieldSet taken = ownership.fields().Intersection(changed);
        taken.ForEach([&](const FieldPath& path) { conflicts.push_back({id, path}); });
        lost[id] = taken.Union(seen.removed);
      }
      ++it;
    }
    if (stop_on_conflict && !conflicts.empty()) return conflicts;
    for (const auto& [id, fields] : lost) managers.fields[id].Set(managers.fields[id].fields().Difference(fields));
    std::erase_if(managers.fields, [](const auto& entry) { return entry.second.empty(); });
    return {};
  }

  // Removes what this applier owned before, no longer applies and nobody else owns.
  Value Prune(Value merged, const Managers& managers, const Ownership& former) const {
    auto converted = ToVersion(merged, former.api_version);
    if (!converted) return merged;
    const SchemaPtr schema = SchemaOf(former.api_version);
    const FieldSet last = former.fields().WithNamedFields(schema);
    Value pruned = RemoveItems(schema, *converted, last);
    std::map<std::string, FieldSet> owned;
    for (const auto& [id, ownership] : managers.fields) owned[ownership.api_version] = owned[ownership.api_version].Union(ownership.fields());
    pruned = AddBackOwned(*converted, std::move(pruned), former.api_version, owned[former.api_version]);
    owned.erase(former.api_version);
    std::string at = former.api_version;
    Value all = converted->Clone();
    for (const auto& [version, fields] : owned) {
      auto next_all = Convert(all, at, version), next_pruned = Convert(pruned, at, version);
      if (!next_all || !next_pruned) continue;
      all = std::move(*next_all);
      pruned = AddBackOwned(all, std::move(*next_pruned), version, fields);
      at = version;
    }
    if (auto back = Convert(pruned, at, former.api_version)) pruned = std::move(*back);
    // What only disappeared together with its parent comes back, unless it was owned.
    const FieldSet pruned_set = FieldsOf(schema, pruned).WithNamedFields(schema), merged_set = FieldsOf(schema, *converted).WithNamedFields(schema);
    pruned = RemoveItems(schema, *converted, merged_set.Difference(pruned_set).Intersection(last));
    auto result = Convert(pruned, former.api_version, info_.api_version);
    return result ? std::move(*result) : std::move(merged);
  }

  Value AddBackOwned(const Value& merged, Value pruned, const std::string& version, const FieldSet& owned) const {
    const SchemaPtr schema = SchemaOf(version);
    const FieldSet merged_set = FieldsOf(schema, merged).WithNamedFields(schema), pruned_set = FieldsOf(schema, pruned).WithNamedFields(schema);
    return RemoveItems(schema, merged, merged_set.Difference(pruned_set.Union(owned.WithNamedFields(schema))));
  }

  std::optional<Value> Convert(const Value& object, const std::string& from, const std::string& to) const {
    if (from == to) return object.Clone();
    if (!VersionOf(to)) return {};
    if (info_.convert) return info_.convert(object, to);
    if (!def_.custom) return {};
    Value out = object.Clone();
    out.Set("apiVersion") = Value(to);
    return out;
  }

  const ResourceDef& def_;
  SchemaPtr schema_;
  const ManagerInfo& info_;
  FieldFilter filter_;
  mutable bool failed_ = false;   // an object could not be seen in the version of another manager
};

ManagerId IdOf(const ManagerInfo& info, std::string_view operation) {
  return {info.manager.empty() ? "unknown" : info.manager, std::string(operation), operation == "Apply" ? "" : info.api_version, info.subresource};
}

void SetManaged(Value& object, const Managers& managers) {
  Value entries = managers.Encode();
  if (entries.is_null()) {
    Ownerships::RemoveManaged(object);
    return;
  }
  object.Set("metadata").Set("managedFields") = std::move(entries);
}

bool IsReset(const Value& entries) {
  if (entries.is_array() && entries.size() == 0) return true;
  if (entries.size() != 1) return false;
  for (const auto& member : entries.Items()[0].Members())
    if (!member.value.is_null() && !(member.value.is_string() && member.value.Str().empty())) return false;
  return true;
}

Managers DecodeOrNone(const Value& entries) {
  auto managers = Managers::Decode(entries);
  return managers ? std::move(*managers) : Managers();
}

// A client that knows nothing of managedFields must not lose them. `sent` are those of the object; `unchanged`: they are equal to the current ones.
Managers ManagersOf(const Value& current, const Value& sent, bool unchanged, const ManagerInfo& info) {
  const auto of_current = [&] {
    auto managers = Managers::Decode(unchanged ? sent : current, Managers::Source::kEncoded);
    return managers ? std::move(*managers) : Managers();
  };
  if (!info.subresource.empty()) return of_current();
  if (info.reset || IsReset(sent)) return {};
  if (unchanged) return of_current();
  auto managers = Managers::Decode(sent);
  if (!managers || managers->fields.empty()) return of_current();
  return std::move(*managers);
}

Error ConflictStatus(const std::vector<Conflict>& conflicts) {
  std::string text;
  std::map<std::string, std::vector<std::string>> by_manager;   // sorted by stored identity upstream; by shown text here
  for (const auto& conflict : conflicts) by_manager[conflict.manager.Text()].push_back(PathText(conflict.path));
  if (conflicts.size() == 1) {
    text = Cat("Apply failed with 1 conflict: conflict with ", conflicts[0].manager.Text(), ": ", PathText(conflicts[0].path));
  } else {
    text = Cat("Apply failed with ", conflicts.size(), " conflicts: ");
    bool first = true;
    for (const auto& [manager, paths] : by_manager) {
      text += Cat(first ? "" : "\n", "conflicts with ", manager, ":");
      for (const auto& path : paths) text += Cat("\n- ", path);
      first = false;
    }
  }
  Error error(Code::kConflict, std::move(text));
  for (const auto& conflict : conflicts)
    error = std::move(error).WithCause({PathText(conflict.path), "FieldManagerConflict", Cat("conflict with ", conflict.manager.Text())});
  return error;
}

std::string Identify(const Value& object, std::string_view api_version, std::string_view kind) {
  const auto slash = api_version.find('/');
  const std::string_view group = slash == std::string_view::npos ? std::string_view() : api_version.substr(0, slash);
  const std::string_view version = slash == std::string_view::npos ? api_version : api_version.substr(slash + 1);
  const Value& metadata = object["metadata"];
  return Cat('(', metadata["namespace"].Str(), '/', metadata["name"].Str(), "; ", group, '/', version, ", Kind=", kind, ')');
}

// Fields whose value is still the one client-side apply wrote: kubectl may take them over.
std::optional<FieldSet> LastAppliedFields(SchemaPtr schema, const Value& live, const ManagerInfo& info) {
  const std::string_view text = live.At({"metadata", "annotations", kLastApplied}).Str();
  Value last;
  if (text.empty() || !Value::Parse(text, &last, nullptr) || last["apiVersion"].Str() != info.api_version) return {};
  if (!ValidateTyped(schema, last, Duplicates::kRefuse).empty()) return {};
  const Comparison compare = CompareTyped(schema, last, live);
  return FieldsOf(schema, last).Difference(compare.modified).Difference(compare.added).Difference(compare.removed);
}

void SyncLastApplied(Value& object, const Value& applied) {
  constexpr std::size_t kMaxAnnotations = 256 * 1024;
  Value* annotations = object["metadata"]["annotations"].is_object() ? object.Find("metadata")->Find("annotations") : nullptr;
  if (!annotations || (*annotations)[kLastApplied].Str().empty()) return;
  Value copy = SortedKeys(applied);
  if (Value* metadata = copy.Find("metadata"))
    if (Value* own = metadata->Find("annotations")) own->Erase(kLastApplied);
  annotations->Set(kLastApplied) = Value(copy.Dump() + "\n");
  std::size_t total = 0;
  for (const auto& member : annotations->Members()) total += member.key.size() + member.value.Str().size();
  if (total > kMaxAnnotations) annotations->Erase(kLastApplied);
}

}  // namespace

bool ResetsManagedFields(const Value& document) { return IsReset(document.At({"metadata", "managedFields"})); }

void UpdateManagedFields(const ResourceDef& def, SchemaPtr schema, const Value* live, Value& object, const ManagerInfo& info) {
  static const Value kNone;
  Value sent;
  if (Value* metadata = object.Find("metadata"))
    if (Value* entries = metadata->Find("managedFields")) {
      sent = std::move(*entries);
      metadata->Erase("managedFields");
    }
  const Value& current = live ? live->At({"metadata", "managedFields"}) : kNone;
  const bool unchanged = !sent.is_null() && Identical(sent, current);
  Managers managers = ManagersOf(current, sent, unchanged, info);
  // An object that nobody tracks stays so until somebody applies.
  const bool untracked = managers.fields.empty() && live && !live->At({"metadata", "uid"}).Str().empty();
  // Of an object whose lists have elements without a name nobody can be told what they own.
  if (!untracked && !def.custom && !ValidateTyped(schema, object, Duplicates::kAllow).empty()) return;
  if (!untracked) {
    const Ownerships ownerships(def, schema, info);
    if (live) {
      ownerships.Update(*live, object, managers, IdOf(info, "Update"));
    } else {
      Value nothing = Value::Object();   // comparing adds what Go always writes
      nothing.Set("apiVersion") = Value(info.api_version);
      nothing.Set("kind") = Value(def.kind);
      ownerships.Update(nothing, object, managers, IdOf(info, "Update"));
    }
    managers.Cap();
    if (ownerships.failed()) managers = {};
  }
  SetManaged(object, managers);
}

Result<Value> ServerSideApply(const ResourceDef& def, SchemaPtr schema, const Value* live, const Value& applied, const ManagerInfo& info, Conflicts mode) {
  const std::string_view api_version = applied["apiVersion"].Str(), kind = applied["kind"].Str();
  if (api_version != info.api_version || kind != def.kind) {
    const bool grouped = api_version.find('/') != std::string_view::npos;
    return std::unexpected(BadRequestError(Cat("invalid object type: ", grouped ? "" : "/", api_version, ", Kind=", kind)));
  }
  static const Value kNone;
  auto decoded = Managers::Decode(live ? live->At({"metadata", "managedFields"}) : kNone, Managers::Source::kEncoded);
  if (!decoded) return std::unexpected(PlainInternalError(Cat("failed to decode managed fields: ", decoded.error().message())));
  Managers managers = std::move(*decoded);
  const Ownerships ownerships(def, schema, info);
  const Value live_typed = ownerships.Typed(live);
  if (managers.fields.empty() && live) {
    ManagerInfo before = info;
    before.manager = "before-first-apply";
    ownerships.Update(ownerships.Typed(nullptr), live_typed, managers, IdOf(before, "Update"));
  }
  if (const Value* sent = applied["metadata"].Find("managedFields"); sent && !sent->is_null()) return std::unexpected(BadRequestError("metadata.managedFields must be nil"));
  if (const auto problems = ValidateTyped(schema, applied, Duplicates::kRefuse); !problems.empty())
    return std::unexpected(PlainInternalError(Cat("failed to create typed patch object ", Identify(applied, api_version, kind), ": ", JoinProblems(problems))));

  const ManagerId id = IdOf(info, "Apply");
  const bool may_try_again = info.manager == "kubectl" && mode != Conflicts::kForce;
  std::vector<Conflict> conflicts;
  const Managers before = may_try_again ? managers : Managers();
  auto result = ownerships.Apply(live_typed, applied, managers, id, mode == Conflicts::kForce, &conflicts);
  if (!conflicts.empty() && may_try_again) {
    if (const auto allowed = LastAppliedFields(schema, live_typed, info)) {
      std::erase_if(conflicts, [&](const Conflict& c) { return allowed->Has(c.path); });
      if (conflicts.empty()) {
        managers = before;
        result = ownerships.Apply(live_typed, applied, managers, id, true, &conflicts);
      }
    }
  }
  if (!conflicts.empty()) return std::unexpected(ConflictStatus(conflicts));
  const bool anew = result || !live;   // an apply that changes nothing leaves the object as it was written
  Value object = result ? std::move(*result) : live ? json::Share(*live) : applied.Clone();
  Ownerships::RemoveManaged(object);
  if (!def.custom) {
    if (const auto problem = TypedConversionProblem(schema, object))
      return std::unexpected(PlainInternalError(Cat("failed to convert new object ", Identify(object, api_version, kind), " to proper version: unable to convert unstructured object to ",
                                                    info.api_version, ", Kind=", def.kind, ": ", *problem)));
    if (anew && HoldsRawJson(schema)) {
      SortRawObjects(schema, object);
      ForgetLayout(schema, object, Layout::kForget);
    }
    CoerceIntegers(schema, object);
    Canonicalize(schema, object);
  }
  if (info.manager == "kubectl") SyncLastApplied(object, applied);
  SetManaged(object, managers);
  return object;
}

namespace {

// Equal but for one or two members of each.
bool SameBut(const Value& a, const Value& b, std::string_view left_out, std::string_view too = {}) {
  const auto counts = [&](const json::Member& m) { return m.key != left_out && (too.empty() || m.key != too); };
  const auto count = [&](const Value& v) { return std::count_if(v.Members().begin(), v.Members().end(), counts); };
  if (!a.is_object() || !b.is_object() || count(a) != count(b)) return false;
  return std::all_of(a.Members().begin(), a.Members().end(), [&](const json::Member& m) {
    const Value* other = counts(m) ? b.Find(m.key) : nullptr;
    return !counts(m) || (other && m.value == *other);
  });
}

}  // namespace

void KeepManagedFieldTimes(const Value& live, Value& object) {
  const Value& before = live.At({"metadata", "managedFields"});
  const Value& after = object.At({"metadata", "managedFields"});
  if (before.size() != after.size() || after.size() == 0) return;
  if (!SameBut(live["metadata"], object["metadata"], "managedFields", "resourceVersion") || !SameBut(live, object, "metadata")) return;
  for (std::size_t i = 0; i < before.size(); ++i)
    if (!SameBut(before.Items()[i], after.Items()[i], "time")) return;
  Value& metadata = object.Set("metadata");
  metadata.Set("managedFields") = json::Share(before);
  if (const Value* version = live["metadata"].Find("resourceVersion")) metadata.Set("resourceVersion") = version->Clone();
}

namespace {

constexpr std::string_view kScaleVersion = "autoscaling/v1";

FieldPath PathOf(std::string_view dotted) {
  FieldPath out;
  for (std::string_view name : Split(dotted, '.'))
    if (!name.empty()) out.push_back(FieldStep(name));
  return out;
}
FieldSet SetOf(const FieldPath& path) {
  FieldSet out;
  out.Insert(path);
  return out;
}

}  // namespace

Value ScaleManagedFields(const Value& parent_entries, std::string_view parent_api_version, std::string_view path) {
  const Managers parent = DecodeOrNone(parent_entries);
  Managers scale;
  for (const auto& [id, ownership] : parent.fields) {
    if (ownership.api_version != parent_api_version || !ownership.fields().Has(PathOf(path))) continue;
    scale.fields[id] = Ownership(SetOf(PathOf(".spec.replicas")), std::string(kScaleVersion), ownership.applied);
    if (const auto time = parent.times.find(id); time != parent.times.end()) scale.times[id] = time->second;
  }
  return scale.Encode();
}

Value ParentManagedFields(const Value& parent_entries, const Value& scale_entries, std::string_view parent_api_version, std::string_view path) {
  const Managers parent = DecodeOrNone(parent_entries);
  Managers scale = DecodeOrNone(scale_entries), out;
  const FieldPath replicas = PathOf(path);
  const auto keep = [&](const ManagerId& id, Ownership ownership, const Managers& from) {
    out.fields[id] = std::move(ownership);
    if (const auto time = from.times.find(id); time != from.times.end()) out.times[id] = time->second;
  };
  for (const auto& [id, ownership] : parent.fields) {
    if (ownership.api_version != parent_api_version || !ownership.fields().Has(replicas)) {
      keep(id, ownership, parent);
      continue;
    }
    ManagerId in_scale = id;
    if (!ownership.applied) in_scale.api_version = kScaleVersion;
    if (scale.fields.erase(in_scale) > 0) {
      keep(id, ownership, parent);
      continue;
    }
    Ownership rest(ownership.fields().Difference(SetOf(replicas)), ownership.api_version, ownership.applied);
    if (!rest.empty()) keep(id, std::move(rest), parent);
  }
  for (const auto& [id, ownership] : scale.fields) {
    if (!ownership.fields().Has(PathOf(".spec.replicas"))) continue;
    ManagerId in_parent = id;
    if (!ownership.applied) in_parent.api_version = parent_api_version;
    out.fields[in_parent] = Ownership(SetOf(replicas), std::string(parent_api_version), ownership.applied);
    if (const auto time = scale.times.find(id); time != scale.times.end()) out.times[in_parent] = time->second;
  }
  return out.Encode();
}

}  // namespace skerry::kube
