#include "embedded-kube-shim/cel/type.h"

#include <algorithm>

#include "core/base/strings.h"

namespace skerry::kube::cel {
namespace {

std::shared_ptr<Type> Make(TypeKind kind, std::string name = {}, std::vector<TypePtr> params = {}) {
  auto type = std::make_shared<Type>();
  type->kind = kind;
  type->name = std::move(name);
  type->params = std::move(params);
  return type;
}

std::string ParamsText(const Type& type) {
  std::vector<std::string> texts;
  for (const TypePtr& param : type.params) texts.push_back(TypeText(*param));
  return Cat("(", Join(texts, ", "), ")");
}

struct NamedKind { std::string_view name; TypeKind kind; };
constexpr NamedKind kSimple[] = {{"dyn", TypeKind::kDyn}, {"null", TypeKind::kNull}, {"bool", TypeKind::kBool}, {"int", TypeKind::kInt},
                                 {"uint", TypeKind::kUint}, {"double", TypeKind::kDouble}, {"string", TypeKind::kString}, {"bytes", TypeKind::kBytes},
                                 {"duration", TypeKind::kDuration}, {"timestamp", TypeKind::kTimestamp}};

class SignatureParser {
 public:
  explicit SignatureParser(std::string_view text) : rest_(text) {}
  Signature Read() {
    Signature out;
    if (rest_[0] != '(') {
      out.is_member = true;
      out.arguments.push_back(ReadType());
      Skip(".");
    }
    Skip("(");
    while (rest_[0] != ')') {
      out.arguments.push_back(ReadType());
      if (rest_[0] == ',') Skip(", ");
    }
    Skip(") -> ");
    out.result = ReadType();
    out.has_params = has_params_;
    return out;
  }

 private:
  void Skip(std::string_view token) { rest_.remove_prefix(token.size()); }

  // A type's name has dots only before a lower or upper case word: "net.IP" but not "string.(".
  std::string_view Word() {
    std::size_t n = 0;
    while (n < rest_.size() && rest_[n] != '(' && rest_[n] != ')' && rest_[n] != ',' && !(rest_[n] == '.' && rest_[n + 1] == '(')) ++n;
    const std::string_view word = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return word;
  }

  TypePtr ReadType() {
    const std::string_view word = Word();
    if (word == "list" || word == "map" || word == "type" || word == "optional") {
      std::vector<TypePtr> params;
      Skip("(");
      while (rest_[0] != ')') {
        params.push_back(ReadType());
        if (rest_[0] == ',') Skip(", ");
      }
      Skip(")");
      if (word == "list") return ListOf(params[0]);
      if (word == "map") return MapOf(params[0], params[1]);
      return word == "type" ? TypeOf(params[0]) : OptionalOf(params[0]);
    }
    if (word.size() == 1) {
      has_params_ = true;
      return Param(std::string(word));
    }
    const auto simple = std::ranges::find(kSimple, word, &NamedKind::name);
    if (simple != std::end(kSimple)) return Simple(simple->kind);
    return word.starts_with("net.") ? OpaqueType(std::string(word)) : StructType(std::string(word));
  }

  std::string_view rest_;
  bool has_params_ = false;
};

}  // namespace

TypePtr Simple(TypeKind kind) {
  static const std::vector<TypePtr> all = [] {
    std::vector<TypePtr> types;
    for (int k = 0; k <= static_cast<int>(TypeKind::kParam); ++k) types.push_back(Make(static_cast<TypeKind>(k)));
    return types;
  }();
  return all[static_cast<std::size_t>(kind)];
}

TypePtr ListOf(TypePtr element) { return Make(TypeKind::kList, {}, {std::move(element)}); }
TypePtr MapOf(TypePtr key, TypePtr value) { return Make(TypeKind::kMap, {}, {std::move(key), std::move(value)}); }
TypePtr TypeOf(TypePtr of) { return Make(TypeKind::kType, {}, {std::move(of)}); }
TypePtr OptionalOf(TypePtr inner) { return Make(TypeKind::kOpaque, "optional_type", {std::move(inner)}); }
TypePtr Param(std::string name) { return Make(TypeKind::kParam, std::move(name)); }
TypePtr StructType(std::string name) { return Make(TypeKind::kObject, std::move(name)); }
TypePtr OpaqueType(std::string name) { return Make(TypeKind::kOpaque, std::move(name)); }

TypePtr FromDecl(const DeclTypePtr& decl) {
  if (decl == nullptr) return Simple(TypeKind::kDyn);
  if (decl->checked_type != nullptr) return decl->checked_type;
  if (decl->kind == TypeKind::kList) return ListOf(FromDecl(decl->element));
  if (decl->kind == TypeKind::kMap) return MapOf(FromDecl(decl->key), FromDecl(decl->element));
  if (decl->kind != TypeKind::kObject && decl->kind != TypeKind::kOpaque) return Simple(decl->kind);
  auto type = Make(decl->kind, decl->name);
  type->decl = decl;
  return type;
}

bool SameType(const Type& a, const Type& b) {
  return a.kind == b.kind && a.name == b.name && std::ranges::equal(a.params, b.params, [](const TypePtr& x, const TypePtr& y) { return SameType(*x, *y); });
}

std::string TypeText(const Type& type) {
  switch (type.kind) {
    case TypeKind::kError: return "!error!";
    case TypeKind::kList: return "list" + ParamsText(type);
    case TypeKind::kMap: return "map" + ParamsText(type);
    case TypeKind::kType: return type.params.empty() ? "type" : "type" + ParamsText(type);
    case TypeKind::kOpaque: return type.params.empty() ? type.name : type.name + ParamsText(type);
    case TypeKind::kObject:
    case TypeKind::kParam: return type.name;
    default: break;
  }
  return std::string(std::ranges::find(kSimple, type.kind, &NamedKind::kind)->name);
}

std::string RuntimeName(const Type& type) {
  switch (type.kind) {
    case TypeKind::kList: return "list";
    case TypeKind::kMap: return "map";
    case TypeKind::kType: return "type";
    case TypeKind::kNull: return "null_type";
    case TypeKind::kDuration: return "google.protobuf.Duration";
    case TypeKind::kTimestamp: return "google.protobuf.Timestamp";
    case TypeKind::kOpaque: return type.name;
    default: return TypeText(type);
  }
}

Signature ParseSignature(std::string_view text) { return SignatureParser(text).Read(); }

}  // namespace skerry::kube::cel
