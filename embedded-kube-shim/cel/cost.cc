#include "embedded-kube-shim/cel/cost.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "core/base/strings.h"
#include "embedded-kube-shim/cel/cost_model.h"

namespace skerry::kube::cel {
namespace {

constexpr Span kOne{1, 1};

// Walks a checked tree. For every node it knows a path into the declarations (where its value comes from), when there is one, and a size,
// when the expression itself tells.
class Estimator {
 public:
  explicit Estimator(const Env& env) : env_(env) {}

  Span Node(const Expr& node) {
    switch (node.kind) {
      case ExprKind::kLiteral: return {};
      case ExprKind::kIdent: return Ident(node);
      case ExprKind::kSelect: return Select(node);
      case ExprKind::kCall: return Call(node);
      case ExprKind::kList: return List(node);
      case ExprKind::kMap: return Entries(node, 30);
      case ExprKind::kStruct: return Entries(node, 40);
      case ExprKind::kLoop: return Repeat(node);
    }
    return {};
  }

 private:
  using Path = std::optional<std::vector<std::string>>;

  Path PathOf(const Expr& node) const {
    const auto at = paths_.find(node.id);
    return at == paths_.end() ? std::nullopt : Path(at->second);
  }
  // A step below something without a path is a path of its own: see DeclaredSize().
  void Extend(const Expr& node, const Path& base, std::string step) {
    std::vector<std::string> path = base.value_or(std::vector<std::string>());
    path.push_back(std::move(step));
    paths_[node.id] = std::move(path);
  }

  Span Ident(const Expr& node) {
    if (node.ref == Expr::Ref::kFrame) {
      const auto range = ranges_.find(node.slot);
      if (range != ranges_.end()) {
        const auto& [source, step] = range->second;
        if (!step.empty()) Extend(node, PathOf(*source), step);
        else paths_[node.id] = {node.name};
      } else if (const auto bound = bound_.find(node.slot); bound != bound_.end()) {
        if (const Path path = PathOf(*bound->second)) paths_[node.id] = *path;
        if (const auto size = ComputedSize(*bound->second)) sizes_[node.id] = *size;
      }
    } else {
      paths_[node.id] = {node.name};
    }
    return kOne;
  }

  Span Select(const Expr& node) {
    Span sum = Node(*node.target);
    if (node.test_only) return sum;
    const TypeKind kind = node.target->type->kind;
    if (kind == TypeKind::kMap || kind == TypeKind::kObject) sum = Add(sum, kOne);
    Extend(node, PathOf(*node.target), node.name);
    return sum;
  }

  Span List(const Expr& node) {
    Span sum{10, 10};
    for (const ExprPtr& item : node.args) sum = Add(sum, Node(*item));
    return sum;
  }

  Span Entries(const Expr& node, std::uint64_t base) {
    Span sum{base, base};
    for (const ExprPtr& part : node.args) sum = Add(sum, Node(*part));
    return sum;
  }

  // Kubernetes walks every path from the type of the first variable, whatever it begins with; its prices count on that.
  std::optional<Span> DeclaredSize(const Path& path) const {
    if (!path || path->empty() || env_.variables().empty()) return std::nullopt;
    const DeclType* type = env_.variables()[0].decl.get();
    for (std::size_t i = 1; i < path->size() && type != nullptr; ++i) {
      const std::string& step = (*path)[i];
      if (step == "@items" || step == "@values") type = type->element.get();
      else if (step == "@keys") type = type->key.get();
      else if (const DeclField* field = type->FindField(step)) type = field->type.get();
      else type = nullptr;
    }
    if (type == nullptr) return std::nullopt;
    return Span{0, type->max_elements};
  }

  std::optional<Span> ComputedSize(const Expr& node) const {
    if (const auto at = sizes_.find(node.id); at != sizes_.end()) return at->second;
    if (node.kind == ExprKind::kLiteral) return Span{node.literal.Size(), node.literal.Size()};
    if (node.kind == ExprKind::kList) return Span{node.args.size(), node.args.size()};
    if (node.kind == ExprKind::kMap) return Span{node.args.size() / 2, node.args.size() / 2};
    return std::nullopt;
  }

  static bool IsScalar(const Type& type) {
    return type.kind == TypeKind::kBool || type.kind == TypeKind::kDouble || type.kind == TypeKind::kDuration || type.kind == TypeKind::kInt || type.kind == TypeKind::kTimestamp || type.kind == TypeKind::kUint;
  }

