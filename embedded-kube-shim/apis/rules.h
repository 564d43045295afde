#pragma once
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "embedded-kube-shim/api/resource_def.h"
#include "embedded-kube-shim/apis/formats.h"

// Validation of built-in kinds. A rule is a row of data/rules.txt (path, check, condition, message), attached to a definition and applied
// wherever a struct of that definition appears; what a row cannot say is a function named by a row (`call Name`). Rows of a definition run in
// the order of the file, then its fields in schema order (`descend` and `skip` change that).
namespace skerry::kube::rules {

struct Run;

// A place in the object. `value` and `old` are never null: an absent value is the null value.
struct Node {
  const json::Value* value;
  const json::Value* old;
  SchemaPtr schema = nullptr;        // null below raw objects
  const Field* field = nullptr;      // how the parent declares it; null for items
  std::string path;

  const json::Value& operator*() const { return *value; }
  const json::Value* operator->() const { return value; }
  Node operator[](std::string_view name) const;                         // field "name", path + ".name"
  Node As(std::string_view name, std::string_view shown) const;         // the same under another name in paths
  Node At(std::size_t index) const;                                     // list item, path + "[index]"; `old` is the item with the same key or index
  Node Key(std::string_view key) const;                                 // map value, path + "[key]"
  Node Key(const json::Member& member) const { return Key(member, old->Find(member.key)); }   // of this one: it need not be looked for
  Node Key(const json::Member& member, const json::Value* before) const;
  Node Flat(std::size_t index) const;                                   // list item whose path has no index (an upstream quirk)
  std::size_t size() const { return value->size(); }
  std::vector<Node> Items() const;
  bool Has() const;                  // present and not empty
  std::string_view Str(std::string_view field_name) const { return (*value)[field_name].Str(); }
};

// How upstream prints a value in a message: %q for text, plain numbers, compact JSON else; structs of internal types with Go's field names.
std::string Render(const Node& node);
std::string RenderJson(SchemaPtr schema, const json::Value& value);
// The form of a struct without JSON tags: every field, Go names, null for what is absent.
std::string RenderInternal(SchemaPtr schema, const json::Value& value);

struct Run {
  FieldErrors& errors;
  const ResourceDef& def;
  std::string_view version;
  std::string_view subresource;
  const json::Value& root;
  const json::Value* old_root = nullptr;   // null on create
  // What the walk has come through.
  int templates = 0;                       // inside a pod template
  const json::Value* pod_spec = nullptr;   // the pod spec around the node
  const json::Value* pod_metadata = nullptr;
  std::string name_of_pod;                 // empty in templates
  std::set<std::string, std::less<>> volumes;   // names of the pod's volumes that are valid
  bool claim_in_template = false;

  bool updating() const { return old_root != nullptr; }
  void Add(FieldErrorType type, std::string path, std::string value, std::string detail);
  void Required(const Node& at, std::string detail = {}) { Add(FieldErrorType::kRequired, at.path, {}, std::move(detail)); }
  void Forbidden(const Node& at, std::string detail) { Add(FieldErrorType::kForbidden, at.path, {}, std::move(detail)); }
  void Invalid(const Node& at, std::string detail) { Add(FieldErrorType::kInvalid, at.path, Render(at), std::move(detail)); }
  void Invalid(const Node& at, std::string shown, std::string detail) { Add(FieldErrorType::kInvalid, at.path, std::move(shown), std::move(detail)); }
  void Duplicate(const Node& at) { Add(FieldErrorType::kDuplicate, at.path, Render(at), {}); }
  void NotFound(const Node& at, std::string detail = {}) { Add(FieldErrorType::kNotFound, at.path, Render(at), std::move(detail)); }
  void TooLong(const Node& at, std::size_t limit);
  void TooMany(const Node& at, std::size_t limit);
  void NotSupported(const Node& at, std::span<const std::string_view> supported);
  void NotSupported(const Node& at, std::initializer_list<std::string_view> supported) { NotSupported(at, std::span(supported.begin(), supported.size())); }

  // Checks that report by themselves; true when nothing was wrong.
  bool Format(const Node& at, format::Check check) { return Format(at, check, at->Str()); }
  bool Format(const Node& at, format::Check check, std::string_view text);
  bool RequiredFormat(const Node& at, format::Check check);              // Required when empty
  bool Enum(const Node& at, std::initializer_list<std::string_view> supported);   // an empty value is wrong, too
  bool Range(const Node& at, std::int64_t low, std::int64_t high);
  bool NonNegative(const Node& at);                                      // integers; an absent one is 0
  bool Positive(const Node& at);
  bool Immutable(const Node& at);

  void Apply(const Node& node);                     // the rules of the node's definition, then its fields
  void Fields(const Node& node, std::span<const std::string_view> without = {});   // only the fields
};

using Call = void (*)(Run&, const Node&);
struct NamedCall { std::string_view name; Call call; };
std::span<const NamedCall> MetaCalls();
std::span<const NamedCall> PodCalls();
std::span<const NamedCall> ContainerCalls();
std::span<const NamedCall> VolumeCalls();
std::span<const NamedCall> ServiceCalls();
std::span<const NamedCall> CoreCalls();
std::span<const NamedCall> StorageCalls();
std::span<const NamedCall> WorkloadCalls();
std::span<const NamedCall> BatchCalls();
std::span<const NamedCall> NetworkCalls();
std::span<const NamedCall> AdmissionCalls();
std::span<const NamedCall> DraCalls();
std::span<const NamedCall> CrdCalls();
std::span<const NamedCall> OtherCalls();

// Shared checks of metadata.
void CheckLabels(Run& run, const Node& labels);
void CheckAnnotations(Run& run, const Node& annotations);
enum class SelectorValues : std::uint8_t { kStrict, kAny };   // kAny: the old object had values that are not label values
void CheckSelector(Run& run, const Node& selector, SelectorValues values = SelectorValues::kStrict);
void CheckGenericMeta(Run& run, const Node& meta);            // what every kind's metadata must be, whatever its strategy checks

void CheckCustomMeta(Run& run, const Node& meta);             // of a custom resource
void CheckEmbeddedMeta(Run& run, const Node& meta);           // of an object inside of one: everything in it is optional

// A value that is equal apart from null against absent against empty.
bool SameValue(const json::Value& a, const json::Value& b);

void ValidateBuiltin(const ResourceDef& def, const Version& version, std::string_view subresource, const json::Value& object, const json::Value* old, FieldErrors& errors);

// What is wrong with the linked address fields of a Service (clusterIP, clusterIPs, ipFamilies, ipFamilyPolicy): checked before anything is allocated.
FieldErrors ServiceAddressErrors(const ResourceDef& def, const Version& version, const json::Value& service, const json::Value* old);

}  // namespace skerry::kube::rules
