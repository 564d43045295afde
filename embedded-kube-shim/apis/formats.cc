#include "embedded-kube-shim/apis/formats.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "core/base/strings.h"

namespace skerry::kube::format {
namespace {

constexpr bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
constexpr bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }
constexpr bool IsDigit(char c) { return c >= '0' && c <= '9'; }
constexpr bool IsAlpha(char c) { return IsLower(c) || IsUpper(c); }
constexpr bool IsLowerAlnum(char c) { return IsLower(c) || IsDigit(c); }
constexpr bool IsAlnum(char c) { return IsAlpha(c) || IsDigit(c); }

template <class Edge, class Inner>
bool EdgesAndInner(std::string_view s, Edge edge, Inner inner) {
  return !s.empty() && edge(s.front()) && edge(s.back()) && std::all_of(s.begin(), s.end(), inner);
}

bool LabelShape(std::string_view s) {
  return EdgesAndInner(s, IsLowerAlnum, [](char c) { return IsLowerAlnum(c) || c == '-'; });
}

bool SubdomainShape(std::string_view s) {
  const auto parts = Split(s, '.');
  return std::all_of(parts.begin(), parts.end(), LabelShape);
}

bool NameShape(std::string_view s) {
  return EdgesAndInner(s, IsAlnum, [](char c) { return IsAlnum(c) || c == '-' || c == '_' || c == '.'; });
}

std::string Example(std::string_view text, std::string_view regex, std::initializer_list<std::string_view> examples) {
  std::string out = Cat(text, " (e.g. ");
  bool first = true;
  for (std::string_view example : examples) {
    if (!first) out += " or ";
    out += Cat("'", example, "', ");
    first = false;
  }
  return out + Cat("regex used for validation is '", regex, "')");
}

const std::string& SubdomainText() {
  static const std::string text = Example("a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
                                          "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", {"example.com"});
  return text;
}

std::string MaxLen(std::size_t n) { return Cat("must be no more than ", n, " characters"); }
std::string MaxBytes(std::size_t n) { return Cat("must be no more than ", n, " bytes"); }

}  // namespace

bool IsDns1123Label(std::string_view s) { return s.size() <= 63 && LabelShape(s); }
bool IsDns1123Subdomain(std::string_view s) { return s.size() <= 253 && SubdomainShape(s); }

Messages Dns1123Label(std::string_view s) {
  Messages out;
  if (s.size() > 63) out.push_back(MaxLen(63));
  if (LabelShape(s)) return out;
  if (SubdomainShape(s)) {
    out.push_back("must not contain dots");
    return out;
  }
  out.push_back(Example("a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
                        "[a-z0-9]([-a-z0-9]*[a-z0-9])?", {"my-name", "123-abc"}));
  return out;
}

Messages Dns1123Subdomain(std::string_view s) {
  Messages out;
  if (s.size() > 253) out.push_back(MaxLen(253));
  if (!SubdomainShape(s)) out.push_back(SubdomainText());
  return out;
}

Messages Dns1123SubdomainContent(std::string_view s) {
  Messages out;
  if (s.size() > 253) out.push_back(MaxBytes(253));
  if (!SubdomainShape(s)) out.push_back(SubdomainText());
  return out;
}

Messages Dns1123SubdomainUnderscore(std::string_view s) {
  Messages out;
  if (s.size() > 253) out.push_back(MaxLen(253));
  const auto segment = [](std::string_view part) {
    if (part.starts_with('_')) part.remove_prefix(1);
    return EdgesAndInner(part, IsLowerAlnum, [](char c) { return IsLowerAlnum(c) || c == '-' || c == '_'; });
  };
  const auto parts = Split(s, '.');
  if (!std::all_of(parts.begin(), parts.end(), segment))
    out.push_back(Example("a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character",
                          "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*", {"example.com"}));
  return out;
}

Messages Dns1035Label(std::string_view s) {
  Messages out;
  if (s.size() > 63) out.push_back(MaxLen(63));
  if (!LabelShape(s) || !IsLower(s.front()))
    out.push_back(Example("a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
                          "[a-z]([-a-z0-9]*[a-z0-9])?", {"my-name", "abc-123"}));
  return out;
}

