#include <fcntl.h>

#include <filesystem>

#include "core/base/files.h"
#include "store/engine/rocksdb/directory.h"
#include "store/engine/rocksdb/torn_tail.h"
#include "store/store_fixture.h"

namespace skerry::store {
namespace {

namespace fs = std::filesystem;

Options At(const std::string& directory) {
  Options o;
  o.directory = directory;
  o.ballast_bytes = 1 << 20;
  return o;
}

// Opens and expects one line that names the directory.
Code OpenError(const std::string& directory) {
  auto opened = OpenRocksStore(At(directory));
  if (opened) return Code::kInternal;
  const std::string message(opened.error().message());
  INFO(message);
  CHECK(message.find(directory) != std::string::npos);
  CHECK(message.find('\n') == std::string::npos);
  CHECK(message.find("; ") != std::string::npos);   // the remedy
  return opened.error().code();
}

void Fill(const std::string& directory, int commits) {
  auto store = OpenRocksStore(At(directory)).value();
  for (int i = 0; i < commits; ++i) static_cast<void>(SubmitAndWait(*store, {{}, {{Cat("/k", i), Bytes(std::string(300, 'v'))}}}));
}

std::vector<std::string> FilesIn(const std::string& directory, std::string_view part) {
  std::vector<std::string> out;
  for (const auto& f : fs::directory_iterator(directory)) {
    if (f.path().filename().string().find(part) != std::string::npos) out.push_back(f.path().string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

void Overwrite(const std::string& path, std::string_view content) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
  REQUIRE(fd);
  REQUIRE(WriteAll(fd.get(), content));
}

}  // namespace

TEST_CASE("a FORMAT file damaged or cut at any byte is refused and a newer version is named", "[store]") {
  const std::string good = EncodeFormat(DirectoryState::kReady);
  CHECK(good == "skerry-store 1 ready 6d84eb51\n");
  for (const auto state : {DirectoryState::kCreating, DirectoryState::kReady, DirectoryState::kCopy})
    CHECK(DecodeFormat(EncodeFormat(state)).value() == state);
  for (std::size_t i = 0; i < good.size(); ++i) {
    CHECK(DecodeFormat(good.substr(0, i)).error().code() == Code::kCorruption);
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    CHECK(DecodeFormat(bad).error().code() == Code::kCorruption);
  }
  TempDirectory d;
  Fill(d.path() + "/s", 1);
  Overwrite(d.path() + "/s/FORMAT", "skerry-store 2 ready e30becb2\n");
  CHECK(OpenError(d.path() + "/s") == Code::kUnsupported);
  Overwrite(d.path() + "/s/FORMAT", "");
  CHECK(OpenError(d.path() + "/s") == Code::kCorruption);
  fs::remove(d.path() + "/s/FORMAT");
  CHECK(OpenError(d.path() + "/s") == Code::kCorruption);
}

TEST_CASE("a store in use by another instance is not opened and the holder is named", "[store]") {
  TempDirectory d;
  const std::string directory = d.path() + "/s";
  auto store = OpenRocksStore(At(directory)).value();
  CHECK(OpenError(directory) == Code::kUnavailable);
  CHECK(std::string(OpenRocksStore(At(directory)).error().message()).find(Cat("process ", ::getpid())) != std::string::npos);
  store.reset();
  CHECK(OpenRocksStore(At(directory)));
}

TEST_CASE("a directory that cannot be written is named with its remedy", "[store]") {
  TempDirectory d;
  REQUIRE(WriteFileDurably(d.path() + "/file", ""));
  CHECK(OpenError(d.path() + "/file/store") == Code::kUnavailable);
  CHECK(OpenError("/proc/skerry-store") == Code::kUnavailable);
}

TEST_CASE("a store that crashed while it was created opens", "[store]") {
  TempDirectory d;
  const std::string directory = d.path() + "/s";
  Fill(directory, 0);
  REQUIRE(WriteFormat(directory, DirectoryState::kCreating));
  auto store = OpenRocksStore(At(directory)).value();
  store.reset();
  CHECK(DecodeFormat(ReadFile(directory + "/FORMAT").value()).value() == DirectoryState::kReady);
  REQUIRE(WriteFormat(directory, DirectoryState::kCreating));
  fs::remove_all(directory + "/db");
  CHECK(OpenRocksStore(At(directory)));
}

TEST_CASE("missing files of the database are reported, not created again", "[store]") {
  for (const char* part : {"CURRENT", "MANIFEST", ".sst", ".log"}) {
    TempDirectory d;
    const std::string directory = d.path() + "/s";
    Fill(directory, 3);
    {
      // A checkpoint flushes, so that there is a table file.
      auto store = OpenRocksStore(At(directory)).value();
      REQUIRE(store->Checkpoint(d.path() + "/copy"));
      static_cast<void>(SubmitAndWait(*store, {{}, {{"/k", Bytes("v")}}}));
    }
    const auto files = FilesIn(directory + "/db", part);
    INFO(part);
    REQUIRE_FALSE(files.empty());
    for (const std::string& f : files) fs::remove(f);
    CHECK(OpenError(directory) == Code::kCorruption);
  }
}

TEST_CASE("a torn tail of the write-ahead log loses only what is torn, damage in its middle is refused", "[store]") {
  TempDirectory d;
  const std::string directory = d.path() + "/s", copy = d.path() + "/c";
  constexpr int kCommits = 6;
  Fill(directory, kCommits);
  const auto wals = FilesIn(directory + "/db", ".log");
  REQUIRE(wals.size() == 1);
  const std::string name = fs::path(wals[0]).filename();
  const std::string wal = ReadFile(wals[0]).value();
  const auto entries = [&]() -> int {
    auto store = OpenRocksStore(At(copy));
    if (!store) return store.error().code() == Code::kCorruption ? -1 : -2;
    const Page page = (*store)->List("/", {}).value();
    for (std::size_t i = 0; i < page.entries.size(); ++i) CHECK(page.entries[i].key == Cat("/k", i));   // a prefix of the commits, no hole
    return static_cast<int>(page.entries.size());
  };
  const auto with = [&](std::string_view content) {
    fs::remove_all(copy);
    fs::copy(directory, copy, fs::copy_options::recursive);
    Overwrite(copy + "/db/" + name, content);
    return entries();
  };
  CHECK(with(wal) == kCommits);
  int last = 0;
  for (std::size_t cut = 0; cut < wal.size(); cut += 61) {
    const int n = with(std::string_view(wal).substr(0, cut));
    INFO("cut at " << cut << " of " << wal.size());
    CHECK(n >= last);
    last = std::max(last, n);
  }
  for (std::size_t at = 3; at < wal.size() / 2; at += 97) {
    std::string bad = wal;
    bad[at] = static_cast<char>(bad[at] ^ 0x40);
    INFO("damaged at " << at << " of " << wal.size());
    CHECK(with(bad) == -1);
  }
}

TEST_CASE("a last record of which only later blocks reached the disk is cut off, one before it is not", "[store]") {
  TempDirectory d;
  const std::string directory = d.path() + "/s", copy = d.path() + "/c";
  Fill(directory, 3);
  // All in one log: the last record spans several blocks of RocksDB's format.
  std::size_t before = 0;
  {
    auto store = OpenRocksStore(At(directory)).value();
    for (int i = 3; i < 5; ++i) {
      static_cast<void>(SubmitAndWait(*store, {{}, {{Cat("/k", i), Bytes(std::string(100'000, 'v'))}}}));
      if (i == 3) before = fs::file_size(FilesIn(directory + "/db", ".log").back());
    }
  }
  const std::string path = FilesIn(directory + "/db", ".log").back();
  const std::string wal = ReadFile(path).value();
  REQUIRE(InspectLog(wal).state == TailState::kIntact);
  REQUIRE(InspectLog(wal.substr(0, before)).good_bytes == before);
  const auto entries = [&](std::string_view content) -> int {
    fs::remove_all(copy);
    fs::copy(directory, copy, fs::copy_options::recursive);
    Overwrite(copy + "/db/" + fs::path(path).filename().string(), content);
    auto store = OpenRocksStore(At(copy));
    if (!store) return store.error().code() == Code::kCorruption ? -1 : -2;
    return static_cast<int>((*store)->List("/", {}).value().entries.size());
  };
  const std::string torn = wal.substr(0, before + 90'000);
  CHECK(entries(torn) == 4);
  for (const std::size_t hole : {before, before + 5'000, before + 40'000, before + 70'000}) {
    INFO("hole at " << hole - before);
    std::string holed = torn;
    holed.replace(hole, 4096, 4096, '\0');
    CHECK(entries(holed) == 4);
    CHECK(entries(torn.substr(0, hole) + std::string(20'000, '\0')) == 4);
  }
  for (const std::size_t hole : {before - 90'000, before - 50'000, before - 5'000}) {
    INFO("hole before the last record, " << before - hole);
    std::string holed = wal;
    holed.replace(hole, 4096, 4096, '\0');
    CHECK(entries(holed) == -1);
  }
}

TEST_CASE("damage inside a table file is found at open", "[store]") {
  TempDirectory d;
  const std::string directory = d.path() + "/s";
  Fill(directory, 5);
  {
    auto store = OpenRocksStore(At(directory)).value();
    REQUIRE(store->Checkpoint(d.path() + "/copy"));
  }
  const auto tables = FilesIn(directory + "/db", ".sst");
  REQUIRE_FALSE(tables.empty());
  std::string content = ReadFile(tables[0]).value();
  content[20] = static_cast<char>(content[20] ^ 1);
  Overwrite(tables[0], content);
  CHECK(OpenError(directory) == Code::kCorruption);
}

TEST_CASE("a checkpoint is a store of its own whose revisions start far above", "[store]") {
  TempDirectory d;
  const std::string copy = d.path() + "/backup/copy";
  Fixture s(Engine::kRocks);
  const Revision r = s.Put("/a", "1");
  s.Put("/a", "2");
  REQUIRE(s->Checkpoint(copy));
  CHECK(s->Checkpoint(copy).error().code() == Code::kAlreadyExists);
  s.Put("/a", "3");
  for (int round = 0; round < 2; ++round) {
    auto opened = OpenRocksStore(At(copy)).value();
    CHECK((*opened).Get("/a").value()->value.Load().view() == "2");
    CHECK(opened->current() > s->current() + 1'000'000);
    CHECK(opened->current() < 1'100'000'000);   // only the first opening jumps
    CHECK(opened->Subscribe("/", r, nullptr).error().code() == Code::kGone);
    CHECK(SubmitAndWait(*opened, {{}, {{"/b", Bytes(Cat(round))}}}).value().revision > 1'000'000'000);
  }
  CHECK(s.Value("/a") == "3");
  CHECK(s.Value("/b") == "(absent)");
}

}  // namespace skerry::store
