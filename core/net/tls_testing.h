#pragma once
#include <string>
#include <string_view>

#include "core/net/tls.h"

// Tests only: throw-away certificates.
namespace skerry::net::testing {

// A CA that signs what Issue asks for; keys are ECDSA P-256.
class TestCa {
 public:
  TestCa();
  ~TestCa();
  TestCa(const TestCa&) = delete;
  TestCa& operator=(const TestCa&) = delete;
  const std::string& pem() const { return pem_; }
  // `subject`: "O=dev/O=ops/CN=alice". `names`: X.509v3 text, "DNS:localhost,IP:127.0.0.1" or empty. Negative days: expired.
  TlsIdentity Issue(std::string_view subject, std::string_view names, int days = 1);

 private:
  struct Impl;
  Impl* impl_;
  std::string pem_;
};
// A server's certificate that is its own authority. The subject may be empty.
TlsIdentity SelfSigned(std::string_view subject, std::string_view names, int days = 1);

}  // namespace skerry::net::testing
