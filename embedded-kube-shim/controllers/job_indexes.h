#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

// A set of completion indexes, kept as intervals: a million indexes cost as much as their gaps.
namespace skerry::kube {

class IndexSet {
 public:
  // "1,3-5"; what is not below `completions` or makes no sense is left out.
  static IndexSet Parse(std::string_view text, std::int64_t completions);
  std::string Text() const;
  bool Has(std::int64_t index) const;
  void Add(std::int64_t index);
  std::int64_t Total() const;
  bool empty() const { return first_to_last_.empty(); }
  // How many of `other` are in this set.
  std::int64_t CountIn(const IndexSet& other) const;
  // The lowest indexes below `completions` that are in none of the sets.
  static std::vector<std::int64_t> FirstMissing(const std::vector<const IndexSet*>& sets, std::int64_t completions, std::size_t count);
  bool operator==(const IndexSet&) const = default;

 private:
  void AddRange(std::int64_t first, std::int64_t last);
  std::map<std::int64_t, std::int64_t> first_to_last_;   // disjoint, not adjacent
};

}  // namespace skerry::kube
