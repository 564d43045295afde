#include <algorithm>
#include <array>
#include <map>

#include "core/base/strings.h"
#include "core/text/duration.h"
#include "embedded-kube-shim/apis/custom_values.h"
#include "embedded-kube-shim/apis/formats.h"

// Text formats that a custom resource's schema may name.
namespace skerry::kube {
namespace {

using Check = bool (*)(std::string_view);

// One compiled pattern a name; matched as a whole.
template <const char* pattern>
bool Matches(std::string_view text) {
  static const auto matcher = cel::CompilePattern(pattern, nullptr);
  return matcher && matcher->Matches(text);
}

bool Digits(std::string_view text) { return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; }); }

bool IsDate(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-' || !Digits(text.substr(0, 4)) || !Digits(text.substr(5, 2)) || !Digits(text.substr(8, 2))) return false;
  const auto number = [&](std::size_t at, std::size_t size) { return static_cast<int>(ParseUint(text.substr(at, size)).value_or(0)); };
  const std::chrono::year_month_day date{std::chrono::year(number(0, 4)), std::chrono::month(static_cast<unsigned>(number(5, 2))), std::chrono::day(static_cast<unsigned>(number(8, 2)))};
  return date.ok();
}

constexpr char kTimeOfDay[] = "^([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))$";
bool IsDateTime(std::string_view text) {
  const auto lower = ToLower(text);
  const auto parts = Split(lower, 't');
  if (lower.size() < 4 || parts.size() < 2 || !IsDate(parts[0]) || !Matches<kTimeOfDay>(parts[1])) return false;
  const auto time = parts[1];
  return time.substr(0, 2) <= "23" && time.substr(3, 2) <= "59" && time.substr(6, 2) <= "59";
}

// Go's durations, and words: "1 day", "2 weeks 3 hours".
bool IsDuration(std::string_view text) {
  if (text::ParseDuration(text)) return true;
  static constexpr std::string_view kWords[] = {"ns", "us", "µs", "ms", "s", "m", "h", "hr", "d", "w", "week"};
  static constexpr std::string_view kPrefixes[] = {"nano", "micro", "milli", "sec", "min", "hour", "day", "wk"};
  const auto letter = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || static_cast<unsigned char>(c) >= 0x80; };
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] < '0' || text[i] > '9') {
      ++i;
      continue;
    }
    while (i < text.size() && text[i] >= '0' && text[i] <= '9') ++i;
    while (i < text.size() && (text[i] == ' ' || text[i] == '\t' || text[i] == '\n')) ++i;
    const auto start = i;
    while (i < text.size() && letter(text[i])) ++i;
    const auto unit = ToLower(text.substr(start, i - start));
    if (std::find(std::begin(kWords), std::end(kWords), unit) != std::end(kWords)) return true;
    for (const auto prefix : kPrefixes)
      if (unit.starts_with(prefix)) return true;
  }
  return false;
}

bool IsIpv4(std::string_view text) { return text.find(':') == text.npos && format::ParseIp(text, true).size() > 0; }
bool IsIpv6Text(std::string_view text) { return text.find(':') != text.npos && format::ParseIp(text, true).size() > 0; }
bool IsCidr(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == text.npos) return false;
  const auto address = format::ParseIp(text.substr(0, slash), true);
  const auto bits = text.substr(slash + 1);
  if (address.empty() || !Digits(bits) || (bits.size() > 1 && bits[0] == '0')) return false;
  return ParseUint(bits).value_or(999) <= (text.find(':') == text.npos ? 32u : 128u);
}

// Six, eight or twenty bytes in hexadecimal, by colons, dashes or dots.
bool IsMac(std::string_view text) {
  for (const std::size_t bytes : {6, 8, 20}) {
    for (const auto& [separator, group] : {std::pair(':', 2), {'-', 2}, {'.', 4}}) {
      const auto parts = Split(text, separator);
      if (parts.size() * static_cast<std::size_t>(group) != bytes * 2) continue;
      const bool good = std::all_of(parts.begin(), parts.end(), [&](std::string_view part) {
        return part.size() == static_cast<std::size_t>(group) && part.find_first_not_of("0123456789abcdefABCDEF") == part.npos;
      });
      if (good) return true;
    }
  }
  return false;
}

