#include "embedded-kube-shim/cache/quiet.h"

#include <mutex>
#include <vector>

#include "core/base/allocator.h"
#include "store/value.h"

namespace skerry::kube {
namespace {

struct Hooks {
  std::mutex mutex;
  std::vector<void (*)()> all;   // guarded
};

Hooks& TheHooks() {
  static Hooks hooks;
  return hooks;
}

}  // namespace

void OnQuiet(void (*drop)()) {
  auto& hooks = TheHooks();
  std::lock_guard lock(hooks.mutex);
  hooks.all.push_back(drop);
}

void CallQuietHooks() {
  std::vector<void (*)()> all;
  {
    auto& hooks = TheHooks();
    std::lock_guard lock(hooks.mutex);
    all = hooks.all;
  }
  for (const auto drop : all) drop();
  store::CompressValues(0);
  ReturnFreeMemory();
}

}  // namespace skerry::kube
