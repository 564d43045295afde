#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "core/base/strings.h"
#include "core/text/base64.h"
#include "embedded-kube-shim/controllers/certificates.h"
#include "embedded-kube-shim/controllers/pod_facts.h"

namespace skerry::kube {
namespace {

constexpr const char* kRequests = "certificates.k8s.io/v1/certificatesigningrequests";
constexpr const char* kName = "certificate-controller";
constexpr std::string_view kClient = "kubernetes.io/kube-apiserver-client", kKubeletClient = "kubernetes.io/kube-apiserver-client-kubelet", kKubeletServing = "kubernetes.io/kubelet-serving",
                           kLegacy = "kubernetes.io/legacy-unknown";
constexpr auto kDefaultLifetime = std::chrono::hours(24 * 365);

std::set<std::string> UsagesOf(const json::Value& request) {
  std::set<std::string> out;
  for (const auto& usage : request.At({"spec", "usages"}).Items()) out.emplace(usage.Str());
  return out;
}

bool IsOneOf(const std::set<std::string>& usages, std::initializer_list<std::set<std::string>> allowed) { return std::find(allowed.begin(), allowed.end(), usages) != allowed.end(); }

// Why a certificate of a node agent is not what its signer makes; empty = it is.
std::string ProblemOfNode(const crypto::Subject& subject) {
  if (subject.organizations != std::vector<std::string>{"system:nodes"}) return "subject organization is not system:nodes";
  if (!subject.common_name.starts_with("system:node:")) return "subject common name does not begin with system:node: ";
  return {};
}

std::string ProblemOfKubeletClient(const crypto::Subject& subject, const std::set<std::string>& usages) {
  if (auto problem = ProblemOfNode(subject); !problem.empty()) return problem;
  if (!subject.dns_names.empty()) return "DNS subjectAltNames are not allowed";
  if (!subject.ip_addresses.empty()) return "IP subjectAltNames are not allowed";
  if (!subject.emails.empty()) return "Email subjectAltNames are not allowed";
  if (!subject.uris.empty()) return "URI subjectAltNames are not allowed";
  if (!IsOneOf(usages, {{"client auth", "digital signature", "key encipherment"}, {"client auth", "digital signature"}})) return "usages did not match [digital signature,key encipherment,client auth]";
  return {};
}

std::string ProblemOfKubeletServing(const crypto::Subject& subject, const std::set<std::string>& usages) {
  if (auto problem = ProblemOfNode(subject); !problem.empty()) return problem;
  if (subject.dns_names.empty() && subject.ip_addresses.empty()) return "DNS or IP subjectAltName is required";
  if (!subject.emails.empty()) return "Email subjectAltNames are not allowed";
  if (!subject.uris.empty()) return "URI subjectAltNames are not allowed";
  if (!IsOneOf(usages, {{"digital signature", "key encipherment", "server auth"}, {"digital signature", "server auth"}})) return "usages did not match [digital signature,key encipherment,server auth]";
  return {};
}

std::string ProblemOfClient(const std::set<std::string>& usages) {
  for (const auto& usage : usages)
    if (usage != "client auth" && usage != "digital signature" && usage != "key encipherment") return Cat("usage ", usage, " is not one of digital signature, key encipherment, client auth");
  if (!usages.contains("client auth")) return "client auth is not among the usages";
  return {};
}

const json::Value* ConditionOf(const json::Value& request, std::string_view type) { return FindCondition(request["status"], type); }

class Certificates final : public Reconciler {
 public:
  Certificates(const ControllerContext& c, CertificateSignerOptions options) : client_(c.client(kName)), requests_(c.informers.Get(kRequests)), clock_(c.clock), options_(std::move(options)) {}

  Result<Outcome> Reconcile(const Ctx& ctx, const Key& key) override {
    const ObjectPtr request = requests_.Get(key);
    if (!request || IsTerminating(*request)) return Outcome{};
    if (const auto left = TimeLeft(*request); left && *left <= std::chrono::seconds(0)) {
      DeleteOptions options;
      options.uid = Uid(*request);
      auto deleted = client_.Delete(ctx, kRequests, key, options);
      if (!deleted && deleted.error().code() != Code::kNotFound && deleted.error().code() != Code::kConflict) return std::unexpected(std::move(deleted).error());
      return Outcome{};
    }
    TRY_VOID(Advance(ctx, *request));
    Outcome outcome;
    if (const auto left = TimeLeft(*request)) outcome.requeue_after = std::chrono::duration_cast<std::chrono::milliseconds>(*left) + std::chrono::milliseconds(1);
    return outcome;
  }

 private:
  Result<> Advance(const Ctx& ctx, const json::Value& request) {
    const auto pem = text::FromBase64(request.At({"spec", "request"}).Str());
    const auto parsed = pem ? crypto::ParseRequest(*pem) : Result<crypto::CertificateRequest>(Fail(Code::kBadRequest, "no base64"));
    if (ConditionOf(request, "Denied") || ConditionOf(request, "Failed") || !request.At({"status", "certificate"}).Str().empty()) return {};
    if (ConditionOf(request, "Approved")) return Sign(ctx, request, parsed);
    if (parsed) return Approve(ctx, request, *parsed);
    return {};
  }

