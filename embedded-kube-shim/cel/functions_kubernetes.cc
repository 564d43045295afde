#include <algorithm>

#include "core/base/strings.h"
#include "core/text/base64.h"
#include "embedded-kube-shim/cel/functions.h"
#include "embedded-kube-shim/cel/pattern.h"
#include "embedded-kube-shim/cel/url.h"

// Quantities, URLs and named formats.
namespace skerry::kube::cel {
namespace {

class UrlVal : public Opaque {
 public:
  explicit UrlVal(Url u) : url(std::move(u)) {}
  std::string_view type_name() const override { return "kubernetes.URL"; }
  bool Equal(const Opaque& o) const override { return url == static_cast<const UrlVal&>(o).url; }
  const Url url;
};

const Url& UrlOf(const Val& v) { return static_cast<const UrlVal&>(v.opaque()).url; }

Val MakeUrl(const CallSite&, Args a) {
  auto url = ParseUrl(a[0].text());
  if (!url) return Val::Error("URL parse error during conversion from string: " + url.error());
  return Val::Of(std::unique_ptr<const Opaque>(new UrlVal(std::move(*url))));
}
Val IsUrl(const CallSite&, Args a) { return Val::Bool(ParseUrl(a[0].text()).has_value()); }
Val GetScheme(const CallSite&, Args a) { return Val::String(UrlOf(a[0]).scheme); }
Val GetHost(const CallSite&, Args a) { return Val::String(UrlOf(a[0]).host); }
Val GetHostname(const CallSite&, Args a) { return Val::String(UrlOf(a[0]).Hostname()); }
Val GetPort(const CallSite&, Args a) { return Val::String(UrlOf(a[0]).Port()); }
Val GetEscapedPath(const CallSite&, Args a) { return Val::String(UrlOf(a[0]).EscapedPath()); }
Val GetQuery(const CallSite&, Args a) {
  std::vector<std::pair<Val, Val>> entries;
  for (auto& [key, values] : UrlOf(a[0]).Query()) {
    std::vector<Val> items;
    for (const std::string& value : values) items.push_back(Val::String(value));
    entries.emplace_back(Val::String(key), Val::List(std::move(items)));
  }
  return Val::Map(std::move(entries));
}

constexpr FunctionRow kUrls[] = {
    {"url", "string_to_url", "(string) -> kubernetes.URL", MakeUrl},
    {"isURL", "is_url_string", "(string) -> bool", IsUrl},
    {"getScheme", "url_get_scheme", "kubernetes.URL.() -> string", GetScheme},
    {"getHost", "url_get_host", "kubernetes.URL.() -> string", GetHost},
    {"getHostname", "url_get_hostname", "kubernetes.URL.() -> string", GetHostname},
    {"getPort", "url_get_port", "kubernetes.URL.() -> string", GetPort},
    {"getEscapedPath", "url_get_escaped_path", "kubernetes.URL.() -> string", GetEscapedPath},
    {"getQuery", "url_get_query", "kubernetes.URL.() -> map(string, list(string))", GetQuery},
};

// ---- quantities ----

const text::Quantity& QuantityOf(const Val& v) { return static_cast<const QuantityVal&>(v.opaque()).q; }
bool IsWide(const Val& v) { return v.is(Kind::kOpaque) && static_cast<const QuantityVal&>(v.opaque()).wide; }
Val Make(text::Quantity q, bool wide) { return Val::Of(std::unique_ptr<const Opaque>(new QuantityVal(q, wide))); }

Val ToQuantity(const CallSite&, Args a) {
  const auto q = text::Quantity::Parse(a[0].text());
  const bool wide = a[0].text().ends_with('i') && a[0].text().find('.') != std::string_view::npos;
  return q ? Make(*q, wide) : Val::Error(std::string(q.error().message()));
}
Val IsQuantity(const CallSite&, Args a) { return Val::Bool(text::Quantity::Parse(a[0].text()).has_value()); }
Val Sign(const CallSite&, Args a) { return Val::Int(QuantityOf(a[0]).sign()); }
bool IsWhole(const Val& value) {
  const text::Quantity& q = QuantityOf(value);
  if (IsWide(value)) return false;
  const std::int64_t v = q.Value();
  return v != INT64_MAX && v != INT64_MIN && text::Quantity::Of(v) == q;
}
Val IsInteger(const CallSite&, Args a) { return Val::Bool(IsWhole(a[0])); }
Val AsInteger(const CallSite&, Args a) {
  return IsWhole(a[0]) ? Val::Int(QuantityOf(a[0]).Value()) : Val::Error("cannot convert value to integer");
}
Val AsFloat(const CallSite&, Args a) { return Val::Double(QuantityOf(a[0]).Approximate()); }
int OrderOf(Args a) {
  const auto order = QuantityOf(a[0]) <=> QuantityOf(a[1]);
  return order < 0 ? -1 : order > 0;
}
Val QuantityGreater(const CallSite&, Args a) { return Val::Bool(OrderOf(a) > 0); }
Val QuantityLess(const CallSite&, Args a) { return Val::Bool(OrderOf(a) < 0); }
Val QuantityCompare(const CallSite&, Args a) { return Val::Int(OrderOf(a)); }
text::Quantity Operand(const Val& v) { return v.is(Kind::kInt) ? text::Quantity::Of(v.integer()) : QuantityOf(v); }
Val QuantityAdd(const CallSite&, Args a) { return Make(QuantityOf(a[0]) + Operand(a[1]), IsWide(a[0]) || IsWide(a[1])); }
Val QuantitySub(const CallSite&, Args a) { return Make(QuantityOf(a[0]) - Operand(a[1]), IsWide(a[0]) || IsWide(a[1])); }

constexpr FunctionRow kQuantities[] = {
    {"quantity", "string_to_quantity", "(string) -> kubernetes.Quantity", ToQuantity},
    {"isQuantity", "is_quantity_string", "(string) -> bool", IsQuantity},
    {"sign", "quantity_sign", "(kubernetes.Quantity) -> int", Sign},
    {"isInteger", "quantity_is_integer", "kubernetes.Quantity.() -> bool", IsInteger},
    {"asInteger", "quantity_get_int", "kubernetes.Quantity.() -> int", AsInteger},
    {"asApproximateFloat", "quantity_get_float", "kubernetes.Quantity.() -> double", AsFloat},
    {"isGreaterThan", "quantity_is_greater_than", "kubernetes.Quantity.(kubernetes.Quantity) -> bool", QuantityGreater},
    {"isLessThan", "quantity_is_less_than", "kubernetes.Quantity.(kubernetes.Quantity) -> bool", QuantityLess},
    {"compareTo", "quantity_compare_to", "kubernetes.Quantity.(kubernetes.Quantity) -> int", QuantityCompare},
    {"add", "quantity_add", "kubernetes.Quantity.(kubernetes.Quantity) -> kubernetes.Quantity", QuantityAdd},
    {"add", "quantity_add_int", "kubernetes.Quantity.(int) -> kubernetes.Quantity", QuantityAdd},
    {"sub", "quantity_sub", "kubernetes.Quantity.(kubernetes.Quantity) -> kubernetes.Quantity", QuantitySub},
    {"sub", "quantity_sub_int", "kubernetes.Quantity.(int) -> kubernetes.Quantity", QuantitySub},
};

// ---- named formats ----

constexpr std::string_view kLabel1123 = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
constexpr std::string_view kSubdomain = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
constexpr std::string_view kLabel1035 = "[a-z]([-a-z0-9]*[a-z0-9])?";
constexpr std::string_view kNamePart = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

std::string WithPattern(std::string_view what, std::string_view examples, std::string_view pattern) {
  return Cat(what, " (e.g. ", examples, ", regex used for validation is '", pattern, "')");
}
const std::string kLabel1123Says = WithPattern("a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character", "'my-name',  or '123-abc'", kLabel1123);
const std::string kSubdomainSays = WithPattern("a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character", "'example.com'", kSubdomain);
const std::string kLabel1035Says = WithPattern("a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character", "'my-name',  or 'abc-123'", kLabel1035);
const std::string kLabelValueSays = WithPattern("a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character", "'MyValue',  or 'my_value',  or '12345'", "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?");
const std::string kNamePartSays = WithPattern("must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character", "'MyName',  or 'my.name',  or '123-abc'", kNamePart);

using Problems = std::vector<std::string>;

Problems Matching(std::string_view text, std::size_t longest, std::string_view pattern, const std::string& says) {
  Problems out;
  if (text.size() > longest) out.push_back(Cat("must be no more than ", longest, " bytes"));
  if (!MatchesWhole(text, pattern)) out.push_back(says);
  return out;
}

// A prefix that ends with a dash may go on.
std::string Prefix(std::string_view text) {
  std::string out(text);
  if (out.size() > 1 && out.ends_with('-')) out.back() = 'a';
  return out;
}

Problems Label1123(std::string_view t) { return Matching(t, 63, kLabel1123, kLabel1123Says); }
Problems Subdomain(std::string_view t) { return Matching(t, 253, kSubdomain, kSubdomainSays); }
Problems Label1035(std::string_view t) { return Matching(t, 63, kLabel1035, kLabel1035Says); }
Problems Label1123Prefix(std::string_view t) { return Label1123(Prefix(t)); }
Problems SubdomainPrefix(std::string_view t) { return Subdomain(Prefix(t)); }
Problems Label1035Prefix(std::string_view t) { return Label1035(Prefix(t)); }
Problems LabelValue(std::string_view t) { return Matching(t, 63, "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?", kLabelValueSays); }

Problems QualifiedName(std::string_view t) {
  Problems out;
  const std::vector<std::string_view> parts = Split(t, '/');
  if (parts.size() > 2) {
    // The pattern's parenthesis closes before what may come in front.
    return {WithPattern("a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character", "'MyName',  or 'my.name',  or '123-abc'", kNamePart) +
            " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"};
  }
  if (parts.size() == 2) {
    if (parts[0].empty()) out.push_back("prefix part must be non-empty");
    else for (const std::string& problem : Subdomain(parts[0])) out.push_back("prefix part " + problem);
  }
  const std::string_view name = parts.back();
  if (name.empty()) out.push_back("name part must be non-empty");
  else if (name.size() > 63) out.push_back("name part must be no more than 63 bytes");
  if (!MatchesWhole(name, kNamePart)) out.push_back("name part " + kNamePartSays);
  return out;
}

Problems Uri(std::string_view t) {
  const auto url = ParseUrl(t);
  return url ? Problems{} : Problems{url.error()};
}
Problems Uuid(std::string_view t) {
  return MatchesWhole(t, "(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}") ? Problems{} : Problems{"does not match the UUID format"};
}
Problems Byte(std::string_view t) { return text::FromBase64(t) ? Problems{} : Problems{"invalid base64"}; }
Problems Date(std::string_view t) { return ParseTimestamp(Cat(t, "T00:00:00Z")) ? Problems{} : Problems{"invalid date"}; }
Problems DateTime(std::string_view t) { return ParseTimestamp(t) ? Problems{} : Problems{"invalid datetime"}; }

struct NamedFormat { std::string_view name; Problems (*check)(std::string_view); std::uint64_t pattern_size; };
constexpr NamedFormat kFormats[] = {
    {"dns1123Label", Label1123, 30}, {"dns1123Subdomain", Subdomain, 60}, {"dns1035Label", Label1035, 30}, {"qualifiedName", QualifiedName, 60}, {"dns1123LabelPrefix", Label1123Prefix, 30},
    {"dns1123SubdomainPrefix", SubdomainPrefix, 60}, {"dns1035LabelPrefix", Label1035Prefix, 30}, {"labelValue", LabelValue, 40}, {"uri", Uri, 1104}, {"uuid", Uuid, 72}, {"byte", Byte, 84},
    {"date", Date, 72}, {"datetime", DateTime, 72}};

class FormatVal : public Opaque {
 public:
  explicit FormatVal(const NamedFormat& f) : format(f) {}
  std::string_view type_name() const override { return "kubernetes.NamedFormat"; }
  bool Equal(const Opaque& o) const override { return format.name == static_cast<const FormatVal&>(o).format.name; }
  const NamedFormat& format;
};

Val MakeFormat(const NamedFormat& format) { return Val::Of(std::unique_ptr<const Opaque>(new FormatVal(format))); }

template <std::size_t index>
Val FormatOf(const CallSite&, Args) { return MakeFormat(kFormats[index]); }

Val Named(const CallSite&, Args a) {
  const auto format = std::ranges::find(kFormats, a[0].text(), &NamedFormat::name);
  return format == std::end(kFormats) ? Val::None() : Val::Some(MakeFormat(*format));
}

Val Validate(const CallSite&, Args a) {
  const Problems problems = static_cast<const FormatVal&>(a[0].opaque()).format.check(a[1].text());
  if (problems.empty()) return Val::None();
  std::vector<Val> items;
  for (const std::string& problem : problems) items.push_back(Val::String(problem));
  return Val::Some(Val::List(std::move(items)));
}

template <std::size_t... index>
void AddFormats(Library& library, std::index_sequence<index...>) {
  for (const auto& [i, implementation] : {std::pair<std::size_t, Implementation>(index, FormatOf<index>)...}) {
    const std::string name = Cat("format.", kFormats[i].name);
    const FunctionRow row[] = {{name, name, "() -> kubernetes.NamedFormat", implementation}};
    library.Add(row);
  }
}

constexpr FunctionRow kNamedFormats[] = {
    {"format.named", "format-named", "(string) -> optional(kubernetes.NamedFormat)", Named},
    {"validate", "format-validate", "kubernetes.NamedFormat.(string) -> optional(list(string))", Validate},
};

}  // namespace

std::uint64_t PatternSizeOf(const Val& named_format) { return static_cast<const FormatVal&>(named_format.opaque()).format.pattern_size; }

void AddUrls(Library& library) {
  library.Add(kUrls);
  library.AddTypeName("kubernetes.URL", StructType("kubernetes.URL"));
}

void AddQuantities(Library& library) { library.Add(kQuantities); }

void AddNamedFormats(Library& library) {
  AddFormats(library, std::make_index_sequence<std::size(kFormats)>());
  library.Add(kNamedFormats);
}

}  // namespace skerry::kube::cel
