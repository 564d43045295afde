#include <algorithm>
#include <map>
#include <optional>

#include "core/base/strings.h"
#include "embedded-kube-shim/cel/env.h"

// Hindley-Milner in small: type variables stand for what is not known yet and are bound by the first use that says more.
namespace skerry::kube::cel {
namespace {

class Checker {
 public:
  Checker(const Env& env, std::vector<SourceError>& errors) : env_(env), errors_(errors) {}

  void Whole(Expr& root) {
    Node(root);
    Settle(root);
  }

 private:
  struct Scope { std::string name; TypePtr type; };

  // ---- type variables ----
  TypePtr NewVariable() { return Param(Cat("_var", next_variable_++)); }

  TypePtr Find(const Type& variable) const {
    const auto at = bound_.find(variable.name);
    return at == bound_.end() ? nullptr : at->second;
  }

  TypePtr Substitute(const TypePtr& type, bool free_to_dyn) const {
    if (type->kind == TypeKind::kParam) {
      if (TypePtr bound = Find(*type)) return Substitute(bound, free_to_dyn);
      return free_to_dyn ? Simple(TypeKind::kDyn) : type;
    }
    if (type->params.empty()) return type;
    auto out = std::make_shared<Type>(*type);
    for (TypePtr& param : out->params) param = Substitute(param, free_to_dyn);
    return out;
  }

  bool Occurs(const std::string& variable, const Type& in) const {
    if (in.kind == TypeKind::kParam) {
      if (in.name == variable) return true;
      const TypePtr bound = Find(in);
      return bound != nullptr && Occurs(variable, *bound);
    }
    return std::ranges::any_of(in.params, [&](const TypePtr& param) { return Occurs(variable, *param); });
  }

  static bool LessSpecific(const Type& a, const Type& b) {
    if (a.kind == TypeKind::kDyn || a.kind == TypeKind::kParam) return true;
    if (b.kind == TypeKind::kDyn || b.kind == TypeKind::kParam) return false;
    if (a.kind != b.kind) return false;
    if (a.kind == TypeKind::kType) return true;
    if (a.name != b.name || a.params.size() != b.params.size()) return false;
    for (std::size_t i = 0; i < a.params.size(); ++i) {
      if (!LessSpecific(*a.params[i], *b.params[i])) return false;
    }
    return true;
  }
  static const TypePtr& MostGeneral(const TypePtr& a, const TypePtr& b) { return LessSpecific(*a, *b) ? a : b; }

  // Binds `variable` to `type` if that is consistent with what it is bound to. Second: it had a binding.
  std::pair<bool, bool> Bind(const TypePtr& type, const TypePtr& variable) {
    if (SameType(*type, *variable)) return {true, true};
    if (const TypePtr bound = Find(*variable)) {
      if (SameType(*type, *bound)) return {true, true};
      if (!Assignable(type, bound)) return {false, true};
      const TypePtr general = MostGeneral(type, bound);
      if (!Occurs(variable->name, *general)) Record(variable->name, general);
      return {true, true};
    }
    if (Occurs(variable->name, *type)) return {false, false};
    Record(variable->name, type);
    return {true, false};
  }

  void Record(const std::string& variable, TypePtr type) {
    TypePtr& slot = bound_[variable];
    journal_.emplace_back(variable, slot);
    slot = std::move(type);
  }

  static bool Nullable(const Type& type) {
    return type.kind == TypeKind::kNull || type.kind == TypeKind::kOpaque || type.kind == TypeKind::kObject || type.kind == TypeKind::kDuration || type.kind == TypeKind::kTimestamp;
  }

  bool Assignable(const TypePtr& a, const TypePtr& b) {
    if (b->kind == TypeKind::kParam) {
      const auto [valid, had] = Bind(a, b);
      if (valid) return true;
      if (had) return false;
    }
    if (a->kind == TypeKind::kParam) return Bind(b, a).first;
    if (a->IsDynOrError() || b->IsDynOrError()) return true;
    if (a->kind == TypeKind::kNull) return Nullable(*b);
    if (b->kind == TypeKind::kNull) return Nullable(*a);
    if (a->kind != b->kind) return false;
    if (a->kind == TypeKind::kType) return true;
    if (a->name != b->name || a->params.size() != b->params.size()) return false;
    return std::ranges::equal(a->params, b->params, [&](const TypePtr& x, const TypePtr& y) { return Assignable(x, y); });
  }

