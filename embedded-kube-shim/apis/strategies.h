#pragma once
#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "embedded-kube-shim/apis/strategy.h"

// The kinds with hooks of their own, one list per file.
namespace skerry::kube {

struct KindStrategy {
  std::string_view group, resource;
  std::shared_ptr<const Strategy> (*create)();
};
template <class T>
std::shared_ptr<const Strategy> MakeStrategy() { return std::make_shared<T>(); }

std::string TimeText(std::chrono::system_clock::time_point at);   // "2024-01-02T03:04:05Z"

std::span<const KindStrategy> CoreStrategies();
std::span<const KindStrategy> OtherStrategies();

}  // namespace skerry::kube
