#include "store/mvcc/mvcc_store.h"

#include <algorithm>
#include <future>

#include "core/base/strings.h"
#include "store/mvcc/codec.h"

namespace skerry::store {
namespace {

// The queue refuses what exceeds it (kTooMany): a caller that floods the store learns it at once instead of filling the memory.
constexpr std::size_t kQueueBatches = 65536, kQueueBytes = 64 << 20;
constexpr std::size_t kGroupBatches = 1024, kGroupBytes = 8 << 20;
constexpr std::size_t kManyWriters = 8;      // in one group: more are on their way
constexpr std::chrono::milliseconds kMostPatience{2};
constexpr Revision kReserveBlock = 1'000'000;
constexpr Revision kCopyDistance = 1'000'000'000;
constexpr std::size_t kStaleLogBatch = 64;   // log records are deleted this many at a time, with a write that happens anyway

std::size_t BatchBytes(const Batch& batch) {
  std::size_t bytes = sizeof(Batch);
  for (const Batch::Expect& e : batch.expects) bytes += sizeof e + e.key.size();
  for (const Batch::Op& op : batch.ops) bytes += sizeof op + op.key.size() + (op.value ? op.value->size() : 0);
  return bytes;
}

std::optional<Error> Unacceptable(const Batch& batch) {
  for (const Batch::Op& op : batch.ops) {
    if (op.key.empty() || op.key.size() > kMaxKey)
      return Error(Code::kInvalid, Cat("a key of ", op.key.size(), " bytes; allowed are 1 to ", kMaxKey));
    if (op.value && op.value->size() > kMaxValue) {
      return Error(Code::kTooLarge, Cat("a value of ", op.value->size(), " bytes; at most ", kMaxValue, " are allowed"));
    }
  }
  return std::nullopt;
}

}  // namespace

Result<std::unique_ptr<MvccStore>> MvccStore::Open(Options options, std::unique_ptr<Backend> backend, Origin origin) {
  TRY(Loaded loaded, Load(*backend, *options.clock));
  if (origin == Origin::kCopy) {
    for (const Revision r : loaded.state.Trim(loaded.state.revision)) loaded.stale_log.push_back(r);
    loaded.reserved += kCopyDistance;
  }
  auto store = std::unique_ptr<MvccStore>(new MvccStore(std::move(options), std::move(backend), std::move(loaded)));
  if (origin == Origin::kCopy) {
    Writes writes;
    const std::string reserved = MetaKey("reserved");
    writes[reserved] = EncodeMeta(reserved, store->reserved_);
    TRY_VOID(store->CompactNow(store->current()));
    TRY_VOID(store->Write(std::move(writes), Trim::kNow));
  }
  store->thread_ = std::thread([s = store.get()] { s->Run(); });
  store->shared_->commit_thread = store->thread_.get_id();
  return store;
}

MvccStore::MvccStore(Options options, std::unique_ptr<Backend> backend, Loaded loaded)
    : options_(std::move(options)), backend_(std::move(backend)), reserved_(loaded.reserved), stale_log_(std::move(loaded.stale_log)) {
  // One revision is burned by opening: the history of volatile keys ends before it.
  const Revision revision = std::max(reserved_ + 1, loaded.state.horizon);
  loaded.state.revision = revision;
  shared_->volatile_prefixes = options_.volatile_prefixes;
  shared_->opened_at = revision;
  shared_->revision = revision;
  shared_->horizon = disk_horizon_ = loaded.state.horizon;
  next_ = revision + 1;
  {
    auto state = shared_->state.Lock();
    *state = std::move(loaded.state);
  }
  TrimHistory();
}

MvccStore::~MvccStore() {
  {
    auto inbox = inbox_.Lock();
    inbox->stopping = true;
  }
  arrived_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void MvccStore::Push(Pending pending) {
  bool awaited = false;   // only then the commit thread may be asleep
  {
    auto inbox = inbox_.Lock();
    Queue(*inbox, std::move(pending));
    awaited = inbox->queue.size() == std::max<std::size_t>(inbox->wanted, 1);
  }
  if (awaited) arrived_.notify_one();
}

void MvccStore::Queue(Inbox& inbox, Pending pending) {
  if (!pending.refused && (inbox.queue.size() >= kQueueBatches || inbox.bytes + pending.bytes > kQueueBytes)) {
    pending.refused = Error(Code::kTooMany, "too many writes are waiting for the store");
    pending.batch = {};
    pending.bytes = 0;
  }
  inbox.bytes += pending.bytes;
  inbox.queue.push_back(std::move(pending));
}

void MvccStore::Submit(Batch batch, std::move_only_function<void(Result<Outcome>)> done) {
  Pending p{std::move(batch), std::move(done), std::nullopt, 0, 0};
  p.refused = Unacceptable(p.batch);
  if (p.refused) p.batch = {};
  p.bytes = BatchBytes(p.batch);
  Push(std::move(p));
}

Result<> MvccStore::Compact(Revision revision) {
  if (revision < 1 || revision > current())
    return Fail(Code::kInvalid, Cat("revision ", revision, " does not exist yet; the newest is ", current()));
  std::promise<Result<Outcome>> answered;
  auto future = answered.get_future();
  Push({{}, [p = std::move(answered)](Result<Outcome> r) mutable { p.set_value(std::move(r)); }, std::nullopt, revision, 0});
  Result<Outcome> r = future.get();
  if (!r) return std::unexpected(std::move(r).error());
  return {};
}

Result<std::unique_ptr<Watch>> MvccStore::Subscribe(std::string_view prefix, Revision after, std::shared_ptr<std::function<void()>> wake) {
  return NewWatch(shared_, prefix, after, std::move(wake));
}

Result<> MvccStore::Healthy() const {
  if (backend_->health() == Backend::Health::kGood) return {};
  return std::unexpected(backend_->HealthError());
}

void MvccStore::Run() {
  for (bool stopping = false; !stopping;) {
    std::vector<Pending> group = TakeGroup(&stopping);
    if (stopping) {
      for (Pending& p : group) p.done(Fail(Code::kCancelled, "the store is closing"));
      break;
    }
    RetryBackend();
    if (!group.empty()) CommitGroup(group);
    CompressValues();   // everybody has his answer
    TrimHistory();
  }
  Close();
}

std::chrono::steady_clock::time_point MvccStore::NextTimer() const {
  const auto now = std::chrono::steady_clock::now();
  auto due = now + std::chrono::hours(1);
  if (backend_->health() != Backend::Health::kGood) due = next_retry_;
  auto state = shared_->state.Lock();
  if (!state->log.empty() && options_.history_age.count() > 0) {
    const auto expires_in = state->log.front().at + options_.history_age - options_.clock->Mono();
    due = std::min(due, now + std::max<std::chrono::nanoseconds>(expires_in, std::chrono::seconds(1)));
  }
  return due;
}

// What one write to the disk costs is shared by its group. Where many write at once the next group is let grow, for as long as two writes
// take: whoever was in the last one will be back soon. It does not wait for more than those and whoever came meanwhile, and a writer who
// is alone never waits.
std::chrono::nanoseconds MvccStore::Patience() const {
  if (last_group_ < kManyWriters) return std::chrono::nanoseconds(0);
  return std::min<std::chrono::nanoseconds>(2 * last_write_, kMostPatience);
}

std::vector<MvccStore::Pending> MvccStore::TakeGroup(bool* stopping) {
  const auto timer = NextTimer();
  auto inbox = inbox_.Lock();
  if (const auto patience = Patience(); patience.count() > 0) {
    inbox->wanted = std::min(inbox->queue.size() + last_group_, kGroupBatches);
    inbox.WaitUntil(arrived_, std::chrono::steady_clock::now() + patience, [&] { return inbox->stopping || inbox->queue.size() >= inbox->wanted; });
    inbox->wanted = 0;
  }
  inbox.WaitUntil(arrived_, timer, [&] { return inbox->stopping || !inbox->queue.empty(); });
  *stopping = inbox->stopping;
  std::vector<Pending> group;
  std::size_t bytes = 0;
  while (!inbox->queue.empty() && (*stopping || (group.size() < kGroupBatches && bytes < kGroupBytes))) {
    bytes += inbox->queue.front().bytes;
    group.push_back(std::move(inbox->queue.front()));
    inbox->queue.pop_front();
  }
  inbox->bytes -= bytes;
  last_group_ = group.size();
  return group;
}

void MvccStore::CommitGroup(std::vector<Pending>& group) {
  const auto low_space = [&] {
    return backend_->health() == Backend::Health::kLowSpace ? std::optional(backend_->HealthError()) : std::nullopt;
  };
  bool failed = false;
  std::optional<Error> error = low_space();
  std::vector<Result<Outcome>> outcomes = TryGroup(group, error ? &*error : nullptr, &failed);
  // The disk turned out to be full and space was freed: what may use it goes on at once.
  if (failed && (error = low_space())) outcomes = TryGroup(group, &*error, &failed);
  for (std::size_t i = 0; i < group.size(); ++i) group[i].done(std::move(outcomes[i]));
}

std::vector<Result<Outcome>> MvccStore::TryGroup(const std::vector<Pending>& group, const Error* low_space, bool* failed) {
  Stage stage(*shared_, next_);
  std::vector<Result<Outcome>> outcomes;
  for (const Pending& p : group) {
    if (p.refused) {
      outcomes.push_back(std::unexpected(p.refused->Clone()));
    } else if (p.compact_to > 0) {
      const Result<> r = CompactNow(p.compact_to);
      outcomes.push_back(r ? Result<Outcome>(Outcome{}) : std::unexpected(r.error().Clone()));
    } else {
      outcomes.push_back(stage.Add(p.batch, low_space));
    }
  }
  std::vector<Commit> commits = stage.TakeCommits(*options_.clock);
  *failed = false;
  if (commits.empty()) return outcomes;
  next_ = stage.next();   // kept on failure too: those revisions are burned
  if (const Result<> r = Persist(commits); !r) {
    // Every answer may rest on a batch of this group that now did not happen.
    for (Result<Outcome>& o : outcomes) o = std::unexpected(o ? r.error().Clone() : o.error().Clone());
    *failed = true;
    return outcomes;
  }
  Apply(std::move(commits));
  return outcomes;
}

Result<> MvccStore::Persist(std::vector<Commit>& commits) {
  Writes writes;
  Trim trim = Trim::kWhenWorthIt;
  if (backend_->health() == Backend::Health::kLowSpace &&
      std::any_of(commits.begin(), commits.end(), [](const Commit& c) { return c.logged; })) {
    GiveUpDiskLog(commits);
    trim = Trim::kNow;
  }
  Stage::Encode(*shared_, commits, &writes);
  const Revision last = commits.back().revision;
  Revision reserve = reserved_;
  if (last > reserved_) {
    reserve = last + kReserveBlock;
    const std::string key = MetaKey("reserved");
    writes[key] = EncodeMeta(key, reserve);
  }
  if (writes.empty()) return {};
  TRY_VOID(Write(std::move(writes), trim));
  reserved_ = reserve;
  return {};
}

// On a full disk a deletion must not cost the space of what it deletes: nothing is logged, and the log that is there is deleted. Memory
// keeps the history for watches that are running; only after a restart it begins later.
void MvccStore::GiveUpDiskLog(std::vector<Commit>& commits) {
  for (Commit& c : commits) c.logged = false;
  disk_horizon_ = commits.back().revision;
  auto state = shared_->state.Lock();
  for (Commit& c : state->log) {
    if (std::exchange(c.logged, false)) stale_log_.push_back(c.revision);
  }
}

Result<> MvccStore::Write(Writes writes, Trim trim) {
  if (backend_->health() == Backend::Health::kFailing) return std::unexpected(backend_->HealthError());
  const bool trims = trim == Trim::kNow || stale_log_.size() >= kStaleLogBatch;
  if (trims) {
    disk_horizon_ = std::max(disk_horizon_, horizon());
    for (const Revision r : stale_log_) writes.try_emplace(LogKey(r), std::nullopt);
    const std::string key = MetaKey("horizon");
    writes.try_emplace(key, EncodeMeta(key, disk_horizon_));
  }
  for (const std::string& key : doubtful_) {
    if (writes.contains(key)) continue;
    std::optional<std::string> record;
    if (key.starts_with(kCurrentTag)) {
      auto state = shared_->state.Lock();
      const auto it = state->current.find(std::string_view(key).substr(1));
      if (it != state->current.end()) record = EncodeCurrent(key, it->second);
    }
    writes.try_emplace(key, std::move(record));
  }
  WriteSet set;
  set.ops.reserve(writes.size());
  while (!writes.empty()) {
    auto node = writes.extract(writes.begin());
    set.ops.push_back({std::move(node.key()), std::move(node.mapped())});
  }
  const auto began = std::chrono::steady_clock::now();
  auto r = backend_->Commit(set);
  last_write_ = std::chrono::steady_clock::now() - began;
  if (!r) {
    for (const WriteSet::Op& op : set.ops) {
      if (!op.key.starts_with(kMetaTag)) doubtful_.insert(op.key);
    }
    next_retry_ = std::chrono::steady_clock::now() + options_.retry_interval;
    return r;
  }
  doubtful_.clear();
  if (trims) stale_log_.clear();
  return {};
}

void MvccStore::Apply(std::vector<Commit> commits) {
  Feed* const feed = feed_.load();
  const Revision last = commits.back().revision;
  for (Commit& commit : commits) {
    const Revision revision = commit.revision;
    const auto events = commit.events;
    {
      auto state = shared_->state.Lock();
      NoteCommit(*state, commit);
      for (const Event& e : *events) {
        if (e.type == Event::Type::kDelete) {
          state->current.erase(e.entry.key);
        } else {
          e.entry.value.Settle();
          state->current.insert_or_assign(e.entry.key, Version{e.entry.value, e.entry.created, e.entry.modified});
        }
      }
      state->revision = revision;
      shared_->revision = revision;
      state->log_bytes += commit.bytes;
      state->log.push_back(std::move(commit));
    }
    if (feed) feed->OnCommit(revision, *events);
  }
  if (feed) feed->OnGroupEnd(last);
  CallWakes(*shared_);
}

void MvccStore::TrimTo(State& state, Revision revision) {
  for (const Revision r : state.Trim(revision)) stale_log_.push_back(r);
  shared_->horizon = state.horizon;
}

void MvccStore::TrimHistory() {
  auto state = shared_->state.Lock();
  const auto oldest = options_.clock->Mono() - options_.history_age;
  while (!state->log.empty()) {
    const Commit& front = state->log.front();
    const bool too_old = options_.history_age.count() > 0 && front.at <= oldest;
    if (!too_old && state->log_bytes <= options_.history_bytes) return;
    TrimTo(*state, front.revision);
  }
}

Result<> MvccStore::CompactNow(Revision revision) {
  {
    auto state = shared_->state.Lock();
    TrimTo(*state, revision);
  }
  return stale_log_.empty() ? Result<>() : Write({}, Trim::kNow);
}

void MvccStore::RetryBackend() {
  if (backend_->health() == Backend::Health::kGood || std::chrono::steady_clock::now() < next_retry_) return;
  backend_->TryRecover();
  next_retry_ = std::chrono::steady_clock::now() + options_.retry_interval;
}

void MvccStore::Close() {
  // A clean end gives the rest of the reserved block back, so that revisions stay small.
  if (reserved_ > next_ - 1) {
    Writes writes;
    const std::string key = MetaKey("reserved");
    writes[key] = EncodeMeta(key, next_ - 1);
    static_cast<void>(Write(std::move(writes), Trim::kWhenWorthIt));   // on failure the reservation stays: correct, only wasteful
  }
  {
    auto state = shared_->state.Lock();
    state->closed = true;
    for (WatchState* w : state->watches) w->wake_wanted = true;
  }
  CallWakes(*shared_);
}

Result<Outcome> SubmitAndWait(Store& store, Batch batch) {
  std::promise<Result<Outcome>> answered;
  auto future = answered.get_future();
  store.Submit(std::move(batch), [p = std::move(answered)](Result<Outcome> r) mutable { p.set_value(std::move(r)); });
  return future.get();
}

}  // namespace skerry::store
