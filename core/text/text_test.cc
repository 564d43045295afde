#include <catch2/catch.hpp>
#include <map>

#include "core/base/random.h"
#include "core/text/base64.h"
#include "core/text/duration.h"
#include "core/text/quantity.h"
#include "core/text/selector.h"

namespace skerry::text {
namespace {

std::string Canon(std::string_view s) {
  const auto q = Quantity::Parse(s);
  return q ? q->Canonical() : "error: " + std::string(q.error().message());
}
Quantity Q(std::string_view s) { return Quantity::Parse(s).value(); }

std::string LabelError(std::string_view s) {
  const auto r = LabelSelector::Parse(s);
  return r ? "ok" : std::string(r.error().message());
}

}  // namespace

TEST_CASE("base64 round-trips and refuses what is not canonical") {
  SeededRandom random(1);
  for (std::size_t n = 0; n < 70; ++n) {
    std::string bytes(n, '\0');
    random.Fill(std::as_writable_bytes(std::span(bytes)));
    CHECK(FromBase64(Base64(bytes)).value() == bytes);
    CHECK(FromBase64Url(Base64Url(bytes)).value() == bytes);
    CHECK(FromHex(Hex(bytes)).value() == bytes);
  }
  CHECK(Base64("Ma") == "TWE=");
  CHECK(Base64Url("\xff\xfe\xfd\xfc") == "__79_A");
  for (const char* bad : {"TWE", "TW=E", "TWF", "TWE=\n", "T", "====", "TWF=", "T===", "TQ==TQ==", "__79"}) CHECK_FALSE(FromBase64(bad));
  for (const char* bad : {"TWE=", "T", "TW+", "TWF"}) CHECK_FALSE(FromBase64Url(bad));
}

TEST_CASE("durations follow Go's notation") {
  using namespace std::chrono_literals;
  for (const auto& [text, value] : std::map<std::string, std::chrono::nanoseconds>{{"0", 0ns}, {"5s", 5s}, {"1h2m3.5s", 3723500ms}, {"-1.5h", -90min}, {".5m", 30s},
                                                                                    {"1.s", 1s}, {"+3us", 3us}, {"1\xC2\xB5s", 1us}, {"100ms", 100ms},
                                                                                    {"9223372036854775807ns", std::chrono::nanoseconds::max()},
                                                                                    {"-9223372036854775808ns", std::chrono::nanoseconds::min()}}) {
    INFO(text);
    CHECK(ParseDuration(text).value() == value);
  }
  CHECK(ParseDuration("1d").error().message() == "time: unknown unit \"d\" in duration \"1d\"");
  CHECK(ParseDuration("10").error().message() == "time: missing unit in duration \"10\"");
  for (const char* bad : {"", "-", ".s", "s", "1s2", "9223372036854775808ns", "3000000h", "1e3s"}) CHECK_FALSE(ParseDuration(bad));
  CHECK(FormatDuration(3723500ms) == "1h2m3.5s");
  CHECK(FormatDuration(-90min) == "-1h30m0s");
  CHECK(FormatDuration(0s) == "0s");
  CHECK(FormatDuration(1500us) == "1.5ms");
  CHECK(FormatDuration(100ns) == "100ns");
  CHECK(ParseDuration(FormatDuration(std::chrono::nanoseconds::min())).value() == std::chrono::nanoseconds::min());
}

TEST_CASE("quantities print canonically within their suffix family") {
  for (const auto& [text, canonical] : std::map<std::string, std::string>{
           {"0", "0"}, {"0Ki", "0"}, {"1000m", "1"}, {"0.25", "250m"}, {"1.0005", "1000500u"}, {"2e9", "2e9"}, {"2E9", "2e9"}, {"20e8", "2e9"}, {"1000M", "1G"},
           {"0.5Ti", "512Gi"}, {"1.5Gi", "1536Mi"}, {"8192Mi", "8Gi"}, {"1000Ki", "1000Ki"}, {"1001m", "1001m"}, {"100m", "100m"}, {"0.1Ki", "102400m"}, {"1Ki", "1Ki"},
           {"0.5Ki", "512"}, {"1.1Ki", "1126400m"}, {"-1", "-1"}, {"-1.5Gi", "-1536Mi"}, {"1n", "1n"}, {"0.1n", "1n"}, {"-0.1n", "-1n"}, {"1e3", "1e3"}, {"1e2", "100"},
           {"12e-1", "1200e-3"}, {"1E", "1E"}, {"1000E", "1000E"}, {"8Ei", "9223372036854775807"}, {"9223372036854775807", "9223372036854775807"},
           {"+5", "5"}, {"007", "7"}, {"1.", "1"}, {".5", "500m"}, {"100k", "100k"}, {"1024", "1024"}, {"Ki", "0"}, {"123456789012345678901234567890", "123456789012345678901234567890"}}) {
    INFO(text);
    CHECK(Canon(text) == canonical);
    CHECK(Canon(canonical) == canonical);
    CHECK(Q(text) == Q(canonical));
  }
}

TEST_CASE("a malformed quantity is refused in the words clients know") {
  const std::string shape = "error: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
  for (const char* bad : {"", "abc", "1 Gi", " 1", "1.5.5", "1Gi ", "1_000", "0x10", "1Gi-x"}) {
    INFO(bad);
    CHECK(Canon(bad) == shape);
  }
  for (const char* bad : {"1i", "1Gb5", "1mm", "1ki", "1e", "1e+", "1Ki5", "1e99999999999", "1GiGi", "--1"}) {
    INFO(bad);
    CHECK(Canon(bad).starts_with("error: "));
  }
  CHECK(Canon("1ki") == "error: unable to parse quantity's suffix");
  CHECK(Canon(std::string(60, '9')) == "error: unable to parse numeric part of quantity");
}

TEST_CASE("quantity arithmetic is exact and comparison goes by value") {
  CHECK((Q("100m") + Q("0.9")).Canonical() == "1");
  CHECK((Q("1Gi") - Q("512Mi")).Canonical() == "512Mi");
  CHECK((Q("0") + Q("1Gi")).Canonical() == "1Gi");
  CHECK((Q("1") - Q("1500m")).Canonical() == "-500m");
  CHECK((Q("250m") * 3).Canonical() == "750m");
  CHECK(Q("1") == Q("1000m"));
  CHECK(Q("1Ki") > Q("1k"));
  CHECK(Q("-1") < Q("1n"));
  CHECK(Q("1e1000") > Q("9e30"));
  CHECK(Q("-1e1000") < Q("-9e30"));
  CHECK(Q("1500m").Value() == 2);
  CHECK(Q("-1500m").Value() == -2);
  CHECK(Q("1.0005").MilliValue() == 1001);
  CHECK(Q("1e40").Value() == std::numeric_limits<std::int64_t>::max());
  CHECK((Q("1e1000") + Q("1")).Canonical().size() > 3);   // ends, whatever the distance
  CHECK(Q("1.5Gi").Approximate() == Approx(1610612736.0));
}

TEST_CASE("label selectors match as the API does") {
  const std::vector<std::map<std::string, std::string, std::less<>>> objects = {{{"app", "web"}, {"num", "1"}, {"tier", "front"}},
                                                                                 {{"app", "web"}, {"example.com/role", "main"}, {"num", "2"}, {"tier", "back"}},
                                                                                 {{"app", "db"}, {"num", "10"}, {"tier", "back"}},
                                                                                 {{"app", "db"}, {"env", ""}},
                                                                                 {{"app", "cache"}, {"env", "prod"}, {"example.com/role", "spare"}, {"tier", "front"}},
                                                                                 {{"only", "x"}}};
  const std::map<std::string, std::string> cases = {{"", "012345"}, {"notin=1", ""}, {"in=1", ""}, {"app==", ""}, {"app in (web,db)", "0123"}, {"app!=web", "2345"},
                                                    {"app,tier", "0124"}, {"env in (,prod)", "34"}, {" app = web ", "01"}, {"num<10", "01"}, {"num>0", "012"},
                                                    {"env in ()", "3"}, {"num>1,num<10", "1"}, {"tier in (front,front)", "04"}, {"env=", "3"},
                                                    {"app in (web), tier notin (front)", "1"}, {"only!=y", "012345"}, {"!example.com/role", "0235"},
                                                    {"app in ( web , db )", "0123"}, {"!tier", "35"}, {"app notin (web),app", "234"}, {"env notin (prod)", "01235"}};
  for (const auto& [text, expected] : cases) {
    INFO(text);
    const auto selector = LabelSelector::Parse(text);
    REQUIRE(selector);
    const auto reparsed = LabelSelector::Parse(selector->Text());
    REQUIRE(reparsed);
    std::string matched, again;
    for (std::size_t i = 0; i < objects.size(); ++i) {
      const Lookup lookup = [&](std::string_view key) -> std::optional<std::string_view> {
        const auto it = objects[i].find(key);
        return it == objects[i].end() ? std::nullopt : std::optional<std::string_view>(it->second);
      };
      if (selector->Matches(lookup)) matched += static_cast<char>('0' + i);
      if (reparsed->Matches(lookup)) again += static_cast<char>('0' + i);
    }
    CHECK(matched == expected);
    CHECK(again == expected);
  }
}

TEST_CASE("a malformed label selector is answered in the API's words") {
  const std::string name_rule =
      "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or "
      "'123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
  for (const auto& [text, message] : std::map<std::string, std::string>{
           {"a,", "found '', expected: identifier after ','"},
           {"(a)", "found '(', expected: !, identifier, or 'end of string'"},
           {"a,,b", "found ',', expected: identifier after ','"},
           {"=web", "found '=', expected: !, identifier, or 'end of string'"},
           {"!app=web", "found '=', expected: ',' or 'end of string'"},
           {"app=we b", "found 'b', expected: ',' or 'end of string'"},
           {"app in ()x", "found 'x', expected: ',' or 'end of string'"},
           {"-a=b", "unable to parse requirement: <nil>: Invalid value: \"-a\": name part " + name_rule},
           {"x/y/z=1", "unable to parse requirement: <nil>: Invalid value: \"x/y/z\": a valid label key " + name_rule + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"},
           {"app!", "unable to parse requirement: found '!', expected: in, notin, =, ==, !=, gt, lt"},
           {"app notin", "unable to parse requirement: found '' expected: '('"},
           {"app in (web", "unable to parse requirement: found '', expected: ',' or ')'"},
           {"app!=(a)", "unable to parse requirement: found '(', expected: identifier"},
           {"in (a)", "unable to parse requirement: found '(', expected: in, notin, =, ==, !=, gt, lt"},
           {"num=<1", "unable to parse requirement: found '<', expected: identifier"},
           {"app===web", "unable to parse requirement: found '=', expected: identifier"},
           {"app<>1", "unable to parse requirement: found '>', expected: identifier"},
           {"app in (a b)", "unable to parse requirement: found 'b', expected: ',' or ')'"},
           {"a b=c", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"},
           {"num<", "unable to parse requirement: values[0]: Invalid value: \"\": for 'Gt', 'Lt' operators, the value must be an integer"},
           {"num>-1",
            "unable to parse requirement: values[0][num]: Invalid value: \"-1\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
            "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
            "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"}}) {
    INFO(text);
    CHECK(LabelError(text) == message);
  }
}

TEST_CASE("field selectors split, unescape and refuse") {
  const auto terms = ParseFieldSelector("metadata.name=a\\,b\\=c\\\\,,status.phase!=Failed,x==y,z=").value();
  REQUIRE(terms.size() == 4);
  CHECK(terms[0].field == "metadata.name");
  CHECK(terms[0].value == "a,b=c\\");
  CHECK(terms[0].equals);
  CHECK_FALSE(terms[1].equals);
  CHECK(terms[2].value == "y");
  CHECK(terms[3].value.empty());
  CHECK(FieldSelectorText(terms) == "metadata.name=a\\,b\\=c\\\\,status.phase!=Failed,x=y,z=");
  CHECK(ParseFieldSelector("metadata.name").error().message() == "invalid selector: 'metadata.name'; can't understand 'metadata.name'");
  CHECK(ParseFieldSelector("metadata.name=o\\1").error().message() == "invalid field selector: invalid escape sequence: \\1");
  CHECK(ParseFieldSelector("").value().empty());
  const Lookup pod = [](std::string_view key) -> std::optional<std::string_view> { return key == "status.phase" ? std::optional<std::string_view>("Running") : std::nullopt; };
  CHECK(Matches({{"status.phase", "Failed", false}, {"spec.nodeName", "", true}}, pod));
  CHECK_FALSE(Matches({{"status.phase", "Failed", true}}, pod));
}

}  // namespace skerry::text
