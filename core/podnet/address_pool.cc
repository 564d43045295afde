#include "core/podnet/address_pool.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "core/base/files.h"
#include "core/base/strings.h"

namespace skerry::podnet {
namespace {

using netlink::Ipv4;
constexpr char kMagic[] = "skerry-podnet 1 ";

std::string Format(const std::string& id, const Lease& lease) {
  std::string out = Cat("+ ", lease.address.ToString(), ' ', id);
  for (const HostPort& p : lease.host_ports) {
    out += Cat(p.protocol == Protocol::kUdp ? " udp:" : " tcp:", p.host_port, ':', p.pod_port, ':', p.host_address.ToString());
  }
  return out + '\n';
}

Result<HostPort> ParseHostPort(std::string_view text) {
  const auto parts = Split(text, ':');
  HostPort out;
  const auto host = parts.size() == 4 ? ParseUint(parts[1]) : std::nullopt;
  const auto pod = parts.size() == 4 ? ParseUint(parts[2]) : std::nullopt;
  if (!host || !pod || *host > 65535 || *pod > 65535 || (parts[0] != "tcp" && parts[0] != "udp")) return Fail(Code::kInvalid, "host port");
  out.protocol = parts[0] == "udp" ? Protocol::kUdp : Protocol::kTcp;
  out.host_port = static_cast<std::uint16_t>(*host);
  out.pod_port = static_cast<std::uint16_t>(*pod);
  TRY(out.host_address, Ipv4::Parse(parts[3]));
  return out;
}

bool GoodId(std::string_view id) {
  return !id.empty() && id.size() <= 200 && std::all_of(id.begin(), id.end(), [](char c) { return c > ' ' && c < 127; });
}

bool Clash(const HostPort& a, const HostPort& b) {
  const bool anywhere = a.host_address == Ipv4{} || b.host_address == Ipv4{};
  return a.protocol == b.protocol && a.host_port == b.host_port && (anywhere || a.host_address == b.host_address);
}

}  // namespace

Result<AddressPool> AddressPool::Open(const std::string& path, netlink::Ipv4Range range, const std::string& boot_id) {
  if (range.prefix > 30) return Fail(Code::kInvalid, "pod range " + range.ToString() + " is too small: at most /30");
  AddressPool pool(path, range);
  auto text = ReadFile(path);
  if (!text && text.error().code() != Code::kNotFound) return std::unexpected(std::move(text).error());
  if (text && text->starts_with(Cat(kMagic, boot_id, '\n'))) {
    auto read = pool.Read(*text);
    if (!read) return std::unexpected(std::move(read.error()).Wrap(path));
  }
  TRY_VOID(pool.Rewrite(boot_id));
  return pool;
}

Result<> AddressPool::Read(std::string_view text) {
  std::size_t number = 0;
  while (true) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};   // nothing or an unfinished line
    ++number;
    if (number > 1) {
      auto r = ReadLine(text.substr(0, end));
      if (!r) return Fail(Code::kCorruption, Cat("line ", number, " is damaged; stop all pods and remove the file"));
    }
    text.remove_prefix(end + 1);
  }
}

Result<> AddressPool::ReadLine(std::string_view line) {
  const auto words = Split(line, ' ');
  if (words.size() == 2 && words[0] == "-") {
    if (const auto at = leases_.find(std::string(words[1])); at != leases_.end()) {
      taken_.erase(at->second.address);
      leases_.erase(at);
    }
    return {};
  }
  if (words.size() < 3 || words[0] != "+" || !GoodId(words[2])) return Fail(Code::kCorruption, "line");
  Lease lease;
  TRY(lease.address, Ipv4::Parse(words[1]));
  for (std::size_t i = 3; i < words.size(); ++i) {
    TRY(const HostPort p, ParseHostPort(words[i]));
    lease.host_ports.push_back(p);
  }
  if (range_.Contains(lease.address)) cursor_ = lease.address.value - range_.base.value;
  taken_[lease.address] = words[2];
  leases_[std::string(words[2])] = std::move(lease);
  return {};
}

