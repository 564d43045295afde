#include "core/container/oci/tar_stream.h"

#include <fcntl.h>

#include <cstring>

#include "core/base/files.h"
#include "core/base/strings.h"

namespace skerry::container::oci {
namespace {

class FileSource final : public ByteSource {
 public:
  explicit FileSource(UniqueFd fd) : fd_(std::move(fd)) {}
  Result<std::size_t> Read(std::span<char> into) override {
    for (;;) {
      const ssize_t n = ::read(fd_.get(), into.data(), into.size());
      if (n >= 0) return static_cast<std::size_t>(n);
      if (errno != EINTR) return std::unexpected(ErrnoError(errno, "read"));
    }
  }

 private:
  const UniqueFd fd_;
};

class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::string bytes) : bytes_(std::move(bytes)) {}
  Result<std::size_t> Read(std::span<char> into) override {
    const std::size_t n = std::min(into.size(), bytes_.size() - at_);
    std::memcpy(into.data(), bytes_.data() + at_, n);
    at_ += n;
    return n;
  }

 private:
  const std::string bytes_;
  std::size_t at_ = 0;
};

class EntrySource final : public ByteSource {
 public:
  explicit EntrySource(TarStream& stream) : stream_(stream) {}
  Result<std::size_t> Read(std::span<char> into) override {
    const la_ssize_t n = ::archive_read_data(stream_.tar(), into.data(), into.size());
    if (n < 0) return std::unexpected(stream_.TakeError("read archive"));
    return static_cast<std::size_t>(n);
  }

 private:
  TarStream& stream_;
};

}  // namespace

Result<std::unique_ptr<ByteSource>> OpenFileSource(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return std::unexpected(ErrnoError(errno, "open " + path));
  return std::make_unique<FileSource>(std::move(fd));
}

std::unique_ptr<ByteSource> OpenMemorySource(std::string bytes) { return std::make_unique<MemorySource>(std::move(bytes)); }

la_ssize_t TarStream::ReadOuter(archive* a, void* self, const void** buffer) {
  TarStream& me = *static_cast<TarStream*>(self);
  if (me.ctx_.done()) {
    me.failure_.emplace(me.ctx_.stop.stop_requested() ? Code::kCancelled : Code::kTimeout, "unpacking was stopped");
    ::archive_set_error(a, ECANCELED, "stopped");
    return -1;
  }
  auto n = me.source_.Read(me.outer_buffer_);
  if (!n) {
    me.failure_ = std::move(n).error();
    ::archive_set_error(a, EIO, "source failed");
    return -1;
  }
  me.outer_.Update(std::string_view(me.outer_buffer_).substr(0, *n));
  *buffer = me.outer_buffer_.data();
  return static_cast<la_ssize_t>(*n);
}

la_ssize_t TarStream::ReadInner(archive* a, void* self, const void** buffer) {
  TarStream& me = *static_cast<TarStream*>(self);
  if (me.empty_) return 0;
  const la_ssize_t n = ::archive_read_data(me.filter_.get(), me.inner_buffer_.data(), me.inner_buffer_.size());
  if (n < 0) {
    const char* const why = ::archive_error_string(me.filter_.get());
    ::archive_set_error(a, EIO, "%s", why != nullptr ? why : "cannot decompress");
    return -1;
  }
  me.inner_.Update(std::string_view(me.inner_buffer_).substr(0, static_cast<std::size_t>(n)));
  *buffer = me.inner_buffer_.data();
  return n;
}

Error TarStream::TakeError(std::string what) {
  if (failure_) {
    Error error = *std::move(failure_);
    failure_.reset();
    return std::move(error).Wrap(what);
  }
  const char* const why = tar_ ? ::archive_error_string(tar_.get()) : nullptr;
  return Error(Code::kCorruption, Cat(what, ": ", why != nullptr ? why : "not a tar stream"));
}

Result<> TarStream::Open() {
  filter_.reset(::archive_read_new());
  tar_.reset(::archive_read_new());
  if (!filter_ || !tar_) return Fail(Code::kUnavailable, "out of memory");
  ::archive_read_support_format_raw(filter_.get());
  ::archive_read_support_format_empty(filter_.get());
  ::archive_read_support_filter_gzip(filter_.get());
  ::archive_read_support_filter_zstd(filter_.get());
  ::archive_read_support_format_tar(tar_.get());
  ::archive_read_support_format_empty(tar_.get());
  ::archive_read_set_options(tar_.get(), "hdrcharset=BINARY");   // names are bytes, whatever the locale
  if (::archive_read_open(filter_.get(), this, nullptr, ReadOuter, nullptr) != ARCHIVE_OK) return std::unexpected(TakeError("open layer"));
  archive_entry* raw = nullptr;
  const int r = ::archive_read_next_header(filter_.get(), &raw);
  if (r == ARCHIVE_EOF) empty_ = true;
  else if (r != ARCHIVE_OK) return std::unexpected(TakeError("decompress layer"));
  if (::archive_read_open(tar_.get(), this, nullptr, ReadInner, nullptr) != ARCHIVE_OK) return std::unexpected(TakeError("open tar"));
  return {};
}

Result<archive_entry*> TarStream::Next() {
  archive_entry* entry = nullptr;
  for (;;) {
    const int r = ::archive_read_next_header(tar_.get(), &entry);
    if (r == ARCHIVE_EOF) return nullptr;
    if (r == ARCHIVE_OK || r == ARCHIVE_WARN) return entry;
    if (r != ARCHIVE_RETRY) return std::unexpected(TakeError("read tar header"));
  }
}

Result<> TarStream::Finish() {
  const void* ignored = nullptr;
  for (la_ssize_t n = 1; n > 0;) {   // padding after the end mark belongs to the digest
    n = ReadInner(tar_.get(), this, &ignored);
    if (n < 0) return std::unexpected(TakeError("read layer"));
  }
  for (la_ssize_t n = 1; n > 0;) {
    n = ReadOuter(filter_.get(), this, &ignored);
    if (n < 0) return std::unexpected(TakeError("read layer"));
  }
  return {};
}

Result<> ReadArchive(const Ctx& ctx, ByteSource& source, const std::function<Result<>(const std::string& name, ByteSource& content)>& file) {
  TarStream stream(ctx, source);
  TRY_VOID(stream.Open());
  for (;;) {
    TRY(archive_entry* const entry, stream.Next());
    if (entry == nullptr) return {};
    const char* const name = ::archive_entry_pathname(entry);
    if (name == nullptr || ::archive_entry_filetype(entry) != AE_IFREG) continue;
    EntrySource content(stream);
    TRY_VOID(file(name, content));
  }
}

}  // namespace skerry::container::oci
