#include "core/telemetry/log.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <mutex>

#include "core/base/clock.h"

// An own writer instead of a logging library: the whole need is one line to stderr, and the library costs 13 CPU-s of compilation
// and 300 KB for sinks, patterns and back ends that nothing here would use.
namespace skerry::log {
namespace {

std::atomic<Level> g_level{Level::kInfo};
std::atomic<Format> g_format{Format::kText};
std::mutex g_mutex;         // order of lines
Sink* g_sink = nullptr;     // guarded by g_mutex

std::string_view LevelName(Level level) {
  switch (level) {
    case Level::kDebug: return "debug";
    case Level::kInfo: return "info";
    case Level::kWarn: return "warn";
    case Level::kError: return "error";
    case Level::kOff: break;
  }
  return "off";
}

void AppendJsonString(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (u < 0x20 || u == 0x7f) {
      char buffer[8];
      std::snprintf(buffer, sizeof buffer, "\\u%04x", u);
      out += buffer;
    } else {
      out += c;
    }
  }
  out += '"';
}

bool NeedsQuotes(std::string_view text) {
  if (text.empty()) return true;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (u <= 0x20 || u == 0x7f || c == '"' || c == '=' || c == '\\') return true;
  }
  return false;
}

void AppendNumber(std::string& out, auto n) {
  char buffer[40];
  const auto r = std::to_chars(buffer, buffer + sizeof buffer, n);
  out.append(buffer, r.ptr);
}

// 1h2m3s, 1.5s, 12ms, 7µs: enough digits to read, not to compute with.
std::string DurationText(std::chrono::nanoseconds d) {
  const double s = static_cast<double>(d.count()) / 1e9;
  const double magnitude = std::fabs(s);
  char buffer[48];
  if (magnitude >= 60) {
    const auto total = static_cast<long long>(magnitude);
    const char* sign = s < 0 ? "-" : "";
    if (total >= 3600) std::snprintf(buffer, sizeof buffer, "%s%lldh%lldm%llds", sign, total / 3600, total / 60 % 60, total % 60);
    else std::snprintf(buffer, sizeof buffer, "%s%lldm%llds", sign, total / 60, total % 60);
  } else if (magnitude >= 1) {
    std::snprintf(buffer, sizeof buffer, "%.4gs", s);
  } else if (magnitude >= 1e-3) {
    std::snprintf(buffer, sizeof buffer, "%.4gms", s * 1e3);
  } else {
    std::snprintf(buffer, sizeof buffer, "%.4gus", s * 1e6);
  }
  return buffer;
}

void AppendText(std::string& out, std::string_view text, Format format) {
  if (format == Format::kJson || NeedsQuotes(text)) AppendJsonString(out, text);
  else out += text;
}

void AppendValue(std::string& out, const FieldValue& value, Format format) {
  std::visit(
      [&](const auto& v) {
        using V = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<V, std::string_view>) {
          AppendText(out, v, format);
        } else if constexpr (std::is_same_v<V, bool>) {
          out += v ? "true" : "false";
        } else if constexpr (std::is_same_v<V, std::chrono::nanoseconds>) {
          AppendText(out, DurationText(v), format);
        } else if constexpr (std::is_same_v<V, double>) {
          if (std::isfinite(v)) AppendNumber(out, v);
          else AppendText(out, std::isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf", format);
        } else {
          AppendNumber(out, v);
        }
      },
      value.get());
}

void WriteStderr(std::string_view line) {
  while (!line.empty()) {
    const ssize_t n = ::write(STDERR_FILENO, line.data(), line.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;   // nowhere to report it
    line.remove_prefix(static_cast<std::size_t>(n));
  }
}

}  // namespace

std::string Render(Format format, std::string_view time, Level level, std::string_view message, Fields fields) {
  std::string out;
  out.reserve(128);
  if (format == Format::kJson) {
    out += "{\"time\":";
    AppendJsonString(out, time);
    out += ",\"level\":\"";
    out += LevelName(level);
    out += "\",\"msg\":";
    AppendJsonString(out, message);
    for (const Field& f : fields) {
      out += ',';
      AppendJsonString(out, f.key);
      out += ':';
      AppendValue(out, f.value, format);
    }
    return out += '}';
  }
  out += time;
  out += ' ';
  const std::string_view name = LevelName(level);
  for (const char c : name) out += static_cast<char>(c - 32);
  out.append(6 - name.size(), ' ');
  // A constant message has no control characters; one that was built from input is made harmless here.
  if (message.find_first_of("\n\r\t\x1b") == std::string_view::npos) out += message;
  else AppendJsonString(out, message);
  for (const Field& f : fields) {
    out += ' ';
    out += f.key;
    out += '=';
    AppendValue(out, f.value, format);
  }
  return out;
}

void Write(Level level, std::string_view message, Fields fields) {
  if (!Enabled(level)) return;
  std::string line = Render(g_format.load(std::memory_order_relaxed), FormatMicroTime(Clock::System().Now()), level, message, fields);
  line += '\n';
  const std::lock_guard lock(g_mutex);
  if (g_sink) g_sink->Write(level, line);
  else WriteStderr(line);
}

void Debug(std::string_view message, Fields fields) { Write(Level::kDebug, message, fields); }
void Info(std::string_view message, Fields fields) { Write(Level::kInfo, message, fields); }
void Warn(std::string_view message, Fields fields) { Write(Level::kWarn, message, fields); }
void Error(std::string_view message, Fields fields) { Write(Level::kError, message, fields); }

bool Enabled(Level level) noexcept { return level != Level::kOff && level >= g_level.load(std::memory_order_relaxed); }
void SetLevel(Level level) noexcept { g_level.store(level, std::memory_order_relaxed); }
void SetFormat(Format format) noexcept { g_format.store(format, std::memory_order_relaxed); }

Result<Level> ParseLevel(std::string_view text) {
  for (const Level level : {Level::kDebug, Level::kInfo, Level::kWarn, Level::kError, Level::kOff}) {
    if (text == LevelName(level)) return level;
  }
  return Fail(Code::kBadRequest, "log level must be one of debug, info, warn, error, off");
}

Result<Format> ParseFormat(std::string_view text) {
  if (text == "text") return Format::kText;
  if (text == "json") return Format::kJson;
  return Fail(Code::kBadRequest, "log format must be text or json");
}

Sink* SetSink(Sink* sink) {
  const std::lock_guard lock(g_mutex);
  return std::exchange(g_sink, sink);
}

}  // namespace skerry::log
