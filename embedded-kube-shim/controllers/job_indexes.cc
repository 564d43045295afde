#include "embedded-kube-shim/controllers/job_indexes.h"

#include <algorithm>

#include "core/base/strings.h"

namespace skerry::kube {

IndexSet IndexSet::Parse(std::string_view text, std::int64_t completions) {
  IndexSet out;
  if (text.empty()) return out;
  for (const std::string_view piece : Split(text, ',')) {
    const std::size_t dash = piece.find('-');
    const auto first = ParseInt(piece.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : ParseInt(piece.substr(dash + 1));
    if (!first || !last || *first < 0 || *first > *last || *first >= completions) continue;
    out.AddRange(*first, std::min(*last, completions - 1));
  }
  return out;
}

std::string IndexSet::Text() const {
  std::string out;
  for (const auto& [first, last] : first_to_last_) {
    if (!out.empty()) out += ',';
    out += std::to_string(first);
    if (last > first) out += (last == first + 1 ? ',' : '-') + std::to_string(last);
  }
  return out;
}

bool IndexSet::Has(std::int64_t index) const {
  auto it = first_to_last_.upper_bound(index);
  return it != first_to_last_.begin() && std::prev(it)->second >= index;
}

void IndexSet::Add(std::int64_t index) { AddRange(index, index); }

void IndexSet::AddRange(std::int64_t first, std::int64_t last) {
  auto it = first_to_last_.upper_bound(first);
  if (it != first_to_last_.begin() && std::prev(it)->second >= first - 1) --it;
  while (it != first_to_last_.end() && it->first <= last + 1) {
    first = std::min(first, it->first);
    last = std::max(last, it->second);
    it = first_to_last_.erase(it);
  }
  first_to_last_[first] = last;
}

std::int64_t IndexSet::Total() const {
  std::int64_t n = 0;
  for (const auto& [first, last] : first_to_last_) n += last - first + 1;
  return n;
}

std::int64_t IndexSet::CountIn(const IndexSet& other) const {
  std::int64_t n = 0;
  for (const auto& [first, last] : first_to_last_) {
    for (const auto& [low, high] : other.first_to_last_) n += std::max<std::int64_t>(0, std::min(last, high) - std::max(first, low) + 1);
  }
  return n;
}

std::vector<std::int64_t> IndexSet::FirstMissing(const std::vector<const IndexSet*>& sets, std::int64_t completions, std::size_t count) {
  IndexSet all;
  for (const IndexSet* s : sets) {
    for (const auto& [first, last] : s->first_to_last_) all.AddRange(first, last);
  }
  std::vector<std::int64_t> out;
  auto taken = all.first_to_last_.begin();
  for (std::int64_t i = 0; i < completions && out.size() < count; ++i) {
    if (taken != all.first_to_last_.end() && i >= taken->first) {
      i = taken->second;
      ++taken;
      continue;
    }
    out.push_back(i);
  }
  return out;
}

}  // namespace skerry::kube
