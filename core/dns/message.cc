#include "core/dns/message.h"

#include <algorithm>

#include "core/base/strings.h"

namespace skerry::dns {
namespace {

constexpr std::size_t kMaxName = 255, kMaxLabel = 63;
constexpr std::size_t kHeader = 12;
constexpr std::size_t kMaxRecords = 4096;

std::unexpected<Error> Bad(const char* what) { return Fail(Code::kBadRequest, Cat("DNS message: ", what)); }

void AppendLabelByte(std::string& out, std::uint8_t c) {
  if (c >= 'A' && c <= 'Z') c += 32;
  if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '*') {
    out += static_cast<char>(c);
    return;
  }
  out += '\\';
  for (const int divisor : {100, 10, 1}) out += static_cast<char>('0' + c / divisor % 10);
}

// One label of a normalized name to bytes; empty when it is malformed.
std::string LabelBytes(std::string_view label) {
  std::string out;
  for (std::size_t i = 0; i < label.size(); ++i) {
    if (label[i] != '\\') {
      out += label[i];
      continue;
    }
    const auto code = i + 3 < label.size() ? ParseUint(label.substr(i + 1, 3)) : std::nullopt;
    if (!code || *code > 255) return {};
    out += static_cast<char>(*code);
    i += 3;
  }
  return out;
}

class Reader {
 public:
  explicit Reader(std::string_view wire) : wire_(wire) {}
  std::size_t at() const { return at_; }
  bool done() const { return at_ == wire_.size(); }

  Result<std::uint16_t> U16() {
    if (wire_.size() - at_ < 2) return Bad("cut short");
    const auto byte = [this](std::size_t i) { return static_cast<std::uint8_t>(wire_[at_ + i]); };
    const auto v = static_cast<std::uint16_t>(byte(0) << 8 | byte(1));
    at_ += 2;
    return v;
  }
  Result<std::uint32_t> U32() {
    TRY(const std::uint32_t high, U16());
    TRY(const std::uint32_t low, U16());
    return high << 16 | low;
  }
  Result<std::string_view> Take(std::size_t n) {
    if (wire_.size() - at_ < n) return Bad("cut short");
    const auto out = wire_.substr(at_, n);
    at_ += n;
    return out;
  }
  Result<std::string> Name() {
    std::string out;
    std::size_t here = at_, total = 1;
    bool jumped = false;
    for (;;) {
      if (here >= wire_.size()) return Bad("name cut short");
      const auto length = static_cast<std::uint8_t>(wire_[here]);
      if (length >= 0xc0) {
        if (here + 1 >= wire_.size()) return Bad("pointer cut short");
        const std::size_t target = static_cast<std::size_t>(length & 0x3f) << 8 | static_cast<std::uint8_t>(wire_[here + 1]);
        if (!jumped) at_ = here + 2;
        jumped = true;
        if (target >= here) return Bad("pointer does not point backwards");   // strictly decreasing: it ends
        here = target;
        continue;
      }
      if (length > kMaxLabel) return Bad("label type");
      total += length + 1U;
      if (total > kMaxName + 1) return Bad("name too long");
      if (length == 0) break;
      if (wire_.size() - here - 1 < length) return Bad("label cut short");
      for (std::size_t i = 1; i <= length; ++i) AppendLabelByte(out, static_cast<std::uint8_t>(wire_[here + i]));
      out += '.';
      here += length + 1U;
    }
    if (!jumped) at_ = here + 1;
    if (out.empty()) out = ".";
    return out;
  }
  // A reader at the record's data that can follow pointers into the whole message.
  Reader Inside(std::size_t at) const {
    Reader r(wire_);
    r.at_ = at;
    return r;
  }

