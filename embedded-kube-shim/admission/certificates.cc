#include "core/base/strings.h"
#include "core/text/base64.h"
#include "core/crypto/certificate.h"
#include "embedded-kube-shim/admission/admission.h"
#include "embedded-kube-shim/api/status.h"

// Who may approve and sign certificate requests of which signer, and which subjects a client certificate never gets.
namespace skerry::kube {
namespace {

constexpr std::string_view kGroup = "certificates.k8s.io";

bool IsRequest(const AdmissionRequest& request, std::string_view subresource, Operation operation) {
  return request.def.group == kGroup && request.def.resource == "certificatesigningrequests" && request.subresource == subresource && request.operation == operation && request.object;
}

Error Refuse(const AdmissionRequest& request, std::string why) { return ForbiddenError(kGroup, request.def.resource, request.object->At({"metadata", "name"}).Str(request.name), why); }

// The verb on the signer by name, or on all of its domain.
bool MayFor(const AdmissionRequest& request, const AdmissionWorld& world, std::string_view verb, std::string_view signer) {
  Attributes attributes;
  attributes.user = request.user;
  attributes.verb = verb;
  attributes.group = kGroup;
  attributes.version = "*";
  attributes.resource = "signers";
  attributes.name = signer;
  if (world.Authorize(attributes).decision == Decision::kAllow) return true;
  attributes.name = Cat(signer.substr(0, signer.find('/')), "/*");
  return world.Authorize(attributes).decision == Decision::kAllow;
}

class CertificateApproval final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "CertificateApproval"; }
  Result<> Validate(const Ctx&, AdmissionRequest& request, const AdmissionWorld& world) const override {
    if (!IsRequest(request, "approval", Operation::kUpdate)) return {};
    const auto signer = request.object->At({"spec", "signerName"}).Str();
    if (MayFor(request, world, "approve", signer)) return {};
    return std::unexpected(Refuse(request, Cat("user not permitted to approve requests with signerName ", Quote(signer))));
  }
};

class CertificateSigning final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "CertificateSigning"; }
  Result<> Validate(const Ctx&, AdmissionRequest& request, const AdmissionWorld& world) const override {
    if (!IsRequest(request, "status", Operation::kUpdate) || !request.old) return {};
    const auto& now = request.object->At({"status"});
    const auto& before = request.old->At({"status"});
    if (now["certificate"] == before["certificate"] && now["conditions"] == before["conditions"]) return {};
    const auto signer = request.old->At({"spec", "signerName"}).Str();
    if (MayFor(request, world, "sign", signer)) return {};
    return std::unexpected(Refuse(request, Cat("user not permitted to sign requests with signerName ", Quote(signer))));
  }
};

class CertificateSubjectRestriction final : public AdmissionPlugin {
 public:
  std::string_view name() const override { return "CertificateSubjectRestriction"; }
  Result<> Validate(const Ctx&, AdmissionRequest& request, const AdmissionWorld&) const override {
    constexpr std::string_view kClientSigner = "kubernetes.io/kube-apiserver-client";
    if (!IsRequest(request, "", Operation::kCreate) || request.object->At({"spec", "signerName"}).Str() != kClientSigner) return {};
    const auto pem = text::FromBase64(request.object->At({"spec", "request"}).Str());
    if (!pem) return {};
    const auto parsed = crypto::ParseRequest(*pem);
    if (!parsed) return std::unexpected(Refuse(request, Cat("unable to parse CSR: ", parsed.error().message())));
    for (const auto& organization : parsed->subject.organizations)
      if (organization == "system:masters") return std::unexpected(Refuse(request, "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"));
    return {};
  }
};

}  // namespace

std::unique_ptr<AdmissionPlugin> NewCertificateApproval() { return std::make_unique<CertificateApproval>(); }
std::unique_ptr<AdmissionPlugin> NewCertificateSigning() { return std::make_unique<CertificateSigning>(); }
std::unique_ptr<AdmissionPlugin> NewCertificateSubjectRestriction() { return std::make_unique<CertificateSubjectRestriction>(); }

}  // namespace skerry::kube
