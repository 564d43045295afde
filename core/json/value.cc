#include "core/json/value.h"
#include <charconv>
#include <cstring>
#include <utility>
namespace skerry::json {
static const Value kNullValue;
Value::Value(std::string_view s) : kind_(Kind::kString) { s_ = new std::string(s); }
Value::Value(std::string&& s) : kind_(Kind::kString) { s_ = new std::string(std::move(s)); }
Value Value::Object() { Value v; v.o_ = new std::vector<Member>(); v.kind_ = Kind::kObject; return v; }
Value Value::Array() { Value v; v.a_ = new std::vector<Value>(); v.kind_ = Kind::kArray; return v; }
void Value::Reset() noexcept { switch (kind_) { case Kind::kString: delete s_; break; case Kind::kArray: delete a_; break; case Kind::kObject: delete o_; break; default: break; } kind_ = Kind::kNull; }
Value Value::Clone() const { Value v; switch (kind_) { case Kind::kString: return Value(std::string_view(*s_)); case Kind::kArray: v = Array(); v.a_->reserve(a_->size()); for (auto& x : *a_) v.a_->push_back(x.Clone()); return v; case Kind::kObject: v = Object(); v.o_->reserve(o_->size()); for (auto& m : *o_) v.o_->push_back({m.key, m.value.Clone()}); return v; default: v.kind_ = kind_; v.i_ = i_; return v; } }
const Value& Value::operator[](std::string_view key) const { if (kind_ == Kind::kObject) for (auto& m : *o_) if (m.key == key) return m.value; return kNullValue; }
const Value& Value::At(std::initializer_list<std::string_view> path) const { const Value* v = this; for (std::string_view key : path) v = &(*v)[key]; return *v; }
Value& Value::Set(std::string_view key) { if (kind_ == Kind::kNull) *this = Object(); for (auto& m : *o_) if (m.key == key) return m.value; o_->push_back({std::string(key), Value()}); return o_->back().value; }
Value& Value::Append(Value v) { if (kind_ == Kind::kNull) *this = Array(); a_->push_back(std::move(v)); return a_->back(); }
bool Value::Erase(std::string_view key) { if (kind_ != Kind::kObject) return false; for (auto it = o_->begin(); it != o_->end(); ++it) if (it->key == key) { o_->erase(it); return true; } return false; }
std::string_view Value::Str(std::string_view d) const { return kind_ == Kind::kString ? std::string_view(*s_) : d; }
std::int64_t Value::Int(std::int64_t d) const { return kind_ == Kind::kInt ? i_ : d; }
bool Value::Bool(bool d) const { return kind_ == Kind::kBool ? i_ != 0 : d; }
std::span<const Value> Value::Items() const { return kind_ == Kind::kArray ? std::span<const Value>(*a_) : std::span<const Value>(); }
std::span<const Member> Value::Members() const { return kind_ == Kind::kObject ? std::span<const Member>(*o_) : std::span<const Member>(); }
double Value::Double(double d) const { return kind_ == Kind::kDouble ? d_ : kind_ == Kind::kInt ? static_cast<double>(i_) : d; }
std::size_t Value::size() const { return kind_ == Kind::kArray ? a_->size() : kind_ == Kind::kObject ? o_->size() : 0; }
const Value* Value::Find(std::string_view key) const { if (kind_ == Kind::kObject) for (auto& m : *o_) if (m.key == key) return &m.value; return nullptr; }
Value* Value::Find(std::string_view key) { return const_cast<Value*>(std::as_const(*this).Find(key)); }
std::vector<Value>& Value::MutableItems() { if (kind_ == Kind::kNull) *this = Array(); return *a_; }
std::vector<Member>& Value::MutableMembers() { if (kind_ == Kind::kNull) *this = Object(); return *o_; }
bool Value::operator==(const Value& o) const {
  if (is_number() && o.is_number()) return kind_ == Kind::kInt && o.kind_ == Kind::kInt ? i_ == o.i_ : Double() == o.Double();
  if (kind_ != o.kind_) return false;
  switch (kind_) {
    case Kind::kNull: return true;
    case Kind::kBool: return i_ == o.i_;
    case Kind::kString: return *s_ == *o.s_;
    case Kind::kArray: return *a_ == *o.a_;
    case Kind::kObject:
      if (o_->size() != o.o_->size()) return false;
      for (const Member& m : *o_) {
        const Value* other = o.Find(m.key);
        if (!other || !(m.value == *other)) return false;
      }
      return true;
    default: return false;
  }
}
static void Quote(std::string& o, std::string_view s) { o += '"'; size_t st = 0; for (size_t i = 0; i < s.size(); ++i) { unsigned char c = (unsigned char)s[i]; if (c >= 0x20 && c != '"' && c != '\\') continue; o.append(s, st, i - st); st = i + 1; switch (c) { case '"': o += "\\\""; break; case '\\': o += "\\\\"; break; case '\n': o += "\\n"; break; case '\t': o += "\\t"; break; case '\r': o += "\\r"; break; default: { char b[8]; std::snprintf(b, sizeof b, "\\u%04x", c); o += b; } } } o.append(s, st); o += '"'; }
void Value::DumpTo(std::string& o) const { char b[32]; switch (kind_) { case Kind::kNull: o += "null"; break; case Kind::kBool: o += i_ ? "true" : "false"; break; case Kind::kInt: { auto r = std::to_chars(b, b + 32, i_); o.append(b, r.ptr); break; } case Kind::kDouble: { auto r = std::to_chars(b, b + 32, d_); o.append(b, r.ptr); break; } case Kind::kString: Quote(o, *s_); break; case Kind::kArray: { o += '['; bool f = true; for (auto& v : *a_) { if (!f) o += ','; f = false; v.DumpTo(o); } o += ']'; break; } case Kind::kObject: { o += '{'; bool f = true; for (auto& m : *o_) { if (!f) o += ','; f = false; Quote(o, m.key); o += ':'; m.value.DumpTo(o); } o += '}'; } } }
class Parser { public: const char* p; const char* e; int depth = 0;
  void Ws() { while (p < e && (*p == ' ' || *p == '\n' || *p == '\t' || *p == '\r')) ++p; }
  bool Str(std::string& o) { ++p; for (;;) { const char* s = p; while (p < e && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20) ++p; o.append(s, p); if (p >= e || (unsigned char)*p < 0x20) return false; if (*p == '"') { ++p; return true; } ++p; if (p >= e) return false; switch (*p++) { case '"': o += '"'; break; case '\\': o += '\\'; break; case '/': o += '/'; break; case 'b': o += '\b'; break; case 'f': o += '\f'; break; case 'n': o += '\n'; break; case 'r': o += '\r'; break; case 't': o += '\t'; break; case 'u': { if (e - p < 4) return false; unsigned u = 0; auto r = std::from_chars(p, p + 4, u, 16); if (r.ptr != p + 4) return false; p += 4; if (u >= 0xD800 && u < 0xDC00 && e - p >= 6 && p[0] == '\\' && p[1] == 'u') { unsigned l = 0; auto r2 = std::from_chars(p + 2, p + 6, l, 16); if (r2.ptr == p + 6 && l >= 0xDC00 && l < 0xE000) { u = 0x10000 + ((u - 0xD800) << 10) + (l - 0xDC00); p += 6; } } if (u < 0x80) o += (char)u; else if (u < 0x800) { o += (char)(0xC0 | u >> 6); o += (char)(0x80 | (u & 63)); } else if (u < 0x10000) { o += (char)(0xE0 | u >> 12); o += (char)(0x80 | ((u >> 6) & 63)); o += (char)(0x80 | (u & 63)); } else { o += (char)(0xF0 | u >> 18); o += (char)(0x80 | ((u >> 12) & 63)); o += (char)(0x80 | ((u >> 6) & 63)); o += (char)(0x80 | (u & 63)); } break; } default: return false; } } }
  bool Val(Value& v) { Ws(); if (p >= e || ++depth > 512) return false; bool ok = Val2(v); --depth; return ok; }
  bool Val2(Value& v) { switch (*p) {
    case '{': { ++p; v = Value::Object(); Ws(); if (p < e && *p == '}') { ++p; return true; } for (;;) { Ws(); if (p >= e || *p != '"') return false; v.o_->emplace_back(); Member& m = v.o_->back(); if (!Str(m.key)) return false; Ws(); if (p >= e || *p++ != ':') return false; if (!Val(v.o_->back().value)) return false; Ws(); if (p >= e) return false; if (*p == ',') { ++p; continue; } if (*p == '}') { ++p; return true; } return false; } }
    case '[': { ++p; v = Value::Array(); Ws(); if (p < e && *p == ']') { ++p; return true; } for (;;) { v.a_->emplace_back(); if (!Val(v.a_->back())) return false; Ws(); if (p >= e) return false; if (*p == ',') { ++p; continue; } if (*p == ']') { ++p; return true; } return false; } }
    case '"': { v.s_ = new std::string(); v.kind_ = Value::Kind::kString; return Str(*v.s_); }
    case 't': if (e - p >= 4 && !memcmp(p, "true", 4)) { p += 4; v = Value(true); return true; } return false;
    case 'f': if (e - p >= 5 && !memcmp(p, "false", 5)) { p += 5; v = Value(false); return true; } return false;
    case 'n': if (e - p >= 4 && !memcmp(p, "null", 4)) { p += 4; v = Value(); return true; } return false;
    default: { const char* s = p; bool fl = false; if (*p == '-') ++p; while (p < e && ((*p >= '0' && *p <= '9') || *p == '.' || *p == 'e' || *p == 'E' || *p == '+' || *p == '-')) { if (*p == '.' || *p == 'e' || *p == 'E') fl = true; ++p; } if (s == p) return false; if (!fl) { std::int64_t i; auto r = std::from_chars(s, p, i); if (r.ec == std::errc() && r.ptr == p) { v = Value(i); return true; } } double d; auto r = std::from_chars(s, p, d); if (r.ec != std::errc() || r.ptr != p) return false; v = Value(d); return true; } } }
};
bool Value::Parse(std::string_view t, Value* out, std::string* err) { Parser ps{t.data(), t.data() + t.size()}; if (!ps.Val(*out)) { if (err) *err = "invalid JSON at byte " + std::to_string(ps.p - t.data()); return false; } ps.Ws(); if (ps.p != ps.e) { if (err) *err = "trailing data"; return false; } return true; }
}
