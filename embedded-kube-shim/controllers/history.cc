#include "embedded-kube-shim/controllers/history.h"

#include <algorithm>

#include "core/base/strings.h"
#include "embedded-kube-shim/controllers/write.h"

namespace skerry::kube {

json::Value TemplatePatch(const json::Value& owner) {
  json::Value data, sorted;
  json::Value& pod_template = data.Set("spec").Set("template");
  pod_template = owner["spec"]["template"].Clone();
  pod_template.Set("$patch") = "replace";
  std::string error;
  json::DumpOptions options;
  options.sort_keys = true;
  json::Value::Parse(data.Dump(options), &sorted, &error);
  return sorted;
}

json::Value TemplateOf(const json::Value& revision) {
  json::Value out = revision["data"]["spec"]["template"].Clone();
  out.Erase("$patch");
  return out;
}

bool SameData(const json::Value& a, const json::Value& b) { return a["data"] == b["data"]; }

std::string DataHash(const json::Value& data, std::int64_t collisions) {
  std::uint32_t hash = 2166136261u;
  json::DumpOptions options;
  options.sort_keys = true;
  options.escape_html = true;
  const std::string text = data.Dump(options) + std::to_string(collisions);
  for (const char c : text) {
    hash *= 16777619u;
    hash ^= static_cast<unsigned char>(c);
  }
  return SafeName(std::to_string(hash));
}

Result<std::vector<ObjectPtr>> ClaimRevisions(const Ctx& ctx, Client& client, const Lister& revisions, const OwnerKind& kind, const json::Value& owner) {
  const json::Value& selector = owner["spec"]["selector"];
  TRY(std::vector<ObjectPtr> out, ClaimChildren(ctx, client, kRevisions, kind, owner, ChildrenOrOrphans(revisions, owner),
                                                [&](const json::Value& labels) { return MatchesSelector(selector, labels); }));
  std::sort(out.begin(), out.end(), [](const ObjectPtr& a, const ObjectPtr& b) {
    const std::int64_t x = (*a)["revision"].Int(), y = (*b)["revision"].Int();
    if (x != y) return x < y;
    const std::string_view t = Meta(*a)["creationTimestamp"].Str(), u = Meta(*b)["creationTimestamp"].Str();
    return t != u ? t < u : Name(*a) < Name(*b);
  });
  return out;
}

Result<> TruncateHistory(const Ctx& ctx, Client& client, const json::Value& owner, const std::vector<ObjectPtr>& revisions, const std::vector<std::string>& live) {
  std::vector<ObjectPtr> old;
  for (const ObjectPtr& r : revisions) {
    if (std::find(live.begin(), live.end(), Name(*r)) == live.end()) old.push_back(r);
  }
  const std::int64_t surplus = static_cast<std::int64_t>(old.size()) - owner["spec"]["revisionHistoryLimit"].Int(10);
  for (std::int64_t i = 0; i < surplus; ++i) TRY_VOID(DeleteIfThere(ctx, client, kRevisions, *old[static_cast<std::size_t>(i)]));
  return {};
}

}  // namespace skerry::kube
