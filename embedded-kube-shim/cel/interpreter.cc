#include "embedded-kube-shim/cel/interpreter.h"

#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/cel/overload_match.h"

namespace skerry::kube::cel {
namespace {

constexpr std::uint64_t kListCost = 10, kMapCost = 30, kStructCost = 40;

std::string IndexText(const Val& index) {
  switch (index.kind()) {
    case Kind::kInt: return std::to_string(index.integer());
    case Kind::kUint: return std::to_string(index.uint());
    case Kind::kDouble: return DoubleText(index.number());
    case Kind::kBool: return index.boolean() ? "true" : "false";
    default: return std::string(index.text());
  }
}

// What a fold that only appends does, so that it can append in place: [] + [a] + [b]… and {} with entries.
struct Fold {
  const Expr* condition = nullptr;   // null = always
  const Expr* append = nullptr;      // "_+_" or "cel.@mapInsert" with the accumulator first
};

bool IsAccumulator(const Expr& node, const Loop& loop) { return node.kind == ExprKind::kIdent && node.ref == Expr::Ref::kFrame && node.slot == loop.accumulator_slot; }

std::optional<Fold> AppendsOnly(const Loop& loop) {
  const bool list = loop.init->kind == ExprKind::kList || loop.init->literal.is(Kind::kList);
  const bool map = loop.init->kind == ExprKind::kMap || loop.init->literal.is(Kind::kMap);
  if ((!list && !map) || !loop.init->args.empty()) return std::nullopt;
  Fold fold;
  const Expr* step = loop.step.get();
  if (step->kind == ExprKind::kCall && step->name == "_?_:_" && IsAccumulator(*step->args[2], loop)) {
    fold.condition = step->args[0].get();
    step = step->args[1].get();
  }
  const bool appends = step->kind == ExprKind::kCall && step->args.size() >= 2 && IsAccumulator(*step->args[0], loop) &&
                       ((list && step->name == "_+_" && step->args[1]->kind == ExprKind::kList && step->args[1]->args.size() == 1 && !step->args[1]->optional_entries[0]) ||
                        (map && step->name == "cel.@mapInsert"));
  if (!appends) return std::nullopt;
  fold.append = step;
  return fold;
}

class Run {
 public:
  Run(std::span<const Val> variables, std::uint64_t limit) : variables_(variables), limit_(limit) {}

  EvalResult Whole(const Expr& root) {
    EvalResult out;
    out.value = Node(root);
    out.cost = cost_;
    out.cancelled = cancelled_;
    if (cancelled_) out.value = Cancelled();
    return out;
  }

 private:
  static Val Cancelled() { return Val::Error("operation cancelled: actual cost limit exceeded"); }

  bool Charge(std::uint64_t cost) {
    cost_ += cost;
    if (cost_ > limit_) cancelled_ = true;
    return !cancelled_;
  }

  Val Node(const Expr& node) {
    if (cancelled_) return Cancelled();
    switch (node.kind) {
      case ExprKind::kLiteral: return node.literal;
      case ExprKind::kIdent: return Ident(node);
      case ExprKind::kSelect: return Select(node);
      case ExprKind::kCall: return Call(node);
      case ExprKind::kList: return List(node);
      case ExprKind::kMap: return Map(node);
      case ExprKind::kStruct: return Struct(node);
      case ExprKind::kLoop: return Repeat(node);
    }
    return Val();
  }

  Val Ident(const Expr& node) {
    if (node.ref == Expr::Ref::kTypeName) return node.literal;
    Charge(1);
    return node.ref == Expr::Ref::kFrame ? frame_[static_cast<std::size_t>(node.slot)] : variables_[static_cast<std::size_t>(node.slot)];
  }

  static Val NoSuchKey(std::string_view key) { return Val::Error(Cat("no such key: ", key)); }

  // A chain of selections costs one unit a link; a base that is no variable costs one more.
  static bool IsChain(const Expr& node) {
    return node.kind == ExprKind::kIdent || node.kind == ExprKind::kSelect || (node.kind == ExprKind::kCall && (node.name == "_[_]" || node.name == "_[?_]" || node.name == "_?._"));
  }
  Val Operand(const Expr& node) {
    Val operand = Node(node);
    if (!IsChain(node)) Charge(1);
    return operand;
  }