  // All or nothing: what a failed attempt bound is forgotten.
  bool AssignableAll(const std::vector<TypePtr>& from, const std::vector<TypePtr>& to) {
    if (from.size() != to.size()) return false;
    journal_.clear();
    for (std::size_t i = 0; i < from.size(); ++i) {
      if (Assignable(from[i], to[i])) continue;
      for (auto undo = journal_.rbegin(); undo != journal_.rend(); ++undo) bound_[undo->first] = undo->second;
      return false;
    }
    return true;
  }
  bool TryAssign(const TypePtr& a, const TypePtr& b) { return AssignableAll({a}, {b}); }

  // ---- errors ----
  void Error(const Expr& at, std::string message) { errors_.push_back({at.offset, std::move(message)}); }
  void Undeclared(const Expr& at, std::string_view name) { Error(at, Cat("undeclared reference to '", name, "' (in container '')")); }
  void Mismatch(const Expr& at, const TypePtr& expected, const TypePtr& found) {
    Error(at, Cat("expected type '", TypeText(*Substitute(expected, true)), "' but found '", TypeText(*Substitute(found, true)), "'"));
  }
  void Expect(const Expr& node, const TypePtr& type) {
    if (!TryAssign(type, node.type)) Mismatch(node, type, node.type);
  }

  // ---- names ----
  TypePtr Lookup(std::string_view name, Expr* resolved) {
    const bool absolute = name.starts_with('.');
    if (absolute) name.remove_prefix(1);
    for (std::size_t i = scopes_.size(); !absolute && i-- > 0;) {
      if (scopes_[i].name != name) continue;
      resolved->ref = Expr::Ref::kFrame;
      resolved->slot = static_cast<int>(i);
      return scopes_[i].type;
    }
    if (const int index = env_.Find(name); index >= 0) {
      resolved->ref = Expr::Ref::kVariable;
      resolved->slot = index;
      return env_.variables()[static_cast<std::size_t>(index)].type;
    }
    TypePtr type = env_.library().FindType(name);
    if (type == nullptr) {
      if (const DeclTypePtr object = env_.FindStruct(name)) type = FromDecl(object);
    }
    if (type == nullptr) return nullptr;
    resolved->ref = Expr::Ref::kTypeName;
    resolved->literal = Val::TypeName(RuntimeName(*type));
    return TypeOf(type);
  }

  // "a.b.c" of a chain of plain selections; empty when it is none.
  static std::string Qualified(const Expr& node) {
    if (node.kind == ExprKind::kIdent) return node.name;
    if (node.kind != ExprKind::kSelect || node.test_only) return {};
    const std::string prefix = Qualified(*node.target);
    return prefix.empty() ? prefix : Cat(prefix, ".", node.name);
  }

  void BecomeIdent(Expr& node, std::string name) {
    node.kind = ExprKind::kIdent;
    node.name = std::move(name);
    node.target = nullptr;
  }

  // ---- nodes ----
  void Node(Expr& node) {
    switch (node.kind) {
      case ExprKind::kLiteral: node.type = LiteralType(node.literal); return;
      case ExprKind::kIdent: return Ident(node);
      case ExprKind::kSelect: return Select(node);
      case ExprKind::kCall: return Call(node);
      case ExprKind::kList: return List(node);
      case ExprKind::kMap: return Map(node);
      case ExprKind::kStruct: return Struct(node);
      case ExprKind::kLoop: return Repeat(node);
    }
  }

  static TypePtr LiteralType(const Val& value) {
    switch (value.kind()) {
      case Kind::kBool: return Simple(TypeKind::kBool);
      case Kind::kInt: return Simple(TypeKind::kInt);
      case Kind::kUint: return Simple(TypeKind::kUint);
      case Kind::kDouble: return Simple(TypeKind::kDouble);
      case Kind::kString: return Simple(TypeKind::kString);
      case Kind::kBytes: return Simple(TypeKind::kBytes);
      default: return Simple(TypeKind::kNull);
    }
  }

