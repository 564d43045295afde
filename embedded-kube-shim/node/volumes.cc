#include "embedded-kube-shim/node/volumes.h"

#include <dirent.h>
#include <unistd.h>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/process/mounts.h"
#include "core/text/base64.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/controllers/pod_facts.h"
#include "embedded-kube-shim/node/environment.h"

namespace skerry::kube::node {
namespace {

constexpr std::int64_t kTokenSeconds = 3607;

// Writes the files of one volume, from one source or several (projected).
class PayloadBuilder {
 public:
  PayloadBuilder(const Ctx& ctx, const json::Value& pod, const Sources& sources, const TokenSource& tokens, MountedVolumes* out)
      : ctx_(ctx), pod_(pod), sources_(sources), tokens_(tokens), out_(out) {}

  volume::Payload payload;
  unsigned default_mode = 0644;

  Result<> AddMap(const json::Value& source, std::string_view name_field, bool secret) {
    const std::string name(source[name_field].Str());
    const ObjectPtr object = (secret ? sources_.secrets : sources_.config_maps).Get({std::string(Namespace(pod_)), name});
    const bool optional = source["optional"].Bool();
    if (!object) {
      if (optional) return {};
      return Fail(Code::kNotFound, Cat(secret ? "secret " : "configmap ", Quote(name), " not found"));
    }
    const auto items = source["items"].Items();
    if (items.empty()) {
      for (const json::Member& m : (*object)["data"].Members()) TRY_VOID(AddKey(m.key, m.value.Str(), secret, m.key, json::Value()));
      for (const json::Member& m : (*object)["binaryData"].Members()) TRY_VOID(AddKey(m.key, m.value.Str(), true, m.key, json::Value()));
      return {};
    }
    for (const json::Value& item : items) {
      const std::string_view key = item["key"].Str();
      const json::Value* text = (*object)["data"].Find(key);
      const json::Value* binary = (*object)["binaryData"].Find(key);
      if (!text && !binary) {
        if (optional) continue;
        return Fail(Code::kNotFound, Cat("references non-existent ", secret ? "secret" : "config", " key: ", key));
      }
      TRY_VOID(AddKey(key, text ? text->Str() : binary->Str(), secret || !text, item["path"].Str(), item["mode"]));
    }
    return {};
  }

  Result<> AddDownward(const json::Value& source) {
    for (const json::Value& item : source["items"].Items()) {
      std::string value;
      if (item["fieldRef"].is_object()) {
        TRY(value, FieldValue(pod_, item["fieldRef"]["fieldPath"].Str(), sources_));
      } else {
        TRY(value, ResourceValue(pod_, item["resourceFieldRef"], "", sources_));
      }
      Put(item["path"].Str(), std::move(value), item["mode"]);
    }
    return {};
  }

  Result<> AddToken(const json::Value& source) {
    TRY(IssuedToken issued, tokens_(ctx_, pod_, source["audience"].Str(), source["expirationSeconds"].Int(kTokenSeconds)));
    if (!out_->renew_at || issued.renew_at < *out_->renew_at) out_->renew_at = issued.renew_at;
    Put(source["path"].Str(), std::move(issued.token), json::Value());
    // Where one user or a group is known to read it, nobody else can; the group's bits come with the volume's group.
    volume::File& file = payload[std::string(source["path"].Str())];
    file.uid = OneUser();
    if (file.uid || pod_["spec"]["securityContext"]["fsGroup"].is_int()) file.mode = 0600;
    return {};
  }

 private:
  // The user as whom all containers run, when that is said and the same for all.
  std::optional<std::int64_t> OneUser() const {
    const json::Value& spec = pod_["spec"];
    std::optional<std::int64_t> user;
    for (const char* list : {"initContainers", "containers", "ephemeralContainers"}) {
      for (const json::Value& c : spec[list].Items()) {
        const json::Value& own = c["securityContext"]["runAsUser"];
        const json::Value& uid = own.is_int() ? own : spec["securityContext"]["runAsUser"];
        if (!uid.is_int() || (user && *user != uid.Int())) return std::nullopt;
        user = uid.Int();
      }
    }
    return user;
  }

  Result<> AddKey(std::string_view, std::string_view value, bool base64, std::string_view path, const json::Value& mode) {
    if (!base64) {
      Put(path, std::string(value), mode);
      return {};
    }
    TRY(std::string bytes, text::FromBase64(value));
    Put(path, std::move(bytes), mode);
    return {};
  }

  void Put(std::string_view path, std::string content, const json::Value& mode) {
    payload[std::string(path)] = {std::move(content), static_cast<unsigned>(mode.Int(default_mode)), std::nullopt};
  }