  Val Select(const Expr& node) {
    Val operand = Operand(*node.target);
    if (operand.is_error()) return operand;
    const bool optional = operand.is(Kind::kOptional);
    if (optional) {
      if (operand.inner() == nullptr) return node.test_only ? Val::Bool(false) : operand;
      operand = Val(*operand.inner());
    }
    if (!node.test_only) Charge(1);
    std::optional<Val> found;
    if (operand.is(Kind::kMap)) found = operand.map().Find(Val::StringView(node.name));
    if (node.test_only) return Val::Bool(found.has_value());
    if (!found) return optional && operand.is(Kind::kMap) ? Val::None() : NoSuchKey(node.name);
    return optional && !found->is_error() ? Val::Some(std::move(*found)) : std::move(*found);
  }

  Val Call(const Expr& node) {
    if (node.target == nullptr) {
      if (node.name == "_&&_") return Logical(node, false);
      if (node.name == "_||_") return Logical(node, true);
      if (node.name == "_?_:_") return Ternary(node);
      if (node.name == "@not_strictly_false") {
        const bool go_on = !Node(*node.args[0]).IsFalse();
        return Charge(1) ? Val::Bool(go_on) : Cancelled();
      }
      if (node.name == "_[_]") return Index(node, false);
      if (node.name == "_[?_]") return Index(node, true);
      if (node.name == "_?._") return OptionalSelect(node);
    } else if (node.target->type != nullptr && node.args.size() == 1 && (node.name == "or" || node.name == "orValue") && node.overloads.size() == 1 &&
               node.overloads[0]->id.starts_with("optional_")) {
      return Alternative(node);
    }
    Val args[kInlineArgs];
    std::vector<Val> more;
    const std::size_t n = node.args.size() + (node.target != nullptr);
    Val* at = args;
    if (n > kInlineArgs) {
      more.resize(n);
      at = more.data();
    }
    std::size_t filled = 0;
    if (node.target != nullptr) at[filled++] = Node(*node.target);
    for (const ExprPtr& arg : node.args) at[filled++] = Node(*arg);
    for (std::size_t i = 0; i < n; ++i) {
      if (at[i].is_error()) return at[i];
    }
    return Invoke(node, std::span<const Val>(at, n));
  }

  Val Invoke(const Expr& node, std::span<const Val> args) {
    for (const Overload* overload : node.overloads) {
      if (!Fits(*overload, args)) continue;
      Val result = overload->implementation({node.prepared.get()}, args);
      const bool constant_list = node.name == "@in" && node.args[1]->kind == ExprKind::kLiteral && args[1].is(Kind::kList);   // a look-up
      if (!Charge(constant_list ? 0 : CallCost(node, args, result))) return Cancelled();
      return result;
    }
    Charge(1);
    return Val::Error(NoOverloadText(node, args));
  }

  // Errors and even wrong types give way to the other side when that side decides.
  Val Logical(const Expr& node, bool decisive) {
    Val left = Node(*node.args[0]);
    if (left.is(Kind::kBool) && left.boolean() == decisive) return left;
    Val right = Node(*node.args[1]);
    if (right.is(Kind::kBool) && right.boolean() == decisive) return right;
    if (left.is(Kind::kBool) && right.is(Kind::kBool)) return Val::Bool(!decisive);
    if (left.is_error()) return left;
    if (right.is_error()) return right;
    return Val::Error("no such overload");
  }

  Val Ternary(const Expr& node) {
    Val condition = Node(*node.args[0]);
    if (condition.is_error()) return condition;
    if (!condition.is(Kind::kBool)) return Val::Error("no such overload");
    const Expr& branch = *node.args[condition.boolean() ? 1 : 2];
    const std::uint64_t before = cost_;
    Val value = Node(branch);
    if (IsChain(branch)) cost_ = before;   // paid for by whoever uses it
    return value;
  }

  Val Alternative(const Expr& node) {
    Val first = Node(*node.target);
    if (first.is_error()) return first;
    if (!first.is(Kind::kOptional)) return first;
    if (first.inner() != nullptr) return node.name == "or" ? first : Val(*first.inner());
    return Node(*node.args[0]);
  }