Messages WildcardDns1123Subdomain(std::string_view s) {
  Messages out;
  if (s.size() > 253) out.push_back(MaxLen(253));
  if (!s.starts_with("*.") || !SubdomainShape(s.substr(2)))
    out.push_back(Example("a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' "
                          "and end with an alphanumeric character",
                          "\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", {"*.example.com"}));
  return out;
}

Messages QualifiedName(std::string_view s) {
  static constexpr std::string_view kRegex = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
  static constexpr std::string_view kText = " must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
  Messages out;
  const auto parts = Split(s, '/');
  if (parts.size() > 2) {
    out.push_back(Example(Cat("a valid label key", kText), kRegex, {"MyName", "my.name", "123-abc"}) + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')");
    return out;
  }
  if (parts.size() == 2) {
    if (parts[0].empty()) out.push_back("prefix part must be non-empty");
    else {
      if (parts[0].size() > 253) out.push_back("prefix part " + MaxBytes(253));
      if (!SubdomainShape(parts[0])) out.push_back("prefix part " + SubdomainText());
    }
  }
  const std::string_view name = parts.back();
  if (name.empty()) out.push_back("name part must be non-empty");
  if (name.size() > 63) out.push_back("name part " + MaxBytes(63));
  if (!NameShape(name)) out.push_back(Example(Cat("name part", kText), kRegex, {"MyName", "my.name", "123-abc"}));
  return out;
}

Messages LabelValue(std::string_view s) {
  Messages out;
  if (s.size() > 63) out.push_back(MaxBytes(63));
  if (!s.empty() && !NameShape(s))
    out.push_back(Example("a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
                          "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?", {"MyValue", "my_value", "12345"}));
  return out;
}

Messages CIdentifier(std::string_view s) {
  const bool ok = !s.empty() && !IsDigit(s[0]) && std::all_of(s.begin(), s.end(), [](char c) { return IsAlnum(c) || c == '_'; });
  if (ok) return {};
  return {Example("a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'", "[A-Za-z_][A-Za-z0-9_]*",
                  {"my_name", "MY_NAME", "MyName"})};
}

Messages PortName(std::string_view s) {
  Messages out;
  if (s.size() > 15) out.push_back(MaxLen(15));
  if (s.empty() || !std::all_of(s.begin(), s.end(), [](char c) { return IsLowerAlnum(c) || c == '-'; })) out.push_back("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
  if (std::none_of(s.begin(), s.end(), IsLower)) out.push_back("must contain at least one letter (a-z)");
  if (s.find("--") != s.npos) out.push_back("must not contain consecutive hyphens");
  if (!s.empty() && (s.front() == '-' || s.back() == '-')) out.push_back("must not begin or end with a hyphen");
  return out;
}

bool IsPercent(std::string_view s) { return s.size() > 1 && s.back() == '%' && std::all_of(s.begin(), s.end() - 1, IsDigit); }

Messages Percent(std::string_view s) {
  if (IsPercent(s)) return {};
  return {Example("a valid percent string must be a numeric string followed by an ending '%'", "[0-9]+%", {"1%", "93%"})};
}

Messages HttpHeaderName(std::string_view s) {
  if (!s.empty() && std::all_of(s.begin(), s.end(), [](char c) { return IsAlnum(c) || c == '-'; })) return {};
  return {Example("a valid HTTP header must consist of alphanumeric characters or '-'", "[-A-Za-z0-9]+", {"X-Header-Name"})};
}

Messages EnvVarName(std::string_view s) {
  if (s.empty()) return {"environment variable name must be non-empty"};
  if (std::all_of(s.begin(), s.end(), [](char c) { return c >= 0x20 && c < 0x7f && c != '='; })) return {};
  return {"a valid environment variable name must consist only of printable ASCII characters other than '='"};
}

Messages ConfigMapKey(std::string_view s) {
  Messages out;
  if (s.size() > 253) out.push_back(MaxLen(253));
  if (s.empty() || !std::all_of(s.begin(), s.end(), [](char c) { return IsAlnum(c) || c == '-' || c == '_' || c == '.'; }))
    out.push_back(Example("a valid config key must consist of alphanumeric characters, '-', '_' or '.'", "[-._a-zA-Z0-9]+", {"key.name", "KEY_NAME", "key-name"}));
  if (s == ".") out.push_back("must not be '.'");
  else if (s == "..") out.push_back("must not be '..'");
  else if (s.starts_with("..")) out.push_back("must not start with '..'");
  return out;
}

Messages DecimalInteger(std::string_view s) {
  if (s.empty()) return {"must be non-empty"};
  std::string_view digits = s;
  if (digits[0] == '-') digits.remove_prefix(1);
  const bool ok = !digits.empty() && std::all_of(digits.begin(), digits.end(), IsDigit) && (digits[0] != '0' || s == "0");
  return ok ? Messages{} : Messages{"must be a valid decimal integer in canonical form"};
}

Messages PathSegmentPrefix(std::string_view s) {
  Messages out;
  for (char c : {'/', '%'})
    if (s.find(c) != s.npos) out.push_back(Cat("may not contain '", c, "'"));
  return out;
}

Messages PathSegmentName(std::string_view s) {
  if (s == "." || s == "..") return {Cat("may not be '", s, "'")};
  return PathSegmentPrefix(s);
}

Messages Sysctl(std::string_view s) {
  const auto part = [](std::string_view p) { return EdgesAndInner(p, IsLowerAlnum, [](char c) { return IsLowerAlnum(c) || c == '-' || c == '_'; }); };
  bool ok = s.size() <= 253;
  std::size_t start = 0;
  for (std::size_t i = 0; i <= s.size() && ok; ++i)
    if (i == s.size() || s[i] == '.' || s[i] == '/') {
      ok = part(s.substr(start, i - start));
      start = i + 1;
    }
  if (ok) return {};
  return {"must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"};
}

Messages ConditionReason(std::string_view s) {
  const bool ok = !s.empty() && IsAlpha(s[0]) && (IsAlnum(s.back()) || s.back() == '_') &&
                  std::all_of(s.begin(), s.end(), [](char c) { return IsAlnum(c) || c == '_' || c == ',' || c == ':'; });
  if (ok) return {};
  return {Example("a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'",
                  "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?", {"my_name", "MY_NAME", "MyName", "ReasonA,ReasonB", "ReasonA:ReasonB"})};
}

Messages LocalDescendingPath(std::string_view s) {
  Messages out;
  if (s.starts_with('/')) out.push_back("must be a relative path");
  for (auto& message : PathNoBacksteps(s)) out.push_back(std::move(message));
  return out;
}

Messages LocalNonReservedPath(std::string_view s) {
  Messages out = LocalDescendingPath(s);
  if (s.starts_with("..") && !s.starts_with("../")) out.push_back("must not start with '..'");
  return out;
}

Messages PathNoBacksteps(std::string_view s) {
  for (std::string_view part : Split(s, '/'))
    if (part == "..") return {"must not contain '..'"};
  return {};
}

Check Find(std::string_view name) {
  struct Row { std::string_view name; Check check; };
  static constexpr Row kRows[] = {
      {"dns1123label", Dns1123Label}, {"dns1123subdomain", Dns1123Subdomain}, {"dns1123subdomain-underscore", Dns1123SubdomainUnderscore},
      {"dns1123subdomain-content", Dns1123SubdomainContent}, {"dns1035label", Dns1035Label}, {"wildcard-dns1123subdomain", WildcardDns1123Subdomain},
      {"labelkey", QualifiedName}, {"qualifiedname", QualifiedName}, {"labelvalue", LabelValue}, {"cidentifier", CIdentifier}, {"portname", PortName},
      {"percent", Percent}, {"httpheadername", HttpHeaderName}, {"envvarname", EnvVarName}, {"configmapkey", ConfigMapKey}, {"decimal-integer", DecimalInteger},
      {"path-segment-name", PathSegmentName}, {"path-segment-prefix", PathSegmentPrefix}, {"sysctl", Sysctl}, {"condition-reason", ConditionReason},
      {"ip", Ip}, {"ip-canonical", IpCanonical}, {"cidr", Cidr}, {"cidr-canonical", CidrCanonical}, {"interface-address", InterfaceAddress},
      {"localDescendingPath", LocalDescendingPath}, {"localNonReservedPath", LocalNonReservedPath}, {"pathNoBacksteps", PathNoBacksteps},
  };
  for (const Row& row : kRows)
    if (row.name == name) return row.check;
  return nullptr;
}

}  // namespace skerry::kube::format
