#include "embedded-kube-shim/api/openapi_paths.h"

#include <algorithm>
#include <map>
#include <set>

#include "core/base/strings.h"
#include "embedded-kube-shim/api/codec.h"

namespace skerry::kube::openapi {

namespace {

using Names = std::vector<std::string_view>;

constexpr std::string_view kMeta = "io.k8s.apimachinery.pkg.apis.meta.v1.";

constexpr ParameterInfo kParameters[] = {
    {"allowWatchBookmarks", "boolean", "Asks for BOOKMARK events in a watch."},
    {"command", "string", "The command and its arguments; may be repeated."},
    {"container", "string", "The container; the only one of the pod when left out."},
    {"continue", "string", "Token of an earlier answer: goes on with that list."},
    {"dryRun", "string", "\"All\" goes through every step of the request but stores nothing."},
    {"fieldManager", "string", "Name under which the changed fields are owned."},
    {"fieldSelector", "string", "Restricts the list by fields."},
    {"fieldValidation", "string", "What is done about unknown and duplicate fields: Ignore, Warn or Strict."},
    {"follow", "boolean", "Goes on sending as the log grows."},
    {"force", "boolean", "Takes fields from other owners instead of failing with a conflict (apply only)."},
    {"gracePeriodSeconds", "integer", "Seconds before the object is deleted; 0 = at once."},
    {"ignoreStoreReadErrorWithClusterBreakingPotential", "boolean", "Deletes the object even if it cannot be read from the store."},
    {"insecureSkipTLSVerifyBackend", "boolean", "Does not verify the certificate of the node agent."},
    {"labelSelector", "string", "Restricts the list by labels."},
    {"limit", "integer", "The most items in one answer."},
    {"limitBytes", "integer", "The most bytes to send."},
    {"name", "string", "Name of the object."},
    {"namespace", "string", "Namespace of the object."},
    {"orphanDependents", "boolean", "Deprecated: use propagationPolicy."},
    {"path", "string", "Path of the request that is passed on."},
    {"ports", "integer", "Ports to forward; may be repeated."},
    {"pretty", "string", "\"true\" indents the answer."},
    {"previous", "boolean", "The log of the container before its last restart."},
    {"propagationPolicy", "string", "What becomes of dependents: Orphan, Background or Foreground."},
    {"resourceVersion", "string", "Which version of the data may be served."},
    {"resourceVersionMatch", "string", "How resourceVersion is applied to a list: Exact or NotOlderThan."},
    {"sendInitialEvents", "boolean", "Starts a watch with the current objects and a bookmark."},
    {"shardSelector", "string", "Restricts the list to a shard."},
    {"sinceSeconds", "integer", "Only lines of the last seconds."},
    {"stderr", "boolean", "Redirects standard error."},
    {"stdin", "boolean", "Redirects standard input."},
    {"stdout", "boolean", "Redirects standard output."},
    {"stream", "string", "Which streams of the log: All, Stdout or Stderr."},
    {"tailLines", "integer", "Only that many lines from the end."},
    {"timeoutSeconds", "integer", "Time limit of the list or watch."},
    {"timestamps", "boolean", "Puts a time stamp before every line."},
    {"tty", "boolean", "Allocates a terminal."},
    {"watch", "boolean", "Streams changes instead of a list."},
};

const Names kListParameters = {"allowWatchBookmarks", "continue", "fieldSelector", "labelSelector", "limit", "pretty", "resourceVersion",
                               "resourceVersionMatch", "sendInitialEvents", "shardSelector", "timeoutSeconds", "watch"};
const Names kDeleteParameters = {"dryRun", "gracePeriodSeconds", "ignoreStoreReadErrorWithClusterBreakingPotential", "orphanDependents", "pretty", "propagationPolicy"};
const Names kDeleteCollectionParameters = {"continue", "dryRun", "fieldSelector", "gracePeriodSeconds", "ignoreStoreReadErrorWithClusterBreakingPotential", "labelSelector",
                                           "limit", "orphanDependents", "pretty", "propagationPolicy", "resourceVersion", "resourceVersionMatch", "sendInitialEvents",
                                           "shardSelector", "timeoutSeconds"};
const Names kWriteParameters = {"dryRun", "fieldManager", "fieldValidation", "pretty"};
const Names kPatchParameters = {"dryRun", "fieldManager", "fieldValidation", "force", "pretty"};

std::string Capital(std::string_view text) {
  std::string out(text);
  if (!out.empty() && out[0] >= 'a' && out[0] <= 'z') out[0] = static_cast<char>(out[0] - 'a' + 'A');
  return out;
}

// "rbac.authorization.k8s.io" -> "RbacAuthorization"; "" -> "Core".
std::string GroupWord(std::string_view group) {
  if (group.empty()) return "Core";
  if (group.ends_with(".k8s.io")) group.remove_suffix(7);
  std::string out;
  for (std::string_view piece : Split(group, '.')) out += Capital(piece);
  return out;
}

std::string Tag(std::string_view group, std::string_view version) {
  std::string word = GroupWord(group);
  word[0] = static_cast<char>(word[0] - 'A' + 'a');
  return version.empty() ? word : Cat(word, '_', version);
}

// The store answers a deletion of these with the object itself.
bool DeleteAnswersObject(const ResourceDef& def) {
  static const std::set<std::string_view> kCore = {"pods", "persistentvolumeclaims", "podtemplates", "resourcequotas", "serviceaccounts", "services", "persistentvolumes"};
  static const std::set<std::string_view> kStorage = {"csidrivers", "csinodes", "storageclasses", "volumeattachments", "volumeattributesclasses"};
  if (def.group.empty()) return kCore.contains(def.resource);
  return def.group == "resource.k8s.io" || (def.group == "storage.k8s.io" && kStorage.contains(def.resource));
}

class ResourcePaths {
 public:
  ResourcePaths(const ResourceDef& def, const Version& version, std::vector<Path>& out)
      : def_(def), version_(version), out_(out), gv_(GroupWord(def.group) + Capital(version.name)), tag_(Tag(def.group, version.name)),
        root_(def.group.empty() ? Cat("/api/", version.name) : Cat("/apis/", def.group, '/', version.name)), namespaced_(def.scope == Scope::kNamespaced),
        ns_(namespaced_ ? "Namespaced" : "") {}

