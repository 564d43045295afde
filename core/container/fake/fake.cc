#include "core/container/fake/fake.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <condition_variable>
#include <set>
#include <thread>

#include "core/base/files.h"
#include "core/base/strings.h"

namespace skerry::container::fake {

struct Container {
  ContainerSpec spec;
  ContainerStatus status;
  std::set<int> ignored;
};

struct FakeRuntime::Data {
  std::map<std::string, SandboxStatus, std::less<>> sandboxes;
  std::map<std::string, Container, std::less<>> containers;
  std::map<std::string, int, std::less<>> exit_on_start;
  std::map<std::string, Stats, std::less<>> stats;
  std::map<std::string, Error, std::less<>> failures;
  std::vector<std::string> calls;
  ExecHandler exec;
};

namespace {

std::string Normalized(std::string_view reference) {
  auto parsed = ImageReference::Parse(reference);
  return parsed ? parsed->ToString() : std::string(reference);
}

std::string FakeDigest(std::string_view text) {
  std::string hex;
  for (std::uint64_t salt = 0; salt < 4; ++salt) {
    char part[17];
    std::snprintf(part, sizeof part, "%016zx", std::hash<std::string>{}(std::string(text) + std::to_string(salt)));
    hex += part;
  }
  return "sha256:" + hex;
}

class FakeSession final : public Session {
 public:
  FakeSession(UniqueFd input, UniqueFd output, UniqueFd error, int code) : code_(code) {
    input_ = std::move(input);
    output_ = std::move(output);
    error_ = std::move(error);
  }
  Result<> Resize(std::uint16_t, std::uint16_t) override { return {}; }
  Result<int> Wait(const Ctx&) override { return code_; }
  void Kill() noexcept override {}

 private:
  const int code_;
};

// The read end of a pipe that holds `text` and then ends.
UniqueFd Preloaded(std::string_view text) {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return {};
  UniqueFd read_end(fds[0]), write_end(fds[1]);
  ::fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
  if (auto r = WriteAll(fds[1], text.substr(0, 60 << 10)); !r) return {};
  return read_end;
}

}  // namespace

class FakeRuntime::FakeImages final : public Images {
 public:
  explicit FakeImages(FakeRuntime& owner) : owner_(owner) {}

  void Add(std::string_view reference, ImageConfig config) {
    const std::string name = Normalized(reference);
    ImageInfo info{.id = FakeDigest(name), .tags = {name}, .size_bytes = 1 << 20, .config = std::move(config)};
    if (auto parsed = ImageReference::Parse(name)) info.digests = {parsed->Name() + "@" + FakeDigest("manifest " + name)};
    auto images = images_.Lock();
    (*images)[name] = std::move(info);
  }
  void SetError(std::string_view reference, std::optional<Error> error) {
    auto errors = errors_.Lock();
    errors->erase(Normalized(reference));
    if (error) errors->emplace(Normalized(reference), *std::move(error));
  }

