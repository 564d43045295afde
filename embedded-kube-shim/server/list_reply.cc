#include <deque>
#include <mutex>
#include <unordered_map>

#include "core/base/strings.h"
#include "core/http/gzip.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/cache/quiet.h"
#include "embedded-kube-shim/server/encode.h"

// Long lists: made piece by piece while they are sent.
namespace skerry::kube {
namespace {

constexpr std::size_t kPiece = 64 << 10;
constexpr std::size_t kLong = 128 << 10;   // shorter ones are one response

// A head, items one after the other, a tail. Lives on the connection's shard; a piece takes some ten microseconds.
class ListSource final : public http::Source {
 public:
  using Append = std::function<void(std::string& out, std::size_t index)>;
  ListSource(std::string head, std::size_t count, Append append, std::string tail) : head_(std::move(head)), tail_(std::move(tail)), count_(count), append_(std::move(append)) {}

  Result<Bytes> Next() override {
    std::string out;
    TRY_VOID(AppendNext(out));
    return Bytes(std::move(out));
  }
  Result<> AppendNext(std::string& out) override {
    if (ended_) return Fail(Code::kCancelled, "end of the list");
    const std::size_t full = out.size() + kPiece;
    out.reserve(full + kPiece / 2);
    out += std::exchange(head_, {});
    while (next_ < count_ && out.size() < full) append_(out, next_++);
    if (next_ == count_) {
      out += tail_;
      ended_ = true;
    }
    return {};
  }
  void OnReady(std::function<void()>) override {}   // always is

 private:
  std::string head_, tail_;
  const std::size_t count_;
  std::size_t next_ = 0;
  bool ended_ = false;
  const Append append_;
};

// Protobuf forms of objects that were listed, first in, first out up to a budget: whoever lists in protobuf does it again.
class MessagePool {
 public:
  using Message = std::shared_ptr<const std::string>;

 private:
  static constexpr std::size_t kBudget = 40 << 20, kOverhead = 160;
  using Key = std::pair<const Item*, const void*>;
  struct Hash {
    std::size_t operator()(const Key& key) const { return std::hash<const void*>()(key.first) * 31 + std::hash<const void*>()(key.second); }
  };
  struct Kept {
    std::weak_ptr<const Item> item;
    Message message;
  };

 public:
  Message Find(const ItemPtr& item, const void* schema) {
    std::lock_guard lock(mutex_);
    const auto it = kept_.find({item.get(), schema});
    return it != kept_.end() && it->second.item.lock() == item ? it->second.message : nullptr;   // the address may be another object's now
  }
  void Keep(const ItemPtr& item, const void* schema, Message message) {
    std::lock_guard lock(mutex_);
    const Key key{item.get(), schema};
    auto& slot = kept_[key];
    if (slot.message) used_ -= slot.message->size() + kOverhead;
    else order_.push_back(key);
    used_ += message->size() + kOverhead;
    slot = {item, std::move(message)};
    while (used_ > kBudget && !order_.empty()) {
      const auto oldest = kept_.find(order_.front());
      used_ -= oldest->second.message->size() + kOverhead;
      kept_.erase(oldest);
      order_.pop_front();
    }
  }
  void Drop() {
    std::unordered_map<Key, Kept, Hash> dropped;   // destroyed after the lock is released
    std::lock_guard lock(mutex_);
    dropped.swap(kept_);
    order_.clear();
    used_ = 0;
  }
  static MessagePool& Instance() {
    static MessagePool& pool = *[] {
      OnQuiet([] { Instance().Drop(); });
      return new MessagePool();   // lives as long as the threads that use it
    }();
    return pool;
  }

