#pragma once

namespace skerry::test {

// Set by a thread for which the test's own thread waits: it may use Catch's macros, which no two threads may do at once.
inline thread_local bool asserts_for_test = false;

}  // namespace skerry::test
