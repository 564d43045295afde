#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/bench/load_connection.h"

namespace skerry::bench {

class Flags {
 public:
  Flags(int argc, char** argv);   // exits on one that is not known
  std::string Get(const std::string& name, const std::string& fallback = "") const;
  std::int64_t Number(const std::string& name, std::int64_t fallback) const;
  std::string File(const std::string& name) const;   // content of the file that the flag names; "" without the flag
  std::vector<char*> command;                        // what follows "--", with a null at the end
  std::vector<std::string> headers;

 private:
  std::map<std::string, std::string> values_;
};

Target TargetOf(const Flags& flags, const std::string& url);
std::string Replaced(const std::string& text, const std::string& what, const std::string& by);
// 880 characters of base64, others for each number: what does not shrink.
inline std::string Noise(std::int64_t n) {
  constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  auto state = static_cast<std::uint64_t>(n) * 0x9e3779b97f4a7c15U + 1;
  while (out.size() < 880) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    for (int bits = 0; bits < 60; bits += 6) out += kAlphabet[state >> bits & 63];
  }
  return out;
}
inline std::string Numbered(const std::string& text, std::int64_t n) {
  auto out = Replaced(text, "{n}", std::to_string(n));
  return out.find("{noise}") == out.npos ? out : Replaced(out, "{noise}", Noise(n));
}
double Quantile(const std::vector<double>& sorted, double q);
Answer Ask(Loop& loop, Connection& connection, const Request& request);   // the loop's other connections go on meanwhile

int RunRequests(const Flags& flags);
int RunWatch(const Flags& flags);
int RunReady(const Flags& flags);
int RunStarted(const Flags& flags);
int RunSwitch(const Flags& flags);

}  // namespace skerry::bench
