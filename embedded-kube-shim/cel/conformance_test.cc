#include <catch2/catch.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "embedded-kube-shim/cel/program.h"
#include "embedded-kube-shim/cel/unescape.h"

// The published conformance cases of the language (google/cel-spec, tests/simple/testdata/*.textproto). They are not kept here:
// tests/compat/cel-conformance.sh gets them and names their folder in SKERRY_CEL_CASES. Left out as not applicable: cases about protobuf
// messages, enums and wrappers, functions declared by the case, containers, and cases that run without type checking.
namespace skerry::kube::cel {
namespace {

// A message in protobuf's text format: fields in order, each a scalar text or a message.
struct Node {
  std::string name, text;
  std::vector<Node> fields;
  const Node* Find(std::string_view wanted) const {
    const auto at = std::ranges::find(fields, wanted, &Node::name);
    return at == fields.end() ? nullptr : &*at;
  }
  std::string_view Text(std::string_view wanted) const {
    const Node* node = Find(wanted);
    return node == nullptr ? std::string_view() : std::string_view(node->text);
  }
};

class TextProto {
 public:
  explicit TextProto(std::string_view text) : rest_(text) {}
  std::vector<Node> Fields() {
    std::vector<Node> fields;
    for (;;) {
      Space();
      if (rest_.empty() || rest_[0] == '}') return fields;
      Node node;
      node.name = Name();
      Space();
      if (rest_.starts_with(':')) rest_.remove_prefix(1);
      Space();
      if (rest_.starts_with('{')) {
        rest_.remove_prefix(1);
        node.fields = Fields();
        Skip();
      } else {
        node.text = Scalar();
      }
      Space();
      if (rest_.starts_with(',') || rest_.starts_with(';')) Skip();
      fields.push_back(std::move(node));
    }
  }

 private:
  void Skip() { if (!rest_.empty()) rest_.remove_prefix(1); }
  void Space() {
    while (!rest_.empty() && (std::isspace(static_cast<unsigned char>(rest_[0])) || rest_[0] == '#')) {
      rest_.remove_prefix(rest_[0] == '#' ? std::min(rest_.find('\n'), rest_.size()) : 1);
    }
  }
  std::string Name() {
    const std::size_t end = rest_[0] == '[' ? rest_.find(']') + 1 : rest_.find_first_of(" :{\n\t");
    const std::string name(rest_.substr(0, end));
    rest_.remove_prefix(std::min(std::max<std::size_t>(end, 1), rest_.size()));
    return name;
  }
  std::string Scalar() {
    if (rest_[0] != '"' && rest_[0] != '\'') {
      const std::size_t end = std::min(rest_.find_first_of(" ,;}\n\t"), rest_.size());
      const std::string word(rest_.substr(0, end));
      rest_.remove_prefix(std::max<std::size_t>(end, 1));
      return word;
    }
    std::string out;
    while (rest_.starts_with('"') || rest_.starts_with('\'')) {   // adjacent literals are one
      std::size_t end = 1;
      while (end < rest_.size() && rest_[end] != rest_[0]) end += rest_[end] == '\\' ? 2 : 1;
      out += Bytes(rest_.substr(1, end - 1));
      rest_.remove_prefix(std::min(end + 1, rest_.size()));
      Space();
    }
    return out;
  }
  static std::string Bytes(std::string_view literal) {
    std::string out;
    for (std::size_t i = 0; i < literal.size(); ++i) {
      if (literal[i] != '\\') {
        out += literal[i];
        continue;
      }
      const char c = literal[++i];
      std::uint32_t code = 0;
      const auto number = [&](std::size_t from, std::size_t most, int base) {
        const auto end = std::from_chars(literal.data() + from, literal.data() + std::min(from + most, literal.size()), code, base).ptr;
        i = static_cast<std::size_t>(end - literal.data()) - 1;
      };
      if (c >= '0' && c <= '7') number(i, 3, 8), out += static_cast<char>(code);
      else if (c == 'x') number(i + 1, 2, 16), out += static_cast<char>(code);
      else if (c == 'u') number(i + 1, 4, 16), AppendUtf8(out, code);
      else if (c == 'U') number(i + 1, 8, 16), AppendUtf8(out, code);
      else if (c == 'n') out += '\n';
      else if (c == 't') out += '\t';
      else if (c == 'r') out += '\r';
      else if (c == 'a') out += '\a';
      else if (c == 'b') out += '\b';
      else if (c == 'f') out += '\f';
      else if (c == 'v') out += '\v';
      else out += c;
    }
    return out;
  }

