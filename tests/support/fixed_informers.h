#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "embedded-kube-shim/client/client.h"

namespace skerry::testing {

// Objects that a test put there; nothing changes by itself and nobody is told.
class FixedLister final : public kube::Lister {
 public:
  std::vector<kube::ObjectPtr> objects;
  kube::ObjectPtr Get(const kube::Key& key) const override {
    for (const kube::ObjectPtr& o : objects)
      if ((*o)["metadata"]["name"].Str() == key.name && (*o)["metadata"]["namespace"].Str() == key.ns) return o;
    return nullptr;
  }
  std::vector<kube::ObjectPtr> List(std::string_view ns) const override {
    return Those([ns](const json::Value& o) { return ns.empty() || o["metadata"]["namespace"].Str() == ns; });
  }
  std::vector<kube::ObjectPtr> OwnedBy(std::string_view) const override { return {}; }
  std::vector<kube::ObjectPtr> Matching(std::string_view, std::string_view) const override { return {}; }
  std::vector<kube::ObjectPtr> OnNode(std::string_view node) const override {
    return Those([node](const json::Value& o) { return o["spec"]["nodeName"].Str() == node; });
  }

 private:
  template <class F>
  std::vector<kube::ObjectPtr> Those(F wanted) const {
    std::vector<kube::ObjectPtr> out;
    for (const kube::ObjectPtr& o : objects)
      if (wanted(*o)) out.push_back(o);
    return out;
  }
};

class FixedInformers final : public kube::Informers {
 public:
  const kube::Lister& Get(kube::Resource resource) override { return listers_[std::string(resource)]; }
  std::shared_ptr<void> Subscribe(kube::Resource, std::function<void(const kube::Notification&)>) override { return nullptr; }
  bool HasSynced() const override { return true; }
  void Add(std::string_view resource, json::Value object) { listers_[std::string(resource)].objects.push_back(std::make_shared<const json::Value>(std::move(object))); }
  void Clear(std::string_view resource) { listers_[std::string(resource)].objects.clear(); }
  void AddRbac(json::Value object) {   // under the resource of its kind
    std::string resource = "rbac.authorization.k8s.io/v1/";
    for (const char c : object["kind"].Str()) resource += static_cast<char>(::tolower(c));
    Add(resource + "s", std::move(object));
  }

 private:
  std::map<std::string, FixedLister, std::less<>> listers_;
};

}  // namespace skerry::testing
