#include <catch2/catch.hpp>

#include <fstream>
#include <signal.h>
#include <sys/stat.h>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "tests/node/bench.h"
#include "tests/support/skip.h"

namespace skerry::kube::node::bench {
namespace {

using std::chrono::seconds;

constexpr const char* kOne = R"({"containers":[{"name":"c","image":"busybox:1","command":["sleep","1"]}]})";

std::string Condition(const json::Value& status, std::string_view type) {
  const json::Value* c = FindCondition(status, type);
  return c ? std::string((*c)["status"].Str()) : "";
}

}  // namespace

TEST_CASE("a pod runs and its status says so", "[node]") {
  Bench b;
  const std::string uid = b.Run("p", kOne);
  REQUIRE(b.Until([&] { return b.State("p") == "running"; }));
  b.Settle();
  const json::Value s = b.Status("p");
  CHECK(s["phase"].Str() == "Running");
  CHECK(s["podIP"].Str() == "10.42.0.1");
  CHECK(s["hostIP"].Str() == "192.168.0.1");
  CHECK(s["qosClass"].Str() == "BestEffort");
  CHECK(s["observedGeneration"].Int() == 1);
  for (const char* type : {"PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"}) CHECK(Condition(s, type) == "True");
  for (const json::Value& condition : s["conditions"].Items()) CHECK(condition["observedGeneration"].Int() == 1);
  const json::Value& c = s["containerStatuses"].Items()[0];
  CHECK(c["ready"].Bool());
  CHECK(c["started"].Bool());
  CHECK(c["restartCount"].Int() == 0);
  CHECK(c["containerID"].Str() == Cat("fake://", uid, ".c.0"));
  CHECK(c["imageID"].Str().starts_with("docker.io/library/busybox@sha256:"));
  CHECK(b.events.Count("Started") == 1);

  SECTION("and nothing more is asked of the runtime or the API while nothing changes") {
    const std::string version((*b.Pod("p"))["metadata"]["resourceVersion"].Str());
    const std::size_t calls = b.runtime.calls().size();
    b.Advance(seconds(600));
    CHECK(b.runtime.calls().size() == calls);
    CHECK((*b.Pod("p"))["metadata"]["resourceVersion"].Str() == version);
  }
}

TEST_CASE("a container that fails restarts at once, then after 10 and 20 seconds, in CrashLoopBackOff", "[node]") {
  Bench b;
  const std::string uid = b.Run("p", kOne);
  REQUIRE(b.Until([&] { return b.State("p") == "running"; }));
  b.runtime.Exit(uid + ".c.0", 3);
  REQUIRE(b.Until([&] { return b.Calls("StartContainer " + uid + ".c.1") == 1 && b.State("p") == "running"; }));
  for (const int wait : {10, 20}) {
    const int number = wait / 10;
    b.runtime.Exit(Cat(uid, ".c.", number), 3);
    REQUIRE(b.Until([&] { return b.State("p") == "waiting/CrashLoopBackOff"; }));
    const json::Value s = b.Status("p");
    const json::Value& c = s["containerStatuses"].Items()[0];
    CHECK(c["lastState"]["terminated"]["exitCode"].Int() == 3);
    CHECK(c["restartCount"].Int() == number);
    CHECK(c["state"]["waiting"]["message"].Str() == Cat("back-off ", wait, "s restarting failed container=c pod=p_default(", uid, ")"));
    CHECK(s["phase"].Str() == "Running");
    CHECK(Condition(s, "Ready") == "False");
    b.Advance(seconds(wait - 1));
    CHECK(b.State("p") == "waiting/CrashLoopBackOff");
    b.Advance(seconds(1));
    REQUIRE(b.Until([&] { return b.State("p") == "running"; }));
    CHECK(b.events.Count("BackOff") == static_cast<std::size_t>(number));   // told once for each, however often the pod is looked at
  }
  // Ten minutes of health forgive: the next failure counts as the first again.
  b.Advance(seconds(601));
  b.runtime.Exit(uid + ".c.3", 3);
  REQUIRE(b.Until([&] { return b.Calls("StartContainer " + uid + ".c.4") == 1; }));
  CHECK(b.Calls("RemoveContainer " + uid + ".c.0") == 1);   // the latest two stay for logs
}

TEST_CASE("the restart policy decides whether a container runs again and what the pod comes to", "[node]") {
  struct Row { const char* policy; int code; bool again; const char* phase; };
  const Row row = GENERATE(Row{"Always", 0, true, "Running"}, Row{"OnFailure", 0, false, "Succeeded"}, Row{"OnFailure", 1, true, "Running"},
                           Row{"Never", 0, false, "Succeeded"}, Row{"Never", 1, false, "Failed"});
  CAPTURE(row.policy, row.code);
  Bench b;
  const std::string uid = b.Run("p", Cat(R"({"restartPolicy":")", row.policy, R"(","containers":[{"name":"c","image":"busybox:1"}]})"));
  REQUIRE(b.Until([&] { return b.State("p") == "running"; }));
  b.runtime.Exit(uid + ".c.0", row.code);
  b.Settle();
  CHECK((b.Calls("StartContainer " + uid + ".c.1") == 1) == row.again);
  CHECK(b.Status("p")["phase"].Str() == row.phase);
  if (row.again) return;
  CHECK(b.State("p") == (row.code == 0 ? "terminated/Completed" : "terminated/Error"));
  CHECK(b.network.size() == 0);                       // its address is free
  CHECK(b.Calls("RemoveContainer") == 0);             // its containers stay for logs
}

TEST_CASE("init containers run one after the other, sidecars stay and start before the next", "[node]") {
  Bench b;
  const std::string uid = b.Run("p", R"({"restartPolicy":"Never","initContainers":[{"name":"first","image":"busybox:1"},{"name":"side","image":"busybox:1","restartPolicy":"Always"},
    {"name":"last","image":"busybox:1"}],"containers":[{"name":"c","image":"busybox:1"}]})");
  REQUIRE(b.Until([&] { return b.Calls("StartContainer " + uid + ".first.0") == 1; }));
  b.Settle();
  CHECK(b.Calls("StartContainer") == 1);
  CHECK(b.State("p") == "waiting/PodInitializing");
  CHECK(b.Status("p")["phase"].Str() == "Pending");
  CHECK((*FindCondition(b.Status("p"), "Initialized"))["message"].Str() == "containers with incomplete status: [first side last]");
  b.runtime.Exit(uid + ".first.0", 0);
  REQUIRE(b.Until([&] { return b.Calls("StartContainer " + uid + ".last.0") == 1; }));
  CHECK(b.Calls("StartContainer " + uid + ".side.0") == 1);
  CHECK(b.Calls("StartContainer " + uid + ".c.0") == 0);
  b.runtime.Exit(uid + ".last.0", 0);
  REQUIRE(b.Until([&] { return b.State("p") == "running"; }));
  b.Settle();
  CHECK(Condition(b.Status("p"), "Initialized") == "True");
  // A sidecar restarts in a pod that never does; when the pod's own work is done it ends and only then the phase is final.
  b.runtime.Exit(uid + ".side.0", 1);
  REQUIRE(b.Until([&] { return b.Calls("StartContainer " + uid + ".side.1") == 1; }));
  b.runtime.IgnoreSignal(uid + ".side.1", SIGTERM);
  b.runtime.Exit(uid + ".c.0", 0);
  REQUIRE(b.Until([&] { return b.Calls(Cat("Signal ", uid, ".side.1 15")) == 1; }));
  b.Settle();
  CHECK(b.Status("p")["phase"].Str() == "Running");
  b.runtime.Exit(uid + ".side.1", 0);
  REQUIRE(b.Until([&] { return b.Status("p")["phase"].Str() == "Succeeded"; }));
}