// An absolute URI, or a path from the root, as it may stand in a request line.
bool IsRequestUri(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text)
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f) return false;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (text[i] == '%' && (i + 2 >= text.size() || text.substr(i + 1, 2).find_first_not_of("0123456789abcdefABCDEF") != std::string_view::npos)) return false;
  if (text[0] == '/' || text == "*") return true;
  const auto colon = text.find(':');
  if (colon == text.npos || colon == 0) return false;
  const auto scheme = text.substr(0, colon);
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (!letter(scheme[0])) return false;
  return std::all_of(scheme.begin(), scheme.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.'; });
}

// local@domain, also behind a display name.
bool IsEmail(std::string_view text) {
  auto address = Trim(text);
  if (address.ends_with('>')) {
    const auto open = address.rfind('<');
    if (open == address.npos) return false;
    address = address.substr(open + 1, address.size() - open - 2);
  }
  const auto at = address.rfind('@');
  if (at == address.npos || at == 0 || at + 1 == address.size()) return false;
  const auto atoms = [](std::string_view part) {
    constexpr std::string_view kSpecial = "!#$%&'*+-/=?^_`{|}~";
    if (part.starts_with('.') || part.ends_with('.') || part.find("..") != part.npos) return false;
    return std::all_of(part.begin(), part.end(), [&](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || static_cast<unsigned char>(c) >= 0x80 || kSpecial.find(c) != kSpecial.npos;
    });
  };
  const auto local = address.substr(0, at), domain = address.substr(at + 1);
  const bool quoted = local.size() >= 2 && local.front() == '"' && local.back() == '"';
  const bool literal = domain.front() == '[' && domain.back() == ']';
  return (quoted || atoms(local)) && (literal || atoms(domain));
}

constexpr char kHostname[] =
    "^([a-zA-Z0-9\\p{S}\\p{L}]((-?[a-zA-Z0-9\\p{S}\\p{L}]{0,62})?)|([a-zA-Z0-9\\p{S}\\p{L}](([a-zA-Z0-9-\\p{S}\\p{L}]{0,61}[a-zA-Z0-9\\p{S}\\p{L}])?)(\\.)){1,}([a-zA-Z\\p{L}]){2,63})$";
bool IsHostname(std::string_view text) {
  if (text.size() > 255 || !Matches<kHostname>(text)) return false;
  const auto labels = Split(text, '.');
  return std::all_of(labels.begin(), labels.end(), [](std::string_view label) { return label.size() <= 63; });
}

bool LuhnHolds(std::string_view digits) {
  int sum = 0;
  bool twice = false;
  for (auto at = digits.rbegin(); at != digits.rend(); ++at, twice = !twice) {
    int digit = *at - '0';
    if (twice && (digit *= 2) > 9) digit -= 9;
    sum += digit;
  }
  return sum % 10 == 0;
}

std::string Without(std::string_view text, std::string_view dropped) {
  std::string out;
  for (const char c : text)
    if (dropped.find(c) == dropped.npos) out += c;
  return out;
}

constexpr char kCard[] = "^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|(222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35\\d{3})\\d{11}|6[27][0-9]{14})$";
bool IsCreditCard(std::string_view text) {
  const auto digits = Without(text, " -");
  return Matches<kCard>(digits) && LuhnHolds(digits);
}

