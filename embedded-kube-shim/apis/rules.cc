#include "embedded-kube-shim/apis/rules.h"
#include "embedded-kube-shim/apis/same_value.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "core/base/strings.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/api/builtin_tables.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/typed_walk.h"

namespace skerry::kube::rules {
namespace {

using json::Value;

struct Segment {
  std::string name, shown;
  bool each = false;      // of every item or map value
  bool flat = false;      // without [index] in the path
  bool operator==(const Segment&) const = default;
};

struct Term {
  enum class Op : std::uint8_t { kHas, kEquals, kPrefix, kMore, kLess, kMoreItems, kCreate, kUpdate, kTemplate, kSubresource };
  Op op = Op::kHas;
  bool negate = false;
  enum class From : std::uint8_t { kParent, kBase, kRoot, kOld } from = From::kParent;
  std::vector<std::string> path;
  std::vector<std::string> values;
  std::int64_t number = 0;
};

enum class Check : std::uint8_t {
  kRequired, kForbid, kBad, kNotFound, kEnum, kFormat, kRange, kMin, kMax, kMaxLength, kMaxItems, kMinItems, kUnique, kImmutable, kPositive, kNonNegative, kPort, kAbsolute, kCall, kDescend, kSkip,
};

struct Rule {
  std::vector<Segment> path;
  Check check = Check::kRequired;
  bool strict = false;            // '!' after the check: an absent value is checked like an empty one
  std::vector<std::string> list;
  std::int64_t low = 0, high = 0;
  format::Check format = nullptr;
  Call call = nullptr;
  std::vector<Term> when;
  std::string message;
};

struct Definition { std::vector<Rule> rules; std::vector<std::string_view> placed; };   // placed: fields that rules visit themselves

Call FindCall(std::string_view name) {
  for (const auto calls : {MetaCalls(), PodCalls(), ContainerCalls(), VolumeCalls(), ServiceCalls(), CoreCalls(), StorageCalls(), WorkloadCalls(), BatchCalls(), NetworkCalls(), AdmissionCalls(), DraCalls(), CrdCalls(), OtherCalls()})
    for (const NamedCall& entry : calls)
      if (entry.name == name) return entry.call;
  return nullptr;
}

std::vector<std::string> Strings(std::string_view text, char separator) {
  std::vector<std::string> out;
  for (std::string_view piece : Split(text, separator)) out.emplace_back(piece);
  return out;
}

std::vector<Segment> ParsePath(std::string_view text) {
  std::vector<Segment> out;
  if (text == ".") return out;
  for (std::string_view piece : Split(text, '.')) {
    Segment segment;
    const auto tilde = piece.find('~');
    std::string_view name = piece.substr(0, tilde);
    if (name.ends_with("[]")) {
      segment.each = true;
      name.remove_suffix(2);
    }
    segment.name = segment.shown = name;
    if (tilde != piece.npos) {
      std::string_view shown = piece.substr(tilde + 1);
      segment.flat = segment.each && !shown.ends_with("[]");
      if (shown.ends_with("[]")) shown.remove_suffix(2);
      segment.shown = shown;
    }
    out.push_back(std::move(segment));
  }
  return out;
}

// "!a.b", "type=X|Y", "name^=x", "#list>3", "create"
Term ParseTerm(std::string_view text) {
  Term term;
  text = Trim(text);
  if (text.starts_with('!')) term.negate = true, text.remove_prefix(1);
  if (text == "create" || text == "update" || text == "template") {
    term.op = text == "create" ? Term::Op::kCreate : text == "update" ? Term::Op::kUpdate : Term::Op::kTemplate;
    return term;
  }
  if (text.starts_with("sub=")) {
    term.op = Term::Op::kSubresource;
    term.values = Strings(text.substr(4), '|');
    return term;
  }
  if (text.starts_with("old:")) term.from = Term::From::kOld, text.remove_prefix(4);
  if (text.starts_with('/')) term.from = Term::From::kBase, text.remove_prefix(1);
  if (text.starts_with('$')) term.from = Term::From::kRoot, text.remove_prefix(1);
  const bool count = text.starts_with('#');
  if (count) text.remove_prefix(1);
  std::size_t at = text.find_first_of("=^<>!");
  if (at == text.npos) {
    term.path = Strings(text, '.');
    return term;
  }
  term.path = Strings(text.substr(0, at), '.');
  std::string_view op = text.substr(at, 1), rest = text.substr(at + 1);
  if (op == "!") {
    term.negate = !term.negate;
    rest.remove_prefix(1);
    op = "=";
  }
  if (op == "^") rest.remove_prefix(1);
  term.op = op == "=" ? Term::Op::kEquals : op == "^" ? Term::Op::kPrefix : op == "<" ? Term::Op::kLess : count ? Term::Op::kMoreItems : Term::Op::kMore;
  term.values = Strings(rest, '|');
  term.number = ParseInt(rest).value_or(0);
  return term;
}

Check CheckOf(std::string_view name) {
  struct Row { std::string_view name; Check check; };
  static constexpr Row kRows[] = {
      {"req", Check::kRequired}, {"forbid", Check::kForbid}, {"bad", Check::kBad}, {"notfound", Check::kNotFound}, {"enum", Check::kEnum}, {"fmt", Check::kFormat},
      {"range", Check::kRange}, {"min", Check::kMin}, {"max", Check::kMax}, {"maxlen", Check::kMaxLength}, {"maxitems", Check::kMaxItems}, {"minitems", Check::kMinItems},
      {"unique", Check::kUnique}, {"immutable", Check::kImmutable}, {"positive", Check::kPositive}, {"nonneg", Check::kNonNegative}, {"port", Check::kPort},
      {"abs", Check::kAbsolute}, {"call", Check::kCall}, {"descend", Check::kDescend}, {"skip", Check::kSkip}};
  for (const Row& row : kRows)
    if (row.name == name) return row.check;
  return Check::kSkip;
}

Rule ParseRule(const builtin::RuleRow& row) {
  Rule rule;
  rule.path = ParsePath(row.path);
  std::string_view check = row.check;
  if (check.ends_with('!')) rule.strict = true, check.remove_suffix(1);
  rule.check = CheckOf(check);
  const std::string_view arg = row.arg;
  switch (rule.check) {
    case Check::kEnum: rule.list = Strings(arg, ','); break;
    case Check::kUnique: rule.list = Strings(arg, ','); break;
    case Check::kFormat: rule.format = format::Find(arg); break;
    case Check::kCall: rule.call = FindCall(arg); break;
    case Check::kRange: {
      const auto dots = arg.find("..");
      rule.low = ParseInt(arg.substr(0, dots)).value_or(0);
      rule.high = ParseInt(arg.substr(dots + 2)).value_or(0);
      break;
    }
    default: rule.low = ParseInt(arg).value_or(0); break;
  }
  if (*row.when)
    for (std::string_view term : Split(row.when, '&')) rule.when.push_back(ParseTerm(term));
  rule.message = row.message;
  return rule;
}

class Table {
 public:
  const Definition* Find(std::string_view name) {
    std::lock_guard lock(mutex_);
    const auto known = definitions_.find(name);
    if (known != definitions_.end()) return known->second.get();
    const builtin::RuleRow* end = builtin::kRules + builtin::kRuleCount;
    const builtin::RuleRow* row = std::lower_bound(builtin::kRules, end, name, [](const builtin::RuleRow& r, std::string_view wanted) { return r.definition < wanted; });
    if (row == end || row->definition != name) return nullptr;
    auto definition = std::make_unique<Definition>();
    const std::string_view key = row->definition;
    for (; row != end && row->definition == key; ++row) {
      definition->rules.push_back(ParseRule(*row));
      const Rule& rule = definition->rules.back();
      if ((rule.check == Check::kDescend || rule.check == Check::kSkip) && rule.path.size() == 1) definition->placed.push_back(std::string_view(row->path));
    }
    return definitions_.emplace(key, std::move(definition)).first->second.get();
  }