  void Ident(Expr& node) {
    node.type = Lookup(node.name, &node);
    if (node.type != nullptr) return;
    node.type = Simple(TypeKind::kError);
    Undeclared(node, node.name);
  }

  void Select(Expr& node) {
    if (const std::string name = Qualified(node); !name.empty()) {
      Expr resolved;
      if (TypePtr type = Lookup(name, &resolved)) {
        BecomeIdent(node, name);
        node.ref = resolved.ref;
        node.slot = resolved.slot;
        node.literal = resolved.literal;
        node.type = std::move(type);
        return;
      }
    }
    const TypePtr field = Field(node, *node.target, node.name, false);
    node.type = node.test_only ? Simple(TypeKind::kBool) : Substitute(field, false);
  }

  TypePtr Field(const Expr& node, Expr& operand, const std::string& field, bool optional) {
    Node(operand);
    TypePtr target = Substitute(operand.type, false);
    const bool was_optional = target->IsOptional();
    if (was_optional) target = target->params[0];
    TypePtr result = Simple(TypeKind::kError);
    switch (target->kind) {
      case TypeKind::kMap: result = target->params[1]; break;
      case TypeKind::kObject: {
        const DeclField* found = target->decl == nullptr ? nullptr : target->decl->FindField(field);
        if (found != nullptr) result = FromDecl(found->type);
        else Error(node, Cat("undefined field '", field, "'"));
        break;
      }
      case TypeKind::kParam:
        Assignable(Simple(TypeKind::kDyn), target);
        result = Simple(TypeKind::kDyn);
        break;
      default:
        if (!target->IsDynOrError()) Error(node, Cat("type '", TypeText(*target), "' does not support field selection"));
        result = Simple(TypeKind::kDyn);
    }
    return was_optional || optional ? OptionalOf(result) : result;
  }

  void Call(Expr& node) {
    if (node.name == "_?._") {
      Node(*node.args[1]);
      node.type = Substitute(Field(node, *node.args[0], std::string(node.args[1]->literal.text()), true), false);
      if (const Function* function = env_.library().Find(node.name)) node.overloads.push_back(&function->overloads[0]);
      return;
    }
    for (ExprPtr& arg : node.args) Node(*arg);
    if (node.target == nullptr) {
      const std::string_view name = node.name.starts_with('.') ? std::string_view(node.name).substr(1) : std::string_view(node.name);
      const Function* function = env_.library().Find(name);
      if (function != nullptr) return Resolve(node, *function);
      node.type = Simple(TypeKind::kError);
      return Undeclared(node, node.name);
    }
    if (const std::string prefix = Qualified(*node.target); !prefix.empty()) {
      if (const Function* function = env_.library().Find(Cat(prefix, ".", node.name))) {
        node.name = function->name;
        node.target = nullptr;
        return Resolve(node, *function);
      }
    }
    Node(*node.target);
    const Function* function = env_.library().Find(node.name);
    if (function != nullptr) return Resolve(node, *function);
    node.type = Simple(TypeKind::kError);
    Undeclared(node, node.name);
  }

  // Shapes are shared by all checkers; each use gets variables of its own.
  TypePtr Fresh(const TypePtr& type, std::map<std::string, TypePtr>& fresh) {
    if (type->kind == TypeKind::kParam) {
      TypePtr& variable = fresh[type->name];
      if (variable == nullptr) variable = NewVariable();
      return variable;
    }
    if (type->params.empty()) return type;
    auto out = std::make_shared<Type>(*type);
    for (TypePtr& param : out->params) param = Fresh(param, fresh);
    return out;
  }

  void Logical(Expr& node, const Function& function) {
    for (const ExprPtr& arg : node.args) Expect(*arg, Simple(TypeKind::kBool));
    node.type = Simple(TypeKind::kBool);
    node.overloads.push_back(&function.overloads[0]);
  }

