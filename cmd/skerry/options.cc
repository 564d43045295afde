#include "cmd/skerry/options.h"

#include <unistd.h>

#include "core/base/files.h"
#include "core/base/strings.h"
#include "core/netlink/address.h"
#include "core/text/yaml.h"

namespace skerry::cmd {

const std::vector<Flag>& StartFlags() {
  static const std::vector<Flag> flags = {
      {"data-dir", &Options::data_dir, "DIR", "where state, images, volumes and keys are kept"},
      {"run-dir", &Options::run_dir, "DIR", "sockets and what does not outlive a reboot"},
      {"config", &Options::config, "FILE", "configuration file: these names and values as YAML"},
      {"kubeconfig-out", &Options::kubeconfig_out, "FILE", "where the administrator's kubeconfig is written"},
      {"listen", &Options::listen, "ADDRESS:PORT", "API and console (TLS)"},
      {"node-ip", &Options::node_ip, "ADDRESS", "address of this node"},
      {"node-name", &Options::node_name, "NAME", "name of this node"},
      {"cluster-cidr", &Options::cluster_cidr, "CIDR", "pod addresses"},
      {"service-cidr", &Options::service_cidr, "CIDR", "service addresses"},
      {"dns-domain", &Options::dns_domain, "NAME", "cluster domain"},
      {"apps-domain", &Options::apps_domain, "NAME", "suffix of the host names that routes get"},
      {"runtime", &Options::runtime, "auto|oci|docker|none", "container driver; none = control plane only"},
      {"docker-socket", &Options::docker_socket, "PATH", "Docker or Podman socket; makes auto choose docker"},
      {"registry-listen", &Options::registry_listen, "ADDRESS:PORT", "built-in image registry; none = off"},
      {"router-http", &Options::router_http, "ADDRESS:PORT", "router, plain HTTP; none = off"},
      {"router-https", &Options::router_https, "ADDRESS:PORT", "router, TLS; none = off"},
      {"log-level", &Options::log_level, "debug|info|warn|error", "least severity that is logged"},
      {"log-format", &Options::log_format, "text|json", "form of log lines on stderr"},
      {"history", &Options::history, "DURATION", "how long old revisions can be listed and watched from"},
      {"hollow-nodes", &Options::hollow_nodes, "N", "add nodes that only pretend to run their pods, for tests of scale"},
      {"scheduler-config", &Options::scheduler_config, "FILE", "scheduler profiles (KubeSchedulerConfiguration): by schedulerName, plugins and weights"},
      {"token-auth-file", &Options::token_auth_file, "FILE", "static bearer tokens: token,user,uid[,\"group,group\"] per line"},
      {"client-ca-file", &Options::client_ca_file, "FILE", "further authorities for client certificates (PEM)"},
      {"authentication-config", &Options::authentication_config, "FILE", "issuers of tokens and anonymous access (AuthenticationConfiguration)"},
      {"anonymous-auth", &Options::anonymous_auth, "true|false", "requests without credentials are those of system:anonymous"},
      {"oidc-issuer-url", &Options::oidc_issuer_url, "URL", "OpenID Connect issuer whose tokens are accepted"},
      {"oidc-client-id", &Options::oidc_client_id, "NAME", "audience that its tokens must be for"},
      {"oidc-username-claim", &Options::oidc_username_claim, "CLAIM", "claim that holds the user's name"},
      {"oidc-username-prefix", &Options::oidc_username_prefix, "TEXT", "put before user names; - = nothing"},
      {"oidc-groups-claim", &Options::oidc_groups_claim, "CLAIM", "claim that holds the user's groups"},
      {"oidc-groups-prefix", &Options::oidc_groups_prefix, "TEXT", "put before group names"},
      {"oidc-required-claim", &Options::oidc_required_claim, "CLAIM=VALUE,…", "claims a token must have"},
      {"oidc-ca-file", &Options::oidc_ca_file, "FILE", "authority of the issuer's certificate (PEM)"},
      {"max-requests-inflight", &Options::max_requests_inflight, "N", "seats for requests, shared by the priority levels together with the next"},
      {"max-mutating-requests-inflight", &Options::max_mutating_requests_inflight, "N", "further seats; both 0 = no limit"},
      {"audit-policy-file", &Options::audit_policy_file, "FILE", "what is audited (Policy of audit.k8s.io/v1)"},
      {"audit-log-path", &Options::audit_log_path, "FILE", "audit log; - = standard output"},
      {"audit-log-maxsize", &Options::audit_log_maxsize, "MB", "size at which the audit log is set aside"},
      {"audit-log-maxbackup", &Options::audit_log_maxbackup, "N", "audit logs that are kept aside; 0 = all"},
      {"audit-log-maxage", &Options::audit_log_maxage, "DAYS", "age at which they are removed; 0 = never"},
      {"service-cluster-ip-range", &Options::service_cidr, "CIDR", "the same as service-cidr"},
      {"tls-cert-file", &Options::tls_cert_file, "FILE", "certificate for clients that ask for another name than ours (PEM, with its chain)"},
      {"tls-private-key-file", &Options::tls_private_key_file, "FILE", "its key"},
      {"feature-gates", &Options::feature_gates, "NAME=BOOL,…", "names of Kubernetes are accepted; what they guard is as in a default 1.36"},
      {"encryption-provider-config", &Options::encryption_provider_config, "FILE", "what is sealed on disk and by which keys (EncryptionConfiguration); without it Secrets, by a key of our own"},
      {"authorization-mode", &Options::authorization_mode, "MODES", "in order, of Node, RBAC, AlwaysAllow, AlwaysDeny"},
      {"enable-admission-plugins", &Options::enable_admission_plugins, "NAMES", "admission plugins besides those that are on by default"},
      {"disable-admission-plugins", &Options::disable_admission_plugins, "NAMES", "admission plugins that are off although on by default"},
  };
  return flags;
}

namespace {

const Flag* FindFlag(std::string_view name) {
  for (const Flag& f : StartFlags()) {
    if (name == f.name) return &f;
  }
  return nullptr;
}

Result<> OneOf(std::string_view flag, const std::string& value, std::string_view allowed) {
  for (const std::string_view a : Split(allowed, '|')) {
    if (a == value) return {};
  }
  return Fail(Code::kInvalid, Cat("--", flag, "=", value, ": expected one of ", allowed));
}

Result<netlink::Ipv4Range> Range(std::string_view flag, const std::string& value, int longest) {
  const auto range = netlink::Ipv4Range::Parse(value);
  if (!range || range->prefix > static_cast<unsigned>(longest)) return Fail(Code::kInvalid, Cat("--", flag, "=", value, ": expected an IPv4 range of at most /", longest, " such as 10.42.0.0/16"));
  return *range;
}

Result<> CheckNetwork(const Options& o) {
  TRY(const auto pods, Range("cluster-cidr", o.cluster_cidr, 30));
  TRY(const auto services, Range("service-cidr", o.service_cidr, 27));
  if (pods.Contains(services.base) || services.Contains(pods.base)) {
    return Fail(Code::kInvalid, Cat("--cluster-cidr=", o.cluster_cidr, " and --service-cidr=", o.service_cidr, " overlap"));
  }
  if (!o.node_ip.empty() && !netlink::Ipv4::Parse(o.node_ip)) return Fail(Code::kInvalid, Cat("--node-ip=", o.node_ip, ": expected an IPv4 address"));
  return {};
}

struct Assignment {
  const Flag* flag;
  std::string value;
};

Result<std::vector<Assignment>> ReadFlags(const std::vector<std::string>& args, bool* help) {
  std::vector<Assignment> out;
  for (std::size_t i = 0; i < args.size(); ++i) {
    std::string_view arg = args[i];
    if (arg == "-h" || arg == "--help") {
      *help = true;
      continue;
    }
    if (!arg.starts_with("--")) return Fail(Code::kInvalid, Cat("unexpected argument \"", arg, "\"; see --help"));
    arg.remove_prefix(2);
    const std::size_t eq = arg.find('=');
    const Flag* flag = FindFlag(arg.substr(0, eq));
    if (!flag) return Fail(Code::kInvalid, Cat("unknown flag --", arg.substr(0, eq), "; see --help"));
    if (eq != std::string_view::npos) {
      out.push_back({flag, std::string(arg.substr(eq + 1))});
    } else if (i + 1 < args.size()) {
      out.push_back({flag, args[++i]});
    } else {
      return Fail(Code::kInvalid, Cat("--", flag->name, " needs a value (", flag->value, ")"));
    }
  }
  return out;
}

Result<> ReadConfiguration(const std::string& path, bool must_exist, Options* options) {
  auto text = ReadFile(path, 1 << 20);
  if (!text) {
    if (!must_exist && text.error().code() == Code::kNotFound) return {};
    return std::unexpected(std::move(text).error());
  }
  auto parsed = text::ParseYaml(*text);
  if (!parsed) return std::unexpected(std::move(parsed.error()).Wrap(path));
  if (!parsed->is_object() && !parsed->is_null()) return Fail(Code::kInvalid, path + ": expected a mapping of option names to values");
  for (const json::Member& m : parsed->Members()) {
    const Flag* flag = FindFlag(m.key);
    if (!flag || m.key == "config") return Fail(Code::kInvalid, Cat(path, ": unknown option \"", m.key, "\"; see skerry start --help"));
    if (!m.value.is_string() && !m.value.is_number()) return Fail(Code::kInvalid, Cat(path, ": option \"", m.key, "\" needs a single value"));
    options->*(flag->field) = m.value.is_string() ? std::string(m.value.Str()) : m.value.Dump();
  }
  return {};
}

std::string HostName() {
  char buffer[256] = {};
  ::gethostname(buffer, sizeof buffer - 1);
  std::string name = ToLower(buffer);
  for (char& c : name) {
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.')) c = '-';
  }
  return name.empty() ? "localhost" : name;
}

std::string RememberedPath(const Options& o) { return o.data_dir + "/options"; }

// A name that Kubernetes 1.36 knows; "AllAlpha" and "AllBeta" stand for many.
Result<> CheckFeatureGates(const std::string& gates) {
  constexpr std::string_view kKnown =
      ",APIResponseCompression,APIServerIdentity,APIServerTracing,APIServingWithRoutine,AggregatedDiscoveryRemoveBetaType,AllAlpha,AllBeta,AllowParsingUserUIDFromCertAuth,AllowUnsafeMalformedObjectDeletion,"
      "AnonymousAuthConfigurableEndpoints,AnyVolumeDataSource,AuthorizeNodeWithSelectors,AuthorizePodWebsocketUpgradeCreatePermission,AuthorizeWithSelectors,BtreeWatchCache,CBORServingAndStorage,CPUManagerPolicyAlphaOptions,"
      "CPUManagerPolicyBetaOptions,CPUManagerPolicyOptions,CRDValidationRatcheting,CSIMigrationPortworx,CSIVolumeHealth,ClearingNominatedNodeNameAfterBinding,ClusterTrustBundle,ClusterTrustBundleProjection,ComponentFlagz,ComponentSLIs,"
      "ComponentStatusz,ConcurrentWatchObjectDecode,ConsistentListFromCache,ConstrainedImpersonation,ContainerCheckpoint,ContainerRestartRules,ContainerStopSignals,ContextualLogging,CoordinatedLeaderElection,"
      "CrossNamespaceVolumeDataSource,CustomCPUCFSQuotaPeriod,CustomResourceFieldSelectors,DRAAdminAccess,DRAConsumableCapacity,DRADeviceBindingConditions,DRADeviceTaints,DRAExtendedResource,DRAPartitionableDevices,DRAPrioritizedList,"
      "DRAResourceClaimDeviceStatus,DRASchedulerFilterTimeout,DeclarativeValidation,DeclarativeValidationTakeover,DeploymentReplicaSetTerminatingReplicas,DetectCacheInconsistency,DisableAllocatorDualWrite,DisableCPUQuotaWithExclusiveCPUs,"
      "DisableNodeKubeProxyVersion,DynamicResourceAllocation,EnvFiles,EventedPLEG,ExecProbeTimeout,ExternalServiceAccountTokenSigner,GitRepoVolumeDriver,GracefulNodeShutdown,GracefulNodeShutdownBasedOnPodPriority,GenericWorkload,"
      "GangScheduling,HPAConfigurableTolerance,HPAScaleToZero,HonorPVReclaimPolicy,ImageMaximumGCAge,ImageVolume,ImageVolumeWithDigest,InOrderInformers,InPlacePodLevelResourcesVerticalScaling,InPlacePodVerticalScaling,"
      "InPlacePodVerticalScalingAllocatedStatus,InPlacePodVerticalScalingExclusiveCPUs,InPlacePodVerticalScalingExclusiveMemory,InPlacePodVerticalScalingInitContainers,JobBackoffLimitPerIndex,JobManagedBy,JobPodReplacementPolicy,"
      "JobSuccessPolicy,KMSv1,KubeletCgroupDriverFromCRI,KubeletCrashLoopBackOffMax,KubeletEnsureSecretPulledImages,KubeletFineGrainedAuthz,KubeletInUserNamespace,KubeletPSI,KubeletPodResourcesDynamicResources,KubeletPodResourcesGet,"
      "KubeletSeparateDiskGC,KubeletServiceAccountTokenForCredentialProviders,KubeletTracing,ListFromCacheSnapshot,LocalStorageCapacityIsolationFSQuotaMonitoring,LogarithmicScaleDown,LoggingAlphaOptions,LoggingBetaOptions,"
      "MatchLabelKeysInPodAffinity,MatchLabelKeysInPodTopologySpread,MatchLabelKeysInPodTopologySpreadSelectorMerge,MaxUnavailableStatefulSet,MemoryManager,MemoryQoS,MultiCIDRServiceAllocator,MutableCSINodeAllocatableCount,"
      "MutablePVNodeAffinity,MutablePodResourcesForSuspendedJobs,MutableSchedulingDirectivesForSuspendedJobs,MutatingAdmissionPolicy,NFTablesProxyMode,NodeDeclaredFeatures,NodeInclusionPolicyInPodTopologySpread,NodeLogQuery,NodeSwap,"
      "NominatedNodeNameForExpectation,OpenAPIEnums,OpportunisticBatching,OrderedNamespaceDeletion,PodAndContainerStatsFromCRI,PodCertificateRequest,PodDeletionCost,PodLevelResources,PodLifecycleSleepAction,"
      "PodLifecycleSleepActionAllowZero,PodLogsQuerySplitStreams,PodObservedGenerationTracking,PodReadyToStartContainersCondition,PodSchedulingReadiness,PodTopologyLabelsAdmission,PortForwardWebsockets,PreferSameTrafficDistribution,"
      "PreventStaticPodAPIReferences,ProcMountType,QOSReserved,RecoverVolumeExpansionFailure,RecursiveReadOnlyMounts,RelaxedDNSSearchValidation,RelaxedEnvironmentVariableValidation,RelaxedServiceNameValidation,ReloadKubeletServerCertificateFile,"
      "RemoteRequestHeaderUID,ResilientWatchCacheInitialization,ResourceHealthStatus,RestrictedKubeletPreferredAddressTypes,RetryGenerateName,RotateKubeletServerCertificate,RuntimeClassInImageCriApi,SELinuxChangePolicy,SELinuxMount,"
      "SELinuxMountReadWriteOncePod,SchedulerAsyncAPICalls,SchedulerAsyncPreemption,SchedulerPopFromBackoffQ,SchedulerQueueingHints,SeparateCacheWatchRPC,SeparateTaintEvictionController,ServiceAccountNodeAudienceRestriction,"
      "ServiceAccountTokenJTI,ServiceAccountTokenNodeBinding,ServiceAccountTokenNodeBindingValidation,ServiceAccountTokenPodNodeInfo,ServiceTrafficDistribution,SidecarContainers,SizeBasedListCostEstimate,StatefulSetAutoDeletePVC,"
      "StatefulSetSemanticRevisionComparison,StorageCapacityScoring,StorageNamespaceIndex,StorageVersionAPI,StorageVersionHash,StorageVersionMigrator,StreamingCollectionEncodingToJSON,StreamingCollectionEncodingToProtobuf,StrictCostEnforcementForVAP,"
      "StrictCostEnforcementForWebhooks,StrictIPCIDRValidation,StructuredAuthenticationConfiguration,StructuredAuthenticationConfigurationEgressSelector,StructuredAuthenticationConfigurationJWKSMetrics,StructuredAuthorizationConfiguration,"
      "SupplementalGroupsPolicy,SystemdWatchdog,TokenRequestServiceAccountUIDValidation,TopologyAwareHints,TopologyManagerPolicyAlphaOptions,TopologyManagerPolicyBetaOptions,TopologyManagerPolicyOptions,TranslateStreamCloseWebsocketRequests,"
      "UnauthenticatedHTTP2DOSMitigation,UnknownVersionInteroperabilityProxy,UserNamespacesPodSecurityStandards,UserNamespacesSupport,VolumeAttributesClass,WatchCacheInitializationPostStartHook,WatchFromStorageWithoutResourceVersion,WatchList,"
      "WatchListClient,WinDSR,WinOverlay,WindowsCPUAndMemoryAffinity,WindowsGracefulNodeShutdown,WindowsHostNetwork,";
  for (const std::string_view gate : Split(gates, ',')) {
    if (Trim(gate).empty()) continue;
    const std::size_t eq = gate.find('=');
    const std::string_view name = Trim(gate.substr(0, eq)), value = eq == gate.npos ? std::string_view() : Trim(gate.substr(eq + 1));
    if (value != "true" && value != "false") return Fail(Code::kInvalid, Cat("--feature-gates: ", Quote(gate), ": expected NAME=true or NAME=false"));
    if (kKnown.find(Cat(",", name, ",")) == kKnown.npos) return Fail(Code::kInvalid, Cat("--feature-gates: unrecognized feature gate: ", name));
  }
  return {};
}

Result<> MakeAbsolute(std::string* directory) {
  if (directory->empty()) return Fail(Code::kInvalid, "--data-dir needs a directory");
  if (directory->front() == '/') return {};
  char cwd[4096];
  if (!::getcwd(cwd, sizeof cwd)) return Fail(Code::kInvalid, "--data-dir: the current directory is gone; give an absolute path");
  *directory = std::string(cwd) + "/" + *directory;
  return {};
}

enum class Before : bool { kNothing, kRemembered };

Result<Options> Parse(const std::vector<std::string>& args, Before before) {
  Options o;
  TRY(const std::vector<Assignment> given, ReadFlags(args, &o.help));
  if (before == Before::kRemembered) {
    for (const Assignment& a : given) {
      if (a.flag->field == &Options::data_dir) o.data_dir = a.value;
    }
    TRY_VOID(MakeAbsolute(&o.data_dir));
    TRY_VOID(ReadConfiguration(RememberedPath(o), false, &o));
  }
  bool named = false;
  for (const Assignment& a : given) {
    if (a.flag->field == &Options::config) {
      o.config = a.value;
      named = true;
    }
  }
  TRY_VOID(ReadConfiguration(o.config, named, &o));
  for (const Assignment& a : given) o.*(a.flag->field) = a.value;
  TRY_VOID(OneOf("runtime", o.runtime, "auto|oci|docker|none"));
  TRY_VOID(OneOf("log-level", o.log_level, "debug|info|warn|error"));
  TRY_VOID(OneOf("anonymous-auth", o.anonymous_auth, "true|false"));
  TRY_VOID(CheckFeatureGates(o.feature_gates));
  if (o.tls_cert_file.empty() != o.tls_private_key_file.empty()) return Fail(Code::kInvalid, "--tls-cert-file and --tls-private-key-file need each other");
  TRY_VOID(OneOf("log-format", o.log_format, "text|json"));
  if (const auto n = ParseInt(o.hollow_nodes); !n || *n < 0 || *n > 5000) return Fail(Code::kInvalid, Cat("--hollow-nodes=", o.hollow_nodes, ": expected 0 to 5000"));
  TRY_VOID(CheckNetwork(o));
  TRY_VOID(MakeAbsolute(&o.data_dir));
  if (o.node_name.empty()) o.node_name = HostName();
  const bool default_place = o.data_dir == "/var/lib/skerry";
  if (o.kubeconfig_out.empty()) o.kubeconfig_out = default_place ? "/etc/skerry/kubeconfig" : o.data_dir + "/kubeconfig";
  if (!default_place && o.run_dir == "/run/skerry") o.run_dir = o.data_dir + "/run";   // a second instance must not meet the first
  return o;
}

}  // namespace

Result<Options> ParseOptions(const std::vector<std::string>& args) { return Parse(args, Before::kNothing); }
Result<Options> ParseInstanceOptions(const std::vector<std::string>& args) { return Parse(args, Before::kRemembered); }

Result<> RememberOptions(const Options& o) {
  auto text = json::Value::Object();   // which is YAML
  for (const Flag& f : StartFlags()) {
    if (f.field != &Options::config && f.field != &Options::data_dir && !(o.*(f.field)).empty()) text.Set(f.name) = o.*(f.field);
  }
  return WriteFileDurably(RememberedPath(o), text.Dump() + "\n", 0600);
}

std::string StartHelp() {
  std::string out =
      "usage: skerry start [flags]\n\n"
      "Starts the appliance in the foreground: API, controllers, scheduler, node agent, registry, router, DNS and console.\n\n";
  const Options defaults;
  for (const Flag& f : StartFlags()) {
    std::string left = Cat("  --", f.name, "=", f.value);
    if (left.size() < 38) left.resize(38, ' ');
    out += Cat(left, " ", f.help);
    const std::string& value = defaults.*(f.field);
    if (!value.empty()) out += Cat(" (", value, ")");
    out += '\n';
  }
  return out;
}

}  // namespace skerry::cmd