 private:
  std::mutex mutex_;
  std::unordered_map<std::string_view, std::unique_ptr<Definition>> definitions_;   // keys live in the tables
};

Table& Rules() {
  static Table table;
  return table;
}

// Built-in schemas live for ever: each thread remembers what it found for them.
const Definition* DefinitionOf(SchemaPtr schema) {
  if (schema->openapi || schema->custom) return Rules().Find(schema->name);
  thread_local std::unordered_map<SchemaPtr, const Definition*> found;
  const auto [at, fresh] = found.try_emplace(schema, nullptr);
  if (fresh) at->second = Rules().Find(schema->name);
  return at->second;
}

// Nobody reads more errors than that; rules are no longer checked then.
constexpr std::size_t kMostErrors = 4096;

class Evaluator {
 public:
  Evaluator(Run& run, const Node& base) : run_(run), base_(base) {}

  struct Item { const Rule* rule; std::size_t at; };   // the rule and how much of its path is behind us

  // Consecutive rules into the same list run item by item, as upstream's loops do.
  void Evaluate(std::span<const Item> items, const Node& node) {
    for (std::size_t i = 0; i < items.size() && run_.errors.size() < kMostErrors;) {
      const Rule& rule = *items[i].rule;
      std::size_t each = items[i].at;
      while (each < rule.path.size() && !rule.path[each].each) ++each;
      if (each >= rule.path.size()) {
        Single(rule, items[i].at, node);
        ++i;
        continue;
      }
      std::size_t end = i + 1;
      while (end < items.size() && SharesPrefix(items[i], items[end], each + 1)) ++end;
      Node list = node;
      for (std::size_t s = items[i].at; s <= each; ++s) list = list.As(rule.path[s].name, rule.path[s].shown);
      std::vector<Item> inner;
      for (std::size_t k = i; k < end; ++k) inner.push_back({items[k].rule, each + 1});
      Each(list, rule.path[each].flat, node, inner);
      i = end;
    }
  }

