#include "embedded-kube-shim/cache/item.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "core/base/strings.h"
#include "core/json/layout.h"
#include "core/json/share.h"
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
  std::size_t used_ = 0, budget_ = 12 << 20;
};

// What is offered to items that are not made yet, by where their bytes are.
class Offers {
 public:
  void Put(const void* bytes, json::Value object) {
    std::lock_guard lock(mutex_);
    offered_.insert_or_assign(bytes, std::move(object));
  }
  std::optional<json::Value> Take(const void* bytes) {
    std::lock_guard lock(mutex_);
    const auto it = offered_.find(bytes);
    if (it == offered_.end()) return std::nullopt;
    std::optional<json::Value> object(std::move(it->second));
    offered_.erase(it);
    return object;
  }
  static Offers& Instance() {
    static Offers& offers = *new Offers();   // lives as long as the threads that use it
    return offers;
  }

 private:
  std::mutex mutex_;
  std::unordered_map<const void*, json::Value> offered_;   // guarded
};

// Upstream prints these before resourceVersion.
bool IsIdentity(std::string_view member) { return member == "name" || member == "generateName" || member == "namespace" || member == "selfLink" || member == "uid"; }

void PutResourceVersion(json::Value& object, store::Revision revision) {
  json::Value* metadata = object.Find("metadata");
  if (!metadata || !metadata->is_object()) return;
  auto& members = metadata->MutableMembers();
  const auto at = std::find_if(members.begin(), members.end(), [](const json::Member& m) { return !IsIdentity(m.key); });
  members.insert(at, {"resourceVersion", json::Value(std::to_string(revision))});
}

}  // namespace

ParsedOffer::ParsedOffer(const Bytes& bytes, json::Value object) : bytes_(bytes) { Offers::Instance().Put(bytes_.view().data(), std::move(object)); }

void ParsedOffer::Withdraw() noexcept {
  if (!bytes_.empty()) Offers::Instance().Take(bytes_.view().data());
  bytes_ = {};
}

void SetParsedBudget(std::size_t bytes) { ParsedPool::Instance().SetBudget(bytes); }

// What a walk over the bytes finds.
struct Item::Scanner {
  Item& item;
  std::string kind, api_version, uid, deletion_timestamp, node_name;
  std::vector<std::pair<std::string, std::string>> labels;
  Rare rare;

  void Scan(std::string_view text) {
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
        item.body_offset_ = static_cast<std::uint32_t>(before < text.size() && text[before] == ',' ? before + 1 : before);
      }
      if (member == "metadata" && cursor.Peek() == '{') {
        item.metadata_begin_ = static_cast<std::uint32_t>(cursor.offset());
        ScanMetadata(cursor);
        item.metadata_end_ = static_cast<std::uint32_t>(cursor.offset());
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

  void ScanMetadata(JsonCursor& cursor) {
    cursor.Enter('{');
    item.rv_offset_ = static_cast<std::uint32_t>(cursor.offset());
    item.splice_ = cursor.Peek() == '}' ? Splice::kOnly : Splice::kFirst;
    bool identity = true;   // still among the members that upstream prints before resourceVersion
    std::string member;
    while (cursor.NextMember(&member)) {
      identity = identity && IsIdentity(member);
      if (member == "uid") uid = cursor.Scalar();
      else if (member == "deletionTimestamp") deletion_timestamp = cursor.Scalar();
      else if (member == "labels" && cursor.Enter('{')) {
        std::string label;
        while (cursor.NextMember(&label)) {
          auto value = cursor.Scalar();
          labels.emplace_back(std::move(label), std::move(value));
        }
        std::sort(labels.begin(), labels.end());
      } else if (member == "finalizers" && cursor.Enter('[')) {
        while (cursor.NextItem()) rare.finalizers.push_back(cursor.Scalar());
      } else if (member == "ownerReferences" && cursor.Enter('[')) {
        ScanOwners(cursor);
      } else {
        cursor.Skip();
      }
      if (identity) {
        item.rv_offset_ = static_cast<std::uint32_t>(cursor.offset());
        item.splice_ = Splice::kAfter;
      }
    }
  }

  void ScanOwners(JsonCursor& cursor) {
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
      rare.owners.push_back(std::move(owner));
    }
  }