 private:
  std::string_view wire_;
  std::size_t at_ = 0;
};

void Put16(std::string& out, std::uint16_t v) {
  out += static_cast<char>(v >> 8);
  out += static_cast<char>(v & 255);
}
void Put32(std::string& out, std::uint32_t v) {
  Put16(out, static_cast<std::uint16_t>(v >> 16));
  Put16(out, static_cast<std::uint16_t>(v & 0xffff));
}

// Record data with the names in it written out: pointers mean nothing outside their message.
Result<std::string> ReadData(const Reader& message, Type type, std::size_t at, std::string_view raw) {
  std::size_t fixed_before = 0;
  int names = 0;
  switch (type) {
    case Type::kCname:
    case Type::kNs:
    case Type::kPtr: names = 1; break;
    case Type::kMx: fixed_before = 2, names = 1; break;
    case Type::kSrv: fixed_before = 6, names = 1; break;
    case Type::kSoa: names = 2; break;
    default: return std::string(raw);
  }
  if (raw.size() < fixed_before) return Bad("record data cut short");
  std::string out(raw.substr(0, fixed_before));
  Reader inside = message.Inside(at + fixed_before);
  for (int i = 0; i < names; ++i) {
    TRY(const std::string name, inside.Name());
    out += ToWire(name);
  }
  const std::size_t used = inside.at() - at;
  if (used > raw.size()) return Bad("name beyond the record data");
  out += raw.substr(used);
  return out;
}

Result<> ReadRecords(Reader& in, std::size_t count, std::vector<Record>& out, Message& message) {
  for (std::size_t i = 0; i < count; ++i) {
    Record r;
    TRY(r.name, in.Name());
    TRY(const std::uint16_t type, in.U16());
    TRY(r.klass, in.U16());
    TRY(r.ttl, in.U32());
    TRY(const std::uint16_t length, in.U16());
    const std::size_t at = in.at();
    TRY(const std::string_view raw, in.Take(length));
    r.type = static_cast<Type>(type);
    if (r.type == Type::kOpt) {
      if (message.edns_size || r.name != ".") return Bad("OPT record");
      message.edns_size = r.klass;
      message.dnssec_ok = (r.ttl & 0x8000) != 0;
      continue;
    }
    TRY(r.data, ReadData(in, r.type, at, raw));
    out.push_back(std::move(r));
  }
  return {};
}

class Writer {
 public:
  explicit Writer(std::size_t limit) : limit_(limit) {}
  std::string out;

  void Name(std::string_view name) {
    while (name != "." && !name.empty()) {
      const auto known = offsets_.find(name);
      if (known != offsets_.end()) {
        Put16(out, static_cast<std::uint16_t>(0xc000 | known->second));
        return;
      }
      if (out.size() < 0x4000) offsets_.emplace(std::string(name), out.size());
      const std::size_t dot = name.find('.');
      const std::string label = LabelBytes(name.substr(0, dot));
      out += static_cast<char>(label.size());
      out += label;
      name.remove_prefix(dot + 1);
    }
    out += '\0';
  }
  // Whether the record was written; if it does not fit, nothing was. Offsets beyond the end must not be pointed at later.
  bool Add(const Record& r, std::size_t reserve) {
    const std::size_t before = out.size();
    Name(r.name);
    Put16(out, static_cast<std::uint16_t>(r.type));
    Put16(out, r.klass);
    Put32(out, r.ttl);
    Put16(out, static_cast<std::uint16_t>(r.data.size()));
    out += r.data;
    if (out.size() + reserve <= limit_) return true;
    out.resize(before);
    std::erase_if(offsets_, [before](const auto& o) { return o.second >= before; });
    return false;
  }

 private:
  std::size_t limit_;
  std::map<std::string, std::size_t, std::less<>> offsets_;
};

std::uint16_t Flags(const Message& m) {
  return static_cast<std::uint16_t>(m.response << 15 | (m.opcode & 15) << 11 | m.authoritative << 10 | m.truncated << 9 | m.recursion_desired << 8 |
                                    m.recursion_available << 7 | m.checking_disabled << 4 | (static_cast<int>(m.rcode) & 15));
}

}  // namespace

Result<Message> Parse(std::string_view wire) {
  Reader in(wire);
  Message m;
  TRY(m.id, in.U16());
  TRY(const std::uint16_t flags, in.U16());
  m.response = (flags & 0x8000) != 0;
  m.opcode = flags >> 11 & 15;
  m.authoritative = (flags & 0x0400) != 0;
  m.truncated = (flags & 0x0200) != 0;
  m.recursion_desired = (flags & 0x0100) != 0;
  m.recursion_available = (flags & 0x0080) != 0;
  m.checking_disabled = (flags & 0x0010) != 0;
  m.rcode = static_cast<Rcode>(flags & 15);
  std::uint16_t counts[4];
  std::size_t total = 0;
  for (std::uint16_t& c : counts) {
    TRY(c, in.U16());
    total += c;
  }
  if (total > kMaxRecords) return Bad("too many records");
  for (int i = 0; i < counts[0]; ++i) {
    Question q;
    TRY(q.name, in.Name());
    TRY(const std::uint16_t type, in.U16());
    TRY(q.klass, in.U16());
    q.type = static_cast<Type>(type);
    m.questions.push_back(std::move(q));
  }
  TRY_VOID(ReadRecords(in, counts[1], m.answers, m));
  TRY_VOID(ReadRecords(in, counts[2], m.authority, m));
  TRY_VOID(ReadRecords(in, counts[3], m.additional, m));
  if (!in.done()) return Bad("bytes after the end");
  return m;
}

