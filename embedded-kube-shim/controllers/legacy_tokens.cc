#include "embedded-kube-shim/controllers/legacy_tokens.h"

#include <algorithm>
#include <map>
#include <set>

#include "core/base/strings.h"
#include "core/telemetry/log.h"
#include "embedded-kube-shim/controllers/pod_facts.h"
#include "embedded-kube-shim/controllers/write.h"

namespace skerry::kube {
namespace {

constexpr const char* kController = "legacy-service-account-token-cleaner";
constexpr const char* kSecrets = "v1/secrets";
constexpr const char* kAccounts = "v1/serviceaccounts";
constexpr const char* kType = "kubernetes.io/service-account-token";
constexpr const char* kUsed = "kubernetes.io/legacy-token-last-used";       // dates: "2026-01-31"
constexpr const char* kInvalid = "kubernetes.io/legacy-token-invalid-since";
const Key kTracking{"kube-system", "kube-apiserver-legacy-service-account-token-tracking"};
constexpr std::chrono::hours kDay{24}, kUnused{24 * 365};

std::string DateOf(Clock::Wall t) { return FormatTime(t).substr(0, 10); }
Result<Clock::Wall> ParseDate(std::string_view date) { return ParseTime(Cat(date, "T00:00:00Z")); }

// Every secret that the pod speaks of, wherever: a member secretName, or the name in a reference whose member speaks of secrets.
void AddSecretNames(const json::Value& value, bool of_secret, std::set<std::string>& out) {
  for (const json::Value& item : value.Items()) AddSecretNames(item, of_secret, out);
  for (const json::Member& m : value.Members()) {
    if (m.value.is_string() && (m.key == "secretName" || (of_secret && m.key == "name"))) out.emplace(m.value.Str());
    AddSecretNames(m.value, m.key.find("ecret") != std::string::npos, out);
  }
}

class Cleaner final : public Reconciler {
 public:
  explicit Cleaner(const ControllerContext& c)
      : client_(c.client(kController)), clock_(c.clock), secrets_(c.informers.Get(kSecrets)), accounts_(c.informers.Get(kAccounts)), pods_(c.informers.Get("v1/pods")) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key&) override {
    const Outcome tomorrow{kDay};
    auto tracking = client_.Get(ctx, "v1/configmaps", kTracking);
    if (!tracking && !IsGone(tracking.error())) return std::unexpected(std::move(tracking).error());
    const auto since = tracking ? ParseDate((**tracking)["data"]["since"].Str()) : Result<Clock::Wall>(Clock::Wall());
    if (!tracking || !since) {
      log::Warn("nobody knows since when uses of tokens are recorded", {{"configmap", kTracking.name}});
      return tomorrow;
    }
    const Clock::Wall now = clock_.Now();
    if (now < *since + kDay + kUnused) return tomorrow;
    const Clock::Wall before = now - kUnused;
    std::map<std::string, std::set<std::string>> named;   // by pods, of each namespace that was asked about
    for (const ObjectPtr& secret : secrets_.List()) {
      if (!IsUnused(*secret, before)) continue;
      const std::string ns(Namespace(*secret));
      const auto [known, fresh] = named.try_emplace(ns);
      if (fresh) {
        for (const ObjectPtr& pod : pods_.List(ns)) AddSecretNames((*pod)["spec"], false, known->second);
      }
      if (known->second.contains(std::string(Name(*secret)))) continue;
      TRY_VOID(Retire(ctx, *secret, now, DateOf(before)));
    }
    return tomorrow;
  }

 private:
  bool IsUnused(const json::Value& secret, Clock::Wall before) const {
    if (secret["type"].Str() != kType || IsTerminating(secret)) return false;
    const auto created = ParseTime(Meta(secret)["creationTimestamp"].Str());
    if (!created || *created >= before) return false;
    if (const json::Value* used = Meta(secret)["labels"].Find(kUsed)) {
      if (!ParseDate(used->Str()) || used->Str() >= DateOf(before)) return false;
    }
    const json::Value& notes = Meta(secret)["annotations"];
    const ObjectPtr account = accounts_.Get({std::string(Namespace(secret)), std::string(notes["kubernetes.io/service-account.name"].Str())});
    const std::string_view uid = notes["kubernetes.io/service-account.uid"].Str();
    if (!account || (!uid.empty() && uid != Uid(*account))) return false;
    const auto listed = (*account)["secrets"].Items();
    return std::any_of(listed.begin(), listed.end(), [&](const json::Value& s) { return s["name"].Str() == Name(secret); });
  }

  Result<> Retire(const Ctx& ctx, const json::Value& secret, Clock::Wall now, const std::string& before) {
    const std::string_view invalid = Meta(secret)["labels"][kInvalid].Str();
    if (!ParseDate(invalid)) {
      json::Value patch;
      patch.Set("metadata").Set("uid") = Uid(secret);
      patch.Set("metadata").Set("labels").Set(kInvalid) = DateOf(now);
      auto marked = client_.Patch(ctx, kSecrets, KeyOf(secret), PatchType::kMerge, std::move(patch));
      if (!marked && !IsGone(marked.error()) && marked.error().code() != Code::kConflict) return std::unexpected(std::move(marked).error());
      return {};
    }
    if (invalid >= before) return {};
    DeleteOptions options;
    options.resource_version = Meta(secret)["resourceVersion"].Str();   // not used, nor marked as valid again, meanwhile
    auto deleted = client_.Delete(ctx, kSecrets, KeyOf(secret), options);
    if (!deleted && !IsGone(deleted.error()) && deleted.error().code() != Code::kConflict) return deleted;
    return {};
  }

  Client& client_;
  const Clock& clock_;
  const Lister& secrets_;
  const Lister& accounts_;
  const Lister& pods_;
};

}  // namespace

void AddLegacyTokens(const ControllerContext& c) {
  ControllerSpec spec;
  spec.name = kController;
  spec.reconciler = std::make_unique<Cleaner>(c);
  c.manager.Add(std::move(spec));
  c.manager.Enqueue(kController, {"", "sweep"});
}

}  // namespace skerry::kube
