#include <catch2/catch.hpp>

#include <map>
#include <semaphore>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/codec.h"
#include "tests/support/api_fixture.h"
#include "tests/support/json.h"

using namespace skerry;
using namespace skerry::kube;
using skerry::testing::Answer;
using skerry::testing::Api;
using skerry::testing::Json;

namespace {

json::Value Pod(std::string_view name) {
  return Json(Cat(R"({"metadata":{"name":")", name, R"(","namespace":"default","labels":{"app":"a"}},"spec":{"containers":[{"name":"c","image":"i"}]}})"));
}

// Reads lines of a row stream as the shard would.
class Lines {
 public:
  explicit Lines(std::unique_ptr<http::Source> source) : source_(std::move(source)) {
    source_->OnReady([this] { ready_.release(); });
  }
  // The next line that is no beat; null when nothing comes within ten seconds.
  json::Value Next() {
    for (;;) {
      const auto end = text_.find('\n');
      if (end == std::string::npos) {
        const auto bytes = source_->Next();
        if (!bytes) return {};
        text_ += bytes->view();
        if (bytes->empty() && !ready_.try_acquire_for(std::chrono::seconds(10))) return {};
        continue;
      }
      auto line = Json(text_.substr(0, end));
      text_.erase(0, end + 1);
      if (line["t"].Str() != "B") return line;
    }
  }
  // Lines up to the next of this type, which is the last.
  std::vector<json::Value> Until(std::string_view type) {
    std::vector<json::Value> out;
    do {
      out.push_back(Next());
      INFO("waiting for " << type);
      REQUIRE_FALSE(out.back().is_null());
    } while (out.back()["t"].Str() != type);
    return out;
  }

 private:
  std::unique_ptr<http::Source> source_;
  std::string text_;
  std::counting_semaphore<> ready_{0};
};

Lines Open(Api& api, std::string_view subs, http::Headers headers = {}, Api::As as = Api::As::kAdmin) {
  auto answer = api.Call("POST", "/console/v1/stream", Cat(R"({"subs":[)", subs, "]}"), std::move(headers), as);
  INFO(answer.text);
  REQUIRE(answer.source);
  CHECK(answer.Header("Content-Type") == "application/x-ndjson");
  return Lines(std::move(answer.source));
}

std::string TokenFromCode(Api& api) {
  const auto code = api.Call("POST", "/console/v1/codes", "{}");
  REQUIRE(code.status == 201);
  const auto login = api.Call("POST", "/console/v1/login", Cat(R"({"code":")", code.body["code"].Str(), "\"}"), {}, Api::As::kAnonymous);
  REQUIRE(login.status == 200);
  return std::string(login.body["token"].Str());
}

std::string WhoIs(Api& api, const std::string& token) {
  const auto answer = api.Call("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", R"({"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1"})",
                               {{"Authorization", "Bearer " + token}}, Api::As::kAnonymous);
  return answer.status == 201 ? std::string(answer.body.At({"status", "userInfo", "username"}).Str()) : std::to_string(answer.status);
}

}  // namespace

TEST_CASE("a login code of the administrator opens one session, once", "[console]") {
  Api api;
  const auto made = api.Call("POST", "/console/v1/codes", "{}");
  REQUIRE(made.status == 201);
  const std::string body = Cat(R"({"code":")", made.body["code"].Str(), "\"}");
  const auto first = api.Call("POST", "/console/v1/login", body, {}, Api::As::kAnonymous);
  REQUIRE(first.status == 200);
  CHECK(first.Header("Cache-Control") == "no-store");
  const std::string token(first.body["token"].Str());
  CHECK(WhoIs(api, token) == "admin");
  CHECK(api.Call("GET", "/api/v1/nodes", "", {{"Authorization", "Bearer " + token}}, Api::As::kAnonymous).status == 200);   // its groups came along
  CHECK(api.Call("POST", "/console/v1/login", body, {}, Api::As::kAnonymous).status == 401);
  CHECK(api.Call("POST", "/console/v1/login", R"({"code":""})", {}, Api::As::kAnonymous).status == 401);
  CHECK(api.Call("POST", "/console/v1/login", R"([])", {}, Api::As::kAnonymous).status == 400);
  CHECK(WhoIs(api, token.substr(0, token.size() - 4) + "AAAA") == "401");
}

