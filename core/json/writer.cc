#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "core/json/layout.h"
#include "core/json/plain_run.h"
#include "core/json/utf8.h"
#include "core/json/value.h"

namespace skerry::json {
namespace {

constexpr char kHex[] = "0123456789abcdef";

// 0: print as it is; 1: escape; 2: escape only for HTML; 3: part of a multi-byte sequence.
constexpr auto kClass = [] {
  std::array<std::uint8_t, 256> table{};
  for (int c = 0; c < 256; ++c) table[static_cast<std::size_t>(c)] = c >= 0x80 ? 3 : c < 0x20 || c == '"' || c == '\\' ? 1 : c == '<' || c == '>' || c == '&' ? 2 : 0;
  return table;
}();

void AppendEscape(std::string& out, unsigned char c) {
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\b': out += "\\b"; return;
    case '\f': out += "\\f"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default: break;
  }
  out += "\\u00";
  out += kHex[c >> 4];
  out += kHex[c & 15];
}

void AppendInt(std::string& out, auto n) {
  char buffer[24];
  const auto r = std::to_chars(buffer, buffer + sizeof buffer, n);
  out.append(buffer, r.ptr);
}

struct Writer {
  std::string& out;
  const DumpOptions& options;
  bool as_written = false;

  void Break(int level) {
    if (options.indent <= 0) return;
    out += '\n';
    out.append(static_cast<std::size_t>(level * options.indent), ' ');
  }

  bool Spaced(const Value& v) const { return as_written && HasNote(v); }

  void Double(const Value& v) {
    const std::size_t start = out.size();
    AppendNumber(out, v.Double());
    if (as_written && HasNote(v) && out.find_first_of(".e", start) == out.npos) out += ".0";
  }

  void Object(std::span<const Member> members, int level, bool spaced) {
    if (members.empty()) {
      out += "{}";
      return;
    }
    out += '{';
    std::vector<const Member*> sorted;
    if (options.sort_keys) {
      for (const Member& m : members) sorted.push_back(&m);
      std::stable_sort(sorted.begin(), sorted.end(), [](const Member* a, const Member* b) { return a->key < b->key; });
    }
    for (std::size_t i = 0; i < members.size(); ++i) {
      const Member& m = options.sort_keys ? *sorted[i] : members[i];
      if (i > 0) out += spaced ? ", " : ",";
      Break(level + 1);
      AppendQuoted(out, m.key, options.escape_html);
      out += ':';
      if (options.indent > 0 || spaced) out += ' ';
      Write(m.value, level + 1);
    }
    Break(level);
    out += '}';
  }

  void Array(std::span<const Value> items, int level, bool spaced) {
    if (items.empty()) {
      out += "[]";
      return;
    }
    out += '[';
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out += spaced ? ", " : ",";
      Break(level + 1);
      Write(items[i], level + 1);
    }
    Break(level);
    out += ']';
  }

  void Write(const Value& v, int level) {
    switch (v.kind()) {
      case Value::Kind::kNull: out += "null"; break;
      case Value::Kind::kBool: out += v.Bool() ? "true" : "false"; break;
      case Value::Kind::kInt: AppendInt(out, v.Int()); break;
      case Value::Kind::kDouble:
        if (v.is_uint()) AppendInt(out, v.Uint());
        else Double(v);
        break;
      case Value::Kind::kString: AppendQuoted(out, v.Str(), options.escape_html); break;
      case Value::Kind::kArray: Array(v.Items(), level, Spaced(v)); break;
      case Value::Kind::kObject: Object(v.Members(), level, Spaced(v)); break;
    }
  }
};

}  // namespace

void AppendQuoted(std::string& out, std::string_view text, bool escape_html) {
  out += '"';
  std::size_t start = 0;
  const auto flush = [&](std::size_t end) { out.append(text, start, end - start); };
  for (std::size_t i = 0; i < text.size();) {
    if (!escape_html) i = static_cast<std::size_t>(SkipPlain(text.data() + i, text.data() + text.size()) - text.data());
    if (i == text.size()) break;
    const auto c = static_cast<unsigned char>(text[i]);
    const std::uint8_t kind = kClass[c];
    if (kind == 0 || (kind == 2 && !escape_html)) {
      ++i;
      continue;
    }
    if (kind == 3) {
      const std::size_t n = Utf8Length(text.substr(i));
      const bool separator = escape_html && n == 3 && (text.substr(i, 3) == "\xE2\x80\xA8" || text.substr(i, 3) == "\xE2\x80\xA9");
      if (n != 0 && !separator) {
        i += n;
        continue;
      }
      flush(i);
      if (n == 0) out += kReplacement;
      else out += text[i + 2] == '\xA8' ? "\\u2028" : "\\u2029";
      i += n == 0 ? 1 : n;
      start = i;
      continue;
    }
    flush(i);
    AppendEscape(out, c);
    start = ++i;
  }
  flush(text.size());
  out += '"';
}

void AppendNumber(std::string& out, double v) {
  if (!std::isfinite(v)) {
    out += "null";
    return;
  }
  char buffer[40];
  const double magnitude = std::fabs(v);
  if (magnitude != 0 && (magnitude < 1e-6 || magnitude >= 1e21)) {
    const auto r = std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::scientific);
    std::string_view text(buffer, static_cast<std::size_t>(r.ptr - buffer));
    // Go drops the zero of e-09 but keeps two digits elsewhere (e+21 has two anyway).
    if (text.size() >= 4 && text[text.size() - 4] == 'e' && text[text.size() - 3] == '-' && text[text.size() - 2] == '0') {
      out.append(text.substr(0, text.size() - 2));
      out += text.back();
      return;
    }
    out.append(text);
    return;
  }
  if (magnitude < 9e15) {   // fixed notation is the shortest text only while every digit is significant
    const auto r = std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::fixed);
    out.append(buffer, r.ptr);
    return;
  }
  const auto r = std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::scientific);
  const char* e = std::find(buffer, r.ptr, 'e');
  int exponent = 0;
  std::from_chars(e + 2, r.ptr, exponent);
  int digits = 0;
  for (const char* p = buffer; p < e; ++p) {
    if (*p == '.') continue;
    out += *p;
    if (*p != '-') ++digits;
  }
  out.append(static_cast<std::size_t>(std::max(0, exponent + 1 - digits)), '0');
}

void Value::DumpTo(std::string& out) const { DumpTo(out, DumpOptions{}); }
void Value::DumpTo(std::string& out, const DumpOptions& options) const { Writer{out, options}.Write(*this, 0); }

void DumpAsWritten(const Value& value, std::string& out) {
  const DumpOptions options;
  Writer{out, options, true}.Write(value, 0);
}

std::string DumpAsWritten(const Value& value) {
  std::string out;
  DumpAsWritten(value, out);
  return out;
}

}  // namespace skerry::json
