#include "embedded-kube-shim/apis/strategy.h"

#include "embedded-kube-shim/apis/defaults.h"
#include "embedded-kube-shim/apis/rules.h"
#include "embedded-kube-shim/apis/strategies.h"
#include "embedded-kube-shim/apis/warnings.h"

namespace skerry::kube {

void BuiltinStrategy::Default(const Version& version, json::Value& object) const { ApplyBuiltinDefaults(version.schema, object); }

void BuiltinStrategy::ValidateRules(const ResourceDef& def, const Version& version, std::string_view subresource, const json::Value& object, const json::Value* old,
                                    FieldErrors& errors) const {
  rules::ValidateBuiltin(def, version, subresource, object, old, errors);
}

void BuiltinStrategy::Warn(const ResourceDef& def, std::string_view subresource, const json::Value& object, const json::Value* old, std::vector<std::string>& warnings) const {
  warnings::ForBuiltin(def, subresource, object, old, warnings);
}

std::string TimeText(std::chrono::system_clock::time_point at) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(at);
  const auto days = std::chrono::floor<std::chrono::days>(seconds);
  const std::chrono::year_month_day date(days);
  const std::chrono::hh_mm_ss time(seconds - days);
  char text[48];
  std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02dZ", static_cast<int>(date.year()), static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()), static_cast<int>(time.seconds().count()));
  return text;
}

std::shared_ptr<const Strategy> StrategyFor(std::string_view group, std::string_view resource) {
  static const std::shared_ptr<const Strategy> plain = std::make_shared<BuiltinStrategy>();
  for (const auto kinds : {CoreStrategies(), OtherStrategies()})
    for (const KindStrategy& kind : kinds)
      if (kind.group == group && kind.resource == resource) return kind.create();
  return plain;
}

}  // namespace skerry::kube
