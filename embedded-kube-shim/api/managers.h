#pragma once
#include <compare>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "core/base/result.h"
#include "core/json/share.h"
#include "core/json/value.h"
#include "embedded-kube-shim/api/field_set.h"

// metadata.managedFields decoded: who owns which fields. Private to embedded-kube-shim/api.
namespace skerry::kube {

// Who somebody is for ownership. Appliers keep their identity over API versions.
struct ManagerId {
  std::string manager, operation, api_version, subresource;   // api_version is empty for Apply
  auto operator<=>(const ManagerId&) const = default;
  std::string Text() const;   // as conflicts name it: `"kubectl" with subresource "status" using v1`
};

// What one manager owns. The stored form is decoded when somebody looks at it and written back as it was when nobody changed it:
// most writes concern one manager of several.
class Ownership {
 public:
  Ownership() = default;
  Ownership(FieldSet fields, std::string version, bool is_applied) : api_version(std::move(version)), applied(is_applied), set_(std::move(fields)) {}
  // `entry` is one of managedFields with fields that FieldSet::ToJson made, and outlives this.
  Ownership(const json::Value& entry, std::string version, bool is_applied)
      : api_version(std::move(version)), applied(is_applied), stored_(entry.Find("fieldsV1")), entry_(&entry), decoded_(false) {}

  const FieldSet& fields() const {
    if (!decoded_) FieldSet::FromJson(*stored_, &set_);
    decoded_ = true;
    return set_;
  }
  void Set(FieldSet fields) {
    set_ = std::move(fields);
    decoded_ = true;
    stored_ = nullptr;
  }
  // False: surely not a member of `fields`, nor one below it, is owned.
  bool MayOwn(const FieldSet& fields) const { return stored_ ? fields.Touches(*stored_) : true; }
  bool OwnsAll(const FieldSet& fields) const { return stored_ && fields.IsWithin(*stored_); }   // false also when it would have to be decoded
  const json::Value* stored() const { return stored_; }   // the fields as they are stored; null when they were changed since
  const json::Value* entry() const { return stored_ ? entry_ : nullptr; }   // the same with whose they are
  bool empty() const { return stored_ ? stored_->size() == 0 : set_.empty(); }
  json::Value ToJson() const { return stored_ ? json::Share(*stored_) : set_.ToJson(); }

  std::string api_version;
  bool applied = false;

 private:
  mutable FieldSet set_;
  const json::Value* stored_ = nullptr;   // null: `set_` is what counts
  const json::Value* entry_ = nullptr;    // that `stored_` is of
  mutable bool decoded_ = true;
};

struct Managers {
  std::map<ManagerId, Ownership> fields;
  std::map<ManagerId, std::string> times;   // RFC 3339; may name managers that own nothing

  // `entries` may be null (no managers). kInvalid says what is wrong with an entry. Entries that were made by Encode() are decoded when they
  // are looked at and have to live as long as the managers.
  enum class Source : std::uint8_t { kSent, kEncoded };
  static Result<Managers> Decode(const json::Value& entries, Source source = Source::kSent);
  json::Value Encode() const;   // null when nobody owns anything
  // At most ten Update managers: the oldest are merged into "ancient-changes", one for each API version.
  void Cap();
};

std::string ManagerTime(std::chrono::system_clock::time_point when);

}  // namespace skerry::kube
