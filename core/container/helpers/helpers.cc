#include "core/container/helpers/helpers.h"

#include "container_helpers.inc"

namespace skerry::container::helpers {

std::string_view Pause() { return {reinterpret_cast<const char*>(k_pause), sizeof k_pause}; }
std::string_view Wrap() { return {reinterpret_cast<const char*>(k_wrap), sizeof k_wrap}; }

}  // namespace skerry::container::helpers
