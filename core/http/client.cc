#include "core/http/client.h"

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <dlfcn.h>

#include <mutex>

#include "core/base/strings.h"
#include "core/crypto/pin.h"
#include "core/http/url.h"

namespace skerry::http {
namespace {
constexpr std::size_t kKeptHandles = 16;

// libcurl's functions by name: nothing links against it, and its OpenSSL stays apart from ours (RTLD_LOCAL, hidden symbols).
struct Curl {
  decltype(&::curl_global_init) global_init;
  decltype(&::curl_easy_init) easy_init;
  decltype(&::curl_easy_cleanup) easy_cleanup;
  decltype(&::curl_easy_reset) easy_reset;
  decltype(&::curl_easy_setopt) setopt;
  decltype(&::curl_easy_getinfo) getinfo;
  decltype(&::curl_easy_strerror) strerror;
  decltype(&::curl_slist_append) slist_append;
  decltype(&::curl_slist_free_all) slist_free_all;
  decltype(&::curl_multi_init) multi_init;
  decltype(&::curl_multi_cleanup) multi_cleanup;
  decltype(&::curl_multi_add_handle) multi_add;
  decltype(&::curl_multi_remove_handle) multi_remove;
  decltype(&::curl_multi_perform) multi_perform;
  decltype(&::curl_multi_poll) multi_poll;
  decltype(&::curl_multi_wakeup) multi_wakeup;
  decltype(&::curl_multi_info_read) multi_info;
};

template <class F>
bool Find(void* library, const char* name, F& into) {
  into = reinterpret_cast<F>(::dlsym(library, name));
  return into != nullptr;
}

Result<Curl> Load() {
  void* lib = ::dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);   // stays for the life of the process
  if (lib == nullptr) return Fail(Code::kUnsupported, Cat("outgoing HTTP needs libcurl (Debian: libcurl4): ", ::dlerror()));
  Curl c = {};
  const bool all = Find(lib, "curl_global_init", c.global_init) && Find(lib, "curl_easy_init", c.easy_init) &&
                   Find(lib, "curl_easy_cleanup", c.easy_cleanup) && Find(lib, "curl_easy_reset", c.easy_reset) &&
                   Find(lib, "curl_easy_setopt", c.setopt) && Find(lib, "curl_easy_getinfo", c.getinfo) &&
                   Find(lib, "curl_easy_strerror", c.strerror) && Find(lib, "curl_slist_append", c.slist_append) &&
                   Find(lib, "curl_slist_free_all", c.slist_free_all) && Find(lib, "curl_multi_init", c.multi_init) &&
                   Find(lib, "curl_multi_cleanup", c.multi_cleanup) && Find(lib, "curl_multi_add_handle", c.multi_add) &&
                   Find(lib, "curl_multi_remove_handle", c.multi_remove) && Find(lib, "curl_multi_perform", c.multi_perform) &&
                   Find(lib, "curl_multi_poll", c.multi_poll) && Find(lib, "curl_multi_wakeup", c.multi_wakeup) &&
                   Find(lib, "curl_multi_info_read", c.multi_info);
  if (!all || c.global_init(CURL_GLOBAL_ALL) != CURLE_OK) return Fail(Code::kUnsupported, "this libcurl is too old (7.85 or newer is needed)");
  return c;
}

const Result<Curl>& Library() {
  static const Result<Curl> library = Load();
  return library;
}

// A transfer's callbacks; lives on the stack of the call.
struct Exchange {
  const ClientRequest& request;
  const Client::OnHead& on_head;
  const Client::OnBody& on_body;
  ClientResponse response;
  std::optional<Error> failed;   // what a callback answered
  bool head_given = false;
  std::size_t body_sent = 0;

