#include "embedded-kube-shim/server/watch_source.h"

#include <atomic>
#include <map>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/status.h"

namespace skerry::kube {
namespace {

constexpr std::size_t kTurnBytes = 128 << 10, kTurnEvents = 256;
constexpr std::chrono::seconds kBookmarkEvery{60};

class WatchSource final : public http::Source {
 public:
  WatchSource(Encoder encoder, WatchPlan plan, std::unique_ptr<Subscription> subscription, Timers& timers)
      : encoder_(std::move(encoder)), plan_(std::move(plan)), subscription_(std::move(subscription)), timers_(timers) {
    shape_ = encoder_.ShapeKey();
    next_bookmark_ = std::chrono::steady_clock::now() + kBookmarkEvery;
  }

  ~WatchSource() override {
    if (timer_ != 0) timers_.Cancel(timer_);
  }

  void OnReady(std::function<void()> notify) override {
    notify_ = std::move(notify);
    subscription_->OnReady(notify_);
    Arm();
  }

  Result<Bytes> Next() override {
    std::string out;
    TRY_VOID(AppendNext(out));
    return Bytes(std::move(out));
  }

  Result<> AppendNext(std::string& out) override {
    const std::size_t start = out.size();
    if (!Initial(out)) return {};
    const auto now = std::chrono::steady_clock::now();
    if (ended_ || now >= plan_.deadline) {
      if (ended_) return Fail(Code::kCancelled, "watch ended");
      ended_ = true;
      if (plan_.bookmarks && seen_ > 0) out += encoder_.Bookmark(seen_, false, TakeColumns());
      if (out.size() == start) return Fail(Code::kCancelled, "watch ended");
      return {};
    }
    // Whoever got something asks once more at once; that nothing came meanwhile is learnt without the cache's lock.
    const auto changes = plan_.cache->changes();
    if (drained_ && changes == taken_ && now < next_bookmark_) return {};
    drained_ = false;
    taken_ = changes;   // counted before they are taken: one that comes in between is looked for again
    while (out.size() - start < kTurnBytes && !drained_ && !ended_) Take(out);
    if (out.size() == start && now >= next_bookmark_) {
      next_bookmark_ = now + kBookmarkEvery;
      if (plan_.bookmarks) out += encoder_.Bookmark(seen_, false, TakeColumns());
      Arm();
    }
    return {};
  }

 private:
  // What the subscription has, a turn of it.
  void Take(std::string& out) {
    thread_local std::vector<EventPtr> events;   // of one turn: thousands of watches share it
    events.clear();
    store::Revision drained_at = 0;
    if (auto next = subscription_->Next(&events, kTurnEvents, &drained_at); !next) {
      out += encoder_.ErrorEvent(ExpiredError(Cat("too old resource version: ", seen_, " (", seen_, ")")));
      ended_ = true;
    }
    for (const auto& event : events) Append(out, event);
    events.clear();
    if (drained_at == 0) return;
    seen_ = drained_at;
    drained_ = true;
  }

  // True when every initial event has been handed out before this call.
  bool Initial(std::string& out) {
    if (initial_done_) return true;
    const std::size_t start = out.size();
    while (at_ < plan_.initial.size() && out.size() - start < kTurnBytes) {
      const auto& item = plan_.initial[at_++];
      const ItemPtr shown = InVersion(item, out);
      if (ended_) return false;
      if (SelectedBy(*shown, plan_.labels, plan_.fields)) out += encoder_.Event("ADDED", shown, shown->modified, TakeColumns());
    }
    if (at_ < plan_.initial.size()) return false;
    initial_done_ = true;
    plan_.initial.clear();
    if (plan_.initial_events_end) out += encoder_.Bookmark(plan_.initial_revision, true, TakeColumns());
    seen_ = plan_.initial_revision;
    return out.size() == start;
  }