 private:
  static bool SharesPrefix(const Item& a, const Item& b, std::size_t until) {
    if (a.at != b.at || b.rule->path.size() < until) return false;
    return std::equal(a.rule->path.begin() + static_cast<std::ptrdiff_t>(a.at), a.rule->path.begin() + static_cast<std::ptrdiff_t>(until),
                      b.rule->path.begin() + static_cast<std::ptrdiff_t>(b.at));
  }

  void Each(const Node& list, bool flat, const Node&, std::span<const Item> inner) {
    if (list->is_array())
      for (std::size_t i = 0; i < list.size(); ++i) Evaluate(inner, flat ? list.Flat(i) : list.At(i));
    if (!list->is_object()) return;
    const MemberIndex before(list.old);
    for (const json::Member& member : list->Members()) {
      Node item = list.Key(member, before.Find(member.key));
      if (flat) item.path = list.path;
      Evaluate(inner, item);
    }
  }

  void Single(const Rule& rule, std::size_t from, const Node& node) {
    Node parent = node, target = node;
    for (std::size_t s = from; s < rule.path.size(); ++s) {
      parent = target;
      if (s > from && parent->is_null() && rule.check != Check::kImmutable) return;   // below something absent nothing is checked
      target = parent.As(rule.path[s].name, rule.path[s].shown);
    }
    for (const Term& term : rule.when)
      if (!Holds(term, parent)) return;
    Apply(rule, target);
  }

  bool Holds(const Term& term, const Node& parent) const {
    bool holds = false;
    switch (term.op) {
      case Term::Op::kCreate: holds = !run_.updating(); break;
      case Term::Op::kUpdate: holds = run_.updating(); break;
      case Term::Op::kTemplate: holds = run_.templates > 0; break;
      case Term::Op::kSubresource: holds = std::find(term.values.begin(), term.values.end(), run_.subresource) != term.values.end(); break;
      default: holds = HoldsFor(term, Look(term, parent)); break;
    }
    return holds != term.negate;
  }