TEST_CASE("an init container that fails in a pod that never restarts fails the pod", "[node]") {
  Bench b;
  b.runtime.AddImage("failing:1");
  b.runtime.ExitOnStart("failing:1", 7);
  const std::string uid = b.Run("p", R"({"restartPolicy":"Never","initContainers":[{"name":"i","image":"failing:1"}],"containers":[{"name":"c","image":"busybox:1"}]})");
  REQUIRE(b.Until([&] { return b.Status("p")["phase"].Str() == "Failed"; }));
  CHECK(b.Calls("StartContainer " + uid + ".c.0") == 0);
  CHECK(b.Status("p")["initContainerStatuses"].Items()[0]["state"]["terminated"]["exitCode"].Int() == 7);
}

TEST_CASE("deletion runs preStop, asks to end, kills after the grace period and leaves nothing", "[node]") {
  Bench b;
  const std::string uid = b.Run("p", R"({"terminationGracePeriodSeconds":10,"containers":[{"name":"c","image":"busybox:1","lifecycle":{"preStop":{"exec":{"command":["bye"]}}}}],
    "volumes":[{"name":"e","emptyDir":{}}]})");
  REQUIRE(b.Until([&] { return b.State("p") == "running"; }));
  const std::string id = uid + ".c.0";
  b.runtime.IgnoreSignal(id, SIGTERM);
  b.runtime.ClearCalls();
  b.Delete("p");
  REQUIRE(b.Until([&] { return b.Calls(Cat("Signal ", id, " 15")) == 1; }));
  CHECK(b.runtime.calls().front() == Cat("Exec ", id, " bye"));
  b.Advance(seconds(9));
  CHECK(b.Calls(Cat("Signal ", id, " 9")) == 0);
  CHECK(b.Pod("p"));
  CHECK(b.State("p") == "running");
  b.Advance(seconds(1));
  REQUIRE(b.Until([&] { return !b.Pod("p"); }));
  CHECK(b.Calls(Cat("Signal ", id, " 9")) >= 1);
  CHECK(b.runtime.ListSandboxes()->empty());
  CHECK(b.network.size() == 0);
  CHECK(std::filesystem::is_empty(b.directory / "pods"));
  CHECK(std::filesystem::is_empty(b.directory / "logs"));
}