  // `strict`: as the language's own functions see it; Kubernetes' libraries do not know that scalars have size one.
  Span SizeOf(const Expr& node, bool strict) const {
    if (const auto size = ComputedSize(node)) return *size;
    if (const auto size = DeclaredSize(PathOf(node))) return *size;
    return strict && IsScalar(*node.type) ? kOne : kUnknown;
  }

  // Size of the elements of a list.
  Span ElementSize(const Expr& list) const {
    Path path = PathOf(list);
    if (!path) return kUnknown;
    path->push_back("@items");
    return DeclaredSize(path).value_or(kUnknown);
  }

  // Size of what an expression that builds a list or a map puts into it.
  std::optional<Span> EntrySize(const Expr& node) const {
    std::optional<Span> size;
    const auto join = [&](const std::optional<Span>& more) {
      if (more) size = size ? Union(*size, *more) : *more;
    };
    if (node.kind == ExprKind::kList) {
      for (const ExprPtr& item : node.args) join(SizeOf(*item, true));
    } else if (node.kind == ExprKind::kMap) {
      for (std::size_t i = 1; i < node.args.size(); i += 2) join(SizeOf(*node.args[i], true));
    } else if (node.kind == ExprKind::kLoop) {
      return EntrySize(*node.loop->step);
    } else if (node.kind == ExprKind::kCall && (node.name == "_+_" || node.name == "_?_:_")) {
      for (const ExprPtr& arg : node.args) join(EntrySize(*arg));
    }
    return size;
  }

  Span Call(const Expr& node) {
    CallModel model;
    model.call = &node;
    Span args_cost;
    Span target_cost;
    for (const ExprPtr& arg : node.args) {
      model.arg_costs.push_back(Node(*arg));
      args_cost = Add(args_cost, model.arg_costs.back());
    }
    if (node.overloads.empty()) return {};
    if (node.target) target_cost = Node(*node.target);
    model.size = [this](const Expr& expr, bool strict) { return SizeOf(expr, strict); };
    model.element_size = [this](const Expr& expr) { return ElementSize(expr); };
    Span cost{UINT64_MAX, 0};
    std::optional<Span> size;
    for (const Overload* overload : node.overloads) {
      const CallPrice price = PriceOf(model, overload->id);
      cost = Union(cost, price.replaces_arguments ? price.cost : Add(price.cost, args_cost));
      if (price.size) size = size ? Union(*size, *price.size) : *price.size;
      if (node.args.size() != 2) continue;
      if (overload->id == "index_list") Extend(node, PathOf(*node.args[0]), "@items");
      if (overload->id == "index_map") Extend(node, PathOf(*node.args[0]), "@values");
    }
    if (size) sizes_[node.id] = *size;
    if (node.name == "_[_]") {
      if (const auto entry = EntrySize(*node.args[0])) sizes_[node.id] = *entry;
    }
    return Add(target_cost, cost);
  }

  Span Repeat(const Expr& node) {
    const Loop& loop = *node.loop;
    Span sum = Add(Node(*loop.range), Node(*loop.init));
    const bool is_map = loop.range->type->kind == TypeKind::kMap;
    if (loop.second.empty()) {
      ranges_[loop.variable_slot] = {loop.range.get(), is_map ? "@keys" : loop.range->type->kind == TypeKind::kList ? "@items" : ""};
    } else {
      ranges_[loop.variable_slot] = {loop.range.get(), is_map ? "@keys" : ""};
      ranges_[loop.second_slot] = {loop.range.get(), is_map ? "@values" : "@items"};
    }
    if (loop.variable == "#unused") bound_[loop.accumulator_slot] = loop.init.get();   // a binding
    const Span condition = Node(*loop.condition);
    const Span step = Node(*loop.step);
    ranges_.erase(loop.variable_slot);
    ranges_.erase(loop.second_slot);
    sum = Add(sum, Node(*loop.result));
    bound_.erase(loop.accumulator_slot);
    const Span rounds = SizeOf(*loop.range, true);
    if (loop.variable != "#unused") sizes_[node.id] = rounds;
    else if (const auto size = ComputedSize(*loop.result)) sizes_[node.id] = *size;
    return Add(sum, Times(rounds, Add(step, condition)));
  }

  const Env& env_;
  std::map<std::uint32_t, std::vector<std::string>> paths_;   // by node
  std::map<std::uint32_t, Span> sizes_;
  std::map<int, std::pair<const Expr*, std::string>> ranges_;   // frame slot → what it runs over, and how
  std::map<int, const Expr*> bound_;                            // frame slot → the value it stands for
};

}  // namespace

CostEstimate EstimateCost(const Env& env, const Expr& checked_root) {
  const Span cost = Estimator(env).Node(checked_root);
  return {cost.min, cost.max};
}

}  // namespace skerry::kube::cel
