#include "core/base/allocator.h"

#include <malloc.h>

#include <cstddef>

// Of gperftools/malloc_extension_c.h; null when the program is not linked with it.
extern "C" {
[[gnu::weak]] void MallocExtension_ReleaseFreeMemory();
[[gnu::weak]] int MallocExtension_SetNumericProperty(const char* property, std::size_t value);
}

namespace skerry {

void TuneAllocator() {
  if (MallocExtension_SetNumericProperty) {
    MallocExtension_SetNumericProperty("tcmalloc.max_total_thread_cache_bytes", 8 << 20);
  } else {
    ::mallopt(M_ARENA_MAX, 2);   // many short-lived threads would each keep an arena of their own
  }
}

void ReturnFreeMemory() {
  if (MallocExtension_ReleaseFreeMemory) MallocExtension_ReleaseFreeMemory();
  else ::malloc_trim(0);
}

}  // namespace skerry
