#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "core/base/files.h"
#include "core/base/guarded.h"
#include "core/base/strings.h"
#include "embedded-kube-shim/cel/value.h"

// The system's zone database (TZif, RFC 8536). After the last listed transition (2037 in Debian's files) the last rule stays.
namespace skerry::kube::cel {
namespace {

struct Zone {
  std::vector<std::int64_t> transitions;   // ascending
  std::vector<std::int32_t> after;         // offset from that transition on
  std::int32_t before = 0;
};

std::int64_t BigEndian(std::string_view bytes) {
  std::uint64_t out = 0;
  for (const char c : bytes) out = out << 8 | static_cast<unsigned char>(c);
  return bytes.size() == 4 ? static_cast<std::int32_t>(out) : static_cast<std::int64_t>(out);
}

struct Header { std::size_t isut, isstd, leap, times, types, chars; };

std::optional<Header> ReadHeader(std::string_view data) {
  if (data.size() < 44 || !data.starts_with("TZif")) return std::nullopt;
  const auto count = [&](std::size_t i) { return static_cast<std::size_t>(BigEndian(data.substr(20 + 4 * i, 4))); };
  const Header header{count(0), count(1), count(2), count(3), count(4), count(5)};
  constexpr std::size_t kMost = 1 << 16;
  if (header.times > kMost || header.types == 0 || header.types > 256 || header.chars > kMost || header.leap > kMost || header.isut > 256 || header.isstd > 256) return std::nullopt;
  return header;
}

std::optional<Zone> ParseZone(std::string_view data) {
  const auto first = ReadHeader(data);
  if (!first) return std::nullopt;
  const std::size_t skip = 44 + first->times * 5 + first->types * 6 + first->chars + first->leap * 8 + first->isstd + first->isut;
  if (data.size() < skip) return std::nullopt;
  data.remove_prefix(skip);   // the block of version 1 holds 32-bit times; the next one is complete
  const auto header = ReadHeader(data);
  if (!header || data.size() < 44 + header->times * 9 + header->types * 6) return std::nullopt;
  data.remove_prefix(44);
  const std::string_view indexes = data.substr(header->times * 8, header->times);
  const std::string_view types = data.substr(header->times * 9, header->types * 6);
  Zone zone;
  const auto offset = [&](std::size_t type) { return static_cast<std::int32_t>(BigEndian(types.substr(type * 6, 4))); };
  zone.before = offset(0);
  for (std::size_t i = 0; i < header->times; ++i) {
    const auto type = static_cast<unsigned char>(indexes[i]);
    if (type >= header->types) return std::nullopt;
    zone.transitions.push_back(BigEndian(data.substr(i * 8, 8)));
    zone.after.push_back(offset(type));
  }
  return zone;
}

// "Europe/Berlin": words of letters, digits and _ + - between slashes, so that a name never leaves the database's directory.
bool IsZoneName(std::string_view name) {
  if (name.empty() || name.size() > 64) return false;
  for (const std::string_view word : Split(name, '/')) {
    const bool ok = !word.empty() && std::ranges::all_of(word, [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '+'; });
    if (!ok) return false;
  }
  return true;
}

std::shared_ptr<const Zone> Load(const std::string& name) {
  const auto data = ReadFile(Cat("/usr/share/zoneinfo/", name));
  if (!data) return nullptr;
  auto zone = ParseZone(*data);
  return zone ? std::make_shared<const Zone>(std::move(*zone)) : nullptr;
}

}  // namespace

std::optional<std::int64_t> ZoneOffsetByName(std::string_view zone_name, std::int64_t seconds) {
  static Guarded<std::map<std::string, std::shared_ptr<const Zone>, std::less<>>> cache;
  if (!IsZoneName(zone_name)) return std::nullopt;
  std::shared_ptr<const Zone> zone;
  {
    auto zones = cache.Lock();
    auto at = zones->find(zone_name);
    if (at == zones->end()) {
      if (zones->size() > 1000) zones->clear();   // unknown names are kept too
      at = zones->emplace(std::string(zone_name), Load(std::string(zone_name))).first;
    }
    zone = at->second;
  }
  if (zone == nullptr) return std::nullopt;
  const auto next = std::ranges::upper_bound(zone->transitions, seconds);
  return next == zone->transitions.begin() ? zone->before : zone->after[static_cast<std::size_t>(next - zone->transitions.begin()) - 1];
}

}  // namespace skerry::kube::cel
