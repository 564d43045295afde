#include "embedded-kube-shim/apis/custom_rule_program.h"

#include <algorithm>
#include <limits>

#include "core/base/strings.h"
#include "embedded-kube-shim/apis/custom_rules.h"
#include "embedded-kube-shim/apis/custom_values.h"
#include "embedded-kube-shim/apis/rules_shared.h"

// Rules of a definition: compiled, and priced by what the schema allows values to grow to.
namespace skerry::kube {

using json::Value;

CompiledRule CompileRule(const CustomRule& rule, const cel::DeclTypePtr& type, const Value& schema) {
  CompiledRule out;
  if (!type || Trim(rule.rule).empty()) return out;
  cel::Env env(cel::KubernetesLibrary());
  env.Declare("self", type);
  if (rule.optional_old_self.value_or(false)) env.Declare("oldSelf", cel::OptionalOf(cel::FromDecl(type)));
  else env.Declare("oldSelf", type);
  auto compiled = cel::Program::Compile(env, rule.rule);
  if (!compiled) {
    out.error = compiled.error().message();
    return out;
  }
  if (!(*compiled)->IsBool()) {
    out.error = "cel expression must evaluate to a bool";
    return out;
  }
  out.program = std::move(*compiled);
  out.uses_old = out.program->Uses("oldSelf");
  out.cost = out.program->estimate().max;
  if (auto path = rule.field_path.empty() ? std::optional<std::string>() : NormalizeFieldPath(schema, rule.field_path)) out.field_path = std::move(*path);
  if (Trim(rule.message_expression).empty()) return out;
  auto message = cel::Program::Compile(env, rule.message_expression);
  if (!message) {
    std::string_view text = message.error().message();
    constexpr std::string_view kInstantiation = "program instantiation failed";
    if (text.starts_with(kInstantiation)) out.message_error = Cat("messageExpression instantiation failed", text.substr(kInstantiation.size()));
    else out.message_error = Cat("messageExpression ", text);
  } else if (!(*message)->IsString()) {
    out.message_error = "messageExpression must evaluate to a string";
  } else {
    out.message = std::move(*message);
    out.message_cost = out.message->estimate().max;
  }
  return out;
}

CustomRule RuleOf(const Value& written) {
  CustomRule rule;
  rule.rule = written["rule"].Str();
  rule.message = written["message"].Str();
  rule.message_expression = written["messageExpression"].Str();
  rule.reason = written["reason"].Str();
  rule.field_path = written["fieldPath"].Str();
  if (written["optionalOldSelf"].is_bool()) rule.optional_old_self = written["optionalOldSelf"].Bool();
  return rule;
}

std::optional<std::string> NormalizeFieldPath(const Value& schema, std::string_view path) {
  std::string out;
  const Value* at = &schema;
  while (!path.empty()) {
    std::string key;
    if (path.starts_with("['")) {
      const auto end = path.find("']", 2);
      if (end == path.npos) return std::nullopt;
      key = path.substr(2, end - 2);
      path.remove_prefix(end + 2);
    } else if (path.starts_with('.')) {
      path.remove_prefix(1);
      const auto end = std::min(path.find_first_of(".["), path.size());
      key = path.substr(0, end);
      path.remove_prefix(end);
    } else {
      return std::nullopt;
    }
    if (key.empty()) return std::nullopt;
    if (const Value* property = (*at)["properties"].Find(key)) {
      out += Cat(out.empty() ? "" : ".", key);
      at = property;
    } else if ((*at)["additionalProperties"].is_object()) {
      out += Cat("[", key, "]");
      at = &(*at)["additionalProperties"];
    } else {
      return std::nullopt;
    }
  }
  return out;
}

namespace rules {
namespace {

constexpr std::uint64_t kUnbounded = std::numeric_limits<std::uint64_t>::max();

std::uint64_t Times(std::uint64_t a, std::uint64_t b) { return a == 0 || b == 0 ? 0 : a > kUnbounded / b ? kUnbounded : a * b; }

std::string TooExpensive(std::string_view what, std::uint64_t cost, std::uint64_t limit) {
  const double factor = static_cast<double>(cost) / static_cast<double>(limit);
  char text[64];
  if (factor > 100) std::snprintf(text, sizeof text, "more than 100x");
  else std::snprintf(text, sizeof text, factor < 1.5 ? "%fx" : "%.1fx", factor);
  return Cat(what, " exceeds budget by factor of ", text, " (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)");
}

class RuleChecker {
 public:
  explicit RuleChecker(Run& run) : run_(run) {}

