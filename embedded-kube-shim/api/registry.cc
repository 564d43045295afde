#include "embedded-kube-shim/api/resource_def.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>

namespace skerry::kube {

const Version* ResourceDef::FindVersion(std::string_view wanted) const {
  for (const auto& version : versions)
    if (version.name == wanted) return &version;
  return nullptr;
}

const Version& ResourceDef::StorageVersion() const {
  for (const auto& version : versions)
    if (version.storage) return version;
  return versions.front();
}

const Subresource* ResourceDef::FindSubresource(std::string_view wanted) const {
  for (const auto& subresource : subresources)
    if (subresource.name == wanted) return &subresource;
  return nullptr;
}

bool ResourceDef::Serves(const Version& version, const Subresource& subresource) const {
  if (!custom) return true;
  return subresource.name == "status" ? version.status : subresource.name != "scale" || version.scale.has_value();
}

bool ResourceDef::HasVerb(std::string_view verb) const { return std::find(verbs.begin(), verbs.end(), verb) != verbs.end(); }

namespace {

struct Table {
  Registry::Snapshot all = std::make_shared<const std::vector<ResourcePtr>>();
  std::map<std::string, ResourcePtr, std::less<>> by_resource;   // "group/version/resource", served versions only
  std::map<std::string, ResourcePtr, std::less<>> by_kind;       // "group/version/kind"
};

std::string TableKey(std::string_view group, std::string_view version, std::string_view name) {
  std::string key;
  key.reserve(group.size() + version.size() + name.size() + 2);
  key.append(group).append("/").append(version).append("/").append(name);
  return key;
}

bool Before(const ResourcePtr& a, const ResourcePtr& b) {
  if (a->group_priority != b->group_priority) return a->group_priority > b->group_priority;
  if (a->group != b->group) return a->group < b->group;
  return a->resource < b->resource;
}

class RegistryImpl final : public Registry {
 public:
  Snapshot All() const override { return Load()->all; }

  ResourcePtr Find(std::string_view group, std::string_view version, std::string_view resource) const override {
    const auto table = Load();
    const auto it = table->by_resource.find(TableKey(group, version, resource));
    return it == table->by_resource.end() ? nullptr : it->second;
  }

  ResourcePtr FindKind(std::string_view group, std::string_view version, std::string_view kind) const override {
    const auto table = Load();
    const auto it = table->by_kind.find(TableKey(group, version, kind));
    return it == table->by_kind.end() ? nullptr : it->second;
  }

  void Publish(ResourceDef def) override {
    auto added = std::make_shared<const ResourceDef>(std::move(def));
    Change([&](std::vector<ResourcePtr>& all) {
      std::erase_if(all, [&](const ResourcePtr& r) { return r->group == added->group && r->resource == added->resource; });
      all.insert(std::upper_bound(all.begin(), all.end(), added, Before), added);
      return true;
    });
  }

  void Withdraw(std::string_view group, std::string_view resource) override {
    Change([&](std::vector<ResourcePtr>& all) {
      return std::erase_if(all, [&](const ResourcePtr& r) { return r->group == group && r->resource == resource; }) > 0;
    });
  }

  std::uint64_t generation() const override { return generation_.load(std::memory_order_acquire); }

  void OnChange(std::function<void()> notify) override {
    std::lock_guard lock(write_mutex_);
    notify_.push_back(std::move(notify));
  }

 private:
  std::shared_ptr<const Table> Load() const {
    std::lock_guard lock(table_mutex_);
    return table_;
  }

  template <class Edit>
  void Change(Edit edit) {
    std::vector<std::function<void()>> notify;
    {
      std::lock_guard lock(write_mutex_);
      auto all = *Load()->all;
      if (!edit(all)) return;
      auto next = std::make_shared<Table>();
      for (const auto& def : all) {
        for (const auto& version : def->versions) {
          if (!version.served) continue;
          next->by_resource.emplace(TableKey(def->group, version.name, def->resource), def);
          next->by_kind.emplace(TableKey(def->group, version.name, def->kind), def);
        }
      }
      next->all = std::make_shared<const std::vector<ResourcePtr>>(std::move(all));
      {
        std::lock_guard swap(table_mutex_);
        table_ = std::move(next);
      }
      generation_.fetch_add(1, std::memory_order_acq_rel);
      notify = notify_;
    }
    for (const auto& call : notify) call();
  }

  std::mutex write_mutex_;                 // one change at a time; guards notify_
  std::vector<std::function<void()>> notify_;
  mutable std::mutex table_mutex_;         // held for one pointer copy
  std::shared_ptr<const Table> table_ = std::make_shared<const Table>();
  std::atomic<std::uint64_t> generation_{1};
};

}  // namespace

std::unique_ptr<Registry> NewRegistry() { return std::make_unique<RegistryImpl>(); }

}  // namespace skerry::kube
