#include <algorithm>

#include "core/base/strings.h"
#include "core/text/quantity.h"
#include "embedded-kube-shim/apis/rules_shared.h"

// Volume sources of pods and of persistent volumes.
namespace skerry::kube::rules {
namespace {

using json::Value;
using Source = void (*)(Run&, const Node& volume, const Node& source);

enum class Owner : std::uint8_t { kPod, kPersistentVolume };

void Require(Run& run, const Node& source, std::initializer_list<std::string_view> fields) {
  for (std::string_view field : fields)
    if (source[field]->is_null() || (source[field]->is_string() && source[field]->Str().empty()) || (source[field]->is_array() && source[field].size() == 0)) run.Required(source[field]);
}

void CheckMode(Run& run, const Node& mode) {
  if (!mode->is_null() && (mode->Int() < 0 || mode->Int() > 0777)) run.Invalid(mode, "must be a number between 0 and 0777 (octal), both inclusive");
}

void CheckKeyToPath(Run& run, const Node& item) {
  if (item.Str("key").empty()) run.Required(item["key"]);
  if (item.Str("path").empty()) run.Required(item["path"]);
  run.Format(item["path"], format::LocalNonReservedPath);
  CheckMode(run, item["mode"]);
}

void CheckDownwardFile(Run& run, const Node& item) {
  if (item.Str("path").empty()) run.Required(item["path"]);
  run.Format(item["path"], format::LocalNonReservedPath);
  if (!item["fieldRef"]->is_null()) {
    CheckFieldSelector(run, item["fieldRef"], false);
    if (!item["resourceFieldRef"]->is_null()) run.Invalid(item, "\"resource\"", "fieldRef and resourceFieldRef can not be specified simultaneously");
  } else if (!item["resourceFieldRef"]->is_null()) {
    CheckResourceFieldSelector(run, item["resourceFieldRef"], true);
  } else {
    run.Required(item, "one of fieldRef and resourceFieldRef is required");
  }
  CheckMode(run, item["mode"]);
}

void HostPath(Run& run, const Node&, const Node& source) {
  if (source.Str("path").empty()) return run.Required(source["path"]);
  run.Format(source["path"], format::PathNoBacksteps);
  if (const Node type = source["type"]; !type->is_null())
    run.Enum(type, {"", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"});
}

void GitRepo(Run& run, const Node&, const Node& source) {
  Require(run, source, {"repository"});
  run.Format(source["directory"], format::LocalDescendingPath);
}

void Disk(Run& run, const Node&, const Node& source) {
  const bool gce = source.field && source.field->name == "gcePersistentDisk";
  Node shown = source;
  if (gce) shown.path.replace(shown.path.size() - 17, 17, "persistentDisk");
  Require(run, shown, {gce ? std::string_view("pdName") : "volumeID"});
  if (const Node partition = shown["partition"]; partition->Int() < 0 || partition->Int() > 255) run.Invalid(partition, "must be between 1 and 255, inclusive");
}

bool AllAlnum(std::string_view s) {
  return std::all_of(s.begin(), s.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); });
}

bool IqnShape(std::string_view s) {
  for (auto at = s.find("iqn."); at != s.npos; at = s.find("iqn.", at + 1)) {
    const std::string_view rest = s.substr(at + 4);
    const auto digit = [&](std::size_t i) { return i < rest.size() && rest[i] >= '0' && rest[i] <= '9'; };
    if (!(digit(0) && digit(1) && digit(2) && digit(3) && rest.size() > 8 && rest[4] == '-' && digit(5) && digit(6) && rest[7] == '.')) continue;
    const auto colon = rest.find(':', 8);
    if (colon == rest.npos || colon == 8) continue;
    const std::string_view authority = rest.substr(8, colon - 8), tail = rest.substr(colon + 1);
    const bool plain = std::all_of(authority.begin(), authority.end(), [](char c) { return c == '-' || c == '.' || AllAlnum(std::string_view(&c, 1)); });
    if (plain && !tail.empty() && tail.find_first_of(",;*&$| \t\r\n") == tail.npos) return true;
  }
  return false;
}

void CheckInitiator(Run& run, const Node& at, const char* prefix_text) {
  const std::string_view name = at->Str();
  if (!name.starts_with("iqn") && !name.starts_with("eui") && !name.starts_with("naa")) return run.Invalid(at, prefix_text);
  const bool ok = name.starts_with("iqn") ? IqnShape(name) : name.size() == (name.starts_with("eui") ? 20u : 36u) && AllAlnum(name.substr(4));
  if (!ok) run.Invalid(at, "must be valid format");
}

void CheckIscsi(Run& run, const Node& source, Owner owner) {
  const char* text = owner == Owner::kPod ? "must be valid format starting with iqn, eui, or naa" : "must be valid format";
  Require(run, source, {"targetPortal"});
  if (source.Str("iqn").empty()) run.Required(source["iqn"]);
  else CheckInitiator(run, source["iqn"], text);
  run.Range(source["lun"], 0, 255);
  if (((*source)["chapAuthDiscovery"].Bool() || (*source)["chapAuthSession"].Bool()) && source["secretRef"]->is_null()) run.Required(source["secretRef"]);
  if (owner == Owner::kPersistentVolume && !source["secretRef"]->is_null()) Require(run, source["secretRef"], {"name"});
  if (!source["initiatorName"]->is_null()) CheckInitiator(run, source.As("initiatorName", "initiatorname"), text);
}

void Iscsi(Run& run, const Node& volume, const Node& source) {
  CheckIscsi(run, source, Owner::kPod);
  if (!source["initiatorName"]->is_null() && volume.Str("name").size() + 1 + source.Str("targetPortal").size() > 64)
    run.Invalid(volume["name"], "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.");
}

void Fc(Run& run, const Node&, const Node& source) {
  const bool wwns = source["targetWWNs"].size() > 0, wwids = source["wwids"].size() > 0;
  if (!wwns && !wwids) run.Required(source["targetWWNs"], "must specify either targetWWNs or wwids, but not both");
  if (wwns && wwids) run.Invalid(source["targetWWNs"], "targetWWNs and wwids can not be specified simultaneously");
  if (!wwns) return;
  if (source["lun"]->is_null()) run.Required(source["lun"], "lun is required if targetWWNs is specified");
  else run.Range(source["lun"], 0, 255);
}

void Files(Run& run, const Node&, const Node& source) {
  const bool secret = source.field && source.field->name == "secret";
  if (!source.field || source.field->name != "downwardAPI") Require(run, source, {secret ? std::string_view("secretName") : "name"});
  CheckMode(run, source["defaultMode"]);
  for (const Node& item : source["items"].Items()) CheckKeyToPath(run, item);
}

void DownwardApi(Run& run, const Node&, const Node& source) {
  CheckMode(run, source["defaultMode"]);
  for (Node item : source["items"].Items()) {
    item.path = source.path;   // upstream forgets the index
    CheckDownwardFile(run, item);
  }
}

void Nfs(Run& run, const Node&, const Node& source) {
  Require(run, source, {"server", "path"});
  if (!source.Str("path").starts_with('/')) run.Invalid(source["path"], "must be an absolute path");
}

void Quobyte(Run& run, const Node&, const Node& source) {
  constexpr const char* kPairs = "must be a host:port pair or multiple pairs separated by commas";
  if (source.Str("registry").empty()) {
    run.Required(source["registry"], kPairs);
  } else if (source.Str("tenant").size() >= 65) {
    run.Required(source["tenant"], "must be a UUID and may not exceed a length of 64 characters");
  } else {
    for (std::string_view pair : Split(source.Str("registry"), ',')) {
      const auto colon = pair.rfind(':');
      if (colon == pair.npos || pair.substr(0, colon).find(':') != pair.npos) run.Invalid(source["registry"], kPairs);
    }
  }
  Require(run, source, {"volume"});
}

void Flocker(Run& run, const Node&, const Node& source) {
  const std::string_view name = source.Str("datasetName"), uuid = source.Str("datasetUUID");
  if (name.empty() && uuid.empty()) run.Required(source, "one of datasetName and datasetUUID is required");
  if (!name.empty() && !uuid.empty()) run.Invalid(source, "\"resource\"", "datasetName and datasetUUID can not be specified simultaneously");
  if (name.find('/') != name.npos) run.Invalid(source["datasetName"], "must not contain '/'");
}

void FlexVolume(Run& run, const Node&, const Node& source) {
  Require(run, source, {"driver"});
  for (const json::Member& option : (*source)["options"].Members()) {
    const std::string ns = ToLower(std::string_view(option.key).substr(0, option.key.find('/')));
    if (ns == "kubernetes.io" || ns == "k8s.io" || ns.ends_with(".kubernetes.io") || ns.ends_with(".k8s.io"))
      run.Invalid(source["options"].Key(option.key), Quote(option.key), "kubernetes.io and k8s.io namespaces are reserved");
  }
}

template <Owner owner>
void Cinder(Run& run, const Node&, const Node& source) {
  Require(run, source, {"volumeID"});
  if (const Node secret = source["secretRef"]; !secret->is_null()) {
    Require(run, secret, {"name"});
    if (owner == Owner::kPersistentVolume) Require(run, secret, {"namespace"});
  }
}

template <Owner owner>
void AzureFile(Run& run, const Node&, const Node& source) {
  Require(run, source, {"secretName", "shareName"});
  if (const Node ns = source["secretNamespace"]; owner == Owner::kPersistentVolume && !ns->is_null() && ns->Str().empty()) run.Required(ns);
}

void AzureDisk(Run& run, const Node&, const Node& source) {
  Require(run, source, {"diskName", "diskURI"});
  if (!source["cachingMode"]->is_null()) run.Enum(source["cachingMode"], {"None", "ReadOnly", "ReadWrite"});
  const Node kind = source["kind"], uri = source["diskURI"];
  if (!kind->is_null() && kind->Str() != "Shared") run.Enum(kind, {"Dedicated", "Managed", "Shared"});
  if (kind->Str() == "Managed" && !uri->Str().starts_with("/subscriptions/"))
    run.NotSupported(uri, {"/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"});
  if (!kind->is_null() && kind->Str() != "Managed" && !uri->Str().starts_with("https://"))
    run.NotSupported(uri, {"https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"});
}

template <Owner owner>
void StorageOs(Run& run, const Node&, const Node& source) {
  run.RequiredFormat(source["volumeName"], format::Dns1123Label);
  if (!source.Str("volumeNamespace").empty()) run.Format(source["volumeNamespace"], format::Dns1123Label);
  if (const Node secret = source["secretRef"]; !secret->is_null()) {
    Require(run, secret, {"name"});
    if (owner == Owner::kPersistentVolume) Require(run, secret, {"namespace"});
  }
}

void InlineCsi(Run& run, const Node&, const Node& source) {
  CheckCsiDriverName(run, source["driver"]);
  const Node secret = source["nodePublishSecretRef"];
  if (secret->is_null()) return;
  if (secret.Str("name").empty()) return run.Required(secret["name"]);
  for (const std::string& message : format::Dns1123Subdomain(secret.Str("name"))) run.Add(FieldErrorType::kInvalid, source.path + ".name", Quote(secret.Str("name")), message);
}

template <std::string_view const&... names>
void Required(Run& run, const Node&, const Node& source) { Require(run, source, {names...}); }

constexpr std::string_view kClaimName = "claimName", kEndpoints = "endpoints", kPath = "path", kMonitors = "monitors", kImage = "image", kVolumePath = "volumePath", kPdId = "pdID",
                           kVolumeId = "volumeID", kGateway = "gateway", kSystem = "system", kVolumeName = "volumeName";

void EmptyDir(Run& run, const Node&, const Node& source) {
  if (const auto limit = text::Quantity::Parse(source.Str("sizeLimit")); limit && limit->sign() < 0) run.Forbidden(source["sizeLimit"], "SizeLimit field must be a valid resource quantity");
}

void Ephemeral(Run& run, const Node& volume, const Node& source) {
  const Node claim = source["volumeClaimTemplate"];
  if (claim->is_null()) return run.Required(claim);
  if (!run.name_of_pod.empty() && !volume.Str("name").empty()) {
    const std::string name = Cat(run.name_of_pod, "-", volume.Str("name"));
    for (const std::string& message : format::Dns1123Subdomain(name)) run.Invalid(volume["name"], Cat("PVC name ", Quote(name), ": ", message));
  }
  CheckTemplateMetadata(run, claim["metadata"]);
  CheckClaimSpec(run, claim["spec"]);
}

void Image(Run& run, const Node&, const Node& source) {
  if (run.templates == 0 && source.Str("reference").empty()) run.Required(source["reference"]);
  if (source.Str("pullPolicy").empty()) return;
  run.Enum(source["pullPolicy"], {"Always", "IfNotPresent", "Never"});
}

class Projection {
 public:
  Projection(Run& run, const Node& volume) : run_(run), volume_(volume) {}

