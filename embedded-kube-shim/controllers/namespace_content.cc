#include "embedded-kube-shim/controllers/context.h"
#include "embedded-kube-shim/controllers/pod_facts.h"
#include "embedded-kube-shim/controllers/write.h"

// What every namespace holds from its first moment: the default service account and the cluster's root certificate.
namespace skerry::kube {
namespace {

constexpr const char* kRootCa = "kube-root-ca.crt";
constexpr const char* kDescription = "kubernetes.io/description";
constexpr const char* kRootCaDescription =
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or "
    "kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";

bool NothingToDo(const Error& error) { return IsGone(error) || AlreadyExists(error) || NamespaceEnds(error); }

class DefaultAccount final : public Reconciler {
 public:
  explicit DefaultAccount(const ControllerContext& c)
      : client_(c.client("service-account-controller")), namespaces_(c.informers.Get("v1/namespaces")), accounts_(c.informers.Get("v1/serviceaccounts")) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr ns = namespaces_.Get(key);
    if (!ns || IsTerminating(*ns) || accounts_.Get({key.name, "default"})) return Outcome{};
    json::Value account;
    account.Set("apiVersion") = "v1";
    account.Set("kind") = "ServiceAccount";
    account.Set("metadata").Set("name") = "default";
    account.Set("metadata").Set("namespace") = key.name;
    auto r = client_.Create(ctx, "v1/serviceaccounts", std::move(account));
    if (!r && !NothingToDo(r.error())) return std::unexpected(std::move(r).error());
    return Outcome{};
  }

 private:
  Client& client_;
  const Lister& namespaces_;
  const Lister& accounts_;
};

// Certificates for pods: the cluster's root, and under OpenShift's name the authority of serving certificates, which is the same one here.
struct Published {
  const char *name, *key, *annotation, *value;
};
constexpr Published kPublished[] = {
    {kRootCa, "ca.crt", kDescription, kRootCaDescription},
    {"openshift-service-ca.crt", "service-ca.crt", "service.beta.openshift.io/inject-cabundle", "true"},
};

class RootCaPublisher final : public Reconciler {
 public:
  explicit RootCaPublisher(const ControllerContext& c)
      : client_(c.client("root-ca-cert-publisher")), root_ca_(c.root_ca), namespaces_(c.informers.Get("v1/namespaces")), maps_(c.informers.Get("v1/configmaps")) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr ns = namespaces_.Get(key);
    if (!ns || IsTerminating(*ns)) return Outcome{};
    for (const Published& p : kPublished) TRY_VOID(Publish(ctx, key.name, p));
    return Outcome{};
  }

 private:
  Result<> Publish(const Ctx& ctx, const std::string& ns, const Published& p) {
    const ObjectPtr current = maps_.Get({ns, p.name});
    if (current && (*current)["data"].size() == 1 && (*current)["data"][p.key].Str() == root_ca_ && !Meta(*current)["annotations"][p.annotation].Str().empty()) return {};
    json::Value next = current ? current->Clone() : json::Value();
    next.Set("apiVersion") = "v1";
    next.Set("kind") = "ConfigMap";
    json::Value& meta = next.Set("metadata");
    meta.Set("name") = p.name;
    meta.Set("namespace") = ns;
    meta.Set("annotations").Set(p.annotation) = p.value;
    next.Erase("data");
    next.Set("data").Set(p.key) = root_ca_;
    auto r = current ? client_.Update(ctx, "v1/configmaps", std::move(next)) : client_.Create(ctx, "v1/configmaps", std::move(next));
    if (!r && !NothingToDo(r.error())) return std::unexpected(std::move(r).error());
    return {};
  }

  Client& client_;
  const std::string root_ca_;
  const Lister& namespaces_;
  const Lister& maps_;
};

// The namespaces of the objects of this name.
Trigger NamespaceOf(std::string resource, std::string name) {
  return {std::move(resource), [](const Notification& n) { return std::vector<Key>{{"", std::string(Namespace(*n.object))}}; },
          [name = std::move(name)](const Change& change) { return change.name() == name; }};
}

}  // namespace

void AddServiceAccount(const ControllerContext& c) {
  ControllerSpec spec;
  spec.name = "service-account-controller";
  spec.triggers.push_back({"v1/namespaces", {}});
  spec.triggers.push_back(NamespaceOf("v1/serviceaccounts", "default"));
  spec.reconciler = std::make_unique<DefaultAccount>(c);
  c.manager.Add(std::move(spec));
}

void AddRootCaPublisher(const ControllerContext& c) {
  ControllerSpec spec;
  spec.name = "root-ca-cert-publisher";
  spec.triggers.push_back({"v1/namespaces", {}});
  for (const Published& p : kPublished) spec.triggers.push_back(NamespaceOf("v1/configmaps", std::string(p.name)));
  spec.reconciler = std::make_unique<RootCaPublisher>(c);
  c.manager.Add(std::move(spec));
}

}  // namespace skerry::kube
