#pragma once

namespace skerry::kube {

// What is kept only to be faster (parsed objects, encodings) is given back some time after the writing has stopped.
// Hooks are called one after the other on a thread of the caches, from any time on and never again after the process has begun to end.
void OnQuiet(void (*drop)());
void CallQuietHooks();   // and returns freed memory to the system

}  // namespace skerry::kube
