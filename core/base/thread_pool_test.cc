#include "core/base/thread_pool.h"

#include <catch2/catch.hpp>
#include <future>

using namespace skerry;

TEST_CASE("a worker pool refuses jobs beyond its queue and runs what it accepted", "[base]") {
  std::promise<void> gate;
  auto open = gate.get_future().share();
  std::atomic<int> ran{0};
  std::promise<void> entered;
  WorkerPool pool("t", 1, 2);
  REQUIRE(pool.TrySubmit([&] { entered.set_value(); open.wait(); ++ran; }));
  entered.get_future().wait();
  CHECK(pool.TrySubmit([&] { ++ran; }));
  CHECK(pool.TrySubmit([&] { ++ran; throw 1; }));
  CHECK_FALSE(pool.TrySubmit([&] { ++ran; }));
  gate.set_value();
  pool.Stop();
  CHECK(ran == 3);
  CHECK(pool.uncaught() == 1);
  CHECK_FALSE(pool.TrySubmit([] {}));
}

TEST_CASE("an elastic pool grows to its limit, refuses beyond it and lets idle threads leave", "[base]") {
  std::promise<void> gate;
  auto open = gate.get_future().share();
  std::atomic<int> ran{0};
  ElasticPool pool("t", 3, std::chrono::milliseconds(1));
  for (int i = 0; i < 3; ++i) REQUIRE(pool.TrySubmit([&] { open.wait(); ++ran; }));
  CHECK(pool.threads() == 3);
  CHECK_FALSE(pool.TrySubmit([&] { ++ran; }));
  gate.set_value();
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (pool.threads() > 0 && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
  CHECK(pool.threads() == 0);
  CHECK(pool.TrySubmit([&] { ++ran; }));
  pool.Stop();
  CHECK(ran == 4);
}
