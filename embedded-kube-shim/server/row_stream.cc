#include "embedded-kube-shim/server/row_stream.h"

#include "core/base/strings.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/api/table.h"
#include "embedded-kube-shim/server/watch_source.h"

namespace skerry::kube {
namespace {

// A turn encodes on the shard, so it is short; the server comes back for more.
constexpr std::size_t kTurnRows = 64, kTurnBytes = 64 << 10;
constexpr std::chrono::seconds kBeat{15};

std::string Line(std::string_view id, std::string_view type) {
  std::string out = "{\"id\":";
  json::AppendQuoted(out, id);
  return out.append(",\"t\":\"").append(type).append("\"");
}

// One subscription: a snapshot, then changes. Lives on the connection's shard.
class RowFeed {
 public:
  RowFeed(const Engine& engine, RowQuery query) : engine_(engine), query_(std::move(query)), cache_(engine.CacheOf(*query_.def)), version_(*query_.def->FindVersion(query_.version)) {
    if (query_.def->scope == Scope::kNamespaced && !query_.ns.empty()) prefix_ = query_.ns + "/";
    shape_ = Cat("rows|", query_.def->group, "|", query_.version, "|", query_.cells ? "c" : "");
    for (const auto& path : query_.extra) shape_ += Cat("|", Join(path, "\x1f"));
    auto resumed = query_.after > 0 ? cache_.Subscribe(query_.after) : Result<std::unique_ptr<Subscription>>(Fail(Code::kGone, "from the start"));
    if (!resumed) {
      Restart();
      return;
    }
    subscription_ = std::move(*resumed);
    seen_ = query_.after;
    greeting_ = "resume";
  }

  void OnReady(std::function<void()> notify) {
    notify_ = std::move(notify);
    subscription_->OnReady(notify_);
  }

  // Appends what there is to say, a turn's worth at most; true: there is more.
  bool Step(std::string& out) {
    const bool greeted = !greeting_.empty();
    if (greeted) Greet(out);
    if (at_ < snapshot_.size()) {
      Snapshot(out);
      return true;
    }
    return Changes(out, greeted);
  }

  // The revision to resume from, when it moved.
  void Mark(std::string& out) {
    if (at_ < snapshot_.size() || marked_ == seen_) return;
    marked_ = seen_;
    out += Cat(Line(query_.id, "S"), ",\"rv\":\"", seen_, "\"}\n");
  }

 private:
  void Restart() {
    ObjectCache::Snapshot snapshot;
    subscription_ = cache_.ListAndSubscribe(prefix_, &snapshot);
    if (notify_) subscription_->OnReady(notify_);
    snapshot_ = std::move(snapshot.items);
    seen_ = snapshot.revision;
    at_ = 0;
    greeting_ = "reset";
  }

  void Greet(std::string& out) {
    out += Line(query_.id, std::exchange(greeting_, {}));
    out += ",\"cols\":[";
    bool first = true;
    const auto columns = query_.cells ? TableColumns(*query_.def, version_) : json::Value::Array();
    for (const auto& column : columns.Items()) {
      auto shown = json::Value::Object();
      for (const char* key : {"name", "type", "format", "priority"}) shown.Set(key) = column[key].Clone();
      if (!std::exchange(first, false)) out += ',';
      shown.DumpTo(out);
    }
    out += "]}\n";
    if (snapshot_.empty()) marked_ = -1;   // an empty table is complete at once, and says so
  }

  void Snapshot(std::string& out) {
    std::string rows;
    const auto end = std::min(snapshot_.size(), at_ + kTurnRows);
    for (; at_ < end && rows.size() < kTurnBytes; ++at_) {
      if (SelectedBy(*snapshot_[at_], query_.labels, query_.fields)) rows.append(rows.empty() ? "" : ",").append(Row(*snapshot_[at_]));
    }
    if (!rows.empty()) out += Cat(Line(query_.id, "U"), ",\"rows\":[", rows, "]}\n");
    if (at_ < snapshot_.size()) return;
    snapshot_.clear();
    at_ = 0;
    marked_ = -1;
    Mark(out);
  }

  bool Changes(std::string& out, bool said) {
    std::vector<EventPtr> events;
    store::Revision drained = 0;
    if (!subscription_->Next(&events, kTurnRows, &drained)) {
      Restart();   // the client was too slow, or the history too short: it starts over
      return true;
    }
    const auto before = out.size();
    std::string rows, uids;
    const auto flush = [&] {
      if (!rows.empty()) out += Cat(Line(query_.id, "U"), ",\"rows\":[", rows, "]}\n");
      if (!uids.empty()) out += Cat(Line(query_.id, "D"), ",\"uids\":[", uids, "]}\n");
      rows.clear();
      uids.clear();
    };
    for (const auto& event : events) {
      if (!event->item->key().starts_with(prefix_)) continue;
      const bool is = event->type != CacheEvent::Type::kDeleted && SelectedBy(*event->item, query_.labels, query_.fields);
      const bool was = event->previous && SelectedBy(*event->previous, query_.labels, query_.fields);
      if (!is && !was) continue;
      auto& into = is ? rows : uids;
      if (auto& other = is ? uids : rows; !other.empty()) flush();
      if (!into.empty()) into += ',';
      if (is) into += event->Encoded(shape_, [&] { return Bytes(Row(*event->item)); }).view();
      else json::AppendQuoted(into, event->item->uid());
    }
    flush();
    if (drained == 0) return true;
    seen_ = drained;
    if (said || out.size() > before || marked_ < 0) Mark(out);
    return false;
  }