  void Check() {
    CheckMode(run_, volume_["defaultMode"]);
    for (const Node& source : volume_["sources"].Items()) One(source);
  }

 private:
  void Path(std::string_view path, std::string_view shown) {
    if (!path.empty() && !paths_.emplace(path).second) run_.Invalid(volume_, Quote(shown), "conflicting duplicate paths");
  }

  bool Has(const Node& source, std::string_view kind) {
    if (source[kind]->is_null()) return false;
    ++count_;
    return true;
  }

  void One(const Node& source) {
    count_ = 0;
    for (std::string_view kind : {"secret", "configMap"}) {
      if (!Has(source, kind)) continue;
      const Node files = source[kind];
      if (files.Str("name").empty()) run_.Required(files["name"]);
      for (const Node& item : files["items"].Items()) {
        CheckKeyToPath(run_, item);
        Path(item.Str("path"), files.Str("name"));
      }
    }
    if (Has(source, "downwardAPI"))
      for (Node item : source["downwardAPI"]["items"].Items()) {
        item.path = source["downwardAPI"].path;
        CheckDownwardFile(run_, item);
        Path(item.Str("path"), item.Str("path"));
      }
    if (Has(source, "serviceAccountToken")) Token(source["serviceAccountToken"]);
    if (count_ > 1) run_.Forbidden(source, "may not specify more than 1 volume type per source");
  }