  std::optional<Val> At(const Val& operand, const Val& index, std::string* problem) {
    if (operand.is(Kind::kList)) {
      std::optional<std::uint64_t> at;
      if (index.is(Kind::kInt)) at = static_cast<std::uint64_t>(index.integer());
      else if (index.is(Kind::kUint)) at = index.uint();
      else if (!index.is(Kind::kDouble)) return *problem = Cat("unsupported index type '", index.type_name(), "' in list"), std::nullopt;
      else if (index.number() >= 0 && index.number() < 0x1p53 && index.number() == static_cast<double>(static_cast<std::uint64_t>(index.number()))) at = static_cast<std::uint64_t>(index.number());
      else return *problem = Cat("unsupported index value ", IndexText(index), " in list"), std::nullopt;
      if (*at < operand.list().size()) return operand.list().At(*at);
      *problem = Cat("index out of bounds: ", IndexText(index));
      return std::nullopt;
    }
    if (operand.is(Kind::kMap)) {
      if (auto found = operand.map().Find(index)) return found;
      *problem = Cat("no such key: ", IndexText(index));
      return std::nullopt;
    }
    *problem = Cat("no such key: ", IndexText(index));
    return std::nullopt;
  }

  Val Index(const Expr& node, bool optional) {
    Val operand = Operand(*node.args[0]);
    const std::uint64_t before = cost_;
    Val index = Node(*node.args[1]);
    if (IsChain(*node.args[1])) cost_ = before;   // part of the link
    if (operand.is_error()) return operand;
    if (index.is_error()) return index;
    const bool unwrap = operand.is(Kind::kOptional);
    if (unwrap) {
      if (operand.inner() == nullptr) return operand;
      operand = Val(*operand.inner());
    }
    std::string problem;
    auto found = At(operand, index, &problem);
    if (found || !(optional || unwrap)) Charge(1);
    if (!found) return (optional || unwrap) && !problem.starts_with("unsupported") ? Val::None() : Val::Error(std::move(problem));
    return (optional || unwrap) && !found->is_error() ? Val::Some(std::move(*found)) : std::move(*found);
  }

  Val OptionalSelect(const Expr& node) {
    Val operand = Operand(*node.args[0]);
    if (operand.is_error()) return operand;
    if (operand.is(Kind::kOptional)) {
      if (operand.inner() == nullptr) return operand;
      operand = Val(*operand.inner());
    }
    if (!operand.is(Kind::kMap)) return Val::None();
    auto found = operand.map().Find(node.args[1]->literal);
    if (!found) return Val::None();
    Charge(1);
    return found->is_error() ? std::move(*found) : Val::Some(std::move(*found));
  }

  // False = stop with *failed.
  bool AddEntry(Val value, bool optional, std::vector<Val>& out, Val* failed) {
    if (value.is_error()) return *failed = std::move(value), false;
    if (!optional) return out.push_back(std::move(value)), true;
    if (!value.is(Kind::kOptional)) return *failed = Val::Error(Cat("cannot initialize optional list element from non-optional value ", value.type_name())), false;
    if (value.inner() != nullptr) out.push_back(*value.inner());
    return true;
  }

  Val List(const Expr& node) {
    std::vector<Val> items;
    items.reserve(node.args.size());
    Val failed;
    for (std::size_t i = 0; i < node.args.size(); ++i) {
      if (!AddEntry(Node(*node.args[i]), node.optional_entries[i], items, &failed)) return failed;
    }
    return Charge(kListCost) ? Val::List(std::move(items)) : Cancelled();
  }

  Val Map(const Expr& node) {
    std::vector<std::pair<Val, Val>> entries;
    for (std::size_t i = 0; i + 1 < node.args.size(); i += 2) {
      Val key = Node(*node.args[i]);
      if (key.is_error()) return key;
      Val failed;
      std::vector<Val> value;
      if (!AddEntry(Node(*node.args[i + 1]), node.optional_entries[i / 2], value, &failed)) return failed;
      if (value.empty()) continue;
      const auto same = std::ranges::find_if(entries, [&](const auto& entry) { return Equal(entry.first, key); });
      if (same != entries.end()) same->second = std::move(value[0]);
      else entries.emplace_back(std::move(key), std::move(value[0]));
    }
    return Charge(kMapCost) ? Val::Map(std::move(entries)) : Cancelled();
  }

