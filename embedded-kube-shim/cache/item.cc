#include "embedded-kube-shim/cache/item.h"

#include <algorithm>
#include <array>
#include <deque>
#include <mutex>

#include "embedded-kube-shim/cache/json_cursor.h"
#include "embedded-kube-shim/cache/quiet.h"

namespace skerry::kube {
namespace {

// Keeps parsed objects alive in first-in, first-out order up to a budget. A document costs about six times its text.
class ParsedPool {
 public:
  std::mutex& StripeOf(const void* item) { return stripes_[(reinterpret_cast<std::uintptr_t>(item) >> 6) % stripes_.size()]; }
  void Keep(std::shared_ptr<const json::Value> parsed, std::size_t text_size) {
    std::vector<std::shared_ptr<const json::Value>> evicted;   // destroyed after the lock is released
    std::lock_guard lock(mutex_);
    const std::size_t cost = text_size * 6 + 256;
    used_ += cost;
    kept_.emplace_back(std::move(parsed), cost);
    while (used_ > budget_ && !kept_.empty()) {
      used_ -= kept_.front().second;
      evicted.push_back(std::move(kept_.front().first));
      kept_.pop_front();
    }
  }
  void SetBudget(std::size_t bytes) {
    std::lock_guard lock(mutex_);
    budget_ = bytes;
  }
  void Drop() {
    std::deque<std::pair<std::shared_ptr<const json::Value>, std::size_t>> dropped;   // destroyed after the lock is released
    std::lock_guard lock(mutex_);
    dropped.swap(kept_);
    used_ = 0;
  }
  static ParsedPool& Instance() {
    static ParsedPool& pool = *[] {
      OnQuiet([] { Instance().Drop(); });
      return new ParsedPool();   // lives as long as the threads that use it
    }();
    return pool;
  }

