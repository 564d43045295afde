#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/apis/custom_values.h"
#include "embedded-kube-shim/apis/rules.h"

// Objects embedded in custom resources (x-kubernetes-embedded-resource): they have a type, and metadata like any other object.
namespace skerry::kube {
namespace {

using json::Value;

class EmbeddedValidator {
 public:
  explicit EmbeddedValidator(FieldErrors& errors) : errors_(errors) {}

  void Visit(const CustomNode& node, const Value& value, const std::string& path, bool root) {
    if (value.is_array() && node.items) {
      std::size_t index = 0;
      for (const Value& item : value.Items()) Visit(*node.items, item, Cat(path, "[", index++, "]"), false);
    }
    if (!value.is_object()) return;
    if (node.embedded && !root) Check(value, path);
    for (const auto& member : value.Members()) {
      if (const auto* property = node.Property(member.key)) Visit(*property, member.value, path.empty() ? member.key : Cat(path, ".", member.key), false);
      else if (node.additional) Visit(*node.additional, member.value, Cat(path, "[", member.key, "]"), false);
    }
  }

  void Check(const Value& object, const std::string& path) {
    for (const std::string_view name : {"apiVersion", "kind"})
      if (!object.Find(name)) errors_.push_back({FieldErrorType::kRequired, Cat(path, ".", name), {}, {}});
    if (const Value* version = object.Find("apiVersion")) CheckVersion(*version, Cat(path, ".apiVersion"));
    if (const Value* kind = object.Find("kind")) CheckKind(*kind, Cat(path, ".kind"));
    if (const Value* metadata = object.Find("metadata"); metadata && metadata->is_object()) CheckMetadata(object, *metadata, Cat(path, ".metadata"));
  }

 private:
  void Invalid(const std::string& path, const Value& value, std::string detail) { errors_.push_back({FieldErrorType::kInvalid, path, RenderValue(value), std::move(detail)}); }

  void CheckVersion(const Value& version, const std::string& path) {
    if (!version.is_string()) return Invalid(path, version, "must be a string");
    const auto text = version.Str();
    if (text.empty()) return Invalid(path, version, "must not be empty");
    if (std::count(text.begin(), text.end(), '/') > 1) Invalid(path, version, Cat("unexpected GroupVersion string: ", text));
  }

  void CheckKind(const Value& kind, const std::string& path) {
    if (!kind.is_string()) return Invalid(path, kind, "must be a string");
    if (kind.Str().empty()) return Invalid(path, kind, "must not be empty");
    if (const auto messages = format::Dns1035Label(ToLower(kind.Str())); !messages.empty())
      Invalid(path, kind, Cat("may have mixed case, but should otherwise match: ", Join(messages, ",")));
  }

  void CheckMetadata(const Value& object, const Value& metadata, const std::string& path) {
    static const Value kNone;
    const ResourceDef def;
    rules::Run run{errors_, def, {}, {}, object};
    rules::CheckEmbeddedMeta(run, {&metadata, &kNone, FindBuiltinSchema("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"), nullptr, path});
  }

  FieldErrors& errors_;
};

}  // namespace

void ValidateEmbedded(const CustomNode& root, const Value& object, FieldErrors& errors) { EmbeddedValidator(errors).Visit(root, object, "", true); }
void ValidateEmbeddedObject(const Value& object, const std::string& path, FieldErrors& errors) { EmbeddedValidator(errors).Check(object, path); }

}  // namespace skerry::kube