  void Token(const Node& token) {
    const std::int64_t seconds = token["expirationSeconds"]->Int();
    if (seconds < 600) run_.Invalid(token["expirationSeconds"], "may not specify a duration less than 10 minutes");
    if (seconds > 4294967296) run_.Invalid(token["expirationSeconds"], "may not specify a duration larger than 2^32 seconds");
    Node path = token["path"];
    path.path = volume_.path + ".path";
    if (path->Str().empty()) run_.Required(path);
    else run_.Format(path, format::LocalNonReservedPath);
  }

  Run& run_;
  const Node& volume_;
  std::set<std::string> paths_;
  int count_ = 0;
};

void Projected(Run& run, const Node&, const Node& source) { Projection(run, source).Check(); }

struct Kind { std::string_view field, shown; Source check; };

constexpr Kind kPodSources[] = {
    {"emptyDir", "emptyDir", EmptyDir}, {"hostPath", "hostPath", HostPath}, {"gitRepo", "gitRepo", GitRepo}, {"gcePersistentDisk", "gcePersistentDisk", Disk},
    {"awsElasticBlockStore", "awsElasticBlockStore", Disk}, {"secret", "secret", Files}, {"nfs", "nfs", Nfs}, {"iscsi", "iscsi", Iscsi},
    {"glusterfs", "glusterfs", Required<kEndpoints, kPath>}, {"flocker", "flocker", Flocker}, {"persistentVolumeClaim", "persistentVolumeClaim", Required<kClaimName>},
    {"rbd", "rbd", Required<kMonitors, kImage>}, {"cinder", "cinder", Cinder<Owner::kPod>}, {"cephfs", "cephFS", Required<kMonitors>}, {"quobyte", "quobyte", Quobyte},
    {"downwardAPI", "downwarAPI", DownwardApi}, {"fc", "fc", Fc}, {"flexVolume", "flexVolume", FlexVolume}, {"configMap", "configMap", Files},
    {"azureFile", "azureFile", AzureFile<Owner::kPod>}, {"vsphereVolume", "vsphereVolume", Required<kVolumePath>}, {"photonPersistentDisk", "photonPersistentDisk", Required<kPdId>},
    {"portworxVolume", "portworxVolume", Required<kVolumeId>}, {"azureDisk", "azureDisk", AzureDisk}, {"storageos", "storageos", StorageOs<Owner::kPod>},
    {"projected", "projected", Projected}, {"scaleIO", "scaleIO", Required<kGateway, kSystem, kVolumeName>}, {"csi", "csi", InlineCsi}, {"ephemeral", "ephemeral", Ephemeral},
    {"image", "image", Image},
};

void GlusterPv(Run& run, const Node&, const Node& source) {
  Require(run, source, {"endpoints", "path"});
  const Node ns = source["endpointsNamespace"];
  if (ns->is_null()) return;
  if (ns->Str().empty()) run.Invalid(ns, "if the endpointnamespace is set, it must be a valid namespace name");
  else run.Format(ns, format::Dns1123Label);
}

void IscsiPv(Run& run, const Node&, const Node& source) {
  CheckIscsi(run, source, Owner::kPersistentVolume);
  const std::string_view name = run.root["metadata"]["name"].Str();
  if (!source["initiatorName"]->is_null() && name.size() + 1 + source.Str("targetPortal").size() > 64)
    run.Invalid(source.As("targetPortal", "targetportal"), "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.");
}

void LocalPv(Run& run, const Node& spec, const Node& source) {
  Require(run, source, {"path"});
  if (!source.Str("path").empty()) run.Format(source["path"], format::PathNoBacksteps);
  if (spec["nodeAffinity"]->is_null()) run.Required(spec["nodeAffinity"], "Local volume requires node affinity");
}

void CsiPv(Run& run, const Node&, const Node& source) {
  CheckCsiDriverName(run, source["driver"]);
  Require(run, source, {"volumeHandle"});
  for (std::string_view reference : {"controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef", "nodeExpandSecretRef"}) {
    const Node secret = source[reference];
    if (secret->is_null()) continue;
    run.RequiredFormat(secret["name"], format::Dns1123Subdomain);
    run.RequiredFormat(secret["namespace"], format::Dns1123Label);
  }
}

constexpr Kind kPersistentSources[] = {
    {"hostPath", "hostPath", HostPath}, {"gcePersistentDisk", "gcePersistentDisk", Disk}, {"awsElasticBlockStore", "awsElasticBlockStore", Disk}, {"glusterfs", "glusterfs", GlusterPv},
    {"flocker", "flocker", Flocker}, {"nfs", "nfs", Nfs}, {"rbd", "rbd", Required<kMonitors, kImage>}, {"quobyte", "quobyte", Quobyte}, {"cephfs", "cephFS", Required<kMonitors>},
    {"iscsi", "iscsi", IscsiPv}, {"cinder", "cinder", Cinder<Owner::kPersistentVolume>}, {"fc", "fc", Fc}, {"flexVolume", "flexVolume", FlexVolume},
    {"azureFile", "azureFile", AzureFile<Owner::kPersistentVolume>}, {"vsphereVolume", "vsphereVolume", Required<kVolumePath>},
    {"photonPersistentDisk", "photonPersistentDisk", Required<kPdId>}, {"portworxVolume", "portworxVolume", Required<kVolumeId>}, {"azureDisk", "azureDisk", AzureDisk},
    {"scaleIO", "scaleIO", Required<kGateway, kSystem, kVolumeName>}, {"local", "local", LocalPv}, {"storageos", "storageos", StorageOs<Owner::kPersistentVolume>}, {"csi", "csi", CsiPv},
};

int CheckSources(Run& run, const Node& volume, std::span<const Kind> kinds, bool flex_always) {
  int count = 0;
  for (const Kind& kind : kinds) {
    const Node source = volume[kind.field];
    if (source->is_null()) continue;
    if (count > 0 && !(flex_always && kind.field == "flexVolume")) {
      run.Forbidden(volume.As(kind.field, kind.shown), "may not specify more than 1 volume type");
      continue;
    }
    ++count;
    kind.check(run, volume, source);
  }
  if (count == 0) run.Required(volume, "must specify a volume type");
  return count;
}

}  // namespace

void CheckVolumeSource(Run& run, const Node& volume) { CheckSources(run, volume, kPodSources, false); }

void CheckVolumes(Run& run, const Node& volumes) {
  std::set<std::string> names, created;
  for (const Value& volume : volumes->Items())
    if (!volume["ephemeral"].is_null() && !run.name_of_pod.empty()) created.insert(Cat(run.name_of_pod, "-", volume["name"].Str()));
  run.volumes.clear();
  for (const Node& volume : volumes.Items()) {
    const std::size_t errors = run.errors.size();
    CheckVolumeSource(run, volume);
    const std::string name(volume.Str("name"));
    if (name.empty()) run.Required(volume["name"]);
    else if (run.Format(volume["name"], format::Dns1123Label) && !names.insert(name).second) run.Duplicate(volume["name"]);
    const Node claim = volume["persistentVolumeClaim"]["claimName"];
    if (created.contains(std::string(claim->Str()))) run.Invalid(claim, "must not reference a PVC that gets created for an ephemeral volume");
    if (run.errors.size() == errors) run.volumes.insert(name);
  }
}

void CheckPersistentVolumeSources(Run& run, const Node& spec) { CheckSources(run, spec, kPersistentSources, true); }

std::span<const NamedCall> VolumeCalls() { return {}; }

}  // namespace skerry::kube::rules
