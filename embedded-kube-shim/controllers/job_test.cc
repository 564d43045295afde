#include <catch2/catch.hpp>

#include "embedded-kube-shim/controllers/job_rules.h"

namespace skerry::kube {
namespace {

json::Value Parse(std::string_view text) {
  json::Value v;
  std::string error;
  REQUIRE(json::Value::Parse(text, &v, &error));
  return v;
}

json::Value FailedPod(int code, std::string_view condition = "", std::string_view container = "c") {
  json::Value pod = Parse(R"({"metadata":{"name":"p","namespace":"x"},"status":{"phase":"Failed"}})"), status, c;
  status.Set("name") = container;
  status.Set("state").Set("terminated").Set("exitCode") = code;
  pod.Set("status").Set("containerStatuses").Append(std::move(status));
  if (!condition.empty()) {
    c.Set("type") = condition;
    c.Set("status") = "True";
    pod.Set("status").Set("conditions").Append(std::move(c));
  }
  return pod;
}

}  // namespace

TEST_CASE("index sets read and write intervals and find what is missing", "[controllers]") {
  IndexSet s = IndexSet::Parse("1,3-5,7,x,9-8,50", 10);
  CHECK(s.Text() == "1,3-5,7");
  CHECK(s.Total() == 5);
  s.Add(6);
  CHECK(s.Text() == "1,3-7");
  s.Add(2);
  CHECK(s.Text() == "1-7");
  s.Add(0);
  CHECK(s.Text() == "0-7");
  s.Add(0);
  CHECK(s.Total() == 8);
  CHECK(s.Has(7));
  CHECK_FALSE(s.Has(8));
  CHECK(IndexSet::Parse("0,1", 10).Text() == "0,1");
  const IndexSet busy = IndexSet::Parse("9", 12);
  CHECK(IndexSet::FirstMissing({&s, &busy}, 12, 2) == std::vector<std::int64_t>{8, 10});
  CHECK(IndexSet::FirstMissing({&s, &busy}, 12, 9) == std::vector<std::int64_t>{8, 10, 11});
  CHECK(IndexSet::Parse("0-4", 10).CountIn(IndexSet::Parse("3-9", 10)) == 2);
}

TEST_CASE("the first rule of a failure policy that matches decides", "[controllers]") {
  const json::Value job = Parse(R"({"metadata":{"name":"j"},"spec":{"podFailurePolicy":{"rules":[
    {"action":"Ignore","onPodConditions":[{"type":"DisruptionTarget"}]},
    {"action":"FailJob","onExitCodes":{"operator":"In","values":[42],"containerName":"main"}},
    {"action":"Count","onExitCodes":{"operator":"NotIn","values":[1,2]}}]}}})");
  CHECK_FALSE(JudgeFailure(job, FailedPod(42, "DisruptionTarget", "main")).counts);
  CHECK(JudgeFailure(job, FailedPod(42, "", "main")).fail_message == "Container main for pod x/p failed with exit code 42 matching FailJob rule at index 1");
  CHECK(JudgeFailure(job, FailedPod(42)).action == "Count");
  CHECK(JudgeFailure(job, FailedPod(1)).action.empty());
  CHECK(JudgeFailure(job, FailedPod(0)).action.empty());
  CHECK(JudgeFailure(job, FailedPod(1)).counts);
}

TEST_CASE("a success policy is met by indexes, by a count of them or by a count alone", "[controllers]") {
  const auto met = [](std::string rules, std::string_view done) {
    std::string message;
    const bool yes = !MatchSuccessRule(Parse(R"({"spec":{"completions":5,"successPolicy":{"rules":)" + rules + "}}}"), IndexSet::Parse(done, 5), &message).empty();
    return yes ? message : std::string("no");
  };
  CHECK(met(R"([{"succeededIndexes":"0,2"}])", "0") == "no");
  CHECK(met(R"([{"succeededIndexes":"0,2"}])", "0-2") == "Matched rules at index 0");
  CHECK(met(R"([{"succeededIndexes":"0-3","succeededCount":2}])", "3-4") == "no");
  CHECK(met(R"([{"succeededIndexes":"4"},{"succeededCount":2}])", "0,1") == "Matched rules at index 1");
}

TEST_CASE("a deleted pod has failed unless the job waits for real failures", "[controllers]") {
  const json::Value pod = Parse(R"({"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"},"status":{"phase":"Running"}})");
  CHECK(HasFailed(pod, Parse(R"({"spec":{}})")));
  CHECK_FALSE(HasFailed(pod, Parse(R"({"spec":{"podReplacementPolicy":"Failed"}})")));
  CHECK_FALSE(HasFailed(pod, Parse(R"({"spec":{"podFailurePolicy":{"rules":[]}}})")));
}

TEST_CASE("an index fails when its failures are used up, and the count travels from pod to pod", "[controllers]") {
  const json::Value job = Parse(R"({"metadata":{"name":"j","namespace":"x"},"spec":{"completions":3,"completionMode":"Indexed","backoffLimitPerIndex":1,
    "template":{"metadata":{},"spec":{"containers":[{"name":"c"}]}}}})");
  json::Value first = JobPod(job, 2, nullptr);
  CHECK(Meta(first)["generateName"].Str() == "j-2-");
  CHECK(first["spec"]["hostname"].Str() == "j-2");
  CHECK(IndexOf(first, job) == 2);
  CHECK(HasTracking(first));
  CHECK(first["spec"]["containers"].Items()[0]["env"].Items()[0]["name"].Str() == "JOB_COMPLETION_INDEX");
  first.Set("status").Set("phase") = "Failed";
  CHECK_FALSE(FailsItsIndex(job, first));
  json::Value second = JobPod(job, 2, &first);
  CHECK(Meta(second)["annotations"][kIndexFailures].Str() == "1");
  second.Set("status").Set("phase") = "Failed";
  CHECK(FailsItsIndex(job, second));
}

TEST_CASE("the back-off of a job doubles up to ten minutes", "[controllers]") {
  CHECK(JobBackoff(1) == std::chrono::seconds(10));
  CHECK(JobBackoff(3) == std::chrono::seconds(40));
  CHECK(JobBackoff(100) == std::chrono::minutes(10));
}

}  // namespace skerry::kube
