#include <functional>

#include "core/base/strings.h"
#include "embedded-kube-shim/cel/parser.h"

// Macros by the language definition: each becomes a loop that folds the range into an accumulator (or a conditional, for the optional ones).
namespace skerry::kube::cel {
namespace {

constexpr const char* kAccumulator = "@result";

struct Macro {
  TreeBuilder& build;
  std::int32_t offset;
  ExprPtr& target;
  std::vector<ExprPtr>& args;
  std::vector<SourceError>& errors;

  ExprPtr Accu() const { return build.Ident(offset, kAccumulator); }
  ExprPtr True() const { return build.Literal(offset, Val::Bool(true)); }
  ExprPtr Int(std::int64_t i) const { return build.Literal(offset, Val::Int(i)); }
  ExprPtr List(ExprPtr item) const {
    ExprPtr list = build.New(ExprKind::kList, offset);
    if (item) {
      list->args.push_back(std::move(item));
      list->optional_entries.push_back(false);
    }
    return list;
  }
  ExprPtr Fail(std::int32_t where, std::string message) const {
    errors.push_back({where, std::move(message)});
    return build.Literal(offset, Val());
  }
  // The name of a loop variable; null after reporting what is no name.
  const std::string* Name(std::size_t i) const {
    if (args[i]->kind == ExprKind::kIdent && !args[i]->name.starts_with('.')) {
      if (args[i]->name != kAccumulator) return &args[i]->name;
      errors.push_back({args[i]->offset, "iteration variable overwrites accumulator variable"});
      return nullptr;
    }
    errors.push_back({args[i]->offset, "argument must be a simple name"});
    return nullptr;
  }

  // Variables are the first arguments: one or two of them.
  ExprPtr Fold(std::size_t variables, ExprPtr init, ExprPtr condition, ExprPtr step, ExprPtr result) const {
    const std::string* first = Name(0);
    const std::string* second = variables == 2 && first != nullptr ? Name(1) : nullptr;
    if (first == nullptr || (variables == 2 && second == nullptr)) return build.Literal(offset, Val());
    if (second != nullptr && *second == *first) return Fail(args[1]->offset, Cat("duplicate variable name: ", *second));
    ExprPtr out = build.New(ExprKind::kLoop, offset);
    out->loop = std::make_unique<Loop>(Loop{*first, second == nullptr ? std::string() : *second, kAccumulator, std::move(target), std::move(init), std::move(condition), std::move(step), std::move(result)});
    return out;
  }

  ExprPtr All(std::size_t variables) const {
    return Fold(variables, True(), build.Call(offset, "@not_strictly_false", Accu()), build.Call(offset, "_&&_", Accu(), std::move(args[variables])), Accu());
  }
  ExprPtr Exists(std::size_t variables) const {
    ExprPtr none = build.Literal(offset, Val::Bool(false));
    ExprPtr going = build.Call(offset, "@not_strictly_false", build.Call(offset, "!_", Accu()));
    return Fold(variables, std::move(none), std::move(going), build.Call(offset, "_||_", Accu(), std::move(args[variables])), Accu());
  }
  ExprPtr ExistsOne(std::size_t variables) const {
    ExprPtr step = build.Call(offset, "_?_:_", std::move(args[variables]), build.Call(offset, "_+_", Accu(), Int(1)), Accu());
    return Fold(variables, Int(0), True(), std::move(step), build.Call(offset, "_==_", Accu(), Int(1)));
  }
  ExprPtr When(ExprPtr condition, ExprPtr step) const {
    return condition == nullptr ? std::move(step) : build.Call(offset, "_?_:_", std::move(condition), std::move(step), Accu());
  }
  // map(v, [p,] t) and transformList(i, v, [p,] t)
  ExprPtr ToList(std::size_t variables) const {
    const bool filtered = args.size() == variables + 2;
    ExprPtr condition = filtered ? std::move(args[variables]) : nullptr;
    ExprPtr step = build.Call(offset, "_+_", Accu(), List(std::move(args.back())));
    return Fold(variables, List(nullptr), True(), When(std::move(condition), std::move(step)), Accu());
  }
  ExprPtr Filter() const {
    const std::string* name = Name(0);
    if (name == nullptr) return build.Literal(offset, Val());
    ExprPtr step = build.Call(offset, "_+_", Accu(), List(build.Ident(args[0]->offset, *name)));
    return Fold(1, List(nullptr), True(), When(std::move(args[1]), std::move(step)), Accu());
  }
  ExprPtr ToMap(bool entries) const {
    ExprPtr condition = args.size() == 4 ? std::move(args[2]) : nullptr;
    const std::string* key = Name(0);
    if (key == nullptr) return build.Literal(offset, Val());
    ExprPtr step = entries ? build.Call(offset, "cel.@mapInsert", Accu(), std::move(args.back()))
                           : build.Call(offset, "cel.@mapInsert", Accu(), build.Ident(args[0]->offset, *key), std::move(args.back()));
    return Fold(2, build.New(ExprKind::kMap, offset), True(), When(std::move(condition), std::move(step)), Accu());
  }