 private:
  std::mutex mutex_;
  std::unordered_map<Key, Kept, Hash> kept_;
  std::deque<Key> order_;
  std::size_t used_ = 0;
};

void AppendVarint(std::string& out, std::uint64_t value) {
  for (; value >= 128; value >>= 7) out += static_cast<char>(value | 128);
  out += static_cast<char>(value);
}

std::size_t VarintSize(std::uint64_t value) {
  std::size_t size = 1;
  for (; value >= 128; value >>= 7) ++size;
  return size;
}

void AppendBytesField(std::string& out, int number, std::string_view payload) {
  out += static_cast<char>(number << 3 | 2);
  AppendVarint(out, payload.size());
  out += payload;
}

// Of thousands of items each is touched once: the next ones are fetched while this one is written.
void FetchAhead(const std::vector<ItemPtr>& items, std::size_t index) {
  constexpr std::size_t kAhead = 8;
  if (index + kAhead >= items.size()) return;
  const char* const item = reinterpret_cast<const char*>(items[index + kAhead].get());
  __builtin_prefetch(item);
  __builtin_prefetch(item + 64);
}

http::Headers HeadersOf(std::string_view media_type) { return {{"Content-Type", std::string(media_type)}, {"Cache-Control", "no-cache, private"}}; }

http::Reply ReplyOf(std::string_view media_type, std::unique_ptr<ListSource> source, Encoder::Packing packing) {
  if (packing == Encoder::Packing::kGzip) {
    http::Gzipper gzip;
    std::string packed;
    bool good = true;
    for (auto piece = source->Next(); piece && good; piece = source->Next()) good = gzip.Add(piece->view(), packed);
    if (good && gzip.Finish(packed)) {
      http::Response response;
      response.headers = HeadersOf(media_type);
      response.headers.push_back({"Content-Encoding", "gzip"});
      response.headers.push_back({"Vary", "Accept-Encoding"});
      response.body = Bytes(std::move(packed));
      return response;
    }
  }
  http::Streaming streaming;
  streaming.headers = HeadersOf(media_type);
  streaming.source = std::move(source);
  return streaming;
}

}  // namespace

Result<std::shared_ptr<const std::string>> Encoder::MessageOf(const ItemPtr& item) const {
  const auto schema = def_->FindVersion(version_)->schema;
  if (auto kept = MessagePool::Instance().Find(item, &*schema)) return kept;
  TRY(auto message, ProtobufMessageOf(*item, item->modified));
  auto made = std::make_shared<const std::string>(std::move(message));
  MessagePool::Instance().Keep(item, &*schema, made);
  return made;
}

Result<http::Reply> Encoder::ListReply(std::vector<ItemPtr> stored, const ListMeta& meta, Packing packing) const {
  TRY_VOID(CheckShape(true));
  TRY(auto items, engine_.ItemsInVersion(std::move(stored), *def_, version_));
  std::size_t size = 0;
  for (auto item = items.begin(); item != items.end() && size <= kLong; ++item) size += (*item)->size();
  const bool protobuf = output_.encoding == Encoding::kProtobuf && !def_->custom;
  const bool plain = output_.encoding == Encoding::kJson && !output_.pretty, table = plain && output_.shape == Shape::kTable;
  if (size <= kLong || !(table || output_.shape == Shape::kObject) || !(protobuf || plain)) {
    TRY(auto response, List(items, meta));
    return http::Reply(std::move(response));
  }
  if (table) {
    const std::size_t count = items.size();
    auto append = [encoder = *this, items = std::move(items)](std::string& out, std::size_t i) {
      if (i > 0) out += ',';
      FetchAhead(items, i);
      encoder.AppendRow(out, *items[i], items[i]->modified);
    };
    return ReplyOf(output_.media_type(), std::make_unique<ListSource>(TableHead(meta) + ",\"rows\":[", count, std::move(append), "]}\n"), packing);
  }
  if (plain) {
    const std::size_t count = items.size();
    auto append = [encoder = *this, items = std::move(items)](std::string& out, std::size_t i) {
      if (i > 0) out += ',';
      FetchAhead(items, i);
      encoder.AppendJson(out, *items[i], items[i]->modified, TypeMeta::kWithout);
    };
    return ReplyOf(output_.media_type(), std::make_unique<ListSource>(ListHead(meta) + "[", count, std::move(append), "]}\n"), packing);
  }
  // Unknown{typeMeta = 1, raw = 2 {ListMeta = 1, items = 2 …}, contentEncoding = 3, contentType = 4}: lengths come first, so all is encoded before.
  std::vector<std::shared_ptr<const std::string>> messages;
  messages.reserve(items.size());
  std::string list_meta, head("k8s\0", 4), type;
  AppendBytesField(list_meta, 1, ProtobufListMeta(meta));
  std::size_t raw = list_meta.size();
  for (const auto& item : items) {
    TRY(auto message, MessageOf(item));
    raw += 1 + VarintSize(message->size()) + message->size();
    messages.push_back(std::move(message));
  }
  AppendBytesField(type, 1, def_->Kind(version_).api_version());
  AppendBytesField(type, 2, def_->list_kind);
  AppendBytesField(head, 1, type);
  head += static_cast<char>(2 << 3 | 2);
  AppendVarint(head, raw);
  head += list_meta;
  const std::size_t count = messages.size();
  auto append = [messages = std::move(messages)](std::string& out, std::size_t i) { AppendBytesField(out, 2, *messages[i]); };
  return ReplyOf(output_.media_type(), std::make_unique<ListSource>(std::move(head), count, std::move(append), std::string("\x1a\0\x22\0", 4)), packing);
}

}  // namespace skerry::kube
