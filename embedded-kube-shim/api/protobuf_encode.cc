#include <algorithm>
#include <bit>
#include <chrono>

#include "core/base/strings.h"
#include "core/text/base64.h"
#include "core/text/duration.h"
#include "core/json/layout.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/protobuf_wire.h"

// Upstream's encoder writes fields in ascending order, writes scalars that are not pointers even when they are zero, and leaves out only
// what is nil: the same bytes come out here (golden corpus).
namespace skerry::kube::wire {
namespace {

using json::Value;

std::string TimeMessage(std::string_view text) {
  std::string out;
  if (text.size() < 20) return out;   // no time: an empty message
  const auto number = [&](std::size_t at, std::size_t digits) { return static_cast<int>(ParseInt(text.substr(at, digits)).value_or(0)); };
  const std::chrono::year_month_day date{std::chrono::year(number(0, 4)), std::chrono::month(static_cast<unsigned>(number(5, 2))),
                                         std::chrono::day(static_cast<unsigned>(number(8, 2)))};
  const auto seconds = std::chrono::sys_days(date).time_since_epoch() / std::chrono::seconds(1) + number(11, 2) * 3600 + number(14, 2) * 60 + number(17, 2);
  PutNumber(out, 1, seconds);
  PutNumber(out, 2, text[19] == '.' ? std::int64_t{number(20, 6)} * 1000 : 0);
  return out;
}

std::string IntOrStringMessage(const Value& value) {
  std::string out;
  PutNumber(out, 1, value.is_string() ? 1 : 0);
  PutNumber(out, 2, value.Int());
  PutBytes(out, 3, value.Str());
  return out;
}

void AppendField(const Field& field, const Value* value, std::string& out);
void AppendValue(SchemaPtr schema, int number, const Value& value, std::string& out);

void AppendMap(SchemaPtr schema, int number, const Value& value, std::string& out) {
  std::vector<const json::Member*> members;
  for (const json::Member& member : value.Members()) members.push_back(&member);
  std::sort(members.begin(), members.end(), [](auto* a, auto* b) { return a->key < b->key; });
  for (const json::Member* member : members) {
    std::string entry;
    PutBytes(entry, 1, member->key);
    AppendValue(schema->item, 2, member->value, entry);
    PutBytes(out, number, entry);
  }
}

void AppendValue(SchemaPtr schema, int number, const Value& value, std::string& out) {
  switch (schema->type) {
    case Type::kString: return PutBytes(out, number, value.Str());
    case Type::kBool: return PutNumber(out, number, value.Bool());
    case Type::kInt32:
    case Type::kInt64: return PutNumber(out, number, value.Int());
    case Type::kDouble: {
      PutTag(out, number, WireType::kFixed64);
      const auto bits = std::bit_cast<std::uint64_t>(value.Double());
      for (int i = 0; i < 8; ++i) out += static_cast<char>(bits >> (8 * i));
      return;
    }
    case Type::kBytes: return PutBytes(out, number, text::FromBase64(value.Str()).value_or(std::string()));
    case Type::kMap: {   // a map inside a list or a map has no wire form; a list inside a map is wrapped
      return AppendMap(schema, number, value, out);
    }
    case Type::kList: {
      if (schema->proto_wrapped) {
        std::string inner;
        for (const Value& item : value.Items()) AppendValue(schema->item, 1, item, inner);
        return PutBytes(out, number, inner);
      }
      for (const Value& item : value.Items()) AppendValue(schema->item, number, item, out);
      return;
    }
    default: return PutBytes(out, number, EncodeMessage(schema, value));
  }
}

bool IsNilable(Type type) { return type == Type::kList || type == Type::kMap || type == Type::kBytes; }

void AppendField(const Field& field, const Value* value, std::string& out) {
  static const Value kNull;
  const bool absent = !value || value->is_null();
  if (absent && (field.pointer || IsNilable(field.type->type))) return;
  if (!absent && IsNilable(field.type->type) && field.type->type != Type::kBytes && value->size() == 0 && !field.type->proto_wrapped) return;
  AppendValue(field.type, field.proto, value ? *value : kNull, out);
}

// Fields in ascending order of their numbers at nesting level `level` of embedded messages; `prefix` is the path so far.
std::string EncodeLevel(SchemaPtr schema, const Value& value, std::size_t level, const std::array<std::uint8_t, 2>& prefix) {
  struct Slot { int number; const Field* field; };   // field null: an embedded message
  std::vector<Slot> slots;
  for (const Field& field : schema->fields) {
    if (!field.proto || !std::equal(prefix.begin(), prefix.begin() + static_cast<std::ptrdiff_t>(level), field.proto_embed.begin())) continue;
    const int embed = level < 2 ? field.proto_embed[level] : 0;
    if (!embed) {
      slots.push_back({field.proto, &field});
    } else if (std::none_of(slots.begin(), slots.end(), [&](const Slot& s) { return !s.field && s.number == embed; })) {
      slots.push_back({embed, nullptr});
    }
  }
  std::sort(slots.begin(), slots.end(), [](const Slot& a, const Slot& b) { return a.number < b.number; });
  std::string out;
  for (const Slot& slot : slots) {
    if (slot.field) {
      AppendField(*slot.field, value.Find(slot.field->name), out);
      continue;
    }
    auto inner = prefix;
    inner[level] = static_cast<std::uint8_t>(slot.number);
    PutBytes(out, slot.number, EncodeLevel(schema, value, level + 1, inner));
  }
  return out;
}

std::string UnionMessage(SchemaPtr schema, const Value& value) {
  std::string out;
  if (schema->name.ends_with("OrBool")) {
    PutNumber(out, 1, value.is_bool() ? value.Bool() : true);
    if (value.is_object()) PutBytes(out, 2, EncodeMessage(schema->item, value));
    return out;
  }
  if (value.is_object()) PutBytes(out, 1, EncodeMessage(schema->item, value));
  for (const Value& item : value.Items()) PutBytes(out, 2, schema->name.ends_with("OrArray") ? EncodeMessage(schema->item, item) : std::string(item.Str()));
  return out;
}

}  // namespace

std::string AbsentField(const Field& field) {
  std::string out;
  AppendField(field, nullptr, out);
  return out;
}

std::string EncodeMessage(SchemaPtr schema, const json::Value& value) {
  std::string out;
  switch (schema->type) {
    case Type::kStruct: return EncodeLevel(schema, value, 0, {});
    case Type::kTime:
    case Type::kMicroTime: return TimeMessage(value.Str());
    case Type::kQuantity: PutBytes(out, 1, value.is_null() ? "0" : value.Str()); return out;
    case Type::kIntOrString: return IntOrStringMessage(value);
    case Type::kDuration: PutNumber(out, 1, text::ParseDuration(value.Str("0s")).value_or(std::chrono::nanoseconds(0)).count()); return out;
    case Type::kAny:
      if (schema->item) return UnionMessage(schema, value);
      [[fallthrough]];
    case Type::kRawExtension:
    case Type::kFieldsV1:
      if (!value.is_null()) PutBytes(out, 1, json::DumpAsWritten(value));
      return out;
    default: return out;
  }
}

}  // namespace skerry::kube::wire

namespace skerry::kube {

Result<std::string> EncodeProtobuf(SchemaPtr schema, const json::Value& object) {
  if (schema->type != Type::kStruct || schema->openapi) return Fail(Code::kUnsupported, "object has no protobuf form");
  return wire::EncodeMessage(schema, object);
}

std::string ProtobufEnvelope(std::string_view api_version, std::string_view kind, std::string_view message) {
  std::string type, out("k8s\0", 4);
  wire::PutBytes(type, 1, api_version);
  wire::PutBytes(type, 2, kind);
  out.reserve(message.size() + type.size() + 24);
  wire::PutBytes(out, 1, type);
  wire::PutBytes(out, 2, message);
  wire::PutBytes(out, 3, "");
  wire::PutBytes(out, 4, "");
  return out;
}

}  // namespace skerry::kube
