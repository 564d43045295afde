#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"

// DNS messages (RFC 1035, 2782, 6891). Names are absolute, lower case, with a final dot ("web.default.svc.cluster.local."); bytes that
// are not letters, digits, '-', '_' or '*' are written \DDD, so that every name has one spelling. The root is ".".
namespace skerry::dns {

enum class Type : std::uint16_t { kA = 1, kNs = 2, kCname = 5, kSoa = 6, kPtr = 12, kMx = 15, kTxt = 16, kAaaa = 28, kSrv = 33, kOpt = 41, kAny = 255 };
enum class Rcode : std::uint8_t { kNoError = 0, kFormErr = 1, kServFail = 2, kNxDomain = 3, kNotImp = 4, kRefused = 5 };
inline constexpr std::uint16_t kClassIn = 1;

struct Question {
  std::string name;
  Type type = Type::kA;
  std::uint16_t klass = kClassIn;
  bool operator==(const Question&) const = default;
};

// `data` is wire format without compression.
struct Record {
  std::string name;
  Type type = Type::kA;
  std::uint16_t klass = kClassIn;
  std::uint32_t ttl = 0;
  std::string data;
  bool operator==(const Record&) const = default;
};

struct Message {
  std::uint16_t id = 0;
  bool response = false, authoritative = false, truncated = false, recursion_desired = false, recursion_available = false, checking_disabled = false;
  std::uint8_t opcode = 0;
  Rcode rcode = Rcode::kNoError;
  std::vector<Question> questions;
  std::vector<Record> answers, authority, additional;      // without the OPT record
  std::optional<std::uint16_t> edns_size;                  // an OPT record is there: the sender's UDP size
  bool dnssec_ok = false;
};

// kBadRequest for anything that does not parse as a whole; never reads outside `wire`; compression pointers must point backwards.
Result<Message> Parse(std::string_view wire);

// Wire form with compressed owner names. Records that do not fit into `limit` bytes are left out and the truncated bit is set
// (additional records are left out silently). `limit` >= 512.
std::string Print(const Message& message, std::size_t limit);

// Names: text as a user writes it (final dot optional, any case) to the form above; kInvalid when a label is empty or longer than 63
// bytes or the whole longer than 255.
Result<std::string> NormalizeName(std::string_view text);
std::string ToWire(std::string_view name);                 // of a normalized name
bool IsUnder(std::string_view name, std::string_view origin);   // equal or below

// Record data.
Record AddressRecord(std::string name, std::uint32_t ttl, std::string_view address_bytes);   // 4 or 16 bytes, network order
Record NameRecord(std::string name, Type type, std::uint32_t ttl, std::string_view target);  // CNAME, PTR, NS
Record SrvRecord(std::string name, std::uint32_t ttl, std::uint16_t priority, std::uint16_t weight, std::uint16_t port, std::string_view target);
Record TxtRecord(std::string name, std::uint32_t ttl, std::string_view text);                // cut at 255 bytes
Record SoaRecord(std::string origin, std::uint32_t ttl, std::uint32_t serial, std::uint32_t negative_ttl);
Result<std::string> NameInData(const Record& record);      // the target of CNAME, PTR, NS and SRV

}  // namespace skerry::dns
