#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "embedded-kube-shim/cel/authorizer.h"
#include "embedded-kube-shim/cel/program.h"

// Expressions of admission: validating and mutating policies, match conditions of webhooks. The variables are object, oldObject, request,
// namespaceObject, authorizer, authorizer.requestResource and, where the policy has them, params and variables.
namespace skerry::kube::cel {

enum class Yields : std::uint8_t { kBool, kString, kStringOrNull, kObject, kPatches, kAnything };

struct PolicyFeatures {
  bool params = false;
  bool mutation = false;   // Object{…}, JSONPatch{…}, jsonpatch.escapeKey
};

// What is known of documents before there are any. Null: nothing.
struct PolicyTypes {
  DeclTypePtr object, params;
};

// The values of one evaluation, in the order of the environment.
struct PolicyValues {
  Val object, old_object, request, namespace_object, authorizer, request_resource, params;
};

// Compiles the expressions of one policy, in order: a variable is visible to what is compiled after it. Not thread-safe; the programs are.
class PolicyCompiler {
 public:
  explicit PolicyCompiler(const PolicyFeatures& features, const PolicyTypes& types = {});

  // kInvalid with the message of a field error: "compilation failed: …", "must evaluate to bool but got int".
  // Messages may not ask the authorizer.
  enum class Authorizer : std::uint8_t { kAllowed, kUnknown };
  Result<ProgramPtr> Compile(std::string_view expression, Yields yields, Authorizer authorizer = Authorizer::kAllowed) const;
  // Declares `variables` though it has no fields (yet).
  void DeclareVariables();
  // Also declares variables.NAME with the expression's type; when it does not compile it may be anything.
  Result<ProgramPtr> AddVariable(const std::string& name, std::string_view expression);
  // What the type checker says of an expression that is not to be run, whatever it yields; empty = nothing.
  std::string Report(std::string_view expression) const { return Program::Report(env_, expression); }

 private:
  Env env_, without_authorizer_;
  std::vector<std::pair<std::string, TypePtr>> declared_;
  int variables_index_ = -1;
  PolicyFeatures features_;
};

struct NamedProgram {
  std::string name;
  ProgramPtr program;
};

// One evaluation of a policy: its variables are computed at most once each, when first used, and count against one budget. The documents
// behind `values` outlive it. Single-threaded.
class PolicyRun {
 public:
  PolicyRun(PolicyValues values, const std::vector<NamedProgram>& variables, std::uint64_t budget, const PolicyFeatures& features);
  EvalResult Run(const Program& program);
  std::uint64_t budget_left() const { return budget_; }

 private:
  class Variables;
  PolicyValues values_;
  const std::vector<NamedProgram>& variables_;
  std::uint64_t budget_;
  PolicyFeatures features_;
  Val lazy_;
};

}  // namespace skerry::kube::cel
