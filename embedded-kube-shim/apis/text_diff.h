#pragma once
#include <string>
#include <string_view>

namespace skerry::kube {

// A unified diff of two texts with three lines of context and without file names; empty when they are equal. Lines are matched as Python's
// difflib does it (the API's messages are made with a port of it), popular lines aside.
std::string UnifiedDiff(std::string_view a, std::string_view b);

}  // namespace skerry::kube
