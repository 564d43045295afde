#include <algorithm>
#include <bit>
#include <chrono>

#include "core/base/strings.h"
#include "core/json/layout.h"
#include "core/text/base64.h"
#include "core/text/duration.h"
#include "embedded-kube-shim/api/codec.h"
#include "embedded-kube-shim/api/protobuf_wire.h"

namespace skerry::kube::wire {
namespace {

using json::Value;

constexpr int kMaxDepth = 100;

std::string Pad(std::int64_t value, std::size_t width) {
  std::string digits = std::to_string(value);
  if (digits.size() < width) digits.insert(0, width - digits.size(), '0');
  return digits;
}

bool DecodeTime(std::string_view data, bool micro, Value& out) {
  Reader in(data);
  std::int64_t seconds = 0, nanos = 0;
  while (in.Next()) (in.field == 1 ? seconds : nanos) = static_cast<std::int64_t>(in.value);
  constexpr std::int64_t kFirst = -62135596800, kLast = 253402300799;   // years 1 to 9999
  if (!in.ok()) return false;
  out = Value();
  if (data.empty() || seconds <= kFirst || seconds > kLast) return true;
  const auto days = std::chrono::floor<std::chrono::days>(std::chrono::sys_seconds(std::chrono::seconds(seconds)));
  const std::chrono::year_month_day date(days);
  const std::int64_t of_day = seconds - std::chrono::sys_seconds(days).time_since_epoch().count();
  std::string text = Cat(Pad(static_cast<int>(date.year()), 4), "-", Pad(static_cast<unsigned>(date.month()), 2), "-", Pad(static_cast<unsigned>(date.day()), 2), "T",
                         Pad(of_day / 3600, 2), ":", Pad(of_day / 60 % 60, 2), ":", Pad(of_day % 60, 2));
  if (micro) text += Cat(".", Pad(nanos / 1000 % 1'000'000, 6));
  out = Value(text + "Z");
  return true;
}

bool DecodeIntOrString(std::string_view data, Value& out) {
  Reader in(data);
  bool is_string = false;
  std::int64_t number = 0;
  std::string_view text;
  while (in.Next()) {
    if (in.field == 1) is_string = in.value == 1;
    if (in.field == 2) number = static_cast<std::int32_t>(in.value);
    if (in.field == 3) text = in.bytes;
  }
  out = is_string ? Value(text) : Value(number);
  return in.ok();
}

// Raw JSON, or for an embedded object possibly an enveloped protobuf message of a kind we know.
bool DecodeRaw(std::string_view data, int depth, Value& out) {
  Reader in(data);
  std::string_view raw;
  while (in.Next())
    if (in.field == 1) raw = in.bytes;
  if (!in.ok()) return false;
  out = Value();
  if (raw.empty()) return true;
  if (raw.starts_with(std::string_view("k8s\0", 4))) {
    auto envelope = ParseProtobufEnvelope(raw);
    if (!envelope) return false;
    const auto slash = envelope->api_version.find('/');
    const GroupVersionKind gvk{slash == std::string::npos ? "" : envelope->api_version.substr(0, slash),
                               slash == std::string::npos ? envelope->api_version : envelope->api_version.substr(slash + 1), envelope->kind};
    SchemaPtr schema = FindBuiltinSchema(gvk);
    if (!schema || !DecodeMessage(schema, envelope->message, out, depth)) return false;
    out.Set("kind") = Value(envelope->kind);
    out.Set("apiVersion") = Value(envelope->api_version);
    Canonicalize(schema, out);
    return true;
  }
  auto parsed = json::ParseAsWritten(raw);
  if (!parsed) return false;
  out = std::move(*parsed);
  return true;
}

bool DecodeUnion(SchemaPtr schema, std::string_view data, int depth, Value& out) {
  Reader in(data);
  Value object, list;
  bool allows = false;
  const bool or_bool = schema->name.ends_with("OrBool");
  while (in.Next()) {
    if (in.field == 1 && or_bool) {
      allows = in.value != 0;
    } else if (in.field == (or_bool ? 2 : 1)) {
      if (!DecodeMessage(schema->item, in.bytes, object, depth)) return false;
    } else if (in.field == 2) {
      Value item(in.bytes);
      if (schema->name.ends_with("OrArray") && !DecodeMessage(schema->item, in.bytes, item, depth)) return false;
      list.Append(std::move(item));
    }
  }
  out = !object.is_null() ? std::move(object) : !list.is_null() ? std::move(list) : or_bool ? Value(allows) : Value();
  return in.ok();
}

bool DecodeOne(SchemaPtr schema, const Reader& in, int depth, Value& out) {
  switch (schema->type) {
    case Type::kString: out = Value(in.bytes); return in.type == WireType::kBytes;
    case Type::kBool: out = Value(in.value != 0); return in.type == WireType::kVarint;
    case Type::kInt32: out = Value(static_cast<std::int64_t>(static_cast<std::int32_t>(in.value))); return in.type == WireType::kVarint;
    case Type::kInt64: out = Value(static_cast<std::int64_t>(in.value)); return in.type == WireType::kVarint;
    case Type::kDouble: out = Value(std::bit_cast<double>(in.value)); return in.type == WireType::kFixed64;
    case Type::kBytes: out = Value(text::Base64(in.bytes)); return in.type == WireType::kBytes;
    default: return in.type == WireType::kBytes && DecodeMessage(schema, in.bytes, out, depth);
  }
}

Value ZeroElement(SchemaPtr schema) {
  if (schema->type == Type::kStruct || schema->type == Type::kMap) return Value::Object();
  return schema->type == Type::kQuantity ? Value("0") : schema->type == Type::kString || schema->type == Type::kBytes ? Value("") : Value();
}

bool DecodeEntry(SchemaPtr schema, std::string_view data, int depth, Value& map) {
  Reader in(data);
  std::string_view key;
  Value value = ZeroElement(schema->item);
  while (in.Next()) {
    if (in.field == 1) key = in.bytes;
    if (in.field == 2 && !DecodeOne(schema->item, in, depth, value)) return false;
  }
  map.MutableMembers().push_back({std::string(key), std::move(value)});   // see DropRepeatedKeys
  return in.ok();
}

// Go decodes into a map: the last of equal keys stays.
void DropRepeatedKeys(SchemaPtr schema, Value& object) {
  for (const Field& field : schema->fields) {
    Value* map = field.type->type == Type::kMap ? object.Find(field.name) : nullptr;
    if (!map || !map->is_object()) continue;
    auto& members = map->MutableMembers();
    const auto not_before = [](const json::Member& a, const json::Member& b) { return a.key >= b.key; };
    if (std::adjacent_find(members.begin(), members.end(), not_before) == members.end()) continue;
    std::stable_sort(members.begin(), members.end(), [](const json::Member& a, const json::Member& b) { return a.key < b.key; });
    std::size_t kept = 0;
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (i + 1 < members.size() && members[i + 1].key == members[i].key) continue;
      if (kept != i) members[kept] = std::move(members[i]);
      ++kept;
    }
    members.resize(kept);
  }
}

bool DecodeField(const Field& field, const Reader& in, int depth, Value& object) {
  Value& slot = object.Set(field.name);
  if (field.type->type == Type::kMap) return in.type == WireType::kBytes && DecodeEntry(field.type, in.bytes, depth, slot);
  if (field.type->type == Type::kList && !field.type->proto_wrapped) {
    const bool packed = in.type == WireType::kBytes && (field.type->item->type == Type::kInt32 || field.type->item->type == Type::kInt64 || field.type->item->type == Type::kBool);
    if (packed) return false;   // upstream's messages are proto2: never packed
    return DecodeOne(field.type->item, in, depth, slot.Append(Value()));
  }
  return DecodeOne(field.type, in, depth, slot);
}

bool DecodeLevel(SchemaPtr schema, std::string_view data, std::size_t level, const std::array<std::uint8_t, 2>& prefix, int depth, Value& object) {
  Reader in(data);
  while (in.Next()) {
    for (const Field& field : schema->fields) {
      if (!field.proto || !std::equal(prefix.begin(), prefix.begin() + static_cast<std::ptrdiff_t>(level), field.proto_embed.begin())) continue;
      const int embed = level < 2 ? field.proto_embed[level] : 0;
      if (embed == in.field) {
        auto inner = prefix;
        inner[level] = static_cast<std::uint8_t>(embed);
        if (in.type != WireType::kBytes || !DecodeLevel(schema, in.bytes, level + 1, inner, depth, object)) return false;
        break;
      }
      if (embed || field.proto != in.field) continue;
      if (!DecodeField(field, in, depth, object)) return false;
      break;
    }
  }
  return in.ok();
}

}  // namespace

