#include <algorithm>

#include "core/base/strings.h"
#include "core/text/selector.h"
#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/server/field_selector.h"
#include "embedded-kube-shim/server/rest.h"
#include "embedded-kube-shim/server/watch_source.h"

// Get, list and watch.
namespace skerry::kube {
namespace {

struct Selection {
  std::string key_prefix;
  text::LabelSelector labels;
  FieldSelector fields;
  bool everything() const { return labels.empty() && fields.empty(); }
};

Result<Selection> SelectionOf(const RestRequest& request, const ListOptions& options) {
  const auto& target = request.target;
  Selection selection;
  if (target.def->scope == Scope::kNamespaced && !target.ns.empty()) selection.key_prefix = target.ns + "/";
  TRY(selection.labels, text::LabelSelector::Parse(options.label_selector));
  TRY(selection.fields, FieldSelector::Parse(options.field_selector, *target.def, target.version));
  return selection;
}

Error TooLargeVersion(store::Revision asked, store::Revision current) {
  auto detail = std::make_shared<StatusDetail>();
  detail->http = 504;
  detail->reason = "Timeout";
  detail->has_details = true;
  detail->retry_after_seconds = 1;
  return Error(Code::kTimeout, Cat("Timeout: Too large resource version: ", asked, ", current: ", current))
      .WithCause({"", "ResourceVersionTooLarge", "Too large resource version"})
      .WithAttachment(std::move(detail));
}

// A reader of one object may name a version that he has seen.
Result<> CheckReached(const Engine& engine, const RestRequest& request) {
  TRY(const auto asked, ParseResourceVersion(request.http->Query("resourceVersion"), VersionUse::kWatch));
  if (asked > engine.caches().revision()) return std::unexpected(TooLargeVersion(asked, engine.caches().revision()));
  return {};
}

struct Listing {
  std::vector<ItemPtr> items;
  ListMeta meta;
};

// The client may go on from here without consistency.
Error ExpiredContinue(const ContinueToken& token) {
  auto detail = std::make_shared<StatusDetail>();
  detail->http = 410;
  detail->reason = "Expired";
  detail->continue_token = EncodeContinue({-1, token.start});
  return ExpiredError("The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to "
                      "retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first "
                      "chunk was returned and now may show up in the list.")
      .WithAttachment(std::move(detail));
}

bool IsTooOld(const Engine& engine, const ContinueToken& token) {
  if (token.revision < engine.store().horizon()) return true;
  const auto age = engine.options().history_age;
  return token.issued != 0 && age.count() > 0 && std::chrono::system_clock::from_time_t(token.issued) + age < engine.now();
}

Result<ObjectCache::Snapshot> SnapshotAt(const Engine& engine, const ResourceDef& def, std::string_view prefix, store::Revision revision) {
  auto& cache = engine.CacheOf(def);
  if (auto snapshot = cache.ListAt(prefix, revision)) return snapshot;
  // Older than the cache remembers: the store's own history.
  const auto storage_prefix = StoragePrefix(def);
  store::ListOptions options;
  options.at = revision;
  TRY(auto page, engine.store().List(Cat(storage_prefix, prefix), options));
  ObjectCache::Snapshot snapshot;
  snapshot.revision = revision;
  for (const auto& entry : page.entries) snapshot.items.push_back(std::make_shared<const Item>(entry.key.substr(storage_prefix.size()), entry));
  return snapshot;
}

Result<Listing> ListItems(const Engine& engine, const RestRequest& request, const ListOptions& options) {
  const auto& def = *request.target.def;
  TRY(auto selection, SelectionOf(request, options));
  auto& cache = engine.CacheOf(def);
  ObjectCache::Snapshot snapshot;
  std::string start;
  std::int64_t issued = std::chrono::system_clock::to_time_t(engine.now());
  std::int64_t limit = std::max<std::int64_t>(options.limit, 0);
  const bool uncached = def.resource == "events" && !def.custom;   // upstream keeps no watch cache of events
  if (!options.continue_token.empty()) {
    if (!options.resource_version.empty() && options.resource_version != "0")
      return std::unexpected(BadRequestError("specifying resource version is not allowed when using continue"));
    TRY(auto token, DecodeContinue(options.continue_token));
    if (options.resource_version == "0" && !uncached) limit = 0;   // from the watch cache upstream, which ignores it
    start = token.start.substr(token.start.front() == '/' ? 1 : 0);
    if (token.revision < 0) {
      snapshot = cache.List(selection.key_prefix);
    } else {
      if (token.revision > engine.caches().revision()) return std::unexpected(TooLargeVersion(token.revision, engine.caches().revision()));
      if (IsTooOld(engine, token)) return std::unexpected(ExpiredContinue(token));
      auto at = SnapshotAt(engine, def, selection.key_prefix, token.revision);
      if (!at) return std::unexpected(ExpiredContinue(token));
      issued = token.issued;
      snapshot = std::move(*at);
    }
  } else {
    TRY(const auto asked, ParseResourceVersion(options.resource_version, VersionUse::kList));
    const auto current = engine.caches().revision();
    if (asked > current) return std::unexpected(TooLargeVersion(asked, current));
    const bool exact = options.resource_version_match == "Exact" || (asked > 0 && limit > 0 && options.resource_version_match.empty());
    if (exact && asked > 0) {
      auto at = SnapshotAt(engine, def, selection.key_prefix, asked);
      if (!at) return std::unexpected(ExpiredError("The resourceVersion for the provided list is too old."));
      snapshot = std::move(*at);
    } else {
      snapshot = cache.List(selection.key_prefix);
      if (options.resource_version == "0" && !uncached) limit = 0;   // served from the watch cache upstream, which ignores it
    }
  }
  // A field of a custom resource is one of the version that was asked for: all that could match are converted, in one call.
  if (def.conversion && selection.fields.ReadsBody()) {
    TRY(snapshot.items, engine.ItemsInVersion(std::move(snapshot.items), def, request.target.version));
  }
  Listing listing;
  listing.meta.revision = snapshot.revision;
  const auto first = start.empty() ? snapshot.items.begin()
                                   : std::lower_bound(snapshot.items.begin(), snapshot.items.end(), Cat(selection.key_prefix, start), [](const ItemPtr& item, const std::string& key) { return item->key() < key; });
  auto it = first;
  for (; it != snapshot.items.end(); ++it) {
    if (limit > 0 && static_cast<std::int64_t>(listing.items.size()) == limit) break;
    if (SelectedBy(**it, selection.labels, selection.fields)) listing.items.push_back(*it);
  }
  if (it != snapshot.items.end()) {
    // Only what may still match makes another page worth asking for.
    const auto next_match = std::find_if(it, snapshot.items.end(), [&](const ItemPtr& item) { return SelectedBy(*item, selection.labels, selection.fields); });
    if (next_match != snapshot.items.end() || selection.everything()) {
      const auto last = listing.items.back()->key().substr(selection.key_prefix.size());
      listing.meta.continue_token = EncodeContinue({snapshot.revision, Cat("/", last, '\0'), issued});
      if (selection.everything()) listing.meta.remaining = snapshot.items.end() - it;
    }
  }
  return listing;
}

}  // namespace

Encoder EncoderFor(const Engine& engine, const RestRequest& request, Output output, Result<>* include_ok) {
  const auto include = request.http->Query("includeObject");
  IncludeObject kind = IncludeObject::kMetadata;
  if (include == "None") kind = IncludeObject::kNone;
  else if (include == "Object") kind = IncludeObject::kObject;
  else if (!include.empty() && include != "Metadata" && output.shape == Shape::kTable)
    *include_ok = std::unexpected(BadRequestError(Cat("Unable to convert to Table as requested: includeObject: Invalid value: ", Quote(include), ": must be 'Metadata', 'Object', 'None', or empty")));
  return Encoder(engine, request.target.def, request.target.version, std::move(output), kind);
}

Result<http::Reply> Rest::Get(const RestRequest& request) {
  const auto& target = request.target;
  TRY(auto output, Negotiate(*request.http, MediaScope::kObject, WireOf(request.target)));
  Result<> include;
  const auto encoder = EncoderFor(engine_, request, std::move(output), &include);
  TRY_VOID(CheckReached(engine_, request));
  const auto item = engine_.Find(target);
  if (!item) return std::unexpected(NotFoundError(target.def->group, target.def->resource, target.name));
  TRY_VOID(std::move(include));
  TRY(auto response, encoder.One(200, item));
  return http::Reply(std::move(response));
}

Result<http::Reply> Rest::List(const RestRequest& request) {
  TRY(auto output, Negotiate(*request.http, MediaScope::kWatchable, WireOf(request.target)));
  TRY(const auto options, ParseListOptions(*request.http));
  TRY_VOID(ValidateListOptions(options, false));
  Result<> include;
  const auto encoder = EncoderFor(engine_, request, std::move(output), &include);
  TRY(auto listing, ListItems(engine_, request, options));
  TRY_VOID(std::move(include));
  const bool packs = http::HasToken(request.http->headers, "Accept-Encoding", "gzip");
  return encoder.ListReply(std::move(listing.items), listing.meta, packs ? Encoder::Packing::kGzip : Encoder::Packing::kNone);
}

Result<http::Reply> Rest::Watch(const RestRequest& request) {
  const auto& def = *request.target.def;
  TRY(auto output, Negotiate(*request.http, MediaScope::kWatchable, WireOf(request.target)));
  TRY(auto options, ParseListOptions(*request.http));
  TRY_VOID(ValidateListOptions(options, true));
  if (request.info.legacy_watch && !request.info.name.empty() && options.field_selector.empty()) options.field_selector = Cat("metadata.name=", request.info.name);
  if (request.info.legacy_watch && !request.info.name.empty() && options.field_selector.starts_with("metadata.name=") && options.field_selector != Cat("metadata.name=", request.info.name))
    return std::unexpected(BadRequestError("fieldSelector metadata.name doesn't match requested name"));
  const bool silent = output.shape == Shape::kPartialList;   // events are no lists: upstream sends none
  Result<> include;
  auto encoder = EncoderFor(engine_, request, std::move(output), &include);
  TRY(auto selection, SelectionOf(request, options));
  TRY_VOID(std::move(include));
  TRY(const auto asked, ParseResourceVersion(options.resource_version, VersionUse::kWatch));
  auto& cache = engine_.CacheOf(def);
  const auto current = cache.revision();
  if (asked > current && options.send_initial_events.value_or(false)) return std::unexpected(TooLargeVersion(asked, current));
  WatchPlan plan;
  plan.cache = &cache;
  plan.key_prefix = selection.key_prefix;
  plan.labels = std::move(selection.labels);
  plan.fields = std::move(selection.fields);
  if (def.conversion && plan.fields.ReadsBody()) {
    plan.in_version = [&engine = engine_, def = request.target.def, version = request.target.version](const ItemPtr& item) -> Result<ItemPtr> {
      TRY(auto items, engine.ItemsInVersion({item}, *def, version));
      return std::move(items.front());
    };
  }
  if (silent) plan.key_prefix = "\x7f";
  plan.bookmarks = options.allow_watch_bookmarks && !silent;
  const auto seconds = options.timeout_seconds.value_or(0);
  const auto span = seconds > 0 ? std::chrono::seconds(std::min<std::int64_t>(seconds, 24 * 3600)) : std::chrono::seconds(1800 + engine_.random().Below(1800));
  plan.deadline = std::chrono::steady_clock::now() + span;
  const bool synthetic = options.send_initial_events ? *options.send_initial_events : asked == 0;
  http::Streaming streaming;
  streaming.headers.push_back({"Content-Type", encoder.watch_media_type()});
  streaming.headers.push_back({"Cache-Control", "no-cache, private"});
  std::unique_ptr<Subscription> subscription;
  if (synthetic) {
    ObjectCache::Snapshot snapshot;
    subscription = cache.ListAndSubscribe(plan.key_prefix, &snapshot);
    plan.initial = std::move(snapshot.items);
    plan.initial_revision = snapshot.revision;
    plan.initial_events_end = options.send_initial_events.value_or(false) && plan.bookmarks;
  } else if (asked == 0) {
    ObjectCache::Snapshot snapshot;   // from now on, without what there is
    subscription = cache.ListAndSubscribe("\x7f", &snapshot);
    plan.initial_revision = snapshot.revision;
  } else {
    auto subscribed = cache.Subscribe(asked);
    if (!subscribed) {   // as upstream: told by an event, not by the status
      streaming.source = NewRefusedWatch(encoder, ExpiredError(std::string(subscribed.error().message())));
      return http::Reply(std::move(streaming));
    }
    subscription = std::move(*subscribed);
    plan.initial_revision = asked;
  }
  streaming.source = NewWatchSource(std::move(encoder), std::move(plan), std::move(subscription), timers_);
  return http::Reply(std::move(streaming));
}

std::optional<http::Reply> Rest::ServeAtOnce(const RestRequest& request) {
  constexpr std::size_t kMostItems = 1000, kMostBytes = 256 << 10, kPlainBytes = 128 << 10;
  const auto& target = request.target;
  const auto& verb = request.info.verb;
  if (target.def->coerces_reads) return std::nullopt;
  auto output = Negotiate(*request.http, MediaScope::kWatchable, WireOf(request.target));
  if (!output || output->encoding != Encoding::kJson || output->pretty || output->shape != Shape::kObject) return std::nullopt;
  const auto wanted = target.gvk().api_version();
  if (verb == "get") {
    if (!CheckReached(engine_, request)) return std::nullopt;   // before the look-up: the object is as new as that
    const auto item = engine_.Find(target);
    if (!item || item->api_version() != wanted || item->size() > kMostBytes) return std::nullopt;
    Result<> include;
    auto response = EncoderFor(engine_, request, std::move(*output), &include).One(200, item);
    if (!response) return std::nullopt;
    return http::Reply(std::move(*response));
  }
  auto& cache = engine_.CacheOf(*target.def);
  if (cache.size() > kMostItems) return std::nullopt;
  if (verb == "watch") {
    auto reply = Watch(request);
    return reply ? std::optional<http::Reply>(std::move(*reply)) : std::nullopt;
  }
  if (verb != "list") return std::nullopt;
  const auto options = ParseListOptions(*request.http);
  if (!options || !ValidateListOptions(*options, false) || !options->continue_token.empty()) return std::nullopt;
  if (!options->resource_version.empty() && options->resource_version != "0") return std::nullopt;   // may need the store's history
  auto listing = ListItems(engine_, request, *options);
  if (!listing) return std::nullopt;
  const std::size_t most = http::HasToken(request.http->headers, "Accept-Encoding", "gzip") ? kPlainBytes : kMostBytes;
  std::size_t bytes = 0;
  for (const auto& item : listing->items) {
    bytes += item->size();
    if (bytes > most || item->api_version() != wanted) return std::nullopt;
  }
  Result<> include;
  auto response = EncoderFor(engine_, request, std::move(*output), &include).List(listing->items, listing->meta);
  if (!response) return std::nullopt;
  return http::Reply(std::move(*response));
}

void Rest::DeleteCollection(RestRequest request, RestDone done) {
  // The deletions are submitted together and commit in groups; the last one to finish answers.
  struct Pending {
    std::mutex mutex;
    std::size_t left = 0;
    std::optional<Error> failed;
    std::vector<std::string> warnings;
    RestDone done;
    std::function<Result<http::Reply>()> answer;
  };
  auto prepare = [&]() -> Result<std::pair<Listing, Encoder>> {
    TRY(auto output, Negotiate(*request.http, MediaScope::kObject, WireOf(request.target)));
    TRY(const auto options, ParseListOptions(*request.http));
    TRY_VOID(ValidateListOptions(options, false));
    Result<> include;
    auto encoder = EncoderFor(engine_, request, std::move(output), &include);
    TRY(auto listing, ListItems(engine_, request, options));
    TRY_VOID(std::move(include));
    return std::pair(std::move(listing), std::move(encoder));
  };
  auto parsed = ParseDeleteOptions(*request.http);
  if (!parsed) return done(std::unexpected(std::move(parsed).error()));
  auto prepared = prepare();
  if (!prepared) return done(std::unexpected(std::move(prepared).error()));
  auto& [listing, encoder] = *prepared;
  auto items = listing.items;
  auto pending = std::make_shared<Pending>();
  pending->done = std::move(done);
  pending->answer = [shown = std::move(listing), encode = std::move(encoder)]() -> Result<http::Reply> {
    TRY(auto response, encode.List(shown.items, shown.meta));
    return http::Reply(std::move(response));
  };
  if (items.empty()) return pending->done(pending->answer());
  pending->left = items.size();
  for (const auto& item : items) {
    Target target = request.target;
    target.ns = item->ns();
    target.name = item->name();
    auto operation = NewServerDelete(std::move(target), *parsed);
    operation->caller = request.caller;
    operation->options.dry_run = !parsed->dry_run.empty();
    engine_.Run(request.ctx, std::move(operation), [pending](Result<Written> written) {
      bool last = false;
      {
        std::lock_guard lock(pending->mutex);
        if (!written && written.error().code() != Code::kNotFound && !pending->failed) pending->failed.emplace(written.error().Clone());
        last = --pending->left == 0;
      }
      if (!last) return;
      if (pending->failed) pending->done(std::unexpected(std::move(*pending->failed)));
      else pending->done(pending->answer());
    });
  }
}

}  // namespace skerry::kube