  bool GiveHead() {
    if (std::exchange(head_given, true) || !on_head) return true;
    auto r = on_head(response);
    if (!r) failed = std::move(r).error();
    return !failed;
  }
};

std::size_t OnHeaderLine(char* bytes, std::size_t size, std::size_t count, void* user) {
  auto& x = *static_cast<Exchange*>(user);
  const std::string_view line = Trim(std::string_view(bytes, size * count));
  if (line.starts_with("HTTP/")) {   // a new response: after 100 Continue or a redirect
    x.response.headers.clear();
    const auto space = line.find(' ');
    x.response.status = static_cast<int>(ParseUint(line.substr(space + 1, 3)).value_or(0));
  } else if (const auto colon = line.find(':'); colon != std::string_view::npos) {
    auto& h = x.response.headers.emplace_back();
    h.name = Trim(line.substr(0, colon));
    h.value = Trim(line.substr(colon + 1));
  } else if (line.empty() && x.response.status >= 200 && (x.request.max_redirects == 0 || x.response.status / 100 != 3)) {
    // The head is known as soon as it ends: the body of a watch may begin much later.
    if (!x.GiveHead()) return 0;
  }
  return size * count;
}

std::size_t OnBodyBytes(char* bytes, std::size_t size, std::size_t count, void* user) {
  auto& x = *static_cast<Exchange*>(user);
  const std::string_view piece(bytes, size * count);
  if (!x.GiveHead()) return CURL_WRITEFUNC_ERROR;
  if (x.on_body) {
    auto r = x.on_body(piece);
    if (r) return piece.size();
    x.failed = std::move(r).error();
    return CURL_WRITEFUNC_ERROR;
  }
  if (x.response.body.size() + piece.size() > static_cast<std::size_t>(x.request.max_body)) {
    x.failed = Error(Code::kTooLarge, Cat("the response is larger than ", x.request.max_body, " bytes"));
    return CURL_WRITEFUNC_ERROR;
  }
  x.response.body += piece;
  return piece.size();
}

std::size_t OnUpload(char* into, std::size_t size, std::size_t count, void* user) {
  auto& x = *static_cast<Exchange*>(user);
  if (!x.request.upload) {
    const std::size_t n = x.request.body.copy(into, size * count, x.body_sent);
    x.body_sent += n;
    return n;
  }
  auto n = x.request.upload({reinterpret_cast<std::byte*>(into), size * count});
  if (n) return *n;
  x.failed = std::move(n).error();
  return CURL_READFUNC_ABORT;
}

int OnSeek(void* user, curl_off_t offset, int origin) {   // a body is sent again after a redirect or on a dead kept connection
  auto& x = *static_cast<Exchange*>(user);
  if (x.request.upload || origin != SEEK_SET) return CURL_SEEKFUNC_CANTSEEK;
  x.body_sent = static_cast<std::size_t>(offset);
  return CURL_SEEKFUNC_OK;
}

Error ErrorOf(const Curl& c, CURLcode code, const char* text) {
  const std::string message = text[0] != '\0' ? text : c.strerror(code);
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT: return Error(Code::kTimeout, message);
    case CURLE_PEER_FAILED_VERIFICATION: return Error(Code::kUnauthenticated, message);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE: return Error(Code::kInvalid, message);
    default: return Error(Code::kUnavailable, message);
  }
}

// An easy handle in a multi of its own: the multi keeps the connections and can be woken from another thread.
struct Handle {
  const Curl& c;
  CURLM* multi;
  CURL* easy;
  explicit Handle(const Curl& curl) : c(curl), multi(c.multi_init()), easy(c.easy_init()) {}
  ~Handle() {
    c.easy_cleanup(easy);
    c.multi_cleanup(multi);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
};

struct List {
  const Curl& c;
  curl_slist* head = nullptr;
  explicit List(const Curl& curl) : c(curl) {}
  ~List() { c.slist_free_all(head); }
  void Add(const std::string& text) { head = c.slist_append(head, text.c_str()); }
  List(const List&) = delete;
  List& operator=(const List&) = delete;
};

void SetBlob(const Handle& h, CURLoption option, const std::string& bytes) {
  if (bytes.empty()) return;
  curl_blob blob = {};
  blob.data = const_cast<char*>(bytes.data());
  blob.len = bytes.size();
  blob.flags = CURL_BLOB_COPY;
  h.c.setopt(h.easy, option, &blob);
}

void SetSecurity(const Handle& h, const ClientRequest& request) {
  const auto set = [&](CURLoption option, auto value) { h.c.setopt(h.easy, option, value); };
  SetBlob(h, CURLOPT_CAINFO_BLOB, request.ca_pem);
  if (!request.ca_pem.empty()) set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
  SetBlob(h, CURLOPT_SSLCERT_BLOB, request.certificate_pem);
  SetBlob(h, CURLOPT_SSLKEY_BLOB, request.key_pem);
  set(CURLOPT_SSL_VERIFYPEER, request.verify_server ? 1L : 0L);
  set(CURLOPT_SSL_VERIFYHOST, request.verify_server ? 2L : 0L);
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  set(CURLOPT_FOLLOWLOCATION, request.max_redirects > 0 ? 1L : 0L);
  set(CURLOPT_MAXREDIRS, static_cast<long>(request.max_redirects));
}

void SetBody(const Handle& h, const ClientRequest& request, List& headers) {
  const auto set = [&](CURLoption option, auto value) { h.c.setopt(h.easy, option, value); };
  const bool has_body = request.upload || !request.body.empty();
  if (request.method == "HEAD") {
    set(CURLOPT_NOBODY, 1L);
    return;
  }
  if (!has_body && (request.method == "POST" || request.method == "PUT" || request.method == "PATCH")) {
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDS, "");
    set(CURLOPT_POSTFIELDSIZE, 0L);
  }
  if (has_body) {
    set(CURLOPT_UPLOAD, 1L);
    const std::int64_t length = request.upload ? request.upload_length : static_cast<std::int64_t>(request.body.size());
    set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(length));
    if (!request.upload) headers.Add("Expect:");   // 100-continue pays only for long bodies
  }
  set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
}

