#include <yaml.h>

#include <algorithm>
#include <cmath>

#include "core/base/strings.h"
#include "core/text/ascii.h"
#include "core/text/base64.h"
#include "core/text/yaml.h"
#include "core/text/yaml_scalar.h"

namespace skerry::text {
namespace {

using internal::IsDigit;

bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || static_cast<unsigned char>(c) >= 0x80; }

// Natural order: other characters before letters, runs of digits by their number.
bool KeyLess(std::string_view a, std::string_view b) {
  for (std::size_t i = 0; i < a.size() && i < b.size(); ++i) {
    if (a[i] == b[i]) continue;
    const bool al = IsLetter(a[i]), bl = IsLetter(b[i]);
    if (al && bl) return static_cast<unsigned char>(a[i]) < static_cast<unsigned char>(b[i]);
    if (al != bl) return bl;
    // Zeros that lead a number count by their length; zeros within one are digits like others.
    std::uint64_t an = 0, bn = 0;
    if (a[i] == '0' || b[i] == '0') {
      for (std::size_t j = i; j > 0 && IsDigit(a[j - 1]); --j) {
        if (a[j - 1] != '0') {
          an = bn = 1;
          break;
        }
      }
    }
    std::size_t ai = i, bi = i;
    for (; ai < a.size() && IsDigit(a[ai]); ++ai) an = an * 10 + static_cast<std::uint64_t>(a[ai] - '0');
    for (; bi < b.size() && IsDigit(b[bi]); ++bi) bn = bn * 10 + static_cast<std::uint64_t>(b[bi] - '0');
    if (an != bn) return an < bn;
    if (ai != bi) return ai < bi;
    return static_cast<unsigned char>(a[i]) < static_cast<unsigned char>(b[i]);
  }
  return a.size() < b.size();
}

bool IsUtf8(std::string_view s) {
  for (std::size_t i = 0; i < s.size();) {
    const auto c = static_cast<unsigned char>(s[i]);
    const std::size_t n = c < 0x80 ? 1 : c >= 0xC2 && c < 0xE0 ? 2 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xF0 && c < 0xF5 ? 4 : 0;
    if (n == 0 || i + n > s.size()) return false;
    for (std::size_t k = 1; k < n; ++k) {
      if ((static_cast<unsigned char>(s[i + k]) & 0xC0) != 0x80) return false;
    }
    const auto next = n > 1 ? static_cast<unsigned char>(s[i + 1]) : 0;
    if ((c == 0xE0 && next < 0xA0) || (c == 0xED && next >= 0xA0) || (c == 0xF0 && next < 0x90) || (c == 0xF4 && next >= 0x90)) return false;
    i += n;
  }
  return true;
}

class Writer {
 public:
  Writer() {
    yaml_emitter_initialize(&emitter_);
    yaml_emitter_set_output(&emitter_, &Writer::Append, &out_);
    yaml_emitter_set_unicode(&emitter_, 1);
  }
  ~Writer() { yaml_emitter_delete(&emitter_); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  std::string Document(const json::Value& value) {
    yaml_event_t e;
    yaml_stream_start_event_initialize(&e, YAML_UTF8_ENCODING);
    Emit(&e);
    yaml_document_start_event_initialize(&e, nullptr, nullptr, nullptr, 1);
    Emit(&e);
    Node(value);
    yaml_document_end_event_initialize(&e, 1);
    Emit(&e);
    yaml_stream_end_event_initialize(&e);
    Emit(&e);
    // After a block text that keeps its line ends, the emitter closes the stream with a marker that other writers leave out.
    if (out_.ends_with("\n...\n")) out_.resize(out_.size() - 4);
    return std::move(out_);
  }

 private:
  static int Append(void* out, unsigned char* bytes, std::size_t size) {
    static_cast<std::string*>(out)->append(reinterpret_cast<const char*>(bytes), size);
    return 1;
  }
  void Emit(yaml_event_t* e) { yaml_emitter_emit(&emitter_, e); }   // fails only on memory; the event is consumed either way

  void Plain(std::string_view text, yaml_scalar_style_t style, const char* tag = nullptr) {
    yaml_event_t e;
    yaml_scalar_event_initialize(&e, nullptr, reinterpret_cast<const yaml_char_t*>(tag), reinterpret_cast<const yaml_char_t*>(text.data()), static_cast<int>(text.size()),
                                 tag == nullptr, tag == nullptr, style);
    Emit(&e);
  }

  void String(std::string_view text) {
    if (!IsUtf8(text)) {
      Plain(Base64(text), YAML_ANY_SCALAR_STYLE, "tag:yaml.org,2002:binary");
      return;
    }
    // Unicode's own line ends: libyaml would indent behind them and so change the text.
    for (const std::string_view end : {"\xC2\x85", "\xE2\x80\xA8", "\xE2\x80\xA9"}) {
      if (text.find(end) != std::string_view::npos) {
        Plain(text, YAML_DOUBLE_QUOTED_SCALAR_STYLE);
        return;
      }
    }
    if (text.find('\n') != std::string_view::npos) {
      Plain(text, YAML_LITERAL_SCALAR_STYLE);
      return;
    }
    const auto kind = internal::ResolvePlain(text).kind;
    const bool reads_as_text = (kind == internal::ScalarKind::kString || kind == internal::ScalarKind::kMerge) && !internal::IsBase60(text);
    Plain(text, reads_as_text ? YAML_PLAIN_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE);
  }

  void Node(const json::Value& v) {
    yaml_event_t e;
    switch (v.kind()) {
      case json::Value::Kind::kNull: Plain("null", YAML_PLAIN_SCALAR_STYLE); break;
      case json::Value::Kind::kBool: Plain(v.Bool() ? "true" : "false", YAML_PLAIN_SCALAR_STYLE); break;
      case json::Value::Kind::kInt: Plain(v.Dump(), YAML_PLAIN_SCALAR_STYLE); break;
      case json::Value::Kind::kDouble: Plain(v.is_uint() ? v.Dump() : internal::FormatShortest(v.Double()), YAML_PLAIN_SCALAR_STYLE); break;
      case json::Value::Kind::kString: String(v.Str()); break;
      case json::Value::Kind::kArray:
        yaml_sequence_start_event_initialize(&e, nullptr, nullptr, 1, v.size() == 0 ? YAML_FLOW_SEQUENCE_STYLE : YAML_BLOCK_SEQUENCE_STYLE);
        Emit(&e);
        for (const json::Value& item : v.Items()) Node(item);
        yaml_sequence_end_event_initialize(&e);
        Emit(&e);
        break;
      case json::Value::Kind::kObject: {
        yaml_mapping_start_event_initialize(&e, nullptr, nullptr, 1, v.size() == 0 ? YAML_FLOW_MAPPING_STYLE : YAML_BLOCK_MAPPING_STYLE);
        Emit(&e);
        std::vector<const json::Member*> sorted;
        for (const json::Member& m : v.Members()) sorted.push_back(&m);
        std::sort(sorted.begin(), sorted.end(), [](const json::Member* a, const json::Member* b) { return KeyLess(a->key, b->key); });
        for (const json::Member* m : sorted) {
          if (m->key == "<<") Plain(m->key, YAML_DOUBLE_QUOTED_SCALAR_STYLE);   // bare, it would merge its value
          else String(m->key);
          Node(m->value);
        }
        yaml_mapping_end_event_initialize(&e);
        Emit(&e);
        break;
      }
    }
  }

  yaml_emitter_t emitter_;
  std::string out_;
};

}  // namespace

std::string ToYaml(const json::Value& value) { return Writer().Document(value); }

}  // namespace skerry::text
