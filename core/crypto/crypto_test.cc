#include <catch2/catch.hpp>

#include "core/base/strings.h"
#include "core/crypto/certificate.h"
#include "core/crypto/digest.h"
#include "core/crypto/jwt.h"
#include "core/crypto/seal.h"
#include "core/json/parse.h"
#include "core/text/base64.h"

namespace skerry::crypto {
namespace {

using namespace std::chrono_literals;

const Clock::Wall kNow = FakeClock().Now();

json::Value Claims() { return json::Parse(R"({"iss":"https://me","sub":"a","aud":["x","y"],"exp":1700000600,"nbf":1699999999})").value(); }

std::string Reason(const Result<json::Value>& r) { return r ? "accepted" : std::string(r.error().message()); }

// A 2048-bit key made for this test.
PrivateKey RsaKey();

}  // namespace

TEST_CASE("digests and HMAC give the published vectors") {
  CHECK(text::Hex(HashBytes(Hash::kSha1, "abc")) == "a9993e364706816aba3e25717850c26c9cd0d89d");
  CHECK(Sha256Hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(text::Hex(HashBytes(Hash::kSha512, "abc")).starts_with("ddaf35a193617abacc417349ae204131"));
  CHECK(text::Hex(Hmac(Hash::kSha256, "key", "The quick brown fox jumps over the lazy dog")) == "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8");
  Digest d(Hash::kSha256);
  d.Update("a");
  d.Update("");
  d.Update("bc");
  CHECK(d.FinishHex() == Sha256Hex("abc"));
  CHECK(EqualSecrets("abc", "abc"));
  CHECK_FALSE(EqualSecrets("abc", "abd"));
  CHECK_FALSE(EqualSecrets("abc", "ab"));
}

TEST_CASE("a sealed value opens only with its key, its context and undamaged") {
  const std::string key = Sealer::GenerateKey();
  const Sealer sealer = Sealer::Create(key).value();
  for (const std::string& plain : {std::string(), std::string("secret"), std::string(100'000, 'x')}) {
    const std::string sealed = sealer.Seal(plain, "/secrets/default/a");
    CHECK(sealed.size() == plain.size() + Sealer::kOverhead);
    CHECK(sealer.Open(sealed, "/secrets/default/a").value() == plain);
    CHECK(sealer.Open(sealed, "/secrets/default/b").error().code() == Code::kCorruption);
    CHECK_FALSE(Sealer::Create(Sealer::GenerateKey())->Open(sealed, "/secrets/default/a"));
  }
  const std::string sealed = sealer.Seal("secret", "");
  CHECK(sealer.Open(sealed, "").value() == "secret");
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    std::string damaged = sealed;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    CHECK_FALSE(sealer.Open(damaged, ""));
    CHECK_FALSE(sealer.Open(sealed.substr(0, i), ""));
  }
  CHECK(sealer.Seal("a", "") != sealer.Seal("a", ""));
  CHECK_FALSE(Sealer::Create("short"));
}

TEST_CASE("keys survive PEM and sign for each other") {
  const PrivateKey key = PrivateKey::GenerateP256();
  const PrivateKey again = PrivateKey::FromPem(key.ToPem()).value();
  CHECK(key.ToPem().starts_with("-----BEGIN PRIVATE KEY-----"));
  CHECK(again.Public().KeyId() == key.Public().KeyId());
  const std::string signature = again.Sign("message").value();
  CHECK(signature.size() == 64);
  CHECK(PublicKey::FromPem(key.Public().ToPem())->Verify("message", signature));
  CHECK(PublicKey::FromEcPoint(KeyType::kP256, key.Public().EcX(), key.Public().EcY())->Verify("message", signature));
  CHECK_FALSE(key.Public().Verify("messagf", signature));
  CHECK_FALSE(key.Public().Verify("message", std::string(64, '\0')));
  CHECK_FALSE(key.Public().Verify("message", signature.substr(1)));
  CHECK_FALSE(PublicKey::FromEcPoint(KeyType::kP256, std::string(32, '\1'), std::string(32, '\1')));   // not on the curve
  CHECK_FALSE(PrivateKey::FromPem("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"));
  const PrivateKey rsa = RsaKey();
  CHECK(rsa.type() == KeyType::kRsa);
  CHECK(PublicKey::FromRsa(rsa.Public().RsaModulus(), rsa.Public().RsaExponent())->Verify("m", rsa.Sign("m").value()));
}

TEST_CASE("a token is accepted by the key set that it was signed for, and by no other") {
  for (const PrivateKey& key : {PrivateKey::GenerateP256(), RsaKey()}) {
    const JwtSigner signer(key);
    JwkSet keys;
    keys.Add(PrivateKey::GenerateP256().Public());
    keys.Add(signer.Public());
    const JwkSet published = JwkSet::Parse(json::Parse(keys.ToJson().Dump()).value()).value();
    CHECK(published.size() == 2);
    const std::string token = signer.Sign(Claims()).value();
    const auto claims = published.Verify(token, kNow, {.issuer = "https://me", .audiences = {"z", "y"}});
    REQUIRE(Reason(claims) == "accepted");
    CHECK((*claims)["sub"].Str() == "a");
    CHECK(UnverifiedClaims(token).value()["iss"].Str() == "https://me");
    JwkSet other;
    other.Add(PrivateKey::GenerateP256().Public());
    other.Add(PrivateKey::GenerateP256().Public(), signer.key_id());
    CHECK(Reason(other.Verify(token, kNow)) == "token: signature is not by a known key");
    CHECK(Reason(published.Verify(token, kNow + 600s)) == "token: has expired");
    CHECK(Reason(published.Verify(token, kNow + 600s, {.leeway = 1s})) == "accepted");
    CHECK(Reason(published.Verify(token, kNow - 10s)) == "token: is not valid yet");
    CHECK(Reason(published.Verify(token, kNow, {.issuer = "https://you"})) == "token: is from another issuer");
    CHECK(Reason(published.Verify(token, kNow, {.audiences = {"z"}})) == "token: is for another audience");
  }
}

TEST_CASE("forged tokens are refused") {
  const JwtSigner signer(PrivateKey::GenerateP256());
  JwkSet keys;
  keys.Add(signer.Public());
  const std::string token = signer.Sign(Claims()).value();
  const auto pieces = Split(token, '.');
  const auto with_header = [&](std::string_view header) { return Cat(text::Base64Url(header), '.', pieces[1], '.'); };
  for (std::size_t i = 0; i < token.size(); ++i) {
    std::string damaged = token;
    damaged[i] = damaged[i] == 'A' ? 'B' : 'A';
    CHECK_FALSE(keys.Verify(damaged, kNow));
  }
  CHECK_FALSE(keys.Verify(with_header(R"({"alg":"none"})"), kNow));
  // The classic: the public key taken as the secret of an HMAC.
  const std::string confused = with_header(R"({"alg":"HS256","typ":"JWT"})");
  const std::string text = confused.substr(0, confused.size() - 1);
  CHECK_FALSE(keys.Verify(confused + text::Base64Url(Hmac(Hash::kSha256, signer.Public().ToPem(), text)), kNow));
  CHECK_FALSE(keys.Verify(with_header(R"({"alg":"RS256"})") + std::string(pieces[2]), kNow));
  CHECK_FALSE(keys.Verify("", kNow));
  CHECK_FALSE(keys.Verify("a.b", kNow));
  CHECK_FALSE(keys.Verify("a.b.c.d", kNow));
  CHECK_FALSE(keys.Verify(std::string(20'000, 'a') + ".a.a", kNow));
  json::Value endless = Claims();
  endless.Erase("exp");
  CHECK(Reason(keys.Verify(signer.Sign(endless).value(), kNow)) == "token: has no valid expiry");
}

TEST_CASE("an authority issues certificates that verify for their use and time only") {
  const auto ca = CertificateAuthority::Create("skerry test", 24h * 365 * 10, kNow).value();
  const auto server = ca.Issue({.common_name = "api", .dns_names = {"kubernetes.default.svc", "localhost"}, .ip_addresses = {"127.0.0.1", "::1", "10.43.0.1"}, .uris = {"urn:x"}},
                               {.server = true, .lifetime = 1h}, kNow)
                          .value();
  const auto client = ca.Issue({.common_name = "admin", .organizations = {"system:masters", "b"}}, {.client = true, .lifetime = 1h}, kNow).value();
  const auto seen = VerifyCertificate(server.certificate_pem, ca.certificate_pem(), CertificateUse::kServer, kNow).value();
  CHECK(seen.common_name == "api");
  CHECK(seen.dns_names == std::vector<std::string>{"kubernetes.default.svc", "localhost"});
  CHECK(seen.ip_addresses == std::vector<std::string>{"127.0.0.1", "::1", "10.43.0.1"});
  CHECK(seen.uris == std::vector<std::string>{"urn:x"});
  CHECK(seen.not_before == kNow - 5min);
  CHECK(seen.not_after == kNow + 1h);
  CHECK(seen.serial.size() == 32);
  CHECK_FALSE(seen.is_authority);
  CHECK(ParseCertificate(ca.certificate_pem())->is_authority);
  CHECK(ParseCertificate(seen.der)->serial == seen.serial);
  CHECK(CertificatePem(seen.der) == server.certificate_pem);
  CHECK(VerifyCertificate(client.certificate_pem, ca.certificate_pem(), CertificateUse::kClient, kNow)->organizations == std::vector<std::string>{"system:masters", "b"});
  CHECK_FALSE(VerifyCertificate(client.certificate_pem, ca.certificate_pem(), CertificateUse::kServer, kNow));
  CHECK_FALSE(VerifyCertificate(server.certificate_pem, ca.certificate_pem(), CertificateUse::kClient, kNow));
  CHECK(VerifyCertificate(client.certificate_pem, ca.certificate_pem(), CertificateUse::kClient, kNow + 2h).error().message() == "certificate has expired");
  CHECK_FALSE(VerifyCertificate(client.certificate_pem, ca.certificate_pem(), CertificateUse::kClient, kNow - 1h));
  const auto other = CertificateAuthority::Create("skerry test", 24h, kNow).value();   // the same name, another key
  CHECK_FALSE(VerifyCertificate(client.certificate_pem, other.certificate_pem(), CertificateUse::kClient, kNow));
  CHECK(VerifyCertificate(client.certificate_pem, other.certificate_pem() + ca.certificate_pem(), CertificateUse::kClient, kNow));
  CHECK(ParseCertificates(other.certificate_pem() + ca.certificate_pem())->size() == 2);
  CHECK(PrivateKey::FromPem(client.key_pem)->Public().KeyId() == PublicKey::FromPem(client.certificate_pem)->KeyId());
  CHECK_FALSE(CertificateAuthority::Load(ca.certificate_pem(), other.key_pem()));
  CHECK_FALSE(CertificateAuthority::Load(client.certificate_pem, client.key_pem));
  const auto loaded = CertificateAuthority::Load(ca.certificate_pem(), ca.key_pem()).value();
  const auto late = loaded.Issue({.common_name = "x"}, {.client = true, .lifetime = 24h * 365 * 20}, kNow).value();
  CHECK(ParseCertificate(late.certificate_pem)->not_after == kNow + 24h * 365 * 10);   // not beyond the authority
  CHECK_FALSE(ca.Issue({.common_name = "x", .ip_addresses = {"no"}}, {}, kNow));
  CHECK_FALSE(ca.Issue({.common_name = std::string(100, 'x')}, {}, kNow));   // X.520 allows 64
}

TEST_CASE("a certificate request is read, checked and signed") {
  const PrivateKey key = PrivateKey::GenerateP256();
  const Subject subject{.common_name = "system:node:n1", .organizations = {"system:nodes"}, .dns_names = {"n1"}, .ip_addresses = {"10.0.0.1"}, .emails = {"a@b"}};
  const std::string pem = CreateRequest(subject, key).value();
  const auto request = ParseRequest(pem).value();
  CHECK(request.subject.common_name == "system:node:n1");
  CHECK(request.subject.organizations == subject.organizations);
  CHECK(request.subject.dns_names == subject.dns_names);
  CHECK(request.subject.ip_addresses == subject.ip_addresses);
  CHECK(request.subject.emails == subject.emails);
  CHECK(request.key.KeyId() == key.Public().KeyId());
  const auto ca = CertificateAuthority::Create("ca", 24h, kNow).value();
  const std::string certificate = ca.Sign(request.subject, request.key, {.client = true, .key_encipherment = true, .lifetime = 1h}, kNow).value();
  CHECK(VerifyCertificate(certificate, ca.certificate_pem(), CertificateUse::kClient, kNow)->common_name == "system:node:n1");
  std::string forged = pem;
  forged[pem.size() / 2] = forged[pem.size() / 2] == 'A' ? 'B' : 'A';
  CHECK_FALSE(ParseRequest(forged));
  CHECK_FALSE(ParseRequest(""));
}

namespace {
PrivateKey RsaKey() {
  return PrivateKey::FromPem(
             "-----BEGIN PRIVATE KEY-----\n"
             "MIIEuwIBADANBgkqhkiG9w0BAQEFAASCBKUwggShAgEAAoIBAQDE1l6evLmU3iuL\n"
             "3opIFx5ttL0xziQ9zvYu3KJJdtUxcv5oUkAPylGcYlbQg5CE+muLDvlBD9KVXadn\n"
             "Eml78LIloNzqYgljZqR/eKQR6y7yKAIDHHXpBXbhDmGGyuUBhi/vfpO7qK9q2yua\n"
             "NeWGFLBQjoRp08BRiDjCaqJb5WyKPK6NTRjaadjz65YCTqsGDAmcSp2oRnVemBMu\n"
             "gUW/DIhWZI9WpKh2tDzBufIoHhhI3FU14ufxzBpvZwrneh1jvR881ypije0YpP2i\n"
             "Dsl79eGaZQLe8NI3R1/et1BacGEWoyY8rUdyB2W9X3H0WBEVPrMMoK5aZz3plYGd\n"
             "fc1LmWuxAgMBAAECgf9SXeH6Sr7drJpMTTNQN1xkS91fmgNQWepqcaj3VOKhbp1G\n"
             "yiREd0TvS7dIScWP37pg1kM3FofoOOh0GSBK3M2vMUFAUwXasnjjXnhJh0B91IAD\n"
             "DUXJ3J+CTaJB5WUu3hfw/+aSAGRnMo9sWGFTWhTtoLWIEzPG6lnWAQkvqzFgJohD\n"
             "a2rg6tt+5liOaON9keaLSqHJ30a41RH4k/EdS75n5Jb75Y6Ez2Dw4MC54oJRon+T\n"
             "KwO7gprxGJlCMc/qN7xXtx1cFgJhvAVm0tJb3vD6XnDKDJQwdDPeBpXSC2cZn6DC\n"
             "dd8OJd+nkX8ouLfzxaHOLD4Zn43YmgTD0hsbnMkCgYEA7Jk/fhFD8RFPuWO+WJMy\n"
             "Ic7t4bNop2xz+UFztRuaIH7dIqxs6M9xsXlJKPut5151krts9F2mUnQ/5MqJ/eRX\n"
             "5Z/UiEBGga804q7MPcDo8uFb7AiOf/epUyUrRyWbtqCxXbHX4q5MItuRNmtKOeJm\n"
             "R0HmnWrrwFbTzoF7YFEsQ1kCgYEA1Ppw8ZjaELfgDITcU+HGJtuKUNMZ/YP0NK7d\n"
             "YZQ93yUq1TYMouE7BcEbMEfj1GyYyIyVZtKFKS3Al6yEaoM1EgncM2343xeawU8J\n"
             "2nRkViQhetQE1ugD3yZU4woaVK6jRfvV+hXVHukdB+lRC6f2/MiBMgnKlKXNE1D3\n"
             "rpFamBkCgYEAwmVbxKI895oorgMlBzPR8fNKgrJdH4q9cyPzBPAr3908pluTlGm1\n"
             "WYN0uAaqKTr0UV5LtDAqEv9O7BX58TCng5SiFFzzUWR6iHHkgCy7eavuUe3p33zG\n"
             "k/krKObenNxFPt17qtVY2x8aneLjdtHtBUlBST/refodR0Qd8dJgEukCgYBcdVjA\n"
             "2Y2ZgmnGpYsM80/VoKtcSTjYQQesM1myOeveSsFcjDlSIJtB9UI7ZIo4tuhg7/8Q\n"
             "A0aByPX6Io/duZY5fYRV42EOYK3zS7/IUY0ZhFfwfciYD2NW5comQkWKC8Kf6CNN\n"
             "jVrXL3ZF7/kaKVHlDZpgwbVrcMslnpnX9AwzSQKBgEoAuH5ye4CohPjW3kgSubO3\n"
             "1yV50ER/IEtlN2WCgIwFzesCA8jrnOT29yKHuEQzAh/WH0WpiMEGsSx+e4oqGzPY\n"
             "LlRvT2b3VUZmx4cYCol8FBtIcaWps4wyfIm13TYROwC0T3QFrjKkvRQlXgTR2ym4\n"
             "ik/WOily8RUHDuoQXUPG\n"
             "-----END PRIVATE KEY-----\n")
      .value();
}
}  // namespace

}  // namespace skerry::crypto
