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
inline std::string Numbered(const std::string& text, std::int64_t n) { return Replaced(text, "{n}", std::to_string(n)); }
double Quantile(const std::vector<double>& sorted, double q);
Answer Ask(Loop& loop, Connection& connection, const Request& request);   // the loop's other connections go on meanwhile

int RunRequests(const Flags& flags);
int RunWatch(const Flags& flags);
int RunReady(const Flags& flags);
int RunStarted(const Flags& flags);
int RunSwitch(const Flags& flags);

}  // namespace skerry::bench
