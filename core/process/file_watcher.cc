#include "core/process/file_watcher.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>

#include <condition_variable>
#include <thread>
#include <unordered_map>
#include <algorithm>
#include <atomic>
#include <cstring>

#include "core/base/files.h"
#include "core/base/guarded.h"
#include "core/base/unique_fd.h"

namespace skerry::process {
namespace {

struct Entry {
  int descriptor = -1;
  std::function<void(const std::string&)> callback;
};

struct Table {
  std::unordered_map<std::uint64_t, Entry> entries;
  std::uint64_t next_id = 1;
  std::uint64_t running = 0;      // the entry whose callback runs now
};

class Inotify final : public FileWatcher, public std::enable_shared_from_this<Inotify> {
 public:
  Inotify(UniqueFd notify, UniqueFd wake) : notify_(std::move(notify)), wake_(std::move(wake)), thread_([this] { Loop(); }) {}
  ~Inotify() override {
    const std::uint64_t one = 1;
    stopping_ = true;
    if (::write(wake_.get(), &one, sizeof one) < 0) {}   // an eventfd write of 1 only fails when it is already pending
    if (thread_.get_id() == std::this_thread::get_id()) {
      std::terminate();   // a Watch keeps its watcher alive, so only a bug destroys it from its own callback
      return;
    }
    thread_.join();
  }

  Result<std::unique_ptr<Watch>> Add(const std::string& path, What what, std::function<void(const std::string&)> callback) override;
  void Drop(std::uint64_t id);

 private:
  void Loop();
  void Dispatch(int descriptor, const std::string& name);
  void RunOne(std::uint64_t id, const std::string& name);

  const UniqueFd notify_, wake_;
  std::atomic<bool> stopping_ = false;
  Guarded<Table> table_;
  std::condition_variable idle_;
  std::thread thread_;
};

class InotifyWatch final : public FileWatcher::Watch {
 public:
  InotifyWatch(std::shared_ptr<Inotify> owner, std::uint64_t id) : owner_(std::move(owner)), id_(id) {}
  ~InotifyWatch() override { owner_->Drop(id_); }

 private:
  const std::shared_ptr<Inotify> owner_;
  const std::uint64_t id_;
};

Result<std::unique_ptr<FileWatcher::Watch>> Inotify::Add(const std::string& path, What what, std::function<void(const std::string&)> callback) {
  const std::uint32_t mask = what == What::kDirectoryEntries ? IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR
                                                             : IN_MODIFY | IN_MOVE_SELF | IN_DELETE_SELF | IN_ATTRIB;
  auto table = table_.Lock();
  // The same inode has one descriptor however often it is added, so entries share it; IN_MASK_ADD keeps what others asked for.
  const int descriptor = ::inotify_add_watch(notify_.get(), path.c_str(), mask | IN_MASK_ADD);
  if (descriptor < 0) return std::unexpected(ErrnoError(errno, "watch " + path));
  const std::uint64_t id = table->next_id++;
  table->entries[id] = Entry{descriptor, std::move(callback)};
  return std::make_unique<InotifyWatch>(shared_from_this(), id);
}

void Inotify::Drop(std::uint64_t id) {
  auto table = table_.Lock();
  const auto it = table->entries.find(id);
  if (it == table->entries.end()) return;
  const int descriptor = it->second.descriptor;
  table->entries.erase(it);
  const bool shared = std::any_of(table->entries.begin(), table->entries.end(), [&](const auto& e) { return e.second.descriptor == descriptor; });
  if (!shared) ::inotify_rm_watch(notify_.get(), descriptor);
  if (std::this_thread::get_id() == thread_.get_id()) return;
  table.Wait(idle_, [&] { return table->running != id; });
}

void Inotify::RunOne(std::uint64_t id, const std::string& name) {
  std::function<void(const std::string&)> callback;
  {
    auto table = table_.Lock();
    const auto it = table->entries.find(id);
    if (it == table->entries.end()) return;
    callback = it->second.callback;
    table->running = id;
  }
  callback(name);
  {
    auto table = table_.Lock();
    table->running = 0;
  }
  idle_.notify_all();
}

void Inotify::Dispatch(int descriptor, const std::string& name) {
  std::vector<std::uint64_t> ids;
  {
    auto table = table_.Lock();
    for (const auto& [id, entry] : table->entries) {
      if (descriptor < 0 || entry.descriptor == descriptor) ids.push_back(id);
    }
  }
  for (const std::uint64_t id : ids) RunOne(id, name);
}

void Inotify::Loop() {
  alignas(inotify_event) char buffer[16384];
  while (!stopping_) {
    pollfd fds[2] = {{notify_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    if (::poll(fds, 2, -1) < 0) continue;
    if ((fds[0].revents & POLLIN) == 0) continue;
    const ssize_t n = ::read(notify_.get(), buffer, sizeof buffer);
    for (ssize_t at = 0; at + static_cast<ssize_t>(sizeof(inotify_event)) <= n;) {
      inotify_event event;
      std::memcpy(&event, buffer + at, sizeof event);
      const std::string name = event.len > 0 ? std::string(buffer + at + sizeof event) : std::string();
      at += static_cast<ssize_t>(sizeof event + event.len);
      if ((event.mask & IN_Q_OVERFLOW) != 0) Dispatch(-1, "");
      else if ((event.mask & IN_IGNORED) == 0) Dispatch(event.wd, name);
    }
  }
}

}  // namespace

Result<std::shared_ptr<FileWatcher>> FileWatcher::Create() {
  UniqueFd notify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!notify) return std::unexpected(ErrnoError(errno, "inotify"));
  UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return std::unexpected(ErrnoError(errno, "eventfd"));
  return std::make_shared<Inotify>(std::move(notify), std::move(wake));
}

}  // namespace skerry::process
