#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "embedded-kube-shim/cel/cost.h"
#include "embedded-kube-shim/cel/env.h"
#include "embedded-kube-shim/cel/interpreter.h"

// The expression language of Kubernetes (CEL, https://github.com/google/cel-spec): compile once, run often.
//
//   Env env(KubernetesLibrary());
//   const DeclTypePtr self = FromSchema(schema, SchemaRole::kValue, "selfType1");
//   env.Declare("self", self);                                   // index 0
//   auto program = Program::Compile(env, "self.replicas <= 5");  // Result; the error message is what clients see
//   program->type(); program->estimate(); program->Uses("oldSelf");
//   const Val variables[] = {Val::FromJson(object, self.get())};
//   EvalResult r = program->Run(variables, kPerCallLimit);       // r.value may be an error, r.cost counts against budgets
//
// A Program is immutable and thread-safe; it keeps alive what it needs of the Env. Documents behind variables must outlive the results.
namespace skerry::kube::cel {

// Kubernetes' limits, in cost units.
inline constexpr std::uint64_t kPerCallLimit = 1'000'000;               // one evaluation
inline constexpr std::uint64_t kRuntimeBudget = 10'000'000;             // all rules of one request (per object, per policy binding)
inline constexpr std::uint64_t kMatchConditionBudget = 2'500'000;       // all match conditions of one webhook or policy
inline constexpr std::uint64_t kStaticLimit = 10'000'000;               // estimate of one rule of a CRD × its cardinality
inline constexpr std::uint64_t kStaticSchemaLimit = 100'000'000;        // the sum over a CRD's schema
inline constexpr std::size_t kMaxMessageBytes = 5 * 1024;               // of an evaluated message expression

class Program {
 public:
  // kInvalid with upstream's text: "compilation failed: ERROR: <input>:1:5: undefined field 'x'\n | …" or "program instantiation failed: …".
  static Result<std::shared_ptr<const Program>> Compile(const Env& env, std::string_view source);
  // Parses and type-checks only: the compiler's report without "compilation failed: "; empty = fine. For warnings about types.
  static std::string Report(const Env& env, std::string_view source, TypePtr* type = nullptr);

  const TypePtr& type() const { return type_; }
  bool IsBool() const { return type_->kind == TypeKind::kBool; }
  bool IsString() const { return type_->kind == TypeKind::kString; }
  const std::string& source() const { return source_; }
  bool Uses(std::string_view variable) const;     // as Env::Declare named it
  const CostEstimate& estimate() const { return estimate_; }

  // `variables` in the order of Env::Declare. Thread-safe.
  EvalResult Run(std::span<const Val> variables, std::uint64_t cost_limit = kPerCallLimit) const { return Evaluate(*root_, variables, cost_limit); }

 private:
  Program() = default;
  std::string source_;
  ExprPtr root_;
  TypePtr type_;
  CostEstimate estimate_;
  std::vector<Variable> variables_;   // keeps the declarations alive
  std::vector<bool> used_;
};
using ProgramPtr = std::shared_ptr<const Program>;

// What Kubernetes makes of the message of a failed evaluation of a CRD's rule: "… evaluating rule: <rule>", "'no such overload': call
// arguments did not match …", "no further validation rules will be run due to call cost exceeds limit for rule: <rule>".
std::string RuleErrorText(const EvalResult& result, std::string_view rule);

}  // namespace skerry::kube::cel
