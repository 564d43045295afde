#include <catch2/catch.hpp>

#include "embedded-kube-shim/client/kubeconfig.h"
#include "embedded-kube-shim/client/remote_request.h"
#include "embedded-kube-shim/client/remote_store.h"

namespace skerry::kube {
namespace {

constexpr std::string_view kConfig = R"(apiVersion: v1
kind: Config
current-context: b
contexts:
- {name: a, context: {cluster: one, user: me}}
- {name: b, context: {cluster: two, user: me}}
clusters:
- {name: one, cluster: {server: "https://one:6443"}}
- {name: two, cluster: {server: "https://10.0.0.1:6443/", certificate-authority-data: Q0E=}}
users:
- {name: me, user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}}
)";

ObjectPtr Pod(std::string_view name, std::string_view uid, std::string_view version, std::string_view node = "", std::string_view owner = "") {
  json::Value pod;
  json::Value& meta = pod.Set("metadata");
  meta.Set("namespace") = "ns";
  meta.Set("name") = name;
  meta.Set("uid") = uid;
  meta.Set("resourceVersion") = version;
  meta.Set("labels").Set("app") = name;
  if (!owner.empty()) {
    json::Value ref;
    ref.Set("uid") = owner;
    ref.Set("controller") = true;
    meta.Set("ownerReferences").Append(std::move(ref));
  }
  if (!node.empty()) pod.Set("spec").Set("nodeName") = node;
  return std::make_shared<const json::Value>(std::move(pod));
}

// What a subscriber was told, as text, once the delivery was told to end.
struct Ear {
  explicit Ear(remote::Delivery& d) : delivery(d) {
    subscriber->callback = [this](const Notification& n) {
      const char* const types[] = {"+", "~", "-"};
      heard += types[static_cast<int>(n.type)];
      heard += n.object->At({"metadata", "name"}).Str();
      heard += n.object->At({"metadata", "resourceVersion"}).Str();
      if (heard.ends_with(until)) delivery.Stop();
    };
  }
  std::string Until(std::string_view last) {
    until = last;
    delivery.Run();
    return heard;
  }
  remote::Delivery& delivery;
  remote::Delivery::SubscriberPtr subscriber = std::make_shared<remote::Delivery::Subscriber>();
  std::string heard, until;
};

}  // namespace

TEST_CASE("a kubeconfig gives the server and the credentials of its current context", "[client]") {
  const auto server = ParseKubeconfig(kConfig, ".");
  REQUIRE(server);
  CHECK(server->url == "https://10.0.0.1:6443");
  CHECK(server->ca_pem == "CA");
  CHECK(server->certificate_pem == "CERT");
  CHECK(server->key_pem == "KEY");
  CHECK(server->verify);
  CHECK(server->connect_to.empty());
}

TEST_CASE("a kubeconfig that cannot be used says what is wrong with it", "[client]") {
  const auto message = [](std::string text, std::string_view what, std::string_view by) {
    text.replace(text.find(what), what.size(), by);
    const auto r = ParseKubeconfig(text, ".");
    return r ? std::string("ok") : std::string(r.error().message());
  };
  const std::string config(kConfig);
  CHECK(message(config, "current-context: b", "current-context: c") == "kubeconfig: there is no context \"c\"");
  CHECK(message(config, "cluster: two, user: me}}\nclusters", "cluster: three, user: me}}\nclusters") == "kubeconfig: there is no cluster \"three\"");
  CHECK(message(config, "https://10", "http://10") == "kubeconfig: the server \"http://10.0.0.1:6443\" is no https URL");
  CHECK(message(config, "Q0E=", "Q0E").starts_with("certificate-authority-data: "));
  CHECK(message(config, "client-key-data: S0VZ", "exec: {command: x}") == "kubeconfig: only client certificates and tokens are supported");
}

TEST_CASE("a server that TLS knows by another name is dialed where it is", "[client]") {
  std::string text(kConfig);
  const std::string_view what = "certificate-authority-data: Q0E=";
  text.replace(text.find(what), what.size(), "tls-server-name: api.example.com");
  const auto server = ParseKubeconfig(text, ".");
  REQUIRE(server);
  CHECK(server->url == "https://api.example.com:6443");
  CHECK(server->connect_to == "10.0.0.1:6443");
}

TEST_CASE("resources, namespaces and names become paths of the API", "[client]") {
  CHECK(remote::PathOf("v1/pods", "ns", "a", "status") == "/api/v1/namespaces/ns/pods/a/status");
  CHECK(remote::PathOf("apps/v1/deployments", "", "") == "/apis/apps/v1/deployments");
  CHECK(remote::PathOf("v1/nodes", "", "system:x/y") == "/api/v1/nodes/system%3Ax%2Fy");
}

TEST_CASE("a new list tells subscribers the difference to what was known, recreated objects included", "[client]") {
  remote::Delivery delivery;
  remote::Store store(delivery);
  store.Replace({Pod("a", "1", "1"), Pod("b", "2", "2"), Pod("c", "3", "3"), Pod("d", "4", "4")});
  Ear ear(delivery);
  store.Subscribe(ear.subscriber);
  store.Replace({Pod("a", "1", "1"), Pod("b", "2", "7"), Pod("c", "9", "8"), Pod("e", "5", "9")});
  CHECK(ear.Until("+e9") == "+a1+b2+c3+d4-c3-d4~b7+c8+e9");
}

TEST_CASE("who subscribes hears of what there is and then of every change, in order", "[client]") {
  remote::Delivery delivery;
  remote::Store store(delivery);
  store.Put(Pod("a", "1", "1"));
  Ear ear(delivery), deaf(delivery);
  store.Subscribe(ear.subscriber);
  store.Subscribe(deaf.subscriber);
  store.Unsubscribe(deaf.subscriber);
  store.Put(Pod("a", "1", "2"));
  store.Remove(Pod("a", "1", "3"));
  store.Remove(Pod("a", "1", "3"));
  store.Put(Pod("b", "2", "4"));
  CHECK(ear.Until("+b4") == "+a1~a2-a3+b4");
  CHECK(deaf.heard.empty());
}

TEST_CASE("a remote lister finds by namespace, label, owner and node as objects come and go", "[client]") {
  remote::Delivery delivery;
  remote::Store store(delivery);
  store.Put(Pod("a", "1", "1", "n1", "o1"));
  store.Put(Pod("b", "2", "1", "", "o1"));
  CHECK(store.OwnedBy("o1").size() == 2);
  CHECK(store.OnNode("n1").size() == 1);
  CHECK(store.List("ns").size() == 2);
  CHECK(store.List("other").empty());
  CHECK(store.Matching("ns", "app in (a,c)").size() == 1);
  CHECK(store.Matching("ns", "app in (").empty());
  store.Put(Pod("b", "2", "2", "n1", "o2"));
  CHECK(store.OwnedBy("o1").size() == 1);
  CHECK(store.OnNode("n1").size() == 2);
  store.Remove(Pod("a", "1", "3"));
  CHECK(store.OwnedBy("o1").empty());
  CHECK(store.OnNode("n1").size() == 1);
  CHECK_FALSE(store.Get({"ns", "a"}));
}

}  // namespace skerry::kube
