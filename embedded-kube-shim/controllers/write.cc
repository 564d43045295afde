#include "embedded-kube-shim/controllers/write.h"

#include <algorithm>

#include "embedded-kube-shim/api/status.h"
#include "embedded-kube-shim/controllers/pod_facts.h"

namespace skerry::kube {
namespace {

bool IsNothing(const json::Value& v) { return v.is_null() || (v.is_array() && v.size() == 0); }

bool CoversMembers(const json::Value& a, const json::Value& b) {
  return std::all_of(a.Members().begin(), a.Members().end(), [&](const json::Member& m) { return SameContent(m.value, b[m.key]); });
}

}  // namespace

bool SameContent(const json::Value& a, const json::Value& b) {
  if (IsNothing(a) || IsNothing(b)) return IsNothing(a) && IsNothing(b);
  if (a.is_object() && b.is_object()) return CoversMembers(a, b) && CoversMembers(b, a);
  if (a.is_array() && b.is_array()) {
    const auto x = a.Items(), y = b.Items();
    return x.size() == y.size() && std::equal(x.begin(), x.end(), y.begin(), SameContent);
  }
  return a == b;
}

Result<ObjectPtr> UpdateIfChanged(const Ctx& ctx, Client& client, Resource resource, const ObjectPtr& current, json::Value next, std::string_view subresource) {
  const bool same = subresource == "status" ? SameContent((*current)["status"], next["status"]) : SameContent(*current, next);
  if (same) return current;
  auto written = client.Update(ctx, resource, std::move(next), subresource);
  if (written || !IsGone(written.error())) return written;
  return ObjectPtr();
}

Result<> DeleteIfThere(const Ctx& ctx, Client& client, Resource resource, const json::Value& object, DeleteOptions options) {
  options.uid = Uid(object);
  auto r = client.Delete(ctx, resource, {std::string(Namespace(object)), std::string(Name(object))}, options);
  if (r || IsGone(r.error()) || (r.error().code() == Code::kConflict && options.resource_version.empty())) return {};
  return r;
}

bool IsGone(const Error& error) { return error.code() == Code::kNotFound; }

bool NamespaceEnds(const Error& error) {
  const auto causes = error.causes();
  return std::any_of(causes.begin(), causes.end(), [](const Error::Cause& c) { return c.reason == "NamespaceTerminating"; });
}

bool AlreadyExists(const Error& error) { return error.code() == Code::kAlreadyExists || ReasonOf(error) == "AlreadyExists"; }

void SetCount(json::Value& status, std::string_view field, std::int64_t n) {
  if (n > 0) {
    status.Set(field) = n;
  } else {
    status.Erase(field);
  }
}

void SetOrErase(json::Value& object, std::string_view field, json::Value value) {
  if (value.is_null()) {
    object.Erase(field);
  } else {
    object.Set(field) = std::move(value);
  }
}

}  // namespace skerry::kube
