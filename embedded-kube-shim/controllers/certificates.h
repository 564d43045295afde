#pragma once
#include <functional>
#include <string_view>

#include "core/crypto/certificate.h"
#include "embedded-kube-shim/controllers/context.h"

// Certificate signing requests: those of node agents are approved when they may have what they ask for, approved ones of the built-in signers
// are signed with the cluster's authority, old ones are deleted (decided: after an hour, or with the certificate's end; pending: after a day).
namespace skerry::kube {

struct CertificateSignerOptions {
  crypto::CertificateAuthority authority;
  // May whoever made the request (its spec: username, groups, uid, extra) create certificatesigningrequests/<permission>?
  std::function<bool(const json::Value& spec, std::string_view permission)> may;
};
void AddCertificates(const ControllerContext&, CertificateSignerOptions options);   // "certificate-controller"

}  // namespace skerry::kube
