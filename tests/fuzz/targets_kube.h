#pragma once
#include "tests/fuzz/fuzz.h"

namespace skerry::fuzz {
std::vector<Target> KubeTargets();   // manifests and protobuf bodies of API objects; part of Targets()
}  // namespace skerry::fuzz
