#include "cmd/skerry/admin.h"

#include <fcntl.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/container/wire/http.h"
#include "core/http/server.h"
#include "core/telemetry/log.h"

namespace skerry::cmd {
namespace {

constexpr std::size_t kMaxBody = 8 << 10;
constexpr std::chrono::minutes kBackupTime{10};

std::string SocketPath(const Options& o) { return o.run_dir + "/admin.sock"; }

http::Response Text(int status, std::string text) {
  http::Response r;
  r.status = status;
  r.headers.push_back({"Content-Type", "text/plain; charset=utf-8"});
  r.body = Bytes(std::move(text));
  return r;
}

Result<std::string> ReadAll(const Ctx& ctx, http::BodyReader& reader) {
  std::string out(kMaxBody + 1, '\0');
  std::size_t size = 0;
  for (;;) {
    TRY(const std::size_t n, reader.Read(ctx, std::as_writable_bytes(std::span<char>(out).subspan(size))));
    if (n == 0) break;
    size += n;
    if (size > kMaxBody) return Fail(Code::kTooLarge, "request too long");
  }
  out.resize(size);
  return out;
}

class AdminHandler final : public http::Handler {
 public:
  AdminHandler(store::Store& store, std::string data_dir) : store_(store), data_dir_(std::move(data_dir)) {}

  // Copies take a while: not on the workers that answer API requests.
  http::BodyPolicy PolicyFor(const http::Request&) const override { return {http::BodyPolicy::Mode::kReader, kMaxBody}; }

  void OnWorker(const Ctx& ctx, std::shared_ptr<const http::Request> request, http::ReplyFn done) override {
    if (request->path != "/backup") return done(Text(404, "unknown request: this socket and the command are of different versions"));
    if (request->method != "POST" || !request->reader) return done(Text(405, "use POST"));
    const auto to = ReadAll(ctx, *request->reader);
    if (!to) return done(Text(400, std::string(to.error().message())));
    if (!to->starts_with('/')) return done(Text(400, "the directory must be absolute"));
    const auto revision = WriteBackup(store_, data_dir_, *to);
    if (!revision) return done(Text(500, std::string(revision.error().message())));
    log::Info("backed up", {{"to", *to}, {"revision", *revision}});
    done(Text(200, std::to_string(*revision)));
  }

 private:
  store::Store& store_;
  const std::string data_dir_;
};

class AdminServerImpl final : public AdminServer {
 public:
  AdminServerImpl(store::Store& store, std::string data_dir) : handler_(store, std::move(data_dir)) {}
  ~AdminServerImpl() override { AdminServerImpl::Stop(); }

  Result<> Listen(const std::string& path, net::Shards& shards, WorkerPool& workers, ElasticPool& elastic) {
    http::ServerOptions so;
    so.shards = &shards;
    so.handler = &handler_;
    so.workers = &workers;
    so.elastic = &elastic;
    so.listen = "unix:" + path;
    so.max_connections = 16;
    TRY(server_, http::Server::Create(std::move(so)));
    path_ = path;
    return {};
  }

  void Stop() noexcept override {
    if (!server_) return;
    server_->Stop();
    server_.reset();
    static_cast<void>(::unlink(path_.c_str()));
  }

 private:
  AdminHandler handler_;
  std::string path_;
  std::unique_ptr<http::Server> server_;
};

Result<> SyncFile(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return std::unexpected(ErrnoError(errno, "sync " + path));
  return {};
}

Result<store::Revision> FillBackup(store::Store& store, const std::string& data_dir, const std::string& to) {
  TRY_VOID(store.Checkpoint(to + "/state"));
  TRY_VOID(CopyTree(data_dir + "/pki", to + "/pki"));
  TRY_VOID(SyncDirectory(to));
  return store.current();
}

}  // namespace

Result<> CopyTree(const std::string& from, const std::string& to) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::copy(from, to, fs::copy_options::recursive, error);
  if (error) return Fail(Code::kUnavailable, Cat("copy ", from, " to ", to, ": ", error.message()));
  for (auto it = fs::recursive_directory_iterator(to, error); !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    if (it->is_regular_file()) TRY_VOID(SyncFile(it->path().string()));
  }
  if (error) return Fail(Code::kUnavailable, Cat("read ", to, ": ", error.message()));
  return SyncDirectory(to);
}

Result<store::Revision> WriteBackup(store::Store& store, const std::string& data_dir, const std::string& to) {
  std::error_code error;
  if (std::filesystem::exists(to, error)) return Fail(Code::kInvalid, Cat(to, " exists; a backup goes to a new directory"));
  TRY_VOID(MakeDirectories(to, 0700));
  auto revision = FillBackup(store, data_dir, to);
  if (!revision) std::filesystem::remove_all(to, error);
  return revision;
}

Result<std::unique_ptr<AdminServer>> AdminServer::Start(const Options& o, store::Store& store, net::Shards& shards, WorkerPool& workers, ElasticPool& elastic) {
  const std::string path = SocketPath(o);
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return Fail(Code::kInvalid, Cat("the path ", path, " is too long for a socket; choose a shorter --run-dir"));
  }
  auto server = std::make_unique<AdminServerImpl>(store, o.data_dir);
  TRY_VOID(server->Listen(path, shards, workers, elastic));
  return std::unique_ptr<AdminServer>(std::move(server));
}

Result<std::string> RequestBackup(const Options& o, const std::string& to) {
  const Ctx ctx(std::stop_token(), std::chrono::steady_clock::now() + kBackupTime);
  TRY(const UniqueFd connection, container::wire::DialUnix(ctx, SocketPath(o)));
  container::wire::Request request;
  request.method = "POST";
  request.target = "/backup";
  request.body = to;
  std::string answer;
  const container::wire::Sink keep = [&](std::string_view piece) {
    answer += piece;
    return answer.size() <= kMaxBody;
  };
  TRY(const auto response, container::wire::Exchange(ctx, connection, request, keep));
  if (response.status != 200) return Fail(Code::kUnavailable, response.refusal);
  return answer;
}

}  // namespace skerry::cmd
