#pragma once
#include <chrono>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

#include "core/base/result.h"

// Structured logging: a constant message plus fields, one line an event.
//   log::Warn("image pull failed", {{"image", ref}, {"reason", err}, {"retry_in", delay}});
// Thread-safe. A line is written with one write(2); lines of different threads never mix. Never pass a secret.
// Control characters are escaped in both formats, so that no field can forge a line.
namespace skerry::log {

enum class Level : std::uint8_t { kDebug, kInfo, kWarn, kError, kOff };
enum class Format : std::uint8_t { kText, kJson };

// What a field can hold. Borrows text: an entry lives only during the call.
class FieldValue {
 public:
  FieldValue(std::string_view s) : value_(s) {}
  FieldValue(const char* s) : value_(std::string_view(s ? s : "")) {}
  FieldValue(const std::string& s) : value_(std::string_view(s)) {}
  FieldValue(bool b) : value_(b) {}
  template <std::signed_integral N> FieldValue(N n) : value_(static_cast<std::int64_t>(n)) {}
  template <std::unsigned_integral N> requires(!std::same_as<N, bool>) FieldValue(N n) : value_(static_cast<std::uint64_t>(n)) {}
  FieldValue(double d) : value_(d) {}
  template <class R, class P>
  FieldValue(std::chrono::duration<R, P> d) : value_(std::chrono::duration_cast<std::chrono::nanoseconds>(d)) {}
  FieldValue(const Error& e) : value_(std::string_view(e.message())) {}

  using Variant = std::variant<std::string_view, bool, std::int64_t, std::uint64_t, double, std::chrono::nanoseconds>;
  const Variant& get() const { return value_; }

 private:
  Variant value_;
};

struct Field {
  std::string_view key;
  FieldValue value;
};
using Fields = std::initializer_list<Field>;

void Debug(std::string_view message, Fields fields = {});
void Info(std::string_view message, Fields fields = {});
void Warn(std::string_view message, Fields fields = {});
void Error(std::string_view message, Fields fields = {});
void Write(Level level, std::string_view message, Fields fields);

bool Enabled(Level level) noexcept;   // ask before computing an expensive field
void SetLevel(Level level) noexcept;
void SetFormat(Format format) noexcept;
Result<Level> ParseLevel(std::string_view text);     // debug, info, warn, error, off
Result<Format> ParseFormat(std::string_view text);   // text, json

// The line without its newline, as Write would print it; `time` is RFC 3339.
std::string Render(Format format, std::string_view time, Level level, std::string_view message, Fields fields);

// Receives whole lines with their newline, one call at a time. The default writes to stderr.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void Write(Level level, std::string_view line) = 0;
};
// Borrows; null restores the default. For tests and for the console's log view. Returns the previous one.
Sink* SetSink(Sink* sink);

}  // namespace skerry::log
