#include "embedded-kube-shim/server/audit.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/json/parse.h"
#include "core/telemetry/log.h"
#include "core/text/yaml.h"

namespace skerry::kube {
namespace {

constexpr std::string_view kLevels[] = {"None", "Metadata", "Request", "RequestResponse"};
constexpr std::string_view kStages[] = {"RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"};
constexpr std::string_view kRedacted = "<redacted>";
constexpr std::size_t kMaxObject = 1 << 20;

using Texts = std::vector<std::string>;
Texts TextsOf(const json::Value& list) {
  Texts out;
  for (const auto& item : list.Items()) out.emplace_back(item.Str());
  return out;
}
bool Has(const Texts& list, std::string_view text) { return std::find(list.begin(), list.end(), text) != list.end(); }

Result<> ParseStages(const json::Value& list, bool (&omit)[4]) {
  for (const auto& name : list.Items()) {
    const auto at = std::find(std::begin(kStages), std::end(kStages), name.Str());
    if (at == std::end(kStages)) return Fail(Code::kInvalid, Cat("stage ", Quote(name.Str()), " is not one of RequestReceived, ResponseStarted, ResponseComplete, Panic"));
    omit[at - std::begin(kStages)] = true;
  }
  return {};
}

// What must not be read from a log, whatever the policy says.
void Redact(json::Value& object, std::string_view kind) {
  const auto hide = [](json::Value& map) {
    for (auto& [key, value] : map.MutableMembers()) value = kRedacted;
  };
  if (kind == "secrets") {
    if (object.Find("items"))
      for (auto& item : object.Set("items").MutableItems()) Redact(item, kind);
    for (const std::string_view member : {"data", "stringData"})
      if (object[member].is_object()) hide(object.Set(member));
    if (auto* metadata = object.Find("metadata"); metadata && (*metadata)["annotations"].Find("kubectl.kubernetes.io/last-applied-configuration"))
      metadata->Set("annotations").Set("kubectl.kubernetes.io/last-applied-configuration") = kRedacted;
  }
  if (kind == "token")
    for (const std::string_view part : {"spec", "status"})
      if (object[part].Find("token")) object.Set(part).Set("token") = kRedacted;
}

std::string SecretKindOf(const Attributes& a) {
  if (a.group.empty() && a.resource == "secrets") return "secrets";
  if (a.resource == "tokenreviews" || a.subresource == "token") return "token";
  return {};
}

json::Value UserOf(const User& user) {
  json::Value out = json::Value::Object();
  out.Set("username") = user.name;
  if (!user.uid.empty()) out.Set("uid") = user.uid;
  for (const auto& group : user.groups) out.Set("groups").Append(json::Value(group));
  for (const auto& [key, values] : user.extra)
    for (const auto& value : values) out.Set("extra").Set(key).Append(json::Value(value));
  return out;
}

// The object of a body, as far as it is JSON or YAML of a sensible size.
json::Value ObjectOf(std::string_view body, std::string_view type, std::string_view secret, bool managed_fields) {
  json::Value out;
  if (body.empty() || body.size() > kMaxObject || type.find("protobuf") != std::string_view::npos) return out;
  if (auto parsed = type.find("yaml") != std::string_view::npos ? text::ParseYaml(body) : json::Parse(body)) out = std::move(*parsed);
  if (!secret.empty()) {
    if (out.is_object()) Redact(out, secret);
    else out = json::Value(kRedacted);   // a patch in parts
  }
  if (!managed_fields && out["metadata"].is_object()) out.Set("metadata").Erase("managedFields");
  return out;
}

}  // namespace

struct AuditPolicy::Rule {
  AuditLevel level = AuditLevel::kNone;
  Texts users, groups, verbs, namespaces, urls;
  struct Resource { std::string group; Texts resources, names; };
  std::vector<Resource> resources;
  bool omit[4] = {};
  bool managed_fields = true;

