#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/http/message.h"
#include "embedded-kube-shim/api/field_error.h"

namespace skerry::kube {

// meta/v1 ListOptions as read from a query.
struct ListOptions {
  std::string label_selector, field_selector;
  std::string resource_version, resource_version_match, continue_token;
  std::int64_t limit = 0;
  bool watch = false, allow_watch_bookmarks = false;
  std::optional<bool> send_initial_events;
  std::optional<std::int64_t> timeout_seconds;
};

// Errors: 400 for numbers that are none. Combinations are checked by ValidateListOptions.
Result<ListOptions> ParseListOptions(const http::Request& request);
Result<> ValidateListOptions(const ListOptions& options, bool watch);   // 422 of kind ListOptions

// "" = 0. `what` decides the error's form: lists answer 400, watches a reason-less 500.
enum class VersionUse : std::uint8_t { kList, kWatch };
Result<std::int64_t> ParseResourceVersion(std::string_view text, VersionUse use);

// Opaque to clients; upstream's format: base64url of {"v":"meta.k8s.io/v1","rv":N,"start":"<next key>"}.
struct ContinueToken {
  std::int64_t revision = 0;   // -1: whatever is current (an inconsistent continuation)
  std::string start;           // key below the list's prefix to continue from, inclusive
  std::int64_t issued = 0;     // when the first page was read, seconds since 1970; 0: never expires by age
};
std::string EncodeContinue(const ContinueToken& token);
Result<ContinueToken> DecodeContinue(std::string_view token);

// A query parameter as upstream converts it: absent false, "false" and "0" false, else true.
bool QueryFlag(const http::Request& request, std::string_view key);
// As strconv.ParseInt(text, 10, 64); error text "strconv.ParseInt: parsing …" as 400.
Result<std::int64_t> ParseGoInt(std::string_view text);

}  // namespace skerry::kube