Result<> AddressPool::Rewrite(const std::string& boot_id) {
  std::string text = Cat(kMagic, boot_id, '\n');
  // The cursor is the address of the last "+" line: that lease goes last.
  const auto last = taken_.find(Ipv4{range_.base.value + cursor_});
  for (const auto& [id, lease] : leases_) {
    if (last == taken_.end() || last->second != id) text += Format(id, lease);
  }
  if (last != taken_.end()) text += Format(last->second, leases_.at(last->second));
  const std::string temporary = path_ + ".new";
  UniqueFd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600));
  if (!fd) return std::unexpected(ErrnoError(errno, "create " + temporary));
  TRY_VOID(WriteAll(fd.get(), text));
  if (::rename(temporary.c_str(), path_.c_str()) != 0) return std::unexpected(ErrnoError(errno, "rename " + temporary));
  log_ = std::move(fd);
  boot_id_ = boot_id;
  lines_ = leases_.size() + 1;
  return {};
}

Result<> AddressPool::Append(const std::string& line) {
  if (lines_ > 4 * leases_.size() + 1000) return Rewrite(boot_id_);   // the change is in leases_ already
  const off_t end = ::lseek(log_.get(), 0, SEEK_END);
  if (auto r = WriteAll(log_.get(), line); !r) {
    // A half-written line would make the next one unreadable.
    if (end < 0 || ::ftruncate(log_.get(), end) != 0) log_.Reset();
    return std::unexpected(std::move(r.error()).Wrap(path_));
  }
  ++lines_;
  return {};
}

std::optional<netlink::Ipv4> AddressPool::NextFree() {
  const auto size = static_cast<std::uint32_t>(std::min<std::uint64_t>(range_.size(), ~std::uint32_t{0}));
  // The first and the last address of a range are never handed out: some clients take them for a network and a broadcast.
  for (std::uint32_t tried = 0; tried < size; ++tried) {
    cursor_ = cursor_ + 1 >= size - 1 ? 1 : cursor_ + 1;
    const Ipv4 candidate{range_.base.value + cursor_};
    if (!taken_.contains(candidate)) return candidate;
    if (tried > taken_.size() + 2) break;
  }
  return std::nullopt;
}

Result<Lease> AddressPool::Acquire(const std::string& id, const std::vector<HostPort>& host_ports) {
  if (const auto at = leases_.find(id); at != leases_.end()) return at->second;
  if (!GoodId(id)) return Fail(Code::kInvalid, "sandbox id " + Quote(id));
  for (const auto& [other, lease] : leases_) {
    for (const HostPort& p : host_ports) {
      if (std::any_of(lease.host_ports.begin(), lease.host_ports.end(), [&](const HostPort& q) { return Clash(p, q); })) {
        return Fail(Code::kConflict, Cat("host port ", p.host_port, p.protocol == Protocol::kUdp ? "/udp" : "/tcp", " is taken by sandbox ", other));
      }
    }
  }
  const auto address = NextFree();
  if (!address) return Fail(Code::kUnavailable, Cat("no free address in ", range_.ToString(), ": ", leases_.size(), " in use"));
  const Lease lease{*address, host_ports};
  leases_[id] = lease;
  taken_[*address] = id;
  if (auto r = Append(Format(id, lease)); !r) {
    leases_.erase(id);
    taken_.erase(*address);
    return std::unexpected(std::move(r).error());
  }
  return lease;
}

Result<> AddressPool::Release(const std::string& id) {
  const auto at = leases_.find(id);
  if (at == leases_.end()) return {};
  const Lease lease = at->second;
  taken_.erase(lease.address);
  leases_.erase(at);
  auto r = Append(Cat("- ", id, '\n'));
  if (r) return r;
  leases_[id] = lease;
  taken_[lease.address] = id;
  return r;
}

}  // namespace skerry::podnet
