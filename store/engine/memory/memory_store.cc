#include "store/engine/memory/memory_backend.h"
#include "store/mvcc/mvcc_store.h"

namespace skerry::store {

std::unique_ptr<Store> NewMemoryStore(Options options) {
  auto store = MvccStore::Open(std::move(options), std::make_unique<MemoryBackend>(nullptr), Origin::kOwn);
  return std::move(*store);   // an empty backend has nothing that could be wrong
}

}  // namespace skerry::store
