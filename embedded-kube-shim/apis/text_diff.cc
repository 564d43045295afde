#include "embedded-kube-shim/apis/text_diff.h"

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "core/base/strings.h"

namespace skerry::kube {
namespace {

struct Block { std::size_t a, b, size; };
struct Change { bool equal; std::size_t a1, a2, b1, b2; };

class Matcher {
 public:
  Matcher(std::vector<std::string_view> a, std::vector<std::string_view> b) : a_(std::move(a)), b_(std::move(b)) {
    for (std::size_t i = 0; i < b_.size(); ++i) where_[b_[i]].push_back(i);
    // In long texts a line that is everywhere says nothing about what belongs together.
    if (b_.size() >= 200)
      for (auto it = where_.begin(); it != where_.end();) {
        if (it->second.size() > b_.size() / 100 + 1) it = where_.erase(it);
        else ++it;
      }
  }

  std::vector<Change> Changes() {
    std::vector<Block> blocks;
    Collect(0, a_.size(), 0, b_.size(), blocks);
    std::sort(blocks.begin(), blocks.end(), [](const Block& x, const Block& y) { return std::pair(x.a, x.b) < std::pair(y.a, y.b); });
    blocks.push_back({a_.size(), b_.size(), 0});
    std::vector<Change> out;
    std::size_t i = 0, j = 0;
    for (const Block& block : blocks) {
      if (i < block.a || j < block.b) out.push_back({false, i, block.a, j, block.b});
      if (block.size > 0) {
        if (!out.empty() && out.back().equal) out.back().a2 = block.a + block.size, out.back().b2 = block.b + block.size;
        else out.push_back({true, block.a, block.a + block.size, block.b, block.b + block.size});
      }
      i = block.a + block.size;
      j = block.b + block.size;
    }
    return out;
  }

 private:
  Block Longest(std::size_t a1, std::size_t a2, std::size_t b1, std::size_t b2) const {
    Block best{a1, b1, 0};
    std::unordered_map<std::size_t, std::size_t> lengths;
    for (std::size_t i = a1; i < a2; ++i) {
      std::unordered_map<std::size_t, std::size_t> next;
      const auto it = where_.find(a_[i]);
      if (it != where_.end())
        for (std::size_t j : it->second) {
          if (j < b1) continue;
          if (j >= b2) break;
          const auto before = j > 0 ? lengths.find(j - 1) : lengths.end();
          const std::size_t length = (before == lengths.end() ? 0 : before->second) + 1;
          next[j] = length;
          if (length > best.size) best = {i + 1 - length, j + 1 - length, length};
        }
      lengths = std::move(next);
    }
    while (best.a > a1 && best.b > b1 && a_[best.a - 1] == b_[best.b - 1]) --best.a, --best.b, ++best.size;
    while (best.a + best.size < a2 && best.b + best.size < b2 && a_[best.a + best.size] == b_[best.b + best.size]) ++best.size;
    return best;
  }

  void Collect(std::size_t a1, std::size_t a2, std::size_t b1, std::size_t b2, std::vector<Block>& out) const {
    const Block best = Longest(a1, a2, b1, b2);
    if (best.size == 0) return;
    out.push_back(best);
    if (a1 < best.a && b1 < best.b) Collect(a1, best.a, b1, best.b, out);
    if (best.a + best.size < a2 && best.b + best.size < b2) Collect(best.a + best.size, a2, best.b + best.size, b2, out);
  }

  std::vector<std::string_view> a_, b_;
  std::unordered_map<std::string_view, std::vector<std::size_t>> where_;
};

std::string RangeText(std::size_t start, std::size_t stop) {
  const std::size_t length = stop - start;
  if (length == 1) return std::to_string(start + 1);
  return Cat(length == 0 ? start : start + 1, ",", length);
}

constexpr std::size_t kContext = 3;

std::vector<std::vector<Change>> Groups(std::vector<Change> changes) {
  if (!changes.empty() && changes.front().equal) {
    Change& first = changes.front();
    first.a1 = std::max(first.a1, first.a2 > kContext ? first.a2 - kContext : 0);
    first.b1 = std::max(first.b1, first.b2 > kContext ? first.b2 - kContext : 0);
  }
  if (!changes.empty() && changes.back().equal) {
    Change& last = changes.back();
    last.a2 = std::min(last.a2, last.a1 + kContext);
    last.b2 = std::min(last.b2, last.b1 + kContext);
  }
  std::vector<std::vector<Change>> out;
  std::vector<Change> group;
  for (Change change : changes) {
    if (change.equal && change.a2 - change.a1 > 2 * kContext) {
      group.push_back({true, change.a1, std::min(change.a2, change.a1 + kContext), change.b1, std::min(change.b2, change.b1 + kContext)});
      out.push_back(std::move(group));
      group.clear();
      change.a1 = std::max(change.a1, change.a2 - kContext);
      change.b1 = std::max(change.b1, change.b2 - kContext);
    }
    group.push_back(change);
  }
  if (!group.empty() && !(group.size() == 1 && group[0].equal)) out.push_back(std::move(group));
  return out;
}

}  // namespace

std::string UnifiedDiff(std::string_view a, std::string_view b) {
  if (a == b) return "";
  const auto lines_a = Split(a, '\n'), lines_b = Split(b, '\n');
  std::string out;
  for (const auto& group : Groups(Matcher(lines_a, lines_b).Changes())) {
    out += Cat("@@ -", RangeText(group.front().a1, group.back().a2), " +", RangeText(group.front().b1, group.back().b2), " @@\n");
    for (const Change& change : group) {
      if (change.equal) {
        for (std::size_t i = change.a1; i < change.a2; ++i) out += Cat(" ", lines_a[i], "\n");
        continue;
      }
      for (std::size_t i = change.a1; i < change.a2; ++i) out += Cat("-", lines_a[i], "\n");
      for (std::size_t j = change.b1; j < change.b2; ++j) out += Cat("+", lines_b[j], "\n");
    }
  }
  return out;
}

}  // namespace skerry::kube
