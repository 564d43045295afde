#include <algorithm>
#include <optional>

#include "core/base/strings.h"
#include "core/telemetry/log.h"
#include "embedded-kube-shim/admission/webhook_client.h"
#include "embedded-kube-shim/server/aggregator.h"
#include "embedded-kube-shim/server/proxy_pipe.h"

// Requests that go on to another server.
namespace skerry::kube {
namespace {

http::Response PlainAnswer(int status, std::string text) {
  http::Response out;
  out.status = status;
  out.headers.push_back({"Content-Type", "text/plain; charset=utf-8"});
  out.headers.push_back({"X-Content-Type-Options", "nosniff"});
  out.body = Bytes(std::move(text));
  return out;
}

http::Response UnavailableAnswer(std::string_view why) { return PlainAnswer(503, Cat(why, "\n")); }

http::Response TooManyAnswer() {
  auto out = PlainAnswer(429, "Too many requests, please try again later.\n");
  out.headers.push_back({"Retry-After", "1"});
  return out;
}

// Discovery is cheap for any server: it has to be quick, or every client of this one waits.
bool IsDiscovery(const RequestInfo& info) {
  std::string_view path = info.path;
  if (path.ends_with('/')) path.remove_suffix(1);
  return !info.resource_request && std::count(path.begin(), path.end(), '/') == 3;
}

// Headers that this server gives to every answer itself.
bool IsOurs(std::string_view name) { return EqualsIgnoreCase(name, "Audit-Id") || ToLower(name).starts_with("x-kubernetes-pf-"); }

// One exchange with the other server; lives until its answer has ended.
class Forwarding {
 public:
  Forwarding(RestRequest request, http::ClientRequest out, std::stop_token stop, http::ReplyFn done)
      : request_(std::move(request)),
        out_(std::move(out)),
        done_(std::move(done)),
        on_client_(request_.ctx.stop, Cancel{&stop_}),
        on_server_(std::move(stop), Cancel{&stop_}) {}

  void Run() {
    const auto& r = *request_.http;
    out_.method = r.method;
    out_.stall_timeout = std::chrono::seconds(0);   // the client decides how long it waits
    const auto length = ParseInt(r.Get("Content-Length"));
    const bool has_body = r.method == "POST" || r.method == "PUT" || r.method == "PATCH" || length.value_or(0) > 0 || !r.Get("Transfer-Encoding").empty();
    const auto deadline = IsDiscovery(request_.info) ? std::chrono::steady_clock::now() + std::chrono::seconds(5) : std::chrono::steady_clock::time_point::max();
    const Ctx ctx(stop_.get_token(), std::min(deadline, request_.ctx.deadline));
    if (r.reader && has_body && length.value_or(1) > 0) {
      out_.upload = [&ctx, reader = r.reader](std::span<std::byte> into) { return reader->Read(ctx, into); };
      out_.upload_length = length.value_or(-1);
    } else {
      out_.body = r.body;
    }
    const auto got = http::Client::Shared().Stream(
        ctx, out_, [this](const http::ClientResponse& head) { return OnHead(head); }, [this, &ctx](std::string_view piece) { return pipe_ ? pipe_->Push(ctx, piece) : Result<>(); });
    if (pipe_) return pipe_->End(got ? Code::kCancelled : Code::kUnavailable);
    if (whole_) return done_(http::Reply(std::move(*whole_)));
    done_(http::Reply(UnavailableAnswer(Cat("error trying to reach service: ", got ? std::string("EOF") : TransportErrorText(got.error(), out_.connect_to)))));
  }

  void Refuse() { done_(http::Reply(TooManyAnswer())); }

 private:
  struct Cancel {
    std::stop_source* stop;
    void operator()() const { stop->request_stop(); }
  };

