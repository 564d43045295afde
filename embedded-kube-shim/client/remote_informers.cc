#include <atomic>
#include <thread>

#include "core/base/strings.h"
#include "core/telemetry/log.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/client/remote_client.h"
#include "embedded-kube-shim/client/remote_request.h"
#include "embedded-kube-shim/client/remote_store.h"

namespace skerry::kube {
namespace {

using std::chrono::milliseconds;

constexpr std::chrono::seconds kListPatience{60};
constexpr milliseconds kFirstBackoff{100}, kLastBackoff{30'000}, kShortWatch{1000};
constexpr std::size_t kLongestEvent = 32u << 20;
constexpr std::uint64_t kWatchSeconds = 300;         // and up to as many again, so that watches do not end together

// Events of one watch, line by line.
class EventLines {
 public:
  explicit EventLines(std::function<Result<>(const json::Value&)> on_event) : on_event_(std::move(on_event)) {}

  Result<> Feed(std::string_view piece) {
    for (std::size_t end; (end = piece.find('\n')) != std::string_view::npos; piece.remove_prefix(end + 1)) {
      rest_.append(piece.substr(0, end));
      json::Value event;
      std::string error;
      if (!json::Value::Parse(rest_, &event, &error)) return Fail(Code::kUnavailable, Cat("a watch event is no JSON: ", error));
      rest_.clear();
      TRY_VOID(on_event_(event));
    }
    if (rest_.size() + piece.size() > kLongestEvent) return Fail(Code::kTooLarge, "a watch event has more than 32 MiB");
    rest_.append(piece);
    return {};
  }

 private:
  const std::function<Result<>(const json::Value&)> on_event_;
  std::string rest_;
};

// Lists and watches one resource on its own thread.
class Reflector {
 public:
  Reflector(const RequestMaker& requests, const std::string& agent, std::string resource, std::string selector, std::size_t page, remote::Delivery& delivery,
            std::function<void()> on_synced)
      : store(delivery), requests_(requests), agent_(agent), resource_(std::move(resource)), page_(page), on_synced_(std::move(on_synced)) {
    if (!selector.empty()) selector_ = Cat("&fieldSelector=", remote::Escaped(selector));
    thread_ = std::jthread([this](std::stop_token stop) { Run(stop); });
  }

  bool synced() const { return synced_; }
  void RequestStop() { thread_.request_stop(); }

  remote::Store store;

 private:
  void Run(std::stop_token stop) {
    milliseconds backoff = kFirstBackoff;
    while (!stop.stop_requested()) {
      const auto began = std::chrono::steady_clock::now();
      const bool watched = listed_;
      Result<> done = listed_ ? Watch(stop) : List(stop);
      if (stop.stop_requested()) return;
      if (done && watched && std::chrono::steady_clock::now() - began < kShortWatch) done = Fail(Code::kUnavailable, "the watch ended at once");
      if (done) {
        backoff = kFirstBackoff;
        continue;
      }
      if (done.error().code() == Code::kGone) listed_ = false;
      if (done.error().code() != Code::kGone) log::Debug("watch will be tried again", {{"resource", resource_}, {"error", done.error()}});
      if (std::chrono::steady_clock::now() - began > kLastBackoff) backoff = kFirstBackoff;   // it had worked for long
      const auto wait = backoff / 2 + milliseconds(Random::System().Below(static_cast<std::uint64_t>(backoff.count() / 2 + 1)));
      backoff = std::min(kLastBackoff, backoff * 2);
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, stop, wait, [] { return false; });
    }
  }

  Result<json::Value> Ask(const Ctx& ctx, std::string_view query) {
    TRY(const http::ClientRequest request, remote::NewRequest(requests_, agent_, "GET", Cat(remote::PathOf(resource_, "", ""), query)));
    TRY(const http::ClientResponse response, http::Client::Shared().Do(ctx, request));
    if (response.status != 200) return std::unexpected(remote::ErrorOf(response));
    json::Value page;
    std::string error;
    if (!json::Value::Parse(response.body, &page, &error)) return Fail(Code::kUnavailable, Cat("the server's list is no JSON: ", error));
    return page;
  }

  Result<> List(std::stop_token stop) {
    std::vector<ObjectPtr> all;
    std::string next, revision;
    do {
      const Ctx ctx(stop, std::chrono::steady_clock::now() + kListPatience);
      TRY(json::Value page, Ask(ctx, Cat("?limit=", page_, selector_, next)));
      std::string kind(page["kind"].Str());
      if (kind.ends_with("List")) kind.resize(kind.size() - 4);
      const std::string version(page["apiVersion"].Str());
      for (json::Value& item : page.Set("items").MutableItems()) {
        item.Set("kind") = kind;
        item.Set("apiVersion") = version;
        all.push_back(std::make_shared<const json::Value>(std::move(item)));
      }
      revision = page.At({"metadata", "resourceVersion"}).Str();
      const std::string_view token = page.At({"metadata", "continue"}).Str();
      next = token.empty() ? std::string() : Cat("&continue=", remote::Escaped(token));
    } while (!next.empty());
    store.Replace(std::move(all));
    revision_ = std::move(revision);
    listed_ = true;
    if (!synced_.exchange(true)) on_synced_();
    return {};
  }

  Result<> Watch(std::stop_token stop) {
    const std::uint64_t seconds = kWatchSeconds + Random::System().Below(kWatchSeconds);
    TRY(http::ClientRequest request,
        remote::NewRequest(requests_, agent_, "GET",
                           Cat(remote::PathOf(resource_, "", ""), "?watch=true&allowWatchBookmarks=true&resourceVersion=", revision_, "&timeoutSeconds=", seconds, selector_)));
    request.stall_timeout = std::chrono::seconds(0);
    int status = 0;
    std::string refusal;
    EventLines lines([this](const json::Value& event) { return OnEvent(event); });
    const auto on_head = [&](const http::ClientResponse& head) -> Result<> {
      status = head.status;
      return {};
    };
    const auto on_body = [&](std::string_view piece) -> Result<> {
      if (status == 200) return lines.Feed(piece);
      if (refusal.size() + piece.size() < kLongestEvent) refusal.append(piece);
      return {};
    };
    const Ctx ctx(stop, std::chrono::steady_clock::now() + std::chrono::seconds(seconds + 30));
    auto done = http::Client::Shared().Stream(ctx, request, on_head, on_body);
    if (!done) return std::unexpected(std::move(done).error());
    if (status == 200) return {};
    done->body = std::move(refusal);
    return std::unexpected(remote::ErrorOf(*done));
  }

  Result<> OnEvent(const json::Value& event) {
    const std::string_view type = event["type"].Str();
    const json::Value& object = event["object"];
    if (type == "ERROR") return std::unexpected(ErrorFromStatus(object));
    if (std::string revision(object.At({"metadata", "resourceVersion"}).Str()); !revision.empty()) revision_ = std::move(revision);
    if (type == "BOOKMARK") return {};
    auto shared = std::make_shared<const json::Value>(object.Clone());
    if (type == "DELETED") {
      store.Remove(shared);
    } else {
      store.Put(std::move(shared));
    }
    return {};
  }

  const RequestMaker& requests_;
  const std::string& agent_;
  const std::string resource_;
  const std::size_t page_;
  const std::function<void()> on_synced_;
  std::string selector_;
  std::string revision_;                             // the thread's own
  bool listed_ = false;                              // the thread's own: revision_ is where a watch goes on
  std::atomic<bool> synced_{false};
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;                              // last: uses the others
};

class RemoteInformersImpl final : public RemoteInformers {
 public:
  RemoteInformersImpl(RequestMaker requests, std::string agent, RemoteInformerOptions options)
      : requests_(std::move(requests)), agent_(std::move(agent)), options_(std::move(options)), delivering_([this] { delivery_.Run(); }) {}
  ~RemoteInformersImpl() override { RemoteInformersImpl::Stop(); }