  const Value& Look(const Term& term, const Node& parent) const {
    const Value* at = term.from == Term::From::kRoot ? &run_.root : term.from == Term::From::kBase ? base_.value : term.from == Term::From::kOld ? parent.old : parent.value;
    for (const std::string& name : term.path)
      if (!name.empty()) at = &(*at)[name];
    return *at;
  }

  static bool HoldsFor(const Term& term, const Value& value) {
    switch (term.op) {
      case Term::Op::kEquals: {
        const std::string text = value.is_string() ? std::string(value.Str()) : value.is_null() ? "" : value.Dump();
        return std::find(term.values.begin(), term.values.end(), text) != term.values.end();
      }
      case Term::Op::kPrefix: return std::any_of(term.values.begin(), term.values.end(), [&](const std::string& p) { return value.Str().starts_with(p); });
      case Term::Op::kMore: return value.Int() > term.number;
      case Term::Op::kLess: return value.Int() < term.number;
      case Term::Op::kMoreItems: return static_cast<std::int64_t>(value.size()) > term.number;
      default:
        return !value.is_null() && !(value.is_string() && value.Str().empty()) && !((value.is_array()) && value.size() == 0) && !(value.is_bool() && !value.Bool());
    }
  }

  void Apply(const Rule& rule, const Node& at) {
    switch (rule.check) {
      case Check::kRequired:
        if (IsMissing(at)) run_.Required(at, rule.message);
        return;
      case Check::kForbid:
        if (at.Has() && !(at->is_bool() && !at->Bool() && !(at.field && at.field->pointer))) run_.Forbidden(at, rule.message);
        return;
      case Check::kBad: return run_.Invalid(at, rule.message);
      case Check::kNotFound: return run_.NotFound(at, rule.message);
      case Check::kUnique: return Unique(rule, at);
      case Check::kImmutable:
        if (run_.updating() && !Unchanged(at)) run_.Invalid(at, rule.message.empty() ? "field is immutable" : rule.message);
        return;
      case Check::kCall:
        if (rule.call) rule.call(run_, at);
        return;
      case Check::kDescend: return run_.Apply(at);
      case Check::kSkip: return;
      case Check::kMinItems:
        if (static_cast<std::int64_t>(at.size()) < rule.low) run_.Required(at, rule.message);
        return;
      default: return Scalar(rule, at);
    }
  }

  static bool IsMissing(const Node& at) {
    if (at->is_string()) return at->Str().empty();
    if (at->is_array()) return at.size() == 0;
    if (at->is_object()) return at.schema && at.schema->type == Type::kMap && at.size() == 0;
    if (at->is_int() && !(at.field && at.field->pointer)) return at->Int() == 0;
    return at->is_null();
  }

  void Unique(const Rule& rule, const Node& at) {
    std::set<std::string> seen;
    for (const Node& item : at.Items()) {
      std::string key;
      for (const std::string& name : rule.list) key += (name == "." ? *item : (*item)[name]).Dump() + "\n";
      const Node shown = rule.list[0] == "." ? item : rule.list.size() == 1 ? item[rule.list[0]] : item;
      if (!(*shown).is_null() && !seen.insert(key).second) run_.Duplicate(shown);
    }
  }