  const Ctx& ctx_;
  const json::Value& pod_;
  const Sources& sources_;
  const TokenSource& tokens_;
  MountedVolumes* out_;
};

Result<> FillProjected(PayloadBuilder& builder, const json::Value& volume) {
  for (const json::Value& source : volume["projected"]["sources"].Items()) {
    if (source["configMap"].is_object()) TRY_VOID(builder.AddMap(source["configMap"], "name", false));
    if (source["secret"].is_object()) TRY_VOID(builder.AddMap(source["secret"], "name", true));
    if (source["downwardAPI"].is_object()) TRY_VOID(builder.AddDownward(source["downwardAPI"]));
    if (source["serviceAccountToken"].is_object()) TRY_VOID(builder.AddToken(source["serviceAccountToken"]));
  }
  return {};
}

// The files of an image, read-only. A marker directory tells a later agent what to unmount.
Result<std::string> SetUpImage(const Ctx& ctx, const json::Value& source, const std::string& key, const std::string& marker, container::Images& images) {
  const std::string reference(source["reference"].Str());
  const std::string_view policy = source["pullPolicy"].Str("IfNotPresent");
  const bool fresh = ::access(marker.c_str(), F_OK) != 0;
  const bool present = images.Find(reference).has_value();
  if (policy == "Never" && !present) return Fail(Code::kNotFound, Cat("image ", Quote(reference), " is not present with pull policy of Never"));
  if (!present || (policy == "Always" && fresh)) TRY_VOID(images.Pull(ctx, reference, {}));
  TRY(std::string path, images.MountImage(ctx, reference, key));
  TRY_VOID(MakeDirectories(marker, 0755));
  return path;
}

// What lies behind a claim, as if the pod had named it itself. Volumes of this machine: a path that is made when it is missing (hostPath)
// or has to be there (local).
Result<json::Value> BehindClaim(const json::Value& pod, const json::Value& volume, const Sources& sources) {
  const bool own = volume["ephemeral"].is_object();
  const std::string claim_name = own ? Cat(Name(pod), "-", volume["name"].Str()) : std::string(volume["persistentVolumeClaim"]["claimName"].Str());
  const auto fail = [&](std::string_view why) { return Fail(Code::kUnavailable, Cat("error processing PVC ", Namespace(pod), "/", claim_name, ": ", why)); };
  const ObjectPtr claim = sources.claims ? sources.claims->Get({std::string(Namespace(pod)), claim_name}) : nullptr;
  if (!claim) return fail(Cat("failed to fetch PVC from API server: persistentvolumeclaims ", Quote(claim_name), " not found"));
  if (own && !IsControlledBy(*claim, Uid(pod))) return fail("PVC was not created for the pod");
  const std::string_view bound = (*claim)["spec"]["volumeName"].Str();
  if (bound.empty() || (*claim)["status"]["phase"].Str() != "Bound") return fail("PVC is not bound");
  const ObjectPtr persistent = sources.persistent_volumes ? sources.persistent_volumes->Get({"", std::string(bound)}) : nullptr;
  if (!persistent) return fail(Cat("failed to fetch PV ", bound, " from API server"));
  const json::Value& spec = (*persistent)["spec"];
  if (spec["claimRef"]["uid"].Str() != Uid(*claim)) return fail(Cat("PV ", bound, " is bound to another claim"));
  json::Value out;
  out.Set("name") = volume["name"].Str();
  if (spec["hostPath"].is_object()) {
    out.Set("hostPath") = spec["hostPath"].Clone();
    return out;
  }
  if (spec["local"].is_object()) {
    out.Set("hostPath").Set("path") = spec["local"]["path"].Str();
    out.Set("hostPath").Set("type") = "Directory";
    return out;
  }
  return Fail(Code::kUnsupported, Cat("this node cannot mount persistent volume ", bound, ": it is neither a hostPath nor a local volume"));
}

Result<std::string> SetUp(const Ctx& ctx, const json::Value& pod, const json::Value& volume, const std::string& directory, const Sources& sources,
                          const TokenSource& tokens, container::Images& images, MountedVolumes* out) {
  if (volume["persistentVolumeClaim"].is_object() || volume["ephemeral"].is_object()) {
    TRY(const json::Value behind, BehindClaim(pod, volume, sources));
    return SetUp(ctx, pod, behind, directory, sources, tokens, images, out);
  }
  const std::string name(volume["name"].Str());
  volume::Request request;
  const auto target = [&](const char* plugin) { request.target_dir = Cat(directory, "/volumes/", plugin, "/", name); };
  const json::Value& group = pod["spec"]["securityContext"]["fsGroup"];
  if (group.is_int()) request.fs_group = group.Int();
  if (volume["emptyDir"].is_object()) {
    target("empty-dir");
    request.params["medium"] = volume["emptyDir"]["medium"].Str();
    if (const json::Value* limit = volume["emptyDir"].Find("sizeLimit")) {
      if (const auto q = text::Quantity::Parse(limit->Str())) request.params["size_bytes"] = std::to_string(q->Value());
    }
    return volume::EmptyDir().SetUp(ctx, request);
  }
  if (volume["hostPath"].is_object()) {
    request.fs_group.reset();                     // the host's files keep their owner
    request.params["path"] = volume["hostPath"]["path"].Str();
    request.params["type"] = volume["hostPath"]["type"].Str();
    return volume::HostPath().SetUp(ctx, request);
  }
  if (volume["image"].is_object()) {
    target("image");
    return SetUpImage(ctx, volume["image"], Cat(Uid(pod), ".", name), request.target_dir, images);
  }
  PayloadBuilder builder(ctx, pod, sources, tokens, out);
  target("projected");
  for (const char* kind : {"configMap", "secret", "downwardAPI", "projected"}) {
    const json::Value& source = volume[kind];
    if (!source.is_object()) continue;
    builder.default_mode = static_cast<unsigned>(source["defaultMode"].Int(0644));
    switch (kind[0]) {
      case 'c': TRY_VOID(builder.AddMap(source, "name", false)); break;
      case 's': TRY_VOID(builder.AddMap(source, "secretName", true)); break;
      case 'd': TRY_VOID(builder.AddDownward(source)); break;
      default: TRY_VOID(FillProjected(builder, volume)); break;
    }
    if (kind[0] == 's' || kind[0] == 'p') request.params["medium"] = "Memory";
    request.payload = std::move(builder.payload);
    return volume::Projected().SetUp(ctx, request);
  }
  std::string what = "of an unknown kind";
  for (const json::Member& m : volume.Members()) {
    if (m.key != "name") what = m.key;
  }
  return Fail(Code::kUnsupported, Cat("this node cannot mount a volume ", what));
}

}  // namespace

std::vector<std::string> Entries(const std::string& directory) {
  std::vector<std::string> out;
  DIR* d = ::opendir(directory.c_str());
  if (!d) return out;
  while (const dirent* e = ::readdir(d)) {
    const std::string_view name = e->d_name;
    if (name != "." && name != "..") out.emplace_back(name);
  }
  ::closedir(d);
  return out;
}

Result<MountedVolumes> SetUpVolumes(const Ctx& ctx, const json::Value& pod, const std::string& directory, const Sources& sources, const TokenSource& tokens,
                                    container::Images& images) {
  MountedVolumes out;
  for (const json::Value& v : pod["spec"]["volumes"].Items()) {
    auto path = SetUp(ctx, pod, v, directory, sources, tokens, images, &out);
    if (!path) return std::unexpected(std::move(path.error()).Wrap(Cat("MountVolume.SetUp failed for volume ", Quote(v["name"].Str()), " ")));
    out.paths[std::string(v["name"].Str())] = std::move(*path);
  }
  return out;
}

Result<> RemovePodDirectory(const Ctx& ctx, const std::string& directory, container::Images& images) {
  const std::string uid = directory.substr(directory.rfind('/') + 1);
  for (const std::string& name : Entries(directory + "/volumes/image")) TRY_VOID(images.UnmountImage(Cat(uid, ".", name)));
  TRY_VOID(process::UnmountBelow(directory + "/volume-subpaths"));
  volume::EmptyDir empty_dir;
  volume::Projected projected;
  for (volume::Plugin* plugin : {static_cast<volume::Plugin*>(&empty_dir), static_cast<volume::Plugin*>(&projected)}) {
    const std::string base = Cat(directory, "/volumes/", plugin->name());
    for (const std::string& name : Entries(base)) TRY_VOID(plugin->TearDown(ctx, base + "/" + name));
  }
  return process::RemoveTree(directory);
}

std::string VolumeInputs(const json::Value& pod, const Sources& sources) {
  const json::Value& meta = pod["metadata"];
  std::string out = Cat(meta["generation"].Int(), " ", meta["labels"].Dump(), meta["annotations"].Dump(), " ", sources.pod_ip, " ", (*sources.node)["status"]["allocatable"].Dump());
  for (const std::string& reference : ReferencedByVolumes(pod)) {
    const auto [kind, name] = [&] {
      const std::size_t slash = reference.find('/');
      return std::pair(std::string_view(reference).substr(0, slash), reference.substr(slash + 1));
    }();
    const ObjectPtr object = (kind == "secrets" ? sources.secrets : sources.config_maps).Get({std::string(Namespace(pod)), name});
    out += Cat(" ", reference, "=", object ? (*object)["metadata"]["resourceVersion"].Str() : std::string_view("none"));
  }
  return out;
}

std::set<std::string> ReferencedByVolumes(const json::Value& pod) {
  std::set<std::string> out;
  const auto add = [&](const char* kind, std::string_view name) {
    if (!name.empty()) out.insert(Cat(kind, "/", name));
  };
  for (const json::Value& v : pod["spec"]["volumes"].Items()) {
    add("configmaps", v["configMap"]["name"].Str());
    add("secrets", v["secret"]["secretName"].Str());
    for (const json::Value& s : v["projected"]["sources"].Items()) {
      add("configmaps", s["configMap"]["name"].Str());
      add("secrets", s["secret"]["name"].Str());
    }
  }
  return out;
}

}  // namespace skerry::kube::node
