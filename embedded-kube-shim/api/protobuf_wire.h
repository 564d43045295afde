#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "embedded-kube-shim/api/schema.h"

// The protobuf wire format, as far as API objects use it: varints, fixed64 and length-delimited fields.
namespace skerry::kube::wire {

enum class WireType : std::uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

void PutVarint(std::string& out, std::uint64_t value);
void PutTag(std::string& out, int number, WireType type);
void PutBytes(std::string& out, int number, std::string_view bytes);
void PutNumber(std::string& out, int number, std::int64_t value);   // varint, negative numbers in ten bytes

// Walks the fields of one message. After Next() returned true exactly one of `number_value` and `bytes` is meaningful.
class Reader {
 public:
  explicit Reader(std::string_view data) : rest_(data) {}
  bool Next();                       // false at the end or when the data is bad
  bool ok() const { return ok_; }
  int field = 0;
  WireType type = WireType::kVarint;
  std::uint64_t value = 0;
  std::string_view bytes;

 private:
  bool Varint(std::uint64_t& out);
  std::string_view rest_;
  bool ok_ = true;
};

// One value without tag and length.
std::string EncodeMessage(SchemaPtr schema, const json::Value& value);
// A field, with its tag, that an object does not have: what Go writes nevertheless.
std::string AbsentField(const Field& field);
// False when the bytes are no such message. `depth` guards the stack.
bool DecodeMessage(SchemaPtr schema, std::string_view data, json::Value& out, int depth);

}  // namespace skerry::kube::wire
