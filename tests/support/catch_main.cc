#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>

#include <atomic>
#include <cstdio>
#include <cstdlib>
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
  bool assertionEnded(const Catch::AssertionStats&) override { return true; }

 private:
  const std::thread::id mine_ = std::this_thread::get_id();
  std::atomic<std::thread::id> other_;
};
CATCH_REGISTER_LISTENER(OneThread)

}  // namespace
