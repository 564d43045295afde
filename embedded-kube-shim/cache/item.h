#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/bytes.h"
#include "core/json/value.h"
#include "store/store.h"

namespace skerry::kube {

struct OwnerReference {
  std::string api_version, kind, name, uid;
  bool controller = false, block_owner_deletion = false;
};

// One stored version of an object: its bytes as committed (canonical JSON in the storage version, without resourceVersion) and what
// selectors, the garbage collector and namespace deletion need of it. Immutable and shared between threads.
class Item {
 public:
  Item(std::string key, const store::Entry& entry);
  ~Item();
  Item(const Item&) = delete;
  Item& operator=(const Item&) = delete;

  std::string key;                       // below the resource's prefix: "<namespace>/<name>" or "<name>"
  Bytes bytes;
  store::Revision created = 0, modified = 0;

  std::string kind, api_version;         // as stored
  std::string ns, name, uid, deletion_timestamp;
  std::string node_name;                 // spec.nodeName
  std::vector<std::pair<std::string, std::string>> labels;   // sorted by key
  std::vector<OwnerReference> owners;
  std::vector<std::string> finalizers;

  // The object with metadata.resourceVersion, kind and apiVersion as stored; parsed on demand and kept as long as the process's budget allows.
  std::shared_ptr<const json::Value> Object() const;
  // `{"kind":K,"apiVersion":V,` … with resourceVersion; both empty: without the two members (items of built-in lists).
  // `revision` 0 = without resourceVersion.
  void AppendTo(std::string& out, std::string_view as_kind, std::string_view as_api_version, store::Revision revision) const;
  void AppendTo(std::string& out, std::string_view as_kind, std::string_view as_api_version) const { AppendTo(out, as_kind, as_api_version, modified); }
  // The metadata object alone, with resourceVersion.
  void AppendMetadata(std::string& out, store::Revision revision) const;
  std::string_view LabelOf(std::string_view label, bool* present) const;

 private:
  void Scan(std::string_view text);
  void ScanMetadata(class JsonCursor& cursor);

  enum class Splice : std::uint8_t { kAfter, kFirst, kOnly };
  std::size_t body_offset_ = 1;          // first member that is neither kind nor apiVersion
  std::size_t rv_offset_ = 0;            // 0 = no metadata
  std::size_t metadata_begin_ = 0, metadata_end_ = 0;
  void AppendSpliced(std::string& out, std::size_t begin, std::size_t end, store::Revision revision) const;
  Splice splice_ = Splice::kAfter;
  mutable std::weak_ptr<const json::Value> parsed_;   // guarded by a stripe of the parsed pool
};
using ItemPtr = std::shared_ptr<const Item>;

// The budget for parsed objects that nobody else holds.
void SetParsedBudget(std::size_t bytes);

}  // namespace skerry::kube