  Val Struct(const Expr& node) {
    std::vector<std::pair<Val, Val>> entries;
    for (std::size_t i = 0; i < node.args.size(); ++i) {
      Val failed;
      std::vector<Val> value;
      if (!AddEntry(Node(*node.args[i]), node.optional_entries[i], value, &failed)) return failed;
      if (!value.empty()) entries.emplace_back(Val::StringView(node.fields[i]), std::move(value[0]));
    }
    return Charge(kStructCost) ? Val::Map(std::move(entries), node.name) : Cancelled();
  }

  void Bind(int slot, Val value) {
    if (slot < 0) return;
    if (frame_.size() <= static_cast<std::size_t>(slot)) frame_.resize(static_cast<std::size_t>(slot) + 1);
    frame_[static_cast<std::size_t>(slot)] = std::move(value);
  }

  // One round for each element; stops when `round` returns false.
  bool EachElement(const Loop& loop, const Val& range, const std::function<bool()>& round) {
    if (range.is(Kind::kList)) {
      const ListLike& list = range.list();
      for (std::size_t i = 0; i < list.size(); ++i) {
        Bind(loop.variable_slot, loop.second_slot < 0 ? list.At(i) : Val::Int(static_cast<std::int64_t>(i)));
        if (loop.second_slot >= 0) Bind(loop.second_slot, list.At(i));
        if (!round()) break;
      }
      return true;
    }
    if (!range.is(Kind::kMap)) return false;
    range.map().ForEach([&](Val key, Val value) {
      Bind(loop.variable_slot, std::move(key));
      if (loop.second_slot >= 0) Bind(loop.second_slot, std::move(value));
      return round();
    });
    return true;
  }

  Val Repeat(const Expr& node) {
    const Loop& loop = *node.loop;
    Val range = Node(*loop.range);
    if (range.is_error()) return range;
    Val accumulator = Node(*loop.init);
    const auto fold = AppendsOnly(loop);
    if (fold) return Append(loop, range, *fold);
    Bind(loop.accumulator_slot, accumulator.is_error() ? accumulator : std::move(accumulator));
    const bool iterable = EachElement(loop, range, [&] {
      if (cancelled_ || Node(*loop.condition).IsFalse()) return false;
      Val next = Node(*loop.step);
      Bind(loop.accumulator_slot, std::move(next));
      return true;
    });
    if (!iterable) return NotIterable(range);
    if (cancelled_) return Cancelled();
    return Node(*loop.result);
  }

  static Val NotIterable(const Val& range) {
    std::string_view name = range.type_name();   // shown the way the reference tool names its value types
    if (const std::size_t dot = name.rfind('.'); dot != std::string_view::npos) name.remove_prefix(dot + 1);
    if (name == "null_type") name = "null";
    std::string shown(name);
    shown[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(shown[0])));
    return Val::Error(Cat("got 'types.", shown, "', expected iterable type"));
  }

  // As Repeat() would do it, at the same price, without copying what is there already.
  Val Append(const Loop& loop, const Val& range, const Fold& fold) {
    const bool to_list = fold.append->name == "_+_";
    std::vector<Val> items;
    std::vector<std::pair<Val, Val>> entries;
    std::unordered_map<std::string, bool> keys;
    Val failed;
    const bool iterable = EachElement(loop, range, [&] {
      if (cancelled_) return false;
      if (fold.condition != nullptr) {
        Val condition = Node(*fold.condition);
        if (!condition.is(Kind::kBool)) {
          failed = condition.is_error() ? std::move(condition) : Val::Error("no such overload");
          return false;
        }
        if (!condition.boolean()) return true;
      }
      Charge(1 + 1);   // the accumulator and the call
      if (to_list) {
        Val item = Node(*fold.append->args[1]->args[0]);
        Charge(kListCost);
        return item.is_error() ? (failed = std::move(item), false) : (items.push_back(std::move(item)), true);
      }
      return Insert(*fold.append, entries, keys, &failed);
    });
    if (!iterable) return NotIterable(range);
    if (cancelled_) return Cancelled();
    if (failed.is_error()) return failed;
    Bind(loop.accumulator_slot, to_list ? Val::List(std::move(items)) : Val::Map(std::move(entries)));
    return Node(*loop.result);
  }