  // One block of exactly the size that the texts need.
  void Keep(std::string_view key) {
    std::string out;
    const auto put = [&](std::string_view text) {
      text = text.substr(0, std::numeric_limits<std::uint16_t>::max());   // nothing here is ever that long
      out += text;
      return static_cast<std::uint16_t>(text.size());
    };
    item.key_size_ = put(key);
    const auto slash = key.rfind('/');
    item.ns_size_ = static_cast<std::uint16_t>(slash == std::string_view::npos ? 0 : slash);
    item.uid_size_ = put(uid);
    item.deletion_size_ = put(deletion_timestamp);
    item.node_size_ = put(node_name);
    const std::size_t before = out.size();
    for (const auto& [label, value] : labels) {
      for (const std::string_view text : {std::string_view(label), std::string_view(value)}) {
        const auto size = static_cast<std::uint16_t>(std::min<std::size_t>(text.size(), std::numeric_limits<std::uint16_t>::max()));
        out.append(reinterpret_cast<const char*>(&size), sizeof size);
        put(text);
      }
    }
    item.labels_size_ = static_cast<std::uint32_t>(out.size() - before);
    item.texts_ = std::make_unique_for_overwrite<char[]>(out.size());
    std::memcpy(item.texts_.get(), out.data(), out.size());
    item.type_ = TypeOf(kind, api_version);
    if (!rare.owners.empty() || !rare.finalizers.empty()) item.rare_ = std::make_unique<const Rare>(std::move(rare));
  }
};

Item::Item(std::string_view key, const store::Entry& entry) : created(entry.created), modified(entry.modified), content_(entry.value) {
  const Bytes text = content_.Load();
  Scanner scanner{*this, {}, {}, {}, {}, {}, {}, {}};
  scanner.Scan(text.view());
  scanner.Keep(key);
  if (auto offered = Offers::Instance().Take(text.view().data())) {
    PutResourceVersion(*offered, modified);
    json::Freeze(*offered);
    auto parsed = std::make_shared<const json::Value>(std::move(*offered));
    parsed_ = parsed;
    ParsedPool::Instance().Keep(std::move(parsed), text.size());
  }
}

Item::~Item() = default;

// There are as many as kinds were ever stored.
const Item::Type* Item::TypeOf(std::string_view kind, std::string_view api_version) {
  thread_local const Type* last = nullptr;
  if (last && last->kind == kind && last->api_version == api_version) return last;
  static std::mutex& mutex = *new std::mutex;
  static auto& known = *new std::map<std::pair<std::string, std::string>, std::unique_ptr<const Type>>();   // guarded; never destroyed
  std::lock_guard lock(mutex);
  auto& slot = known[{std::string(kind), std::string(api_version)}];
  if (!slot) slot = std::make_unique<const Type>(Type{std::string(kind), std::string(api_version)});
  return last = slot.get();
}

const std::vector<OwnerReference>& Item::owners() const {
  static const std::vector<OwnerReference> none;
  return rare_ ? rare_->owners : none;
}

const std::vector<std::string>& Item::finalizers() const {
  static const std::vector<std::string> none;
  return rare_ ? rare_->finalizers : none;
}

template <class Visit>
void Item::ForLabels(const Visit& visit) const {
  std::string_view rest(texts_.get() + key_size_ + uid_size_ + deletion_size_ + node_size_, labels_size_);
  const auto next = [&] {
    std::uint16_t size = 0;
    std::memcpy(&size, rest.data(), sizeof size);
    const auto text = rest.substr(sizeof size, size);
    rest.remove_prefix(sizeof size + size);
    return text;
  };
  while (!rest.empty()) {
    const auto label = next();
    const auto value = next();
    if (!visit(label, value)) return;
  }
}

std::vector<std::pair<std::string_view, std::string_view>> Item::labels() const {
  std::vector<std::pair<std::string_view, std::string_view>> out;
  ForLabels([&](std::string_view label, std::string_view value) {
    out.emplace_back(label, value);
    return true;
  });
  return out;
}

std::string_view Item::LabelOf(std::string_view label, bool* present) const {
  std::string_view found;
  *present = false;
  ForLabels([&](std::string_view key, std::string_view value) {
    if (key != label) return key < label;
    *present = true;
    found = value;
    return false;
  });
  return found;
}