std::string Print(const Message& m, std::size_t limit) {
  Writer w(limit);
  Put16(w.out, m.id);
  w.out.append(kHeader - 2, '\0');
  for (const Question& q : m.questions) {
    w.Name(q.name);
    Put16(w.out, static_cast<std::uint16_t>(q.type));
    Put16(w.out, q.klass);
  }
  constexpr std::size_t kOptSize = 11;
  const std::size_t reserve = m.edns_size ? kOptSize : 0;
  std::uint16_t counts[4] = {static_cast<std::uint16_t>(m.questions.size()), 0, 0, 0};
  bool full = false;
  const auto add = [&](const std::vector<Record>& records, int section, bool must) {
    for (const Record& r : records) {
      if (full && must) return;
      if (w.Add(r, reserve)) {
        ++counts[section];
      } else if (must) {
        full = true;
      }
    }
  };
  add(m.answers, 1, true);
  add(m.authority, 2, true);
  add(m.additional, 3, false);
  if (m.edns_size) {
    w.out += '\0';
    Put16(w.out, static_cast<std::uint16_t>(Type::kOpt));
    Put16(w.out, *m.edns_size);
    Put32(w.out, m.dnssec_ok ? 0x8000 : 0);
    Put16(w.out, 0);
    ++counts[3];
  }
  std::string head;
  Put16(head, static_cast<std::uint16_t>(Flags(m) | (full ? 0x0200 : 0)));
  for (const std::uint16_t c : counts) Put16(head, c);
  w.out.replace(2, head.size(), head);
  return std::move(w.out);
}

Result<std::string> NormalizeName(std::string_view text) {
  if (text == ".") return std::string(text);
  if (text.ends_with('.')) text.remove_suffix(1);
  std::string out;
  std::size_t total = 1;
  for (const std::string_view label : Split(text, '.')) {
    const std::string bytes = LabelBytes(label);
    if (bytes.empty() || bytes.size() > kMaxLabel) return Fail(Code::kInvalid, Cat("DNS name ", Quote(text), ": labels have 1 to 63 bytes"));
    total += bytes.size() + 1;
    for (const char c : bytes) AppendLabelByte(out, static_cast<std::uint8_t>(c));
    out += '.';
  }
  if (total > kMaxName) return Fail(Code::kInvalid, Cat("DNS name ", Quote(text), ": longer than 255 bytes"));
  return out;
}

std::string ToWire(std::string_view name) {
  std::string out;
  while (!name.empty() && name != ".") {
    const std::size_t dot = name.find('.');
    const std::string label = LabelBytes(name.substr(0, dot));
    out += static_cast<char>(label.size());
    out += label;
    name.remove_prefix(dot == std::string_view::npos ? name.size() : dot + 1);
  }
  out += '\0';
  return out;
}

bool IsUnder(std::string_view name, std::string_view origin) {
  if (origin == ".") return true;
  if (!name.ends_with(origin)) return false;
  return name.size() == origin.size() || name[name.size() - origin.size() - 1] == '.';
}

Record AddressRecord(std::string name, std::uint32_t ttl, std::string_view bytes) {
  return {std::move(name), bytes.size() == 16 ? Type::kAaaa : Type::kA, kClassIn, ttl, std::string(bytes)};
}
Record NameRecord(std::string name, Type type, std::uint32_t ttl, std::string_view target) { return {std::move(name), type, kClassIn, ttl, ToWire(target)}; }
Record SrvRecord(std::string name, std::uint32_t ttl, std::uint16_t priority, std::uint16_t weight, std::uint16_t port, std::string_view target) {
  Record r{std::move(name), Type::kSrv, kClassIn, ttl, {}};
  Put16(r.data, priority);
  Put16(r.data, weight);
  Put16(r.data, port);
  r.data += ToWire(target);
  return r;
}
Record TxtRecord(std::string name, std::uint32_t ttl, std::string_view text) {
  text = text.substr(0, 255);
  return {std::move(name), Type::kTxt, kClassIn, ttl, Cat(static_cast<char>(text.size()), text)};
}
Record SoaRecord(std::string origin, std::uint32_t ttl, std::uint32_t serial, std::uint32_t negative_ttl) {
  Record r{origin, Type::kSoa, kClassIn, ttl, {}};
  const std::string suffix = origin == "." ? "" : origin;
  r.data = ToWire(Cat("ns.dns.", suffix)) + ToWire(Cat("hostmaster.", suffix));
  for (const std::uint32_t v : {serial, 7200U, 1800U, 86400U, negative_ttl}) Put32(r.data, v);
  return r;
}

Result<std::string> NameInData(const Record& r) {
  const std::size_t skip = r.type == Type::kSrv ? 6 : 0;
  if (r.data.size() < skip) return Bad("record data cut short");
  Reader in(std::string_view(r.data).substr(skip));
  return in.Name();
}

}  // namespace skerry::dns
