#include "embedded-kube-shim/apis/custom_rules.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include "core/base/strings.h"
#include "embedded-kube-shim/apis/custom_values.h"
#include "embedded-kube-shim/cel/program.h"
#include "embedded-kube-shim/apis/custom_rule_program.h"

// Rules at run time: every node of the schema that has some is visited with the value it describes.
namespace skerry::kube {
namespace {

using cel::Val;
using json::Value;

constexpr std::string_view kNoRules = "no further validation rules will be run";

// The rule as messages name it.
std::string_view NameOf(const CustomRule& rule) { return Trim(rule.message.empty() ? std::string_view(rule.rule) : std::string_view(rule.message)); }

std::string MessageOf(const CustomRule& rule) { return rule.message.empty() ? Cat("failed rule: ", Trim(rule.rule)) : std::string(Trim(rule.message)); }

FieldErrorType TypeOf(const CustomRule& rule) {
  if (rule.reason == "FieldValueRequired") return FieldErrorType::kRequired;
  if (rule.reason == "FieldValueDuplicate") return FieldErrorType::kDuplicate;
  if (rule.reason == "FieldValueForbidden") return FieldErrorType::kForbidden;
  return FieldErrorType::kInvalid;
}

struct NodeRules {
  cel::DeclTypePtr type;
  std::vector<CompiledRule> rules;     // as in CustomNode::rules
};

class Rules final : public CustomRules {
 public:
  explicit Rules(const CustomNode& root) : root_(root) { Collect(root, cel::SchemaRole::kResourceRoot); }
  bool empty() const { return nodes_.empty(); }

  void Validate(const Value& object, const Value* old, FieldErrors& errors, std::vector<std::string>& warnings) const override {
    Walk walk{*this, errors, warnings};
    // An unchanged part of an object that is updated counts as such even when rules never look at the old one.
    walk.Visit(root_, "", object, old, old);
  }

 private:
  void Collect(const CustomNode& node, cel::SchemaRole role) {
    if (!node.rules.empty()) {
      NodeRules compiled;
      compiled.type = cel::FromSchema(*node.written, role, "selfType1");
      for (const auto& rule : node.rules) compiled.rules.push_back(CompileRule(rule, compiled.type, *node.written));
      nodes_.emplace(&node, std::move(compiled));
    }
    for (const auto& [name, property] : node.properties) Collect(*property, cel::SchemaRole::kValue);
    if (node.items) Collect(*node.items, cel::SchemaRole::kValue);
    if (node.additional) Collect(*node.additional, cel::SchemaRole::kValue);
  }

  struct Walk {
    const Rules& owner;
    FieldErrors& errors;
    std::vector<std::string>& warnings;
    std::uint64_t budget = cel::kRuntimeBudget;
    bool stopped = false;

    void Add(FieldErrorType type, const std::string& path, std::string value, std::string detail) {
      errors.push_back({type, path.empty() ? "<nil>" : path, std::move(value), std::move(detail)});
    }

    // `old` is what rules may compare with, `before` what the value was (which more values have).
    void Visit(const CustomNode& node, const std::string& path, const Value& value, const Value* old, const Value* before) {
      if (stopped || value.is_null()) return;
      if (const auto at = owner.nodes_.find(&node); at != owner.nodes_.end()) Evaluate(node, at->second, path, value, old, before);
      if (stopped) return;
      if (value.is_array() && node.items) {
        std::size_t index = 0;
        for (const Value& item : value.Items()) {
          const Value* former = node.list_kind == ListKind::kMap ? SameKeys(node, old, item) : nullptr;
          const Value* was = node.list_kind == ListKind::kMap ? SameKeys(node, before, item) : nullptr;
          Visit(*node.items, Cat(path, "[", index++, "]"), item, former, was);
        }
      }
      if (!value.is_object()) return;
      const auto member_of = [&](const Value* from, const std::string& key) { return from && from->is_object() && !node.map_atomic ? from->Find(key) : nullptr; };
      for (const auto& member : value.Members()) {
        if (const auto* property = node.Property(member.key))
          Visit(*property, path.empty() ? member.key : Cat(path, ".", member.key), member.value, member_of(old, member.key), member_of(before, member.key));
        else if (node.additional)
          Visit(*node.additional, Cat(path, "[", member.key, "]"), member.value, member_of(old, member.key), member_of(before, member.key));
      }
    }