  const Lister& Get(Resource resource) override { return Of(resource).store; }

  std::shared_ptr<void> Subscribe(Resource resource, std::function<void(const Notification&)> callback) override {
    remote::Store& store = Of(resource).store;
    auto subscriber = std::make_shared<remote::Delivery::Subscriber>();
    subscriber->callback = std::move(callback);
    store.Subscribe(subscriber);
    return std::shared_ptr<void>(nullptr, [&store, subscriber](void*) { store.Unsubscribe(subscriber); });
  }

  bool HasSynced() const override {
    std::lock_guard lock(mutex_);
    return AllSynced();
  }

  Result<> WaitForSync(const Ctx& ctx) override {
    std::unique_lock lock(mutex_);
    const auto synced = [this] { return AllSynced(); };
    const bool done = ctx.deadline == std::chrono::steady_clock::time_point::max() ? changed_.wait(lock, ctx.stop, synced)
                                                                                    : changed_.wait_until(lock, ctx.stop, ctx.deadline, synced);
    if (done) return {};
    if (ctx.stop.stop_requested()) return Fail(Code::kCancelled, "stopped");
    return Fail(Code::kTimeout, "nothing could be listed");
  }

  void Stop() noexcept override {
    {
      std::lock_guard lock(mutex_);
      for (const auto& [resource, r] : reflectors_) r->RequestStop();   // all at once; joined when this object goes, since listers are lent out
    }
    delivery_.Stop();
    if (delivering_.joinable()) delivering_.join();
  }

 private:
  Reflector& Of(Resource resource) {
    std::lock_guard lock(mutex_);
    auto& slot = reflectors_[std::string(resource)];
    if (!slot) {
      const auto selector = options_.field_selectors.find(resource);
      slot = std::make_unique<Reflector>(requests_, agent_, std::string(resource), selector == options_.field_selectors.end() ? std::string() : selector->second, options_.page,
                                         delivery_, [this] {
                                           std::lock_guard changed(mutex_);
                                           changed_.notify_all();
                                         });
    }
    return *slot;
  }

  bool AllSynced() const {
    for (const auto& [resource, r] : reflectors_) {
      if (!r->synced()) return false;
    }
    return true;
  }

  const RequestMaker requests_;
  const std::string agent_;
  const RemoteInformerOptions options_;
  remote::Delivery delivery_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<std::string, std::unique_ptr<Reflector>, std::less<>> reflectors_;   // guarded
  std::jthread delivering_;
};

}  // namespace

std::unique_ptr<RemoteInformers> NewRemoteInformers(RemoteServer server, std::string agent, RemoteInformerOptions options) {
  return NewRemoteInformers(remote::RequestsTo(std::move(server)), std::move(agent), std::move(options));
}

std::unique_ptr<RemoteInformers> NewRemoteInformers(RequestMaker requests, std::string agent, RemoteInformerOptions options) {
  return std::make_unique<RemoteInformersImpl>(std::move(requests), std::move(agent), std::move(options));
}

}  // namespace skerry::kube