  void Resolve(Expr& node, const Function& function) {
    if (node.name == "_&&_" || node.name == "_||_") return Logical(node, function);
    std::vector<TypePtr> given;
    if (node.target != nullptr) given.push_back(node.target->type);
    for (const ExprPtr& arg : node.args) given.push_back(arg->type);
    TypePtr result;
    for (const Overload& overload : function.overloads) {
      if (overload.signature.is_member != (node.target != nullptr) || overload.signature.arguments.size() != given.size()) continue;
      std::vector<TypePtr> wanted = overload.signature.arguments;
      TypePtr returned = overload.signature.result;
      if (overload.signature.has_params) {
        std::map<std::string, TypePtr> fresh;
        for (TypePtr& type : wanted) type = Fresh(type, fresh);
        returned = Fresh(returned, fresh);
      }
      if (!AssignableAll(given, wanted)) continue;
      node.overloads.push_back(&overload);
      returned = Substitute(returned, false);
      if (result == nullptr) result = returned;
      else if (result->kind != TypeKind::kDyn && !SameType(*returned, *result)) result = Simple(TypeKind::kDyn);
    }
    node.type = result != nullptr ? result : Simple(TypeKind::kError);
    if (result == nullptr) NoOverload(node, given);
  }

  void NoOverload(const Expr& node, const std::vector<TypePtr>& given) {
    std::vector<std::string> texts;
    for (const TypePtr& type : given) texts.push_back(TypeText(*Substitute(type, true)));
    std::string shape;
    if (node.target != nullptr) {
      shape = texts[0] + ".";
      texts.erase(texts.begin());
    }
    Error(node, Cat("found no matching overload for '", node.name, "' applied to '", shape, "(", Join(texts, ", "), ")'"));
  }

  TypePtr Joined(const TypePtr& so_far, const TypePtr& next) {
    if (so_far == nullptr) return next;
    if (TryAssign(so_far, next)) return MostGeneral(so_far, next);
    return Simple(TypeKind::kDyn);
  }

  TypePtr Entry(const Expr& item, bool optional) {
    if (!optional) return item.type;
    const TypePtr type = Substitute(item.type, false);
    if (type->IsOptional()) return type->params[0];
    if (!type->IsDynOrError()) Mismatch(item, OptionalOf(type), type);
    return type;
  }

  void List(Expr& node) {
    TypePtr element;
    for (std::size_t i = 0; i < node.args.size(); ++i) {
      Node(*node.args[i]);
      element = Joined(element, Entry(*node.args[i], node.optional_entries[i]));
    }
    node.type = ListOf(element != nullptr ? element : NewVariable());
  }

  void Map(Expr& node) {
    TypePtr key, value;
    for (std::size_t i = 0; i + 1 < node.args.size(); i += 2) {
      Node(*node.args[i]);
      key = Joined(key, node.args[i]->type);
      Node(*node.args[i + 1]);
      value = Joined(value, Entry(*node.args[i + 1], node.optional_entries[i / 2]));
    }
    if (key == nullptr) {
      key = NewVariable();
      value = NewVariable();
    }
    node.type = MapOf(key, value);
  }

  void Struct(Expr& node) {
    node.type = Simple(TypeKind::kError);
    std::string_view name = node.name;
    if (name.starts_with('.')) name.remove_prefix(1);
    DeclTypePtr object = env_.FindStruct(name);
    if (object == nullptr) Undeclared(node, node.name);
    else node.type = FromDecl(object);
    for (std::size_t i = 0; i < node.args.size(); ++i) {
      Expr& value = *node.args[i];
      Node(value);
      const DeclField* field = object == nullptr ? nullptr : object->FindField(node.fields[i]);
      if (field == nullptr) {
        if (object != nullptr) Error(value, Cat("undefined field '", node.fields[i], "'"));
        continue;
      }
      const TypePtr given = Entry(value, node.optional_entries[i]);
      const TypePtr wanted = FromDecl(field->type);
      if (TryAssign(wanted, given)) continue;
      Error(value, Cat("expected type of field '", node.fields[i], "' is '", TypeText(*wanted), "' but provided type is '", TypeText(*Substitute(given, true)), "'"));
    }
  }

