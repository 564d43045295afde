#include "core/dns/resolve.h"

#include <algorithm>

namespace skerry::dns {
namespace {

std::string Header(std::string_view datagram, Rcode rcode) {
  // Only the identifier and the fact that it is an answer: nothing else of the query was understood.
  Message m;
  m.id = static_cast<std::uint16_t>(static_cast<std::uint8_t>(datagram[0]) << 8 | static_cast<std::uint8_t>(datagram[1]));
  m.response = true;
  m.rcode = rcode;
  return Print(m, 512);
}

Answer Ask(std::string_view name, Type type, const std::vector<std::shared_ptr<const Zone>>& zones) {
  for (const auto& zone : zones) {
    Answer a = zone->Lookup(name, type);
    if (a.kind != Answer::Kind::kNotMine) return a;
  }
  return {};
}

}  // namespace

Message ReplyTo(const Message& query, Rcode rcode) {
  Message m;
  m.id = query.id;
  m.response = true;
  m.opcode = query.opcode;
  m.rcode = rcode;
  m.recursion_desired = query.recursion_desired;
  m.recursion_available = true;
  m.questions = query.questions;
  if (query.edns_size) m.edns_size = static_cast<std::uint16_t>(kMaxUdpAnswer);
  return m;
}

Local AnswerLocally(std::string_view datagram, Transport transport, const std::vector<std::shared_ptr<const Zone>>& zones) {
  Local out;
  if (datagram.size() < 12 || (static_cast<std::uint8_t>(datagram[2]) & 0x80) != 0) return out;   // too short, or an answer: never reply
  auto parsed = Parse(datagram);
  if (!parsed) {
    out.reply = Header(datagram, Rcode::kFormErr);
    return out;
  }
  Message& query = *parsed;
  out.limit = transport == Transport::kTcp ? kMaxTcpAnswer : std::clamp<std::size_t>(query.edns_size.value_or(512), 512, kMaxUdpAnswer);
  const auto refuse = [&](Rcode rcode) { out.reply = Print(ReplyTo(query, rcode), out.limit); };
  if (query.opcode != 0) return refuse(Rcode::kNotImp), out;
  if (query.questions.size() != 1) return refuse(Rcode::kFormErr), out;
  const Question& question = query.questions[0];
  const auto type = static_cast<std::uint16_t>(question.type);
  if (question.klass != kClassIn || (type >= 249 && type <= 254)) return refuse(Rcode::kRefused), out;   // transfers and other meta types
  Answer answer = Ask(question.name, question.type, zones);
  if (answer.kind == Answer::Kind::kNotMine) {
    out.upstream_name = question.name;
    out.query = std::move(query);
    return out;
  }
  if (answer.kind == Answer::Kind::kFound && question.type != Type::kCname && question.type != Type::kAny && answer.records.back().type == Type::kCname) {
    if (auto target = NameInData(answer.records.back()); target) {
      out.upstream_name = std::move(*target);
      out.aliases = std::move(answer.records);
      out.query = std::move(query);
      return out;
    }
  }
  Message reply = ReplyTo(query, answer.kind == Answer::Kind::kNxDomain ? Rcode::kNxDomain : Rcode::kNoError);
  reply.authoritative = true;
  reply.answers = std::move(answer.records);
  reply.authority = std::move(answer.authority);
  reply.additional = std::move(answer.additional);
  out.reply = Print(reply, out.limit);
  return out;
}

}  // namespace skerry::dns
