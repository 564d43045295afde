#include "core/base/strings.h"
#include "core/telemetry/log.h"
#include "store/engine/rocksdb/rocks_backend.h"
#include "store/engine/sealing.h"
#include "store/mvcc/mvcc_store.h"

namespace skerry::store {

Result<std::unique_ptr<Store>> OpenRocksStore(Options options) { return OpenSealedStore(std::move(options), nullptr); }

Result<std::unique_ptr<Store>> OpenSealedStore(Options options, std::shared_ptr<const RecordSealer> sealer) {
  const std::string directory = options.directory;
  TRY(OpenedDirectory opened, OpenDirectory(directory));
  const DirectoryState state = opened.state;
  TRY(auto backend, RocksBackend::Open(options, std::move(opened)));
  auto sealing = NewSealingBackend(std::move(backend), std::move(sealer));
  auto rewritten = RewriteStale(*sealing);
  if (!rewritten) return std::unexpected(std::move(rewritten).error().Wrap(Cat("store ", directory)));
  if (*rewritten > 0) log::Info("records sealed again", {{"count", *rewritten}});
  auto store = MvccStore::Open(std::move(options), std::move(sealing), state == DirectoryState::kCopy ? Origin::kCopy : Origin::kOwn);
  if (!store) {
    Error error = std::move(store).error();
    if (error.message().starts_with("store ")) return std::unexpected(std::move(error));
    return Fail(error.code(), Cat("store ", directory, ": damaged (", error.message(), "); restore a backup"));
  }
  if (state != DirectoryState::kReady) TRY_VOID(WriteFormat(directory, DirectoryState::kReady));
  return std::unique_ptr<Store>(std::move(*store));
}

}  // namespace skerry::store
