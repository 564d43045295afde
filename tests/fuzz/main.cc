#include <iostream>

#include "core/base/strings.h"
#include "core/text/base64.h"
#include "tests/fuzz/fuzz.h"

// skerry_fuzz [NAME|all] [runs] [seed]
int main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "all";
  const auto runs = skerry::ParseUint(argc > 2 ? argv[2] : "100000"), seed = skerry::ParseUint(argc > 3 ? argv[3] : "1");
  if (!runs || !seed) {
    std::cerr << "usage: skerry_fuzz [NAME|all] [runs] [seed]\n";
    return 2;
  }
  int failures = 0, ran = 0;
  for (const auto& target : skerry::fuzz::Targets()) {
    if (name != "all" && name != target.name) continue;
    ++ran;
    const auto outcome = skerry::fuzz::Run(target, *runs, *seed);
    std::cout << target.name << ": " << outcome.runs << " runs, " << outcome.accepted << " accepted\n";
    if (outcome.violation.empty()) continue;
    ++failures;
    std::cout << "  VIOLATION: " << outcome.violation << "\n  input (base64): " << skerry::text::Base64(outcome.input) << "\n";
  }
  if (ran == 0) std::cerr << "no such target\n";
  return ran == 0 ? 2 : failures > 0;
}
