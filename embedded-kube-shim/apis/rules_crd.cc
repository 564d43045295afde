#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/apis/rules_shared.h"

// CustomResourceDefinitions: names, versions, columns, conversion. The schema itself is rules_crd_schema.cc.
namespace skerry::kube::rules {
namespace {

using json::Value;

void JoinedFormat(Run& run, const Node& at, format::Check check) {
  if (at->Str().empty()) return;
  if (const auto messages = check(at->Str()); !messages.empty()) run.Invalid(at, Join(messages, ","));
}

void MixedCase(Run& run, const Node& at) {
  if (at->Str().empty()) return;
  if (const auto messages = format::Dns1035Label(ToLower(at->Str())); !messages.empty())
    run.Invalid(at, Cat("may have mixed case, but should otherwise match: ", Join(messages, ",")));
}

void CheckNames(Run& run, const Node& names) {
  JoinedFormat(run, names["plural"], format::Dns1035Label);
  JoinedFormat(run, names["singular"], format::Dns1035Label);
  MixedCase(run, names["kind"]);
  MixedCase(run, names["listKind"]);
  for (const Node& name : names["shortNames"].Items())
    if (const auto messages = format::Dns1035Label(name->Str()); !messages.empty()) run.Invalid(name, Join(messages, ","));
  if (!names.Str("kind").empty() && names.Str("kind") == names.Str("listKind")) run.Invalid(names["listKind"], "kind and listKind may not be the same");
  for (const Node& category : names["categories"].Items())
    if (const auto messages = format::Dns1035Label(category->Str()); !messages.empty()) run.Invalid(category, Join(messages, ","));
}

void CheckSimplePath(Run& run, const Node& at) {
  if (at->Str().empty()) run.Invalid(at, "must not be empty");
  else if (!at->Str().starts_with('.')) run.Invalid(at, "must be a simple json path starting with .");
}

void CheckColumns(Run& run, const Node& columns) {
  static constexpr std::string_view kTypes[] = {"boolean", "date", "integer", "number", "string"};
  static constexpr std::string_view kFormats[] = {"byte", "date", "date-time", "double", "float", "int32", "int64", "password"};
  for (const Node& column : columns.Items()) {
    if (column.Str("name").empty()) run.Required(column["name"]);
    const std::string_view type = column.Str("type"), format_name = column.Str("format");
    if (type.empty()) run.Required(column["type"], "must be one of boolean,date,integer,number,string");
    else if (std::find(std::begin(kTypes), std::end(kTypes), type) == std::end(kTypes)) run.Invalid(column["type"], "must be one of boolean,date,integer,number,string");
    if (!format_name.empty() && std::find(std::begin(kFormats), std::end(kFormats), format_name) == std::end(kFormats))
      run.Invalid(column["format"], "must be one of byte,date,date-time,double,float,int32,int64,password");
    const Node path = column.As("jsonPath", "JSONPath");
    if (path->Str().empty()) run.Required(path);
    else CheckSimplePath(run, path);
  }
}

void CheckSubresources(Run& run, const Node& subresources) {
  const Node scale = subresources["scale"];
  if (scale->is_null()) return;
  const auto path = [&](std::string_view field, std::string_view prefix, std::string_view where) {
    const Node at = scale[field];
    if (at->Str().empty()) return run.Required(at);
    if (!at->Str().starts_with('.')) run.Invalid(at, "must be a simple json path starting with .");
    else if (!at->Str().starts_with(prefix)) run.Invalid(at, Cat("should be a json path under ", where));
  };
  path("specReplicasPath", ".spec.", ".spec");
  path("statusReplicasPath", ".status.", ".status");
  const Node selector = scale["labelSelectorPath"];
  if (selector->Str().empty()) return;
  if (!selector->Str().starts_with('.')) run.Invalid(selector, "must be a simple json path starting with .");
  else if (!selector->Str().starts_with(".spec.") && !selector->Str().starts_with(".status.")) run.Invalid(selector, "should be a json path under either .spec or .status");
}

// The schema a simple path leads to; null when it leads nowhere.
const Value* SchemaAt(const Value& schema, std::string_view path) {
  const Value* at = &schema;
  for (std::string_view step : Split(path.substr(1), '.')) {
    const Value* next = (*at)["properties"].Find(step);
    if (!next) return nullptr;
    at = next;
  }
  return at;
}

void CheckSelectable(Run& run, const Node& fields, const Value& schema) {
  if (schema.is_null()) return run.Invalid(fields, "\"\"", "may only be set when `version.schema.openAPIV3Schema` is not included");
  std::set<std::string> seen;
  for (const Node& field : fields.Items()) {
    const Node path = field["jsonPath"];
    if (path->Str().empty()) {
      run.Required(path);
      continue;
    }
    const Value* target = path->Str().starts_with('.') ? SchemaAt(schema, path->Str()) : nullptr;
    if (path->Str().starts_with(".metadata")) run.Invalid(path, "must not point to fields in metadata");
    else if (path->Str()[0] != '.' && path->Str()[0] != '[') run.Invalid(path, Cat("is an invalid path: expected [ or . but got: ", path->Str()));
    else if (!target) run.Invalid(path, "is an invalid path: does not refer to a valid field");
    else if (const std::string_view type = (*target)["type"].Str(); type != "string" && type != "boolean" && type != "integer")
      run.Invalid(path, "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.");
    if (!seen.insert(std::string(path->Str())).second) run.Duplicate(path);
  }
  if (seen.size() > 8) run.TooMany(fields, 8);
}

bool AllSame(const Node& versions, std::string_view field) {
  const auto items = versions->Items();
  for (const Value& version : items)
    if (!(version[field] == items[0][field])) return false;
  return !items.empty();
}

struct Shared { bool schema, subresources, columns, fields; };   // what all versions agree on is reported at the top

void CheckVersion(Run& run, const Node& version, const Shared& shared) {
  JoinedFormat(run, version["name"], format::Dns1035Label);
  if (version.Str("name").empty())
    for (const std::string& message : format::Dns1035Label("")) run.Invalid(version["name"], message);
  if (const Node warning = version["deprecationWarning"]; !warning->is_null()) {
    if (!(*version)["deprecated"].Bool()) run.Invalid(warning, "can only be set for deprecated versions");
    if (warning->Str().size() > 256) run.Invalid(warning, "must be <= 256 characters long");
    if (warning->Str().empty()) run.Invalid(warning, "must not be an empty string");
    for (std::size_t i = 0; i < warning->Str().size(); ++i)
      if (static_cast<unsigned char>(warning->Str()[i]) < 0x20) {
        run.Invalid(warning, Cat("must only contain printable UTF-8 characters; non-printable character found at index ", i));
        break;
      }
  }
  const bool status = !version["subresources"]["status"]->is_null();
  if (!shared.schema) CheckCustomSchema(run, version["schema"]["openAPIV3Schema"], status);
  if (!shared.subresources) CheckSubresources(run, version["subresources"]);
  if (!shared.columns) CheckColumns(run, version["additionalPrinterColumns"]);
  if (!shared.fields && version["selectableFields"].size() > 0) CheckSelectable(run, version["selectableFields"], *version["schema"]["openAPIV3Schema"]);
}

void CheckVersions(Run& run, const Node& spec) {
  const Node versions = spec["versions"];
  const Shared shared{AllSame(versions, "schema"), AllSame(versions, "subresources"), AllSame(versions, "additionalPrinterColumns"), AllSame(versions, "selectableFields")};
  for (const Node& version : versions.Items())
    if (version["schema"]["openAPIV3Schema"]->is_null()) run.Required(version["schema"]["openAPIV3Schema"]);
  std::set<std::string> names;
  bool unique = true;
  int stored = 0;
  for (const Node& version : versions.Items()) {
    CheckVersion(run, version, shared);
    unique = names.insert(std::string(version.Str("name"))).second && unique;
    stored += (*version)["storage"].Bool();
  }
  // What all versions share has moved to the top before anybody looks, so the versions are shown without it.
  Value bare = versions->Clone();
  if (bare.is_array())
    for (Value& version : bare.MutableItems())
      for (const auto& [is_shared, field] : {std::pair(shared.schema, "schema"), {shared.subresources, "subresources"}, {shared.columns, "additionalPrinterColumns"}, {shared.fields, "selectableFields"}})
        if (is_shared) version.Erase(field);
  Node listed = versions;
  listed.value = &bare;
  if (!unique) run.Invalid(listed, "must contain unique version names");
  if (stored != 1) run.Invalid(listed, "must have exactly one version marked as storage version");
  const auto at_top = [&](const Node& version, std::string_view field, std::string_view shown) {
    Node out = version[field];
    out.path = Cat(spec.path, ".", shown);
    return out;
  };
  if (versions.size() == 0) return;
  const Node first = versions.At(0);
  Node name = first["name"];
  name.path = Cat(spec.path, ".version");
  JoinedFormat(run, name, format::Dns1035Label);
  if (shared.schema) CheckCustomSchema(run, at_top(first, "schema", "validation")["openAPIV3Schema"], !first["subresources"]["status"]->is_null());
  if (shared.subresources) CheckSubresources(run, at_top(first, "subresources", "subresources"));
  if (shared.columns) CheckColumns(run, at_top(first, "additionalPrinterColumns", "additionalPrinterColumns"));
  if (shared.fields && first["selectableFields"].size() > 0)
    CheckSelectable(run, at_top(first, "selectableFields", "selectableFields"), *first["schema"]["openAPIV3Schema"]);
}

void CheckConversion(Run& run, const Node& conversion) {
  if (conversion->is_null()) return;
  const std::string_view strategy = conversion.Str("strategy");
  if (strategy.empty()) run.Required(conversion["strategy"]);
  else run.Enum(conversion["strategy"], {"None", "Webhook"});
  Node client = conversion["webhook"]["clientConfig"], versions = conversion["webhook"]["conversionReviewVersions"];
  client.path = conversion.path + ".webhookClientConfig";
  versions.path = conversion.path + ".conversionReviewVersions";
  if (strategy != "Webhook") {
    if (!client->is_null()) run.Forbidden(client, "should not be set when strategy is not set to Webhook");
    if (versions.size() > 0) run.Forbidden(versions, "should not be set when strategy is not set to Webhook");
    return;
  }
  if (client->is_null()) run.Required(client, "required when strategy is set to Webhook");
  else CheckWebhookClient(run, client);
  if (versions.size() == 0) return run.Required(versions);
  std::set<std::string> seen;
  bool known = false;
  for (const Node& version : versions.Items()) {
    const std::string text(version->Str());
    if (!seen.insert(text).second) {
      run.Invalid(version, "duplicate version");
      continue;
    }
    run.Format(version, format::Dns1035Label);
    known |= text == "v1" || text == "v1beta1";
  }
  if (!known) run.Invalid(versions, "must include at least one of v1, v1beta1");
}

bool IsProtected(std::string_view group) { return group == "k8s.io" || group == "kubernetes.io" || group.ends_with(".k8s.io") || group.ends_with(".kubernetes.io"); }

void CheckApproval(Run& run, const Node& object) {
  if (!IsProtected(object["spec"].Str("group"))) return;
  constexpr std::string_view kKey = "api-approved.kubernetes.io";
  constexpr const char* kText = "protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111";
  const Node annotations = object["metadata"]["annotations"];
  const Value* value = annotations->Find(kKey);
  if (!value) return run.Required(annotations.Key(kKey), kText);
  const std::string_view text = value->Str();
  if (text.starts_with("unapproved") || text.starts_with("https://")) return;
  run.Invalid(annotations.Key(kKey), Cat("protected groups must have approval annotation \"api-approved.kubernetes.io\" with either a URL or a reason starting with \"unapproved\", see "
                                         "https://github.com/kubernetes/enhancements/pull/1111"));
}

void CheckStored(Run& run, const Node& object) {
  const Node stored = object["status"]["storedVersions"];
  for (const Value& version : object->At({"spec", "versions"}).Items())
    if (stored.size() == 0 && version["storage"].Bool() && version["name"].Str().empty()) return;   // stored under no name
  if (stored.size() == 0) return run.Invalid(stored, "must have at least one stored version");
  // Each version uses up its entry.
  std::vector<std::pair<std::string, Node>> left;
  for (const Node& version : stored.Items()) left.emplace_back(version->Str(), version);
  for (const Value& version : object->At({"spec", "versions"}).Items()) {
    const std::string name(version["name"].Str());
    const auto at = std::find_if(left.begin(), left.end(), [&](const auto& entry) { return entry.first == name; });
    if (version["storage"].Bool() && !name.empty() && at == left.end()) run.Invalid(stored, Cat("must have the storage version ", name));
    if (at != left.end()) left.erase(at);
  }
  for (const auto& [name, version] : left)
    run.Invalid(version, Cat("missing from spec.versions; ", name, " was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains "
                             "persisted in ", name, " and removes ", name, " from status.storedVersions"));
}

void CustomResourceDefinition(Run& run, const Node& object) {
  const Node meta = object["metadata"], spec = object["spec"], names = spec["names"];
  if (!run.updating()) {
    const std::string want = Cat(names.Str("plural"), ".", spec.Str("group"));
    if (const Node prefix = meta["generateName"]; !prefix->Str().empty()) {
      std::string masked(prefix->Str());
      if (masked.size() > 1 && masked.back() == '-') masked.back() = 'a';
      for (const std::string& message : format::Dns1123Subdomain(masked)) run.Invalid(prefix, message);
      if (prefix->Str() != want) run.Invalid(prefix, "must be spec.names.plural+\".\"+spec.group");
    }
    if (meta.Str("name").empty()) {
      run.Required(meta["name"], "name or generateName is required");
    } else {
      run.Format(meta["name"], format::Dns1123Subdomain);
      if (meta.Str("name") != want) run.Invalid(meta["name"], "must be spec.names.plural+\".\"+spec.group");
    }
    CheckLabels(run, meta["labels"]);
    CheckAnnotations(run, meta["annotations"]);
  }
  const Node group = spec["group"];
  if (group->Str().empty()) run.Required(group);
  else if (const auto messages = format::Dns1123Subdomain(group->Str()); !messages.empty()) run.Invalid(group, Join(messages, ","));
  else if (group->Str().find('.') == std::string_view::npos) run.Invalid(group, "should be a domain with at least one dot");
  if (spec.Str("scope").empty()) run.Required(spec["scope"]);
  else run.Enum(spec["scope"], {"Cluster", "Namespaced"});
  CheckVersions(run, spec);
  for (std::string_view field : {"plural", "singular", "kind", "listKind"})
    if (names.Str(field).empty()) run.Required(names[field]);
  CheckNames(run, names);
  CheckConversion(run, spec["conversion"]);
  if ((*spec)["preserveUnknownFields"].Bool() && !(*spec.old)["preserveUnknownFields"].Bool())
    run.Invalid(spec["preserveUnknownFields"], "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead");
  if (run.updating()) {
    bool established = false;
    for (const Value& condition : (*object.old)["status"]["conditions"].Items())
      established |= condition["type"].Str() == "Established" && condition["status"].Str() == "True";
    if (established) {
      run.Immutable(spec["scope"]);
      run.Immutable(names["kind"]);
    }
    run.Immutable(group);
    run.Immutable(names["plural"]);
  }
  CheckStored(run, object);
  CheckApproval(run, object);
}

}  // namespace

std::span<const NamedCall> CrdCalls() {
  static constexpr NamedCall kCalls[] = {{"CustomResourceDefinition", CustomResourceDefinition}, {"CustomNames", CheckNames}};
  return kCalls;
}

}  // namespace skerry::kube::rules
