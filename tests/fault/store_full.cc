#include "tests/fault/store_full.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "store/store.h"

namespace skerry::fault_test {
namespace {

using store::Batch;

int failures = 0;

void Expect(bool holds, const std::string& what) {
  if (holds) return;
  ++failures;
  std::printf("FAILED: %s\n", what.c_str());
}

// A small disk.
class Tmpfs {
 public:
  Tmpfs() {
    if (!::mkdtemp(path_.data())) std::abort();
    mounted_ = ::mount("skerry-fault", path_.c_str(), "tmpfs", 0, "size=64m") == 0;
  }
  ~Tmpfs() {
    if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
    ::rmdir(path_.c_str());
  }
  bool mounted() const { return mounted_; }
  std::string store() const { return path_ + "/store"; }
  // Takes the space that is left but for so much.
  void FillUpTo(std::size_t left) {
    const UniqueFd fd(::open((path_ + "/filler").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    const std::string block(1 << 16, 'f');
    struct statvfs fs;
    while (::fstatvfs(fd.get(), &fs) == 0 && fs.f_bavail * fs.f_bsize > left && ::write(fd.get(), block.data(), block.size()) > 0) {
    }
  }
  void Free() { ::unlink((path_ + "/filler").c_str()); }

 private:
  std::string path_ = "/tmp/skerry-fault-full-XXXXXX";
  bool mounted_ = false;
};

store::Options OptionsAt(const std::string& directory) {
  store::Options o;
  o.directory = directory;
  o.volatile_prefixes = {"/lease/"};
  o.ballast_bytes = 16 << 20;
  o.retry_interval = std::chrono::milliseconds(100);
  return o;
}

std::unique_ptr<store::Store> Open(const Tmpfs& disk) {
  auto opened = store::OpenRocksStore(OptionsAt(disk.store()));
  if (opened) return std::move(*opened);
  Expect(false, Cat("the store does not open: ", opened.error().message()));
  return nullptr;
}

std::string Key(int i) { return Cat("/k/", 100'000 + i); }
Batch Put(const std::string& key, int size) {
  std::string value(static_cast<std::size_t>(size), 'v');
  for (std::size_t i = 0; i < value.size(); ++i)
    value[i] = static_cast<char>(i * 2654435761u >> 13 ^ std::hash<std::string>{}(key) >> i % 23);  // does not compress
  return {{}, {{key, Bytes(std::move(value))}}};
}
Batch Delete(const std::string& key) { return {{}, {{key, std::nullopt}}}; }

// Puts until one is refused. Returns how many were taken.
int PutUntilRefused(store::Store& s, int first, int size) {
  for (int i = first; i < 100'000; ++i) {
    const auto r = SubmitAndWait(s, Put(Key(i), size));
    if (r) continue;
    Expect(r.error().code() == Code::kUnavailable, Cat("a full disk answers ", r.error().code_name()));
    Expect(r.error().message().find("no space left") != std::string::npos, Cat("a full disk says: ", r.error().message()));
    return i - first;
  }
  Expect(false, "the disk never ran full");
  return 0;
}

bool RecoversByItself(store::Store& s) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (std::chrono::steady_clock::now() < deadline) {
    if (SubmitAndWait(s, Put("/k/again", 1000)) && s.Healthy()) return true;
  }
  return false;
}

std::size_t Count(store::Store& s) {
  const auto page = s.List("/k/", {});
  return page ? page->entries.size() : 0;
}

void CheckFull(store::Store& s, std::size_t expected) {
  Expect(!s.Healthy() && s.Healthy().error().code() == Code::kUnavailable, "a full store is not healthy");
  Expect(Count(s) == expected, Cat("reads go on: ", Count(s), " of ", expected, " entries"));
  Expect(!SubmitAndWait(s, Put("/k/x", 1000)), "a put is refused");
  Expect(SubmitAndWait(s, {{}, {{"/lease/n", Bytes(Cat(expected, " ", s.current()))}}}).has_value(), "volatile writes go on");
  Expect(SubmitAndWait(s, Delete("/k/absent")).has_value(), "what changes nothing is answered");
}

// Somebody else fills the disk and frees it again.
void FilledByOthers() {
  Tmpfs disk;
  auto s = Open(disk);
  if (!s) return;
  for (int i = 0; i < 1000; ++i) Expect(SubmitAndWait(*s, Put(Key(i), 1000)).has_value(), "a put on an empty disk");
  disk.FillUpTo(0);
  const int more = PutUntilRefused(*s, 1000, 4000);
  disk.FillUpTo(2 << 20);   // others are quick to take what the store gave back: it must not find room for a new ballast
  CheckFull(*s, static_cast<std::size_t>(1000 + more));
  for (int i = 0; i < 500; ++i) Expect(SubmitAndWait(*s, Delete(Key(i))).has_value(), Cat("a delete on a full disk, ", i));
  Batch grace = Put(Key(600), 100);
  grace.may_use_reserve = true;
  Expect(SubmitAndWait(*s, std::move(grace)).has_value(), "a put that leads to a deletion");
  const store::Revision before = s->current();
  s.reset();
  disk.FillUpTo(2 << 20);
  s = Open(disk);
  if (!s) return;
  Expect(s->current() > before, "no revision is used again");
  CheckFull(*s, static_cast<std::size_t>(500 + more));
  Expect(s->Get(Key(600)).value()->value.size() == 100, "what was written on the full disk is there");
  for (int i = 500; i < 600; ++i) Expect(SubmitAndWait(*s, Delete(Key(i))).has_value(), Cat("a delete after a restart, ", i));
  disk.Free();
  Expect(RecoversByItself(*s), "recovery by itself when space is freed");
  s.reset();
  s = Open(disk);
  if (s) Expect(Count(*s) == static_cast<std::size_t>(401 + more), Cat("after recovery: ", Count(*s), " of ", 401 + more));
  std::printf("disk full by others: %d puts fitted, then deletes, restart and recovery\n", more);
}

// The store fills it, and deleting alone must bring it back.
void FilledByItself() {
  Tmpfs disk;
  auto s = Open(disk);
  if (!s) return;
  const int fitted = PutUntilRefused(*s, 0, 20'000);
  Expect(Count(*s) == static_cast<std::size_t>(fitted), "reads go on");
  for (int i = 0; i < fitted; ++i) Expect(SubmitAndWait(*s, Delete(Key(i))).has_value(), Cat("delete ", i, " of ", fitted));
  Expect(RecoversByItself(*s), "recovery by itself after deletions");
  for (int i = 0; i < fitted / 2; ++i) {
    if (!SubmitAndWait(*s, Put(Key(i), 20'000)))
      Expect(RecoversByItself(*s) && SubmitAndWait(*s, Put(Key(i), 20'000)), "the deleted entries' space is usable again");
  }
  Expect(Count(*s) >= static_cast<std::size_t>(fitted / 2), "what was put after the recovery is there");
  std::printf("disk full by itself: %d puts fitted, deleted, and it recovered\n", fitted);
}

}  // namespace

int DiskFull() {
  if (!Tmpfs().mounted()) {
    std::printf("disk full: SKIPPED, needs root to mount a tmpfs\n");
    return 77;
  }
  FilledByOthers();
  FilledByItself();
  std::printf("disk full: %d failures\n", failures);
  return failures == 0 ? 0 : 1;
}

}  // namespace skerry::fault_test
