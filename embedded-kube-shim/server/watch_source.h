#pragma once
#include <memory>
#include <string>

#include "core/http/message.h"
#include "core/text/selector.h"
#include "embedded-kube-shim/server/encode.h"
#include "embedded-kube-shim/server/field_selector.h"
#include "embedded-kube-shim/server/timers.h"

namespace skerry::kube {

struct WatchPlan {
  const ObjectCache* cache = nullptr;           // that is watched; lives longer
  std::string key_prefix;                       // "" or "<namespace>/"
  text::LabelSelector labels;
  FieldSelector fields;
  std::function<Result<ItemPtr>(const ItemPtr&)> in_version;   // for selectors that read another version than the stored one; may block. Else empty
  std::vector<ItemPtr> initial;                 // sent as ADDED first
  bool initial_events_end = false;              // a bookmark with the annotation follows them
  store::Revision initial_revision = 0;
  bool bookmarks = false;
  std::chrono::steady_clock::time_point deadline;
};

bool SelectedBy(const Item& item, const text::LabelSelector& labels, const FieldSelector& fields);

// The body of a watch: initial objects, then changes, translated by the selectors, until the deadline. kCancelled = orderly end.
std::unique_ptr<http::Source> NewWatchSource(Encoder encoder, WatchPlan plan, std::unique_ptr<Subscription> subscription, Timers& timers);
// The body of a watch that cannot begin although everything about the request is right: one event that says why, then the end.
std::unique_ptr<http::Source> NewRefusedWatch(const Encoder& encoder, const Error& why);

}  // namespace skerry::kube