  void Add() {
    const std::string scoped = namespaced_ ? Cat(root_, "/namespaces/{namespace}/", def_.resource) : Cat(root_, '/', def_.resource);
    AddCollection(scoped);
    if (namespaced_ && def_.HasVerb("list")) {
      Path all{Cat(root_, '/', def_.resource), {}, {}};
      all.operations.push_back(List(Cat("list", gv_, def_.kind, "ForAllNamespaces"), "list"));
      out_.push_back(std::move(all));
    }
    AddObject(scoped + "/{name}");
    for (const auto& subresource : def_.subresources)
      if (def_.Serves(version_, subresource)) AddSubresource(Cat(scoped, "/{name}/", subresource.name), subresource);
    if (def_.HasVerb("watch") && !def_.custom) AddWatch();
  }

 private:
  Names ScopeParameters(bool with_name) const {
    Names out;
    if (with_name) out.push_back("name");
    if (namespaced_) out.push_back("namespace");
    return out;
  }

  std::vector<std::string> Produces(bool stream = false) const {
    std::vector<std::string> out = {"application/json"};
    if (stream) out.push_back("application/json;stream=watch");
    if (!def_.custom) out.push_back("application/vnd.kubernetes.protobuf");
    if (!def_.custom && stream) out.push_back("application/vnd.kubernetes.protobuf;stream=watch");
    out.push_back("application/yaml");
    return out;
  }

