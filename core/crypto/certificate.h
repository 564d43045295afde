#pragma once
#include <chrono>
#include <string>
#include <vector>

namespace skerry::crypto {

// What a verified X.509 certificate says about its holder. Names no library: authenticators and handlers read it.
struct PeerCertificate {
  std::string common_name;                 // last CN of the subject
  std::vector<std::string> organizations;  // every O of the subject, in order
  std::string der;                         // the whole certificate
  std::chrono::system_clock::time_point not_before, not_after;
  std::string serial;                      // upper-case hexadecimal, no separators
  std::vector<std::string> dns_names;      // subject alternative names
  std::vector<std::string> uris;
};

}  // namespace skerry::crypto
