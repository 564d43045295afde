#include "embedded-kube-shim/controllers/endpoints.h"

#include <catch2/catch.hpp>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/resource_def.h"
#include "tests/support/fake_informers.h"

namespace skerry::kube {
namespace {

ObjectPtr Parse(std::string_view text) {
  json::Value v;
  std::string error;
  REQUIRE(json::Value::Parse(text, &v, &error));
  return std::make_shared<const json::Value>(std::move(v));
}

struct Counting final : Reconciler {
  explicit Counting(int& n) : count(n) {}
  Result<Outcome> Reconcile(const Ctx&, const Key&) override {
    ++count;
    return Outcome{};
  }
  int& count;
};

}  // namespace

TEST_CASE("a pod is news to endpoints only when what they are made of has changed", "[controllers][endpoints]") {
  test::FakeCluster cluster;
  PodGroups groups(cluster.Get("v1/pods"));
  const auto pod = [](std::string_view status, std::string_view labels = R"({"app":"a"})") {
    return Parse(Cat(R"({"metadata":{"name":"p","namespace":"x","uid":"u","labels":)", labels, R"(},"spec":{"nodeName":"n"},"status":)", status, "}"));
  };
  const auto note = [&](const ObjectPtr& object, Notification::Type type = Notification::Type::kModified) { return groups.Note({type, object, nullptr}); };
  CHECK_FALSE(note(pod("{}"), Notification::Type::kAdded));                     // no address yet
  CHECK_FALSE(note(pod(R"({"phase":"Pending"})")));
  const char* const running = R"({"phase":"Running","podIP":"10.0.0.1","conditions":[{"type":"Ready","status":"True"}]})";
  CHECK(note(pod(running)));
  CHECK_FALSE(note(pod(R"({"phase":"Running","podIP":"10.0.0.1","conditions":[{"type":"Ready","status":"True"}],"message":"all is well"})")));
  CHECK(note(pod(R"({"phase":"Running","podIP":"10.0.0.1","conditions":[{"type":"Ready","status":"False"}]})")));
  CHECK(note(pod(running)));
  CHECK(note(pod(running, R"({"app":"b"})")));
  CHECK(note(pod(R"({"phase":"Succeeded","podIP":"10.0.0.1"})", R"({"app":"b"})")));
  CHECK_FALSE(note(pod(R"({"phase":"Succeeded","podIP":"10.0.0.1"})", R"({"app":"b"})"), Notification::Type::kDeleted));
  CHECK(note(pod(running), Notification::Type::kAdded));
  CHECK(note(pod(running), Notification::Type::kDeleted));
}

TEST_CASE("a service is looked at when somebody else changes its endpoints, not for what its controller wrote", "[controllers][endpoints]") {
  FakeClock clock;
  test::FakeCluster cluster;
  const auto manager = NewManager(cluster, clock, {.threads = 0});
  const auto registry = NewRegistry();
  ControllerContext context{*manager, cluster, [&](std::string_view) -> Client& { return cluster; }, {}, clock, *registry, {}, {}, {}};
  int looks = 0;
  ControllerSpec spec;
  spec.name = "c";
  spec.reconciler = std::make_unique<Counting>(looks);
  manager->Add(std::move(spec));
  const auto own = std::make_shared<OwnWrites>();
  AddStrangersOf(context, "c", "v1/endpoints", own, [](const json::Value& object) { return std::vector<Key>{KeyOf(object)}; });
  REQUIRE(manager->Start(Ctx(std::stop_token())));
  const auto version = [](int n) { return Cat(R"({"metadata":{"name":"s","namespace":"x","uid":"u","resourceVersion":")", n, R"("}})"); };
  const auto settle = [&] {
    clock.Advance(std::chrono::seconds(1));
    manager->RunDue();
    return looks;
  };
  cluster.Put("v1/endpoints", version(1));
  CHECK(settle() == 1);                                // somebody's
  own->Note(*Parse(version(2)));
  cluster.Put("v1/endpoints", version(2));
  CHECK(settle() == 1);
  cluster.Put("v1/endpoints", version(3));             // the news come before the writer has returned
  own->Note(*Parse(version(3)));
  CHECK(settle() == 1);
  cluster.Put("v1/endpoints", version(4));
  CHECK(settle() == 2);
  cluster.Remove("v1/endpoints", {"x", "s"});
  CHECK(settle() == 3);
  manager->Stop();
}

}  // namespace skerry::kube
