#pragma once
#include <string_view>

// Executables that travel inside ours (see pause.c and wrap.c).
namespace skerry::container::helpers {
std::string_view Pause();
std::string_view Wrap();
}  // namespace skerry::container::helpers
