#include <catch2/catch.hpp>

#include "core/base/clock.h"
#include "core/base/files.h"
#include "core/base/random.h"
#include "core/base/strings.h"

namespace skerry {

TEST_CASE("times round-trip through RFC 3339 and other offsets are normalized to UTC") {
  const auto t = ParseTime("2026-11-21T03:34:33.123456789+02:00");
  REQUIRE(t);
  CHECK(FormatTime(*t) == "2026-11-21T01:34:33Z");
  CHECK(FormatMicroTime(*t) == "2026-11-21T01:34:33.123456Z");
  CHECK(FormatNanoTime(*t) == "2026-11-21T01:34:33.123456789Z");
  for (const char* bad : {"", "2026-11-21", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-11-21T01:34:33", "2026-11-21T01:34:33.Z", "2026-11-21T01:34:33Zx"}) {
    CHECK_FALSE(ParseTime(bad));
  }
}

TEST_CASE("a seeded generator replays and name suffixes use only safe characters") {
  SeededRandom a(7), b(7);
  CHECK(NewUuid(a) == NewUuid(b));
  for (const char c : NameSuffix(1000, a)) CHECK(std::string_view("bcdfghjklmnpqrstvwxz2456789").find(c) != std::string_view::npos);
}

TEST_CASE("a durable write replaces the whole file and leaves no temporary behind") {
  char directory[] = "/tmp/skerry-files-XXXXXX";
  REQUIRE(::mkdtemp(directory));
  const std::string path = std::string(directory) + "/sub/file";
  REQUIRE(MakeDirectories(std::string(directory) + "/sub"));
  REQUIRE(WriteFileDurably(path, "one"));
  REQUIRE(WriteFileDurably(path, "two"));
  CHECK(ReadFile(path).value() == "two");
  CHECK(ReadFile(path + "x").error().code() == Code::kNotFound);
  ::unlink(path.c_str());
  CHECK(::rmdir((std::string(directory) + "/sub").c_str()) == 0);
  ::rmdir(directory);
}

TEST_CASE("errors keep code, causes and context") {
  Error e = Error(Code::kInvalid, "must be positive").Wrap("port").WithCause({"spec.port", "FieldValueInvalid", "must be positive"});
  CHECK(e.message() == "port: must be positive");
  CHECK(e.Clone().causes().size() == 1);
  CHECK(Quote("a\"\n") == "\"a\\\"\\n\"");
}

}  // namespace skerry
