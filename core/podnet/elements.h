#pragma once
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/base/strings.h"
#include "core/netlink/nftables.h"

namespace skerry::podnet {

enum class Set : std::uint8_t { kVip, kPort, kPlan, kAgain, kSlot, kEndpoint, kHairpin, kClosedVip, kClosedPort };
inline constexpr std::size_t kSetCount = 9;
const std::string& SetName(Set set);

struct Element {
  Set set;
  std::string key, value;   // as nftables stores them; no value in plain sets
  auto operator<=>(const Element&) const = default;
};

// What the table should hold. Several owners may claim one key (two services with one node port, two with one endpoint address):
// the lowest owner's value is in force, the others wait. Remembers what changed since the last Commit as a batch for the kernel.
// Not thread-safe.
class Elements {
 public:
  void Claim(std::uint32_t owner, const Element& element);
  void Release(std::uint32_t owner, const Element& element);

  // Deletions before additions, grouped by set. Keys whose value ends as it was are left out.
  std::vector<netlink::NftChange> Pending() const;
  void Commit() { before_.clear(); }       // the kernel took Pending()

  using Listed = std::vector<netlink::NftElement>;
  // What turns a kernel's listing of one set into ours; `remove_unknown` also deletes what nobody claims.
  std::vector<netlink::NftChange> Difference(Set set, const Listed& listed, bool remove_unknown) const;

 private:
  struct Holder {
    std::uint32_t owner;
    std::string value;
  };
  using Keys = std::unordered_map<std::string, std::vector<Holder>, StringHash, std::equal_to<>>;   // holders sorted by owner
  const std::string* InForce(Set set, const std::string& key) const;
  void Remember(Set set, const std::string& key);

  Keys sets_[kSetCount];
  struct Before {
    bool present;
    std::string value;
  };
  std::unordered_map<std::string, Before, StringHash, std::equal_to<>> before_;   // set number + key -> value at the last Commit
};

}  // namespace skerry::podnet