  bool MatchesResource(const Attributes& a) const {
    if (resources.empty()) return true;
    const auto whole = a.subresource.empty() ? a.resource : Cat(a.resource, "/", a.subresource);
    return std::any_of(resources.begin(), resources.end(), [&](const Resource& r) {
      if (r.group != a.group) return false;
      if (!r.names.empty() && !Has(r.names, a.name)) return false;
      return r.resources.empty() || std::any_of(r.resources.begin(), r.resources.end(), [&](const std::string& wanted) {
               return wanted == "*" || wanted == whole || (wanted.starts_with("*/") && wanted.substr(2) == a.subresource) || wanted == Cat(a.resource, "/*");
             });
    });
  }
  bool Matches(const Attributes& a) const {
    if (!users.empty() && !Has(users, a.user.name)) return false;
    if (!groups.empty() && std::none_of(groups.begin(), groups.end(), [&](const std::string& group) { return a.user.InGroup(group); })) return false;
    if (!verbs.empty() && !Has(verbs, a.verb)) return false;
    if (a.resource_request) return urls.empty() && (namespaces.empty() || Has(namespaces, a.ns)) && MatchesResource(a);
    if (!namespaces.empty() || !resources.empty()) return false;
    return urls.empty() || std::any_of(urls.begin(), urls.end(), [&](const std::string& url) {
             return url == "*" || url == a.path || (url.ends_with('*') && a.path.starts_with(std::string_view(url).substr(0, url.size() - 1)));
           });
  }
};

Result<AuditPolicy> AuditPolicy::Parse(std::string_view text) {
  TRY(const json::Value document, text::ParseYaml(text));
  if (document["kind"].Str() != "Policy" || !document["apiVersion"].Str().starts_with("audit.k8s.io/")) return Fail(Code::kInvalid, "expected a Policy of audit.k8s.io/v1");
  AuditPolicy policy;
  bool omit[4] = {};
  TRY_VOID(ParseStages(document["omitStages"], omit));
  if (document["rules"].size() == 0) return Fail(Code::kInvalid, "rules: at least one is needed");
  std::size_t number = 0;
  for (const auto& given : document["rules"].Items()) {
    auto rule = std::make_shared<Rule>();
    const auto level = std::find(std::begin(kLevels), std::end(kLevels), given["level"].Str());
    if (level == std::end(kLevels)) return Fail(Code::kInvalid, Cat("rules[", number, "].level: ", Quote(given["level"].Str()), " is not one of None, Metadata, Request, RequestResponse"));
    rule->level = static_cast<AuditLevel>(level - std::begin(kLevels));
    rule->users = TextsOf(given["users"]);
    rule->groups = TextsOf(given["userGroups"]);
    rule->verbs = TextsOf(given["verbs"]);
    rule->namespaces = TextsOf(given["namespaces"]);
    rule->urls = TextsOf(given["nonResourceURLs"]);
    for (const auto& resource : given["resources"].Items()) rule->resources.push_back({std::string(resource["group"].Str()), TextsOf(resource["resources"]), TextsOf(resource["resourceNames"])});
    std::copy(std::begin(omit), std::end(omit), std::begin(rule->omit));
    if (auto stages = ParseStages(given["omitStages"], rule->omit); !stages) return std::unexpected(std::move(stages).error().Wrap(Cat("rules[", number, "]")));
    const auto& managed = given.Find("omitManagedFields") ? given["omitManagedFields"] : document["omitManagedFields"];
    rule->managed_fields = !managed.Bool();
    policy.rules_.push_back(std::move(rule));
    ++number;
  }
  return policy;
}

AuditPolicy::Decision AuditPolicy::Decide(const Attributes& attributes) const {
  Decision out;
  for (const auto& rule : rules_) {
    if (!rule->Matches(attributes)) continue;
    out.level = rule->level;
    out.managed_fields = rule->managed_fields;
    for (int i = 0; i < 4; ++i) out.stages[i] = !rule->omit[i];
    return out;
  }
  return out;
}

Result<std::unique_ptr<AuditLog>> AuditLog::Open(AuditLogOptions options, const Clock& clock) {
  std::unique_ptr<AuditLog> log(new AuditLog(std::move(options), clock));
  if (log->options_.path != "-") TRY_VOID(log->OpenFile());
  return log;
}

Result<> AuditLog::OpenFile() {
  if (const auto slash = options_.path.rfind('/'); slash != std::string::npos && slash > 0) TRY_VOID(MakeDirectories(options_.path.substr(0, slash), 0700));
  fd_ = UniqueFd(::open(options_.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd_) return Fail(Code::kInvalid, Cat("cannot open the audit log ", options_.path));
  struct stat status {};
  size_ = ::fstat(fd_.get(), &status) == 0 ? status.st_size : 0;
  return {};
}

void AuditLog::Write(std::string line) {
  line += '\n';
  std::lock_guard lock(mutex_);
  const bool file = options_.path != "-";
  if (file && size_ > 0 && size_ + static_cast<std::int64_t>(line.size()) > options_.max_size) Rotate();
  const int fd = file ? fd_.get() : STDOUT_FILENO;
  for (std::size_t at = 0; at < line.size();) {
    const auto n = ::write(fd, line.data() + at, line.size() - at);
    if (n <= 0) {
      if (n < 0 && errno == EINTR) continue;
      log::Error("an audit record is lost", {{"path", options_.path}});
      return;
    }
    at += static_cast<std::size_t>(n);
  }
  size_ += static_cast<std::int64_t>(line.size());
}

namespace {
// "audit.log" -> "audit-", ".log"
std::pair<std::string, std::string> AroundTime(const std::string& path) {
  const auto slash = path.rfind('/');
  auto dot = path.rfind('.');
  if (dot == std::string::npos || (slash != std::string::npos && dot < slash)) dot = path.size();
  return {path.substr(0, dot) + "-", path.substr(dot)};
}
}  // namespace

void AuditLog::Rotate() {
  const auto [before, after] = AroundTime(options_.path);
  auto stamp = FormatTime(clock_.Now());
  std::replace(stamp.begin(), stamp.end(), ':', '-');
  auto aside = Cat(before, stamp, after);
  for (int i = 1; ::access(aside.c_str(), F_OK) == 0; ++i) aside = Cat(before, stamp, "-", i, after);
  if (::rename(options_.path.c_str(), aside.c_str()) != 0) log::Error("the audit log cannot be set aside", {{"path", options_.path}});
  if (auto opened = OpenFile(); !opened) log::Error("the audit log is gone", {{"error", opened.error().message()}});
  DropOld();
}

void AuditLog::DropOld() const {
  const auto slash = options_.path.rfind('/');
  const auto directory = slash == std::string::npos ? std::string(".") : options_.path.substr(0, std::max<std::size_t>(slash, 1));
  const auto [before, after] = AroundTime(slash == std::string::npos ? options_.path : options_.path.substr(slash + 1));
  Texts names;
  if (DIR* dir = ::opendir(directory.c_str())) {
    while (const dirent* entry = ::readdir(dir)) {
      const std::string_view name = entry->d_name;
      if (name.starts_with(before) && name.ends_with(after) && name.size() > before.size() + after.size()) names.emplace_back(name);
    }
    ::closedir(dir);
  }
  std::sort(names.rbegin(), names.rend());   // the newest first: times sort as texts
  for (std::size_t i = 0; i < names.size(); ++i) {
    const auto path = Cat(directory, "/", names[i]);
    struct stat status {};
    const bool old = options_.max_age.count() > 0 && ::stat(path.c_str(), &status) == 0 && clock_.Now() - std::chrono::system_clock::from_time_t(status.st_mtime) > options_.max_age;
    if (old || (options_.max_backups > 0 && i >= static_cast<std::size_t>(options_.max_backups))) ::unlink(path.c_str());
  }
}

AuditRecord::AuditRecord(const AuditPolicy& policy, AuditLog& log, const Clock& clock, std::string id, const http::Request& request, const Attributes& a, const User& original)
    : decision_(policy.Decide(a)), log_(log), clock_(clock), redact_(SecretKindOf(a)),
      long_running_(a.verb == "watch" || a.subresource == "exec" || a.subresource == "attach" || a.subresource == "portforward" || a.subresource == "proxy" || a.subresource == "log") {
  if (!wanted()) return;
  added_ = std::make_shared<std::map<std::string, std::string>>();
  auto& e = common_;
  e.Set("kind") = "Event";
  e.Set("apiVersion") = "audit.k8s.io/v1";
  e.Set("level") = kLevels[static_cast<int>(decision_.level)];
  e.Set("auditID") = id;
  e.Set("stage") = "";
  e.Set("requestURI") = request.target;
  e.Set("verb") = a.verb;
  e.Set("user") = UserOf(original);
  if (original.name != a.user.name) e.Set("impersonatedUser") = UserOf(a.user);
  e.Set("sourceIPs").Append(json::Value(request.remote_address.substr(0, request.remote_address.rfind(':'))));
  if (const auto agent = request.Get("User-Agent"); !agent.empty()) e.Set("userAgent") = agent;
  if (a.resource_request) {
    auto& reference = e.Set("objectRef");
    reference.Set("resource") = a.resource;
    if (!a.ns.empty()) reference.Set("namespace") = a.ns;
    if (!a.name.empty()) reference.Set("name") = a.name;
    if (!a.group.empty()) reference.Set("apiGroup") = a.group;
    reference.Set("apiVersion") = a.version;
    if (!a.subresource.empty()) reference.Set("subresource") = a.subresource;
  }
  e.Set("requestReceivedTimestamp") = FormatMicroTime(clock_.Now());
  if (decision_.level >= AuditLevel::kRequest && a.resource_request && a.verb != "get" && a.verb != "list" && a.verb != "watch")
    request_object_ = ObjectOf(request.body, request.Get("Content-Type"), redact_, decision_.managed_fields);
}

void AuditRecord::SetVerdict(bool allowed, std::string_view reason) {
  annotations_.Set("authorization.k8s.io/decision") = allowed ? "allow" : "forbid";
  annotations_.Set("authorization.k8s.io/reason") = reason;
}

json::Value AuditRecord::Event(AuditStage stage) const {
  auto event = common_.Clone();
  event.Set("stage") = kStages[static_cast<int>(stage)];
  event.Set("stageTimestamp") = FormatMicroTime(clock_.Now());
  return event;
}

void AuditRecord::Emit(AuditStage stage, json::Value event) {
  if (decision_.stages[static_cast<int>(stage)]) log_.Write(event.Dump());
}

void AuditRecord::Received() {
  if (wanted()) Emit(AuditStage::kRequestReceived, Event(AuditStage::kRequestReceived));
}

void AuditRecord::Answered(const http::Reply& reply) {
  if (!wanted()) return;
  const auto* response = std::get_if<http::Response>(&reply);
  const auto* streaming = std::get_if<http::Streaming>(&reply);
  const auto* tunnel = std::get_if<std::unique_ptr<http::Tunnel>>(&reply);
  const int code = response ? response->status : streaming ? streaming->status : tunnel ? (*tunnel)->status() : 200;
  const auto stage = long_running_ && !response ? AuditStage::kResponseStarted : AuditStage::kResponseComplete;
  auto event = Event(stage);
  auto& status = event.Set("responseStatus");
  status.Set("metadata") = json::Value::Object();
  json::Value body;
  if (response && (code >= 400 || decision_.level == AuditLevel::kRequestResponse))
    body = ObjectOf(response->body.view(), http::Get(response->headers, "Content-Type"), code >= 400 ? std::string_view() : std::string_view(redact_), decision_.managed_fields);
  if (body["kind"].Str() == "Status")
    for (const std::string_view member : {"status", "message", "reason", "details"})
      if (const auto* value = body.Find(member)) status.Set(member) = value->Clone();
  status.Set("code") = code;
  if (!request_object_.is_null()) event.Set("requestObject") = request_object_.Clone();
  if (decision_.level == AuditLevel::kRequestResponse && !body.is_null()) event.Set("responseObject") = std::move(body);
  for (const auto& [name, value] : *added_) annotations_.Set(name) = value;
  if (!annotations_.is_null()) event.Set("annotations") = annotations_.Clone();
  Emit(stage, std::move(event));
}

}  // namespace skerry::kube