bool IsIsbn10(std::string_view text) {
  const auto digits = Without(text, " -");
  if (digits.size() != 10 || !Digits(std::string_view(digits).substr(0, 9)) || (!Digits(digits.substr(9)) && digits[9] != 'X')) return false;
  int sum = 0;
  for (int i = 0; i < 10; ++i) sum += (i + 1) * (digits[static_cast<std::size_t>(i)] == 'X' ? 10 : digits[static_cast<std::size_t>(i)] - '0');
  return sum % 11 == 0;
}
bool IsIsbn13(std::string_view text) {
  const auto digits = Without(text, " -");
  if (digits.size() != 13 || !Digits(digits)) return false;
  int sum = 0;
  for (std::size_t i = 0; i < 12; ++i) sum += (i % 2 == 0 ? 1 : 3) * (digits[i] - '0');
  return (10 - sum % 10) % 10 == digits[12] - '0';
}
bool IsIsbn(std::string_view text) { return IsIsbn10(text) || IsIsbn13(text); }

bool Anything(std::string_view) { return true; }
bool IsShortName(std::string_view text) { return format::Dns1123Label(text).empty(); }
bool IsLongName(std::string_view text) { return format::Dns1123Subdomain(text).empty(); }

constexpr char kBase64[] = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$";
constexpr char kUuid[] = "(?i)^[0-9A-F]{8}-?[0-9A-F]{4}-?[0-9A-F]{4}-?[0-9A-F]{4}-?[0-9A-F]{12}$";
constexpr char kUuid3[] = "(?i)^[0-9A-F]{8}-?[0-9A-F]{4}-?3[0-9A-F]{3}-?[0-9A-F]{4}-?[0-9A-F]{12}$";
constexpr char kUuid4[] = "(?i)^[0-9A-F]{8}-?[0-9A-F]{4}-?4[0-9A-F]{3}-?[89AB][0-9A-F]{3}-?[0-9A-F]{12}$";
constexpr char kUuid5[] = "(?i)^[0-9A-F]{8}-?[0-9A-F]{4}-?5[0-9A-F]{3}-?[89AB][0-9A-F]{3}-?[0-9A-F]{12}$";
constexpr char kObjectId[] = "^[0-9a-fA-F]{24}$";
constexpr char kHexColor[] = "^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$";
constexpr char kRgbColor[] =
    "^rgb\\(\\s*(0|[1-9]\\d?|1\\d\\d?|2[0-4]\\d|25[0-5])\\s*,\\s*(0|[1-9]\\d?|1\\d\\d?|2[0-4]\\d|25[0-5])\\s*,\\s*(0|[1-9]\\d?|1\\d\\d?|2[0-4]\\d|25[0-5])\\s*\\)$";
constexpr char kSocialSecurity[] = "^\\d{3}[- ]?\\d{2}[- ]?\\d{4}$";

Check Find(std::string_view name) {
  static const std::map<std::string, Check, std::less<>> kChecks = {
      {"datetime", IsDateTime}, {"date", IsDate}, {"duration", IsDuration}, {"byte", Matches<kBase64>}, {"email", IsEmail}, {"ipv4", IsIpv4}, {"ipv6", IsIpv6Text}, {"cidr", IsCidr},
      {"mac", IsMac}, {"uuid", Matches<kUuid>}, {"uuid3", Matches<kUuid3>}, {"uuid4", Matches<kUuid4>}, {"uuid5", Matches<kUuid5>}, {"uri", IsRequestUri}, {"hostname", IsHostname},
      {"password", Anything}, {"bsonobjectid", Matches<kObjectId>}, {"isbn", IsIsbn}, {"isbn10", IsIsbn10}, {"isbn13", IsIsbn13}, {"creditcard", IsCreditCard}, {"ssn", Matches<kSocialSecurity>},
      {"hexcolor", Matches<kHexColor>}, {"rgbcolor", Matches<kRgbColor>}, {"k8sshortname", IsShortName}, {"k8slongname", IsLongName}};
  const auto at = kChecks.find(Without(name, "-"));
  return at == kChecks.end() ? nullptr : at->second;
}

}  // namespace

bool IsTextFormat(std::string_view format) { return !format.empty() && Find(format) != nullptr; }

bool MatchesTextFormat(std::string_view format, std::string_view text) {
  const Check check = Find(format);
  return !check || check(text);
}

}  // namespace skerry::kube
