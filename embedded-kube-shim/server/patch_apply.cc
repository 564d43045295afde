#include "embedded-kube-shim/server/patch_apply.h"

#include <algorithm>
#include <functional>
#include <set>

#include "core/base/strings.h"
#include "core/json/parse.h"
#include "core/json/patch.h"
#include "core/json/share.h"
#include "core/text/yaml.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/raw_json.h"
#include "embedded-kube-shim/api/patch.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/server/write_steps.h"

namespace skerry::kube {
namespace {

Error InvalidPatch(const json::Value& patched, std::string_view why) {
  FieldErrors errors;
  errors.push_back({FieldErrorType::kInvalid, "patch", Quote(patched.Dump()), std::string(why)});
  return InvalidError("", "", "", errors);
}

Error Rejected() {
  auto detail = std::make_shared<StatusDetail>();
  detail->has_details = true;
  return Error(Code::kInvalid, "the server rejected our request due to an error in our request").WithAttachment(std::move(detail));
}

void SortMembers(json::Value& object) {
  if (!object.is_object()) return;
  auto& members = object.MutableMembers();
  std::stable_sort(members.begin(), members.end(), [](const json::Member& a, const json::Member& b) { return a.key < b.key; });
}

// Upstream's patch library re-encodes the objects it opened with sorted members and leaves the others as they were; messages show that text.
// A test opens everything below its path.
void SortBelow(json::Value& value) {
  SortMembers(value);
  if (value.is_array())
    for (auto& item : value.MutableItems()) SortBelow(item);
  if (value.is_object())
    for (auto& member : value.MutableMembers()) SortBelow(member.value);
}

void SortAlong(json::Value& object, std::string_view pointer, bool test = false) {
  SortMembers(object);
  json::Value* at = &object;
  const auto segments = Split(pointer, '/');
  for (std::size_t i = 1; i + (test ? 0 : 1) < segments.size(); ++i) {
    json::Value* next = nullptr;
    if (at->is_object()) next = at->Find(segments[i]);
    else if (at->is_array())
      if (const auto index = ParseUint(segments[i]); index && *index < at->size()) next = &at->MutableItems()[*index];
    if (!next) return;
    SortMembers(*next);
    at = next;
  }
  if (test) SortBelow(*at);
}

void SortMerged(json::Value& object, const json::Value& patch) {
  if (!object.is_object() || !patch.is_object()) return;
  SortMembers(object);
  auto& members = object.MutableMembers();
  for (const auto& [key, value] : patch.Members()) {
    const auto at = std::lower_bound(members.begin(), members.end(), key, [](const json::Member& m, const std::string& wanted) { return m.key < wanted; });
    auto* member = at != members.end() && at->key == key ? &at->value : nullptr;
    if (member && value.is_array()) SortBelow(*member);
    else if (member) SortMerged(*member, value);
  }
}

GroupVersionKind OfApiVersion(std::string_view api_version, std::string_view kind) {
  const auto slash = api_version.find('/');
  const bool grouped = slash != api_version.npos;
  return {std::string(grouped ? api_version.substr(0, slash) : ""), std::string(grouped ? api_version.substr(slash + 1) : api_version), std::string(kind)};
}

// Custom resources have their members sorted wherever they are shown.
Error InvalidPatchOf(const Target& target, const json::Value& patched, std::string_view why) {
  if (!target.def->custom) return InvalidPatch(patched, why);
  auto shown = patched.Clone();
  SortBelow(shown);
  return InvalidPatch(shown, why);
}

// A patched document as an object of the target, with unknown fields reported the way patches report them.
// `found` is what is wrong with the patch itself; `again` makes the document once more, for a message about it.
using Again = std::function<json::Value()>;
Result<json::Value> DecodePatched(const Target& target, json::Value patched, FieldValidation validation, std::vector<std::string>& warnings, const Again& again,
                                  std::vector<std::string> found = {}, Layout layout = Layout::kForgetSpaces) {
  const auto gvk = target.gvk();
  const auto kind = patched["kind"].Str(), api_version = patched["apiVersion"].Str();
  if (patched.is_object() && !kind.empty() && !api_version.empty() && (kind != gvk.kind || api_version != gvk.api_version()) && !target.def->custom) {
    const auto other = OfApiVersion(api_version, kind);
    const auto schema = FindBuiltinSchema(other);
    if (!schema)
      return std::unexpected(InvalidPatch(patched, Cat("no kind ", Quote(kind), " is registered for version ", Quote(api_version), " in scheme \"pkg/api/legacyscheme/scheme.go:30\"")));
    // It is read as what it claims to be before anybody asks what was expected.
    if (auto decoded = DecodeValue(schema, patched.Clone()); !decoded) return std::unexpected(InvalidPatch(patched, decoded.error().message()));
    const std::string place = gvk.group.empty() ? "core" : gvk.group.substr(0, gvk.group.find('.'));
    return std::unexpected(InvalidPatch(patched, Cat("converting (", other.version, ".", kind, ") to (", place, ".", gvk.kind, "): unknown conversion")));
  }
  if (patched.is_object() && api_version.empty() && !target.def->custom) {
    // Without a version it is an object of no kind, with nothing but unknown fields.
    std::set<std::string_view> unknown;
    for (const auto& [key, value] : patched.Members())
      if (key != "kind" && key != "apiVersion") unknown.insert(key);
    for (const auto key : unknown) warnings.push_back(Cat("unknown field ", Quote(key)));
    return std::unexpected(BadRequestError(NamelessText(target.name)));
  }
  auto decoded = DecodeValue(target.schema_version().schema, std::move(patched));
  if (!decoded) return std::unexpected(InvalidPatchOf(target, again(), decoded.error().message()));
  found.insert(found.end(), decoded->strict_errors.begin(), decoded->strict_errors.end());
  if (!found.empty() && validation == FieldValidation::kStrict) return std::unexpected(InvalidPatchOf(target, again(), Cat("strict decoding error: ", Join(found, ", "))));
  if (validation == FieldValidation::kWarn) warnings.insert(warnings.end(), found.begin(), found.end());
  auto object = std::move(decoded->object);
  object.Set("kind") = gvk.kind;
  object.Set("apiVersion") = gvk.api_version();
  ForgetLayout(target.schema_version().schema, object, layout);
  return object;
}

const char* JsonKind(const json::Value& value) { return value.is_array() ? "array" : value.is_string() ? "string" : value.is_bool() ? "bool" : "number"; }

// Lists are replaced as a whole; upstream's library still drops null members from the objects in them.
void DropNullsInLists(json::Value& value, bool in_list) {
  if (value.is_array())
    for (auto& item : value.MutableItems()) DropNullsInLists(item, true);
  if (!value.is_object()) return;
  auto& members = value.MutableMembers();
  if (in_list) std::erase_if(members, [](const json::Member& m) { return m.value.is_null(); });
  for (auto& member : members) DropNullsInLists(member.value, in_list);
}

// The patch as an object (or null: no change); `prefix` goes before what is wrong with the text, repeated members are reported as strict errors.
Result<json::Value> ParseText(SchemaPtr schema, const PatchBody& body, std::string_view prefix, std::vector<std::string>& strict) {
  json::Value value;
  if (body.text.empty() && !body.document.is_null()) {
    value = body.document.Clone();
  } else {
    std::vector<std::string> duplicates;
    json::ParseOptions parse;
    parse.duplicates = &duplicates;
    auto parsed = json::Parse(body.text, parse);
    if (!parsed) return std::unexpected(BadRequestError(Cat(prefix, parsed.error().message())));
    value = std::move(*parsed);
    if (HoldsRawJson(schema))
      if (auto noted = json::ParseAsWritten(body.text)) value = std::move(*noted);
    for (const auto& path : duplicates) strict.push_back(Cat("duplicate field ", Quote(path)));
  }
  if (value.is_object() || value.is_null()) return value;
  return std::unexpected(BadRequestError(Cat(prefix, "json: cannot unmarshal ", JsonKind(value), " into Go value of type map[string]interface {}")));
}

Result<json::Value> ApplyStrategic(const Target& target, const PatchBody& body, const json::Value& live, FieldValidation validation, std::vector<std::string>& warnings) {
  std::vector<std::string> strict;
  TRY(const auto patch, ParseText(nullptr, body, "", strict));
  std::string shown;
  const auto merge = [&]() -> Result<json::Value> {
    TRY(auto merged, StrategicMerge(target.schema_version().schema, live, patch, &shown));
    // The merged document becomes an object of the target's type, whatever is left of what it called itself.
    if (merged.is_object() && merged["apiVersion"].Str().empty()) {
      merged.Set("kind") = target.gvk().kind;
      merged.Set("apiVersion") = target.gvk().api_version();
    }
    return merged;
  };
  std::vector<std::string> unknown;
  TRY(auto merged, merge());
  TRY(auto object, DecodePatched(target, std::move(merged), FieldValidation::kWarn, unknown, [&] { return merge().value_or(json::Value()); }, {}, Layout::kForget));
  std::sort(unknown.begin(), unknown.end());
  strict.insert(strict.end(), unknown.begin(), unknown.end());
  if (validation == FieldValidation::kWarn) warnings.insert(warnings.end(), strict.begin(), strict.end());
  if (strict.empty() || validation != FieldValidation::kStrict) return object;
  FieldErrors errors;
  errors.push_back({FieldErrorType::kInvalid, "patch", Quote(shown), Cat("strict decoding error: ", Join(strict, ", "))});
  return std::unexpected(InvalidError("", "", "", errors));
}

// "/spec/ports/0/name" as fields are named in messages: "spec.ports[0].name".
std::string FieldOf(std::string_view pointer) {
  std::string out;
  for (const auto step : Split(pointer.substr(pointer.starts_with('/') ? 1 : 0), '/')) {
    const bool index = !step.empty() && step.find_first_not_of("0123456789") == step.npos;
    out += index ? Cat("[", step, "]") : Cat(out.empty() ? "" : ".", step);
  }
  return out;
}

// What a strict reader finds wrong with the text of a JSON patch, and with the values that it puts into the object.
std::vector<std::string> StrictErrorsOf(std::string_view text, const json::Value& patch) {
  std::vector<std::string> duplicates, out, inside;
  json::ParseOptions parse;
  parse.duplicates = &duplicates;
  if (!text.empty() && !json::Parse(text, parse)) return {};
  for (const auto& path : duplicates) {
    out.push_back(Cat("json patch duplicate field ", Quote(path)));
    const auto end = path.find("].value.");
    const auto index = end == path.npos ? std::nullopt : ParseUint(std::string_view(path).substr(1, end - 1));
    if (index && *index < patch.size()) inside.push_back(Cat("duplicate field ", Quote(Cat(FieldOf(patch.Items()[*index]["path"].Str()), path.substr(end + 7)))));
  }
  for (std::size_t i = 0; i < patch.size(); ++i)
    for (const auto& [key, value] : patch.Items()[i].Members())
      if (key != "op" && key != "path" && key != "from" && key != "value") out.push_back(Cat("json patch unknown field ", Quote(Cat("[", i, "].", key))));
  out.insert(out.end(), inside.begin(), inside.end());
  return out;
}

// The patch whose values have repeated members as often as the text has them: messages show that.
json::Value WithRepeatedMembers(std::string_view text, const json::Value& patch) {
  auto out = patch.Clone();
  json::ParseOptions options;
  options.keep_duplicates = true;
  const auto sent = json::Parse(text, options);
  if (!sent || !sent->is_array() || sent->size() != out.size()) return out;
  for (std::size_t i = 0; i < out.size(); ++i)
    if (const auto* value = sent->Items()[i].Find("value"); value && out.Items()[i].is_object()) out.MutableItems()[i].Set("value") = value->Clone();
  return out;
}

Result<json::Value> ApplyJson(const Target& target, const PatchBody& body, const json::Value& live, FieldValidation validation, std::vector<std::string>& warnings) {
  json::PatchOptions options;
  options.type_name = "handlers.jsonPatchOp";
  auto patch = json::ParsePatch(body.text.empty() && !body.document.is_null() ? body.document.Dump() : body.text, options);
  if (!patch) {
    if (patch.error().code() == Code::kTooLarge) {
      auto detail = std::make_shared<StatusDetail>();
      detail->http = 413;
      detail->reason = "RequestEntityTooLarge";
      return std::unexpected(Error(Code::kTooLarge, Cat("Request entity too large: ", patch.error().message())).WithAttachment(std::move(detail)));
    }
    return std::unexpected(BadRequestError(Cat("error decoding patch: ", patch.error().message())));
  }
  if (HoldsRawJson(target.schema_version().schema))
    if (auto noted = json::ParseAsWritten(body.text); noted && noted->is_array()) *patch = std::move(*noted);
  const auto apply = [&](const json::Value& operations) -> Result<json::Value> {
    auto start = json::Share(live);
    // What a copy takes along was opened on the way to its two places.
    for (const auto& operation : operations.Items())
      if (operation["op"].Str() == "copy")
        for (const char* pointer : {"from", "path"}) SortAlong(start, operation[pointer].Str());
    TRY(auto patched, json::ApplyPatch(std::move(start), operations, options));
    for (const auto& operation : operations.Items()) {
      SortAlong(patched, operation["path"].Str(), operation["op"].Str() == "test");
      if (const auto* from = operation.Find("from")) SortAlong(patched, from->Str());
    }
    return patched;
  };
  auto patched = apply(*patch);
  if (!patched) return std::unexpected(Rejected());
  const auto again = [&] { return apply(WithRepeatedMembers(body.text, *patch)).value_or(json::Value()); };
  return DecodePatched(target, std::move(*patched), validation, warnings, again, StrictErrorsOf(body.text, *patch));
}

}  // namespace

Result<json::Value> ApplyPatch(const Target& target, const PatchBody& body, const json::Value& live, FieldValidation validation, std::vector<std::string>& warnings) {
  if (body.type == PatchType::kJson) return ApplyJson(target, body, live, validation, warnings);
  if (body.type == PatchType::kStrategic) return ApplyStrategic(target, body, live, validation, warnings);
  std::vector<std::string> duplicates;
  TRY(auto patch, ParseText(target.schema_version().schema, body, "error decoding patch: ", duplicates));
  DropNullsInLists(patch, false);
  if (patch.is_null()) return DecodePatched(target, json::Share(live), validation, warnings, [&] { return live.Clone(); });
  const auto merge = [&] {
    auto patched = json::MergePatch(json::Share(live), patch);
    SortMerged(patched, patch);
    return patched;
  };
  if (!duplicates.empty() && validation == FieldValidation::kStrict) return std::unexpected(InvalidPatchOf(target, merge(), Cat("strict decoding error: ", Join(duplicates, ", "))));
  if (validation == FieldValidation::kWarn) warnings.insert(warnings.end(), duplicates.begin(), duplicates.end());
  return DecodePatched(target, merge(), validation, warnings, merge);
}

namespace {

// Whether YAML and JSON surely agree on what a document means: no numbers but plain integers, keys of a usual length.
bool MeansTheSameInYaml(const json::Value& value, int depth = 0) {
  constexpr int kMostLevels = 64;
  constexpr std::size_t kLongestKey = 512;
  if (depth > kMostLevels || value.kind() == json::Value::Kind::kDouble) return false;
  for (const auto& item : value.Items())
    if (!MeansTheSameInYaml(item, depth + 1)) return false;
  for (const auto& [key, member] : value.Members())
    if (key.size() > kLongestKey || key == "<<" || !MeansTheSameInYaml(member, depth + 1)) return false;
  return true;
}

// Most clients apply JSON, which YAML contains and JSON reads ten times as quickly. Null: to be read as YAML.
json::Value JsonInYaml(std::string_view text) {
  if (!text.starts_with('{')) return {};
  for (const char c : text)
    if (const auto byte = static_cast<unsigned char>(c); (byte < 0x20 && c != '\n') || byte >= 0x7f) return {};
  if (text.find("\\u") != text.npos || text.find("\\/") != text.npos) return {};
  std::vector<std::string> duplicates;
  json::ParseOptions options;
  options.duplicates = &duplicates;
  auto parsed = json::Parse(text, options);
  if (!parsed || !duplicates.empty() || !MeansTheSameInYaml(*parsed)) return {};
  return std::move(*parsed);
}

}  // namespace

Result<json::Value> ParseApply(const PatchBody& body, std::vector<std::string>& repeated) {
  if (body.text.empty() && !body.document.is_null()) return body.document.Clone();
  if (auto quick = JsonInYaml(body.text); quick.is_object()) return quick;
  std::vector<text::YamlDuplicate> duplicates;
  text::YamlOptions yaml;
  yaml.duplicates = &duplicates;
  auto parsed = text::ParseYaml(body.text, yaml);
  if (!parsed) return std::unexpected(BadRequestError(Cat("error decoding YAML: error converting YAML to JSON: ", parsed.error().message())));
  for (const auto& duplicate : duplicates) repeated.push_back(duplicate.Text());
  if (parsed->is_null()) return json::Value::Object();
  if (!parsed->is_object())
    return std::unexpected(BadRequestError(Cat("error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal ", JsonKind(*parsed),
                                               " into Go value of type map[string]interface {}")));
  return std::move(*parsed);
}

Result<> ReportRepeated(FieldValidation validation, const std::vector<std::string>& repeated, std::vector<std::string>& warnings) {
  if (repeated.empty()) return {};
  if (validation == FieldValidation::kStrict)
    return std::unexpected(BadRequestError(Cat("error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  ", Join(repeated, "\n  "))));
  if (validation == FieldValidation::kWarn) warnings.insert(warnings.end(), repeated.begin(), repeated.end());
  return {};
}

}  // namespace skerry::kube