bool DecodeMessage(SchemaPtr schema, std::string_view data, json::Value& out, int depth) {
  if (depth > kMaxDepth) return false;
  switch (schema->type) {
    case Type::kStruct:
      if (!out.is_object()) out = Value::Object();
      if (!DecodeLevel(schema, data, 0, {}, depth + 1, out)) return false;
      DropRepeatedKeys(schema, out);
      return true;
    case Type::kTime:
    case Type::kMicroTime: return DecodeTime(data, schema->type == Type::kMicroTime, out);
    case Type::kIntOrString: return DecodeIntOrString(data, out);
    case Type::kQuantity: {
      Reader in(data);
      out = Value("0");
      while (in.Next())
        if (in.field == 1) out = Value(in.bytes);
      return in.ok();
    }
    case Type::kDuration: {
      Reader in(data);
      std::int64_t nanos = 0;
      while (in.Next())
        if (in.field == 1) nanos = static_cast<std::int64_t>(in.value);
      out = Value(text::FormatDuration(std::chrono::nanoseconds(nanos)));
      return in.ok();
    }
    case Type::kList: {   // wrapped
      Reader in(data);
      out = Value::Array();
      while (in.Next())
        if (in.field == 1 && !DecodeOne(schema->item, in, depth + 1, out.Append(Value()))) return false;
      return in.ok();
    }
    case Type::kAny:
      if (schema->item) return DecodeUnion(schema, data, depth + 1, out);
      return DecodeRaw(data, depth + 1, out);
    case Type::kRawExtension:
    case Type::kFieldsV1: return DecodeRaw(data, depth + 1, out);
    default: return false;
  }
}

}  // namespace skerry::kube::wire

namespace skerry::kube {

Result<ProtobufBody> ParseProtobufEnvelope(std::string_view body) {
  if (body.empty()) return Fail(Code::kBadRequest, "empty data");
  if (!body.starts_with(std::string_view("k8s\0", 4)))
    return Fail(Code::kBadRequest, "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]");
  ProtobufBody out;
  wire::Reader in(body.substr(4));
  while (in.Next()) {
    if (in.field == 1) {
      wire::Reader type(in.bytes);
      while (type.Next()) (type.field == 1 ? out.api_version : out.kind) = type.bytes;
      if (!type.ok()) return Fail(Code::kBadRequest, "unexpected EOF");
    }
    if (in.field == 2) out.message = in.bytes;
    if (in.field == 4) out.content_type = in.bytes;
  }
  if (!in.ok()) return Fail(Code::kBadRequest, "unexpected EOF");
  return out;
}

}  // namespace skerry::kube
