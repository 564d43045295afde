#include <algorithm>
#include <compare>

#include "core/base/strings.h"
#include "embedded-kube-shim/cel/functions.h"

// Semantic versions (semver.org 2.0.0): order by precedence, build metadata does not count.
namespace skerry::kube::cel {
namespace {

struct Version {
  std::uint64_t parts[3] = {};
  std::vector<std::string> pre;
};

bool AllDigits(std::string_view t) { return !t.empty() && std::ranges::all_of(t, [](char c) { return c >= '0' && c <= '9'; }); }
bool AllIdentifier(std::string_view t) {
  return std::ranges::all_of(t, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-'; });
}

// "v1.02" → "1.2.0".
std::string Normalized(std::string_view text) {
  if (text.starts_with('v')) text.remove_prefix(1);
  const std::size_t rest_at = text.find_first_of("-+");
  std::string out;
  std::size_t count = 0;
  for (std::string_view part : Split(text.substr(0, rest_at), '.')) {
    if (count < 3 && part.size() > 1) {
      while (part.starts_with('0')) part.remove_prefix(1);
      if (part.empty() || part[0] < '0' || part[0] > '9') {
        out += Cat(count == 0 ? "" : ".", "0", part);
        ++count;
        continue;
      }
    }
    out += Cat(count == 0 ? "" : ".", part);
    ++count;
  }
  for (; count < 3; ++count) out += ".0";
  if (rest_at != std::string_view::npos) out += text.substr(rest_at);
  return out;
}

bool ReadIdentifiers(std::string_view text, bool is_pre, Version* out, std::string* problem) {
  for (const std::string_view word : Split(text, '.')) {
    if (word.empty()) return *problem = is_pre ? "Prerelease is empty" : "Build meta data is empty", false;
    if (!AllIdentifier(word)) return *problem = Cat("Invalid character(s) found in ", is_pre ? "prerelease " : "build meta data ", Quote(word)), false;
    if (is_pre && word.size() > 1 && word[0] == '0' && AllDigits(word)) return *problem = Cat("Numeric PreRelease version must not contain leading zeroes ", Quote(word)), false;
    if (is_pre) out->pre.emplace_back(word);
  }
  return true;
}

bool ReadVersion(std::string_view text, Version* out, std::string* problem) {
  if (text.empty()) return *problem = "Version string empty", false;
  std::vector<std::string> numbers;
  std::string_view rest = text;
  for (int i = 0; i < 2; ++i) {
    const std::size_t dot = rest.find('.');
    if (dot == std::string_view::npos) return *problem = "No Major.Minor.Patch elements found", false;
    numbers.emplace_back(rest.substr(0, dot));
    rest.remove_prefix(dot + 1);
  }
  std::string_view build, pre;
  bool has_build = false, has_pre = false;
  if (const std::size_t plus = rest.find('+'); plus != std::string_view::npos) {
    has_build = true;
    build = rest.substr(plus + 1);
    rest = rest.substr(0, plus);
  }
  if (const std::size_t dash = rest.find('-'); dash != std::string_view::npos) {
    has_pre = true;
    pre = rest.substr(dash + 1);
    rest = rest.substr(0, dash);
  }
  numbers.emplace_back(rest);
  constexpr std::string_view kNames[] = {"Major", "Minor", "Patch"}, kSmall[] = {"major", "minor", "patch"};
  for (std::size_t i = 0; i < 3; ++i) {
    if (!AllDigits(numbers[i]) && !numbers[i].empty()) return *problem = Cat("Invalid character(s) found in ", kSmall[i], " number ", Quote(numbers[i])), false;
    if (numbers[i].size() > 1 && numbers[i][0] == '0') return *problem = Cat(kNames[i], " number must not contain leading zeroes ", Quote(numbers[i])), false;
    const auto value = ParseUint(numbers[i]);
    if (!value) return *problem = Cat("strconv.ParseUint: parsing ", Quote(numbers[i]), numbers[i].empty() ? ": invalid syntax" : ": value out of range"), false;
    out->parts[i] = *value;
  }
  if (has_pre && !ReadIdentifiers(pre, true, out, problem)) return false;
  return !has_build || ReadIdentifiers(build, false, out, problem);
}

int Sign(auto a, auto b) { return a < b ? -1 : a > b ? 1 : 0; }

int CompareWords(const std::string& a, const std::string& b) {
  const bool a_number = AllDigits(a), b_number = AllDigits(b);
  if (a_number != b_number) return a_number ? -1 : 1;
  if (a_number && a.size() != b.size()) return Sign(a.size(), b.size());
  return Sign(a.compare(b), 0);
}

int CompareVersions(const Version& a, const Version& b) {
  for (int i = 0; i < 3; ++i) {
    if (a.parts[i] != b.parts[i]) return Sign(a.parts[i], b.parts[i]);
  }
  if (a.pre.empty() != b.pre.empty()) return a.pre.empty() ? 1 : -1;
  for (std::size_t i = 0; i < std::min(a.pre.size(), b.pre.size()); ++i) {
    if (const int order = CompareWords(a.pre[i], b.pre[i]); order != 0) return order;
  }
  return Sign(a.pre.size(), b.pre.size());
}

class VersionVal : public Opaque {
 public:
  explicit VersionVal(Version v) : version(std::move(v)) {}
  std::string_view type_name() const override { return "kubernetes.Semver"; }
  bool Equal(const Opaque& o) const override { return CompareVersions(version, static_cast<const VersionVal&>(o).version) == 0; }
  const Version version;
};

const Version& VersionOf(const Val& v) { return static_cast<const VersionVal&>(v.opaque()).version; }

bool Read(Args a, Version* version, std::string* problem) {
  const bool normalize = a.size() == 2 && a[1].boolean();
  return normalize ? ReadVersion(Normalized(a[0].text()), version, problem) : ReadVersion(a[0].text(), version, problem);
}

Val Make(const CallSite&, Args a) {
  Version version;
  std::string problem;
  if (!Read(a, &version, &problem)) return Val::Error(std::move(problem));
  return Val::Of(std::unique_ptr<const Opaque>(new VersionVal(std::move(version))));
}
Val Is(const CallSite&, Args a) {
  Version version;
  std::string problem;
  return Val::Bool(Read(a, &version, &problem));
}
template <int part>
Val Part(const CallSite&, Args a) { return Val::Int(static_cast<std::int64_t>(VersionOf(a[0]).parts[part])); }
Val CompareTo(const CallSite&, Args a) { return Val::Int(CompareVersions(VersionOf(a[0]), VersionOf(a[1]))); }
Val Greater(const CallSite&, Args a) { return Val::Bool(CompareVersions(VersionOf(a[0]), VersionOf(a[1])) > 0); }
Val Less(const CallSite&, Args a) { return Val::Bool(CompareVersions(VersionOf(a[0]), VersionOf(a[1])) < 0); }

constexpr FunctionRow kVersions[] = {
    {"semver", "string_to_semver", "(string) -> kubernetes.Semver", Make},
    {"semver", "string_bool_to_semver", "(string, bool) -> kubernetes.Semver", Make},
    {"isSemver", "is_semver_string", "(string) -> bool", Is},
    {"isSemver", "is_semver_string_bool", "(string, bool) -> bool", Is},
    {"major", "semver_major", "kubernetes.Semver.() -> int", Part<0>},
    {"minor", "semver_minor", "kubernetes.Semver.() -> int", Part<1>},
    {"patch", "semver_patch", "kubernetes.Semver.() -> int", Part<2>},
    {"compareTo", "semver_compare_to", "kubernetes.Semver.(kubernetes.Semver) -> int", CompareTo},
    {"isGreaterThan", "semver_is_greater_than", "kubernetes.Semver.(kubernetes.Semver) -> bool", Greater},
    {"isLessThan", "semver_is_less_than", "kubernetes.Semver.(kubernetes.Semver) -> bool", Less},
};

}  // namespace

void AddVersions(Library& library) { library.Add(kVersions); }

}  // namespace skerry::kube::cel