  void Append(std::string& out, const EventPtr& told) {
    const CacheEvent& event = *told;
    using ChangeType = CacheEvent::Type;
    const std::string_view key = event.item->key();
    if (!key.starts_with(plan_.key_prefix)) return;
    const bool deleted = event.type == ChangeType::kDeleted;
    // Where forms are not made, the event's own: counting its references up and down is what shards would wait for each other with.
    ItemPtr made_previous, made_item;
    if (plan_.in_version) {
      if (event.previous) made_previous = InVersion(event.previous, out);
      made_item = InVersion(event.item, out);
    }
    if (ended_) return;
    const ItemPtr& previous = plan_.in_version ? made_previous : event.previous;
    const ItemPtr& item = plan_.in_version ? made_item : event.item;
    const bool was = previous && SelectedBy(*previous, plan_.labels, plan_.fields);
    const bool is = !deleted && SelectedBy(*item, plan_.labels, plan_.fields);
    if (!was && !is) return;
    const std::string_view type = is ? (was ? "MODIFIED" : "ADDED") : "DELETED";
    // What leaves the selection is shown as it last matched, under the revision of the change.
    const ItemPtr& shown = is || deleted ? item : previous;
    if (encoder_.output().shape == Shape::kTable && !columns_sent_) {
      out += encoder_.Event(type, shown, event.revision(), TakeColumns());
      return;
    }
    const auto encode = [&] { return Bytes(encoder_.Event(type, shown, event.revision(), Encoder::Columns::kWithout)); };
    // A shard's watchers come one after the other: the last form that one of them took is most often what the next one wants.
    struct Last {
      EventPtr event;
      std::string shape;
      Bytes bytes;
    };
    thread_local Last last;
    thread_local std::string shape;
    shape.assign(shape_).append("|").append(type).append(is || deleted ? "" : "|left");
    if (last.event != told || last.shape != shape) last = {told, shape, event.Encoded(shape, std::ref(encode))};
    out += last.bytes.view();
  }

  // Each form is made once: what an event brings is what a later one replaces. A failure is told and ends the watch.
  ItemPtr InVersion(const ItemPtr& item, std::string& out) {
    constexpr std::size_t kMost = 256;
    if (!plan_.in_version || ended_) return item;
    const auto known = converted_.find(item->key());
    if (known != converted_.end() && known->second->modified == item->modified) return known->second;
    auto made = plan_.in_version(item);
    if (!made) {
      out += encoder_.ErrorEvent(made.error());
      ended_ = true;
      return item;
    }
    if (converted_.size() >= kMost) converted_.clear();
    converted_.insert_or_assign(std::string(item->key()), *made);
    return *made;
  }

  Encoder::Columns TakeColumns() {
    if (columns_sent_) return Encoder::Columns::kWithout;
    columns_sent_ = true;
    return Encoder::Columns::kWith;
  }

  void Arm() {
    if (timer_ != 0) timers_.Cancel(timer_);
    const auto due = plan_.bookmarks ? std::min(plan_.deadline, next_bookmark_) : plan_.deadline;
    timer_ = timers_.At(due, notify_);
  }

  const Encoder encoder_;
  WatchPlan plan_;
  std::string shape_;
  const std::unique_ptr<Subscription> subscription_;
  Timers& timers_;
  std::function<void()> notify_;
  std::uint64_t timer_ = 0;
  std::map<std::string, ItemPtr, std::less<>> converted_;   // by key, the latest
  std::size_t at_ = 0;
  bool initial_done_ = false, ended_ = false, columns_sent_ = false, drained_ = false;
  std::uint64_t taken_ = 0;   // changes of the cache that were looked at
  store::Revision seen_ = 0;
  std::chrono::steady_clock::time_point next_bookmark_;
};

class RefusedWatch final : public http::Source {
 public:
  explicit RefusedWatch(std::string event) : event_(std::move(event)) {}
  Result<Bytes> Next() override {
    if (event_.empty()) return Fail(Code::kCancelled, "watch ended");
    return Bytes(std::exchange(event_, {}));
  }
  void OnReady(std::function<void()>) override {}

 private:
  std::string event_;
};

}  // namespace

bool SelectedBy(const Item& item, const text::LabelSelector& labels, const FieldSelector& fields) {
  if (!fields.empty() && !fields.Matches(item)) return false;
  if (labels.empty()) return true;
  return labels.Matches([&](std::string_view key) -> std::optional<std::string_view> {
    bool present = false;
    const auto value = item.LabelOf(key, &present);
    if (!present) return std::nullopt;
    return value;
  });
}

std::unique_ptr<http::Source> NewWatchSource(Encoder encoder, WatchPlan plan, std::unique_ptr<Subscription> subscription, Timers& timers) {
  return std::make_unique<WatchSource>(std::move(encoder), std::move(plan), std::move(subscription), timers);
}

std::unique_ptr<http::Source> NewRefusedWatch(const Encoder& encoder, const Error& why) { return std::make_unique<RefusedWatch>(encoder.ErrorEvent(why)); }

}  // namespace skerry::kube
