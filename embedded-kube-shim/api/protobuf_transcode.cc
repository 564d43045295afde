#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <memory>
#include <shared_mutex>
#include <unordered_map>

#include "core/json/parse.h"
#include "core/json/scanner.h"
#include "core/json/skip.h"
#include "core/text/base64.h"
#include "embedded-kube-shim/api/protobuf_wire.h"
#include "embedded-kube-shim/api/typed_walk.h"

// Stored JSON to protobuf without a document between them. A message is written member by member as the text has them, each field a piece;
// its pieces are brought into the order of their numbers when the object ends, together with what Go always writes. Everything that is not
// as our own encoder left it makes the transcoder give up: the caller then goes by way of a document.
namespace skerry::kube {
namespace {

struct Plan;

// One number of a message: a field, or a message around several fields (a Go embedding).
struct Slot {
  int number = 0;
  int field = -1;                  // index among the schema's fields; -1: a group
  std::string absent;              // what is written when the field is not there
  std::vector<Slot> group;
};

// How a struct becomes a message. Made once for each schema, lives as long as the process.
struct Plan {
  SchemaPtr schema = nullptr;
  std::vector<Slot> slots;         // by number
  std::vector<const Plan*> below;  // for each field: of the struct that it or its items are; null = none
};

std::vector<Slot> SlotsOf(SchemaPtr schema, std::size_t level, const std::array<std::uint8_t, 2>& prefix) {
  std::vector<Slot> slots;
  for (std::size_t i = 0; i < schema->fields.size(); ++i) {
    const Field& field = schema->fields[i];
    if (!field.proto || !std::equal(prefix.begin(), prefix.begin() + static_cast<std::ptrdiff_t>(level), field.proto_embed.begin())) continue;
    const int embed = level < 2 ? field.proto_embed[level] : 0;
    if (!embed) {
      slots.push_back({field.proto, static_cast<int>(i), wire::AbsentField(field), {}});
    } else if (std::none_of(slots.begin(), slots.end(), [&](const Slot& s) { return s.field < 0 && s.number == embed; })) {
      auto inner = prefix;
      inner[level] = static_cast<std::uint8_t>(embed);
      slots.push_back({embed, -1, {}, SlotsOf(schema, level + 1, inner)});
    }
  }
  std::sort(slots.begin(), slots.end(), [](const Slot& a, const Slot& b) { return a.number < b.number; });
  return slots;
}

SchemaPtr StructIn(SchemaPtr schema) {
  while (schema && (schema->type == Type::kList || schema->type == Type::kMap)) schema = schema->item;
  return schema && schema->type == Type::kStruct ? schema : nullptr;
}

class Plans {
 public:
  const Plan* Of(SchemaPtr schema) {
    {
      std::shared_lock lock(mutex_);
      if (const auto it = plans_.find(schema); it != plans_.end()) return it->second.get();
    }
    std::unique_lock lock(mutex_);
    return Build(schema);
  }

 private:
  const Plan* Build(SchemaPtr schema) {
    auto& plan = plans_[schema];
    if (plan) return plan.get();
    plan = std::make_unique<Plan>();
    Plan& made = *plan;   // the map may move its pointers while the plans below are built
    made.schema = schema;
    made.slots = SlotsOf(schema, 0, {});
    for (const Field& field : schema->fields) {
      const SchemaPtr below = StructIn(field.type);
      made.below.push_back(below ? Build(below) : nullptr);
    }
    return &made;
  }

  std::shared_mutex mutex_;
  std::unordered_map<SchemaPtr, std::unique_ptr<Plan>> plans_;
};

const Plan* PlanOf(SchemaPtr schema) {
  static Plans plans;
  return plans.Of(schema);
}

class Transcoder {
 public:
  Transcoder(std::string_view text, std::string& out) : at_(text.data()), end_(text.data() + text.size()), out_(out) {}

  bool Run(const Plan& plan) { return Object(plan, 0) && at_ == end_; }

 private:
  static constexpr int kMaxDepth = 100;
  static constexpr std::size_t kMostFields = 96;
  struct Piece { std::uint32_t begin, end; };   // of out_; empty = not there

  bool Take(char c) {
    if (at_ == end_ || *at_ != c) return false;
    ++at_;
    return true;
  }
  char Peek() const { return at_ == end_ ? '\0' : *at_; }
  bool TakeNull() {
    if (end_ - at_ < 4 || std::memcmp(at_, "null", 4) != 0) return false;
    at_ += 4;
    return true;
  }

  // A string literal with its quotes; `plain`: without escapes.
  bool Literal(std::string_view& literal, bool& plain) {
    const char* const start = at_;
    if (!Take('"')) return false;
    plain = true;
    for (;;) {
      at_ = json::FindQuoteOrEscape(at_, end_);
      if (end_ - at_ < 1) return false;
      if (*at_ == '"') break;
      plain = false;
      if (end_ - at_ < 2) return false;
      at_ += 2;
    }
    ++at_;
    literal = std::string_view(start, static_cast<std::size_t>(at_ - start));
    return true;
  }