  void Repeat(Expr& node) {
    Loop& loop = *node.loop;
    Node(*loop.range);
    Node(*loop.init);
    const TypePtr range = Substitute(loop.range->type, false);
    TypePtr first = Simple(TypeKind::kDyn), second = Simple(TypeKind::kDyn);
    switch (range->kind) {
      case TypeKind::kList:
        first = loop.second.empty() ? range->params[0] : Simple(TypeKind::kInt);
        second = range->params[0];
        break;
      case TypeKind::kMap:
        first = range->params[0];
        second = range->params[1];
        break;
      case TypeKind::kDyn:
      case TypeKind::kError:
      case TypeKind::kParam: Assignable(Simple(TypeKind::kDyn), range); break;
      default:
        Error(*loop.range, Cat("expression of type '", TypeText(*Substitute(range, true)), "' cannot be range of a comprehension (must be list, map, or dynamic)"));
        first = second = Simple(TypeKind::kError);
    }
    const std::size_t depth = scopes_.size();
    scopes_.push_back({loop.accumulator, loop.init->type});
    loop.accumulator_slot = static_cast<int>(depth);
    scopes_.push_back({loop.variable, first});
    loop.variable_slot = static_cast<int>(depth) + 1;
    if (!loop.second.empty()) {
      scopes_.push_back({loop.second, second});
      loop.second_slot = static_cast<int>(depth) + 2;
    }
    Node(*loop.condition);
    Expect(*loop.condition, Simple(TypeKind::kBool));
    Node(*loop.step);
    Expect(*loop.step, loop.init->type);
    scopes_.resize(depth + 1);
    Node(*loop.result);
    node.type = Substitute(loop.result->type, false);
    scopes_.resize(depth);
  }

  // What stayed open is dynamic.
  void Settle(Expr& node) {
    node.type = Substitute(node.type, true);
    if (node.target) Settle(*node.target);
    for (ExprPtr& arg : node.args) Settle(*arg);
    if (!node.loop) return;
    for (ExprPtr* part : {&node.loop->range, &node.loop->init, &node.loop->condition, &node.loop->step, &node.loop->result}) Settle(**part);
  }

  const Env& env_;
  std::vector<SourceError>& errors_;
  std::vector<Scope> scopes_;
  std::map<std::string, TypePtr> bound_;                     // a null type = not bound
  std::vector<std::pair<std::string, TypePtr>> journal_;     // what the attempt under way replaced
  int next_variable_ = 0;
};

}  // namespace

void Library::Add(std::span<const FunctionRow> rows) {
  for (const FunctionRow& row : rows) {
    Function& function = functions_[std::string(row.name)];
    function.name = row.name;
    function.overloads.push_back({std::string(row.id), ParseSignature(row.signature), row.implementation, row.prepare});
  }
}

int Env::Declare(std::string name, DeclTypePtr decl) {
  TypePtr type = FromDecl(decl);
  return Declare(std::move(name), std::move(type), std::move(decl));
}

int Env::Declare(std::string name, TypePtr type, DeclTypePtr decl) {
  variables_.push_back({std::move(name), std::move(type), std::move(decl)});
  return static_cast<int>(variables_.size()) - 1;
}

void Env::DeclareStruct(const DeclTypePtr& object) {
  if (object == nullptr || structs_.contains(object->name)) return;
  if (object->kind == TypeKind::kList || object->kind == TypeKind::kMap) return DeclareStruct(object->element);
  if (object->kind != TypeKind::kObject) return;
  structs_[object->name] = object;
  for (const auto& [name, field] : object->fields) DeclareStruct(field.type);
}

int Env::Find(std::string_view name) const {
  for (std::size_t i = 0; i < variables_.size(); ++i) {
    if (variables_[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

DeclTypePtr Env::FindStruct(std::string_view name) const {
  const auto at = structs_.find(name);
  if (at != structs_.end()) return at->second;
  const bool open = !open_struct_.empty() && (name == open_struct_ || name.starts_with(open_struct_ + "."));
  if (!open) return nullptr;
  auto type = std::make_shared<DeclType>();
  type->kind = TypeKind::kObject;
  type->name = name;
  type->any_field = true;
  return type;
}

bool Check(const Env& env, Expr& root, std::vector<SourceError>& errors) {
  const std::size_t before = errors.size();
  Checker(env, errors).Whole(root);
  return errors.size() == before;
}

}  // namespace skerry::kube::cel