TEST_CASE("a session token cannot prolong itself, nor a stranger get a code", "[console]") {
  Api api;
  const auto token = TokenFromCode(api);
  CHECK(api.Call("POST", "/console/v1/codes", "{}", {{"Authorization", "Bearer " + token}}, Api::As::kAnonymous).status == 403);
  CHECK(api.Call("POST", "/console/v1/codes", "{}", {}, Api::As::kAnonymous).status == 403);
  CHECK(api.Call("GET", "/console/v1/codes", "").status == 405);
  CHECK(api.Call("POST", "/console/v1/nothing", "{}").status == 404);
}

TEST_CASE("a session token outlives a restart of the server, a code does not", "[console]") {
  Api api(Api::Engine::kRocks);
  const auto token = TokenFromCode(api);
  const auto code = api.Call("POST", "/console/v1/codes", "{}");
  api.Reopen();
  CHECK(WhoIs(api, token) == "admin");
  CHECK(api.Call("POST", "/console/v1/login", Cat(R"({"code":")", code.body["code"].Str(), "\"}"), {}, Api::As::kAnonymous).status == 401);
}

TEST_CASE("one stream carries several tables: a snapshot, then every change", "[console]") {
  Api api;
  const auto client = api.Client("admin");
  const Ctx ctx{std::stop_token()};
  REQUIRE(client->Create(ctx, "v1/pods", Pod("one")));
  auto lines = Open(api, R"({"id":"p","path":"/api/v1/namespaces/default/pods","extra":[["spec","nodeName"],["metadata","labels"]]},{"id":"c","path":"/api/v1/configmaps","cells":false,"fields":"metadata.name=absent"})");
  std::map<std::string, std::vector<std::string>> types;
  json::Value row, columns;
  while (types["p"].size() < 3 || types["c"].size() < 2) {
    auto line = lines.Next();
    REQUIRE_FALSE(line.is_null());
    types[std::string(line["id"].Str())].emplace_back(line["t"].Str());
    if (line["t"].Str() == "U") row = line["rows"].Items()[0].Clone();
    if (line["t"].Str() == "reset" && line["id"].Str() == "p") columns = line["cols"].Clone();
  }
  CHECK(types["p"] == std::vector<std::string>{"reset", "U", "S"});
  CHECK(types["c"] == std::vector<std::string>{"reset", "S"});
  REQUIRE(row.size() == 5 + columns.size() + 2);
  CHECK(row.Items()[1].Str() == "default");
  CHECK(row.Items()[2].Str() == "one");
  CHECK(columns.Items()[2]["name"].Str() == "Status");
  CHECK(row.Items()[5 + 2].Str() == "Pending");
  CHECK(row.Items()[5 + columns.size() + 1]["app"].Str() == "a");
  REQUIRE(client->Create(ctx, "v1/pods", Pod("two")));
  CHECK(lines.Until("U").back()["rows"].Items()[0].Items()[2].Str() == "two");
  REQUIRE(client->Delete(ctx, "v1/pods", {"default", "one"}, DeleteOptions{"", "", 0, Propagation::kDefault}));
  CHECK(lines.Until("D").back()["uids"].Items()[0].Str() == row.Items()[0].Str());
}

TEST_CASE("a row that leaves the selection is told as gone", "[console]") {
  Api api;
  const auto client = api.Client("admin");
  const Ctx ctx{std::stop_token()};
  REQUIRE(client->Create(ctx, "v1/pods", Pod("one")));
  auto lines = Open(api, R"({"id":"p","path":"/api/v1/pods","labels":"app=a"})");
  const auto uid = std::string(lines.Until("U").back()["rows"].Items()[0].Items()[0].Str());
  REQUIRE(client->Patch(ctx, "v1/pods", {"default", "one"}, PatchType::kMerge, Json(R"({"metadata":{"labels":{"app":"b"}}})")));
  CHECK(lines.Until("D").back()["uids"].Items()[0].Str() == uid);
}

TEST_CASE("a stream resumes after the revision it was told, without a gap and without a repetition", "[console]") {
  Api api;
  const auto client = api.Client("admin");
  const Ctx ctx{std::stop_token()};
  REQUIRE(client->Create(ctx, "v1/pods", Pod("one")));
  std::string revision;
  {
    auto lines = Open(api, R"({"id":"p","path":"/api/v1/pods"})");
    revision = lines.Until("S").back()["rv"].Str();
  }
  REQUIRE(client->Create(ctx, "v1/pods", Pod("two")));
  auto again = Open(api, Cat(R"({"id":"p","path":"/api/v1/pods","rv":")", revision, "\"}"));
  CHECK(again.Next()["t"].Str() == "resume");
  const auto line = again.Next();
  REQUIRE(line["t"].Str() == "U");
  REQUIRE(line["rows"].size() == 1);
  CHECK(line["rows"].Items()[0].Items()[2].Str() == "two");
  auto impossible = Open(api, R"({"id":"p","path":"/api/v1/pods","rv":"999999999"})");   // told by another life of this server
  CHECK(impossible.Next()["t"].Str() == "reset");
}