  bool Insert(const Expr& insert, std::vector<std::pair<Val, Val>>& entries, std::unordered_map<std::string, bool>& keys, Val* failed) {
    const auto add = [&](Val key, Val value) {
      if (key.is_error() || value.is_error()) return *failed = key.is_error() ? std::move(key) : std::move(value), false;
      std::string text = Cat(static_cast<int>(key.kind()), ":", IndexText(key));
      if (!keys.emplace(std::move(text), true).second) return *failed = Val::Error(Cat("insert failed: key ", IndexText(key), " already exists")), false;
      entries.emplace_back(std::move(key), std::move(value));
      return true;
    };
    if (insert.args.size() == 3) {
      Val key = Node(*insert.args[1]);
      Val value = Node(*insert.args[2]);
      return add(std::move(key), std::move(value));
    }
    Val map = Node(*insert.args[1]);
    if (!map.is(Kind::kMap)) return *failed = map.is_error() ? std::move(map) : Val::Error("no such overload"), false;
    bool ok = true;
    map.map().ForEach([&](Val key, Val value) { return ok = add(std::move(key), std::move(value)); });
    return ok;
  }

  static constexpr std::size_t kInlineArgs = 4;
  std::span<const Val> variables_;
  std::vector<Val> frame_;
  const std::uint64_t limit_;
  std::uint64_t cost_ = 0;
  bool cancelled_ = false;
};

bool IsConversion(const Expr& node) {
  constexpr std::string_view kNames[] = {"bool", "bytes", "double", "duration", "dyn", "int", "string", "timestamp", "type", "uint"};
  return node.target == nullptr && node.args.size() == 1 && std::ranges::find(kNames, node.name) != std::end(kNames);
}

bool AllLiteral(const std::vector<ExprPtr>& nodes) {
  return std::ranges::all_of(nodes, [](const ExprPtr& node) { return node->kind == ExprKind::kLiteral; });
}

// Constant lists, maps and conversions are computed once.
bool Fold1(Expr& node, std::string* error) {
  if (node.kind == ExprKind::kIdent && node.ref == Expr::Ref::kTypeName) node.kind = ExprKind::kLiteral;
  const bool constant = (node.kind == ExprKind::kList || node.kind == ExprKind::kMap || (node.kind == ExprKind::kCall && IsConversion(node))) && AllLiteral(node.args);
  if (!constant || std::ranges::find(node.optional_entries, true) != node.optional_entries.end()) return true;
  EvalResult result = Evaluate(node, {}, UINT64_MAX);
  if (result.value.is_error()) {
    if (node.kind != ExprKind::kCall) return true;   // found when it runs
    *error = result.value.text();
    return false;
  }
  node.kind = ExprKind::kLiteral;
  node.literal = std::move(result.value);
  node.args.clear();
  return true;
}

bool PrepareCall(Expr& node, std::string* error) {
  if (node.overloads.empty() || node.overloads[0]->prepare == nullptr) return true;
  std::vector<const Val*> constants;
  if (node.target) constants.push_back(node.target->kind == ExprKind::kLiteral ? &node.target->literal : nullptr);
  for (const ExprPtr& arg : node.args) constants.push_back(arg->kind == ExprKind::kLiteral ? &arg->literal : nullptr);
  node.prepared = node.overloads[0]->prepare(constants, error);
  return error->empty();
}

}  // namespace

bool Plan(Expr& root, std::string* error) {
  if (root.target && !Plan(*root.target, error)) return false;
  for (ExprPtr& arg : root.args) {
    if (!Plan(*arg, error)) return false;
  }
  if (root.loop) {
    for (ExprPtr* part : {&root.loop->range, &root.loop->init, &root.loop->condition, &root.loop->step, &root.loop->result}) {
      if (!Plan(**part, error)) return false;
    }
    return true;
  }
  if (root.kind == ExprKind::kCall && !PrepareCall(root, error)) return false;
  return Fold1(root, error);
}

EvalResult Evaluate(const Expr& root, std::span<const Val> variables, std::uint64_t cost_limit) { return Run(variables, cost_limit).Whole(root); }

}  // namespace skerry::kube::cel
