#include "core/text/base64.h"

#include <array>
#include <cstdint>

namespace skerry::text {
namespace {

constexpr std::string_view kStandard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kUrl = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr std::array<std::int8_t, 256> Reverse(std::string_view alphabet) {
  std::array<std::int8_t, 256> table{};
  table.fill(-1);
  for (std::size_t i = 0; i < alphabet.size(); ++i) table[static_cast<unsigned char>(alphabet[i])] = static_cast<std::int8_t>(i);
  return table;
}
constexpr auto kStandardReverse = Reverse(kStandard);
constexpr auto kUrlReverse = Reverse(kUrl);

std::string Encode(std::string_view bytes, std::string_view alphabet, bool pad) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  std::size_t i = 0;
  const auto at = [&](std::size_t k) -> std::uint32_t { return static_cast<unsigned char>(bytes[k]); };
  for (; i + 3 <= bytes.size(); i += 3) {
    const std::uint32_t v = at(i) << 16 | at(i + 1) << 8 | at(i + 2);
    out += alphabet[v >> 18];
    out += alphabet[v >> 12 & 63];
    out += alphabet[v >> 6 & 63];
    out += alphabet[v & 63];
  }
  const std::size_t rest = bytes.size() - i;
  if (rest == 0) return out;
  const std::uint32_t v = at(i) << 16 | (rest == 2 ? at(i + 1) << 8 : 0);
  out += alphabet[v >> 18];
  out += alphabet[v >> 12 & 63];
  if (rest == 2) out += alphabet[v >> 6 & 63];
  else if (pad) out += '=';
  if (pad) out += '=';
  return out;
}

std::unexpected<Error> Illegal(std::size_t at) { return Fail(Code::kBadRequest, "illegal base64 data at input byte " + std::to_string(at)); }

Result<std::string> Decode(std::string_view text, const std::array<std::int8_t, 256>& reverse, bool padded) {
  std::size_t digits = text.size();
  if (padded) {
    if (text.size() % 4 != 0) return Illegal(text.size());
    for (int i = 0; i < 2 && digits > 0 && text[digits - 1] == '='; ++i) --digits;
  }
  if (digits % 4 == 1) return Illegal(digits);
  std::string out;
  out.reserve(digits / 4 * 3 + 2);
  std::uint32_t bits = 0;
  int count = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    const int v = reverse[static_cast<unsigned char>(text[i])];
    if (v < 0) return Illegal(i);
    bits = bits << 6 | static_cast<std::uint32_t>(v);
    if (++count == 4) {
      out += static_cast<char>(bits >> 16);
      out += static_cast<char>(bits >> 8);
      out += static_cast<char>(bits);
      bits = 0;
      count = 0;
    }
  }
  if (count == 2) {
    if (bits & 15) return Illegal(digits - 1);
    out += static_cast<char>(bits >> 4);
  } else if (count == 3) {
    if (bits & 3) return Illegal(digits - 1);
    out += static_cast<char>(bits >> 10);
    out += static_cast<char>(bits >> 2);
  }
  return out;
}

}  // namespace

std::size_t Base64ProblemAt(std::string_view text) {
  std::size_t at = 0;
  const auto skip = [&] { while (at < text.size() && (text[at] == '\n' || text[at] == '\r')) ++at; };
  while (true) {
    for (int digit = 0; digit < 4; ++digit) {
      skip();
      if (at == text.size()) return digit == 0 ? std::string_view::npos : at - static_cast<std::size_t>(digit);
      const char c = text[at++];
      if (kStandardReverse[static_cast<unsigned char>(c)] >= 0) continue;
      if (c != '=' || digit < 2) return at - 1;
      skip();
      if (digit == 2) {
        if (at == text.size()) return text.size();
        if (text[at] != '=') return at - 1;
        ++at;
        skip();
      }
      return at < text.size() ? at : std::string_view::npos;
    }
  }
}

std::string Base64(std::string_view bytes) { return Encode(bytes, kStandard, true); }
Result<std::string> FromBase64(std::string_view text) {
  auto out = Decode(text, kStandardReverse, true);
  if (out) return out;
  const std::size_t at = Base64ProblemAt(text);   // clients know Go's count
  return at == std::string_view::npos ? std::move(out) : Result<std::string>(Illegal(at));
}
std::string Base64Url(std::string_view bytes) { return Encode(bytes, kUrl, false); }
Result<std::string> FromBase64Url(std::string_view text) { return Decode(text, kUrlReverse, false); }

std::string Hex(std::string_view bytes) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out(bytes.size() * 2, '\0');
  char* to = out.data();
  for (const char c : bytes) {
    *to++ = kDigits[static_cast<unsigned char>(c) >> 4];
    *to++ = kDigits[c & 15];
  }
  return out;
}

Result<std::string> FromHex(std::string_view text) {
  if (text.size() % 2 != 0) return Fail(Code::kBadRequest, "odd length hex string");
  const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; };
  std::string out;
  out.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = digit(text[i]), low = digit(text[i + 1]);
    if (high < 0 || low < 0) return Fail(Code::kBadRequest, "invalid hex digit");
    out += static_cast<char>(high << 4 | low);
  }
  return out;
}

}  // namespace skerry::text
