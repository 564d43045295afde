#pragma once
#include <catch2/catch.hpp>
#include <stdlib.h>

#include <filesystem>

#include "core/base/strings.h"
#include "store/engine/memory/memory_backend.h"
#include "store/mvcc/mvcc_store.h"
#include "store/store.h"

// For tests: a store of either engine that can be closed and opened again over what it left behind.
namespace skerry::store {

class TempDirectory {
 public:
  TempDirectory() {
    std::string path = "/tmp/skerry-store-XXXXXX";
    REQUIRE(::mkdtemp(path.data()));
    path_ = path;
  }
  ~TempDirectory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

enum class Engine { kMemory, kRocks };

class Fixture {
 public:
  explicit Fixture(Engine engine, Options options = {}) : engine_(engine), options_(std::move(options)) {
    options_.directory = directory_.path() + "/store";
    options_.ballast_bytes = 0;
    Open();
  }
  void Open() {
    if (engine_ == Engine::kRocks) {
      auto opened = OpenRocksStore(options_);
      INFO((opened ? "" : std::string(opened.error().message())));
      REQUIRE(opened);
      store_ = std::move(*opened);
      return;
    }
    auto opened = MvccStore::Open(options_, std::make_unique<MemoryBackend>(disk_), Origin::kOwn);
    INFO((opened ? "" : std::string(opened.error().message())));
    REQUIRE(opened);
    store_ = std::move(*opened);
  }
  void Reopen() {
    store_.reset();
    Open();
  }
  Store* operator->() { return store_.get(); }
  Store& operator*() { return *store_; }
  MemoryDisk& disk() { return *disk_; }
  const std::string& directory() const { return options_.directory; }
  void Close() { store_.reset(); }

  Outcome Commit(Batch batch) {
    auto r = SubmitAndWait(*store_, std::move(batch));
    INFO((r ? "" : std::string(r.error().message())));
    REQUIRE(r);
    return *r;
  }
  Revision Put(std::string key, std::string value) { return Commit({{}, {{std::move(key), Bytes(std::move(value))}}}).revision; }
  Revision Delete(std::string key) { return Commit({{}, {{std::move(key), std::nullopt}}}).revision; }
  std::string Value(std::string_view key, Revision at = 0) {
    auto r = store_->Get(key, at);
    REQUIRE(r);
    return *r ? std::string((*r)->value.Load().view()) : "(absent)";
  }
  // "key=value@modified …"
  std::string Show(std::string_view prefix, ListOptions options = {}) {
    auto page = store_->List(prefix, options);
    REQUIRE(page);
    std::string out;
    for (const Entry& e : page->entries) out += Cat(out.empty() ? "" : " ", e.key, "=", e.value.Load().view());
    return out;
  }

 private:
  const Engine engine_;
  TempDirectory directory_;
  Options options_;
  std::shared_ptr<MemoryDisk> disk_ = std::make_shared<MemoryDisk>();
  std::unique_ptr<Store> store_;
};

// "+key=value" for a put, "-key" for a deletion.
inline std::string ShowEvents(const std::vector<Event>& events) {
  std::string out;
  for (const Event& e : events) {
    if (!out.empty()) out += ' ';
    out += e.type == Event::Type::kDelete ? Cat("-", e.entry.key) : Cat("+", e.entry.key, "=", e.entry.value.Load().view());
  }
  return out;
}

inline std::vector<Event> Drain(Watch& watch) {
  std::vector<Event> all;
  for (;;) {
    auto some = watch.TryNext();
    INFO((some ? "" : std::string(some.error().message())));
    REQUIRE(some);
    if (some->empty()) return all;
    all.insert(all.end(), some->begin(), some->end());
  }
}

}  // namespace skerry::store