    static const Value* SameKeys(const CustomNode& node, const Value* list, const Value& item) {
      if (!list) return nullptr;
      for (const Value& candidate : list->Items())
        if (std::all_of(node.list_map_keys.begin(), node.list_map_keys.end(), [&](const std::string& key) { return candidate[key] == item[key]; })) return &candidate;
      return nullptr;
    }

    void Evaluate(const CustomNode& node, const NodeRules& compiled, const std::string& path, const Value& value, const Value* old, const Value* before) {
      for (std::size_t i = 0; i < compiled.rules.size() && !stopped; ++i) {
        const auto& rule = compiled.rules[i];
        if (!rule.error.empty()) Add(FieldErrorType::kInvalid, path, Quote(node.type), Cat("rule compile error: ", rule.error));
        if (!rule.program) continue;
        const bool optional = node.rules[i].optional_old_self.value_or(false);
        if (rule.uses_old && !optional && !old) continue;
        const Val self = Val::FromJson(value, compiled.type.get());
        Val former = old ? Val::FromJson(*old, compiled.type.get()) : Val();
        if (optional) former = old && !old->is_null() ? Val::Some(std::move(former)) : Val::None();
        const std::array<Val, 2> variables{self, former};
        const bool unchanged = !rule.uses_old && before && *before == value;
        One(node, node.rules[i], rule, path, value, variables, unchanged);
      }
    }

    bool Pay(std::uint64_t cost) {
      if (cost > budget) return false;
      budget -= cost;
      return true;
    }

    void One(const CustomNode& node, const CustomRule& rule, const CompiledRule& compiled, const std::string& path, const Value& value, std::span<const Val> variables, bool unchanged) {
      const auto result = compiled.program->Run(variables, cel::kPerCallLimit);
      if (!Pay(result.cost)) {
        Add(FieldErrorType::kInvalid, path, Quote(node.type), Cat("validation failed due to running out of cost budget, ", kNoRules));
        stopped = true;
        return;
      }
      if (result.value.is_error()) {
        Add(FieldErrorType::kInvalid, path, Quote(node.type), cel::RuleErrorText(result, NameOf(rule)));
        stopped = result.cancelled;
        return;
      }
      if (result.value.IsTrue()) return;
      const auto where = compiled.field_path.empty() ? path : path.empty() ? compiled.field_path : Cat(path, ".", compiled.field_path);
      FieldError error{TypeOf(rule), where.empty() ? "<nil>" : where, value.is_object() || value.is_array() ? std::string() : RenderValue(value), MessageOf(rule)};
      if (compiled.message) Told(node, rule, compiled, variables, error);
      if (error.type == FieldErrorType::kDuplicate) error.detail.clear();
      if (unchanged) warnings.push_back(error.Text());
      else errors.push_back(std::move(error));
    }

    // The message that an expression makes, when it makes a good one.
    void Told(const CustomNode& node, const CustomRule& rule, const CompiledRule& compiled, std::span<const Val> variables, FieldError& error) {
      const auto result = compiled.message->Run(variables, cel::kPerCallLimit);
      const auto give_up = [&](std::string why) {
        error = {FieldErrorType::kInvalid, error.path, Quote(node.type), std::move(why)};
        stopped = true;
      };
      if (!Pay(result.cost)) return give_up(Cat("messageExpression evaluation failed due to running out of cost budget, ", kNoRules));
      if (result.cancelled) return give_up(Cat(kNoRules, " due to call cost exceeds limit for messageExpression: ", Quote(rule.message_expression)));
      if (!result.value.is(cel::Kind::kString)) return;
      const auto text = Trim(result.value.text());
      if (!text.empty() && text.size() <= cel::kMaxMessageBytes && text.find_first_of("\n\r") == text.npos) error.detail = text;
    }
  };

  const CustomNode& root_;
  std::unordered_map<const CustomNode*, NodeRules> nodes_;
};

}  // namespace

std::shared_ptr<const CustomRules> CompileCustomRules(const CustomNode& root) {
  auto rules = std::make_shared<const Rules>(root);
  return rules->empty() ? nullptr : rules;
}

}  // namespace skerry::kube
