#pragma once
#include <cstdint>
#include <string_view>

#include "core/base/context.h"
#include "core/json/value.h"
#include "embedded-kube-shim/client/client.h"

// How controllers write: compare first, write only a difference, and take the end of the object or of its namespace for what it is.
namespace skerry::kube {

// Deep equality as the API server sees it: absent, null and an empty list are one and the same.
bool SameContent(const json::Value& a, const json::Value& b);

// Writes `next` over `current` (of which it is a changed copy) when they differ; with subresource "status" only that part is compared.
// Returns what the server holds now: `current` itself when nothing differed, null when the object is gone.
Result<ObjectPtr> UpdateIfChanged(const Ctx& ctx, Client& client, Resource resource, const ObjectPtr& current, json::Value next, std::string_view subresource = {});

// Deletes exactly this object (by uid). One that is gone, or whose name another object has now, is no error.
Result<> DeleteIfThere(const Ctx& ctx, Client& client, Resource resource, const json::Value& object, DeleteOptions options = {});

bool IsGone(const Error& error);                     // not found, or another object has the name now
bool NamespaceEnds(const Error& error);              // the namespace takes nothing new: its own controller cleans up
bool AlreadyExists(const Error& error);

// Counters of a status are left out when they are zero, as the API stores them.
void SetCount(json::Value& status, std::string_view field, std::int64_t n);
void SetOrErase(json::Value& object, std::string_view field, json::Value value);   // null erases

}  // namespace skerry::kube
