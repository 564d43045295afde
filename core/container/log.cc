#include "core/container/log.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "core/base/files.h"
#include "core/base/guarded.h"
#include "core/base/strings.h"
#include "core/base/unique_fd.h"
#include "core/json/value.h"

// Format: Kubernetes' CRI logging ("<RFC 3339> <stream> <F|P>[:tags] <text>"), and Docker's json-file driver.
namespace skerry::container {
namespace {

constexpr std::size_t kChunk = 64 << 10;
constexpr std::size_t kLongestEntry = 1 << 20;   // conmon and Docker cut at 8-16 KiB; anything longer is not a log entry

struct Entry {
  std::string_view time, stream;
  std::string text;         // with its newline unless the entry is partial
};

bool ParseCri(std::string_view line, Entry& out) {
  const std::size_t a = line.find(' ');
  const std::size_t b = a == std::string_view::npos ? a : line.find(' ', a + 1);
  if (b == std::string_view::npos) return false;
  const std::size_t c = line.find(' ', b + 1);
  const std::string_view tags = line.substr(b + 1, c == std::string_view::npos ? c : c - b - 1);
  out.time = line.substr(0, a);
  out.stream = line.substr(a + 1, b - a - 1);
  out.text = c == std::string_view::npos ? std::string_view() : line.substr(c + 1);
  const std::string_view first = tags.substr(0, tags.find(':'));
  if (first != "P" && first != "F") return false;
  if (first == "F") out.text += '\n';
  return true;
}

bool ParseJsonFile(std::string_view line, json::Value& holder, Entry& out) {
  std::string error;
  if (!json::Value::Parse(line, &holder, &error)) return false;
  out.time = holder["time"].Str();
  out.stream = holder["stream"].Str();
  out.text = std::string(holder["log"].Str());
  return !out.time.empty();
}

struct File {
  UniqueFd fd;
  ino_t inode = 0;
  std::string pending;      // bytes read that do not form a whole line yet
};

Result<File> OpenFile(const std::string& path) {
  File file;
  file.fd.Reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.fd) return std::unexpected(ErrnoError(errno, "open " + path));
  struct stat st;
  if (::fstat(file.fd.get(), &st) != 0) return std::unexpected(ErrnoError(errno, "stat " + path));
  if (!S_ISREG(st.st_mode)) return Fail(Code::kInvalid, path + " is not a regular file");
  file.inode = st.st_ino;
  return file;
}

// Moves the file offset to the start of the last `lines` lines.
Result<> SeekTail(int fd, std::int64_t lines) {
  off_t end = ::lseek(fd, 0, SEEK_END);
  if (end < 0) return std::unexpected(ErrnoError(errno, "seek in log"));
  if (lines <= 0) return {};
  std::string buffer(kChunk, '\0');
  std::int64_t found = 0;
  for (off_t at = end; at > 0;) {
    const off_t start = std::max<off_t>(0, at - static_cast<off_t>(buffer.size()));
    const ssize_t n = ::pread(fd, buffer.data(), static_cast<std::size_t>(at - start), start);
    if (n != at - start) return Fail(Code::kUnavailable, "read log: file changed");
    for (off_t i = n - 1; i >= 0; --i) {
      if (buffer[static_cast<std::size_t>(i)] != '\n' || start + i == end - 1) continue;
      if (++found < lines) continue;
      if (::lseek(fd, start + i + 1, SEEK_SET) < 0) return std::unexpected(ErrnoError(errno, "seek in log"));
      return {};
    }
    at = start;
  }
  if (::lseek(fd, 0, SEEK_SET) < 0) return std::unexpected(ErrnoError(errno, "seek in log"));
  return {};
}

class Reader final : public LogReader {
 public:
  Reader(std::string path, LogOptions options, File file, process::FileWatcher* watcher, std::function<bool()> running)
      : path_(std::move(path)), options_(options), watcher_(watcher), running_(std::move(running)), file_(std::move(file)),
        left_(options.limit_bytes.value_or(INT64_MAX)) {}

  Result<> Arm() {
    if (!options_.follow || watcher_ == nullptr) return {};
    TRY(watch_, watcher_->Add(path_, process::FileWatcher::What::kFileContent, [this](const std::string&) { Wake(); }));
    return {};
  }
  Result<std::string> Next() override;
  void OnReady(std::function<void()> notify) override {
    auto locked = notify_.Lock();
    *locked = std::move(notify);
  }
  void Wake() override {
    std::function<void()> notify;
    {
      auto locked = notify_.Lock();
      notify = *locked;
    }
    if (notify) notify();
  }

