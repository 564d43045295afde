#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "store/engine/backend.h"
#include "store/store.h"

// Records of a backend that nobody reads without a key. The cipher is handed in: the store knows none.
//
//   sealed record = "k8s:enc:aesgcm:v1:" key-name ":" octets         (a plain record begins with its version, 0x01)
namespace skerry::store {

class RecordSealer {
 public:
  virtual ~RecordSealer() = default;
  // The name of the key that this record is to be sealed with; empty = it stays plain.
  virtual std::string KeyFor(std::string_view backend_key, std::string_view plain) const = 0;
  virtual std::string Seal(std::string_view key_name, std::string_view backend_key, std::string_view plain) const = 0;
  // kInvalid: no such key (the message says what to do); kCorruption: not what was sealed under this backend key.
  virtual Result<std::string> Open(std::string_view key_name, std::string_view backend_key, std::string_view sealed) const = 0;
};

// Seals and opens on the way to `inner`. A null sealer seals nothing and refuses sealed records.
std::unique_ptr<Backend> NewSealingBackend(std::unique_ptr<Backend> inner, std::shared_ptr<const RecordSealer> sealer);
// OpenRocksStore (store/store.h) with sealed records on disk; what is not as it would be written now is written again first.
Result<std::unique_ptr<Store>> OpenSealedStore(Options options, std::shared_ptr<const RecordSealer> sealer);
// Writes every record again that is not as it would be written now: after a change of keys. Returns how many. Before the backend is used.
Result<std::size_t> RewriteStale(Backend& sealing_backend);

}  // namespace skerry::store
