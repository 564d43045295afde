#include <algorithm>
#include <unordered_map>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/typed_walk.h"
#include "embedded-kube-shim/apis/custom_rules.h"
#include "embedded-kube-shim/apis/custom_values.h"
#include "embedded-kube-shim/apis/rules_shared.h"

// What a custom resource's schema may say: it must be structural (types everywhere, value validation apart), and some of OpenAPI is not
// supported at all. Expressions are compiled elsewhere.
namespace skerry::kube::rules {
namespace {

using json::Value;

bool True(const Node& node, std::string_view field) { return (*node)[field].Bool(); }

Node Property(const Node& schema, std::string_view name) {
  Node out = schema["properties"];
  return out.Key(name);
}

// All of them, of which there may be very many.
template <typename Visit>
void ForEachProperty(const Node& schema, Visit visit) {
  const Node properties = schema["properties"];
  const MemberIndex before(properties.old);
  for (const json::Member& member : properties->Members()) visit(properties.Key(member, before.Find(member.key)));
}

void CheckLists(Run& run, const Node& schema) {
  const Node kind = schema["x-kubernetes-list-type"], keys = schema["x-kubernetes-list-map-keys"], items = schema["items"], type = schema["type"];
  if (!kind->is_null()) {
    if (type->Str().empty()) run.Required(type, "must be array if x-kubernetes-list-type is specified");
    else if (type->Str() != "array") run.Invalid(type, "must be array if x-kubernetes-list-type is specified");
    if (kind->Str() != "atomic" && kind->Str() != "set" && kind->Str() != "map") run.NotSupported(kind, {"atomic", "set", "map"});
  }
  if (keys.size() > 0) {
    if (kind->is_null()) run.Required(kind, "must be map if x-kubernetes-list-map-keys is non-empty");
    else if (kind->Str() != "map") run.Invalid(kind, "must be map if x-kubernetes-list-map-keys is non-empty");
  }
  if (kind->Str() == "set" && items->is_object()) {
    if ((*items)["nullable"].Bool()) run.Forbidden(items["nullable"], "cannot be nullable when x-kubernetes-list-type is set");
    const std::string_view inner = items.Str("type");
    const Node list = items["x-kubernetes-list-type"], map = items["x-kubernetes-map-type"];
    if (inner == "array" && !list->is_null() && list->Str() != "atomic") run.Invalid(list, "must be atomic as item of a list with x-kubernetes-list-type=set");
    if (inner == "object" && map->Str() != "atomic")
      run.Add(FieldErrorType::kInvalid, map.path, "null", "must be atomic as item of a list with x-kubernetes-list-type=set");
  }
  if (kind->Str() != "map") return;
  if (keys.size() == 0) run.Required(keys, "must not be empty if x-kubernetes-list-type is map");
  if (items->is_null()) return run.Required(items, "must have a schema if x-kubernetes-list-type is map");
  if (!items->is_object()) return run.Add(FieldErrorType::kInvalid, items.path, "{\"Schema\":null,\"JSONSchemas\":null}", "must only have a single schema if x-kubernetes-list-type is map");
  if (items.Str("type") != "object") return run.Invalid(items["type"], Quote(items.Str("type")), "must be object if parent array's x-kubernetes-list-type is map");
  std::set<std::string> seen;
  bool repeated = false;
  for (const Value& key : keys->Items()) {
    repeated |= !seen.insert(std::string(key.Str())).second;
    const Value* property = (*items)["properties"].Find(key.Str());
    if (!property) {
      run.Invalid(keys, "entries must all be names of item properties");
      continue;
    }
    const Node at = Property(items, key.Str());
    if ((*property)["type"].Str() == "array" || (*property)["type"].Str() == "object")
      run.Invalid(at["type"], Quote(items.Str("type")), "must be a scalar type if parent array's x-kubernetes-list-type is map");
    bool required = false;
    for (const Value& name : (*items)["required"].Items()) required |= name.Str() == key.Str();
    if (!required && (*property)["default"].is_null()) run.Required(at["default"], "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property");
    if ((*property)["nullable"].Bool()) run.Forbidden(at["nullable"], "this property is in x-kubernetes-list-map-keys, so it cannot be nullable");
  }
  if (repeated) run.Invalid(keys, "must not contain duplicate entries");
}

void CheckRules(Run& run, const Node& schema) {
  for (const Node& rule : schema["x-kubernetes-validations"].Items()) {
    const std::string_view text = Trim(rule.Str("rule")), message = Trim(rule.Str("message"));
    const bool lines = text.find_first_of("\n\r") != text.npos;
    if (text.empty()) run.Required(rule["rule"], "rule is not specified");
    else if (!rule.Str("message").empty() && message.empty()) run.Invalid(rule["message"], "must be non-empty if specified");
    else if (message.find_first_of("\n\r") != message.npos) run.Invalid(rule["message"], "must not contain line breaks");
    else if (lines && message.empty()) run.Required(rule["message"], "message must be specified if rule contains line breaks");
    if (!rule.Str("messageExpression").empty() && Trim(rule.Str("messageExpression")).empty()) run.Required(rule["messageExpression"], "messageExpression must be non-empty if specified");
    if (const Node reason = rule["reason"]; !reason->is_null()) run.Enum(reason, {"FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"});
    const Node path = rule["fieldPath"];
    if (path->Str().empty()) continue;
    if (Trim(path->Str()).empty()) run.Invalid(path, "must be non-empty if specified");
    else if (path->Str().find_first_of("\n\r") != std::string_view::npos) run.Invalid(path, "must not contain line breaks");
    else if (!NormalizeFieldPath(*schema, path->Str())) run.Invalid(path, "must be a valid path");
  }
}

// Checks that hold for every node, whatever its place.
void CheckNode(Run& run, const Node& schema) {
  const Node type = schema["type"];
  if (std::string why; !schema.Str("pattern").empty() && !cel::CompilePattern(schema.Str("pattern"), &why))
    run.Invalid(schema["pattern"], Cat("must be a valid regular expression, but isn't: ", why));
  static constexpr std::string_view kTypes[] = {"array", "boolean", "integer", "number", "object", "string"};
  if (type->Str() == "null") run.Forbidden(type, "type cannot be set to null, use nullable as an alternative");
  else if (!type->Str().empty() && std::find(std::begin(kTypes), std::end(kTypes), type->Str()) == std::end(kTypes)) run.NotSupported(type, kTypes);
  for (std::string_view field : {"id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"})
    if (schema[field].Has() || ((field == "dependencies" || field == "additionalItems" || field == "$ref") && !schema[field]->is_null())) run.Forbidden(schema[field], Cat(field, " is not supported"));
  if (schema["items"]->is_array()) run.Forbidden(schema["items"], "items must be a schema object and not an array");
  if (True(schema, "uniqueItems")) run.Forbidden(schema["uniqueItems"], "uniqueItems cannot be set to true since the runtime complexity becomes quadratic");
  if (!schema["additionalProperties"]->is_null() && schema["properties"].size() > 0 && !(schema["additionalProperties"]->is_bool() && schema["additionalProperties"]->Bool()))
    run.Forbidden(schema["additionalProperties"], "additionalProperties and properties are mutual exclusive");
  if (const Node preserve = schema["x-kubernetes-preserve-unknown-fields"]; preserve->is_bool() && !preserve->Bool()) run.Invalid(preserve, "must be true or undefined");
  if (const Node map = schema["x-kubernetes-map-type"]; !map->is_null()) {
    if (type->Str().empty()) run.Required(type, "must be object if x-kubernetes-map-type is specified");
    else if (type->Str() != "object") run.Invalid(type, "must be object if x-kubernetes-map-type is specified");
    if (map->Str() != "atomic" && map->Str() != "granular") run.NotSupported(map, {"atomic", "granular"});
  }
  CheckLists(run, schema);
  CheckRules(run, schema);
}

enum class Place : std::uint8_t { kRoot, kProperty, kItems };

// Value validation below allOf, anyOf, oneOf and not may not shape the object.
void CheckNested(Run& run, const Node& schema, bool type_allowed) {
  if (!schema.Str("type").empty() && !type_allowed) run.Forbidden(schema["type"], "must be empty to be structural");
  for (std::string_view field : {"title", "description"})
    if (!schema.Str(field).empty()) run.Forbidden(schema[field], "must be empty to be structural");
  for (std::string_view field : {"x-kubernetes-list-map-keys", "x-kubernetes-validations"})
    if (schema[field].size() > 0) run.Forbidden(schema[field], "must be empty to be structural");
  for (std::string_view field : {"additionalProperties", "default", "x-kubernetes-list-type", "x-kubernetes-map-type"})
    if (!schema[field]->is_null()) run.Forbidden(schema[field], "must be undefined to be structural");
  for (std::string_view field : {"nullable", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource", "x-kubernetes-int-or-string"})
    if (True(schema, field)) run.Forbidden(schema[field], "must be false to be structural");
  if ((*schema)["properties"].Find("metadata")) run.Forbidden(Property(schema, "metadata"), "must not be specified in a nested context");
  ForEachProperty(schema, [&](const Node& property) { CheckNested(run, property, false); });
  if (schema["items"]->is_object()) CheckNested(run, schema["items"], false);
  for (std::string_view list : {"allOf", "anyOf", "oneOf"})
    for (const Node& item : schema[list].Items()) CheckNested(run, item, false);
  if (schema["not"]->is_object()) CheckNested(run, schema["not"], false);
}

bool IsIntOrStringPattern(const Value& any_of) {
  if (any_of.size() != 2) return false;
  const Value &a = any_of.Items()[0], &b = any_of.Items()[1];
  return a.size() == 1 && b.size() == 1 && a["type"].Str() == "integer" && b["type"].Str() == "string";
}

// Value validation may only speak of fields that the structural part has.
void CheckComplete(Run& run, const Node& skeleton, const Node& nested) {
  const Node wanted = nested["properties"], told = skeleton["properties"];
  const MemberIndex wanted_before(wanted.old), told_before(told.old);
  std::unordered_map<std::string_view, const json::Member*> told_members;
  for (const json::Member& member : told->Members()) told_members.emplace(member.key, &member);
  const bool open = (*skeleton)["additionalProperties"].is_object();
  for (const json::Member& member : wanted->Members()) {
    const auto known = told_members.find(member.key);
    const bool missing = known == told_members.end();
    if (missing && open) continue;
    const Node place = wanted.Key(member, wanted_before.Find(member.key));
    if (missing) run.Required(Property(skeleton, member.key), Cat("because it is defined in ", place.path));
    else CheckComplete(run, told.Key(*known->second, told_before.Find(member.key)), place);
  }
  if (nested["items"]->is_object()) {
    if (skeleton["items"]->is_null()) run.Required(skeleton["items"], Cat("because it is defined in ", nested["items"].path));
    else CheckComplete(run, skeleton["items"], nested["items"]);
  }
  for (std::string_view list : {"allOf", "anyOf", "oneOf"})
    for (const Node& item : nested[list].Items()) CheckComplete(run, skeleton, item);
  if (nested["not"]->is_object()) CheckComplete(run, skeleton, nested["not"]);
}

void CheckStructural(Run& run, const Node& schema, Place place) {
  const Node type = schema["type"], additional = schema["additionalProperties"];
  const bool embedded = True(schema, "x-kubernetes-embedded-resource"), int_or_string = True(schema, "x-kubernetes-int-or-string"),
             preserve = True(schema, "x-kubernetes-preserve-unknown-fields");
  if (type->Str() == "array" && !schema["items"]->is_object() && !schema["items"]->is_array()) run.Required(schema["items"], "must be specified");
  if (place == Place::kRoot && !additional->is_null()) run.Forbidden(additional, "must not be used at the root");
  if (embedded && type->Str().empty()) run.Required(type, "must be object if x-kubernetes-embedded-resource is true");
  else if (embedded && type->Str() != "object") run.Invalid(type, "must be object if x-kubernetes-embedded-resource is true");
  else if (type->Str().empty() && !int_or_string && !preserve)
    run.Required(type, place == Place::kRoot ? "must not be empty at the root" : place == Place::kItems ? "must not be empty for specified array items" : "must not be empty for specified object fields");
  if (embedded && !additional->is_null()) run.Forbidden(additional, "must not be used if x-kubernetes-embedded-resource is set");
  if (place == Place::kRoot && !type->Str().empty() && type->Str() != "object") run.Invalid(type, "must be object at the root");
  if (place == Place::kRoot || embedded) {
    for (std::string_view name : {"kind", "apiVersion"})
      if ((*schema)["properties"].Find(name) && Property(schema, name).Str("type") != "string") run.Invalid(Property(schema, name)["type"], "must be string");
    if ((*schema)["properties"].Find("metadata")) {
      const Node meta = Property(schema, "metadata");
      if (meta.Str("type") != "object") run.Invalid(meta["type"], "must be object");
      bool other = false;
      for (const json::Member& member : (*meta)["properties"].Members()) other |= member.key != "name" && member.key != "generateName";
      if (place == Place::kRoot && other) run.Forbidden(meta, "must not specify anything other than name and generateName, but metadata is implicitly specified");
    }
  }
  if (embedded && !preserve && schema["properties"].size() == 0)
    run.Required(schema["properties"], "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields");
  if (int_or_string && preserve) run.Invalid(schema["x-kubernetes-preserve-unknown-fields"], "must be false if x-kubernetes-int-or-string is true");
  if (int_or_string && embedded) run.Invalid(schema["x-kubernetes-embedded-resource"], "must be false if x-kubernetes-int-or-string is true");
  ForEachProperty(schema, [&](const Node& property) { CheckStructural(run, property, Place::kProperty); });
  if (additional->is_object()) CheckStructural(run, additional, Place::kProperty);
  if (schema["items"]->is_object()) CheckStructural(run, schema["items"], Place::kItems);
  const bool exempt = int_or_string && IsIntOrStringPattern(*schema["anyOf"]);
  const auto nested = [&](const Node& item, bool type_allowed) {
    CheckNested(run, item, type_allowed);
    CheckComplete(run, schema, item);
  };
  for (std::string_view list : {"allOf", "anyOf", "oneOf"})
    for (const Node& item : schema[list].Items()) nested(item, exempt && list == "anyOf");
  if (schema["not"]->is_object()) nested(schema["not"], false);
}

bool HasUnsupported(const Value& schema) {
  for (std::string_view field : {"id", "$schema", "$ref"})
    if (!schema[field].Str().empty()) return true;
  if (!schema["additionalItems"].is_null()) return true;
  for (std::string_view field : {"patternProperties", "definitions", "dependencies"})
    if (schema[field].size() > 0) return true;
  for (const json::Member& member : schema["properties"].Members())
    if (HasUnsupported(member.value)) return true;
  for (std::string_view field : {"items", "additionalProperties", "not"})
    if (schema[field].is_object() && HasUnsupported(schema[field])) return true;
  for (std::string_view field : {"allOf", "anyOf", "oneOf"})
    for (const Value& item : schema[field].Items())
      if (HasUnsupported(item)) return true;
  return false;
}

void CheckEverywhere(Run& run, const Node& schema) {
  CheckNode(run, schema);
  ForEachProperty(schema, [&](const Node& property) { CheckEverywhere(run, property); });
  for (std::string_view field : {"items", "additionalProperties", "not"})
    if (schema[field]->is_object()) CheckEverywhere(run, schema[field]);
  for (std::string_view field : {"allOf", "anyOf", "oneOf"})
    for (const Node& item : schema[field].Items()) CheckEverywhere(run, item);
}

// Numbers with a fraction pass as defaults of an int-or-string, though not as values.
void ForgetIntOrString(Value& schema) {
  if (schema.is_array())
    for (Value& item : schema.MutableItems()) ForgetIntOrString(item);
  if (!schema.is_object()) return;
  schema.Erase("x-kubernetes-int-or-string");
  for (json::Member& member : schema.MutableMembers())
    if (member.key != "default" && member.key != "enum") ForgetIntOrString(member.value);
}

// A default must be valid itself, and hold nothing that would be pruned.
void CheckDefaults(Run& run, const Node& schema, bool root = false) {
  if (const Value& value = (*schema)["default"]; !value.is_null()) {
    if (value.is_object() && (root || True(schema, "x-kubernetes-embedded-resource"))) ValidateEmbeddedObject(value, schema["default"].path, run.errors);
    Value lenient = schema->Clone();
    ForgetIntOrString(lenient);
    const auto compiled = CompileCustomSchema(lenient);
    const Node at = schema["default"];
    Value pruned = value.Clone();
    if (PruneBelow(*compiled->root, pruned); !(pruned == value)) run.Add(FieldErrorType::kInvalid, at.path, RenderValue(value), "must not have unknown fields");
    else ValidateCustomValue(*compiled->root, at.path, value, nullptr, run.errors);
  }
  ForEachProperty(schema, [&](const Node& property) { CheckDefaults(run, property); });
  for (std::string_view field : {"items", "additionalProperties"})
    if (schema[field]->is_object()) CheckDefaults(run, schema[field]);
}

}  // namespace

namespace {

// Fields of upstream's internal type, in its order. `at_root`: allowed there beside a status subresource.
enum class As : std::uint8_t { kText, kPointer, kFlag, kList, kSchema, kSchemas, kSchemaMap, kItems, kOrBool, kDependencies, kDocs, kRules };
struct InternalField { std::string_view json, go; As as; bool at_root; };
constexpr InternalField kInternal[] = {
    {"id", "ID", As::kText, false}, {"$schema", "Schema", As::kText, false}, {"$ref", "Ref", As::kPointer, false}, {"description", "Description", As::kText, true},
    {"type", "Type", As::kText, true}, {"nullable", "Nullable", As::kFlag, false}, {"format", "Format", As::kText, true}, {"title", "Title", As::kText, true},
    {"default", "Default", As::kPointer, false}, {"maximum", "Maximum", As::kPointer, true}, {"exclusiveMaximum", "ExclusiveMaximum", As::kFlag, true},
    {"minimum", "Minimum", As::kPointer, true}, {"exclusiveMinimum", "ExclusiveMinimum", As::kFlag, true}, {"maxLength", "MaxLength", As::kPointer, true},
    {"minLength", "MinLength", As::kPointer, true}, {"pattern", "Pattern", As::kText, true}, {"maxItems", "MaxItems", As::kPointer, true}, {"minItems", "MinItems", As::kPointer, true},
    {"uniqueItems", "UniqueItems", As::kFlag, true}, {"multipleOf", "MultipleOf", As::kPointer, true}, {"enum", "Enum", As::kList, false},
    {"maxProperties", "MaxProperties", As::kPointer, false}, {"minProperties", "MinProperties", As::kPointer, false}, {"required", "Required", As::kList, true},
    {"items", "Items", As::kItems, true}, {"allOf", "AllOf", As::kSchemas, false}, {"oneOf", "OneOf", As::kSchemas, false}, {"anyOf", "AnyOf", As::kSchemas, false},
    {"not", "Not", As::kSchema, false}, {"properties", "Properties", As::kSchemaMap, true}, {"additionalProperties", "AdditionalProperties", As::kOrBool, false},
    {"patternProperties", "PatternProperties", As::kSchemaMap, false}, {"dependencies", "Dependencies", As::kDependencies, false},
    {"additionalItems", "AdditionalItems", As::kOrBool, false}, {"definitions", "Definitions", As::kSchemaMap, false}, {"externalDocs", "ExternalDocs", As::kDocs, true},
    {"example", "Example", As::kPointer, true}, {"x-kubernetes-preserve-unknown-fields", "XPreserveUnknownFields", As::kPointer, true},
    {"x-kubernetes-embedded-resource", "XEmbeddedResource", As::kFlag, false}, {"x-kubernetes-int-or-string", "XIntOrString", As::kFlag, false},
    {"x-kubernetes-list-map-keys", "XListMapKeys", As::kList, false}, {"x-kubernetes-list-type", "XListType", As::kPointer, false},
    {"x-kubernetes-map-type", "XMapType", As::kPointer, false}, {"x-kubernetes-validations", "XValidations", As::kRules, true},
};

Value Internal(const Value& schema);

Value InternalOf(As as, const Value& value) {
  if (as == As::kText) return Value(value.Str());
  if (as == As::kFlag) return Value(value.Bool());
  if (value.is_null() || as == As::kPointer || as == As::kList) return value.Clone();
  Value out = as == As::kSchemas || as == As::kRules ? Value::Array() : Value::Object();
  switch (as) {
    case As::kSchema: return Internal(value);
    case As::kSchemas:
      for (const Value& item : value.Items()) out.Append(Internal(item));
      break;
    case As::kSchemaMap:
      for (const json::Member& member : value.Members()) out.Set(member.key) = Internal(member.value);
      break;
    case As::kItems:
      out.Set("Schema") = value.is_object() ? Internal(value) : Value();
      out.Set("JSONSchemas") = value.is_array() ? InternalOf(As::kSchemas, value) : Value();
      break;
    case As::kOrBool:
      out.Set("Allows") = value.is_object() || value.Bool();
      out.Set("Schema") = value.is_object() ? Internal(value) : Value();
      break;
    case As::kDependencies:
      for (const json::Member& member : value.Members()) {
        Value& one = out.Set(member.key) = Value::Object();
        one.Set("Schema") = member.value.is_object() ? Internal(member.value) : Value();
        one.Set("Property") = member.value.is_array() ? member.value.Clone() : Value();
      }
      break;
    case As::kDocs:
      out.Set("Description") = value["description"].Str();
      out.Set("URL") = value["url"].Str();
      break;
    case As::kRules:
      for (const Value& rule : value.Items()) {
        Value one = Value::Object();
        for (const auto& [json, go] : {std::pair("rule", "Rule"), std::pair("message", "Message"), std::pair("messageExpression", "MessageExpression")}) one.Set(go) = rule[json].Str();
        one.Set("Reason") = rule["reason"].Clone();
        one.Set("FieldPath") = rule["fieldPath"].Str();
        one.Set("OptionalOldSelf") = rule["optionalOldSelf"].Clone();
        out.Append(std::move(one));
      }
      break;
    default: break;
  }
  return out;
}

Value Internal(const Value& schema) {
  Value out = Value::Object();
  for (const InternalField& field : kInternal) out.Set(field.go) = InternalOf(field.as, schema[field.json]);
  return out;
}

// With a status subresource the schema of the status is taken out of the root, and nothing else may speak of it there.
void CheckRootForStatus(Run& run, const Node& schema) {
  for (const InternalField& field : kInternal) {
    const Value& value = (*schema)[field.json];
    const bool zero = value.is_null() || (field.as == As::kText && value.Str().empty()) || (field.as == As::kFlag && !value.Bool());
    if (zero) continue;
    if (field.json == "type" && value.Str() != "object")
      return run.Invalid(schema["type"], "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled");
    if (field.at_root) continue;
    std::string allowed;
    for (const InternalField& other : kInternal)
      if (other.at_root) allowed += Cat(allowed.empty() ? "" : " ", other.go);
    json::DumpOptions options;
    options.escape_html = true;
    return run.Invalid(schema, Internal(*schema).Dump(options), Cat("only [", allowed, "] fields are allowed at the root of the schema if the status subresource is enabled"));
  }
}

}  // namespace

Value InternalCustomSchema(const Value& schema) { return Internal(schema); }

void CheckCustomSchema(Run& run, const Node& schema, bool status_enabled) {
  if (schema->is_null()) return;
  std::vector<FieldError> own, plain, rules;
  Run inner{own, run.def, run.version, run.subresource, run.root, run.old_root};
  Run plain_run{plain, run.def, run.version, run.subresource, run.root, run.old_root};
  Run rules_run{rules, run.def, run.version, run.subresource, run.root, run.old_root};
  if (status_enabled) CheckRootForStatus(run, schema);
  if (True(schema, "nullable")) run.Forbidden(schema["nullable"], "nullable cannot be true at the root");
  const bool unsupported = HasUnsupported(*schema);   // the structure cannot be judged then
  if (!unsupported) CheckStructural(inner, schema, Place::kRoot);
  if (!unsupported && own.empty()) CheckDefaults(inner, schema, true);
  CheckEverywhere(plain_run, schema);
  // Rules are compiled where the structure is sound and nothing is wrong at their level or below.
  if (!unsupported && own.empty()) CheckCustomRules(rules_run, schema);
  std::erase_if(rules, [&](const FieldError& error) {
    const std::string level = error.path.substr(0, error.path.find(".x-kubernetes-validations"));
    return std::any_of(plain.begin(), plain.end(), [&](const FieldError& wrong) { return wrong.path.starts_with(level) && (wrong.path.size() == level.size() || wrong.path[level.size()] == '.'); });
  });
  for (std::vector<FieldError>* part : {&plain, &rules})
    for (FieldError& error : *part) own.push_back(std::move(error));
  if (own.empty() && !(*schema)["$schema"].Str().empty()) run.Add(FieldErrorType::kInvalid, schema.path, "\"\"", "OpenAPIV3Schema 'schema' is not supported");
  std::sort(own.begin(), own.end(), [](const FieldError& a, const FieldError& b) { return a.Text() < b.Text(); });
  for (FieldError& error : own) run.errors.push_back(std::move(error));
}

}  // namespace skerry::kube::rules
