#include "core/base/clock.h"
#include "core/base/strings.h"
#include "core/crypto/certificate.h"
#include "core/crypto/jwt.h"
#include "core/json/nlohmann/convert.h"
#include "core/json/parse.h"
#include "core/json/patch.h"
#include "core/json/scanner.h"
#include "core/json/utf8.h"
#include "core/text/base64.h"
#include "core/text/duration.h"
#include "core/text/quantity.h"
#include "core/text/selector.h"
#include "core/text/yaml.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/targets_http.h"
#include "tests/fuzz/targets_kube.h"

namespace skerry::fuzz {
namespace {

std::string_view View(const std::uint8_t* data, std::size_t size) { return {reinterpret_cast<const char*>(data), size}; }

bool IsUtf8(std::string_view s) {
  while (!s.empty()) {
    const std::size_t n = json::Utf8Length(s);
    if (n == 0) return false;
    s.remove_prefix(n);
  }
  return true;
}

// The other parser refuses lone surrogates, skips a byte order mark and takes a zero byte as the end.
bool HasSurrogateEscape(std::string_view s) { return ToLower(s).find("\\ud") != std::string::npos; }

int FuzzJson(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = View(data, size);
  const auto ours = json::Parse(text);
  const auto other = nlohmann::json::parse(text.begin(), text.end(), nullptr, false);
  const bool too_deep = !ours && ours.error().message() == "exceeded max depth";
  if (!other.is_discarded() && !text.starts_with("\xEF\xBB\xBF") && text.find('\0') == std::string_view::npos) Require(ours.has_value() || too_deep, "refused what is well-formed");
  if (!ours) return 0;
  if (IsUtf8(text) && !HasSurrogateEscape(text)) {
    Require(!other.is_discarded(), "accepted what is malformed");
    Require(json::FromNlohmann(other) == *ours, "read differently");
    Require(json::ToNlohmann(*ours) == other, "converted differently");
  }
  const std::string dump = ours->Dump();
  const auto again = json::Parse(dump);
  Require(again && *again == *ours && again->Dump() == dump, "does not survive its own dump");
  Require(json::Parse(ours->Dump({.escape_html = true, .indent = 1})).value() == *ours, "does not survive an escaped dump");
  Require(ours->Clone() == *ours, "differs from its clone");
  for (const json::Member& m : ours->Members()) {
    const auto raw = json::FindRaw(dump, {m.key});
    Require(raw && raw->In(dump) == m.value.Dump(), "the scanner finds another value");
  }
  return 1;
}

int FuzzScanner(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = View(data, size);
  int found = 0;
  if (const auto raw = json::FindRaw(text, {"metadata", "name"})) found = 1, static_cast<void>(json::DecodeString(raw->In(text)));
  json::ForEachMember(text, [&](std::string_view, json::RawValue v) { return v.offset + v.size <= text.size(); });
  json::ForEachItem(text, [&](json::RawValue v) { return v.offset + v.size <= text.size(); });
  return found;
}

int FuzzPatch(const std::uint8_t* data, std::size_t size) {
  const auto patch = json::ParsePatch(View(data, size));
  if (!patch) return 0;
  const json::Value document = json::Parse(R"({"a":{"b":[1,2,{"c":null}]},"":{"~":1,"/":2},"n":7})").value();
  const auto out = json::ApplyPatch(document.Clone(), *patch, {.max_copy_bytes = 1 << 16});
  if (!out) return 0;
  Require(json::Depth(*out) <= 1100, "built too deep");
  const json::Value merge = json::CreateMergePatch(document, *out);
  static_cast<void>(json::MergePatch(document.Clone(), merge));
  return 1;
}

int FuzzYaml(const std::uint8_t* data, std::size_t size) {
  std::vector<text::YamlDuplicate> duplicates;
  const auto value = text::ParseYaml(View(data, size), {.max_alias_bytes = 1 << 18, .duplicates = &duplicates});
  static_cast<void>(text::ParseYamlStream(View(data, size), {.max_alias_bytes = 1 << 18}));
  if (!value) return 0;
  const std::string printed = text::ToYaml(*value);
  const auto again = text::ParseYaml(printed);
  Require(again.has_value(), "cannot read what it printed");
  Require(*again == *value, "does not survive its own print");
  return 1;
}

int FuzzQuantity(const std::uint8_t* data, std::size_t size) {
  const auto q = text::Quantity::Parse(View(data, size));
  if (!q) return 0;
  const auto again = text::Quantity::Parse(q->Canonical());
  Require(again.has_value(), "cannot read its canonical form");
  Require(*again == *q && again->Canonical() == q->Canonical(), "the canonical form is another value");
  Require((*q - *q).is_zero() && (*q + *q) == *q * 2, "arithmetic");
  Require((*q < -*q) == (q->sign() < 0), "order");
  static_cast<void>(q->MilliValue() + (q->Value() != 0));
  return 1;
}

int FuzzDuration(const std::uint8_t* data, std::size_t size) {
  const auto d = text::ParseDuration(View(data, size));
  if (!d) return 0;
  Require(text::ParseDuration(text::FormatDuration(*d)).value() == *d, "does not survive printing");
  return 1;
}

int FuzzSelector(const std::uint8_t* data, std::size_t size) {
  const text::Lookup lookup = [](std::string_view key) { return key == "app" ? std::optional<std::string_view>("web") : std::nullopt; };
  int accepted = 0;
  if (const auto labels = text::LabelSelector::Parse(View(data, size))) {
    const auto again = text::LabelSelector::Parse(labels->Text());
    Require(again && again->Text() == labels->Text(), "label selector does not survive printing");
    Require(again->Matches(lookup) == labels->Matches(lookup), "label selector means something else after printing");
    accepted = 1;
  }
  if (const auto fields = text::ParseFieldSelector(View(data, size))) {
    const auto again = text::ParseFieldSelector(text::FieldSelectorText(*fields));
    Require(again && text::FieldSelectorText(*again) == text::FieldSelectorText(*fields), "field selector does not survive printing");
    accepted = 1;
  }
  return accepted;
}

int FuzzBase64(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = View(data, size);
  Require(text::FromBase64(text::Base64(text)).value() == text && text::FromBase64Url(text::Base64Url(text)).value() == text, "does not survive");
  const auto bytes = text::FromBase64(text);
  if (!bytes) return 0;
  Require(text::Base64(*bytes) == text, "accepted what is not canonical");
  return 1;
}

struct TokenWorld {
  Clock::Wall now = FakeClock().Now();
  crypto::JwtSigner signer{crypto::PrivateKey::GenerateP256()};
  crypto::JwkSet keys;
  std::string token;
  TokenWorld() {
    keys.Add(signer.Public());
    token = signer.Sign(json::Parse(R"({"iss":"me","aud":["x"],"exp":1700000600})").value()).value();
  }
};
TokenWorld& World() {
  static TokenWorld world;
  return world;
}

// The input is a change to a good token: "<position>:<bytes to put there>", or a token of its own.
int FuzzJwt(const std::uint8_t* data, std::size_t size) {
  TokenWorld& world = World();
  const std::string_view input = View(data, size);
  static_cast<void>(crypto::UnverifiedClaims(input));
  Require(!world.keys.Verify(input, world.now), "accepted a foreign token");
  std::string changed = world.token;
  const std::size_t colon = input.find(':');
  const auto at = colon == std::string_view::npos ? std::nullopt : ParseUint(input.substr(0, colon));
  if (at) changed.replace(*at % changed.size(), input.size() - colon - 1, input.substr(colon + 1));
  const bool good = world.keys.Verify(changed, world.now).has_value();
  Require(good == (changed == world.token), "accepted a changed token");
  if (const auto document = json::Parse(input)) {
    if (const auto set = crypto::JwkSet::Parse(*document)) Require(!set->Verify(world.token, world.now), "a foreign key verified");
  }
  return good;
}

int FuzzCertificate(const std::uint8_t* data, std::size_t size) {
  const std::string_view input = View(data, size);
  static_cast<void>(crypto::ParseRequest(input));
  static_cast<void>(crypto::PublicKey::FromPem(input));
  static_cast<void>(crypto::PrivateKey::FromPem(input));
  static_cast<void>(crypto::ParseCertificates(input));
  const auto certificate = crypto::ParseCertificate(input);
  if (!certificate) return 0;
  Require(crypto::ParseCertificate(certificate->der).has_value(), "cannot read its own encoding");
  return 1;
}

std::vector<std::string> CertificateSeeds() {
  const auto now = FakeClock().Now();
  const auto ca = crypto::CertificateAuthority::Create("ca", std::chrono::hours(1), now).value();
  const auto leaf = ca.Issue({.common_name = "a", .organizations = {"b"}, .dns_names = {"c"}, .ip_addresses = {"::1"}}, {.server = true}, now).value();
  return {leaf.certificate_pem, leaf.key_pem, crypto::ParseCertificate(leaf.certificate_pem)->der,
          crypto::CreateRequest({.common_name = "a", .dns_names = {"x"}}, crypto::PrivateKey::GenerateP256()).value()};
}

}  // namespace

const std::vector<Target>& Targets() {
  static const std::vector<std::string> json_seeds = {R"({"a":[1,-2.5e3,"x\n\u00e9\ud83d\ude00",null,true,{}],"metadata":{"name":"n"}})", "[]", "\"\"", "0", "18446744073709551615",
                                                      "[[[[1]]]]", "{\"a\":1,\"a\":2}", "\"\xC3\xA9\xF0\x9F\x98\x80\""};
  static const std::vector<std::string> json_fragments = {"{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "d800", "null", "true", "1e5", "-0", "0.1", "\"metadata\":", "\"name\"", "\xFF",
                                                          "\xE2\x80\xA8", " \t\r\n", "9223372036854775808", "1e999", "[[[[[[[["};
  static std::vector<Target> targets = {
      {"json", FuzzJson, json_seeds, json_fragments},
      {"scanner", FuzzScanner, json_seeds, json_fragments},
      {"patch", FuzzPatch,
       {R"([{"op":"add","path":"/a/b/-","value":{"x":1}},{"op":"move","from":"/a/b/0","path":"/z"},{"op":"copy","from":"/a","path":"/a/c"}])",
        R"([{"op":"test","path":"/n","value":7},{"op":"replace","path":"/~1","value":null},{"op":"remove","path":"/a/b/1"}])"},
       {R"({"op":"copy","from":"/a","path":"/a/a"},)", "/a", "/b", "/-", "/0", "~0", "~1", "\"op\":", "null", "\"add\"", "\"remove\""}},
      {"yaml", FuzzYaml,
       {"a: 1\nb:\n- x\n- {y: [z, \"q\\n\"]}\nc: |\n  text\n  more\n", "a: &x {k: v}\nb: *x\nc:\n  <<: *x\n", "--- !!str yes\n...\n---\n? k\n: v\n", "\"quoted\": 'it''s'\nf: >-\n  folded\n  text\n"},
       {"\n", "\n  ", "- ", ": ", "? ", "&a ", "*a", "<<: ", "!!str ", "!!binary ", "|\n", ">+\n", "---\n", "...\n", "'", "\"", "#", "yes", "~", "0x1F", "1e3", "2001-01-01", "[", "]", "{", "}", ",", "\t",
        "\xC2\x85", "\xE2\x80\xA8", "\xEF\xBB\xBF", "%YAML 1.1\n"}},
      {"quantity", FuzzQuantity, {"1", "250m", "1.5Gi", "-2e9", "100000000000000000000Ei", "0.000000001"}, {"1", "0", ".", "Ki", "Ei", "m", "n", "e", "E", "-", "+", "999999999999", "00000000"}},
      {"duration", FuzzDuration, {"1h2m3.5s", "-1.5h", "100ms", "9223372036854775807ns"}, {"h", "m", "s", "ms", "us", "ns", "\xC2\xB5s", ".", "-", "9", "0", "999999999"}},
      {"selector", FuzzSelector, {"app in (web,db),!canary,tier!=x,num>3", "metadata.name=a\\,b,status.phase!=Failed", "a.b/c==d"},
       {"in", "notin", "(", ")", ",", "!", "=", "==", "!=", ">", "<", " ", "\\", "a", "example.com/", "-", ""}},
      {"base64", FuzzBase64, {"TWE=", "TQ==", "TWFu", ""}, {"=", "==", "A", "/", "+", "-", "_", "\n"}},
      {"jwt", FuzzJwt, {"0:e", "50:AAAA", R"({"keys":[{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}]})", "eyJhbGciOiJub25lIn0.e30.", "a.b.c"},
       {".", "eyJhbGciOiJIUzI1NiJ9", "e30", "=", ":", "100", "\"kty\":\"RSA\"", "\"n\":\"AQAB\"", "\"e\":\"AQAB\""}},
      {"certificate", FuzzCertificate, CertificateSeeds(), {"-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\n", "A", "\n", "\x30\x82", "\xFF"}}};
  static const bool complete = [] {
    auto network = NetworkTargets();
    for (Target& t : network) targets.push_back(std::move(t));
    auto http = HttpTargets();
    for (Target& t : http) targets.push_back(std::move(t));
    auto kube = KubeTargets();
    for (Target& t : kube) targets.push_back(std::move(t));
    return true;
  }();
  static_cast<void>(complete);
  return targets;
}

}  // namespace skerry::fuzz
