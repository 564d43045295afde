#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/netlink/address.h"
#include "core/netlink/socket.h"

// Elements of nftables sets and maps over NFNL netlink batches. Tables, sets and chains come from a text (ruleset.h) once; whatever changes
// at run time is an element. A batch is one transaction: all of it or nothing, and no packet sees a half of it.
namespace skerry::netlink {

// A key or a value as the kernel stores it: fields in network order, each padded to four bytes (marks: host order).
class NftBytes {
 public:
  NftBytes& Address(Ipv4 a);
  NftBytes& Protocol(std::uint8_t ip_protocol);
  NftBytes& Port(std::uint16_t port);
  NftBytes& Mark(std::uint32_t mark);
  std::string Take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

// Value of a verdict map: `goto chain`. Encoded in NftElement::value as a one-byte tag and the chain's name, which no data value can equal.
std::string NftGoto(std::string_view chain);

struct NftElement {
  std::string key;
  std::string value;   // empty: a set, or a deletion
  bool operator==(const NftElement&) const = default;
};

struct NftChange {
  enum class Kind : std::uint8_t { kDelete, kAdd } kind;   // kDelete first: the same key may be deleted and added in one batch
  std::string set;
  NftElement element;
};

class NftTable {
 public:
  // An `ip` family table in the namespace of the calling thread. Does not create it.
  static Result<NftTable> Open(std::string table);
  // One transaction. kNotFound: an element to delete (or the set) is not there; kAlreadyExists: a key is there with another value.
  // In both cases nothing was changed, and the caller's picture is stale: list again.
  Result<> Apply(const std::vector<NftChange>& changes);
  // All elements now in a set. Retries when the list changed meanwhile. kNotFound without the set.
  Result<std::vector<NftElement>> List(const std::string& set);
  const std::string& name() const { return table_; }

 private:
  NftTable(std::string table, Socket socket) : table_(std::move(table)), socket_(std::move(socket)) {}
  std::string table_;
  Socket socket_;
};

// Handles of the rules of one chain whose comment is `comment`. Empty when there is no such table or chain.
Result<std::vector<std::uint64_t>> FindRules(const std::string& table, const std::string& chain, std::string_view comment);
// Names of the chains of an `ip` family table; empty when there is no such table.
Result<std::vector<std::string>> ListChains(const std::string& table);
Result<bool> HasChain(const std::string& table, const std::string& chain);

}  // namespace skerry::netlink