TEST_CASE("a deleted pod that a finalizer keeps stays as it ended", "[node]") {
  Bench b;
  const std::string uid = b.Run("p", R"({"restartPolicy":"Always","containers":[{"name":"c","image":"busybox:1"}]})", R"({"finalizers":["test.example.com/kept"]})");
  REQUIRE(b.Until([&] { return b.State("p") == "running"; }));
  b.runtime.IgnoreSignal(uid + ".c.0", SIGTERM);
  b.Delete("p", 5);
  REQUIRE(b.Until([&] { return b.Calls("Signal " + uid + ".c.0") == 1; }));
  b.runtime.Exit(uid + ".c.0", 0);
  REQUIRE(b.Until([&] { return b.State("p") == "terminated/Completed" && b.Calls("RemoveSandbox") == 1; }));
  b.Advance(seconds(60));
  CHECK(b.State("p") == "terminated/Completed");
  CHECK(b.Status("p")["phase"].Str() == "Succeeded");
  CHECK(b.Calls("StartContainer") == 1);
}

TEST_CASE("a second delete may only shorten the grace period", "[node]") {
  Bench b;
  const std::string uid = b.Run("p", kOne);
  REQUIRE(b.Until([&] { return b.State("p") == "running"; }));
  b.runtime.IgnoreSignal(uid + ".c.0", SIGTERM);
  b.Delete("p", 300);
  REQUIRE(b.Until([&] { return b.Calls("Signal") == 1; }));
  b.Delete("p", 5);
  b.Settle();
  b.Advance(seconds(5));
  CHECK(b.Until([&] { return !b.Pod("p"); }));
}

TEST_CASE("a pod deleted by force is ended although its object is gone", "[node]") {
  Bench b;
  const std::string uid = b.Run("p", kOne);
  REQUIRE(b.Until([&] { return b.State("p") == "running"; }));
  b.Delete("p", 0);
  CHECK_FALSE(b.Pod("p"));
  REQUIRE(b.Until([&] { return b.runtime.ListSandboxes()->empty(); }));
  CHECK(b.network.size() == 0);
}

TEST_CASE("a new pod of the same name starts while the old one still ends", "[node]") {
  Bench b;
  const std::string old_uid = b.Run("p", kOne);
  REQUIRE(b.Until([&] { return b.State("p") == "running"; }));
  b.runtime.IgnoreSignal(old_uid + ".c.0", SIGTERM);
  b.runtime.IgnoreSignal(old_uid + ".c.0", SIGKILL);
  b.Delete("p", 0);
  const std::string new_uid = b.Run("p", kOne);
  REQUIRE(b.Until([&] { return b.State("p") == "running"; }));
  CHECK(new_uid != old_uid);
  b.runtime.Exit(old_uid + ".c.0", 137);
  REQUIRE(b.Until([&] { return b.runtime.ListSandboxes()->size() == 1; }));
  CHECK(b.State("p") == "running");
}

