#include "embedded-kube-shim/node/log_followers.h"

namespace skerry::kube::node {

class LogFollowers::Tracked final : public container::LogReader {
 public:
  Tracked(std::shared_ptr<List> list, std::string id, std::unique_ptr<container::LogReader> reader) : list_(std::move(list)), reader_(std::move(reader)) {
    std::lock_guard lock(list_->mutex);
    place_ = list_->readers.emplace(std::move(id), reader_.get());
  }
  ~Tracked() override {
    std::lock_guard lock(list_->mutex);
    list_->readers.erase(place_);
  }
  Result<std::string> Next() override { return reader_->Next(); }
  void OnReady(std::function<void()> notify) override { reader_->OnReady(std::move(notify)); }
  void Wake() override { reader_->Wake(); }

 private:
  const std::shared_ptr<List> list_;
  const std::unique_ptr<container::LogReader> reader_;
  std::multimap<std::string, container::LogReader*>::iterator place_;
};

std::unique_ptr<container::LogReader> LogFollowers::Track(std::string container_id, std::unique_ptr<container::LogReader> reader) {
  return std::make_unique<Tracked>(list_, std::move(container_id), std::move(reader));
}

void LogFollowers::Ended(const std::string& container_id) {
  std::lock_guard lock(list_->mutex);
  const auto [first, last] = list_->readers.equal_range(container_id);
  for (auto it = first; it != last; ++it) it->second->Wake();
}

void LogFollowers::WakeAll() {
  std::lock_guard lock(list_->mutex);
  for (const auto& [id, reader] : list_->readers) reader->Wake();
}

}  // namespace skerry::kube::node