 private:
  std::array<std::mutex, 64> stripes_;
  std::mutex mutex_;
  std::deque<std::pair<std::shared_ptr<const json::Value>, std::size_t>> kept_;
  std::size_t used_ = 0, budget_ = 24 << 20;
};

}  // namespace

void SetParsedBudget(std::size_t bytes) { ParsedPool::Instance().SetBudget(bytes); }

Item::Item(std::string item_key, const store::Entry& entry)
    : key(std::move(item_key)), bytes(entry.value), created(entry.created), modified(entry.modified) {
  Scan(bytes.view());
}

Item::~Item() = default;

void Item::Scan(std::string_view text) {
  JsonCursor cursor(text);
  if (!cursor.Enter('{')) return;
  std::string member;
  bool leading = true;
  for (;;) {
    const std::size_t before = cursor.offset();
    if (!cursor.NextMember(&member)) break;
    if (leading && member == "kind") { kind = cursor.Scalar(); continue; }
    if (leading && member == "apiVersion") { api_version = cursor.Scalar(); continue; }
    if (leading) {
      leading = false;
      body_offset_ = before < text.size() && text[before] == ',' ? before + 1 : before;
    }
    if (member == "metadata" && cursor.Peek() == '{') {
      metadata_begin_ = cursor.offset();
      ScanMetadata(cursor);
      metadata_end_ = cursor.offset();
      continue;
    }
    if (member == "spec" && cursor.Peek() == '{') {
      cursor.Enter('{');
      while (cursor.NextMember(&member)) {
        if (member == "nodeName" && cursor.Peek() == '"') node_name = cursor.String();
        else cursor.Skip();
      }
      continue;
    }
    cursor.Skip();
  }
}

void Item::ScanMetadata(JsonCursor& cursor) {
  cursor.Enter('{');
  rv_offset_ = cursor.offset();
  splice_ = cursor.Peek() == '}' ? Splice::kOnly : Splice::kFirst;
  bool identity = true;   // still among the members that upstream prints before resourceVersion
  std::string member;
  while (cursor.NextMember(&member)) {
    identity = identity && (member == "name" || member == "generateName" || member == "namespace" || member == "selfLink" || member == "uid");
    if (member == "name") name = cursor.Scalar();
    else if (member == "namespace") ns = cursor.Scalar();
    else if (member == "uid") uid = cursor.Scalar();
    else if (member == "deletionTimestamp") deletion_timestamp = cursor.Scalar();
    else if (member == "labels" && cursor.Enter('{')) {
      std::string label;
      while (cursor.NextMember(&label)) {
        auto value = cursor.Scalar();
        labels.emplace_back(std::move(label), std::move(value));
      }
      std::sort(labels.begin(), labels.end());
    } else if (member == "finalizers" && cursor.Enter('[')) {
      while (cursor.NextItem()) finalizers.push_back(cursor.Scalar());
    } else if (member == "ownerReferences" && cursor.Enter('[')) {
      while (cursor.NextItem()) {
        if (!cursor.Enter('{')) { cursor.Skip(); continue; }
        OwnerReference owner;
        std::string field;
        while (cursor.NextMember(&field)) {
          const auto value = cursor.Scalar();
          if (field == "apiVersion") owner.api_version = value;
          else if (field == "kind") owner.kind = value;
          else if (field == "name") owner.name = value;
          else if (field == "uid") owner.uid = value;
          else if (field == "controller") owner.controller = value == "true";
          else if (field == "blockOwnerDeletion") owner.block_owner_deletion = value == "true";
        }
        owners.push_back(std::move(owner));
      }
    } else {
      cursor.Skip();
    }
    if (identity) {
      rv_offset_ = cursor.offset();
      splice_ = Splice::kAfter;
    }
  }
}

void Item::AppendSpliced(std::string& out, std::size_t begin, std::size_t end, store::Revision revision) const {
  const std::string_view text = bytes.view();
  if (rv_offset_ == 0 || revision == 0) {
    out.append(text.substr(begin, end - begin));
    return;
  }
  out.append(text.substr(begin, rv_offset_ - begin));
  if (splice_ == Splice::kAfter) out += ',';
  out.append("\"resourceVersion\":\"").append(std::to_string(revision)).append("\"");
  if (splice_ == Splice::kFirst) out += ',';
  out.append(text.substr(rv_offset_, end - rv_offset_));
}

void Item::AppendTo(std::string& out, std::string_view as_kind, std::string_view as_api_version, store::Revision revision) const {
  const std::string_view text = bytes.view();
  out += '{';
  if (!as_kind.empty()) {
    out.append("\"kind\":\"").append(as_kind).append("\",\"apiVersion\":\"").append(as_api_version).append("\"");
    if (body_offset_ < text.size() && text[body_offset_] != '}') out += ',';
  }
  AppendSpliced(out, body_offset_, text.size(), revision);
}

void Item::AppendMetadata(std::string& out, store::Revision revision) const {
  if (rv_offset_ == 0) out.append("{}");
  else AppendSpliced(out, metadata_begin_, metadata_end_, revision);
}

std::shared_ptr<const json::Value> Item::Object() const {
  auto& pool = ParsedPool::Instance();
  {
    std::lock_guard lock(pool.StripeOf(this));
    if (auto ready = parsed_.lock()) return ready;
  }
  std::string text;
  text.reserve(bytes.size() + 48);
  AppendTo(text, kind, api_version);
  auto fresh = std::make_shared<json::Value>();
  std::string error;
  if (!json::Value::Parse(text, fresh.get(), &error)) return std::make_shared<const json::Value>(json::Value::Object());
  std::shared_ptr<const json::Value> shared = std::move(fresh);
  {
    std::lock_guard lock(pool.StripeOf(this));
    if (auto ready = parsed_.lock()) return ready;
    parsed_ = shared;
  }
  pool.Keep(shared, text.size());
  return shared;
}

std::string_view Item::LabelOf(std::string_view label, bool* present) const {
  const auto it = std::lower_bound(labels.begin(), labels.end(), label, [](const auto& pair, std::string_view wanted) { return pair.first < wanted; });
  *present = it != labels.end() && it->first == label;
  return *present ? std::string_view(it->second) : std::string_view();
}

}  // namespace skerry::kube