  Operation Make(std::string method, std::string id, std::string action, const Names& parameters, std::string answer, std::vector<int> codes) const {
    Operation op;
    op.method = std::move(method);
    op.id = std::move(id);
    op.tag = tag_;
    op.action = std::move(action);
    op.gvk = def_.Kind(version_.name);
    op.parameters = parameters;
    op.answer = std::move(answer);
    op.codes = std::move(codes);
    op.produces = Produces();
    op.description = Cat(op.action, ' ', def_.kind);
    return op;
  }
  Operation List(std::string id, std::string action) const {
    Operation op = Make("get", std::move(id), std::move(action), kListParameters, DefinitionName(def_, version_, "List"), {200, 401});
    op.produces = Produces(true);
    return op;
  }
  Operation Write(std::string method, std::string id, std::string action, const std::string& definition) const {
    const bool post = method == "post";
    Operation op = Make(std::move(method), std::move(id), std::move(action), kWriteParameters, definition, post ? std::vector<int>{200, 201, 202, 401} : std::vector<int>{200, 201, 401});
    op.consumes = {"*/*"};
    op.body = definition;
    return op;
  }
  Operation Patch(std::string id, const std::string& definition) const {
    Operation op = Make("patch", std::move(id), "patch", kPatchParameters, definition, {200, 201, 401});
    op.consumes = {"application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json"};
    if (!def_.custom) op.consumes.push_back("application/strategic-merge-patch+json");
    op.body = Cat(kMeta, "Patch");
    return op;
  }

  void AddCollection(const std::string& path) {
    const std::string own = DefinitionName(def_, version_);
    openapi::Path out{path, ScopeParameters(false), {}};
    if (def_.HasVerb("deletecollection")) {
      Operation op = Make("delete", Cat("delete", gv_, "Collection", ns_, def_.kind), "deletecollection", kDeleteCollectionParameters, Cat(kMeta, "Status"), {200, 401});
      op.consumes = {"*/*"};
      op.body = Cat(kMeta, "DeleteOptions");
      out.operations.push_back(std::move(op));
    }
    if (def_.HasVerb("list")) out.operations.push_back(List(Cat("list", gv_, ns_, def_.kind), "list"));
    if (def_.HasVerb("create")) out.operations.push_back(Write("post", Cat("create", gv_, ns_, def_.kind), "post", own));
    if (!out.operations.empty()) out_.push_back(std::move(out));
  }

  void AddObject(const std::string& path) {
    const std::string own = DefinitionName(def_, version_);
    openapi::Path out{path, ScopeParameters(true), {}};
    if (def_.HasVerb("delete")) {
      Operation op = Make("delete", Cat("delete", gv_, ns_, def_.kind), "delete", kDeleteParameters, DeleteAnswersObject(def_) ? own : Cat(kMeta, "Status"), {200, 202, 401});
      op.consumes = {"*/*"};
      op.body = Cat(kMeta, "DeleteOptions");
      out.operations.push_back(std::move(op));
    }
    if (def_.HasVerb("get")) out.operations.push_back(Make("get", Cat("read", gv_, ns_, def_.kind), "get", {"pretty"}, own, {200, 401}));
    if (def_.HasVerb("patch")) out.operations.push_back(Patch(Cat("patch", gv_, ns_, def_.kind), own));
    if (def_.HasVerb("update")) out.operations.push_back(Write("put", Cat("replace", gv_, ns_, def_.kind), "put", own));
    if (!out.operations.empty()) out_.push_back(std::move(out));
  }

  GroupVersionKind KindOf(const Subresource& subresource) const {
    if (subresource.version.empty()) return {def_.group, version_.name, subresource.kind};
    return {subresource.group, subresource.version, subresource.kind};
  }

