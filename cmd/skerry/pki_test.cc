#include "cmd/skerry/pki.h"

#include <catch2/catch.hpp>

#include "core/crypto/certificate.h"
#include "tests/support/netns.h"

using namespace skerry;
using namespace skerry::cmd;

TEST_CASE("leaves are renewed when half of their life is over or an address is new; the authority and the tokens' key stay", "[pki]") {
  const test::TempDirectory directory;
  const auto at = [&](int days, std::string ip) {
    auto pki = LoadOrCreatePki(directory.path() + "/pki", {{"localhost"}, {"127.0.0.1", std::move(ip)}}, Clock::Wall(std::chrono::hours(24 * (20'000 + days))));
    REQUIRE(pki);
    return *pki;
  };
  const Pki first = at(0, "192.0.2.1");
  CHECK(first.renew_at > Clock::Wall(std::chrono::hours(24 * 20'180)));
  CHECK(first.renew_at < Clock::Wall(std::chrono::hours(24 * 20'184)));
  CHECK(at(180, "192.0.2.1").server_pem == first.server_pem);

  const Pki moved = at(180, "192.0.2.2");
  CHECK(moved.server_pem != first.server_pem);
  CHECK(moved.admin_pem == first.admin_pem);
  CHECK(crypto::ParseCertificate(moved.server_pem)->ip_addresses == std::vector<std::string>{"127.0.0.1", "192.0.2.2"});

  const Pki later = at(10 * 365, "192.0.2.2");   // the clock jumped, or the machine slept
  CHECK(later.server_pem != moved.server_pem);
  CHECK(later.admin_pem != moved.admin_pem);
  CHECK(later.ca_pem == first.ca_pem);
  CHECK(later.service_account_key_pem == first.service_account_key_pem);
  CHECK(crypto::VerifyCertificate(later.server_pem, first.ca_pem, crypto::CertificateUse::kServer, Clock::Wall(std::chrono::hours(24 * (20'000 + 10 * 365)))));

  const Pki back = at(0, "192.0.2.2");           // not valid yet by this clock
  CHECK(back.server_pem != later.server_pem);
}