Result<> SetHeaders(const ClientRequest& request, List& headers) {
  bool has_type = false;
  for (const auto& h : request.headers) {
    if (h.name.empty() || (h.name + h.value).find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) {
      return Fail(Code::kInvalid, Cat("header ", Quote(h.name), ": line break"));
    }
    has_type = has_type || EqualsIgnoreCase(h.name, "Content-Type");
    headers.Add(h.value.empty() ? h.name + ";" : h.name + ": " + h.value);
  }
  if (!has_type) headers.Add("Content-Type:");   // not curl's guess
  return {};
}

void SetRoute(const Handle& h, const ClientRequest& request, List& connect_to) {
  const auto set = [&](CURLoption option, auto value) { h.c.setopt(h.easy, option, value); };
  if (!request.connect_to.empty()) {
    connect_to.Add("::" + request.connect_to);
    set(CURLOPT_CONNECT_TO, connect_to.head);
  }
  if (!request.unix_socket.empty()) set(CURLOPT_UNIX_SOCKET_PATH, request.unix_socket.c_str());
  const bool direct = request.proxy == "none" || !request.unix_socket.empty() || !request.connect_to.empty();
  if (direct) set(CURLOPT_PROXY, "");
  if (!direct && !request.proxy.empty()) set(CURLOPT_PROXY, request.proxy.c_str());
}

void SetUp(const Handle& h, const Ctx& ctx, Exchange& x, char* error_text) {
  const auto set = [&](CURLoption option, auto value) { h.c.setopt(h.easy, option, value); };
  set(CURLOPT_URL, x.request.url.c_str());
  set(CURLOPT_ERRORBUFFER, error_text);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(CURLOPT_USERAGENT, "skerry");
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(x.request.connect_timeout.count()));
  set(CURLOPT_LOW_SPEED_LIMIT, 1L);
  set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(x.request.stall_timeout.count()));
  if (ctx.deadline != std::chrono::steady_clock::time_point::max()) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(ctx.deadline - std::chrono::steady_clock::now()).count();
    set(CURLOPT_TIMEOUT_MS, static_cast<long>(std::clamp<std::int64_t>(left, 1, 1L << 30)));
  }
  set(CURLOPT_HEADERFUNCTION, OnHeaderLine);
  set(CURLOPT_HEADERDATA, &x);
  set(CURLOPT_WRITEFUNCTION, OnBodyBytes);
  set(CURLOPT_WRITEDATA, &x);
  set(CURLOPT_READFUNCTION, OnUpload);
  set(CURLOPT_READDATA, &x);
  set(CURLOPT_SEEKFUNCTION, OnSeek);
  set(CURLOPT_SEEKDATA, &x);
}

// libcurl refuses a server whose certificate has neither a subject nor an issuer, whoever trusts it. Where the caller trusts that very
// certificate, the proof is that the server has its key. True: the transfer may begin again; nothing was sent before.
bool TrustNamelessServer(const Handle& h, const ClientRequest& request) {
  if (!request.verify_server || request.ca_pem.empty()) return false;
  const auto url = ParseUrl(request.url);
  if (!url) return false;
  const std::string pins = crypto::PinsOfNamelessServers(request.ca_pem, url->host, Clock::System().Now());
  if (pins.empty()) return false;
  h.c.setopt(h.easy, CURLOPT_PINNEDPUBLICKEY, pins.c_str());
  h.c.setopt(h.easy, CURLOPT_SSL_VERIFYPEER, 0L);
  h.c.setopt(h.easy, CURLOPT_SSL_VERIFYHOST, 0L);
  h.c.setopt(h.easy, CURLOPT_FOLLOWLOCATION, 0L);   // that trust is for this host alone
  return true;
}

