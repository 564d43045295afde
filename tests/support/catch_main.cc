#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "tests/support/asserting.h"

namespace {

// Two threads in Catch's macros tear its lists, and the crash comes long after, in a case that did nothing wrong. So beside the test's own
// thread one other may assert (a shard whose tasks the test waits for), and any that says that it is waited for.
class OneThread final : public Catch::TestEventListenerBase {
 public:
  using TestEventListenerBase::TestEventListenerBase;
  void testCaseStarting(const Catch::TestCaseInfo&) override { other_ = std::thread::id(); }
  void assertionStarting(const Catch::AssertionInfo& assertion) override {
    const std::thread::id me = std::this_thread::get_id();
    if (me == mine_ || skerry::test::asserts_for_test) return;
    std::thread::id first;
    if (other_.compare_exchange_strong(first, me) || first == me) return;
    std::fprintf(stderr, "%s:%zu: assertions on several threads of one test; collect there, check after the join\n", assertion.lineInfo.file, assertion.lineInfo.line);
    std::abort();
  }
  // Failures once more in a file of their own, in the form that `skerry_tests -f` takes: what failed as a comment, then the case.
  bool assertionEnded(const Catch::AssertionStats& stats) override {
    const Catch::AssertionResult& result = stats.assertionResult;
    if (result.isOk()) return true;
    std::string text = result.hasExpression() ? result.getExpressionInMacro() + " is " + result.getExpandedExpression() : std::string();
    for (const Catch::MessageInfo& message : stats.infoMessages) text += "; " + message.message;
    if (result.hasMessage()) text += "; " + std::string(result.getMessage());
    std::replace(text.begin(), text.end(), '\n', ' ');
    Note("# " + std::string(result.getSourceInfo().file) + ":" + std::to_string(result.getSourceInfo().line) + ": " + text.substr(0, 400));
    return true;
  }
  void testCaseEnded(const Catch::TestCaseStats& stats) override {
    if (stats.totals.assertions.failed == 0) return;
    std::string name;
    for (const char c : stats.testInfo.name) name += c == ',' || c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
    Note(name);
  }

 private:
  static void Note(const std::string& line) {
    if (const char* path = std::getenv("SKERRY_FAILED_CASES")) std::ofstream(path, std::ios::app) << line << '\n';
  }

  const std::thread::id mine_ = std::this_thread::get_id();
  std::atomic<std::thread::id> other_;
};
CATCH_REGISTER_LISTENER(OneThread)

}  // namespace