  // The text of a string; `kept` holds it when it has escapes.
  bool Text(std::string_view& text, std::string& kept) {
    std::string_view literal;
    bool plain = true;
    if (!Literal(literal, plain)) return false;
    text = literal.substr(1, literal.size() - 2);
    if (plain) return true;
    auto decoded = json::DecodeString(literal);
    if (!decoded) return false;
    kept = std::move(*decoded);
    text = kept;
    return true;
  }

  bool Integer(std::int64_t& number) {
    const auto [next, error] = std::from_chars(at_, end_, number);
    if (error != std::errc() || next == at_ || (next != end_ && *next != ',' && *next != '}' && *next != ']')) return false;
    at_ = next;
    return true;
  }

  // Any value as it is.
  bool Raw(std::string_view& raw) {
    const char* const start = at_;
    if (Peek() == '"') {
      bool plain = true;
      return Literal(raw, plain);
    }
    if (Peek() == '{' || Peek() == '[') {
      const char* const behind = json::SkipContainer(at_, end_);
      if (!behind) return false;
      at_ = behind;
    } else {
      while (at_ != end_ && *at_ != ',' && *at_ != '}' && *at_ != ']') ++at_;
    }
    raw = std::string_view(start, static_cast<std::size_t>(at_ - start));
    return !raw.empty();
  }

  void Varint(std::uint64_t value) {
    char bytes[10];
    std::size_t size = 0;
    for (; value >= 0x80; value >>= 7) bytes[size++] = static_cast<char>(value | 0x80);
    bytes[size++] = static_cast<char>(value);
    out_.append(bytes, size);
  }
  void Tag(int number, wire::WireType type) { Varint(static_cast<std::uint64_t>(number) << 3 | static_cast<std::uint64_t>(type)); }
  void Bytes(int number, std::string_view bytes) {
    Tag(number, wire::WireType::kBytes);
    Varint(bytes.size());
    out_.append(bytes);
  }

  // A message is written behind one byte for its size; longer ones make room for more when they are done.
  std::size_t Open(int number) {
    Tag(number, wire::WireType::kBytes);
    out_ += '\0';
    return out_.size();
  }
  void Close(std::size_t start) {
    std::uint64_t size = out_.size() - start;
    if (size < 0x80) {
      out_[start - 1] = static_cast<char>(size);
      return;
    }
    char bytes[10];
    std::size_t count = 0;
    for (; size >= 0x80; size >>= 7) bytes[count++] = static_cast<char>(size | 0x80);
    bytes[count++] = static_cast<char>(size);
    out_.insert(start, count - 1, '\0');
    std::memcpy(out_.data() + start - 1, bytes, count);
  }

  bool Object(const Plan& plan, int depth) {
    const auto& fields = plan.schema->fields;
    if (depth > kMaxDepth || fields.size() > kMostFields || !Take('{')) return false;
    Piece pieces[kMostFields];
    std::memset(static_cast<void*>(pieces), 0, fields.size() * sizeof(Piece));
    const std::size_t start = out_.size();
    FieldFinder finder(plan.schema);
    for (bool first = true; !Take('}'); first = false) {
      if (!first && !Take(',')) return false;
      std::string_view key;
      std::string kept;
      if (!Text(key, kept) || !Take(':')) return false;
      const Field* field = finder.Find(key);
      if (!field) return false;
      const auto index = static_cast<std::size_t>(field - fields.data());
      if (pieces[index].end != 0) return false;   // repeated
      pieces[index].begin = static_cast<std::uint32_t>(out_.size());
      if (TakeNull()) continue;                   // as if it were not there
      std::string_view skipped;
      if (!(field->proto ? Value(field->type, plan.below[index], field->proto, depth) : Raw(skipped))) return false;
      pieces[index].end = static_cast<std::uint32_t>(out_.size());
    }
    Arrange(plan, pieces, start);
    return true;
  }

  static bool IsPresent(const Slot& slot, const Piece* pieces) { return pieces[slot.field].end != 0; }

  // Brings what was written since `start` into order and adds what is always there.
  void Arrange(const Plan& plan, const Piece* pieces, std::size_t start) {
    std::size_t next = start;
    bool in_order = true;
    for (const Slot& slot : plan.slots) {
      if (slot.field < 0) in_order = false;
      else if (!IsPresent(slot, pieces)) in_order = in_order && slot.absent.empty();
      else if (pieces[slot.field].begin != next) in_order = false;
      else next = pieces[slot.field].end;
      if (!in_order) break;
    }
    if (in_order) return;
    arranged_.clear();
    Append(plan.slots, pieces);
    out_.resize(start);
    out_ += arranged_;
  }

  std::size_t SizeOf(const std::vector<Slot>& slots, const Piece* pieces) const {
    std::size_t size = 0;
    for (const Slot& slot : slots) {
      if (slot.field < 0) {
        const auto inner = SizeOf(slot.group, pieces);
        size += SizeOfVarint(static_cast<std::uint64_t>(slot.number) << 3) + SizeOfVarint(inner) + inner;
      } else {
        size += IsPresent(slot, pieces) ? pieces[slot.field].end - pieces[slot.field].begin : slot.absent.size();
      }
    }
    return size;
  }
  static std::size_t SizeOfVarint(std::uint64_t value) { return (static_cast<std::size_t>(std::bit_width(value | 1)) + 6) / 7; }

