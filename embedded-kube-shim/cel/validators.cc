#include <algorithm>

#include "core/base/strings.h"
#include "core/text/duration.h"
#include "embedded-kube-shim/cel/functions.h"
#include "embedded-kube-shim/cel/pattern.h"

namespace skerry::kube::cel {
namespace {

class Validator {
 public:
  Validator(const Library& library, std::vector<SourceError>& errors) : library_(library), errors_(errors) {}

  void Node(const Expr& node, bool mixed_allowed) {
    const bool is_format = node.kind == ExprKind::kCall && node.name == "format" && node.target != nullptr;
    if (node.kind == ExprKind::kCall) Call(node);
    if (is_format) FormatCall(node);
    if (library_.uniform_literals && !mixed_allowed) Uniform(node);
    if (node.target) Node(*node.target, mixed_allowed || is_format);
    for (const ExprPtr& arg : node.args) Node(*arg, mixed_allowed || is_format);
    if (!node.loop) return;
    for (const ExprPtr* part : {&node.loop->range, &node.loop->init, &node.loop->condition, &node.loop->step, &node.loop->result}) Node(**part, mixed_allowed);
  }

 private:
  void Error(const Expr& at, std::string message) {
    const bool known = std::ranges::any_of(errors_, [&](const SourceError& e) { return e.offset == at.offset && e.message == message; });
    if (!known) errors_.push_back({at.offset, std::move(message)});
  }

  void Call(const Expr& node) {
    if (node.target == nullptr && node.args.size() == 1 && node.args[0]->kind == ExprKind::kLiteral && (node.name == "duration" || node.name == "timestamp")) {
      for (const Overload* overload : node.overloads) {
        const std::vector<Val> argument = {node.args[0]->literal};
        if (!argument[0].is(Kind::kString) && !argument[0].is(Kind::kInt)) return;
        if (overload->signature.arguments[0]->kind != node.args[0]->type->kind) continue;
        if (overload->implementation({}, argument).is_error()) Error(*node.args[0], Cat("invalid ", node.name, " argument"));
      }
    }
    if (node.name != "matches") return;
    const ExprPtr* pattern = node.target != nullptr && node.args.size() == 1 ? &node.args[0] : node.target == nullptr && node.args.size() == 2 ? &node.args[1] : nullptr;
    if (pattern != nullptr && (*pattern)->kind == ExprKind::kLiteral && (*pattern)->literal.is(Kind::kString) && !IsPattern((*pattern)->literal.text())) {
      Error(**pattern, "invalid matches argument");
    }
  }

  void FormatCall(const Expr& node) {
    if (node.target->kind != ExprKind::kLiteral || node.args.size() != 1 || node.args[0]->kind != ExprKind::kList) return;
    std::vector<const Type*> types;
    for (const ExprPtr& arg : node.args[0]->args) types.push_back(arg->type.get());
    FormatProblem problem;
    if (CheckFormat(node.target->literal.text(), types, &problem)) {
      for (const ExprPtr& arg : node.args[0]->args) Printable(*arg);   // only %s takes lists and maps
      return;
    }
    Error(problem.argument < 0 ? node : *node.args[0]->args[static_cast<std::size_t>(problem.argument)], std::move(problem.message));
  }

  // What a literal list or map holds must have a text, too.
  void Printable(const Expr& literal) {
    if (literal.kind != ExprKind::kList && literal.kind != ExprKind::kMap) return;
    for (std::size_t i = literal.kind == ExprKind::kMap; i < literal.args.size(); i += literal.kind == ExprKind::kMap ? 2 : 1) {
      const Type* const type[] = {literal.args[i]->type.get()};
      FormatProblem problem;
      if (!CheckFormat("%s", type, &problem)) return Error(*literal.args[i], std::move(problem.message));
      Printable(*literal.args[i]);
    }
  }

  // Entries of a literal share one type; the first that does not is named.
  bool Same(const ExprPtr& item, bool optional, const Type** first) {
    const Type* type = item->type.get();
    if (optional && type->IsOptional()) type = type->params[0].get();
    if (*first == nullptr) *first = type;
    if (SameType(**first, *type)) return true;
    Error(*item, Cat("expected type '", TypeText(**first), "' but found '", TypeText(*type), "'"));
    return false;
  }

  void Uniform(const Expr& node) {
    const Type* first = nullptr;
    if (node.kind == ExprKind::kList) {
      for (std::size_t i = 0; i < node.args.size(); ++i) {
        if (!Same(node.args[i], node.optional_entries[i], &first)) return;
      }
    }
    if (node.kind != ExprKind::kMap) return;
    const Type* first_value = nullptr;
    for (std::size_t i = 0; i + 1 < node.args.size(); i += 2) {
      if (!Same(node.args[i], false, &first) || !Same(node.args[i + 1], node.optional_entries[i / 2], &first_value)) return;
    }
  }

  const Library& library_;
  std::vector<SourceError>& errors_;
};

}  // namespace

void ValidateLiterals(const Library& library, const Expr& root, std::vector<SourceError>& errors) { Validator(library, errors).Node(root, false); }

}  // namespace skerry::kube::cel
