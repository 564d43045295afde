#include "embedded-kube-shim/cel/program.h"

#include "core/base/strings.h"
#include "embedded-kube-shim/cel/device_selector.h"
#include "embedded-kube-shim/cel/functions.h"

namespace skerry::kube::cel {
namespace {

void MarkUsed(const Expr& node, std::vector<bool>& used) {
  if (node.kind == ExprKind::kIdent && node.ref == Expr::Ref::kVariable) used[static_cast<std::size_t>(node.slot)] = true;
  if (node.target) MarkUsed(*node.target, used);
  for (const ExprPtr& arg : node.args) MarkUsed(*arg, used);
  if (!node.loop) return;
  for (const ExprPtr* part : {&node.loop->range, &node.loop->init, &node.loop->condition, &node.loop->step, &node.loop->result}) MarkUsed(**part, used);
}

// Parsed and checked; on failure null and the report.
ExprPtr Checked(const Env& env, std::string_view source, std::string* report) {
  Parsed parsed = Parse(source, env.library().macros);
  if (parsed.root != nullptr && Check(env, *parsed.root, parsed.errors)) ValidateLiterals(env.library(), *parsed.root, parsed.errors);
  if (parsed.errors.empty()) return std::move(parsed.root);
  *report = ErrorText(source, std::move(parsed.errors));
  return nullptr;
}

std::unique_ptr<Library> Common() {
  auto library = std::make_unique<Library>();
  AddStandard(*library);
  AddOptionals(*library);
  AddTexts(*library);
  AddFormat(*library);
  AddLists(*library);
  AddSets(*library);
  AddPatterns(*library);
  AddUrls(*library);
  AddAddresses(*library);
  AddQuantities(*library);
  AddVersions(*library);
  AddNamedFormats(*library);
  AddAuthorizer(*library);
  return library;
}

}  // namespace

const Library& KubernetesLibrary() {
  static const std::unique_ptr<const Library> library = Common();
  return *library;
}

const Library& MutationLibrary() {
  static const std::unique_ptr<const Library> library = [] {
    auto all = Common();
    AddJsonPatch(*all);
    return all;
  }();
  return *library;
}

const Library& DeviceLibrary() {
  static const std::unique_ptr<const Library> library = [] {
    auto all = Common();
    all->macros.bind = true;
    return all;
  }();
  return *library;
}

const Library& FullLibrary() {
  static const std::unique_ptr<const Library> library = [] {
    auto all = Common();
    AddJsonPatch(*all);
    AddEncoders(*all);
    AddMath(*all);
    all->macros.bind = true;
    all->macros.quoted_fields = true;
    all->uniform_literals = false;
    return all;
  }();
  return *library;
}

std::string Program::Report(const Env& env, std::string_view source, TypePtr* type) {
  std::string report;
  const ExprPtr root = Checked(env, source, &report);
  if (root != nullptr && type != nullptr) *type = root->type;
  return report;
}

Result<std::shared_ptr<const Program>> Program::Compile(const Env& env, std::string_view source) {
  std::shared_ptr<Program> program(new Program());
  std::string report;
  program->source_ = source;
  program->root_ = Checked(env, source, &report);
  if (program->root_ == nullptr) return Fail(Code::kInvalid, "compilation failed: " + report);
  program->type_ = program->root_->type;
  program->variables_ = env.variables();
  program->used_.resize(env.variables().size());
  MarkUsed(*program->root_, program->used_);
  program->estimate_ = EstimateCost(env, *program->root_);
  if (!Plan(*program->root_, &report)) return Fail(Code::kInvalid, "program instantiation failed: " + report);
  return program;
}

bool Program::Uses(std::string_view variable) const {
  for (std::size_t i = 0; i < variables_.size(); ++i) {
    if (variables_[i].name == variable) return used_[i];
  }
  return false;
}

std::string RuleErrorText(const EvalResult& result, std::string_view rule) {
  const std::string_view text = result.value.text();
  if (text.starts_with("no such overload")) {
    return Cat("'no such overload': call arguments did not match a supported operator, function or macro signature for rule: ", rule);
  }
  if (result.cancelled) return Cat("no further validation rules will be run due to call cost exceeds limit for rule: ", rule);
  return Cat(text, " evaluating rule: ", rule);
}

}  // namespace skerry::kube::cel