  void Append(const std::vector<Slot>& slots, const Piece* pieces) {
    for (const Slot& slot : slots) {
      if (slot.field < 0) {
        wire::PutTag(arranged_, slot.number, wire::WireType::kBytes);
        wire::PutVarint(arranged_, SizeOf(slot.group, pieces));
        Append(slot.group, pieces);
      } else if (IsPresent(slot, pieces)) {
        arranged_.append(out_, pieces[slot.field].begin, pieces[slot.field].end - pieces[slot.field].begin);
      } else {
        arranged_ += slot.absent;
      }
    }
  }

  // One value that is not null, with its tag. `below` is the plan of the struct in it.
  bool Value(SchemaPtr schema, const Plan* below, int number, int depth) {
    switch (schema->type) {
      case Type::kString: {
        std::string_view text;
        std::string kept;
        if (!Text(text, kept)) return false;
        Bytes(number, text);
        return true;
      }
      case Type::kBool: {
        std::string_view raw;
        if (!Raw(raw) || (raw != "true" && raw != "false")) return false;
        Tag(number, wire::WireType::kVarint);
        out_ += raw == "true" ? '\1' : '\0';
        return true;
      }
      case Type::kInt32:
      case Type::kInt64: {
        std::int64_t value = 0;
        if (!Integer(value)) return false;
        Tag(number, wire::WireType::kVarint);
        Varint(static_cast<std::uint64_t>(value));
        return true;
      }
      case Type::kBytes: {
        std::string_view text;
        std::string kept;
        if (!Text(text, kept)) return false;
        Bytes(number, text::FromBase64(text).value_or(std::string()));
        return true;
      }
      case Type::kMap: return Map(schema, below, number, depth);
      case Type::kList: return List(schema, below, number, depth);
      case Type::kStruct: {
        const auto start = Open(number);
        if (!below || below->schema != schema || !Object(*below, depth + 1)) return false;
        Close(start);
        return true;
      }
      case Type::kQuantity: {
        std::string_view text;
        std::string kept;
        if (!Text(text, kept)) return false;
        const auto start = Open(number);
        Bytes(1, text);
        Close(start);
        return true;
      }
      case Type::kRawExtension:
      case Type::kFieldsV1: {
        std::string_view raw;
        if (!Raw(raw)) return false;
        const auto start = Open(number);
        Bytes(1, raw);
        Close(start);
        return true;
      }
      default: return Small(schema, number);
    }
  }

  bool Map(SchemaPtr schema, const Plan* below, int number, int depth) {
    if (!Take('{')) return false;
    std::string last;
    for (bool first = true; !Take('}'); first = false) {
      if (!first && !Take(',')) return false;
      std::string_view key;
      std::string kept;
      if (!Text(key, kept) || !Take(':') || Peek() == 'n') return false;
      if (!first && key <= last) return false;
      last = key;
      const auto start = Open(number);
      Bytes(1, key);
      if (!Value(schema->item, below, 2, depth + 1)) return false;
      Close(start);
    }
    return true;
  }

  bool List(SchemaPtr schema, const Plan* below, int number, int depth) {
    if (depth > kMaxDepth || !Take('[')) return false;
    const auto start = schema->proto_wrapped ? Open(number) : 0;
    for (bool first = true; !Take(']'); first = false) {
      if ((!first && !Take(',')) || Peek() == 'n') return false;
      if (!Value(schema->item, below, schema->proto_wrapped ? 1 : number, depth + 1)) return false;
    }
    if (schema->proto_wrapped) Close(start);
    return true;
  }

  // Types with a form of their own (times, durations, unions, …): small, by way of a document.
  bool Small(SchemaPtr schema, int number) {
    std::string_view raw;
    if (!Raw(raw)) return false;
    json::Value value;
    if (const bool plain = raw.size() >= 2 && raw[0] == '"' && raw.find('\\') == raw.npos; plain) value = json::Value(raw.substr(1, raw.size() - 2));
    else if (!json::Value::Parse(raw, &value, nullptr)) return false;
    if (schema->type == Type::kDouble) {
      if (!value.is_number()) return false;
      Tag(number, wire::WireType::kFixed64);
      const auto bits = std::bit_cast<std::uint64_t>(value.Double());
      for (int i = 0; i < 8; ++i) out_ += static_cast<char>(bits >> (8 * i));
      return true;
    }
    Bytes(number, wire::EncodeMessage(schema, value));
    return true;
  }

  const char* at_;
  const char* const end_;
  std::string& out_;
  std::string arranged_;
};

}  // namespace

bool TranscodeProtobuf(SchemaPtr schema, std::string_view json, std::string& out) {
  constexpr std::size_t kMost = 1u << 30;
  if (schema->type != Type::kStruct || schema->openapi || json.size() > kMost) return false;
  const auto size = out.size();
  Transcoder transcoder(json, out);
  if (transcoder.Run(*PlanOf(schema))) return true;
  out.resize(size);
  return false;
}

}  // namespace skerry::kube