  Result<ImageInfo> Pull(const Ctx&, std::string_view reference, const Credentials&, const Progress&) override {
    TRY_VOID(owner_.Enter("Pull", reference));
    TRY(const auto parsed, ImageReference::Parse(reference));
    {
      auto errors = errors_.Lock();
      if (const auto it = errors->find(parsed.ToString()); it != errors->end()) return std::unexpected(it->second.Clone());
    }
    auto images = images_.Lock();
    const auto it = images->find(parsed.ToString());
    if (it == images->end()) return Fail(Code::kNotFound, Cat(parsed.ToString(), ": not found"));
    return it->second;
  }
  Result<ImageInfo> Find(std::string_view reference) override {
    auto images = images_.Lock();
    for (const auto& [name, info] : *images) {
      if (name == Normalized(reference) || info.id == reference || std::count(info.digests.begin(), info.digests.end(), Normalized(reference)) > 0) return info;
    }
    return Fail(Code::kNotFound, Cat(reference, ": not found"));
  }
  Result<std::vector<ImageInfo>> List() override {
    std::vector<ImageInfo> out;
    auto images = images_.Lock();
    for (const auto& [_, info] : *images) out.push_back(info);
    return out;
  }
  Result<> Remove(std::string_view reference) override {
    TRY_VOID(owner_.Enter("RemoveImage", reference));
    auto images = images_.Lock();
    std::erase_if(*images, [&](const auto& e) { return e.first == Normalized(reference) || e.second.id == reference; });
    return {};
  }
  Result<ImageInfo> Import(const Ctx&, const std::string& path, std::string_view tag) override {
    TRY_VOID(owner_.Enter("Import", path));
    Add(tag, {});
    return Find(tag);
  }
  Result<FilesystemUsage> Usage() override { return FilesystemUsage{.mount_point = "/", .used_bytes = 1 << 20, .used_inodes = 10}; }
  Result<std::string> MountImage(const Ctx&, std::string_view reference, std::string_view key) override {
    TRY_VOID(owner_.Enter("MountImage", reference, key));
    TRY_VOID(Find(reference));
    return std::string("/");
  }
  Result<> UnmountImage(std::string_view key) override { return owner_.Enter("UnmountImage", key); }

