#include <catch2/catch.hpp>

#include "core/base/clock.h"
#include "core/text/time_zone.h"

namespace skerry::text {
namespace {

TimeZone::Seconds At(std::string_view text) { return std::chrono::floor<std::chrono::seconds>(ParseTime(text).value()); }
std::chrono::local_seconds Local(std::string_view text) { return std::chrono::local_seconds(At(text).time_since_epoch()); }

void Append(std::string& out, std::int64_t v, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(v >> (8 * i));
}

// A zone at +1 h that lived at +2 h until 1970-01-02 and follows the rule afterwards.
std::string File(std::string_view footer) {
  std::string out;
  const auto header = [&](int times, int types, int characters) {
    out += "TZif2" + std::string(15, '\0');
    for (const int n : {0, 0, 0, times, types, characters}) Append(out, n, 4);
  };
  header(0, 1, 1);
  out += std::string(7, '\0');
  header(1, 2, 1);
  Append(out, 86400, 8);
  out += '\1';
  Append(out, 7200, 4);
  out += std::string(2, '\0');
  Append(out, 3600, 4);
  out += std::string(3, '\0');
  return out + "\n" + std::string(footer) + "\n";
}

}  // namespace

TEST_CASE("a time zone follows its table and then its rule", "[timezone]") {
  const auto zone = TimeZone::Parse(File("CET-1CEST,M3.5.0,M10.5.0/3")).value();
  CHECK(zone->Format(At("1970-01-01T12:00:00Z")) == "1970-01-01T14:00:00+02:00");
  CHECK(zone->Format(At("2026-01-01T00:00:00Z")) == "2026-01-01T01:00:00+01:00");
  CHECK(zone->Format(At("2026-03-29T00:59:59Z")) == "2026-03-29T01:59:59+01:00");
  CHECK(zone->Format(At("2026-03-29T01:00:00Z")) == "2026-03-29T03:00:00+02:00");
  CHECK(zone->Format(At("2050-07-01T00:00:00Z")) == "2050-07-01T02:00:00+02:00");
  CHECK(zone->Format(At("2026-10-25T01:00:00Z")) == "2026-10-25T02:00:00+01:00");
  CHECK(zone->FromLocal(Local("2026-03-29T02:30:00Z")) == At("2026-03-29T01:00:00Z"));   // skipped
  CHECK(zone->FromLocal(Local("2026-10-25T02:30:00Z")) == At("2026-10-25T00:30:00Z"));   // shown twice
  CHECK(zone->FromLocal(Local("2026-06-01T12:00:00Z")) == At("2026-06-01T10:00:00Z"));
}

TEST_CASE("summer time may span the turn of the year and days may be counted", "[timezone]") {
  const auto south = TimeZone::Parse(File("<+10>-10<+11>,M10.1.0,M4.1.0/3")).value();
  CHECK(south->OffsetAt(At("2026-01-15T00:00:00Z")) == std::chrono::hours(11));
  CHECK(south->OffsetAt(At("2026-07-15T00:00:00Z")) == std::chrono::hours(10));
  const auto counted = TimeZone::Parse(File("X5Y4,J60/0,300")).value();
  CHECK(counted->Format(At("2028-03-01T04:59:59Z")) == "2028-02-29T23:59:59-05:00");
  CHECK(counted->Format(At("2028-03-01T05:00:00Z")) == "2028-03-01T01:00:00-04:00");
}

TEST_CASE("a damaged time zone file is refused at every length and never read beyond", "[timezone]") {
  const std::string whole = File("CET-1CEST,M3.5.0,M10.5.0/3");
  for (std::size_t n = 0; n < whole.size(); ++n) CHECK_FALSE(TimeZone::Parse(std::string_view(whole).substr(0, n)));
  CHECK_FALSE(TimeZone::Parse(File("CET-1CEST,M3.5")));
  CHECK_FALSE(TimeZone::Parse(File("M3.5.0")));
}

TEST_CASE("zones outside the data base do not exist", "[timezone]") {
  CHECK(TimeZone::Load("UTC").value()->Format(At("2026-01-01T00:00:00Z")) == "2026-01-01T00:00:00Z");
  CHECK_FALSE(TimeZone::Load("../../etc/passwd"));
  CHECK_FALSE(TimeZone::Load("/etc/passwd"));
  CHECK_FALSE(TimeZone::Load("Nowhere/Land"));
}

}  // namespace skerry::text
