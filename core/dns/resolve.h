#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/dns/zone.h"

// Answers from zones, without the network: what the server does with a query before it asks upstream.
namespace skerry::dns {

inline constexpr std::size_t kMaxUdpAnswer = 1232;   // what passes every path unfragmented; a client may ask for less
inline constexpr std::size_t kMaxTcpAnswer = 65535;

struct Local {
  std::string reply;                       // to send; empty: there is nothing to answer (not a query)
  // When set, upstream has to be asked: `query` with its last question name replaced by `upstream_name`.
  std::optional<Message> query;
  std::string upstream_name;
  std::vector<Record> aliases;             // CNAME records that lead from the question to upstream_name
  std::size_t limit = 512;                 // bytes that the client takes
};

enum class Transport : std::uint8_t { kUdp, kTcp };
// `zones` in order of precedence.
Local AnswerLocally(std::string_view datagram, Transport transport, const std::vector<std::shared_ptr<const Zone>>& zones);

Message ReplyTo(const Message& query, Rcode rcode);   // header, question and EDNS copied

}  // namespace skerry::dns
