#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// Fuzzing without a compiler's help: targets are plain functions, a seeded driver mutates a kept corpus. `skerry_fuzz NAME [runs] [seed]`
// runs one for long; the tests tagged [fuzz] run each for a moment. A finding becomes a file under tests/fuzz/corpus/NAME/.
namespace skerry::fuzz {

// Returns 0 when the input was refused, 1 when it was accepted. Throws Violation when a property does not hold.
using Function = int (*)(const std::uint8_t*, std::size_t);

struct Violation {
  std::string what;
};
void Require(bool holds, std::string_view what);

struct Target {
  std::string_view name;
  Function run;
  std::vector<std::string> seeds;       // besides the files of the corpus
  std::vector<std::string> fragments;   // pieces that mutations insert
  void (*finish)() = nullptr;           // ends what `run` keeps from one input to the next
};

const std::vector<Target>& Targets();
std::vector<Target> NetworkTargets();   // targets_network.cc; part of Targets()

struct Outcome {
  std::size_t runs = 0, accepted = 0;
  std::string violation;   // empty = none
  std::string input;       // what violated
};
// Every seed and corpus file first, then `runs` mutations of them. The same seed gives the same inputs.
Outcome Run(const Target& target, std::size_t runs, std::uint64_t seed);

}  // namespace skerry::fuzz