// Drives the transfer to its end, or to the caller's stop.
Result<CURLcode> Perform(const Handle& h, const Ctx& ctx) {
  const std::stop_callback on_stop(ctx.stop, [&] { h.c.multi_wakeup(h.multi); });
  h.c.multi_add(h.multi, h.easy);
  Result<CURLcode> out = CURLE_OK;
  for (;;) {
    if (ctx.stop.stop_requested()) {
      out = Fail(Code::kCancelled, "stopped");
      break;
    }
    int running = 0, left = 0;
    if (h.c.multi_perform(h.multi, &running) != CURLM_OK) {
      out = Fail(Code::kInternal, "libcurl failed");
      break;
    }
    if (running == 0) {
      const CURLMsg* message = h.c.multi_info(h.multi, &left);
      if (message != nullptr && message->msg == CURLMSG_DONE) out = message->data.result;
      break;
    }
    h.c.multi_poll(h.multi, nullptr, 0, 1000, nullptr);
  }
  h.c.multi_remove(h.multi, h.easy);
  return out;
}

}  // namespace

struct Client::Impl {
  std::mutex mutex;
  std::vector<std::unique_ptr<Handle>> free;   // guarded

  std::unique_ptr<Handle> Take(const Curl& c) {
    std::lock_guard lock(mutex);
    if (free.empty()) return std::make_unique<Handle>(c);
    auto out = std::move(free.back());
    free.pop_back();
    return out;
  }
  void Return(std::unique_ptr<Handle> h) {
    h->c.easy_reset(h->easy);
    std::lock_guard lock(mutex);
    if (free.size() < kKeptHandles) free.push_back(std::move(h));
  }
};

Client::Client() : impl_(std::make_unique<Impl>()) {}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;

Client& Client::Shared() {
  static Client client;
  return client;
}

Result<ClientResponse> Client::Do(const Ctx& ctx, const ClientRequest& request) { return Stream(ctx, request, nullptr, nullptr); }

Result<ClientResponse> Client::Stream(const Ctx& ctx, const ClientRequest& request, const OnHead& on_head, const OnBody& on_body) {
  if (!Library()) return std::unexpected(Library().error().Clone());
  const Curl& c = *Library();
  auto handle = impl_->Take(c);
  char error_text[CURL_ERROR_SIZE] = {};
  Exchange x{request, on_head, on_body, {}, {}, false, 0};
  List headers(c), connect_to(c);
  TRY_VOID(SetHeaders(request, headers));
  SetUp(*handle, ctx, x, error_text);
  SetSecurity(*handle, request);
  SetBody(*handle, request, headers);
  SetRoute(*handle, request, connect_to);
  c.setopt(handle->easy, CURLOPT_HTTPHEADER, headers.head);
  auto code = Perform(*handle, ctx);
  if (code && *code == CURLE_PEER_FAILED_VERIFICATION && TrustNamelessServer(*handle, request)) {
    const std::string refused = error_text;
    auto pinned = Perform(*handle, ctx);
    if (!pinned || *pinned != CURLE_SSL_PINNEDPUBKEYNOTMATCH) code = std::move(pinned);
    else error_text[refused.copy(error_text, sizeof error_text - 1)] = '\0';
  }
  const char* url = nullptr;
  c.getinfo(handle->easy, CURLINFO_EFFECTIVE_URL, &url);
  if (url != nullptr) x.response.url = url;
  impl_->Return(std::move(handle));
  if (x.failed) return std::unexpected(std::move(*x.failed));
  if (!code) return std::unexpected(std::move(code).error());
  if (*code != CURLE_OK) return std::unexpected(ErrorOf(c, *code, error_text).Wrap(Cat(request.method, " ", request.url)));
  if (!x.GiveHead()) return std::unexpected(std::move(*x.failed));
  return std::move(x.response);
}

}  // namespace skerry::http
