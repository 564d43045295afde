#pragma once
#include <functional>
#include <memory>
#include <string>

#include "core/base/result.h"

namespace skerry::process {

// One inotify descriptor and one thread for the whole process (a machine has 128 inotify instances).
class FileWatcher {
 public:
  enum class What : std::uint8_t { kDirectoryEntries, kFileContent };
  // Stops the callbacks when destroyed: after the destructor none runs (unless it is destroyed inside its own callback).
  class Watch {
   public:
    virtual ~Watch() = default;
  };
  static Result<std::shared_ptr<FileWatcher>> Create();
  virtual ~FileWatcher() = default;
  // kDirectoryEntries: `name` of a file that was created, moved in or closed after writing; "" = some events were lost, look at all.
  // kFileContent: the file grew or was moved or removed (name ""). Callbacks run on the watcher's thread and must be short.
  virtual Result<std::unique_ptr<Watch>> Add(const std::string& path, What what, std::function<void(const std::string& name)> callback) = 0;
};

}  // namespace skerry::process
