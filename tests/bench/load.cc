// skerry_load VERB FLAGS: puts load on an HTTP server and prints one line of key=value pairs.
//   requests  --count N | --seconds S on --connections C; CPU of --pid is read before and after
//   watch     --watchers N long requests of --path; then --rounds changes, each timed until the last watcher has it
//   ready     runs the command after "--" until an authenticated create is accepted and a node is Ready
//   started   --count times: creates the pod of --body, until a watch shows it running
//   switch    --rounds times: a change, then requests on new connections until the answer contains the text that belongs to it
// Every flag is in kFlags below. "{n}" in a path or a body becomes a number that is not used twice (from --first on), "{c}" the
// number of the connection; "{noise}" becomes 880 characters that no other number has.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/bench/load_flags.h"

namespace skerry::bench {
namespace {

const char* const kFlags[][2] = {
    {"url", "http(s)://HOST:PORT"},
    {"token", "bearer token"},
    {"header", "NAME: VALUE, may be repeated"},
    {"h2", "1: HTTP/2 (by ALPN over TLS, with prior knowledge over TCP)"},
    {"grpc-put", "1: etcd's KV.Put of --body under the key --path"},
    {"connections", "how many, one request at a time each"},
    {"count", "requests to measure"},
    {"seconds", "or for how long"},
    {"warmup", "requests before that"},
    {"method", "GET"},
    {"path", "path and query"},
    {"body", "file"},
    {"first", "first number for {n}"},
    {"pid", "the server, for CPU and memory"},
    {"watchers", "how many"},
    {"streams", "requests (1) or watchers (100) at a time on one HTTP/2 connection"},
    {"rounds", "how many changes"},
    {"hold", "watch: seconds to go on after the last round"},
    {"change-method", "PUT"},
    {"change-path", "what the change addresses"},
    {"change-body", "file"},
    {"change-type", "content type of the change"},
    {"log", "ready: where the output of the command goes"},
    {"create-path", "ready: where the object of --body is created"},
    {"expect", "switch: text of the answer after an even and an odd change, as A|B; taken as {expect} in the change's body"},
    {"probe", "switch: http://ADDRESS:PORT"},
};

}  // namespace

Flags::Flags(int argc, char** argv) {
  for (int i = 2; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg == "--") {
      for (++i; i < argc; ++i) command.push_back(argv[i]);
      break;
    }
    const std::string name = arg.substr(std::min<std::size_t>(2, arg.size()));
    if (std::none_of(std::begin(kFlags), std::end(kFlags), [&](const auto& f) { return name == f[0]; }) || i + 1 == argc) Die("unknown flag or no value: " + arg);
    if (name == "header") {
      headers.push_back(argv[++i]);
    } else {
      values_[name] = argv[++i];
    }
  }
  command.push_back(nullptr);
}

std::string Flags::Get(const std::string& name, const std::string& fallback) const {
  const auto it = values_.find(name);
  return it == values_.end() ? fallback : it->second;
}

std::int64_t Flags::Number(const std::string& name, std::int64_t fallback) const { return std::stoll(Get(name, std::to_string(fallback))); }

std::string Flags::File(const std::string& name) const {
  if (Get(name).empty()) return "";
  std::ifstream file(Get(name), std::ios::binary);
  if (!file) Die("cannot read " + Get(name));
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

Target TargetOf(const Flags& flags, const std::string& url) {
  Target target;
  target.tls = url.starts_with("https://");
  const auto host = url.find("://") + 3, colon = url.rfind(':');
  target.host = url.substr(host, colon - host);
  target.port = std::atoi(url.c_str() + colon + 1);
  target.h2 = flags.Get("h2") == "1" || flags.Get("grpc-put") == "1";
  if (!flags.Get("token").empty()) target.headers.emplace_back("authorization", "Bearer " + flags.Get("token"));
  for (const std::string& h : flags.headers) {
    const auto at = h.find(':');
    std::string name = h.substr(0, at);
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    target.headers.emplace_back(name, h.substr(std::min(h.size(), h.find_first_not_of(' ', at + 1))));
  }
  return target;
}

std::string Replaced(const std::string& text, const std::string& what, const std::string& by) {
  std::string out;
  std::size_t from = 0;
  for (std::size_t at; (at = text.find(what, from)) != std::string::npos; from = at + what.size()) out.append(text, from, at - from).append(by);
  return out.append(text, from);
}

double Quantile(const std::vector<double>& sorted, double q) {
  return sorted.empty() ? 0 : sorted[std::min(sorted.size() - 1, static_cast<std::size_t>(q * static_cast<double>(sorted.size())))];
}

Answer Ask(Loop& loop, Connection& connection, const Request& request) {
  Answer out;
  bool done = false;
  connection.Start(request, {}, [&](const Answer& answer) {
    out = answer;
    done = true;
  });
  loop.Run([&] { return done; });
  return out;
}

}  // namespace skerry::bench

int main(int argc, char** argv) {
  using namespace skerry::bench;
  const std::string verb = argc > 1 ? argv[1] : "";
  const Flags flags(argc, argv);
  if (verb == "requests") return RunRequests(flags);
  if (verb == "watch") return RunWatch(flags);
  if (verb == "ready") return RunReady(flags);
  if (verb == "started") return RunStarted(flags);
  if (verb == "switch") return RunSwitch(flags);
  Die("usage: skerry_load requests|watch|ready|started|switch FLAGS");
}
