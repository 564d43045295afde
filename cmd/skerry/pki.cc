#include "cmd/skerry/pki.h"

#include <algorithm>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/crypto/certificate.h"
#include "core/crypto/key.h"
#include "core/text/base64.h"

namespace skerry::cmd {
namespace {

constexpr std::chrono::hours kYear{24 * 365};
constexpr int kAuthorityYears = 30;   // clients hold on to it, and nobody is there to replace it: longer than any machine lives

struct Pair {
  std::string certificate, key;
};

Result<Pair> Load(const std::string& directory, const char* name) {
  Pair p;
  TRY(p.certificate, ReadFile(Cat(directory, "/", name, ".crt"), 1 << 20));
  TRY(p.key, ReadFile(Cat(directory, "/", name, ".key"), 1 << 20));
  return p;
}

Result<> Save(const std::string& directory, const char* name, const Pair& p) {
  TRY_VOID(WriteFileDurably(Cat(directory, "/", name, ".key"), p.key, 0600));
  return WriteFileDurably(Cat(directory, "/", name, ".crt"), p.certificate, 0644);
}

bool Contains(const std::vector<std::string>& all, const std::vector<std::string>& some) {
  return std::all_of(some.begin(), some.end(), [&](const std::string& s) { return std::find(all.begin(), all.end(), s) != all.end(); });
}

// Usable as it is: right names, signed by this authority and not past half of its life.
bool Fresh(const Pair& p, const crypto::Subject& wanted, const std::string& ca, bool server, Clock::Wall now) {
  const auto c = crypto::VerifyCertificate(p.certificate, ca, server ? crypto::CertificateUse::kServer : crypto::CertificateUse::kClient, now);
  return c && Contains(c->dns_names, wanted.dns_names) && Contains(c->ip_addresses, wanted.ip_addresses) && now < c->not_before + (c->not_after - c->not_before) / 2;
}

Result<Clock::Wall> Due(const std::string& certificate_pem) {
  TRY(const crypto::PeerCertificate c, crypto::ParseCertificate(certificate_pem));
  return c.not_before + (c.not_after - c.not_before) / 2;
}

Result<Pair> Leaf(const std::string& directory, const char* name, const crypto::CertificateAuthority& ca, const crypto::Subject& subject, bool server, Clock::Wall now) {
  if (auto p = Load(directory, name); p && Fresh(*p, subject, ca.certificate_pem(), server, now)) return p;
  crypto::CertificateTerms terms;
  terms.server = server;
  terms.client = !server;
  TRY(crypto::IssuedCertificate issued, ca.Issue(subject, terms, now));
  Pair p{std::move(issued.certificate_pem), std::move(issued.key_pem)};
  TRY_VOID(Save(directory, name, p));
  return p;
}

Result<crypto::CertificateAuthority> Authority(const std::string& directory, const char* file, const char* name, Clock::Wall now) {
  auto pair = Load(directory, file);
  if (!pair) {
    if (pair.error().code() != Code::kNotFound) return std::unexpected(std::move(pair).error());
    TRY(const crypto::CertificateAuthority made, crypto::CertificateAuthority::Create(name, kYear * kAuthorityYears, now));
    pair = Pair{made.certificate_pem(), made.key_pem()};
    TRY_VOID(Save(directory, file, *pair));
  }
  return crypto::CertificateAuthority::Load(pair->certificate, pair->key);
}

}  // namespace

Result<Pki> LoadOrCreatePki(const std::string& directory, const PkiNames& names, Clock::Wall now) {
  TRY_VOID(MakeDirectories(directory, 0700));
  Pki pki;
  TRY(const crypto::CertificateAuthority ca, Authority(directory, "ca", "skerry-ca", now));
  pki.ca_pem = ca.certificate_pem();
  pki.ca_key_pem = ca.key_pem();
  crypto::Subject server;
  server.common_name = "kube-apiserver";
  server.dns_names = names.dns;
  server.ip_addresses = names.ips;
  TRY(Pair leaf, Leaf(directory, "apiserver", ca, server, true, now));
  pki.server_pem = std::move(leaf.certificate);
  pki.server_key_pem = std::move(leaf.key);
  crypto::Subject admin;
  admin.common_name = "kubernetes-admin";
  admin.organizations = {"system:masters"};
  TRY(leaf, Leaf(directory, "admin", ca, admin, false, now));
  pki.admin_pem = std::move(leaf.certificate);
  pki.admin_key_pem = std::move(leaf.key);
  TRY(const crypto::CertificateAuthority proxy_ca, Authority(directory, "front-proxy-ca", "front-proxy-ca", now));
  crypto::Subject proxy;
  proxy.common_name = "front-proxy-client";
  TRY(leaf, Leaf(directory, "front-proxy-client", proxy_ca, proxy, false, now));
  pki.proxy_ca_pem = proxy_ca.certificate_pem();
  pki.proxy_pem = std::move(leaf.certificate);
  pki.proxy_key_pem = std::move(leaf.key);
  const std::string sa = directory + "/service-account.key";
  auto key = ReadFile(sa, 1 << 16);
  if (!key) {
    if (key.error().code() != Code::kNotFound) return std::unexpected(std::move(key).error());
    key = crypto::PrivateKey::GenerateP256().ToPem();
    TRY_VOID(WriteFileDurably(sa, *key, 0600));
  }
  pki.service_account_key_pem = std::move(*key);
  TRY(const Clock::Wall server_due, Due(pki.server_pem));
  TRY(const Clock::Wall admin_due, Due(pki.admin_pem));
  TRY(const Clock::Wall proxy_due, Due(pki.proxy_pem));
  pki.renew_at = std::min({server_due, admin_due, proxy_due});
  return pki;
}

std::string Kubeconfig(const Pki& pki, const std::string& server) {
  return Cat("apiVersion: v1\nkind: Config\nclusters:\n- name: skerry\n  cluster:\n    server: ", server, "\n    certificate-authority-data: ", text::Base64(pki.ca_pem),
             "\nusers:\n- name: admin\n  user:\n    client-certificate-data: ", text::Base64(pki.admin_pem), "\n    client-key-data: ", text::Base64(pki.admin_key_pem),
             "\ncontexts:\n- name: skerry\n  context:\n    cluster: skerry\n    user: admin\n    namespace: default\ncurrent-context: skerry\n");
}

}  // namespace skerry::cmd
