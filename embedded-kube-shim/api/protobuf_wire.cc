#include "embedded-kube-shim/api/protobuf_wire.h"

namespace skerry::kube::wire {

void PutVarint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out += static_cast<char>(value | 0x80);
    value >>= 7;
  }
  out += static_cast<char>(value);
}

void PutTag(std::string& out, int number, WireType type) {
  PutVarint(out, static_cast<std::uint64_t>(number) << 3 | static_cast<std::uint64_t>(type));
}

void PutBytes(std::string& out, int number, std::string_view bytes) {
  PutTag(out, number, WireType::kBytes);
  PutVarint(out, bytes.size());
  out += bytes;
}

void PutNumber(std::string& out, int number, std::int64_t value) {
  PutTag(out, number, WireType::kVarint);
  PutVarint(out, static_cast<std::uint64_t>(value));
}

bool Reader::Varint(std::uint64_t& out) {
  out = 0;
  for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(rest_[0]);
    rest_.remove_prefix(1);
    out |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

bool Reader::Next() {
  if (rest_.empty() || !ok_) return false;
  ok_ = false;
  std::uint64_t tag = 0;
  if (!Varint(tag) || (tag >> 3) == 0 || (tag >> 3) > 0x1fffffff) return false;
  field = static_cast<int>(tag >> 3);
  type = static_cast<WireType>(tag & 7);
  std::uint64_t length = 0;
  switch (type) {
    case WireType::kVarint:
      if (!Varint(value)) return false;
      break;
    case WireType::kFixed64:
    case WireType::kFixed32: {
      length = type == WireType::kFixed64 ? 8 : 4;
      if (rest_.size() < length) return false;
      value = 0;
      for (std::size_t i = 0; i < length; ++i) value |= static_cast<std::uint64_t>(static_cast<unsigned char>(rest_[i])) << (8 * i);
      rest_.remove_prefix(length);
      break;
    }
    case WireType::kBytes:
      if (!Varint(length) || length > rest_.size()) return false;
      bytes = rest_.substr(0, length);
      rest_.remove_prefix(length);
      break;
    default: return false;
  }
  return ok_ = true;
}

}  // namespace skerry::kube::wire
