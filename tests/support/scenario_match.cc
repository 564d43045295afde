#include "core/base/strings.h"
#include "tests/support/scenario.h"

namespace skerry::testing {
namespace {

constexpr std::string_view kAny = "*";

// The next <name> or <*> at or after `from`; npos when there is none.
struct Hole {
  std::size_t begin = std::string_view::npos, end = 0;
  std::string_view name;
};
Hole FindHole(std::string_view text, std::size_t from) {
  for (auto at = text.find('<', from); at != std::string_view::npos; at = text.find('<', at + 1)) {
    std::size_t end = at + 1;
    while (end < text.size() && (text[end] == '*' || text[end] == '-' || (text[end] >= 'a' && text[end] <= 'z') || (text[end] >= '0' && text[end] <= '9'))) ++end;
    if (end > at + 1 && end < text.size() && text[end] == '>') return {at, end + 1, text.substr(at + 1, end - at - 1)};
  }
  return {};
}

// A hole takes the shortest text after which the next literal piece follows.
bool MatchText(std::string_view pattern, std::string_view text, Captures& captures) {
  const std::string filled = Fill(pattern, captures);
  std::size_t at = 0, from = 0;
  for (Hole hole = FindHole(filled, 0); hole.begin != std::string_view::npos; hole = FindHole(filled, from)) {
    const auto literal = std::string_view(filled).substr(from, hole.begin - from);
    if (text.substr(at, literal.size()) != literal) return false;
    at += literal.size();
    from = hole.end;
    const Hole next = FindHole(filled, from);
    const auto follows = std::string_view(filled).substr(from, next.begin == std::string_view::npos ? std::string_view::npos : next.begin - from);
    const bool last = next.begin == std::string_view::npos;
    const auto end = last ? (text.size() >= at + follows.size() ? text.size() - follows.size() : std::string_view::npos) : text.find(follows, at);
    if (end == std::string_view::npos) return false;
    if (hole.name != kAny) captures.emplace(hole.name, text.substr(at, end - at));
    at = end;
  }
  return text.substr(at) == std::string_view(filled).substr(from);
}

std::string Brief(const json::Value& value) {
  std::string text = value.Dump();
  if (text.size() > 600) text = text.substr(0, 600) + "…";
  return text;
}

std::string Different(std::string_view path, const json::Value& want, const json::Value& got) {
  return Cat(path.empty() ? "." : path, ": expected ", Brief(want), ", got ", Brief(got));
}

std::string Match(const json::Value& want, const json::Value& got, const std::string& path, Captures& captures);

bool IsDots(const json::Value& value) { return value.Str() == "..."; }

// ["...", a, b]: holds a and b somewhere. [a, b, "..."]: begins with a and b. Else item by item.
std::string MatchItems(const json::Value& want, const json::Value& got, const std::string& path, Captures& captures) {
  auto items = want.Items();
  if (!items.empty() && IsDots(items.front())) {
    for (const json::Value& item : items.subspan(1)) {
      bool found = false;
      for (const json::Value& candidate : got.Items()) {
        Captures attempt = captures;
        if (!Match(item, candidate, path, attempt).empty()) continue;
        captures = std::move(attempt);
        found = true;
        break;
      }
      if (!found) return Cat(path, ": nothing like ", Brief(item), " in ", Brief(got));
    }
    return {};
  }
  const bool open = !items.empty() && IsDots(items.back());
  if (open) items = items.first(items.size() - 1);
  if (open ? got.size() < items.size() : got.size() != items.size()) return Different(path, want, got);
  for (std::size_t i = 0; i < items.size(); ++i) {
    auto wrong = Match(items[i], got.Items()[i], Cat(path, "[", i, "]"), captures);
    if (!wrong.empty()) return wrong;
  }
  return {};
}

std::string Match(const json::Value& want, const json::Value& got, const std::string& path, Captures& captures) {
  if (want.is_object()) {
    if (!got.is_object()) return Different(path, want, got);
    for (const auto& [key, value] : want.Members()) {
      const std::string name = Fill(key, captures);
      const json::Value* member = got.Find(name);
      if (value.Str() == "<absent>") {
        if (member) return Cat(path, ".", name, ": expected to be absent, got ", Brief(*member));
        continue;
      }
      if (!member) return Cat(path, ".", name, ": missing in ", Brief(got));
      auto wrong = Match(value, *member, Cat(path, ".", name), captures);
      if (!wrong.empty()) return wrong;
    }
    return {};
  }
  if (want.is_array()) return got.is_array() ? MatchItems(want, got, path, captures) : Different(path, want, got);
  if (want.is_string()) {
    // A hole alone also takes numbers, objects and so on, as their JSON text.
    const Hole hole = FindHole(want.Str(), 0);
    const bool alone = hole.begin == 0 && hole.end == want.Str().size();
    const std::string text = got.is_string() || !alone ? std::string(got.Str()) : got.Dump();
    if ((got.is_string() || alone) && MatchText(want.Str(), text, captures)) return {};
    return Different(path, json::Value(Fill(want.Str(), captures)), got);
  }
  return want == got ? std::string() : Different(path, want, got);
}

}  // namespace

std::string Fill(std::string_view text, const Captures& captures) {
  std::string out;
  std::size_t from = 0;
  for (Hole hole = FindHole(text, 0); hole.begin != std::string_view::npos; hole = FindHole(text, from)) {
    out += text.substr(from, hole.begin - from);
    const auto known = captures.find(std::string(hole.name));
    out += known == captures.end() ? text.substr(hole.begin, hole.end - hole.begin) : std::string_view(known->second);
    from = hole.end;
  }
  return out += text.substr(from);
}

std::string Mismatch(const json::Value& want, const json::Value& got, Captures& captures) { return Match(want, got, "", captures); }

}  // namespace skerry::testing
