#include "core/process/file_watcher.h"

#include <catch2/catch.hpp>

#include <fcntl.h>

#include <condition_variable>

#include "core/base/files.h"
#include "core/base/guarded.h"

namespace skerry::process {

TEST_CASE("a directory watch names the files that appear and falls silent when it is dropped") {
  char directory[] = "/tmp/skerry-watch-XXXXXX";
  REQUIRE(::mkdtemp(directory));
  auto watcher = FileWatcher::Create().value();
  Guarded<std::vector<std::string>> seen;
  std::condition_variable changed;
  auto watch = watcher->Add(directory, FileWatcher::What::kDirectoryEntries, [&](const std::string& name) {
    auto names = seen.Lock();
    names->push_back(name);
    changed.notify_all();
  });
  REQUIRE(watch);
  REQUIRE(WriteFileDurably(std::string(directory) + "/one", "1"));
  {
    auto locked = seen.Lock();
    REQUIRE(locked.WaitUntil(changed, std::chrono::steady_clock::now() + std::chrono::seconds(60), [&] { return std::count(locked->begin(), locked->end(), "one") >= 1; }));
  }
  watch->reset();
  REQUIRE(WriteFileDurably(std::string(directory) + "/two", "2"));
  // A second watch on the same inode proves that the event has been delivered by the time the first one stays silent.
  auto again = watcher->Add(directory, FileWatcher::What::kDirectoryEntries, [&](const std::string& name) {
    auto names = seen.Lock();
    names->push_back("again " + name);
    changed.notify_all();
  });
  REQUIRE(again);
  REQUIRE(WriteFileDurably(std::string(directory) + "/three", "3"));
  auto locked = seen.Lock();
  REQUIRE(locked.WaitUntil(changed, std::chrono::steady_clock::now() + std::chrono::seconds(60), [&] { return std::count(locked->begin(), locked->end(), "again three") >= 1; }));
  CHECK(std::count(locked->begin(), locked->end(), "two") == 0);
  CHECK(std::count(locked->begin(), locked->end(), "three") == 0);
  for (const char* name : {"one", "two", "three"}) ::unlink((std::string(directory) + "/" + name).c_str());
  ::rmdir(directory);
}

}  // namespace skerry::process
