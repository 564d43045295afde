#include "core/telemetry/rates.h"

#include <catch2/catch.hpp>

using namespace std::chrono_literals;

namespace skerry::telemetry {
namespace {

TEST_CASE("a rate is the difference to an earlier reading that lies far enough back") {
  Rates rates;
  const Clock::MonoTime start(1h);
  CHECK_FALSE(rates.Note("a", 1000, start));
  CHECK_FALSE(rates.Note("a", 1500, start + 100ms));
  const auto soon = rates.Note("a", 2000, start + 500ms);
  REQUIRE(soon);
  CHECK(soon->per_second == Approx(2000));
  CHECK(soon->window == 500ms);
  // Of two earlier readings the newer that spans ten seconds.
  rates.Note("a", 3000, start + 4s);
  const auto later = rates.Note("a", 4000, start + 15s);
  REQUIRE(later);
  CHECK(later->window == 11s);
  CHECK(later->per_second == Approx(1000.0 / 11));
}

TEST_CASE("what is older than a minute is no measure of now") {
  Rates rates;
  const Clock::MonoTime start(1h);
  rates.Note("a", 0, start);
  CHECK_FALSE(rates.Note("a", 1'000'000, start + 61s));
  rates.Note("b", 0, start);
  rates.Forget(start + 61s);
  CHECK(rates.size() == 1);
}

TEST_CASE("a counter whose beginning is known needs no second reading, one that went back begins anew") {
  Rates rates;
  const Clock::MonoTime start(1h);
  const auto first = rates.Note("a", 500, start + 5s, start);
  REQUIRE(first);
  CHECK(first->per_second == Approx(100));
  CHECK_FALSE(rates.Note("a", 100, start + 20s));
  CHECK_FALSE(rates.Note("young", 5, start + 100ms, start));
  CHECK_FALSE(rates.Note("old", 5, start + 2h, start));
}

}  // namespace
}  // namespace skerry::telemetry