 private:
  FakeRuntime& owner_;
  Guarded<std::map<std::string, ImageInfo>> images_;
  Guarded<std::map<std::string, Error>> errors_;
};

FakeRuntime::FakeRuntime(const Clock& clock) : clock_(clock), images_(std::make_unique<FakeImages>(*this)), data_(std::make_unique<Data>()) {}
FakeRuntime::~FakeRuntime() = default;

// Records the call and gives the error that was ordered for it.
Result<> FakeRuntime::Enter(std::string_view call, std::string_view id, std::string_view extra) {
  auto data = data_.Lock();
  (*data)->calls.push_back(extra.empty() ? Cat(call, " ", id) : Cat(call, " ", id, " ", extra));
  const auto it = (*data)->failures.find(call);
  if (it == (*data)->failures.end()) return {};
  Error error = std::move(it->second);
  (*data)->failures.erase(it);
  return std::unexpected(std::move(error));
}

void FakeRuntime::Emit(Event::Kind kind, std::string id) {
  if (notify_) notify_(Event{kind, std::move(id)});
}

bool FakeRuntime::Finish(Data& data, std::string_view id, int code, std::string reason) {
  const auto it = data.containers.find(id);
  if (it == data.containers.end() || it->second.status.state != State::kRunning) return false;
  ContainerStatus& status = it->second.status;
  status.state = State::kExited;
  status.exit_code = code;
  status.reason = reason.empty() ? std::string(ReasonOf(code)) : std::move(reason);
  status.finished = clock_.Now();
  status.pid = 0;
  return true;
}

void FakeRuntime::AddImage(std::string_view reference, ImageConfig config) { images_->Add(reference, std::move(config)); }
void FakeRuntime::SetPullError(std::string_view reference, Error error) { images_->SetError(reference, std::move(error)); }
void FakeRuntime::ClearPullError(std::string_view reference) { images_->SetError(reference, std::nullopt); }
void FakeRuntime::ExitOnStart(std::string_view image, int exit_code) {
  auto data = data_.Lock();
  (*data)->exit_on_start[Normalized(image)] = exit_code;
}
void FakeRuntime::IgnoreSignal(std::string_view container_id, int signal) {
  auto data = data_.Lock();
  if (const auto it = (*data)->containers.find(container_id); it != (*data)->containers.end()) it->second.ignored.insert(signal);
}
void FakeRuntime::Exit(std::string_view container_id, int exit_code, std::string reason) {
  bool finished = false;
  {
    auto data = data_.Lock();
    finished = Finish(**data, container_id, exit_code, std::move(reason));
  }
  if (finished) Emit(Event::Kind::kContainerExited, std::string(container_id));
}
void FakeRuntime::KillSandbox(std::string_view id) {
  std::vector<std::string> ended;
  {
    auto data = data_.Lock();
    if (const auto it = (*data)->sandboxes.find(id); it != (*data)->sandboxes.end()) it->second.ready = false;
    for (auto& [name, c] : (*data)->containers) {
      if (c.spec.sandbox_id == id && Finish(**data, name, 137, {})) ended.push_back(name);
    }
  }
  Emit(Event::Kind::kSandboxGone, std::string(id));
  for (std::string& name : ended) Emit(Event::Kind::kContainerExited, std::move(name));
}
void FakeRuntime::FailNext(std::string_view call, Error error) {
  auto data = data_.Lock();
  (*data)->failures.insert_or_assign(std::string(call), std::move(error));
}
void FakeRuntime::OnExec(ExecHandler handler) {
  auto data = data_.Lock();
  (*data)->exec = std::move(handler);
}
void FakeRuntime::SetStats(std::string_view id, Stats stats) {
  auto data = data_.Lock();
  (*data)->stats.insert_or_assign(std::string(id), stats);
}
void FakeRuntime::WriteLog(std::string_view container_id, std::string_view stream, std::string_view text) {
  auto data = data_.Lock();
  const auto it = (*data)->containers.find(container_id);
  if (it == (*data)->containers.end()) return;
  const UniqueFd fd(::open(it->second.spec.log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
  if (!fd) return;
  std::string lines;
  for (const std::string_view line : Split(text.ends_with('\n') ? text.substr(0, text.size() - 1) : text, '\n')) {
    lines += Cat(FormatNanoTime(clock_.Now()), " ", stream, " F ", line, "\n");
  }
  if (auto r = WriteAll(fd.get(), lines); !r) return;
}
std::vector<std::string> FakeRuntime::calls() const {
  auto data = data_.Lock();
  return (*data)->calls;
}
void FakeRuntime::ClearCalls() {
  auto data = data_.Lock();
  (*data)->calls.clear();
}

void FakeRuntime::OnEvent(std::function<void(const Event&)> notify) { notify_ = std::move(notify); }
RuntimeInfo FakeRuntime::Info() const { return {.name = "fake", .version = "1", .cgroup_mode = "v2"}; }
Images& FakeRuntime::images() { return *images_; }

Result<SandboxStatus> FakeRuntime::EnsureSandbox(const Ctx&, const SandboxSpec& spec) {
  TRY_VOID(Enter("EnsureSandbox", spec.id));
  if (!IsValidId(spec.id)) return Fail(Code::kInvalid, Cat("invalid sandbox id ", Quote(spec.id)));
  auto data = data_.Lock();
  auto [it, fresh] = (*data)->sandboxes.try_emplace(spec.id);
  if (fresh) {
    it->second = {.id = spec.id, .ready = true, .created = clock_.Now(), .spec = spec};
    if (spec.network == NetworkMode::kOwn) it->second.netns_path = "/run/fake/netns/" + spec.id;
  }
  return it->second;
}
Result<SandboxStatus> FakeRuntime::InspectSandbox(std::string_view id) {
  auto data = data_.Lock();
  const auto it = (*data)->sandboxes.find(id);
  if (it == (*data)->sandboxes.end()) return Fail(Code::kNotFound, Cat("no sandbox ", id));
  return it->second;
}
Result<std::vector<SandboxStatus>> FakeRuntime::ListSandboxes() {
  std::vector<SandboxStatus> out;
  auto data = data_.Lock();
  for (const auto& [_, s] : (*data)->sandboxes) out.push_back(s);
  return out;
}
Result<> FakeRuntime::UpdateSandbox(const Ctx&, std::string_view id, const Resources& resources) {
  TRY_VOID(Enter("UpdateSandbox", id));
  auto data = data_.Lock();
  const auto it = (*data)->sandboxes.find(id);
  if (it == (*data)->sandboxes.end()) return Fail(Code::kNotFound, Cat("no sandbox ", id));
  it->second.spec.resources = resources;
  return {};
}
Result<> FakeRuntime::RemoveSandbox(const Ctx&, std::string_view id) {
  TRY_VOID(Enter("RemoveSandbox", id));
  auto data = data_.Lock();
  std::erase_if((*data)->containers, [&](const auto& e) { return e.second.spec.sandbox_id == id; });
  if (const auto it = (*data)->sandboxes.find(id); it != (*data)->sandboxes.end()) (*data)->sandboxes.erase(it);
  return {};
}

Result<> FakeRuntime::CreateContainer(const Ctx&, const ContainerSpec& spec) {
  TRY_VOID(Enter("CreateContainer", spec.id));
  if (!IsValidId(spec.id)) return Fail(Code::kInvalid, Cat("invalid container id ", Quote(spec.id)));
  TRY(const auto image, images_->Find(spec.image));
  auto data = data_.Lock();
  const auto sandbox = (*data)->sandboxes.find(spec.sandbox_id);
  if (sandbox == (*data)->sandboxes.end()) return Fail(Code::kNotFound, Cat("no sandbox ", spec.sandbox_id));
  if (!sandbox->second.ready) return Fail(Code::kConflict, Cat("sandbox ", spec.sandbox_id, " is not ready"));
  auto [it, fresh] = (*data)->containers.try_emplace(spec.id);
  if (!fresh) return {};
  it->second.spec = spec;
  it->second.status = {.id = spec.id, .sandbox_id = spec.sandbox_id, .image_name = spec.image_name, .image_id = image.id,
                       .image_digest = image.digests.empty() ? "" : image.digests.front(), .state = State::kCreated, .created = clock_.Now(),
                       .log_path = spec.log_path, .tty = spec.tty, .stdin_open = spec.stdin_open, .labels = spec.labels, .annotations = spec.annotations};
  return {};
}
Result<> FakeRuntime::StartContainer(const Ctx&, std::string_view id) {
  TRY_VOID(Enter("StartContainer", id));
  std::optional<int> ended;
  {
    auto data = data_.Lock();
    const auto it = (*data)->containers.find(id);
    if (it == (*data)->containers.end()) return Fail(Code::kNotFound, Cat("no container ", id));
    ContainerStatus& status = it->second.status;
    if (status.state == State::kRunning) return {};
    if (status.state != State::kCreated) return Fail(Code::kConflict, Cat("container ", id, " has ended"));
    status.state = State::kRunning;
    status.started = clock_.Now();
    status.pid = 4'000'000 + static_cast<int>((*data)->calls.size());
    if (const auto rule = (*data)->exit_on_start.find(Normalized(it->second.spec.image)); rule != (*data)->exit_on_start.end()) ended = rule->second;
  }
  Emit(Event::Kind::kContainerStarted, std::string(id));
  if (ended) Exit(id, *ended, {});
  return {};
}
Result<> FakeRuntime::Signal(const Ctx&, std::string_view id, int signal) {
  TRY_VOID(Enter("Signal", id, std::to_string(signal)));
  {
    auto data = data_.Lock();
    const auto it = (*data)->containers.find(id);
    if (it == (*data)->containers.end()) return Fail(Code::kNotFound, Cat("no container ", id));
    const bool ends = signal == 15 || signal == 9 || signal == it->second.status.stop_signal;
    if (!ends || it->second.ignored.contains(signal)) return {};
  }
  Exit(id, 128 + signal, {});
  return {};
}
Result<> FakeRuntime::RemoveContainer(const Ctx&, std::string_view id) {
  TRY_VOID(Enter("RemoveContainer", id));
  auto data = data_.Lock();
  if (const auto it = (*data)->containers.find(id); it != (*data)->containers.end()) (*data)->containers.erase(it);
  return {};
}
Result<> FakeRuntime::UpdateContainer(const Ctx&, std::string_view id, const Resources& resources) {
  TRY_VOID(Enter("UpdateContainer", id));
  auto data = data_.Lock();
  const auto it = (*data)->containers.find(id);
  if (it == (*data)->containers.end()) return Fail(Code::kNotFound, Cat("no container ", id));
  it->second.spec.resources = resources;
  return {};
}
Result<ContainerStatus> FakeRuntime::InspectContainer(std::string_view id) {
  auto data = data_.Lock();
  const auto it = (*data)->containers.find(id);
  if (it == (*data)->containers.end()) return Fail(Code::kNotFound, Cat("no container ", id));
  return it->second.status;
}
Result<std::vector<ContainerStatus>> FakeRuntime::ListContainers(std::string_view sandbox_id) {
  std::vector<ContainerStatus> out;
  auto data = data_.Lock();
  for (const auto& [_, c] : (*data)->containers) {
    if (sandbox_id.empty() || c.spec.sandbox_id == sandbox_id) out.push_back(c.status);
  }
  return out;
}
Result<> FakeRuntime::ReopenLog(const Ctx&, std::string_view id) { return Enter("ReopenLog", id); }

Result<std::unique_ptr<Session>> FakeRuntime::Exec(const Ctx&, std::string_view id, const ExecSpec& spec) {
  TRY_VOID(Enter("Exec", id, Join(spec.argv, " ")));
  ExecHandler handler;
  {
    auto data = data_.Lock();
    const auto it = (*data)->containers.find(id);
    if (it == (*data)->containers.end()) return Fail(Code::kNotFound, Cat("no container ", id));
    if (it->second.status.state != State::kRunning) return Fail(Code::kConflict, Cat("container ", id, " is not running"));
    handler = (*data)->exec;
  }
  const ExecResult result = handler ? handler(std::string(id), spec) : ExecResult{};
  UniqueFd input(spec.with_stdin ? ::open("/dev/null", O_WRONLY | O_CLOEXEC) : -1);
  return std::make_unique<FakeSession>(std::move(input), Preloaded(result.output), spec.tty ? UniqueFd() : Preloaded(result.error), result.exit_code);
}
Result<std::unique_ptr<Session>> FakeRuntime::Attach(const Ctx&, std::string_view id, bool with_stdin) {
  TRY_VOID(Enter("Attach", id));
  TRY_VOID(InspectContainer(id));
  UniqueFd input(with_stdin ? ::open("/dev/null", O_WRONLY | O_CLOEXEC) : -1);
  return std::make_unique<FakeSession>(std::move(input), Preloaded(""), Preloaded(""), 0);
}
Result<UniqueFd> FakeRuntime::Dial(const Ctx&, std::string_view sandbox_id, std::uint16_t port) {
  TRY_VOID(Enter("Dial", sandbox_id, std::to_string(port)));
  TRY_VOID(InspectSandbox(sandbox_id));
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) return std::unexpected(ErrnoError(errno, "socketpair"));
  UniqueFd mine(fds[0]);
  // The other end greets and closes: enough to see that the right port was asked for.
  const UniqueFd other(fds[1]);
  TRY_VOID(WriteAll(other.get(), Cat("port ", port, "\n")));
  return mine;
}
Result<Stats> FakeRuntime::ContainerStats(std::string_view id, Measure) {
  auto data = data_.Lock();
  const auto it = (*data)->stats.find(id);
  if (it != (*data)->stats.end()) return it->second;
  if ((*data)->containers.find(id) == (*data)->containers.end()) return Fail(Code::kNotFound, Cat("no container ", id));
  return Stats{.time = clock_.Now()};
}
Result<Stats> FakeRuntime::SandboxStats(std::string_view id) {
  auto data = data_.Lock();
  const auto it = (*data)->stats.find(id);
  if (it != (*data)->stats.end()) return it->second;
  if ((*data)->sandboxes.find(id) == (*data)->sandboxes.end()) return Fail(Code::kNotFound, Cat("no sandbox ", id));
  return Stats{.time = clock_.Now()};
}

}  // namespace skerry::container::fake
