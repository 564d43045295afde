#pragma once
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/random.h"
#include "core/crypto/jwt.h"
#include "embedded-kube-shim/auth/authenticator.h"

// Logging in to the console without a password. Whoever is known already (a client certificate, the machine's administrator) gets a code; the
// browser exchanges it, once, for a session token of that user. Thread-safe.
namespace skerry::kube {

class ConsoleSessions final : public TokenAuthenticator {
 public:
  static constexpr std::chrono::minutes kCodeLife{15};
  static constexpr std::chrono::hours kSessionLife{12};

  // Tokens are signed by `key`: they outlive a restart, codes do not.
  ConsoleSessions(crypto::PrivateKey key, const Clock& clock, Random& random);

  // kTooMany while too many codes wait to be used.
  Result<std::string> NewCode(const User& user);
  struct Session {
    std::string token;
    Clock::Wall expires;
  };
  // kUnauthenticated: no such code, or used, or too old; which of them is not told.
  Result<Session> Redeem(std::string_view code);

  Result<std::optional<User>> AuthenticateToken(std::string_view token, const std::vector<std::string>& audiences, std::vector<std::string>* granted) const override;

 private:
  struct Waiting {
    User user;
    Clock::MonoTime expires;
  };
  const crypto::JwtSigner signer_;
  crypto::JwkSet keys_;
  const Clock& clock_;
  Random& random_;
  std::mutex mutex_;
  std::map<std::string, Waiting> codes_;   // guarded; by the code's digest: the code itself is not kept, and a look-up tells nothing about it
};

}  // namespace skerry::kube
