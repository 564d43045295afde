#include <algorithm>

#include "core/base/strings.h"
#include "core/text/base64.h"
#include "embedded-kube-shim/controllers/context.h"
#include "embedded-kube-shim/controllers/pod_facts.h"
#include "embedded-kube-shim/controllers/write.h"

// Secrets of type kubernetes.io/service-account-token: filled with a token that lives as long as secret and account do, and deleted
// together with the account.
namespace skerry::kube {
namespace {

constexpr const char* kSecrets = "v1/secrets";
constexpr const char* kAccounts = "v1/serviceaccounts";
constexpr const char* kController = "tokens-controller";
constexpr const char* kType = "kubernetes.io/service-account-token";
constexpr const char* kNameNote = "kubernetes.io/service-account.name";
constexpr const char* kUidNote = "kubernetes.io/service-account.uid";
constexpr std::int64_t kCentury = 100LL * 365 * 24 * 3600;   // the token ends with the secret, not by time

class TokenReconciler final : public Reconciler {
 public:
  explicit TokenReconciler(const ControllerContext& c)
      : client_(c.client(kController)), root_ca_(c.root_ca), secrets_(c.informers.Get(kSecrets)), accounts_(c.informers.Get(kAccounts)) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr secret = secrets_.Get(key);
    if (!secret || (*secret)["type"].Str() != kType || IsTerminating(*secret)) return Outcome{};
    const json::Value& notes = Meta(*secret)["annotations"];
    const std::string name(notes[kNameNote].Str());
    const ObjectPtr account = accounts_.Get({key.ns, name});
    const std::string_view uid = notes[kUidNote].Str();
    if (!account || (!uid.empty() && uid != Uid(*account))) {
      TRY_VOID(DeleteIfThere(ctx, client_, kSecrets, *secret));
      return Outcome{};
    }
    json::Value next = secret->Clone();
    json::Value& data = next.Set("data");
    data.Set("ca.crt") = text::Base64(root_ca_);
    data.Set("namespace") = text::Base64(key.ns);
    next.Set("metadata").Set("annotations").Set(kUidNote) = Uid(*account);
    if (data["token"].Str().empty()) {
      TRY(const std::string token, TokenFor(ctx, key, name, Uid(*secret)));
      next.Set("data").Set("token") = text::Base64(token);
    }
    TRY_VOID(UpdateIfChanged(ctx, client_, kSecrets, secret, std::move(next)));
    return Outcome{};
  }

 private:
  Result<std::string> TokenFor(const Ctx& ctx, const Key& secret, const std::string& account, std::string_view uid) {
    json::Value request;
    request.Set("apiVersion") = "authentication.k8s.io/v1";
    request.Set("kind") = "TokenRequest";
    request.Set("metadata").Set("name") = account;
    request.Set("metadata").Set("namespace") = secret.ns;
    request.Set("spec").Set("expirationSeconds") = kCentury;
    json::Value& bound = request.Set("spec").Set("boundObjectRef");
    bound.Set("apiVersion") = "v1";
    bound.Set("kind") = "Secret";
    bound.Set("name") = secret.name;
    bound.Set("uid") = uid;
    TRY(const ObjectPtr answer, client_.Create(ctx, kAccounts, std::move(request), "token"));
    return std::string((*answer)["status"]["token"].Str());
  }

  Client& client_;
  const std::string root_ca_;
  const Lister& secrets_;
  const Lister& accounts_;
};

}  // namespace

void AddAccountTokens(const ControllerContext& c) {
  ControllerSpec spec;
  spec.name = kController;
  spec.triggers.push_back({kSecrets, [](const Notification& n) {
                             std::vector<Key> keys;
                             if (n.type != Notification::Type::kDeleted && (*n.object)["type"].Str() == kType) keys.push_back(KeyOf(*n.object));
                             return keys;
                           }});
  const Lister& secrets = c.informers.Get(kSecrets);
  spec.triggers.push_back({kAccounts, [&secrets](const Notification& n) {
                             std::vector<Key> keys;
                             if (n.type == Notification::Type::kModified) return keys;
                             for (const ObjectPtr& s : secrets.List(Namespace(*n.object))) {
                               if ((*s)["type"].Str() == kType && Meta(*s)["annotations"][kNameNote].Str() == Name(*n.object)) keys.push_back(KeyOf(*s));
                             }
                             return keys;
                           }});
  spec.reconciler = std::make_unique<TokenReconciler>(c);
  c.manager.Add(std::move(spec));
}

}  // namespace skerry::kube