TEST_CASE("a snapshot larger than a turn arrives whole, also when the selector drops most of it", "[console]") {
  Api api;
  const auto client = api.Client("admin");
  const Ctx ctx{std::stop_token()};
  for (int i = 0; i < 300; ++i) REQUIRE(client->Create(ctx, "v1/configmaps", Json(Cat(R"({"metadata":{"name":"c)", i, R"(","namespace":"default","labels":{"n":")", i, R"("}}})"))));
  std::size_t rows = 0;
  for (const auto& line : Open(api, R"({"id":"c","path":"/api/v1/namespaces/default/configmaps"})").Until("S")) rows += line["rows"].size();
  CHECK(rows >= 300);
  rows = 0;
  for (const auto& line : Open(api, R"({"id":"c","path":"/api/v1/namespaces/default/configmaps","labels":"n=299"})").Until("S")) rows += line["rows"].size();
  CHECK(rows == 1);
}

TEST_CASE("each table of a stream needs the right to watch it; a refusal does not end the others", "[console]") {
  Api api;
  const auto client = api.Client("admin");
  const Ctx ctx{std::stop_token()};
  REQUIRE(client->Create(ctx, "v1/serviceaccounts", Json(R"({"metadata":{"name":"viewer","namespace":"default"}})")));
  REQUIRE(client->Create(ctx, "rbac.authorization.k8s.io/v1/roles", Json(R"({"metadata":{"name":"viewer","namespace":"default"},"rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["watch"]}]})")));
  REQUIRE(client->Create(ctx, "rbac.authorization.k8s.io/v1/rolebindings",
                         Json(R"({"metadata":{"name":"viewer","namespace":"default"},"subjects":[{"kind":"ServiceAccount","name":"viewer","namespace":"default"}],"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"viewer"}})")));
  auto token = client->Create(ctx, "v1/serviceaccounts", Json(R"({"metadata":{"name":"viewer","namespace":"default"},"spec":{}})"), "token");
  REQUIRE(token);
  const std::string bearer = Cat("Bearer ", (*token)->At({"status", "token"}).Str());
  auto lines = Open(api, R"({"id":"all","path":"/api/v1/pods"},{"id":"secrets","path":"/api/v1/namespaces/default/secrets"},{"id":"mine","path":"/api/v1/namespaces/default/pods"},{"id":"odd","path":"/api/v1/oddities"})",
                    {{"Authorization", bearer}}, Api::As::kAnonymous);
  std::map<std::string, std::int64_t> codes;
  for (int i = 0; i < 3; ++i) {
    const auto line = lines.Next();
    CHECK(line["t"].Str() == "E");
    codes[std::string(line["id"].Str())] = line["code"].Int();
    if (line["id"].Str() == "secrets") CHECK(line["message"].Str().find("cannot watch resource \"secrets\"") != std::string_view::npos);
  }
  CHECK(codes == std::map<std::string, std::int64_t>{{"all", 403}, {"odd", 404}, {"secrets", 403}});
  CHECK(lines.Next()["t"].Str() == "reset");
  CHECK(api.Call("POST", "/console/v1/stream", R"({"subs":[{"id":"p","path":"/api/v1/pods"}]})", {}, Api::As::kAnonymous).status == 401);
  CHECK(api.Call("POST", "/console/v1/stream", R"({"subs":[]})").status == 400);
  CHECK(api.Call("POST", "/console/v1/stream", R"({"subs":[{"id":"p","path":"/api/v1/pods","extra":["a"]}]})").source);   // a refusal of one table, not of the request
}

TEST_CASE("the object itself travels without managedFields and with its revision", "[console]") {
  Api api;
  const auto client = api.Client("admin");
  const Ctx ctx{std::stop_token()};
  REQUIRE(client->Create(ctx, "v1/pods", Pod("one")));
  auto lines = Open(api, R"({"id":"o","path":"/api/v1/namespaces/default/pods","fields":"metadata.name=one","cells":false,"extra":[[]]})");
  const auto line = lines.Until("U");
  const auto& object = line.back()["rows"].Items()[0].Items()[5];
  CHECK(object.At({"spec", "containers"}).size() == 1);
  CHECK_FALSE(object.At({"metadata", "resourceVersion"}).Str().empty());
  CHECK(object.At({"metadata", "managedFields"}).is_null());
}
