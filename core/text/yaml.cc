#include "core/text/yaml.h"

#include <yaml.h>

#include <algorithm>
#include <map>
#include <memory>

#include "core/base/strings.h"
#include "core/text/base64.h"
#include "core/text/yaml_scalar.h"

namespace skerry::text {
namespace {

using internal::Scalar;
using internal::ScalarKind;

constexpr std::string_view kTagPrefix = "tag:yaml.org,2002:";

std::unexpected<Error> BadYaml(std::string message) { return Fail(Code::kBadRequest, "yaml: " + std::move(message)); }

class Event {
 public:
  Event() = default;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { Clear(); }
  void Clear() {
    if (full_) yaml_event_delete(&event_);
    full_ = false;
  }
  yaml_event_t* Slot() {
    Clear();
    full_ = true;
    return &event_;
  }
  const yaml_event_t& operator*() const { return event_; }
  const yaml_event_t* operator->() const { return &event_; }

 private:
  yaml_event_t event_{};
  bool full_ = false;
};

std::string_view Text(const yaml_char_t* s) { return s ? std::string_view(reinterpret_cast<const char*>(s)) : std::string_view(); }

// A key as a repeated-key message prints it, and as JSON holds it.
struct Key {
  std::string text, printed;
  bool merge = false;
};

class Reader {
 public:
  Reader(std::string_view text, const YamlOptions& options) : options_(options) {
    yaml_parser_initialize(&parser_);
    if (text.empty()) text = "";   // a null pointer is refused
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  }
  ~Reader() { yaml_parser_delete(&parser_); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // False at the end of the stream.
  Result<bool> NextDocument(json::Value* out) {
    for (;;) {
      TRY_VOID(Next());
      if (event_->type == YAML_STREAM_START_EVENT) continue;
      if (event_->type == YAML_STREAM_END_EVENT) return false;
      break;   // document start
    }
    anchors_.clear();
    TRY_VOID(Next());
    TRY(*out, Node(0));
    TRY_VOID(Next());   // document end
    return true;
  }

 private:
  struct Anchor {
    json::Value value;
    std::size_t cost = 0;
    bool open = true;   // its node is still being read
  };

  Result<> Next() {
    if (yaml_parser_parse(&parser_, event_.Slot()) != 0) return {};
    std::size_t line = 0;
    if (parser_.problem_mark.line != 0) {
      line = parser_.problem_mark.line + (parser_.error == YAML_SCANNER_ERROR ? 1 : 0);
    } else if (parser_.context_mark.line != 0) {
      line = parser_.context_mark.line;
    }
    const char* problem = parser_.problem ? parser_.problem : "unknown problem parsing YAML content";
    return BadYaml(line != 0 ? Cat("line ", line, ": ", problem) : std::string(problem));
  }

  // The node that starts at the current event.
  Result<json::Value> Node(int depth) {
    if (depth > options_.max_depth) return BadYaml(Cat("exceeded max depth of ", options_.max_depth));
    switch (event_->type) {
      case YAML_ALIAS_EVENT: return Alias();
      case YAML_SCALAR_EVENT: {
        const std::string anchor(Text(event_->data.scalar.anchor));
        TRY(json::Value v, ScalarValue());
        if (!anchor.empty()) TRY_VOID(Remember(anchor, v));
        return v;
      }
      case YAML_SEQUENCE_START_EVENT: {
        const std::string anchor(Text(event_->data.sequence_start.anchor));
        if (!anchor.empty()) anchors_[anchor] = Anchor{};
        json::Value out = json::Value::Array();
        for (;;) {
          TRY_VOID(Next());
          if (event_->type == YAML_SEQUENCE_END_EVENT) break;
          TRY(json::Value item, Node(depth + 1));
          out.Append(std::move(item));
        }
        if (!anchor.empty()) TRY_VOID(Remember(anchor, out));
        return out;
      }
      case YAML_MAPPING_START_EVENT: {
        const std::string anchor(Text(event_->data.mapping_start.anchor));
        if (!anchor.empty()) anchors_[anchor] = Anchor{};
        TRY(json::Value out, Mapping(depth));
        if (!anchor.empty()) TRY_VOID(Remember(anchor, out));
        return out;
      }
      default: return BadYaml("unexpected event");
    }
  }

  Result<json::Value> Mapping(int depth) {
    json::Value out = json::Value::Object();
    std::map<std::string, std::size_t, std::less<>> index;   // key → member
    const auto put = [&](std::string key, json::Value value) {   // true when the key was there
      auto& members = out.MutableMembers();
      const auto [it, fresh] = index.emplace(key, members.size());
      if (fresh) members.push_back({std::move(key), std::move(value)});
      else members[it->second].value = std::move(value);
      return !fresh;
    };
    for (;;) {
      TRY_VOID(Next());
      if (event_->type == YAML_MAPPING_END_EVENT) return out;
      TRY(Key key, MappingKey());
      TRY_VOID(Next());
      const int line = static_cast<int>(event_->start_mark.line) + 1;
      TRY(json::Value value, Node(depth + 1));
      if (!key.merge) {
        const bool repeated = put(std::move(key.text), std::move(value));
        if (repeated && options_.duplicates) options_.duplicates->push_back({line, std::move(key.printed)});
        continue;
      }
      // Merged members count as written at the place of the "<<"; of several mappings, the first wins.
      std::vector<json::Value*> sources;
      if (value.is_object()) sources.push_back(&value);
      for (json::Value& item : value.is_array() ? value.MutableItems() : no_items_) sources.push_back(&item);
      if (sources.empty() || !std::all_of(sources.begin(), sources.end(), [](const json::Value* v) { return v->is_object(); })) {
        return BadYaml("map merge requires map or sequence of maps as the value");
      }
      for (std::size_t i = sources.size(); i-- > 0;) {
        for (json::Member& m : sources[i]->MutableMembers()) put(std::move(m.key), std::move(m.value));
      }
    }
  }

  Result<Key> MappingKey() {
    if (event_->type == YAML_ALIAS_EVENT) {
      TRY(json::Value v, Alias());
      return KeyOf(v, false);
    }
    if (event_->type != YAML_SCALAR_EVENT) {
      // A document that cannot be parsed has worse to tell than what its keys are.
      const std::string what = Cat("line ", event_->start_mark.line + 1, ": invalid map key");
      do TRY_VOID(Next());
      while (event_->type != YAML_DOCUMENT_END_EVENT && event_->type != YAML_STREAM_END_EVENT);
      return BadYaml(what);
    }
    const auto& s = event_->data.scalar;
    const std::string_view text(reinterpret_cast<const char*>(s.value), s.length);
    const bool merge = text == "<<" && ((s.plain_implicit && !s.tag) || Text(s.tag) == "tag:yaml.org,2002:merge");
    const std::string anchor(Text(s.anchor));
    TRY(json::Value v, ScalarValue());
    if (!anchor.empty()) TRY_VOID(Remember(anchor, v));
    return KeyOf(v, merge);
  }

  Result<Key> KeyOf(const json::Value& v, bool merge) {
    if (v.is_string()) return Key{std::string(v.Str()), Quote(v.Str()), merge};
    if (v.is_bool()) return Key{v.Bool() ? "true" : "false", v.Bool() ? "true" : "false"};
    if (v.is_number()) return Key{v.Dump(), v.Dump()};
    return BadYaml(Cat("line ", event_->start_mark.line + 1, ": unsupported map key"));
  }

  Result<json::Value> ScalarValue() {
    const auto& s = event_->data.scalar;
    const std::string_view text(reinterpret_cast<const char*>(s.value), s.length);
    std::string_view tag = Text(s.tag);
    if (tag.empty() && !s.plain_implicit) return json::Value(text);
    if (!tag.empty() && !tag.starts_with(kTagPrefix)) return json::Value(text);   // "!" and local tags
    if (!tag.empty()) tag.remove_prefix(kTagPrefix.size());
    if (tag == "str") return json::Value(text);
    if (tag == "binary") {
      std::string packed(text);
      std::erase_if(packed, [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; });
      auto bytes = FromBase64(packed);
      if (!bytes) return BadYaml("!!binary value contains invalid base64 data");
      return json::Value(*std::move(bytes));
    }
    Scalar scalar = internal::ResolvePlain(text);
    const bool fits = tag.empty() || tag == "timestamp" || tag == "merge" || (tag == "int" && scalar.kind == ScalarKind::kInt) ||
                      (tag == "float" && (scalar.kind == ScalarKind::kInt || scalar.kind == ScalarKind::kFloat)) ||
                      (tag == "bool" && scalar.kind == ScalarKind::kBool) || (tag == "null" && scalar.kind == ScalarKind::kNull);
    if (!fits) return BadYaml(Cat("cannot decode `", text, "` as a !!", tag));
    if (!scalar.finite) return BadYaml(Cat("line ", event_->start_mark.line + 1, ": json: unsupported value: ", text));
    return std::move(scalar.value);
  }

  Result<json::Value> Alias() {
    const std::string name(Text(event_->data.alias.anchor));
    const auto it = anchors_.find(name);
    if (it == anchors_.end()) return BadYaml(Cat("unknown anchor '", name, "' referenced"));
    if (it->second.open) return BadYaml(Cat("anchor '", name, "' value contains itself"));
    TRY_VOID(Spend(it->second.cost));
    return it->second.value.Clone();
  }

  static std::size_t Cost(const json::Value& v) {
    std::size_t cost = 32 + v.Str().size();
    for (const json::Value& item : v.Items()) cost += Cost(item);
    for (const json::Member& m : v.Members()) cost += 32 + m.key.size() + Cost(m.value);
    return cost;
  }

  // Both the copy that an anchor keeps and each alias' copy count: "nine levels of nine" ends here.
  Result<> Spend(std::size_t cost) {
    copied_ += cost;
    if (copied_ > options_.max_alias_bytes) return BadYaml("document contains excessive aliasing");
    return {};
  }

  Result<> Remember(const std::string& anchor, const json::Value& v) {
    const std::size_t cost = Cost(v);
    TRY_VOID(Spend(cost));
    anchors_[anchor] = Anchor{v.Clone(), cost, false};
    return {};
  }

  const YamlOptions& options_;
  yaml_parser_t parser_;
  Event event_;
  std::map<std::string, Anchor, std::less<>> anchors_;
  std::size_t copied_ = 0;
  std::vector<json::Value> no_items_;
};

Result<> CheckSize(std::string_view text, const YamlOptions& options) {
  if (text.size() <= options.max_bytes) return {};
  return Fail(Code::kTooLarge, Cat("yaml: document of ", text.size(), " bytes is larger than ", options.max_bytes));
}

}  // namespace

std::string YamlDuplicate::Text() const { return Cat("line ", line, ": key ", key, " already set in map"); }

Result<json::Value> ParseYaml(std::string_view text, const YamlOptions& options) {
  TRY_VOID(CheckSize(text, options));
  Reader reader(text, options);
  json::Value out;
  TRY_VOID(reader.NextDocument(&out));
  return out;
}

Result<std::vector<json::Value>> ParseYamlStream(std::string_view text, const YamlOptions& options) {
  TRY_VOID(CheckSize(text, options));
  Reader reader(text, options);
  std::vector<json::Value> out;
  for (;;) {
    json::Value document;
    TRY(const bool more, reader.NextDocument(&document));
    if (!more) return out;
    out.push_back(std::move(document));
  }
}

}  // namespace skerry::text
