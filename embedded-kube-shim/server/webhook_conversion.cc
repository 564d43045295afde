#include "embedded-kube-shim/server/webhook_conversion.h"

#include "core/base/strings.h"
#include "embedded-kube-shim/admission/webhook_client.h"
#include "embedded-kube-shim/api/status.h"

namespace skerry::kube {
namespace {

using json::Value;

constexpr std::chrono::seconds kTimeout{30};

// A webhook may change labels and annotations; the rest of the metadata is not its business.
void RestoreMetadata(const Value& original, Value& converted) {
  Value metadata = original["metadata"].Clone();
  for (const std::string_view field : {"labels", "annotations"}) {
    const Value* now = converted["metadata"].Find(field);
    if (now && !now->is_null()) metadata.Set(field) = now->Clone();
    else metadata.Erase(field);
  }
  converted.Set("metadata") = std::move(metadata);
}

class WebhookConversion final : public VersionConversion {
 public:
  WebhookConversion(const AdmissionWorld& world, const Value& crd) : world_(world), config_(crd.At({"spec", "conversion", "webhook", "clientConfig"}).Clone()) {
    for (const Value& version : crd.At({"spec", "conversion", "webhook", "conversionReviewVersions"}).Items())
      if (review_version_.empty() && (version.Str() == "v1" || version.Str() == "v1beta1")) review_version_ = version.Str();
  }

  Result<std::vector<Value>> Convert(std::string_view to, std::vector<Value> objects) const override {
    const std::string subject = objects.empty() ? std::string() : Cat(objects[0]["apiVersion"].Str(), ", Kind=", objects[0]["kind"].Str());
    const auto uid = NewUuid(world_.random());
    Value review = Value::Object();
    review.Set("kind") = "ConversionReview";
    review.Set("apiVersion") = Cat("apiextensions.k8s.io/", review_version_);
    auto& request = review.Set("request");
    request.Set("uid") = uid;
    request.Set("desiredAPIVersion") = to;
    for (const Value& object : objects) request.Set("objects").Append(object.Clone());
    const auto failed = [&](std::string_view why) { return std::unexpected(PlainInternalError(Cat("conversion webhook for ", subject, " failed: ", why))); };
    auto called = CallWebhook(Ctx(std::stop_token(), std::chrono::steady_clock::now() + kTimeout), world_, config_, kTimeout, review, "");
    if (!called) return failed(called.error().message());
    auto& response = called->Set("response");
    if (!response.is_object()) return failed("no response provided");
    if (response["uid"].Str() != uid) return failed(Cat("expected response.uid=", Quote(uid), ", got ", Quote(response["uid"].Str())));
    if (response.At({"result", "status"}).Str() != "Success") return failed(response.At({"result", "message"}).Str());
    auto* converted = response.Find("convertedObjects");
    const std::size_t count = converted ? converted->size() : 0;
    if (count != objects.size()) return std::unexpected(PlainInternalError(Cat("conversion webhook for ", subject, " returned ", count, " objects, expected ", objects.size())));
    for (std::size_t i = 0; i < objects.size(); ++i) {
      Value& object = converted->MutableItems()[i];
      const auto wrong = [&](std::string_view what, std::string_view wanted, std::string_view got) {
        return std::unexpected(PlainInternalError(Cat("conversion webhook for ", subject, " returned invalid converted object at index ", i, ": invalid ", what, " (expected ", wanted, ", received ", got, ")")));
      };
      if (object["apiVersion"].Str() != to) return wrong("groupVersion", to, object["apiVersion"].Str());
      if (object["kind"].Str() != objects[i]["kind"].Str()) return wrong("kind", objects[i]["kind"].Str(), object["kind"].Str());
      RestoreMetadata(objects[i], object);
      objects[i] = std::move(object);
    }
    return objects;
  }

 private:
  const AdmissionWorld& world_;
  const Value config_;
  std::string review_version_;
};

}  // namespace

std::shared_ptr<const VersionConversion> NewWebhookConversion(const AdmissionWorld& world, const Value& crd) {
  if (crd.At({"spec", "conversion", "strategy"}).Str() != "Webhook") return nullptr;
  return std::make_shared<const WebhookConversion>(world, crd);
}

}  // namespace skerry::kube