  // `instances`: how many values the node may have in one object; nothing = as many as fit into a request. `uncorrelated`: the list or map
  // whose values cannot be found again in the old object.
  void Visit(const Node& schema, cel::SchemaRole role, std::optional<std::uint64_t> instances, const std::string& uncorrelated) {
    if (schema["x-kubernetes-validations"].size() > 0) Rules(schema, role, instances, uncorrelated);
    const std::string below_map = (*schema)["x-kubernetes-map-type"].Str() == "atomic" ? schema.path : uncorrelated;
    for (const json::Member& member : (*schema)["properties"].Members()) Visit(schema["properties"].Key(member), cel::SchemaRole::kValue, instances, below_map);
    if (schema["additionalProperties"]->is_object())
      Visit(schema["additionalProperties"], cel::SchemaRole::kValue, Grown(instances, (*schema)["maxProperties"]), below_map);
    if (schema["items"]->is_object()) {
      const bool keyed = (*schema)["x-kubernetes-list-type"].Str() == "map";
      Visit(schema["items"], cel::SchemaRole::kValue, Grown(instances, (*schema)["maxItems"]), keyed ? uncorrelated : schema.path);
    }
  }

  void Total(const Node& root) {
    if (total_ <= cel::kStaticSchemaLimit) return;
    run_.Forbidden(root, TooExpensive("x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema", total_, cel::kStaticSchemaLimit));
    std::stable_sort(expensive_.begin(), expensive_.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    constexpr std::size_t kShown = 4;
    for (std::size_t i = 0; i < std::min(expensive_.size(), kShown); ++i)
      run_.Forbidden(expensive_[i].second, "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema");
  }

 private:
  static std::optional<std::uint64_t> Grown(std::optional<std::uint64_t> instances, const Value& most) {
    if (!instances || !most.is_number()) return std::nullopt;
    return Times(*instances, static_cast<std::uint64_t>(std::max<std::int64_t>(most.Int(), 0)));
  }

  void Observe(const Node& at, std::uint64_t cost) {
    total_ = kUnbounded - total_ < cost ? kUnbounded : total_ + cost;
    if (cost >= cel::kStaticSchemaLimit / 100) expensive_.emplace_back(cost, at);
  }

  void Rules(const Node& schema, cel::SchemaRole role, std::optional<std::uint64_t> instances, const std::string& uncorrelated) {
    const Node list = schema["x-kubernetes-validations"];
    const auto type = cel::FromSchema(*schema, role, "selfType1");
    if (!type)
      return run_.Add(FieldErrorType::kInternal, list.path, {}, "internal error: failed to construct type information for x-kubernetes-validations rules: unable to convert structural schema to CEL declarations");
    const std::uint64_t times = instances ? *instances : cel::MaxCardinality(type->min_size);
    for (const Node& written : list.Items()) {
      const CustomRule rule = RuleOf(*written);
      if (Trim(rule.rule).empty()) continue;   // told already
      const CompiledRule compiled = CompileRule(rule, type, *schema);
      const std::uint64_t cost = Times(compiled.cost, times);
      if (cost > cel::kStaticLimit) run_.Forbidden(written["rule"], TooExpensive("estimated rule cost", cost, cel::kStaticLimit));
      Observe(written["rule"], cost);
      if (!compiled.error.empty()) run_.Invalid(written["rule"], RenderInternal(written.schema, *written), compiled.error);
      if (!compiled.message_error.empty()) run_.Invalid(written["messageExpression"], RenderInternal(written.schema, *written), compiled.message_error);
      if (compiled.message) {
        if (compiled.message_cost > cel::kStaticLimit) run_.Forbidden(written["messageExpression"], TooExpensive("estimated messageExpression cost", compiled.message_cost, cel::kStaticLimit));
        Observe(written["messageExpression"], compiled.message_cost);
      }
      if (compiled.uses_old && !uncorrelated.empty())
        run_.Invalid(written["rule"], Cat("oldSelf cannot be used on the uncorrelatable portion of the schema within ", uncorrelated));
      if (!compiled.uses_old && rule.optional_old_self)
        run_.Add(FieldErrorType::kInvalid, written["optionalOldSelf"].path, *rule.optional_old_self ? "true" : "false", "may not be set if oldSelf is not used in rule");
    }
  }

  Run& run_;
  std::uint64_t total_ = 0;
  std::vector<std::pair<std::uint64_t, Node>> expensive_;
};

}  // namespace

void CheckCustomRules(Run& run, const Node& schema) {
  RuleChecker checker(run);
  checker.Visit(schema, cel::SchemaRole::kResourceRoot, 1, "");
  checker.Total(schema);
}

}  // namespace rules
}  // namespace skerry::kube
