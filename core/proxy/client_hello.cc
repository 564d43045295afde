#include "core/proxy/client_hello.h"

#include "core/base/strings.h"

namespace skerry::proxy {
namespace {

class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {}
  bool ok() const { return ok_; }
  std::size_t left() const { return in_.size(); }
  std::size_t Number(int bytes) {
    std::size_t v = 0;
    for (const char c : Take(static_cast<std::size_t>(bytes))) v = v << 8 | static_cast<std::uint8_t>(c);
    return v;
  }
  std::string_view Take(std::size_t n) {
    if (n > in_.size()) {
      ok_ = false;
      n = 0;
    }
    const auto out = in_.substr(0, n);
    in_.remove_prefix(n);
    return out;
  }
  std::string_view Vector(int length_bytes) { return Take(Number(length_bytes)); }

 private:
  std::string_view in_;
  bool ok_ = true;
};

// The handshake message from one or more records; `complete` says whether all of it is here.
std::string Handshake(std::string_view bytes, bool& complete, bool& is_tls) {
  std::string out;
  complete = false;
  is_tls = true;
  Reader in(bytes);
  while (in.left() > 0) {
    if (in.Number(1) != 22) return is_tls = false, std::string();   // not a handshake record
    if (in.left() < 4) return out;
    in.Number(2);
    const std::size_t size = in.Number(2);
    out += in.Take(std::min(size, in.left()));
    if (out.size() >= 4) {
      const std::size_t need = static_cast<std::size_t>(static_cast<std::uint8_t>(out[1])) << 16 | static_cast<std::size_t>(static_cast<std::uint8_t>(out[2])) << 8 |
                               static_cast<std::uint8_t>(out[3]);
      if (out[0] != 1 || need > kMaxClientHello) return is_tls = false, std::string();
      if (out.size() >= need + 4) return complete = true, out.substr(4, need);
    }
  }
  return out;
}

}  // namespace

Sni ReadSni(std::string_view bytes) {
  Sni out;
  bool complete = false, is_tls = true;
  const std::string hello = Handshake(bytes, complete, is_tls);
  if (is_tls && !complete) {
    if (bytes.size() > kMaxClientHello) out.state = Sni::State::kNone;
    return out;
  }
  out.state = Sni::State::kNone;
  Reader in(hello);
  in.Take(2 + 32);   // version, random
  in.Vector(1);      // session
  in.Vector(2);      // cipher suites
  in.Vector(1);      // compression
  Reader extensions(in.Vector(2));
  while (in.ok() && extensions.ok() && extensions.left() > 0) {
    const std::size_t type = extensions.Number(2);
    Reader body(extensions.Vector(2));
    if (type != 0) continue;
    Reader names(body.Vector(2));
    const std::size_t kind = names.Number(1);
    const std::string_view name = names.Vector(2);
    if (!names.ok() || !body.ok() || kind != 0 || name.empty() || name.size() > 255) return out;
    out.name = ToLower(name);
    out.state = Sni::State::kFound;
    return out;
  }
  return out;
}

}  // namespace skerry::proxy