  Result<> Write(const Ctx& ctx, json::Value next, std::string_view subresource) {
    auto written = client_.Update(ctx, kRequests, std::move(next), subresource);
    if (!written && written.error().code() != Code::kNotFound) return std::unexpected(std::move(written).error());
    return {};
  }

  // What a node agent asks for itself, or for a new node with the right to do so.
  Result<> Approve(const Ctx& ctx, const json::Value& request, const crypto::CertificateRequest& parsed) {
    const auto& spec = request["spec"];
    if (spec["signerName"].Str() != kKubeletClient || !ProblemOfKubeletClient(parsed.subject, UsagesOf(request)).empty()) return {};
    struct Way { std::string_view permission, message; };
    constexpr std::array<Way, 2> kWays = {{{"selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview."},
                                           {"nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview."}}};
    for (const auto& way : kWays) {
      if (way.permission == "selfnodeclient" && spec["username"].Str() != parsed.subject.common_name) continue;
      if (!options_.may(spec, way.permission)) continue;
      auto next = request.Clone();
      AddCondition(next, "Approved", "AutoApproved", way.message);
      return Write(ctx, std::move(next), "approval");
    }
    return {};
  }

  void AddCondition(json::Value& request, std::string_view type, std::string_view reason, std::string_view message) const {
    auto condition = json::Value::Object();
    condition.Set("type") = type;
    condition.Set("status") = "True";
    condition.Set("reason") = reason;
    condition.Set("message") = message;
    condition.Set("lastUpdateTime") = FormatTime(clock_.Now());
    condition.Set("lastTransitionTime") = FormatTime(clock_.Now());
    request.Set("status").Set("conditions").Append(std::move(condition));
  }

  Result<> Sign(const Ctx& ctx, const json::Value& request, const Result<crypto::CertificateRequest>& parsed) {
    const auto signer = request.At({"spec", "signerName"}).Str();
    if (signer != kClient && signer != kKubeletClient && signer != kKubeletServing && signer != kLegacy) return {};
    const auto usages = UsagesOf(request);
    auto next = request.Clone();
    std::string problem = !parsed                     ? Cat("unable to parse csr: ", parsed.error().message())
                          : signer == kKubeletClient  ? ProblemOfKubeletClient(parsed->subject, usages)
                          : signer == kKubeletServing ? ProblemOfKubeletServing(parsed->subject, usages)
                          : signer == kClient         ? ProblemOfClient(usages)
                                                      : std::string();
    if (problem.empty()) {
      crypto::CertificateTerms terms;
      terms.server = usages.contains("server auth");
      terms.client = usages.contains("client auth");
      terms.key_encipherment = usages.contains("key encipherment");
      terms.lifetime = kDefaultLifetime;
      if (const auto wanted = std::chrono::seconds(request.At({"spec", "expirationSeconds"}).Int()); wanted.count() > 0) terms.lifetime = std::clamp<std::chrono::seconds>(wanted, std::chrono::minutes(10), kDefaultLifetime);
      TRY(const auto certificate, options_.authority.Sign(parsed->subject, parsed->key, terms, clock_.Now()));
      next.Set("status").Set("certificate") = text::Base64(certificate);
    } else {
      AddCondition(next, "Failed", "SignerValidationFailure", problem);
    }
    return Write(ctx, std::move(next), "status");
  }

  // Until the request is of no use any more; nullopt = forever.
  std::optional<std::chrono::seconds> TimeLeft(const json::Value& request) const {
    const auto now = clock_.Now();
    const auto since = [&](const json::Value& time) { return std::chrono::duration_cast<std::chrono::seconds>(now - ParseTime(time.Str()).value_or(now)); };
    std::optional<std::chrono::seconds> left;
    const auto until = [&](std::chrono::seconds rest) { left = left ? std::min(*left, rest) : rest; };
    bool decided = false;
    for (const auto& condition : request.At({"status", "conditions"}).Items()) {
      const auto type = condition["type"].Str();
      if (type != "Approved" && type != "Denied" && type != "Failed") continue;
      decided = true;
      until(std::chrono::hours(1) - since(condition["lastUpdateTime"]));
    }
    if (!decided) until(std::chrono::hours(24) - since(request.At({"metadata", "creationTimestamp"})));
    if (const auto pem = text::FromBase64(request.At({"status", "certificate"}).Str()); pem && !pem->empty())
      if (const auto certificate = crypto::ParseCertificate(*pem)) until(std::chrono::duration_cast<std::chrono::seconds>(certificate->not_after - now));
    return left;
  }

  Client& client_;
  const Lister& requests_;
  const Clock& clock_;
  const CertificateSignerOptions options_;
};

}  // namespace

void AddCertificates(const ControllerContext& c, CertificateSignerOptions options) {
  ControllerSpec spec;
  spec.name = kName;
  spec.triggers.push_back({kRequests, {}});
  spec.reconciler = std::make_unique<Certificates>(c, std::move(options));
  c.manager.Add(std::move(spec));
}

}  // namespace skerry::kube
