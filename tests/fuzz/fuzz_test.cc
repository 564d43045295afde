#include <catch2/catch.hpp>

#include "core/text/base64.h"
#include "tests/fuzz/fuzz.h"

namespace skerry::fuzz {

TEST_CASE("every fuzz target holds its properties on its corpus and some mutations of it", "[fuzz]") {
  for (const Target& target : Targets()) {
    const Outcome outcome = Run(target, 1500, 1);
    INFO(target.name << " on base64 " << text::Base64(outcome.input));
    CHECK(outcome.violation.empty());
    CHECK(outcome.accepted > 0);   // a target that refuses everything tests nothing
  }
}

TEST_CASE("the fuzz driver repeats itself and reports the violating input", "[fuzz]") {
  const Target brittle = {"brittle", [](const std::uint8_t* data, std::size_t size) {
                            for (std::size_t i = 0; i < size; ++i) Require(data[i] != '!', "found it");
                            return 1;
                          },
                          {"seed"}, {"!"}};
  const Outcome first = Run(brittle, 1000, 7), second = Run(brittle, 1000, 7);
  CHECK(first.violation == "found it");
  CHECK(first.input.find('!') != std::string::npos);
  CHECK(first.input == second.input);
  CHECK(first.runs == second.runs);
}

}  // namespace skerry::fuzz