  std::string_view rest_;
};

double Number(std::string_view text) {
  if (text == "inf" || text == "infinity" || text == "Infinity") return HUGE_VAL;
  if (text == "-inf" || text == "-infinity" || text == "-Infinity") return -HUGE_VAL;
  if (text == "nan") return std::nan("");
  return std::strtod(std::string(text).c_str(), nullptr);
}

// Nothing = a value that is not of this world (protobuf messages, enums).
std::optional<Val> ValueOf(const Node& value) {
  if (value.fields.size() != 1) return std::nullopt;
  const Node& is = value.fields[0];
  if (is.name == "null_value") return Val();
  if (is.name == "bool_value") return Val::Bool(is.text == "true");
  if (is.name == "int64_value") return Val::Int(static_cast<std::int64_t>(std::strtoll(is.text.c_str(), nullptr, 0)));
  if (is.name == "uint64_value") return Val::Uint(std::strtoull(is.text.c_str(), nullptr, 0));
  if (is.name == "double_value") return Val::Double(Number(is.text));
  if (is.name == "string_value") return Val::String(is.text);
  if (is.name == "bytes_value") return Val::Bytes(is.text);
  if (is.name == "type_value") return Val::TypeName(is.text);
  if (is.name == "list_value") {
    std::vector<Val> items;
    for (const Node& field : is.fields) {
      if (field.name != "values") continue;
      auto item = ValueOf(field);
      if (!item) return std::nullopt;
      items.push_back(std::move(*item));
    }
    return Val::List(std::move(items));
  }
  if (is.name == "map_value") {
    std::vector<std::pair<Val, Val>> entries;
    for (const Node& field : is.fields) {
      const Node* key = field.Find("key");
      const Node* entry = field.Find("value");
      auto k = key == nullptr ? std::nullopt : ValueOf(*key), v = entry == nullptr ? std::nullopt : ValueOf(*entry);
      if (!k || !v) return std::nullopt;
      entries.emplace_back(std::move(*k), std::move(*v));
    }
    return Val::Map(std::move(entries));
  }
  if (is.name == "object_value" && is.fields.size() == 1) {
    const Node& any = is.fields[0];
    const std::int64_t seconds = std::strtoll(std::string(any.Text("seconds")).c_str(), nullptr, 10);
    const std::int64_t nanos = std::strtoll(std::string(any.Text("nanos")).c_str(), nullptr, 10);
    if (any.name.ends_with("google.protobuf.Duration]")) return Val::Duration(seconds * 1'000'000'000 + nanos);
    if (any.name.ends_with("google.protobuf.Timestamp]")) return Val::Timestamp(seconds, static_cast<std::int32_t>(nanos));
  }
  return std::nullopt;
}

TypePtr TypeOfNode(const Node& type) {
  if (type.fields.size() != 1) return nullptr;
  const Node& is = type.fields[0];
  constexpr std::pair<std::string_view, TypeKind> kNames[] = {{"BOOL", TypeKind::kBool}, {"INT64", TypeKind::kInt}, {"UINT64", TypeKind::kUint}, {"DOUBLE", TypeKind::kDouble}, {"STRING", TypeKind::kString},
                                                              {"BYTES", TypeKind::kBytes}, {"TIMESTAMP", TypeKind::kTimestamp}, {"DURATION", TypeKind::kDuration}};
  for (const auto& [name, kind] : kNames) {
    if ((is.name == "primitive" || is.name == "well_known") && is.text == name) return Simple(kind);
  }
  if (is.name == "dyn") return Simple(TypeKind::kDyn);
  if (is.name == "null") return Simple(TypeKind::kNull);
  if (is.name == "list_type" && is.Find("elem_type") != nullptr) {
    const TypePtr element = TypeOfNode(*is.Find("elem_type"));
    return element == nullptr ? nullptr : ListOf(element);
  }
  if (is.name == "map_type" && is.Find("key_type") != nullptr && is.Find("value_type") != nullptr) {
    const TypePtr key = TypeOfNode(*is.Find("key_type")), value = TypeOfNode(*is.Find("value_type"));
    return key == nullptr || value == nullptr ? nullptr : MapOf(key, value);
  }
  return nullptr;
}

bool Same(const Val& a, const Val& b) {
  if (a.is(Kind::kDouble) && b.is(Kind::kDouble) && std::isnan(a.number())) return std::isnan(b.number());
  if (a.kind() != b.kind()) return false;
  return Equal(a, b);
}

enum class Verdict { kPass, kFail, kNotApplicable };

bool MentionsMessages(std::string_view source) {
  for (const char* word : {"TestAllTypes", "NestedTestAllTypes", "GlobalEnum", "google.protobuf.Any", "google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue", "Value{", "cel.block", "cel.@block",
                           "proto.", "google.api", "TestRequired"}) {
    if (source.find(word) != std::string_view::npos) return true;
  }
  return false;
}

Verdict RunCase(const Node& test, std::string* why) {
  const std::string source(test.Text("expr"));
  if (MentionsMessages(source) || test.Text("disable_check") == "true" || test.Text("check_only") == "true" || test.Find("container") != nullptr || test.Find("any_eval_errors") != nullptr || test.Find("unknown") != nullptr) return Verdict::kNotApplicable;
  Env env(FullLibrary());
  std::map<std::string, Val> bound;
  for (const Node& field : test.fields) {
    if (field.name == "type_env") {
      const Node* ident = field.Find("ident");
      const TypePtr type = ident == nullptr || ident->Find("type") == nullptr ? nullptr : TypeOfNode(*ident->Find("type"));
      if (type == nullptr) return Verdict::kNotApplicable;
      env.Declare(std::string(field.Text("name")), type);
    }
    if (field.name == "bindings") {
      const Node* expr = field.Find("value");
      const Node* value = expr == nullptr ? nullptr : expr->Find("value");
      auto bound_value = value == nullptr ? std::nullopt : ValueOf(*value);
      if (!bound_value) return Verdict::kNotApplicable;
      bound[std::string(field.Text("key"))] = std::move(*bound_value);
    }
  }
  const bool wants_error = test.Find("eval_error") != nullptr;
  const Node* wanted = test.Find("value");
  if (const Node* typed = test.Find("typed_result"); wanted == nullptr && typed != nullptr) wanted = typed->Find("result");
  auto value = wanted == nullptr ? std::optional(Val::Bool(true)) : ValueOf(*wanted);
  if (!value && !wants_error) return Verdict::kNotApplicable;
  const auto program = Program::Compile(env, source);
  if (!program) {
    *why = program.error().message();
    return wants_error ? Verdict::kPass : Verdict::kFail;   // found wrong before it could run
  }
  std::vector<Val> variables;
  for (const Variable& variable : env.variables()) variables.push_back(bound.contains(variable.name) ? bound[variable.name] : Val::Error(Cat("no such attribute(s): ", variable.name)));
  const EvalResult result = (*program)->Run(variables);
  *why = result.value.is_error() ? std::string(result.value.text()) : std::string(result.value.type_name());
  if (wants_error) return result.value.is_error() ? Verdict::kPass : Verdict::kFail;
  return Same(result.value, *value) ? Verdict::kPass : Verdict::kFail;
}

}  // namespace

TEST_CASE("the published conformance cases of the language pass", "[.cel-conformance]") {
  const char* folder = std::getenv("SKERRY_CEL_CASES");
  REQUIRE(folder != nullptr);
  int passed = 0, failed = 0, other = 0;
  for (const char* file : {"basic", "bindings_ext", "comparisons", "conversions", "encoders_ext", "fp_math", "integer_math", "lists", "logic", "macros", "macros2", "math_ext", "namespace", "optionals", "parse", "plumbing",
                           "string", "string_ext", "timestamps", "type_deduction", "dynamic", "enums", "fields", "proto2", "proto2_ext", "proto3", "unknowns", "wrappers", "block_ext"}) {
    const auto text = ReadFile(Cat(folder, "/", file, ".textproto"));
    REQUIRE(text.has_value());
    int of_file = 0, all = 0;
    for (const Node& section : TextProto(*text).Fields()) {
      for (const Node& test : section.fields) {
        if (section.name != "section" || test.name != "test") continue;
        std::string why;
        const Verdict verdict = RunCase(test, &why);
        if (verdict == Verdict::kNotApplicable) {
          ++other;
          continue;
        }
        ++all;
        verdict == Verdict::kPass ? (++passed, ++of_file) : ++failed;
        if (verdict == Verdict::kFail) std::printf("  %s/%s/%s: %s => %s\n", file, std::string(section.Text("name")).c_str(), std::string(test.Text("name")).c_str(), std::string(test.Text("expr")).c_str(), why.c_str());
      }
    }
    std::printf("%-16s %d of %d\n", file, of_file, all);
  }
  std::printf("conformance: %d passed, %d failed, %d not applicable\n", passed, failed, other);
  const char* floor = std::getenv("SKERRY_CEL_FLOOR");
  CHECK(passed >= (floor == nullptr ? 1 : std::atoi(floor)));
}

}  // namespace skerry::kube::cel
