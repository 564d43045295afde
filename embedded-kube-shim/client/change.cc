#include "embedded-kube-shim/client/change.h"

#include <algorithm>

namespace skerry::kube {
namespace {

// Of objects that are parsed already.
class ParsedChange final : public Change {
 public:
  explicit ParsedChange(const Notification& n) : notification_(n), metadata_((*n.object)["metadata"]) {}
  Notification::Type type() const override { return notification_.type; }
  std::string_view ns() const override { return metadata_["namespace"].Str(); }
  std::string_view name() const override { return metadata_["name"].Str(); }
  std::string_view uid() const override { return metadata_["uid"].Str(); }
  bool terminating() const override { return !metadata_["deletionTimestamp"].Str().empty(); }
  bool HasFinalizer(std::string_view finalizer) const override {
    const auto items = metadata_["finalizers"].Items();
    return std::any_of(items.begin(), items.end(), [&](const json::Value& each) { return each.Str() == finalizer; });
  }
  std::vector<Owner> owners() const override {
    std::vector<Owner> out;
    for (const json::Value& ref : metadata_["ownerReferences"].Items())
      out.push_back({ref["uid"].Str(), ref["apiVersion"].Str(), ref["kind"].Str(), ref["name"].Str(), ref["blockOwnerDeletion"].Bool()});
    return out;
  }
  bool continues() const override { return notification_.previous != nullptr; }
  Notification Objects() const override { return notification_; }

 private:
  const Notification& notification_;
  const json::Value& metadata_;
};

}  // namespace

std::shared_ptr<void> SubscribeChanges(Informers& informers, Resource resource, ChangeInformers::Callback callback) {
  if (auto* able = dynamic_cast<ChangeInformers*>(&informers)) return able->SubscribeChanges(resource, std::move(callback));
  return informers.Subscribe(resource, [callback = std::move(callback)](const Notification& n) { callback(ParsedChange(n)); });
}

}  // namespace skerry::kube
