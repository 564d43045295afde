#include "core/netlink/message.h"

#include <arpa/inet.h>
#include <linux/netlink.h>

#include <cstring>

namespace skerry::netlink {
namespace {
void Pad(std::string& out) { out.append((4 - out.size() % 4) % 4, '\0'); }
}  // namespace

void MessageWriter::Begin(std::uint16_t type, std::uint16_t flags, std::string_view family_header) {
  start_ = buffer_.size();
  nlmsghdr header{};
  header.nlmsg_type = type;
  header.nlmsg_flags = flags;
  header.nlmsg_seq = ++sequence_;
  buffer_.append(reinterpret_cast<const char*>(&header), sizeof header);
  PutRaw(family_header);
}

void MessageWriter::End() {
  const auto length = static_cast<std::uint32_t>(buffer_.size() - start_);
  std::memcpy(buffer_.data() + start_, &length, sizeof length);
}

void MessageWriter::Put(std::uint16_t attribute, std::string_view payload) {
  const nlattr header{static_cast<std::uint16_t>(NLA_HDRLEN + payload.size()), attribute};
  buffer_.append(reinterpret_cast<const char*>(&header), sizeof header);
  PutRaw(payload);
}

void MessageWriter::PutString(std::uint16_t attribute, std::string_view text) {
  const nlattr header{static_cast<std::uint16_t>(NLA_HDRLEN + text.size() + 1), attribute};
  buffer_.append(reinterpret_cast<const char*>(&header), sizeof header);
  buffer_.append(text);
  buffer_ += '\0';
  Pad(buffer_);
}

void MessageWriter::PutU8(std::uint16_t attribute, std::uint8_t v) { Put(attribute, {reinterpret_cast<const char*>(&v), 1}); }
void MessageWriter::PutU32(std::uint16_t attribute, std::uint32_t v) { Put(attribute, {reinterpret_cast<const char*>(&v), 4}); }
void MessageWriter::PutBig32(std::uint16_t attribute, std::uint32_t v) { PutU32(attribute, htonl(v)); }
void MessageWriter::PutBig16(std::uint16_t attribute, std::uint16_t v) {
  const std::uint16_t big = htons(v);
  Put(attribute, {reinterpret_cast<const char*>(&big), 2});
}

void MessageWriter::PutRaw(std::string_view bytes) {
  buffer_.append(bytes);
  Pad(buffer_);
}

std::size_t MessageWriter::OpenPlainNest(std::uint16_t attribute) {
  const std::size_t mark = buffer_.size();
  Put(attribute, {});
  return mark;
}

std::size_t MessageWriter::OpenNest(std::uint16_t attribute) { return OpenPlainNest(attribute | NLA_F_NESTED); }

void MessageWriter::CloseNest(std::size_t mark) {
  const auto length = static_cast<std::uint16_t>(buffer_.size() - mark);
  std::memcpy(buffer_.data() + mark, &length, sizeof length);
}

void ForEachAttribute(std::string_view in, const std::function<void(std::uint16_t, std::string_view)>& fn) {
  while (in.size() >= sizeof(nlattr)) {
    nlattr header;
    std::memcpy(&header, in.data(), sizeof header);
    if (header.nla_len < sizeof header || header.nla_len > in.size()) return;
    fn(header.nla_type & NLA_TYPE_MASK, in.substr(sizeof header, header.nla_len - sizeof header));
    in.remove_prefix(std::min<std::size_t>(NLA_ALIGN(header.nla_len), in.size()));
  }
}

std::string_view FindAttribute(std::string_view attributes, std::uint16_t type) {
  std::string_view found;
  ForEachAttribute(attributes, [&](std::uint16_t t, std::string_view payload) {
    if (t == type && found.data() == nullptr) found = payload;
  });
  return found;
}

std::uint32_t ReadHost32(std::string_view payload) {
  std::uint32_t v = 0;
  if (payload.size() >= sizeof v) std::memcpy(&v, payload.data(), sizeof v);
  return v;
}
std::uint32_t ReadBig32(std::string_view payload) { return ntohl(ReadHost32(payload)); }
std::uint16_t ReadBig16(std::string_view payload) {
  std::uint16_t v = 0;
  if (payload.size() >= sizeof v) std::memcpy(&v, payload.data(), sizeof v);
  return ntohs(v);
}
std::string_view ReadString(std::string_view payload) { return payload.substr(0, payload.find('\0')); }

}  // namespace skerry::netlink