 private:
  // True when bytes were added to pending.
  Result<bool> Fill();
  void Emit(std::string_view line, std::string& out);
  void TakeLines(std::string& out);
  // True when a new file took the path's place.
  bool SwitchFile();

  const std::string path_;
  const LogOptions options_;
  process::FileWatcher* const watcher_;
  const std::function<bool()> running_;
  Guarded<std::function<void()>> notify_;
  File file_;
  std::int64_t left_;
  std::unique_ptr<process::FileWatcher::Watch> watch_;   // last: its callback uses the others
};

Result<bool> Reader::Fill() {
  const std::size_t before = file_.pending.size();
  file_.pending.resize(before + kChunk);
  const ssize_t n = ::read(file_.fd.get(), file_.pending.data() + before, kChunk);
  file_.pending.resize(before + static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
  if (n < 0) return std::unexpected(ErrnoError(errno, "read " + path_));
  return n > 0;
}

void Reader::Emit(std::string_view line, std::string& out) {
  json::Value holder;
  Entry entry;
  if (!(line.starts_with('{') ? ParseJsonFile(line, holder, entry) : ParseCri(line, entry))) return;
  if (options_.streams == LogOptions::Streams::kStdout && entry.stream != "stdout") return;
  if (options_.streams == LogOptions::Streams::kStderr && entry.stream != "stderr") return;
  std::optional<Clock::Wall> time;
  if (options_.since || options_.timestamps) {
    auto parsed = ParseTime(entry.time);
    if (!parsed) return;
    time = *parsed;
  }
  if (options_.since && *time < *options_.since) return;
  if (options_.timestamps) entry.text.insert(0, FormatNanoTime(*time) + " ");
  const std::size_t take = static_cast<std::size_t>(std::min<std::int64_t>(left_, static_cast<std::int64_t>(entry.text.size())));
  out.append(entry.text, 0, take);
  left_ -= static_cast<std::int64_t>(take);
}

void Reader::TakeLines(std::string& out) {
  std::size_t at = 0;
  while (left_ > 0 && out.size() < kChunk) {
    const std::size_t end = file_.pending.find('\n', at);
    if (end == std::string::npos) break;
    Emit(std::string_view(file_.pending).substr(at, end - at), out);
    at = end + 1;
  }
  file_.pending.erase(0, at);
  if (file_.pending.size() > kLongestEntry) file_.pending.clear();
}

bool Reader::SwitchFile() {
  struct stat st;
  if (::stat(path_.c_str(), &st) != 0 || st.st_ino == file_.inode) return false;
  auto next = OpenFile(path_);
  if (!next) return false;
  file_ = *std::move(next);
  watch_.reset();
  // A reader that cannot watch the new file still ends when the container does; the caller's Wake() drives it until then.
  if (!Arm()) return true;
  return true;
}

Result<std::string> Reader::Next() {
  std::string out;
  for (;;) {
    if (left_ <= 0) return Fail(Code::kCancelled, "end of log");
    TakeLines(out);
    if (!out.empty()) return out;
    const bool alive = options_.follow && running_ && running_();   // asked before the read: what was written before the end is seen
    TRY(const bool more, Fill());
    if (more) continue;
    if (!options_.follow) return Fail(Code::kCancelled, "end of log");
    if (SwitchFile()) continue;
    if (!alive) return Fail(Code::kCancelled, "end of log");
    return std::string();
  }
}

}  // namespace

Result<std::unique_ptr<LogReader>> LogReader::Open(std::string path, LogOptions options, process::FileWatcher* watcher, std::function<bool()> running) {
  TRY(auto file, OpenFile(path));
  if (options.tail_lines) TRY_VOID(SeekTail(file.fd.get(), *options.tail_lines));
  auto reader = std::make_unique<Reader>(std::move(path), options, std::move(file), watcher, std::move(running));
  TRY_VOID(reader->Arm());
  return reader;
}

Result<std::string> ReadLog(const std::string& path, LogOptions options) {
  options.follow = false;
  TRY(auto reader, LogReader::Open(path, options));
  std::string out;
  for (;;) {
    auto piece = reader->Next();
    if (!piece) {
      if (piece.error().code() == Code::kCancelled) return out;
      return std::unexpected(std::move(piece).error());
    }
    out += *piece;
  }
}

}  // namespace skerry::container
