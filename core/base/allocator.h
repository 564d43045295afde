#pragma once

namespace skerry {

// The process's allocator: tcmalloc in releases, the C library's elsewhere.
void TuneAllocator();      // once, before threads exist: few threads at a time do the work of many
void ReturnFreeMemory();   // what is free goes back to the system; takes milliseconds

}  // namespace skerry