TEST_CASE("a pull that fails is told, retried with back-off, and ends when the image is there", "[node]") {
  Bench b;
  b.runtime.SetPullError("absent", Error(Code::kNotFound, "manifest unknown"));
  b.Run("p", R"({"containers":[{"name":"c","image":"absent"}]})");
  REQUIRE(b.Until([&] { return b.State("p") == "waiting/ImagePullBackOff" || b.State("p") == "waiting/ErrImagePull"; }));
  b.Settle();
  CHECK(b.Status("p")["phase"].Str() == "Pending");
  CHECK(b.events.Count("Failed: Error: ErrImagePull") == 1);
  CHECK(b.Calls("Pull absent") == 1);
  b.Advance(seconds(9));
  CHECK(b.Calls("Pull absent") == 1);
  b.Advance(seconds(1));
  REQUIRE(b.Until([&] { return b.Calls("Pull absent") == 2; }));
  b.Settle();
  b.runtime.ClearPullError("absent");
  b.runtime.AddImage("absent");
  b.Advance(seconds(20));
  CHECK(b.Until([&] { return b.State("p") == "running"; }));
}

TEST_CASE("a pod is pending until each of its containers has started once", "[node]") {
  Bench b;
  b.runtime.SetPullError("absent", Error(Code::kNotFound, "manifest unknown"));
  const std::string uid = b.Run("p", R"({"containers":[{"name":"c","image":"busybox:1"},{"name":"d","image":"absent"}]})");
  REQUIRE(b.Until([&] { return b.State("p") == "running" && b.State("p", 1) == "waiting/ImagePullBackOff"; }));
  b.Settle();
  CHECK(b.Status("p")["phase"].Str() == "Pending");
  b.runtime.ClearPullError("absent");
  b.runtime.AddImage("absent");
  b.Advance(seconds(10));
  REQUIRE(b.Until([&] { return b.State("p", 1) == "running"; }));
  b.Settle();
  CHECK(b.Status("p")["phase"].Str() == "Running");
  b.runtime.Exit(uid + ".d.0", 1);
  REQUIRE(b.Until([&] { return b.Calls("StartContainer " + uid + ".d.1") == 1; }));
  b.runtime.Exit(uid + ".d.1", 1);
  REQUIRE(b.Until([&] { return b.State("p", 1) == "waiting/CrashLoopBackOff"; }));
  b.Settle();
  CHECK(b.Status("p")["phase"].Str() == "Running");    // it runs again, it does not start over
}

TEST_CASE("image names and pull policies that cannot work are told by their reasons", "[node]") {
  Bench b;
  b.Run("never", R"({"containers":[{"name":"c","image":"nowhere","imagePullPolicy":"Never"}]})");
  b.Run("name", R"({"containers":[{"name":"c","image":"Not A Name"}]})");
  CHECK(b.Until([&] { return b.State("never") == "waiting/ErrImageNeverPull" && b.State("name") == "waiting/InvalidImageName"; }));
}

TEST_CASE("a pod on the host's network has the host's names and its own aliases", "[node]") {
  Bench b;
  const std::string uid = b.Run("p", R"({"hostNetwork":true,"hostAliases":[{"ip":"1.2.3.4","hostnames":["x"]}],"containers":[{"name":"c","image":"busybox:1"}]})");
  REQUIRE(b.Until([&] { return b.State("p") == "running"; }));
  auto host = ReadFile("/etc/hosts", 1 << 20);
  const auto text = ReadFile(Cat(b.directory.string(), "/pods/", uid, "/etc-hosts"), 1 << 21);
  REQUIRE(text);
  CHECK(*text == Cat("# Kubernetes-managed hosts file (host network).\n", host ? *host : "", "\n# Entries added by HostAliases.\n1.2.3.4\tx\n"));
  const auto spec = b.runtime.InspectContainer(uid + ".c.0");
  REQUIRE(spec);
}

TEST_CASE("a missing config map holds the container back until it exists", "[node]") {
  Bench b;
  b.Run("p", R"({"containers":[{"name":"c","image":"busybox:1","envFrom":[{"configMapRef":{"name":"later"}}]}]})");
  REQUIRE(b.Until([&] { return b.State("p") == "waiting/CreateContainerConfigError"; }));
  CHECK(b.Status("p")["containerStatuses"].Items()[0]["state"]["waiting"]["message"].Str() == "configmap \"later\" not found");
  b.Create("v1/configmaps", R"({"metadata":{"name":"later","namespace":"default"},"data":{"A":"1"}})");
  b.Settle();
  b.Advance(seconds(10));
  CHECK(b.Until([&] { return b.State("p") == "running"; }));
}