  void AddSubresource(const std::string& path, const Subresource& subresource) {
    const std::string_view name = subresource.name;
    if (name == "proxy" || name == "exec" || name == "attach" || name == "portforward") return AddConnect(path, subresource);
    const GroupVersionKind gvk = KindOf(subresource);
    std::string definition = DefinitionName(def_, version_);
    if (gvk.kind != def_.kind || gvk.group != def_.group) {
      const SchemaPtr schema = FindBuiltinSchema(gvk);
      definition = schema ? schema->name : Cat(kMeta, "Status");
    }
    openapi::Path out{path, ScopeParameters(true), {}};
    const std::string suffix = Cat(ns_, def_.kind, Capital(name));
    const auto has = [&](std::string_view verb) { return std::find(subresource.verbs.begin(), subresource.verbs.end(), verb) != subresource.verbs.end(); };
    if (name == "log") {
      Operation op = Make("get", Cat("read", gv_, suffix), "get",
                          {"container", "follow", "insecureSkipTLSVerifyBackend", "limitBytes", "pretty", "previous", "sinceSeconds", "stream", "tailLines", "timestamps"}, "", {200, 401});
      op.produces.push_back("text/plain");
      out.operations.push_back(std::move(op));
    } else {
      if (has("get")) out.operations.push_back(Make("get", Cat("read", gv_, suffix), "get", {"pretty"}, definition, {200, 401}));
      if (has("patch")) out.operations.push_back(Patch(Cat("patch", gv_, suffix), definition));
      if (has("create")) out.operations.push_back(Write("post", Cat("create", gv_, suffix), "post", definition));
      if (has("update")) out.operations.push_back(Write("put", Cat("replace", gv_, suffix), "put", definition));
    }
    for (auto& op : out.operations) op.gvk = gvk;
    if (!out.operations.empty()) out_.push_back(std::move(out));
  }

  // Requests that are passed on to a container or a server behind.
  void AddConnect(const std::string& path, const Subresource& subresource) {
    const bool proxy = subresource.name == "proxy";
    Names query = {"container", "stderr", "stdin", "stdout", "tty"};
    if (subresource.name == "exec") query.insert(query.begin(), "command");
    if (subresource.name == "portforward") query = {"ports"};
    if (proxy) query = {"path"};
    const Names methods = proxy ? Names{"delete", "get", "head", "options", "patch", "post", "put"} : Names{"get", "post"};
    const auto add = [&](const std::string& at, std::string_view suffix, bool with_path) {
      openapi::Path out{at, ScopeParameters(true), {}};
      if (with_path) out.parameters.push_back("path");
      for (const auto method : methods) {
        Operation op = Make(std::string(method), Cat("connect", gv_, Capital(method), ns_, def_.kind, Capital(subresource.name), suffix), "connect", query, "", {200, 401});
        op.gvk = KindOf(subresource);
        op.produces = {"*/*"};
        out.operations.push_back(std::move(op));
      }
      out_.push_back(std::move(out));
    };
    add(path, "", false);
    if (proxy) add(path + "/{path}", "WithPath", true);
  }

  void AddWatch() {
    const std::string event = Cat(kMeta, "WatchEvent");
    const auto add = [&](std::string path, Names parameters, std::string id, const char* action) {
      openapi::Path out{std::move(path), std::move(parameters), {}};
      Operation op = List(std::move(id), action);
      op.answer = event;
      out.operations.push_back(std::move(op));
      out_.push_back(std::move(out));
    };
    const std::string watch = root_ + "/watch";
    const std::string scoped = namespaced_ ? Cat(watch, "/namespaces/{namespace}/", def_.resource) : Cat(watch, '/', def_.resource);
    if (namespaced_) add(Cat(watch, '/', def_.resource), {}, Cat("watch", gv_, def_.kind, "ListForAllNamespaces"), "watchlist");
    add(scoped, ScopeParameters(false), Cat("watch", gv_, ns_, def_.kind, "List"), "watchlist");
    add(scoped + "/{name}", ScopeParameters(true), Cat("watch", gv_, ns_, def_.kind), "watch");
  }

