#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/base/unique_fd.h"
#include "core/netlink/address.h"
#include "core/podnet/services.h"

namespace skerry::podnet {

struct HostPort {
  Protocol protocol = Protocol::kTcp;
  std::uint16_t host_port = 0, pod_port = 0;
  netlink::Ipv4 host_address;               // 0.0.0.0: every address of the node
  auto operator<=>(const HostPort&) const = default;
};

struct Lease {
  netlink::Ipv4 address;
  std::vector<HostPort> host_ports;
  bool operator==(const Lease&) const = default;
};

// Addresses of one range by sandbox id, kept in a file so that a new process finds who has what.
//
// The file is a log of lines, each written by one write(2): it survives the death of the process at any point. It is not synced:
// it names the boot it belongs to, and after a loss of power the sandboxes are gone as well, so that the pool starts empty.
//   skerry-podnet 1 <boot id>
//   + <address> <sandbox id> [tcp:<host port>:<pod port>:<host address>]…
//   - <sandbox id>
// Addresses are handed out in turn, so that a freed one rests as long as possible. Not thread-safe.
class AddressPool {
 public:
  // kCorruption names the line when the file of this boot does not parse; an unfinished last line is dropped.
  static Result<AddressPool> Open(const std::string& path, netlink::Ipv4Range range, const std::string& boot_id);

  // The lease that the id has, or a new one. kUnavailable when the range is exhausted; kInvalid for an id that is not 1–200 printable
  // characters without blanks; kConflict when another lease has one of the host ports. Host ports are those of the first call.
  Result<Lease> Acquire(const std::string& id, const std::vector<HostPort>& host_ports);
  Result<> Release(const std::string& id);   // unknown is fine
  const std::map<std::string, Lease>& leases() const { return leases_; }

 private:
  AddressPool(std::string path, netlink::Ipv4Range range) : path_(std::move(path)), range_(range) {}
  Result<> Read(std::string_view text);
  Result<> ReadLine(std::string_view line);
  Result<> Rewrite(const std::string& boot_id);
  Result<> Append(const std::string& line);
  std::optional<netlink::Ipv4> NextFree();

  std::string path_, boot_id_;
  netlink::Ipv4Range range_;
  UniqueFd log_;
  std::size_t lines_ = 0;
  std::map<std::string, Lease> leases_;
  std::map<netlink::Ipv4, std::string> taken_;
  std::uint32_t cursor_ = 0;   // offset in the range of the last address handed out
};

}  // namespace skerry::podnet