TEST_CASE("a change of a config map reaches the pod's files", "[node]") {
  Bench b;
  b.Create("v1/configmaps", R"({"metadata":{"name":"cm","namespace":"default"},"data":{"k":"old"}})");
  const std::string uid = b.Run("p", R"({"containers":[{"name":"c","image":"busybox:1","volumeMounts":[{"name":"v","mountPath":"/v"}]}],"volumes":[{"name":"v","configMap":{"name":"cm"}}]})");
  REQUIRE(b.Until([&] { return b.State("p") == "running"; }));
  const std::string file = (b.directory / "pods" / uid / "volumes/projected/v/k").string();
  CHECK(*ReadFile(file) == "old");
  REQUIRE(b.client().Patch(b.ctx, "v1/configmaps", {"default", "cm"}, PatchType::kMerge, Parse(R"({"data":{"k":"new"}})")));
  CHECK(b.Until([&] { return *ReadFile(file) == "new"; }));
}

TEST_CASE("a token's file is open to the one user of a pod and its group alone", "[node]") {
  if (::geteuid() != 0) return test::Skip("mounts need root");
  Bench b;
  struct Case {
    const char *name, *security, *own;
    unsigned mode;
    uid_t uid;
    gid_t gid;
  };
  const Case cases[] = {{"none", "{}", "{}", 0644, 0, 0},
                        {"user", R"({"runAsUser":1000})", "{}", 0600, 1000, 0},
                        {"group", R"({"fsGroup":10000})", "{}", 0640, 0, 10000},
                        {"both", R"({"runAsUser":1000,"fsGroup":10000})", "{}", 0640, 1000, 10000},
                        {"own", "{}", R"({"runAsUser":7})", 0600, 7, 0},
                        {"mixed", R"({"runAsUser":1000})", R"({"runAsUser":7})", 0644, 0, 0}};
  for (const Case& c : cases) {
    const bool mixed = std::string_view(c.name) == "mixed";
    const std::string second = mixed ? R"(,{"name":"d","image":"busybox:1"})" : "";
    const std::string uid = b.Run(c.name, Cat(R"({"securityContext":)", c.security, R"(,"containers":[{"name":"c","image":"busybox:1","securityContext":)", c.own, "}", second,
                                              R"(],"volumes":[{"name":"t","projected":{"sources":[{"serviceAccountToken":{"path":"token"}}]}}]})"));
    REQUIRE(b.Until([&] { return b.State(c.name) == "running"; }));
    struct stat st {};
    REQUIRE(::stat(Cat(b.directory.string(), "/pods/", uid, "/volumes/projected/t/token").c_str(), &st) == 0);
    CAPTURE(c.name);
    CHECK((st.st_mode & 07777) == c.mode);
    CHECK(st.st_uid == c.uid);
    CHECK(st.st_gid == c.gid);
    b.Delete(c.name, 0);
    REQUIRE(b.Until([&] { return std::filesystem::is_empty(b.directory / "pods"); }));
  }
}

TEST_CASE("a new agent adopts what runs and starts nothing twice", "[node]") {
  Bench b;
  const std::string uid = b.Run("p", R"({"containers":[{"name":"c","image":"busybox:1","readinessProbe":{"exec":{"command":["x"]},"periodSeconds":5}}]})");
  REQUIRE(b.Until([&] { return Condition(b.Status("p"), "Ready") == "True"; }));
  b.Settle();
  const std::string before = b.Status("p").Dump();
  b.probes["c"] = {false, "no"};                      // must not count before it is asked
  b.runtime.ClearCalls();
  b.RestartAgent();
  b.Settle();
  CHECK(b.Calls("StartContainer") == 0);
  CHECK(b.Calls("EnsureSandbox") == 0);
  CHECK(Condition(b.Status("p"), "Ready") == "True");
  CHECK(b.Status("p").Dump() == before);

  SECTION("and its probes go on") {
    for (int i = 0; i < 3; ++i) b.Advance(seconds(5));
    CHECK(b.Until([&] { return Condition(b.Status("p"), "Ready") == "False"; }));
    CHECK(b.State("p") == "running");
  }
  SECTION("and its end is noticed") {
    b.runtime.Exit(uid + ".c.0", 1);
    CHECK(b.Until([&] { return b.Status("p")["containerStatuses"].Items()[0]["restartCount"].Int() == 1; }));
  }
}

