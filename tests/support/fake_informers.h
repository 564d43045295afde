#pragma once
#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "embedded-kube-shim/client/client.h"

// Informers and a client over plain maps: what a test puts is what readers see; subscribers are called on the putting thread.
namespace skerry::test {

class FakeCluster : public kube::Informers, public kube::Client {
 public:
  class Objects final : public kube::Lister {
   public:
    kube::ObjectPtr Get(const kube::Key& key) const override {
      std::lock_guard lock(mutex_);
      const auto at = all_.find(key);
      return at == all_.end() ? nullptr : at->second;
    }
    std::vector<kube::ObjectPtr> List(std::string_view ns) const override {
      std::lock_guard lock(mutex_);
      std::vector<kube::ObjectPtr> out;
      for (const auto& [key, object] : all_) {
        if (ns.empty() || key.ns == ns) out.push_back(object);
      }
      return out;
    }
    std::vector<kube::ObjectPtr> OwnedBy(std::string_view) const override { return {}; }
    std::vector<kube::ObjectPtr> Matching(std::string_view, std::string_view) const override { return {}; }
    std::vector<kube::ObjectPtr> OnNode(std::string_view) const override { return {}; }

   private:
    friend class FakeCluster;
    mutable std::mutex mutex_;
    std::map<kube::Key, kube::ObjectPtr> all_;   // guarded
  };

  // From JSON text. Replaces an object of the same name.
  void Put(const std::string& resource, std::string_view text) {
    json::Value v;
    std::string error;
    if (!json::Value::Parse(text, &v, &error)) FAIL(error << " in " << text);
    PutValue(resource, std::move(v));
  }
  void PutValue(const std::string& resource, json::Value v) {
    const kube::Key key{std::string(v["metadata"]["namespace"].Str()), std::string(v["metadata"]["name"].Str())};
    auto object = std::make_shared<const json::Value>(std::move(v));
    Objects& objects = Of(resource);
    bool existed = false;
    {
      std::lock_guard lock(objects.mutex_);
      existed = objects.all_.contains(key);
      objects.all_[key] = object;
    }
    Tell(resource, {existed ? kube::Notification::Type::kModified : kube::Notification::Type::kAdded, object, nullptr});
  }
  void Remove(const std::string& resource, const kube::Key& key) {
    Objects& objects = Of(resource);
    kube::ObjectPtr object;
    {
      std::lock_guard lock(objects.mutex_);
      object = objects.all_.at(key);
      objects.all_.erase(key);
    }
    Tell(resource, {kube::Notification::Type::kDeleted, object, nullptr});
  }

  const kube::Lister& Get(kube::Resource resource) override { return Of(std::string(resource)); }
  std::shared_ptr<void> Subscribe(kube::Resource resource, std::function<void(const kube::Notification&)> callback) override {
    for (const auto& object : Of(std::string(resource)).List("")) callback({kube::Notification::Type::kAdded, object, nullptr});
    std::lock_guard lock(mutex_);
    const int id = ++last_;
    subscribers_[id] = {std::string(resource), std::move(callback)};
    return std::shared_ptr<void>(nullptr, [this, id](void*) {
      std::lock_guard inner(mutex_);
      subscribers_.erase(id);
    });
  }
  bool HasSynced() const override { return true; }

  Result<kube::ObjectPtr> Get(const Ctx&, kube::Resource r, const kube::Key& key) override {
    auto object = Of(std::string(r)).Get(key);
    if (!object) return Fail(Code::kNotFound, "not found");
    return object;
  }
  Result<std::vector<kube::ObjectPtr>> List(const Ctx&, kube::Resource r, std::string_view ns, std::string_view) override { return Of(std::string(r)).List(ns); }
  Result<kube::ObjectPtr> Create(const Ctx&, kube::Resource r, json::Value v, std::string_view) override { return Write(r, std::move(v)); }
  Result<kube::ObjectPtr> Update(const Ctx&, kube::Resource r, json::Value v, std::string_view) override { return Write(r, std::move(v)); }
  Result<kube::ObjectPtr> Patch(const Ctx& ctx, kube::Resource r, const kube::Key& key, kube::PatchType type, json::Value patch, std::string_view) override {
    if (type != kube::PatchType::kMerge) return Fail(Code::kUnsupported, "the fake patches by JSON merge only");
    TRY(const kube::ObjectPtr found, Get(ctx, r, key));
    json::Value next = found->Clone();
    Merge(patch, next);
    return Write(r, std::move(next));
  }
  Result<> Delete(const Ctx&, kube::Resource r, const kube::Key& key, const kube::DeleteOptions&) override {
    Remove(std::string(r), key);
    return {};
  }

 private:
  static void Merge(const json::Value& patch, json::Value& into) {
    for (const json::Member& m : patch.Members()) {
      if (m.value.is_null()) into.Erase(m.key);
      else if (m.value.is_object()) Merge(m.value, into.Set(m.key));
      else into.Set(m.key) = m.value.Clone();
    }
  }

  Objects& Of(const std::string& resource) {
    std::lock_guard lock(mutex_);
    auto& slot = listers_[resource];
    if (!slot) slot = std::make_unique<Objects>();
    return *slot;
  }
  Result<kube::ObjectPtr> Write(kube::Resource r, json::Value v) {
    const kube::Key key{std::string(v["metadata"]["namespace"].Str()), std::string(v["metadata"]["name"].Str())};
    PutValue(std::string(r), std::move(v));
    return Of(std::string(r)).Get(key);
  }
  void Tell(const std::string& resource, const kube::Notification& n) {
    std::vector<std::function<void(const kube::Notification&)>> todo;
    {
      std::lock_guard lock(mutex_);
      for (const auto& [id, s] : subscribers_) {
        if (s.first == resource) todo.push_back(s.second);
      }
    }
    for (const auto& fn : todo) fn(n);
  }

  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<Objects>> listers_;                                                     // guarded
  std::map<int, std::pair<std::string, std::function<void(const kube::Notification&)>>> subscribers_;           // guarded
  int last_ = 0;                                                                                                // guarded
};

}  // namespace skerry::test
