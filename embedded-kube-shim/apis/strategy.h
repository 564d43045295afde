#pragma once
#include <memory>
#include <string_view>

#include "embedded-kube-shim/api/resource_def.h"

namespace skerry::kube {

// What all built-in kinds share: table defaults and table validation. The engine itself splits spec from status, keeps system metadata and
// counts generations; a kind's own hooks are in strategy_*.cc.
class BuiltinStrategy : public Strategy {
 public:
  void Default(const Version& version, json::Value& object) const override;
  void ValidateRules(const ResourceDef& def, const Version& version, std::string_view subresource, const json::Value& object, const json::Value* old,
                     FieldErrors& errors) const override;
  void Warn(const ResourceDef& def, std::string_view subresource, const json::Value& object, const json::Value* old, std::vector<std::string>& warnings) const override;
};

// Never null: kinds without hooks of their own share one BuiltinStrategy.
std::shared_ptr<const Strategy> StrategyFor(std::string_view group, std::string_view resource);

// "Guaranteed", "Burstable" or "BestEffort" of a pod.
std::string_view QosClass(const json::Value& pod);

}  // namespace skerry::kube
