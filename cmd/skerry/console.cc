#include <unistd.h>

#include <functional>
#include <iostream>

#include "cmd/skerry/instance.h"
#include "cmd/skerry/verbs.h"
#include "cmd/skerry/wire.h"
#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/http/client.h"
#include "core/json/value.h"

// Ways into the console for whoever can read the appliance's keys: a link, or a token to paste.
namespace skerry::cmd {
namespace {

constexpr std::chrono::seconds kPatience{20};

struct Door {
  std::string server, ca, certificate, key;
};

Result<Door> FindDoor(const Options& o) {
  if (!RunningInstance(o.data_dir)) return Fail(Code::kNotFound, Cat("no instance uses ", o.data_dir, "; start one with `skerry start`"));
  Door door;
  TRY(const std::string address, ReadFile(o.run_dir + "/api-address", 256));
  door.server = ReachableServer(std::string(Trim(address)));
  const auto read = [&](const char* name) { return ReadFile(Cat(o.data_dir, "/pki/", name), 1 << 20); };
  auto key = read("admin.key");
  if (!key) return std::unexpected(Error(Code::kForbidden, Cat("cannot read the administrator's key: ", key.error().message(), "; use sudo")));
  door.key = std::move(*key);
  TRY(door.ca, read("ca.crt"));
  TRY(door.certificate, read("admin.crt"));
  return door;
}

Result<json::Value> Post(const Door& door, std::string_view path, const json::Value& body) {
  http::ClientRequest request;
  request.method = "POST";
  request.url = Cat(door.server, path);
  request.headers = {{"Content-Type", "application/json"}};
  request.body = body.Dump();
  request.ca_pem = door.ca;
  request.certificate_pem = door.certificate;
  request.key_pem = door.key;
  request.proxy = "none";
  const Ctx ctx{std::stop_token(), std::chrono::steady_clock::now() + kPatience};
  TRY(const auto response, http::Client::Shared().Do(ctx, request));
  json::Value answer;
  std::string error;
  const bool read = json::Value::Parse(response.body, &answer, &error);
  if (response.status / 100 != 2) return Fail(Code::kUnavailable, Cat(door.server, " answered ", response.status, read ? Cat(": ", answer["message"].Str()) : std::string()));
  if (!read) return Fail(Code::kUnavailable, Cat(door.server, " sent no JSON: ", error));
  return answer;
}

Result<std::string> AskForCode(const Door& door) {
  TRY(const auto answer, Post(door, "/console/v1/codes", json::Value::Object()));
  return std::string(answer["code"].Str());
}

// Finds the door, asks for a code and has `use` print what comes of it. Returns the exit code.
int WithCode(const std::vector<std::string>& args, const std::function<Result<>(const Door&, const std::string& code)>& use) {
  const auto options = ParseInstanceOptions(args);
  if (!options) return ReportUsage(options.error());
  const auto report = [](const Error& error) {
    const int code = Report(error);
    return error.code() == Code::kNotFound ? kExitNotRunning : code;
  };
  const auto door = FindDoor(*options);
  if (!door) return report(door.error());
  const auto code = AskForCode(*door);
  if (!code) return report(code.error());
  const auto used = use(*door, *code);
  return used ? kExitOk : report(used.error());
}

}  // namespace

std::string LoginLink(const std::string& server, const std::string& code) { return Cat(server, "/console/#k=", code); }

int RunConsole(const std::vector<std::string>& args) {
  return WithCode(args, [](const Door& door, const std::string& code) -> Result<> {
    std::cout << LoginLink(door.server, code) << "\n" << std::flush;
    if (::isatty(STDERR_FILENO)) std::cerr << "opens once, within 15 minutes; the session lasts 12 hours\n";
    return {};
  });
}

int RunToken(const std::vector<std::string>& args) {
  return WithCode(args, [](const Door& door, const std::string& code) -> Result<> {
    auto body = json::Value::Object();
    body.Set("code") = code;
    TRY(const auto session, Post(door, "/console/v1/login", body));
    std::cout << session["token"].Str() << "\n" << std::flush;
    if (::isatty(STDERR_FILENO)) std::cerr << "valid until " << session["expires"].Str() << "\n";
    return {};
  });
}

}  // namespace skerry::cmd