// What comes in at rv_offset_.
std::string Item::ToSplice(store::Revision revision) const {
  if (rv_offset_ == 0 || revision == 0) return {};
  constexpr std::size_t kLongest = 42;
  std::string out;
  out.reserve(kLongest);
  if (splice_ == Splice::kAfter) out += ',';
  out.append("\"resourceVersion\":\"").append(std::to_string(revision)).append("\"");
  if (splice_ == Splice::kFirst) out += ',';
  return out;
}

void Item::AppendSpliced(std::string& out, std::string_view text, std::size_t begin, std::size_t end, store::Revision revision) const {
  const std::size_t middle = rv_offset_ == 0 ? begin : rv_offset_;
  out.append(text.substr(begin, middle - begin)).append(ToSplice(revision)).append(text.substr(middle, end - middle));
}

// Appends `head` and what is behind body_offset_. Compressed bytes are unpacked to where most of them belong, behind the splice: what is
// before it moves, and what was overwritten of `out` comes back.
bool Item::UnpackSpliced(std::string& out, std::string_view head, std::string_view splice) const {
  const std::size_t size = content_.size(), end = out.size(), before = rv_offset_ - body_offset_;
  const std::size_t moved = head.size() + splice.size();   // by so much more than body_offset_ do the bytes begin behind `end`
  if (rv_offset_ < body_offset_ || end + moved < body_offset_) return false;
  const std::size_t at = end + moved - body_offset_;
  const std::string covered = out.substr(std::min(at, end));
  bool unpacked = false;
  out.resize_and_overwrite(at + size, [&](char* text, std::size_t) {
    unpacked = content_.Unpack(text + at);
    if (!unpacked) return end;
    std::memmove(text + end + head.size(), text + at + body_offset_, before);
    std::memcpy(text + end + head.size() + before, splice.data(), splice.size());
    std::memcpy(text + end, head.data(), head.size());
    std::memcpy(text + end - covered.size(), covered.data(), covered.size());
    return at + size;
  });
  return unpacked;
}

void Item::AppendTo(std::string& out, std::string_view as_kind, std::string_view as_api_version, store::Revision revision) const {
  if (as_kind.empty() && UnpackSpliced(out, "{", ToSplice(revision))) return;
  store::Value::Room room;
  const std::string_view text = content_.View(room);
  const bool more = body_offset_ < text.size() && text[body_offset_] != '}';
  out += '{';
  if (!as_kind.empty()) out.append("\"kind\":\"").append(as_kind).append("\",\"apiVersion\":\"").append(as_api_version).append(more ? "\"," : "\"");
  AppendSpliced(out, text, body_offset_, text.size(), revision);
}

void Item::AppendMetadata(std::string& out, store::Revision revision) const {
  store::Value::Room room;
  AppendMetadata(out, revision, content_.View(room));
}

void Item::AppendMetadata(std::string& out, store::Revision revision, std::string_view bytes) const {
  if (rv_offset_ == 0) out.append("{}");
  else AppendSpliced(out, bytes, metadata_begin_, metadata_end_, revision);
}

void Item::AppendWith(std::string& out, std::string_view metadata, std::string_view rest, std::string_view bytes) const {
  out.append(bytes.substr(0, metadata_begin_));
  if (metadata_end_ != 0) out.append(metadata).append(rest);
  out.append(bytes.substr(metadata_end_));
}

std::shared_ptr<const json::Value> Item::Object() const {
  auto& pool = ParsedPool::Instance();
  {
    std::lock_guard lock(pool.StripeOf(this));
    if (auto ready = parsed_.lock()) return ready;
  }
  std::string text;
  text.reserve(size() + 48);
  AppendTo(text, kind(), api_version());
  auto fresh = json::ParseAsWritten(text);   // only raw values are stored with white space
  if (!fresh) return std::make_shared<const json::Value>(json::Value::Object());
  json::Freeze(*fresh);
  auto shared = std::make_shared<const json::Value>(std::move(*fresh));
  {
    std::lock_guard lock(pool.StripeOf(this));
    if (auto ready = parsed_.lock()) return ready;
    parsed_ = shared;
  }
  pool.Keep(shared, text.size());
  return shared;
}

}  // namespace skerry::kube
