#pragma once
#include "tests/fuzz/fuzz.h"

namespace skerry::fuzz {
std::vector<Target> HttpTargets();
}