  std::string Row(const Item& item) const {
    std::shared_ptr<const json::Value> object = item.Object();
    if (item.api_version() != query_.def->Kind(query_.version).api_version())
      if (auto converted = engine_.InVersion(item, *query_.def, query_.version)) object = std::make_shared<const json::Value>(std::move(*converted));
    const auto& metadata = (*object)["metadata"];
    std::string out = "[";
    const auto append = [&](std::string_view text) {
      if (out.size() > 1) out += ',';
      json::AppendQuoted(out, text);
    };
    for (const auto text : {item.uid(), item.ns(), item.name(), metadata["creationTimestamp"].Str(), item.deletion_timestamp()}) append(text);
    if (query_.cells) {
      const auto row = TableRow(*query_.def, version_, *object, IncludeObject::kNone, engine_.now());
      for (const auto& cell : row["cells"].Items()) {
        out += ',';
        cell.DumpTo(out);
      }
    }
    for (const auto& path : query_.extra) {
      out += ',';
      if (path.empty()) {
        auto whole = object->Clone();
        whole.Set("metadata").Erase("managedFields");
        whole.Set("metadata").Set("resourceVersion") = std::to_string(item.modified);
        whole.DumpTo(out);
        continue;
      }
      const auto* value = object.get();
      for (const auto& segment : path) value = &(*value)[segment];
      value->DumpTo(out);
    }
    return out += ']';
  }

  const Engine& engine_;
  const RowQuery query_;
  ObjectCache& cache_;
  const Version& version_;                 // lives as long as query_.def
  std::string prefix_, shape_, greeting_;
  std::unique_ptr<Subscription> subscription_;
  std::function<void()> notify_;
  std::vector<ItemPtr> snapshot_;
  std::size_t at_ = 0;
  store::Revision seen_ = 0, marked_ = 0;  // marked_ -1: nothing said yet
};

class RowStream final : public http::Source {
 public:
  RowStream(const Engine& engine, Timers& timers, std::vector<RowQuery> queries, const std::vector<RowRefusal>& refusals, std::chrono::steady_clock::time_point deadline)
      : timers_(timers), deadline_(deadline), next_beat_(std::chrono::steady_clock::now() + kBeat) {
    for (auto& query : queries) feeds_.push_back(std::make_unique<RowFeed>(engine, std::move(query)));
    for (const auto& [id, error] : refusals) {
      refusals_ += Cat(Line(id, "E"), ",\"code\":", HttpStatusOf(error), ",\"reason\":");
      json::AppendQuoted(refusals_, ReasonOf(error));
      refusals_ += ",\"message\":";
      json::AppendQuoted(refusals_, error.message());
      refusals_ += "}\n";
    }
    refusals_ += "{\"t\":\"B\"}\n";   // the head of the reply leaves with the first byte
  }

  ~RowStream() override {
    if (timer_ != 0) timers_.Cancel(timer_);
  }

  void OnReady(std::function<void()> notify) override {
    notify_ = std::move(notify);
    for (auto& feed : feeds_) feed->OnReady(notify_);
    Arm();
  }

  Result<Bytes> Next() override {
    if (!refusals_.empty()) return Bytes(std::exchange(refusals_, {}));
    const auto now = std::chrono::steady_clock::now();
    if (now >= deadline_) return Fail(Code::kCancelled, "the stream has had its time");
    std::string out;
    for (bool more = true; more && out.empty();) {
      more = false;
      // Each round goes on where the last one stopped: a busy table does not starve the others.
      for (std::size_t i = 0; i < feeds_.size() && out.size() < kTurnBytes; ++i) more |= feeds_[turn_++ % feeds_.size()]->Step(out);
    }
    if (out.empty() && now >= next_beat_) {
      next_beat_ = now + kBeat;
      for (auto& feed : feeds_) feed->Mark(out);
      out += "{\"t\":\"B\"}\n";
      Arm();
    }
    return Bytes(std::move(out));
  }

 private:
  void Arm() {
    if (timer_ != 0) timers_.Cancel(timer_);
    timer_ = timers_.At(std::min(deadline_, next_beat_), notify_);
  }

  Timers& timers_;
  const std::chrono::steady_clock::time_point deadline_;
  std::vector<std::unique_ptr<RowFeed>> feeds_;
  std::string refusals_;
  std::function<void()> notify_;
  std::uint64_t timer_ = 0;
  std::size_t turn_ = 0;
  std::chrono::steady_clock::time_point next_beat_;
};

}  // namespace

std::unique_ptr<http::Source> NewRowStream(const Engine& engine, Timers& timers, std::vector<RowQuery> queries, std::vector<RowRefusal> refusals,
                                           std::chrono::steady_clock::time_point deadline) {
  return std::make_unique<RowStream>(engine, timers, std::move(queries), refusals, deadline);
}

}  // namespace skerry::kube