  // One evaluation of `value` under a name: a loop without rounds whose accumulator is the name.
  ExprPtr Bind(const std::string& name, ExprPtr value, ExprPtr body) const {
    ExprPtr out = build.New(ExprKind::kLoop, offset);
    out->loop = std::make_unique<Loop>(Loop{"#unused", {}, name, List(nullptr), std::move(value), build.Literal(offset, Val::Bool(false)), build.Ident(offset, name), std::move(body)});
    return out;
  }
  ExprPtr OptMap(bool flat) const {
    if (args[0]->kind != ExprKind::kIdent) {
      return Fail(args[0]->offset, Cat(flat ? "optFlatMap" : "optMap", "() variable name must be a simple identifier"));
    }
    ExprPtr has = build.Member(offset, "hasValue", build.Copy(*target));
    ExprPtr value = build.Member(offset, "value", std::move(target));
    ExprPtr bound = Bind(args[0]->name, std::move(value), std::move(args[1]));
    if (!flat) bound = build.Call(offset, "optional.of", std::move(bound));
    return build.Call(offset, "_?_:_", std::move(has), std::move(bound), build.Call(offset, "optional.none"));
  }
  ExprPtr SortBy() const {
    ExprPtr keyed = nullptr;
    const bool simple = target->kind == ExprKind::kIdent || target->kind == ExprKind::kSelect || target->kind == ExprKind::kList || target->kind == ExprKind::kLoop || target->kind == ExprKind::kCall;
    if (!simple) return Fail(target->offset, "sortBy can only be applied to a list, identifier, comprehension, call or select expression");
    if (args[0]->kind != ExprKind::kIdent) return Fail(args[0]->offset, "argument is not an identifier");
    constexpr const char* kInput = "@__sortBy_input__";
    ExprPtr source = std::move(target);
    target = build.Ident(offset, kInput);
    keyed = Fold(1, List(nullptr), True(), build.Call(offset, "_+_", Accu(), List(std::move(args[1]))), Accu());
    ExprPtr sorted = build.Member(offset, "@sortByAssociatedKeys", build.Ident(offset, kInput));
    sorted->args.push_back(std::move(keyed));
    return Bind(kInput, std::move(source), std::move(sorted));
  }
};

ExprPtr Has(const Macro& m) {
  Expr& arg = *m.args[0];
  if (arg.kind != ExprKind::kSelect) return m.Fail(arg.offset, "invalid argument to has() macro");
  ExprPtr test = m.build.New(ExprKind::kSelect, m.offset);
  test->target = std::move(arg.target);
  test->name = arg.name;
  test->test_only = true;
  return test;
}

}  // namespace

ExprPtr ExpandMacro(const MacroSet& macros, TreeBuilder& build, std::int32_t offset, std::string_view name, ExprPtr& target, std::vector<ExprPtr>& args,
                    std::vector<SourceError>& errors) {
  const Macro m{build, offset, target, args, errors};
  const std::size_t n = args.size();
  if (target == nullptr) return name == "has" && n == 1 ? Has(m) : nullptr;
  if (macros.bind && name == "bind" && n == 3 && target->kind == ExprKind::kIdent && target->name == "cel") {
    if (args[0]->kind != ExprKind::kIdent) return m.Fail(args[0]->offset, "cel.bind() variable names must be simple identifiers");
    return m.Bind(args[0]->name, std::move(args[1]), std::move(args[2]));
  }
  if (n == 2) {
    if (name == "all") return m.All(1);
    if (name == "exists") return m.Exists(1);
    if (name == "exists_one") return m.ExistsOne(1);
    if (name == "map") return m.ToList(1);
    if (name == "filter") return m.Filter();
    if (macros.optionals && name == "optMap") return m.OptMap(false);
    if (macros.optionals && name == "optFlatMap") return m.OptMap(true);
    if (macros.sort_by && name == "sortBy") return m.SortBy();
    return nullptr;
  }
  if (n == 3 && name == "map") return m.ToList(1);
  if (!macros.two_variables || n < 3 || n > 4) return nullptr;
  if (name == "transformList") return m.ToList(2);
  if (name == "transformMap") return m.ToMap(false);
  if (name == "transformMapEntry") return m.ToMap(true);
  if (n != 3) return nullptr;
  if (name == "all") return m.All(2);
  if (name == "exists") return m.Exists(2);
  if (name == "existsOne" || name == "exists_one") return m.ExistsOne(2);
  return nullptr;
}

}  // namespace skerry::kube::cel
