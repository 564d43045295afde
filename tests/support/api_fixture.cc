#include "tests/support/api_fixture.h"

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <mutex>

#include "core/base/strings.h"
#include "core/crypto/certificate.h"
#include "core/crypto/key.h"
#include "core/http/url.h"
#include "embedded-kube-shim/api/codec.h"
#include "store/store.h"

namespace skerry::testing {
namespace {

[[noreturn]] void Die(std::string_view what) { throw std::runtime_error(std::string(what)); }

void Fill(Answer& answer, std::string text) {
  answer.text = std::move(text);
  json::Value parsed;
  if (json::Value::Parse(answer.text, &parsed, nullptr)) answer.body = std::move(parsed);
}

// A long list, or what another server answers, is a stream that ends by itself.
std::string ReadAll(http::Source& source) {
  struct Signal {
    std::mutex mutex;
    std::condition_variable changed;
    bool ready = false;
  };
  const auto signal = std::make_shared<Signal>();
  source.OnReady([signal] {
    std::lock_guard lock(signal->mutex);
    signal->ready = true;
    signal->changed.notify_all();
  });
  std::string text;
  for (auto piece = source.Next(); piece; piece = source.Next()) {
    text += piece->view();
    if (!piece->view().empty()) continue;
    std::unique_lock lock(signal->mutex);
    if (!signal->changed.wait_for(lock, std::chrono::seconds(60), [&] { return signal->ready; })) Die("an answer does not end");
    signal->ready = false;
  }
  return text;
}

Answer FromReply(http::Reply reply, bool lasting) {
  Answer answer;
  if (auto* response = std::get_if<http::Response>(&reply)) {
    answer.status = response->status;
    answer.headers = std::move(response->headers);
    Fill(answer, std::string(response->body.view()));
  } else if (auto* streaming = std::get_if<http::Streaming>(&reply)) {
    answer.status = streaming->status;
    answer.headers = std::move(streaming->headers);
    if (lasting) answer.source = std::move(streaming->source);
    else Fill(answer, ReadAll(*streaming->source));
  } else {
    Die("an answer of a kind that the fixture does not know");
  }
  return answer;
}

}  // namespace

Api::Api(Engine engine, std::function<void(kube::ApiServerOptions&)> adjust) : engine_(engine), adjust_(std::move(adjust)), key_(crypto::PrivateKey::GenerateP256().ToPem()) {
  if (engine_ == Engine::kRocks) {
    std::string name = (std::filesystem::temp_directory_path() / "skerry-api-XXXXXX").string();
    if (!::mkdtemp(name.data())) Die("mkdtemp");
    directory_ = name;
  }
  Open();
}

Api::~Api() {
  Close();
  std::error_code ignored;
  if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
}

void Api::Open() {
  store::Options options;
  options.directory = directory_;
  options.sync = false;            // the tests of the store prove durability; these reopen in an orderly way
  options.ballast_bytes = 0;
  options.volatile_prefixes = {"/coordination.k8s.io/leases/kube-node-lease/"};
  if (engine_ == Engine::kRocks) {
    auto opened = store::OpenRocksStore(std::move(options));
    if (!opened) Die(opened.error().message());
    store_ = std::move(*opened);
  } else {
    store_ = store::NewMemoryStore(std::move(options));
  }
  registry_ = kube::NewRegistry();
  kube::RegisterBuiltins(*registry_);
  kube::ApiServerOptions api;
  api.advertise_address = "192.0.2.1";
  api.service_account_key = key_;
  if (adjust_) adjust_(api);
  auto created = kube::ApiServer::Create(*store_, *registry_, std::move(api));
  if (!created) Die(created.error().message());
  server_ = std::move(*created);
  const Ctx ctx{std::stop_token()};
  if (auto started = server_->Start(ctx); !started) Die(started.error().message());
}

void Api::Close() {
  if (server_) server_->Stop();
  server_.reset();
  registry_.reset();
  store_.reset();
}

void Api::Reopen() {
  if (engine_ != Engine::kRocks) Die("only a store on disk can be reopened");
  Close();
  Open();
}

std::unique_ptr<kube::Client> Api::Client(std::string manager) {
  kube::User user;
  user.name = "admin";
  user.groups = {"system:masters", "system:authenticated"};
  return server_->NewClient(std::move(user), std::move(manager));
}

std::shared_ptr<const http::Request> Api::Request(std::string_view method, std::string_view target, std::string body, http::Headers headers, As as) const {
  auto request = std::make_shared<http::Request>();
  request->method = method;
  request->target = target;
  const auto question = target.find('?');
  request->path = http::PercentDecode(target.substr(0, question)).value_or(std::string(target.substr(0, question)));
  if (question != std::string_view::npos) request->query = http::ParseQuery(target.substr(question + 1));
  request->headers = std::move(headers);
  if (!body.empty() && request->Get("Content-Type").empty()) request->headers.push_back({"Content-Type", "application/json"});
  request->body = std::move(body);
  request->tls = true;
  if (as == As::kAdmin) {
    auto peer = std::make_shared<crypto::PeerCertificate>();
    peer->common_name = "admin";
    peer->organizations = {"system:masters"};
    request->peer = std::move(peer);
  }
  return request;
}

Answer Api::Call(std::string_view method, std::string_view target, std::string body, http::Headers headers, As as) {
  const auto request = Request(method, target, std::move(body), std::move(headers), as);
  const Ctx ctx{std::stop_token(), std::chrono::steady_clock::now() + std::chrono::seconds(60)};
  const bool lasting = !target.starts_with("/api") || target.find("watch") != std::string_view::npos;
  auto at_once = server_->handler().OnShard(ctx, *request);
  if (!std::holds_alternative<http::NeedsWorker>(at_once)) return FromReply(std::move(at_once), lasting);
  auto promise = std::make_shared<std::promise<http::Reply>>();
  auto future = promise->get_future();
  server_->handler().OnWorker(ctx, request, [promise](http::Reply reply) { promise->set_value(std::move(reply)); });
  if (future.wait_until(ctx.deadline) != std::future_status::ready) Die(Cat(method, " ", target, " was not answered"));
  return FromReply(future.get(), lasting);
}

}  // namespace skerry::testing
