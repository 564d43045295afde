#pragma once
#include <string>

#include "embedded-kube-shim/api/custom_schema.h"
#include "embedded-kube-shim/cel/program.h"

// One expression of x-kubernetes-validations. Private to embedded-kube-shim/apis.
namespace skerry::kube {

struct CompiledRule {
  std::string error;                 // why it does not compile; program is null then
  std::string message_error;         // the same of its message expression
  cel::ProgramPtr program, message;
  bool uses_old = false;
  std::string field_path;            // normalized; empty = the value itself
  std::uint64_t cost = 0, message_cost = 0;   // at most, for one evaluation
};

CompiledRule CompileRule(const CustomRule& rule, const cel::DeclTypePtr& type, const json::Value& schema);
CustomRule RuleOf(const json::Value& written);

}  // namespace skerry::kube