  Result<> OnHead(const http::ClientResponse& head) {
    http::Headers headers;
    for (const auto& h : head.headers)
      if (!IsHopByHop(h.name) && !IsOurs(h.name)) headers.push_back(h);
    if (request_.http->method == "HEAD" || head.status == 204 || head.status == 304) {
      whole_.emplace();
      whole_->status = head.status;
      whole_->headers = std::move(headers);
      return {};
    }
    pipe_ = std::make_shared<ProxyPipe>();
    http::Streaming reply;
    reply.status = head.status;
    reply.headers = std::move(headers);
    reply.source = std::make_unique<ProxyPipeSource>(pipe_, [stop = stop_]() mutable { stop.request_stop(); });
    done_(http::Reply(std::move(reply)));
    return {};
  }

  const RestRequest request_;
  http::ClientRequest out_;
  http::ReplyFn done_;
  std::optional<http::Response> whole_;   // of an answer without a body
  std::shared_ptr<ProxyPipe> pipe_;       // of any other, as it comes
  std::stop_source stop_;                 // the client has gone, nobody reads the answer, or this server stops
  std::stop_callback<Cancel> on_client_, on_server_;
};

bool AsksForUpgrade(const http::Request& r) { return !r.Get("Upgrade").empty() && http::HasToken(r.headers, "Connection", "upgrade"); }

// "wardle.default.svc:443" of "https://wardle.default.svc:443/apis/…".
std::string_view AuthorityOf(std::string_view url) {
  url.remove_prefix(std::min(url.find("://") + 3, url.size()));
  return url.substr(0, url.find('/'));
}

}  // namespace

http::Reply Aggregator::Upgrade(const RestRequest& request, const http::ClientRequest& out) {
  const auto& r = *request.http;
  const auto authority = AuthorityOf(out.url);
  std::string head = Cat(r.method, " ", r.target, " HTTP/1.1\r\nHost: ", authority, "\r\nConnection: Upgrade\r\nUpgrade: ", r.Get("Upgrade"), "\r\n");
  for (const auto& h : out.headers) {
    if ((h.name + h.value).find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) return PlainAnswer(400, "a header has a line break\n");
    head += Cat(h.name, ": ", h.value, "\r\n");
  }
  head += "\r\n";
  auto reply = upgrades_.Run(request.ctx, {out.connect_to, std::string(authority.substr(0, authority.rfind(':'))), out.ca_pem, {out.certificate_pem, out.key_pem}, out.verify_server, std::move(head)});
  if (!reply) return UnavailableAnswer(Cat("error trying to reach service: ", TransportErrorText(reply.error(), out.connect_to)));
  return std::move(*reply);
}

void Aggregator::Serve(RemoteApiPtr api, RestRequest request, http::ReplyFn done) {
  if (!api->available) return done(http::Reply(UnavailableAnswer("service unavailable")));
  auto prepared = Prepare(*api, request.caller.user, request.http->target);
  if (!prepared) return done(http::Reply(UnavailableAnswer("service unavailable")));
  auto headers = ForwardedHeaders(*request.http);
  std::erase_if(headers, [](const http::Header& h) { return ToLower(h.name).starts_with("x-remote-"); });   // only we say who asks
  headers.insert(headers.end(), std::make_move_iterator(prepared->headers.begin()), std::make_move_iterator(prepared->headers.end()));
  prepared->headers = std::move(headers);
  if (AsksForUpgrade(*request.http)) {
    struct Job {
      RestRequest request;
      http::ClientRequest out;
      http::ReplyFn done;
    };
    const auto job = std::make_shared<Job>(Job{std::move(request), std::move(*prepared), std::move(done)});
    if (!exchanges_.TrySubmit([this, job] { job->done(Upgrade(job->request, job->out)); })) job->done(http::Reply(TooManyAnswer()));
    return;
  }
  const auto forwarding = std::make_shared<Forwarding>(std::move(request), std::move(*prepared), stop_.get_token(), std::move(done));
  if (!exchanges_.TrySubmit([forwarding] { forwarding->Run(); })) forwarding->Refuse();
}

}  // namespace skerry::kube
