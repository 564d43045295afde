#include "core/container/log.h"

#include <catch2/catch.hpp>

#include <condition_variable>
#include <fstream>

#include "core/base/files.h"
#include "core/base/guarded.h"

namespace skerry::container {
namespace {

struct TempDir {
  TempDir() { path = ::mkdtemp(buffer) != nullptr ? buffer : ""; }
  ~TempDir() {
    for (const char* name : {"/0.log", "/0.log.1"}) ::unlink((path + name).c_str());
    ::rmdir(path.c_str());
  }
  void Append(std::string_view name, std::string_view text) const { std::ofstream(path + std::string(name), std::ios::app) << text; }
  char buffer[32] = "/tmp/skerry-log-XXXXXX";
  std::string path;
};

constexpr char kLines[] =
    "2026-11-21T01:00:00.100000000+00:00 stdout F one\n"
    "2026-11-21T01:00:01.200000000+00:00 stderr F two\n"
    "2026-11-21T01:00:02.300000000+00:00 stdout P thr\n"
    "2026-11-21T01:00:02.300000001+00:00 stdout F ee\n";

}  // namespace

TEST_CASE("log options select entries of a CRI log") {
  const TempDir dir;
  dir.Append("/0.log", kLines);
  const std::string path = dir.path + "/0.log";
  CHECK(ReadLog(path, {}).value() == "one\ntwo\nthree\n");
  CHECK(ReadLog(path, {.tail_lines = 2}).value() == "three\n");
  CHECK(ReadLog(path, {.tail_lines = 0}).value().empty());
  CHECK(ReadLog(path, {.tail_lines = 99}).value() == "one\ntwo\nthree\n");
  CHECK(ReadLog(path, {.limit_bytes = 5}).value() == "one\nt");
  CHECK(ReadLog(path, {.since = ParseTime("2026-11-21T01:00:01Z").value()}).value() == "two\nthree\n");
  CHECK(ReadLog(path, {.streams = LogOptions::Streams::kStderr}).value() == "two\n");
  CHECK(ReadLog(path, {.timestamps = true, .tail_lines = 3, .limit_bytes = 35}).value() == "2026-11-21T01:00:01.200000000Z two\n");
  CHECK(ReadLog(dir.path + "/none", {}).error().code() == Code::kNotFound);
}

TEST_CASE("Docker's json-file lines read like CRI lines and damaged lines are skipped") {
  const TempDir dir;
  dir.Append("/0.log",
             "{\"log\":\"a\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-21T01:00:00.1Z\"}\n"
             "{\"log\":\"b\\n\",\"str\n"
             "\n"
             "{\"log\":\"c\\n\",\"stream\":\"stderr\",\"time\":\"2026-11-21T01:00:00.2Z\"}\n");
  CHECK(ReadLog(dir.path + "/0.log", {}).value() == "a\nc\n");
  CHECK(ReadLog(dir.path + "/0.log", {.streams = LogOptions::Streams::kStdout}).value() == "a\n");
}

TEST_CASE("a following reader waits for new lines, crosses a rotation and ends with its container") {
  const TempDir dir;
  const std::string path = dir.path + "/0.log";
  dir.Append("/0.log", kLines);
  auto watcher = process::FileWatcher::Create().value();
  std::atomic<bool> running = true;
  auto reader = LogReader::Open(path, {.follow = true, .tail_lines = 1}, watcher.get(), [&] { return running.load(); }).value();
  Guarded<int> wakes(0);
  std::condition_variable woken;
  reader->OnReady([&] {
    {
      auto locked = wakes.Lock();
      ++*locked;
    }
    woken.notify_all();
  });
  CHECK(reader->Next().value() == "ee\n");
  const auto next = [&](std::string_view name, std::string_view text) {
    int before = 0;
    {
      auto locked = wakes.Lock();
      before = *locked;
    }
    dir.Append(name, text);
    auto locked = wakes.Lock();
    return locked.WaitUntil(woken, std::chrono::steady_clock::now() + std::chrono::seconds(60), [&] { return *locked > before; });
  };
  CHECK(reader->Next().value().empty());
  REQUIRE(next("/0.log", "2026-11-21T01:00:03Z stdout F four\n2026-11-21T01:00:03Z stdout F fi"));
  CHECK(reader->Next().value() == "four\n");
  CHECK(reader->Next().value().empty());
  REQUIRE(next("/0.log", "ve\n"));
  REQUIRE(::rename(path.c_str(), (path + ".1").c_str()) == 0);
  dir.Append("/0.log.1", "2026-11-21T01:00:04Z stdout F late\n");
  dir.Append("/0.log", "2026-11-21T01:00:05Z stdout F new\n");
  std::string text;
  for (auto piece = reader->Next(); piece && !piece->empty(); piece = reader->Next()) text += *piece;
  CHECK(text == "five\nlate\nnew\n");
  REQUIRE(next("/0.log", "2026-11-21T01:00:06Z stdout F last\n"));
  running = false;
  CHECK(reader->Next().value() == "last\n");
  CHECK(reader->Next().error().code() == Code::kCancelled);
}

}  // namespace skerry::container