  const ResourceDef& def_;
  const Version& version_;
  std::vector<Path>& out_;
  const std::string gv_, tag_, root_;
  const bool namespaced_;
  const std::string ns_;
};

Path Discovery(std::string path, std::string id, std::string tag, std::string_view answer) {
  Operation op;
  op.method = "get";
  op.id = std::move(id);
  op.tag = std::move(tag);
  op.description = "What is served here.";
  op.codes = {200, 401};
  op.produces = {"application/json", "application/vnd.kubernetes.protobuf", "application/yaml"};
  op.answer = answer.empty() ? "" : Cat(kMeta, answer);
  return {std::move(path), {}, {std::move(op)}};
}

std::vector<Path> PlainDocument(std::string_view document) {
  std::vector<Path> out;
  if (document == "api") {
    out.push_back(Discovery("/api/", "getCoreAPIVersions", "core", "APIVersions"));
  } else if (document == "apis") {
    out.push_back(Discovery("/apis/", "getAPIVersions", "apis", "APIGroupList"));
  } else if (document == "version") {
    out.push_back(Discovery("/version/", "getCodeVersion", "version", ""));
    out.back().operations[0].answer = "io.k8s.apimachinery.pkg.version.Info";
    out.back().operations[0].produces = {"application/json"};
  } else if (document == ".well-known/openid-configuration") {
    out.push_back(Discovery("/.well-known/openid-configuration/", "getServiceAccountIssuerOpenIDConfiguration", "WellKnown", ""));
    out.back().operations[0].produces = {"application/json"};
  } else if (document == "openid/v1/jwks") {
    out.push_back(Discovery("/openid/v1/jwks/", "getServiceAccountIssuerOpenIDKeyset", "openid", ""));
    out.back().operations[0].produces = {"application/jwk-set+json"};
  }
  return out;
}

}  // namespace

const ParameterInfo& FindParameter(std::string_view name) {
  return *std::lower_bound(std::begin(kParameters), std::end(kParameters), name, [](const ParameterInfo& info, std::string_view wanted) { return info.name < wanted; });
}

std::string DefinitionName(const ResourceDef& def, const Version& version, std::string_view suffix) {
  if (!def.custom) {
    const SchemaPtr schema = version.schema ? version.schema : FindBuiltinSchema(def.Kind(version.name));
    return schema ? schema->name + std::string(suffix) : std::string();
  }
  auto pieces = Split(def.group, '.');
  std::reverse(pieces.begin(), pieces.end());
  std::string out;
  for (std::string_view piece : pieces) out += Cat(piece, '.');
  return Cat(out, version.name, '.', suffix == "List" ? def.list_kind : def.kind);
}

std::vector<std::string> Documents(const Registry& registry) {
  std::set<std::string> out = {".well-known/openid-configuration", "api", "api/v1", "apis", "openid/v1/jwks", "version"};
  const auto all = registry.All();
  for (const auto& def : *all) {
    if (def->group.empty()) continue;
    for (const auto& version : def->versions) {
      if (!version.served) continue;
      out.insert(Cat("apis/", def->group, '/', version.name));
      // Only groups of this server's own have a document of their own.
      if (!def->custom) out.insert(Cat("apis/", def->group));
    }
  }
  return {out.begin(), out.end()};
}

std::vector<Path> PathsOf(const Registry& registry, std::string_view document) {
  auto out = PlainDocument(document);
  if (!out.empty()) return out;
  const auto parts = Split(document, '/');
  if (parts.size() == 2 && parts[0] == "apis") {
    out.push_back(Discovery(Cat('/', document, '/'), Cat("get", GroupWord(parts[1]), "APIGroup"), Tag(parts[1], ""), "APIGroup"));
    return out;
  }
  std::string_view group, version;
  if (parts.size() == 2 && parts[0] == "api") version = parts[1];
  else if (parts.size() == 3 && parts[0] == "apis") group = parts[1], version = parts[2];
  else return out;
  bool custom = true;
  const auto all = registry.All();
  for (const auto& def : *all) {
    const Version* found = def->group == group ? def->FindVersion(version) : nullptr;
    if (!found || !found->served) continue;
    custom = custom && def->custom;
    ResourcePaths(*def, *found, out).Add();
  }
  if (out.empty()) return out;
  if (!custom) out.push_back(Discovery(Cat('/', document, '/'), Cat("get", GroupWord(group), Capital(version), "APIResources"), Tag(group, version), "APIResourceList"));
  std::sort(out.begin(), out.end(), [](const Path& a, const Path& b) { return a.path < b.path; });
  return out;
}

}  // namespace skerry::kube::openapi
