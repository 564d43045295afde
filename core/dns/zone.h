#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/strings.h"
#include "core/dns/message.h"

namespace skerry::dns {

struct Answer {
  enum class Kind : std::uint8_t { kNotMine, kFound, kNoData, kNxDomain } kind = Kind::kNotMine;
  std::vector<Record> records;      // kFound; a CNAME ends the list when its target has to be looked up elsewhere
  std::vector<Record> additional;   // addresses of SRV targets
  std::vector<Record> authority;    // SOA with the negative answers
};

// A part of the name space that is answered here. Called on shards from several threads: never blocks.
class Zone {
 public:
  virtual ~Zone() = default;
  virtual Answer Lookup(std::string_view name, Type type) const = 0;   // name as in message.h
};

// Records by name below an origin. Readers share a lock that a writer holds for one insertion.
class RecordZone : public Zone {
 public:
  enum class Unknown : std::uint8_t { kNxDomain, kNotMine };   // what a name that is not there means: kNotMine asks the next zone, then upstream
  RecordZone(std::string origin, Unknown unknown, std::uint32_t negative_ttl = 5);

  // All records of one name (which must be under the origin); none removes it.
  void Set(const std::string& name, std::vector<Record> records);
  void Replace(std::unordered_map<std::string, std::vector<Record>> all);
  std::size_t size() const;
  const std::string& origin() const { return origin_; }

  Answer Lookup(std::string_view name, Type type) const override;
  Answer Negative(Answer::Kind kind) const;   // with this zone's SOA

 private:
  using RecordSet = std::shared_ptr<const std::vector<Record>>;
  template <class T>
  using ByName = std::unordered_map<std::string, T, StringHash, std::equal_to<>>;
  struct Data {
    ByName<RecordSet> records;
    ByName<std::size_t> below;   // how many names exist below this one: such a name is empty, not unknown
    std::uint32_t serial = 1;
  };
  void SetIn(Data& data, const std::string& name, std::vector<Record> records) const;
  RecordSet Find(std::string_view name) const;
  bool Exists(std::string_view name) const;

  const std::string origin_;
  const Unknown unknown_;
  const std::uint32_t negative_ttl_;
  mutable std::shared_mutex mutex_;
  Data data_;   // guarded
};

}  // namespace skerry::dns
