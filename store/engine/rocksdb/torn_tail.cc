#include "store/engine/rocksdb/torn_tail.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <optional>

#include "core/base/files.h"
#include "core/base/strings.h"

namespace skerry::store {
namespace {

constexpr std::size_t kBlockSize = 32768, kHeaderSize = 7;
constexpr unsigned char kFull = 1, kFirst = 2, kMiddle = 3, kLast = 4;

std::uint32_t Crc32c(std::string_view bytes) {
  static const auto table = [] {
    std::array<std::uint32_t, 256> t{};
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t c = i;
      for (int bit = 0; bit < 8; ++bit) c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
      t[i] = c;
    }
    return t;
  }();
  std::uint32_t c = ~0u;
  for (const char b : bytes) c = table[(c ^ static_cast<unsigned char>(b)) & 0xff] ^ c >> 8;
  return ~c;
}

struct Fragment {
  unsigned char type = 0;
  std::size_t end = 0;
};

// The fragment at `at`; nothing if there is none that is whole and right.
std::optional<Fragment> FragmentAt(std::string_view log, std::size_t at) {
  const std::size_t block_end = (at / kBlockSize + 1) * kBlockSize;
  if (at + kHeaderSize > std::min(block_end, log.size())) return std::nullopt;
  const auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(log[at + i])); };
  const Fragment f{static_cast<unsigned char>(byte(6)), at + kHeaderSize + (byte(4) | byte(5) << 8)};
  if (f.type < kFull || f.type > kLast || f.end > block_end || f.end > log.size()) return std::nullopt;
  const std::uint32_t masked = byte(0) | byte(1) << 8 | byte(2) << 16 | byte(3) << 24;
  const std::uint32_t crc = Crc32c(log.substr(at + 6, f.end - at - 6));
  return ((crc >> 15 | crc << 17) + 0xa282ead8u) == masked ? std::optional(f) : std::nullopt;
}

// Would the log be merely cut short if it ended here? Then the header, or what it announces, reaches beyond the end.
bool RunsOverEnd(std::string_view log, std::size_t at) {
  if (at + kHeaderSize > log.size()) return true;
  const auto byte = [&](std::size_t i) { return static_cast<std::size_t>(static_cast<unsigned char>(log[at + i])); };
  const std::size_t length = byte(4) | byte(5) << 8;
  return at + kHeaderSize + length > log.size() && log.size() / kBlockSize == at / kBlockSize;
}

bool AnyRecordBegins(std::string_view log, std::size_t from) {
  for (std::size_t at = from; at + kHeaderSize <= log.size(); ++at) {
    const auto f = FragmentAt(log, at);
    if (f && (f->type == kFull || f->type == kFirst)) return true;
  }
  return false;
}

std::vector<std::string> NamesIn(const std::string& directory) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(directory.c_str()), ::closedir);
  while (dir) {
    const dirent* entry = ::readdir(dir.get());
    if (!entry) break;
    names.emplace_back(entry->d_name);
  }
  return names;
}

Result<bool> CutTornTail(const std::string& path) {
  TRY(const std::string content, ReadFile(path, 1 << 30));
  const Tail tail = InspectLog(content);
  if (tail.state != TailState::kTorn) return false;
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(tail.good_bytes)) != 0 || ::fsync(fd.get()) != 0) {
    return std::unexpected(ErrnoError(errno, "cut the torn record off " + path));
  }
  return true;
}

}  // namespace

Tail InspectLog(std::string_view log) {
  Tail tail;
  bool inside = false;   // between a first and a last fragment
  for (std::size_t at = 0; at < log.size();) {
    if (kBlockSize - at % kBlockSize < kHeaderSize) {   // too little for a header: the writer filled it with zeros
      at = (at / kBlockSize + 1) * kBlockSize;
      continue;
    }
    const auto f = FragmentAt(log, at);
    const bool fits = f && (f->type == kFull || f->type == kFirst) != inside;
    if (!fits) {
      if (!f && RunsOverEnd(log, at)) return tail;
      tail.state = AnyRecordBegins(log, at + 1) ? TailState::kDamaged : TailState::kTorn;
      return tail;
    }
    inside = f->type == kFirst || f->type == kMiddle;
    at = f->end;
    if (!inside) tail.good_bytes = at;
  }
  return tail;
}

Result<bool> CutTornTails(const std::string& directory) {
  std::string newest;
  std::uint64_t newest_number = 0;
  for (const std::string& name : NamesIn(directory)) {
    if (!name.ends_with(".log")) continue;
    const auto number = ParseUint(std::string_view(name).substr(0, name.size() - 4));
    if (!number || *number < newest_number) continue;
    newest = name;
    newest_number = *number;
  }
  bool cut = false;
  if (!newest.empty()) {
    TRY(cut, CutTornTail(directory + "/" + newest));
  }
  const auto current = ReadFile(directory + "/CURRENT", 4096);
  if (!current || !Trim(*current).starts_with("MANIFEST-") || Trim(*current).find('/') != std::string_view::npos) return cut;
  TRY(const bool manifest, CutTornTail(directory + "/" + std::string(Trim(*current))));
  return cut || manifest;
}

}  // namespace skerry::store