  void Scalar(const Rule& rule, const Node& at) {
    const bool absent = at->is_null();
    const bool empty = absent || (at->is_string() && at->Str().empty());
    switch (rule.check) {
      case Check::kEnum: {
        if (empty && !rule.strict && !(at.field && at.field->pointer && !absent)) return;
        if (std::find(rule.list.begin(), rule.list.end(), at->Str()) != rule.list.end()) return;
        if (!rule.message.empty()) return run_.Invalid(at, rule.message);
        std::vector<std::string_view> views(rule.list.begin(), rule.list.end());
        return run_.NotSupported(at, views);
      }
      case Check::kFormat:
        if ((empty && !rule.strict && !(at.field && at.field->pointer && !absent)) || !rule.format) return;
        for (std::string& message : rule.format(at->Str())) run_.Invalid(at, rule.message.empty() ? std::move(message) : rule.message);
        return;
      case Check::kMaxLength:
        if (static_cast<std::int64_t>(at->Str().size()) > rule.low) run_.TooLong(at, static_cast<std::size_t>(rule.low));
        return;
      case Check::kMaxItems:
        if (static_cast<std::int64_t>(at.size()) > rule.low) run_.TooMany(at, static_cast<std::size_t>(rule.low));
        return;
      case Check::kAbsolute:
        if (!absent && !at->Str().starts_with('/')) run_.Invalid(at, rule.message.empty() ? "must be an absolute path" : rule.message);
        return;
      default: return Number(rule, at);
    }
  }

  void Number(const Rule& rule, const Node& at) {
    if (at->is_null() && at.field && at.field->pointer) return;
    if (at.schema && at.schema->type == Type::kQuantity) return Amount(rule, at);
    const std::int64_t number = at->Int();
    const auto say = [&](std::string text) { run_.Invalid(at, rule.message.empty() ? std::move(text) : rule.message); };
    if (rule.check == Check::kRange && (number < rule.low || number > rule.high)) say(Cat("must be between ", rule.low, " and ", rule.high, ", inclusive"));
    if (rule.check == Check::kPort && (number < 1 || number > 65535)) say("must be between 1 and 65535, inclusive");
    if (rule.check == Check::kMin && number < rule.low) say(rule.low == 0 ? "must be greater than or equal to 0" : Cat("must be greater than or equal to ", rule.low));
    if (rule.check == Check::kMax && number > rule.low) say(Cat("must be less than or equal to ", rule.low));
    if (rule.check == Check::kNonNegative && number < 0) say("must be greater than or equal to 0");
    if (rule.check == Check::kPositive && number <= 0) say("must be greater than zero");
  }

  void Amount(const Rule& rule, const Node& at) {
    const int sign = text::Quantity::Parse(at->Str("0")).value_or(text::Quantity()).sign();
    if (rule.check == Check::kNonNegative && sign < 0) run_.Invalid(at, rule.message.empty() ? "must be greater than or equal to 0" : rule.message);
    if (rule.check == Check::kPositive && sign <= 0) run_.Invalid(at, rule.message.empty() ? "must be greater than zero" : rule.message);
  }

