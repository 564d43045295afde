#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "core/container/log.h"

namespace skerry::kube::node {

// Who follows the log of which container: a follower at the end of the file is told when the container has ended, or it would wait for
// ever for another line. Thread-safe; readers may outlive this.
class LogFollowers {
 public:
  std::unique_ptr<container::LogReader> Track(std::string container_id, std::unique_ptr<container::LogReader> reader);
  void Ended(const std::string& container_id);   // any thread; only hands over
  void WakeAll();                                // exits may have been missed

 private:
  struct List {
    std::mutex mutex;
    std::multimap<std::string, container::LogReader*> readers;   // guarded; whoever is in it lives
  };
  class Tracked;
  std::shared_ptr<List> list_ = std::make_shared<List>();
};

}  // namespace skerry::kube::node
