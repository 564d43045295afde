#pragma once
#include <string_view>
#include <vector>

#include "embedded-kube-shim/cel/ast.h"
#include "embedded-kube-shim/cel/lexer.h"

namespace skerry::kube::cel {

struct ParseLimits {
  std::size_t max_code_points = 100'000;
  int max_depth = 250;
};

struct MacroSet {
  bool optionals = true;         // optMap, optFlatMap
  bool two_variables = true;     // all(k, v, …), transformList, …
  bool sort_by = true;
  bool bind = false;             // cel.bind
  bool quoted_fields = false;    // x.`a-b`; else refused
};

struct Parsed {
  ExprPtr root;                       // null when there are errors
  std::vector<SourceError> errors;    // in the words of the language's reference tools
  std::uint32_t ids = 0;              // nodes have ids below it
};

// Text → tree, macros expanded. Bounded by the limits.
Parsed Parse(std::string_view source, const MacroSet& macros, const ParseLimits& limits = {});

// Messages as clients see them: every error with its line and a caret, by place, at most 100.
std::string ErrorText(std::string_view source, std::vector<SourceError> errors);

// Builders, for macros.
class TreeBuilder {
 public:
  ExprPtr New(ExprKind kind, std::int32_t offset);
  ExprPtr Ident(std::int32_t offset, std::string name);
  ExprPtr Literal(std::int32_t offset, Val value);
  template <class... T>
  ExprPtr Call(std::int32_t offset, std::string name, T... arguments) {
    ExprPtr call = New(ExprKind::kCall, offset);
    call->name = std::move(name);
    (call->args.push_back(std::move(arguments)), ...);
    return call;
  }
  ExprPtr Member(std::int32_t offset, std::string name, ExprPtr target);
  ExprPtr Copy(const Expr& tree);
  std::uint32_t ids() const { return next_id_; }

 private:
  std::uint32_t next_id_ = 0;
};

// Replaces a call that is a macro; null = an ordinary call (target and arguments untouched). Wrong use is reported in `errors`.
ExprPtr ExpandMacro(const MacroSet& macros, TreeBuilder& build, std::int32_t offset, std::string_view name, ExprPtr& target, std::vector<ExprPtr>& args,
                    std::vector<SourceError>& errors);

// The whole report for a text that is not in the language: what a recovering parser says about it.
std::vector<SourceError> SyntaxErrors(std::string_view source, const std::vector<Token>& tokens);

}  // namespace skerry::kube::cel
