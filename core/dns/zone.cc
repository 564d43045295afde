#include "core/dns/zone.h"

#include <algorithm>
#include <atomic>

namespace skerry::dns {
namespace {
constexpr int kMaxAliases = 8;

// Spreads clients over equal records without a lock.
std::size_t NextTurn() {
  static std::atomic<std::size_t> turn{0};
  return turn.fetch_add(1, std::memory_order_relaxed);
}
}  // namespace

RecordZone::RecordZone(std::string origin, Unknown unknown, std::uint32_t negative_ttl)
    : origin_(std::move(origin)), unknown_(unknown), negative_ttl_(negative_ttl) {}

void RecordZone::SetIn(Data& data, const std::string& name, std::vector<Record> records) const {
  if (!IsUnder(name, origin_)) return;
  const bool existed = data.records.contains(name);
  if (records.empty()) {
    if (!existed) return;
    data.records.erase(name);
  } else {
    data.records[name] = std::make_shared<const std::vector<Record>>(std::move(records));
  }
  ++data.serial;
  const bool exists = data.records.contains(name);
  if (existed == exists) return;
  std::string_view parent = name;
  while (parent.size() > origin_.size()) {
    parent.remove_prefix(parent.find('.') + 1);
    if (parent.empty()) break;
    if (exists) {
      ++data.below[std::string(parent)];
    } else if (const auto at = data.below.find(parent); at != data.below.end() && --at->second == 0) {
      data.below.erase(at);
    }
  }
}

void RecordZone::Set(const std::string& name, std::vector<Record> records) {
  std::unique_lock lock(mutex_);
  SetIn(data_, name, std::move(records));
}

void RecordZone::Replace(std::unordered_map<std::string, std::vector<Record>> all) {
  Data fresh;
  for (auto& [name, records] : all) SetIn(fresh, name, std::move(records));
  std::unique_lock lock(mutex_);
  fresh.serial = data_.serial + 1;
  std::swap(data_, fresh);
  lock.unlock();   // the old data is freed without the lock
}

std::size_t RecordZone::size() const {
  std::shared_lock lock(mutex_);
  return data_.records.size();
}

RecordZone::RecordSet RecordZone::Find(std::string_view name) const {
  std::shared_lock lock(mutex_);
  const auto at = data_.records.find(name);
  return at == data_.records.end() ? nullptr : at->second;
}

bool RecordZone::Exists(std::string_view name) const {
  if (name == origin_) return true;
  std::shared_lock lock(mutex_);
  return data_.records.contains(name) || data_.below.contains(name);
}

Answer RecordZone::Negative(Answer::Kind kind) const {
  Answer out;
  out.kind = kind;
  std::uint32_t serial = 0;
  {
    std::shared_lock lock(mutex_);
    serial = data_.serial;
  }
  out.authority.push_back(SoaRecord(origin_, negative_ttl_, serial, negative_ttl_));
  return out;
}

Answer RecordZone::Lookup(std::string_view asked, Type type) const {
  if (!IsUnder(asked, origin_)) return {};
  Answer out;
  std::string name(asked);
  for (int hop = 0; hop < kMaxAliases; ++hop) {
    const RecordSet set = Find(name);
    if (!set) {
      if (hop > 0) break;   // the alias leads out of here
      if (Exists(name)) {
        if (name == origin_ && type == Type::kSoa) {
          out = Negative(Answer::Kind::kFound);
          out.records.swap(out.authority);
          return out;
        }
        return Negative(Answer::Kind::kNoData);
      }
      if (unknown_ == Unknown::kNotMine) return {};
      return Negative(Answer::Kind::kNxDomain);
    }
    const std::size_t first = out.records.size();
    const Record* alias = nullptr;
    for (const Record& r : *set) {
      if (r.type == type || type == Type::kAny) out.records.push_back(r);
      if (r.type == Type::kCname) alias = &r;
    }
    if (out.records.size() > first || alias == nullptr) {
      if (out.records.size() > first + 1) {
        std::rotate(out.records.begin() + static_cast<std::ptrdiff_t>(first),
                    out.records.begin() + static_cast<std::ptrdiff_t>(first + NextTurn() % (out.records.size() - first)), out.records.end());
      }
      break;
    }
    out.records.push_back(*alias);
    auto target = NameInData(*alias);
    if (!target || !IsUnder(*target, origin_)) break;
    name = std::move(*target);
  }
  if (out.records.empty()) return Negative(Answer::Kind::kNoData);
  out.kind = Answer::Kind::kFound;
  if (type != Type::kSrv) return out;
  for (const Record& r : out.records) {
    const auto target = NameInData(r);
    if (!target) continue;
    if (const RecordSet set = Find(*target)) {
      for (const Record& a : *set) {
        if (a.type == Type::kA || a.type == Type::kAaaa) out.additional.push_back(a);
      }
    }
  }
  return out;
}

}  // namespace skerry::dns