TEST_CASE("what happened while no agent ran is made up for", "[node]") {
  Bench b;
  const std::string gone = b.Run("gone", kOne), ended = b.Run("ended", kOne);
  REQUIRE(b.Until([&] { return b.State("gone") == "running" && b.State("ended") == "running"; }));
  b.Settle();
  b.runtime.OnEvent({});
  b.Delete("gone", 0);
  b.runtime.Exit(ended + ".c.0", 1);
  std::filesystem::create_directories(b.directory / "pods" / "11111111-stray" / "volumes/empty-dir/v");
  std::filesystem::create_directories(b.directory / "logs" / "ns_stray_11111111-stray");
  b.RestartAgent();
  REQUIRE(b.Until([&] { return b.runtime.ListSandboxes()->size() == 1 && b.Calls("StartContainer " + ended + ".c.1") == 1; }));
  CHECK_FALSE(std::filesystem::exists(b.directory / "pods" / gone));
  CHECK_FALSE(std::filesystem::exists(b.directory / "pods" / "11111111-stray"));
  CHECK_FALSE(std::filesystem::exists(b.directory / "logs" / "ns_stray_11111111-stray"));
}

TEST_CASE("a sandbox that died is replaced and the restart count goes on", "[node]") {
  Bench b;
  const std::string uid = b.Run("p", kOne);
  REQUIRE(b.Until([&] { return b.State("p") == "running"; }));
  b.runtime.KillSandbox(uid + ".0");
  REQUIRE(b.Until([&] { return b.Calls("EnsureSandbox " + uid + ".1") == 1 && b.State("p") == "running"; }));
  CHECK(b.Status("p")["containerStatuses"].Items()[0]["restartCount"].Int() == 1);
  CHECK(b.Status("p")["podIP"].Str() == "10.42.0.2");
}

TEST_CASE("a pod past its active deadline ends and fails", "[node]") {
  Bench b;
  const std::string uid = b.Run("p", R"({"activeDeadlineSeconds":60,"restartPolicy":"Never","containers":[{"name":"c","image":"busybox:1"}]})");
  REQUIRE(b.Until([&] { return b.State("p") == "running"; }));
  b.Advance(seconds(58));
  CHECK(b.State("p") == "running");
  b.Advance(seconds(3));
  REQUIRE(b.Until([&] { return b.Status("p")["phase"].Str() == "Failed"; }));
  CHECK(b.Status("p")["reason"].Str() == "DeadlineExceeded");
  CHECK(b.Calls("Signal " + uid) >= 1);
}

TEST_CASE("the termination message comes from its file or, when wished, from the log", "[node]") {
  Bench b;
  const std::string uid = b.Run("p", R"({"restartPolicy":"Never","containers":[{"name":"a","image":"busybox:1"},
    {"name":"b","image":"busybox:1","terminationMessagePolicy":"FallbackToLogsOnError"},{"name":"d","image":"busybox:1","terminationMessagePolicy":"FallbackToLogsOnError"}]})");
  REQUIRE(b.Until([&] { return b.State("p", 2) == "running"; }));
  std::ofstream(b.directory / "pods" / uid / "containers" / (uid + ".a.0") / "termination-log") << "from the file";
  b.runtime.WriteLog(uid + ".b.0", "stderr", "from the log");
  b.runtime.WriteLog(uid + ".d.0", "stderr", "not asked for: it ended well");
  b.runtime.Exit(uid + ".a.0", 1);
  b.runtime.Exit(uid + ".b.0", 1);
  b.runtime.Exit(uid + ".d.0", 0);
  REQUIRE(b.Until([&] { return b.Status("p")["phase"].Str() == "Failed"; }));
  const json::Value s = b.Status("p");
  const auto message = [&](int i) { return std::string(s["containerStatuses"].Items()[i]["state"]["terminated"]["message"].Str()); };
  CHECK(message(0) == "from the file");
  CHECK(message(1) == "from the log\n");
  CHECK(message(2).empty());
}

TEST_CASE("a changed image replaces the container in place, also in a pod that never restarts", "[node]") {
  Bench b;
  b.runtime.AddImage("newer");
  const std::string uid = b.Run("p", R"({"restartPolicy":"Never","containers":[{"name":"c","image":"busybox:1"}]})");
  REQUIRE(b.Until([&] { return b.State("p") == "running"; }));
  REQUIRE(b.client().Patch(b.ctx, "v1/pods", {"default", "p"}, PatchType::kStrategic, Parse(R"({"spec":{"containers":[{"name":"c","image":"newer"}]}})")));
  REQUIRE(b.Until([&] { return b.Calls("StartContainer " + uid + ".c.1") == 1; }));
  b.Settle();
  CHECK(b.Status("p")["containerStatuses"].Items()[0]["image"].Str() == "newer");
  CHECK(b.Status("p")["observedGeneration"].Int() == 2);
}

}  // namespace skerry::kube::node::bench
