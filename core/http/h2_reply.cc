#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "core/base/strings.h"
#include "core/http/h2_connection.h"

namespace skerry::http {
namespace {

bool MayHaveBody(int status) { return status >= 200 && status != 204 && status != 304; }

nghttp2_nv Field(std::string_view name, std::string_view value) {
  nghttp2_nv nv = {};
  nv.name = reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data()));
  nv.value = reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data()));
  nv.namelen = name.size();
  nv.valuelen = value.size();
  // Another value in every reply: in the compression table it would push out those that come again.
  if (name == "audit-id" || name == "content-length" || name == "date") nv.flags = NGHTTP2_NV_FLAG_NO_INDEX;
  return nv;   // nghttp2 copies both
}

bool IsConnectionHeader(std::string_view lower) { return lower == "upgrade" || lower == "proxy-connection" || lower == "te"; }

}  // namespace

void H2Connection::Submit(H2Stream& s, Reply reply) {
  if (auto* response = std::get_if<Response>(&reply)) {
    SubmitResponse(s, std::move(*response));
  } else if (auto* file = std::get_if<File>(&reply)) {
    SubmitFile(s, std::move(*file));
  } else if (auto* streaming = std::get_if<Streaming>(&reply)) {
    SubmitStreaming(s, std::move(*streaming));
  } else if (std::holds_alternative<std::unique_ptr<Tunnel>>(reply)) {
    SubmitResponse(s, PlainReply(400, "this upgrade needs HTTP/1.1"));
  } else {
    SubmitResponse(s, PlainReply(500, "no reply"));
  }
}

void H2Connection::SubmitResponse(H2Stream& s, Response response) {
  s.bytes = std::move(response.body);
  const auto length = static_cast<std::int64_t>(s.bytes.size());
  SubmitHead(s, response.status, response.headers, length, length > 0);
}

void H2Connection::SubmitFile(H2Stream& s, File file) {
  s.file.Reset(::open(file.path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat st = {};
  if (!s.file || ::fstat(s.file.get(), &st) != 0 || !S_ISREG(st.st_mode) || file.offset < 0 || file.offset > st.st_size) {
    s.file.Reset();
    SubmitResponse(s, PlainReply(500, "the file cannot be read"));
    return;
  }
  const std::int64_t rest = st.st_size - file.offset;
  s.file_at = file.offset;
  s.file_left = file.length < 0 ? rest : std::min(file.length, rest);
  SubmitHead(s, file.status, file.headers, s.file_left, s.file_left > 0);
}

void H2Connection::SubmitStreaming(H2Stream& s, Streaming streaming) {
  s.source = std::move(streaming.source);
  std::optional<std::int64_t> length = ParseInt(Get(streaming.headers, "Content-Length"));
  if (length && *length < 0) length.reset();
  s.has_length = length.has_value();
  s.source->OnReady([ready = ready_, id = s.id] { ready->Add(id); });
  SubmitHead(s, streaming.status, streaming.headers, length, true);
  if (!s.body_done) return;
  s.request.reset();   // a watch lives for long and needs it no more
  s.slot.reset();
}

void H2Connection::SubmitHead(H2Stream& s, int status, const Headers& headers, std::optional<std::int64_t> length, bool with_data) {
  if (std::exchange(s.replied, true)) return;
  const bool head_only = s.request->method == "HEAD";
  const std::string status_text = std::to_string(status);
  std::vector<std::string> names;
  names.reserve(headers.size());
  std::vector<nghttp2_nv> fields;
  fields.reserve(headers.size() + 3);
  fields.push_back(Field(":status", status_text));
  for (const auto& h : headers) {
    if (IsServersHeader(h.name)) continue;
    names.push_back(ToLower(h.name));
    if (!IsConnectionHeader(names.back())) fields.push_back(Field(names.back(), h.value));
  }
  fields.push_back(Field("date", HttpDate()));
  if (head_only && length == 0) {
    if (const auto own = ParseInt(Get(headers, "Content-Length"))) length = own;
  }
  const std::string length_text = std::to_string(length.value_or(0));
  if (length && MayHaveBody(status)) fields.push_back(Field("content-length", length_text));
  nghttp2_data_provider provider = {};
  provider.read_callback = OnReadReply;
  const bool send_data = with_data && !head_only && MayHaveBody(status);
  nghttp2_submit_response(session_, s.id, fields.data(), fields.size(), send_data ? &provider : nullptr);
  // What is still to come of the request is of no use: RFC 9113, 8.1 lets us say so after the reply.
  if (!s.body_done && s.pipe) s.pipe->Fail(Error(Code::kCancelled, "the reply was sent before the end of the body"));
  wake_->Notify();
}

ssize_t H2Connection::OnReadReply(nghttp2_session*, std::int32_t id, std::uint8_t* into, std::size_t size, std::uint32_t* flags, nghttp2_data_source*,
                                  void* user) {
  H2Connection& self = Self(user);
  H2Stream* s = self.Find(id);
  if (s == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  return self.ReadReply(*s, into, size, flags);
}

ssize_t H2Connection::ReadReply(H2Stream& s, std::uint8_t* into, std::size_t size, std::uint32_t* flags) {
  if (s.file) {
    const auto want = static_cast<std::size_t>(std::min<std::int64_t>(static_cast<std::int64_t>(size), s.file_left));
    const ssize_t n = ::pread(s.file.get(), into, want, s.file_at);
    if (n <= 0) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;   // shorter than announced
    s.file_at += n;
    s.file_left -= n;
    if (s.file_left == 0) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return n;
  }
  std::size_t n = 0;
  while (n < size) {
    const auto rest = s.bytes.view().substr(s.sent);
    const std::size_t piece = std::min(rest.size(), size - n);
    if (piece > 0) std::memcpy(into + n, rest.data(), piece);
    n += piece;
    s.sent += piece;
    if (s.sent < s.bytes.size()) break;
    if (!s.source) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      break;
    }
    auto next = s.source->Next();
    const bool ended = !next && next.error().code() == Code::kCancelled;
    if (!next && !ended) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (next && next->empty() && !(stopping_ && !s.has_length)) {
      if (n == 0) return NGHTTP2_ERR_DEFERRED;
      break;   // asked again at once, and deferred then
    }
    if (ended || next->empty()) {
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      break;
    }
    s.bytes = std::move(*next);
    s.sent = 0;
  }
  return static_cast<ssize_t>(n);
}

}  // namespace skerry::http