  Run& run_;
  const Node& base_;
};

}  // namespace

void Run::Add(FieldErrorType type, std::string path, std::string value, std::string detail) {
  if (errors.size() < kMostErrors) errors.push_back({type, std::move(path), std::move(value), std::move(detail)});
}

void Run::TooLong(const Node& at, std::size_t limit) { Add(FieldErrorType::kTooLong, at.path, {}, Cat("may not be more than ", limit, limit == 1 ? " byte" : " bytes")); }

void Run::TooMany(const Node& at, std::size_t limit) {
  Add(FieldErrorType::kTooMany, at.path, std::to_string(at.size()), Cat("must have at most ", limit, limit == 1 ? " item" : " items"));
}

void Run::NotSupported(const Node& at, std::span<const std::string_view> supported) {
  std::string detail = "supported values: ";
  for (std::size_t i = 0; i < supported.size(); ++i) detail += Cat(i ? ", " : "", Quote(supported[i]));
  Add(FieldErrorType::kNotSupported, at.path, Render(at), std::move(detail));
}

bool Run::Format(const Node& at, format::Check check, std::string_view text) {
  const auto messages = check(text);
  for (const std::string& message : messages) Invalid(at, at->is_string() && at->Str() == text ? Render(at) : Quote(text), message);
  return messages.empty();
}

bool Run::RequiredFormat(const Node& at, format::Check check) {
  if (!at->Str().empty()) return Format(at, check);
  Required(at);
  return false;
}

bool Run::Enum(const Node& at, std::initializer_list<std::string_view> supported) {
  if (std::find(supported.begin(), supported.end(), at->Str()) != supported.end()) return true;
  NotSupported(at, supported);
  return false;
}

bool Run::Range(const Node& at, std::int64_t low, std::int64_t high) {
  const std::int64_t number = at->Int();
  if (number >= low && number <= high) return true;
  Invalid(at, Cat("must be between ", low, " and ", high, ", inclusive"));
  return false;
}

bool Run::NonNegative(const Node& at) {
  if (at->Int() >= 0) return true;
  Invalid(at, "must be greater than or equal to 0");
  return false;
}

bool Run::Positive(const Node& at) {
  if (at->Int() > 0) return true;
  Invalid(at, "must be greater than zero");
  return false;
}

bool Run::Immutable(const Node& at) {
  if (!updating() || Unchanged(at)) return true;
  Invalid(at, "field is immutable");
  return false;
}

void Run::Apply(const Node& node) {
  if (!node.schema || node->is_null()) return;
  if (node->is_array()) {
    if (!node.schema->item || node.schema->item->type != Type::kStruct) return;
    for (const Node& item : node.Items()) Apply(item);
    return;
  }
  if (node.schema->type == Type::kMap) {
    if (node.schema->item->type != Type::kStruct) return;
    const MemberIndex before(node.old);
    for (const json::Member& member : node->Members()) Apply(node.Key(member, before.Find(member.key)));
    return;
  }
  if (node.schema->type != Type::kStruct) return;
  const Definition* definition = DefinitionOf(node.schema);
  if (definition) {
    std::vector<Evaluator::Item> items;
    for (const Rule& rule : definition->rules) items.push_back({&rule, 0});
    Evaluator(*this, node).Evaluate(items, node);
  }
  Fields(node, definition ? std::span<const std::string_view>(definition->placed) : std::span<const std::string_view>());
}

void Run::Fields(const Node& node, std::span<const std::string_view> without) {
  for (const Field& field : node.schema->fields) {
    if (field.type->type != Type::kStruct && field.type->type != Type::kList && field.type->type != Type::kMap) continue;
    if (std::find(without.begin(), without.end(), field.name) != without.end()) continue;
    if (const Value* child = node->Find(field.name); child && (child->is_object() || child->is_array())) Apply(node[field.name]);
  }
}

namespace {

// Endpoints of an object have rules of their own; those that write the object itself (finalize, ephemeralcontainers, resize) have its.
void ApplySubresource(Run& run, const Node& root) {
  if (run.subresource != "status" && run.subresource != "approval") return run.Apply(root);
  const Definition* definition = Rules().Find(Cat(root.schema->name, "@status"));
  if (!definition) return;
  std::vector<Evaluator::Item> items;
  for (const Rule& rule : definition->rules) items.push_back({&rule, 0});
  Evaluator(run, root).Evaluate(items, root);
}

}  // namespace

void ValidateBuiltin(const ResourceDef& def, const Version& version, std::string_view subresource, const Value& object, const Value* old, FieldErrors& errors) {
  static const Value kNone;
  Run run{errors, def, version.name, subresource, object, old};
  const Node root{&object, old ? old : &kNone, version.schema, nullptr, ""};
  // A create that its kind refuses is answered with the kind's errors alone; an update with all.
  if (old) CheckGenericMeta(run, root["metadata"]);
  // What is created by way of its status has to be right as a whole.
  if (subresource.empty() || (!old && subresource == "status")) run.Apply(root);
  else ApplySubresource(run, root);
  if (!old && errors.empty() && !def.virtual_resource) CheckGenericMeta(run, root["metadata"]);
}

}  // namespace skerry::kube::rules
