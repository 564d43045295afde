#include "core/podnet/elements.h"

#include <algorithm>
#include <map>

namespace skerry::podnet {
using netlink::NftChange;

const std::string& SetName(Set set) {
  static const std::string names[kSetCount] = {"vip", "port", "plan", "again", "slot", "ep", "hairpin", "closed_vip", "closed_port"};
  return names[static_cast<std::size_t>(set)];
}

const std::string* Elements::InForce(Set set, const std::string& key) const {
  const Keys& keys = sets_[static_cast<std::size_t>(set)];
  const auto at = keys.find(key);
  return at == keys.end() ? nullptr : &at->second.front().value;
}

void Elements::Remember(Set set, const std::string& key) {
  std::string name(1, static_cast<char>(set));
  name += key;
  if (before_.contains(name)) return;
  const std::string* value = InForce(set, key);
  before_.emplace(std::move(name), Before{value != nullptr, value != nullptr ? *value : std::string()});
}

void Elements::Claim(std::uint32_t owner, const Element& e) {
  Remember(e.set, e.key);
  auto& holders = sets_[static_cast<std::size_t>(e.set)][e.key];
  const auto at = std::lower_bound(holders.begin(), holders.end(), owner, [](const Holder& h, std::uint32_t o) { return h.owner < o; });
  if (at != holders.end() && at->owner == owner) {
    at->value = e.value;
  } else {
    holders.insert(at, {owner, e.value});
  }
}

void Elements::Release(std::uint32_t owner, const Element& e) {
  Keys& keys = sets_[static_cast<std::size_t>(e.set)];
  const auto at = keys.find(e.key);
  if (at == keys.end()) return;
  Remember(e.set, e.key);
  std::erase_if(at->second, [owner](const Holder& h) { return h.owner == owner; });
  if (at->second.empty()) keys.erase(at);
}

std::vector<NftChange> Elements::Pending() const {
  std::vector<NftChange> out;
  for (const auto& [name, before] : before_) {
    const auto set = static_cast<Set>(name[0]);
    const std::string key = name.substr(1);
    const std::string* now = InForce(set, key);
    if (now == nullptr ? !before.present : before.present && before.value == *now) continue;
    if (before.present) out.push_back({NftChange::Kind::kDelete, SetName(set), {key, ""}});
    if (now != nullptr) out.push_back({NftChange::Kind::kAdd, SetName(set), {key, *now}});
  }
  std::sort(out.begin(), out.end(), [](const NftChange& a, const NftChange& b) {
    return std::tie(a.kind, a.set, a.element.key) < std::tie(b.kind, b.set, b.element.key);
  });
  return out;
}

std::vector<NftChange> Elements::Difference(Set set, const Listed& listed, bool remove_unknown) const {
  const Keys& keys = sets_[static_cast<std::size_t>(set)];
  std::vector<NftChange> remove, add;
  std::unordered_map<std::string_view, bool> in_place;   // key -> with the right value
  for (const netlink::NftElement& e : listed) {
    const std::string* want = InForce(set, e.key);
    const bool right = want != nullptr && *want == e.value;
    in_place.emplace(e.key, right);
    // What we claimed and gave up is ours to remove even while others' elements must stay.
    const bool given_up = want == nullptr && before_.contains(std::string(1, static_cast<char>(set)) + e.key);
    if (!right && (want != nullptr || remove_unknown || given_up)) remove.push_back({NftChange::Kind::kDelete, SetName(set), {e.key, ""}});
  }
  for (const auto& [key, holders] : keys) {
    const auto at = in_place.find(key);
    if (at == in_place.end() || !at->second) add.push_back({NftChange::Kind::kAdd, SetName(set), {key, holders.front().value}});
  }
  remove.insert(remove.end(), std::make_move_iterator(add.begin()), std::make_move_iterator(add.end()));
  return remove;
}

}  // namespace skerry::podnet
