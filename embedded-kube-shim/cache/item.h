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
// selectors, the garbage collector and namespace deletion need of it. Immutable and shared between threads. There is one for every object
// and every recent change, so it is small: texts lie in one block, what few objects have is apart. Views live as long as the item.
class Item {
 public:
  Item(std::string_view key, const store::Entry& entry);
  ~Item();
  Item(const Item&) = delete;
  Item& operator=(const Item&) = delete;

  std::string_view key() const { return {texts_.get(), key_size_}; }   // below the resource's prefix: "<namespace>/<name>" or "<name>"
  std::string_view ns() const { return key().substr(0, ns_size_); }    // empty: the kind has none
  std::string_view name() const { return key().substr(ns_size_ == 0 ? 0 : ns_size_ + 1); }
  std::string_view kind() const { return type_->kind; }                // as stored
  std::string_view api_version() const { return type_->api_version; }
  std::string_view uid() const { return {texts_.get() + key_size_, uid_size_}; }
  std::string_view deletion_timestamp() const { return {texts_.get() + key_size_ + uid_size_, deletion_size_}; }
  std::string_view node_name() const { return {texts_.get() + key_size_ + uid_size_ + deletion_size_, node_size_}; }   // spec.nodeName
  const std::vector<OwnerReference>& owners() const;
  const std::vector<std::string>& finalizers() const;
  std::vector<std::pair<std::string_view, std::string_view>> labels() const;   // sorted by key
  std::string_view LabelOf(std::string_view label, bool* present) const;

  Bytes bytes() const { return content_.Load(); }
  std::string_view View(store::Value::Room& room) const { return content_.View(room); }   // the same, until `room` is used again
  std::size_t size() const { return content_.size(); }                 // of the bytes

  const store::Revision created, modified;

  // The object with metadata.resourceVersion, kind and apiVersion as stored; parsed on demand and kept as long as the process's budget allows.
  // It is frozen: a document may share parts of it (core/json/share.h). Such parts are typed, canonical and have their defaults in the place
  // where they are, and are passed over by whoever sees to that; so they must not be shared into another place.
  std::shared_ptr<const json::Value> Object() const;
  // `{"kind":K,"apiVersion":V,` … with resourceVersion; both empty: without the two members (items of built-in lists).
  // `revision` 0 = without resourceVersion.
  void AppendTo(std::string& out, std::string_view as_kind, std::string_view as_api_version, store::Revision revision) const;
  void AppendTo(std::string& out, std::string_view as_kind, std::string_view as_api_version) const { AppendTo(out, as_kind, as_api_version, modified); }
  // The metadata object alone, with resourceVersion.
  void AppendMetadata(std::string& out, store::Revision revision) const;
  void AppendMetadata(std::string& out, store::Revision revision, std::string_view bytes) const;   // of bytes() that are at hand
  // The object as it is in bytes(), with `metadata` and `rest` in the place of its own metadata.
  void AppendWith(std::string& out, std::string_view metadata, std::string_view rest, std::string_view bytes) const;
  std::string_view MetadataOf(std::string_view bytes) const { return bytes.substr(metadata_begin_, metadata_end_ - metadata_begin_); }   // empty: none

 private:
  struct Type {
    std::string kind, api_version;
  };
  struct Rare {
    std::vector<OwnerReference> owners;
    std::vector<std::string> finalizers;
  };
  struct Scanner;
  static const Type* TypeOf(std::string_view kind, std::string_view api_version);
  template <class Visit>
  void ForLabels(const Visit& visit) const;   // visit(key, value) returns false to end

  enum class Splice : std::uint8_t { kAfter, kFirst, kOnly };
  std::string ToSplice(store::Revision revision) const;
  bool UnpackSpliced(std::string& out, std::string_view head, std::string_view splice) const;
  void AppendSpliced(std::string& out, std::string_view text, std::size_t begin, std::size_t end, store::Revision revision) const;

  const store::Value content_;
  std::unique_ptr<char[]> texts_;        // key, uid, deletionTimestamp, node, then labels: size:u16 key size:u16 value …
  std::unique_ptr<const Rare> rare_;     // null: neither owners nor finalizers
  const Type* type_ = nullptr;           // shared by all of its kind
  mutable std::weak_ptr<const json::Value> parsed_;   // guarded by a stripe of the parsed pool
  std::uint32_t body_offset_ = 1;        // first member that is neither kind nor apiVersion
  std::uint32_t rv_offset_ = 0;          // 0 = no metadata
  std::uint32_t metadata_begin_ = 0, metadata_end_ = 0, labels_size_ = 0;
  std::uint16_t key_size_ = 0, ns_size_ = 0, uid_size_ = 0, deletion_size_ = 0, node_size_ = 0;
  Splice splice_ = Splice::kAfter;
};
using ItemPtr = std::shared_ptr<const Item>;

// A document on its way to the store: the item that is made of these very bytes takes it instead of parsing them. Withdrawn when destroyed.
class ParsedOffer {
 public:
  ParsedOffer() = default;
  // `object` is what `bytes` say: kind and apiVersion first, no resourceVersion.
  ParsedOffer(const Bytes& bytes, json::Value object);
  ParsedOffer(ParsedOffer&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  ParsedOffer& operator=(ParsedOffer&& other) noexcept {
    Withdraw();
    bytes_ = std::exchange(other.bytes_, {});
    return *this;
  }
  ~ParsedOffer() { Withdraw(); }

 private:
  void Withdraw() noexcept;
  Bytes bytes_;   // none: nothing is offered
};

// The budget for parsed objects that nobody else holds.
void SetParsedBudget(std::size_t bytes);

}  // namespace skerry::kube
