#include "core/base/strings.h"
#include "embedded-kube-shim/auth/rbac.h"

namespace skerry::kube {
namespace {

// One line an item, fields separated by " ; ", lists by ",". "core" is the core group, "*" everything.
//   C name [label=value …]            a cluster role                    L ns name   a role
//   R verbs ; groups ; resources [; names]      a rule of it            U verbs ; urls
//   A label=value                     aggregated from roles with this label
//   B name ; role ; kind:subject,…    a cluster role binding            N ns name ; [Role:]role ; subjects   a role binding
// Subjects: group:NAME, user:NAME, sa:NAMESPACE/NAME.
constexpr std::string_view kPolicy = R"(
C cluster-admin
R * ; * ; *
U * ; *
B cluster-admin ; cluster-admin ; group:system:masters

C system:discovery
U get ; /api,/api/*,/apis,/apis/*,/healthz,/livez,/openapi,/openapi/*,/readyz,/version,/version/
B system:discovery ; system:discovery ; group:system:authenticated
C system:basic-user
R create ; authorization.k8s.io ; selfsubjectaccessreviews,selfsubjectrulesreviews
R create ; authentication.k8s.io ; selfsubjectreviews
B system:basic-user ; system:basic-user ; group:system:authenticated
C system:public-info-viewer
U get ; /healthz,/livez,/readyz,/version,/version/
B system:public-info-viewer ; system:public-info-viewer ; group:system:authenticated,group:system:unauthenticated
C system:monitoring
U get ; /healthz,/healthz/*,/livez,/livez/*,/metrics,/metrics/slis,/readyz,/readyz/*
B system:monitoring ; system:monitoring ; group:system:monitoring
C system:service-account-issuer-discovery
U get ; /.well-known/openid-configuration,/.well-known/openid-configuration/,/openid/v1/jwks,/openid/v1/jwks/
B system:service-account-issuer-discovery ; system:service-account-issuer-discovery ; group:system:serviceaccounts

C admin
A rbac.authorization.k8s.io/aggregate-to-admin=true
C edit rbac.authorization.k8s.io/aggregate-to-admin=true
A rbac.authorization.k8s.io/aggregate-to-edit=true
C view rbac.authorization.k8s.io/aggregate-to-edit=true
A rbac.authorization.k8s.io/aggregate-to-view=true
C system:aggregate-to-admin rbac.authorization.k8s.io/aggregate-to-admin=true
R create ; authorization.k8s.io ; localsubjectaccessreviews
R create,delete,deletecollection,get,list,patch,update,watch ; rbac.authorization.k8s.io ; rolebindings,roles
C system:aggregate-to-edit rbac.authorization.k8s.io/aggregate-to-edit=true
R get,list,watch ; core ; pods/attach,pods/exec,pods/portforward,pods/proxy,secrets,services/proxy
R impersonate ; core ; serviceaccounts
R create,delete,deletecollection,patch,update ; core ; pods,pods/attach,pods/exec,pods/portforward,pods/proxy
R create ; core ; pods/eviction
R create,delete,deletecollection,patch,update ; core,events.k8s.io ; events
R create,delete,deletecollection,patch,update ; core ; configmaps,persistentvolumeclaims,replicationcontrollers,replicationcontrollers/scale,secrets,serviceaccounts,services,services/proxy
R create ; core ; serviceaccounts/token
R create,delete,deletecollection,patch,update ; apps ; daemonsets,deployments,deployments/rollback,deployments/scale,replicasets,replicasets/scale,statefulsets,statefulsets/scale
R create,delete,deletecollection,patch,update ; autoscaling ; horizontalpodautoscalers
R create,delete,deletecollection,patch,update ; batch ; cronjobs,jobs
R create,delete,deletecollection,patch,update ; extensions ; daemonsets,deployments,deployments/rollback,deployments/scale,ingresses,networkpolicies,replicasets,replicasets/scale,replicationcontrollers/scale
R create,delete,deletecollection,patch,update ; policy ; poddisruptionbudgets
R create,delete,deletecollection,patch,update ; networking.k8s.io ; ingresses,networkpolicies
R create,delete,deletecollection,get,list,patch,update,watch ; coordination.k8s.io ; leases
R create,delete,deletecollection,patch,update ; resource.k8s.io ; resourceclaims,resourceclaimtemplates
C system:aggregate-to-view rbac.authorization.k8s.io/aggregate-to-view=true
R get,list,watch ; core ; configmaps,endpoints,persistentvolumeclaims,persistentvolumeclaims/status,pods,replicationcontrollers,replicationcontrollers/scale,serviceaccounts,services,services/status
R get,list,watch ; core,events.k8s.io ; events
R get,list,watch ; core ; bindings,limitranges,namespaces/status,pods/log,pods/status,replicationcontrollers/status,resourcequotas,resourcequotas/status
R get,list,watch ; core ; namespaces
R get,list,watch ; discovery.k8s.io ; endpointslices
R get,list,watch ; apps ; controllerrevisions,daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,replicasets,replicasets/scale,replicasets/status,statefulsets,statefulsets/scale,statefulsets/status
R get,list,watch ; autoscaling ; horizontalpodautoscalers,horizontalpodautoscalers/status
R get,list,watch ; batch ; cronjobs,cronjobs/status,jobs,jobs/status
R get,list,watch ; extensions ; daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,ingresses,ingresses/status,networkpolicies,replicasets,replicasets/scale,replicasets/status,replicationcontrollers/scale
R get,list,watch ; policy ; poddisruptionbudgets,poddisruptionbudgets/status
R get,list,watch ; networking.k8s.io ; ingresses,ingresses/status,networkpolicies
R get,list,watch ; resource.k8s.io ; resourceclaims,resourceclaims/status,resourceclaimtemplates

C system:auth-delegator
R create ; authentication.k8s.io ; tokenreviews
R create ; authorization.k8s.io ; subjectaccessreviews
C system:kubelet-api-admin
R get,list,watch ; core ; nodes
R proxy ; core ; nodes
R * ; core ; nodes/log,nodes/metrics,nodes/proxy,nodes/stats
C system:node-bootstrapper
R create,get,list,watch ; certificates.k8s.io ; certificatesigningrequests
C system:node
R create ; authentication.k8s.io ; tokenreviews
R create ; authorization.k8s.io ; localsubjectaccessreviews,subjectaccessreviews
R get,list,watch ; core ; services
R create,get,list,watch ; core ; nodes
R patch,update ; core ; nodes/status
R patch,update ; core ; nodes
R create,patch,update ; core ; events
R get,list,watch ; core ; pods
R create,delete ; core ; pods
R patch,update ; core ; pods/status
R create ; core ; pods/eviction
R get,list,watch ; core ; configmaps,secrets
R get ; core ; persistentvolumeclaims,persistentvolumes
R get ; core ; endpoints
R create,get,list,watch ; certificates.k8s.io ; certificatesigningrequests
R create,delete,get,patch,update ; coordination.k8s.io ; leases
R get ; storage.k8s.io ; volumeattachments
R create ; core ; serviceaccounts/token
R get,patch,update ; core ; persistentvolumeclaims/status
R get,list,watch ; storage.k8s.io ; csidrivers
R create,delete,get,patch,update ; storage.k8s.io ; csinodes
R get,list,watch ; node.k8s.io ; runtimeclasses
R get ; resource.k8s.io ; resourceclaims
R deletecollection ; resource.k8s.io ; resourceslices
R create,delete,get,list,patch,update,watch ; resource.k8s.io ; resourceslices
B system:node ; system:node ;
C skerry:router
R get,update ; networking.k8s.io ; ingresses/status
R get,update ; route.openshift.io ; routes/status
B skerry:router ; skerry:router ; user:system:skerry-router
C self-provisioner
R create,list ; project.openshift.io ; projectrequests
R get,list ; project.openshift.io ; projects
C basic-user
R get,list ; project.openshift.io ; projects
C system:node-proxier
R list,watch ; core ; endpoints,services
R get,list,watch ; core ; nodes
R create,patch,update ; core,events.k8s.io ; events
R list,watch ; discovery.k8s.io ; endpointslices
R list,watch ; networking.k8s.io ; servicecidrs
B system:node-proxier ; system:node-proxier ; user:system:kube-proxy
C system:node-problem-detector
R get ; core ; nodes
R patch ; core ; nodes/status
R create,patch,update ; core,events.k8s.io ; events
C system:kube-aggregator
R get,list,watch ; core ; endpoints,services
C system:kube-dns
R list,watch ; core ; endpoints,services
B system:kube-dns ; system:kube-dns ; sa:kube-system/kube-dns
C system:heapster
R get,list,watch ; core ; events,namespaces,nodes,pods
R get,list,watch ; extensions ; deployments
C system:persistent-volume-provisioner
R create,delete,get,list,watch ; core ; persistentvolumes
R get,list,update,watch ; core ; persistentvolumeclaims
R get,list,watch ; storage.k8s.io ; storageclasses
R watch ; core ; events
R create,patch,update ; core,events.k8s.io ; events
C system:volume-scheduler
R get,list,patch,update,watch ; core ; persistentvolumes
R get,list,watch ; storage.k8s.io ; storageclasses
R get,list,patch,update,watch ; core ; persistentvolumeclaims
B system:volume-scheduler ; system:volume-scheduler ; user:system:kube-scheduler
C system:kube-scheduler
R create,patch,update ; core,events.k8s.io ; events
R create ; coordination.k8s.io ; leases
R get,list,update,watch ; coordination.k8s.io ; leases
R get,list,watch ; core ; nodes
R delete,get,list,watch ; core ; pods
R create ; core ; bindings,pods/binding
R patch,update ; core ; pods/status
R get,list,watch ; core ; replicationcontrollers,services
R get,list,watch ; apps,extensions ; replicasets
R get,list,watch ; apps ; statefulsets
R get,list,watch ; policy ; poddisruptionbudgets
R get,list,watch ; core ; persistentvolumeclaims,persistentvolumes
R create ; authentication.k8s.io ; tokenreviews
R create ; authorization.k8s.io ; subjectaccessreviews
R get,list,watch ; storage.k8s.io ; csidrivers,csinodes,csistoragecapacities,storageclasses,volumeattachments
R get,list,watch ; core ; namespaces
R get,list,watch ; scheduling.k8s.io ; priorityclasses
R get,list,patch,update,watch ; resource.k8s.io ; deviceclasses,resourceclaims,resourceclaims/status,resourceslices
B system:kube-scheduler ; system:kube-scheduler ; user:system:kube-scheduler
C system:kube-controller-manager
R create,patch,update ; core,events.k8s.io ; events
R create ; coordination.k8s.io ; leases
R get,update ; coordination.k8s.io ; leases
R create ; core ; secrets,serviceaccounts
R delete ; core ; secrets
R get ; core ; configmaps,namespaces,secrets,serviceaccounts
R update ; core ; secrets,serviceaccounts
R create ; authentication.k8s.io ; tokenreviews
R create ; authorization.k8s.io ; subjectaccessreviews
R list,watch ; * ; *
R create ; core ; serviceaccounts/token
B system:kube-controller-manager ; system:kube-controller-manager ; user:system:kube-controller-manager

C system:certificates.k8s.io:certificatesigningrequests:nodeclient
R create ; certificates.k8s.io ; certificatesigningrequests/nodeclient
C system:certificates.k8s.io:certificatesigningrequests:selfnodeclient
R create ; certificates.k8s.io ; certificatesigningrequests/selfnodeclient
C system:certificates.k8s.io:kube-apiserver-client-approver
R approve ; certificates.k8s.io ; signers ; kubernetes.io/kube-apiserver-client
C system:certificates.k8s.io:kube-apiserver-client-kubelet-approver
R approve ; certificates.k8s.io ; signers ; kubernetes.io/kube-apiserver-client-kubelet
C system:certificates.k8s.io:kubelet-serving-approver
R approve ; certificates.k8s.io ; signers ; kubernetes.io/kubelet-serving
C system:certificates.k8s.io:legacy-unknown-approver
R approve ; certificates.k8s.io ; signers ; kubernetes.io/legacy-unknown

C system:controller:attachdetach-controller
R list,watch ; core ; persistentvolumeclaims,persistentvolumes
R get,list,watch ; core ; nodes,pods
R patch,update ; core ; nodes/status
R create,delete,get,list,watch ; storage.k8s.io ; volumeattachments
R get,list,watch ; storage.k8s.io ; csidrivers,csinodes
R create,patch,update ; core,events.k8s.io ; events
C system:controller:certificate-controller
R delete,get,list,watch ; certificates.k8s.io ; certificatesigningrequests
R update ; certificates.k8s.io ; certificatesigningrequests/approval,certificatesigningrequests/status
R approve ; certificates.k8s.io ; signers ; kubernetes.io/kube-apiserver-client-kubelet
R sign ; certificates.k8s.io ; signers ; kubernetes.io/kube-apiserver-client,kubernetes.io/kube-apiserver-client-kubelet,kubernetes.io/kubelet-serving,kubernetes.io/legacy-unknown
R create ; authorization.k8s.io ; subjectaccessreviews
R create,patch,update ; core,events.k8s.io ; events
C system:controller:clusterrole-aggregation-controller
R escalate,get,list,patch,update,watch ; rbac.authorization.k8s.io ; clusterroles
C system:controller:cronjob-controller
R get,list,update,watch ; batch ; cronjobs
R create,delete,get,list,patch,update,watch ; batch ; jobs
R update ; batch ; cronjobs/status
R update ; batch ; cronjobs/finalizers
R delete,list ; core ; pods
R create,patch,update ; core,events.k8s.io ; events
C system:controller:daemon-set-controller
R get,list,watch ; apps,extensions ; daemonsets
R update ; apps,extensions ; daemonsets/status
R update ; apps,extensions ; daemonsets/finalizers
R list,watch ; core ; nodes
R create,delete,list,patch,watch ; core ; pods
R create ; core ; pods/binding
R create,delete,get,list,patch,update,watch ; apps ; controllerrevisions
R create,patch,update ; core,events.k8s.io ; events
C system:controller:deployment-controller
R get,list,update,watch ; apps,extensions ; deployments
R update ; apps,extensions ; deployments/status
R update ; apps,extensions ; deployments/finalizers
R create,delete,get,list,patch,update,watch ; apps,extensions ; replicasets
R get,list,update,watch ; core ; pods
R create,patch,update ; core,events.k8s.io ; events
C system:controller:disruption-controller
R get,list,watch ; apps,extensions ; deployments
R get,list,watch ; apps,extensions ; replicasets
R get,list,watch ; core ; replicationcontrollers
R get,list,watch ; policy ; poddisruptionbudgets
R get,list,watch ; apps ; statefulsets
R patch,update ; policy ; poddisruptionbudgets/status
R get,list,patch,watch ; core ; pods,pods/status
R get ; * ; */scale
R create,patch,update ; core,events.k8s.io ; events
C system:controller:endpoint-controller
R get,list,watch ; core ; pods,services
R create,delete,get,list,update,watch ; core ; endpoints
R create ; core ; endpoints/restricted
R create,patch,update ; core,events.k8s.io ; events
C system:controller:endpointslice-controller
R get,list,watch ; core ; nodes,pods,services
R update ; core ; services/finalizers
R create,delete,get,list,update,watch ; discovery.k8s.io ; endpointslices
R create ; discovery.k8s.io ; endpointslices/restricted
R create,patch,update ; core,events.k8s.io ; events
C system:controller:endpointslicemirroring-controller
R get,list,watch ; core ; endpoints,services
R update ; core ; services/finalizers
R update ; core ; endpoints/finalizers
R create,delete,get,list,update,watch ; discovery.k8s.io ; endpointslices
R create ; discovery.k8s.io ; endpointslices/restricted
R create,patch,update ; core,events.k8s.io ; events
C system:controller:ephemeral-volume-controller
R get,list,watch ; core ; pods
R update ; core ; pods/finalizers
R create,get,list,watch ; core ; persistentvolumeclaims
R create,patch,update ; core,events.k8s.io ; events
C system:controller:expand-controller
R get,list,patch,update,watch ; core ; persistentvolumes
R patch,update ; core ; persistentvolumeclaims/status
R get,list,watch ; core ; persistentvolumeclaims
R create,patch,update ; core,events.k8s.io ; events
C system:controller:generic-garbage-collector
R delete,get,list,patch,update,watch ; * ; *
R create,patch,update ; core,events.k8s.io ; events
C system:controller:horizontal-pod-autoscaler
R get,list,watch ; autoscaling ; horizontalpodautoscalers
R update ; autoscaling ; horizontalpodautoscalers/status
R get,update ; * ; */scale
R list ; core ; pods
R list ; metrics.k8s.io ; pods
R get,list ; custom.metrics.k8s.io ; *
R get,list ; external.metrics.k8s.io ; *
R create,patch,update ; core,events.k8s.io ; events
C system:controller:job-controller
R get,list,patch,update,watch ; batch ; jobs
R update ; batch ; jobs/status
R update ; batch ; jobs/finalizers
R create,delete,list,patch,watch ; core ; pods
R create,patch,update ; core,events.k8s.io ; events
C system:controller:legacy-service-account-token-cleaner
R get ; core ; configmaps ; kube-apiserver-legacy-service-account-token-tracking
R delete,patch ; core ; secrets
C system:controller:namespace-controller
R delete,get,list,watch ; core ; namespaces
R update ; core ; namespaces/finalize,namespaces/status
R delete,deletecollection,get,list ; * ; *
C system:controller:node-controller
R delete,get,list,patch,update,watch ; core ; nodes
R patch,update ; core ; nodes/status
R patch,update ; core ; pods/status
R delete,list ; core ; pods
R get ; core ; pods
R create,patch,update ; core,events.k8s.io ; events
C system:controller:persistent-volume-binder
R create,delete,get,list,update,watch ; core ; persistentvolumes
R update ; core ; persistentvolumes/status
R get,list,update,watch ; core ; persistentvolumeclaims
R update ; core ; persistentvolumeclaims/status
R create,delete,get,list,watch ; core ; pods
R get,list,watch ; storage.k8s.io ; storageclasses
R get,list ; core ; nodes
R watch ; core ; events
R create,patch,update ; core,events.k8s.io ; events
C system:controller:pod-garbage-collector
R delete,list,watch ; core ; pods
R get,list ; core ; nodes
R patch,update ; core ; pods/status
C system:controller:pv-protection-controller
R get,list,update,watch ; core ; persistentvolumes
R create,patch,update ; core,events.k8s.io ; events
C system:controller:pvc-protection-controller
R get,list,update,watch ; core ; persistentvolumeclaims
R get,list,watch ; core ; pods
R create,patch,update ; core,events.k8s.io ; events
C system:controller:replicaset-controller
R get,list,update,watch ; apps,extensions ; replicasets
R update ; apps,extensions ; replicasets/status
R update ; apps,extensions ; replicasets/finalizers
R create,delete,list,patch,watch ; core ; pods
R create,patch,update ; core,events.k8s.io ; events
C system:controller:replication-controller
R get,list,update,watch ; core ; replicationcontrollers
R update ; core ; replicationcontrollers/status
R update ; core ; replicationcontrollers/finalizers
R create,delete,list,patch,watch ; core ; pods
R create,patch,update ; core,events.k8s.io ; events
C system:controller:resourcequota-controller
R list,watch ; * ; *
R update ; core ; resourcequotas/status
R create,patch,update ; core,events.k8s.io ; events
C system:controller:root-ca-cert-publisher
R create,update ; core ; configmaps
R create,patch,update ; core,events.k8s.io ; events
C system:controller:service-account-controller
R create ; core ; serviceaccounts
R create,patch,update ; core,events.k8s.io ; events
C system:controller:service-cidrs-controller
R get,list,patch,update,watch ; networking.k8s.io ; servicecidrs
R patch,update ; networking.k8s.io ; servicecidrs/finalizers
R patch,update ; networking.k8s.io ; servicecidrs/status
R get,list,watch ; networking.k8s.io ; ipaddresses
R create,patch,update ; core,events.k8s.io ; events
C system:controller:statefulset-controller
R list,watch ; core ; pods
R get,list,watch ; apps ; statefulsets
R update ; apps ; statefulsets/status
R update ; apps ; statefulsets/finalizers
R create,delete,get,patch,update ; core ; pods
R create,delete,get,list,patch,update,watch ; apps ; controllerrevisions
R create,get ; core ; persistentvolumeclaims
R delete,update ; core ; persistentvolumeclaims
R create,patch,update ; core,events.k8s.io ; events
C system:controller:ttl-after-finished-controller
R delete,get,list,watch ; batch ; jobs
R create,patch,update ; core,events.k8s.io ; events
C system:controller:ttl-controller
R list,patch,update,watch ; core ; nodes
R create,patch,update ; core,events.k8s.io ; events
C system:controller:validatingadmissionpolicy-status-controller
R get,list,watch ; admissionregistration.k8s.io ; validatingadmissionpolicies
R get,patch,update ; admissionregistration.k8s.io ; validatingadmissionpolicies/status
R create,patch,update ; core,events.k8s.io ; events
C system:controller:volumeattributesclass-protection-controller
R get,list,watch ; core ; persistentvolumeclaims
R get,list,watch ; core ; persistentvolumes
R get,list,update,watch ; storage.k8s.io ; volumeattributesclasses
R create,patch,update ; core,events.k8s.io ; events

L kube-system extension-apiserver-authentication-reader
R get,list,watch ; core ; configmaps ; extension-apiserver-authentication
N kube-system system::extension-apiserver-authentication-reader ; Role:extension-apiserver-authentication-reader ; user:system:kube-controller-manager,user:system:kube-scheduler
L kube-system system::leader-locking-kube-controller-manager
R watch ; core ; configmaps
R get,update ; core ; configmaps ; kube-controller-manager
N kube-system system::leader-locking-kube-controller-manager ; Role:system::leader-locking-kube-controller-manager ; user:system:kube-controller-manager,sa:kube-system/kube-controller-manager
L kube-system system::leader-locking-kube-scheduler
R watch ; core ; configmaps
R get,update ; core ; configmaps ; kube-scheduler
N kube-system system::leader-locking-kube-scheduler ; Role:system::leader-locking-kube-scheduler ; user:system:kube-scheduler,sa:kube-system/kube-scheduler
L kube-public system:controller:bootstrap-signer
R get,list,watch ; core ; configmaps
R update ; core ; configmaps ; cluster-info
R create,patch,update ; core,events.k8s.io ; events
N kube-public system:controller:bootstrap-signer ; Role:system:controller:bootstrap-signer ; sa:kube-system/bootstrap-signer
)";

constexpr std::string_view kGroup = "rbac.authorization.k8s.io";

std::vector<std::string> List(std::string_view text) {
  std::vector<std::string> out;
  for (const std::string_view item : Split(Trim(text), ',')) {
    if (!item.empty()) out.emplace_back(item == "core" ? "" : item);
  }
  return out;
}

json::Value Strings(const std::vector<std::string>& items) {
  json::Value v = json::Value::Array();
  for (const std::string& s : items) v.Append(s);
  return v;
}

std::vector<std::string_view> Fields(std::string_view line) {
  std::vector<std::string_view> out;
  for (;;) {
    const std::size_t at = line.find(" ;");
    out.push_back(Trim(line.substr(0, at)));
    if (at == std::string_view::npos) return out;
    line.remove_prefix(at + 2);
  }
}

json::Value NewObject(std::string_view kind, std::string_view ns, std::string_view name) {
  json::Value o;
  o.Set("apiVersion") = Cat(kGroup, "/v1");
  o.Set("kind") = kind;
  json::Value& meta = o.Set("metadata");
  meta.Set("name") = name;
  if (!ns.empty()) meta.Set("namespace") = ns;
  meta.Set("labels").Set("kubernetes.io/bootstrapping") = "rbac-defaults";
  meta.Set("annotations").Set("rbac.authorization.kubernetes.io/autoupdate") = "true";
  return o;
}

json::Value Subject(std::string_view text) {
  json::Value s;
  if (text.starts_with("sa:")) {
    const std::string_view both = text.substr(3);
    const std::size_t slash = both.find('/');
    s.Set("kind") = "ServiceAccount";
    s.Set("name") = both.substr(slash + 1);
    s.Set("namespace") = both.substr(0, slash);
    return s;
  }
  const bool group = text.starts_with("group:");
  s.Set("kind") = group ? "Group" : "User";
  s.Set("apiGroup") = kGroup;
  s.Set("name") = text.substr(group ? 6 : 5);
  return s;
}

json::Value Binding(std::string_view ns, std::string_view name, std::string_view role, std::string_view subjects) {
  json::Value b = NewObject(ns.empty() ? "ClusterRoleBinding" : "RoleBinding", ns, name);
  const bool local = role.starts_with("Role:");
  for (const std::string& s : List(subjects)) b.Set("subjects").Append(Subject(s));
  json::Value& ref = b.Set("roleRef");
  ref.Set("apiGroup") = kGroup;
  ref.Set("kind") = local ? "Role" : "ClusterRole";
  ref.Set("name") = local ? role.substr(5) : role;
  return b;
}

void AddLabels(json::Value& role, std::span<const std::string_view> words) {
  for (const std::string_view w : words) {
    const std::size_t eq = w.find('=');
    role.Set("metadata").Set("labels").Set(w.substr(0, eq)) = w.substr(eq + 1);
  }
}

void AddRule(json::Value& role, char kind, std::string_view rest) {
  const std::vector<std::string_view> f = Fields(rest);
  json::Value rule;
  rule.Set("verbs") = Strings(List(f[0]));
  if (kind == 'U') {
    rule.Set("nonResourceURLs") = Strings(List(f[1]));
  } else {
    rule.Set("apiGroups") = Strings(List(f[1]));
    rule.Set("resources") = Strings(List(f[2]));
    if (f.size() > 3) rule.Set("resourceNames") = Strings(List(f[3]));
  }
  role.Set("rules").Append(std::move(rule));
}

}  // namespace

namespace {

std::vector<json::Value> Parse(std::string_view policy) {
  std::vector<json::Value> out;
  std::size_t role = 0;   // index of the role that rules go to
  for (const std::string_view line : Split(policy, '\n')) {
    if (line.size() < 3) continue;
    const std::string_view rest = line.substr(2);
    const std::vector<std::string_view> words = Split(Fields(rest)[0], ' ');
    switch (line[0]) {
      case 'C':
        out.push_back(NewObject("ClusterRole", "", words[0]));
        role = out.size() - 1;
        AddLabels(out[role], std::span(words).subspan(1));
        if (words[0].starts_with("system:controller:")) {
          // Each controller is a service account of kube-system bound to the role of its name.
          const std::string_view controller = words[0].substr(sizeof "system:controller:" - 1);
          out.push_back(Binding("", words[0], words[0], Cat("sa:kube-system/", controller)));
        }
        break;
      case 'L':
        out.push_back(NewObject("Role", words[0], words[1]));
        role = out.size() - 1;
        break;
      case 'R':
      case 'U': AddRule(out[role], line[0], rest); break;
      case 'A': {
        const std::size_t eq = rest.find('=');
        json::Value selector;
        selector.Set("matchLabels").Set(rest.substr(0, eq)) = rest.substr(eq + 1);
        out[role].Set("aggregationRule").Set("clusterRoleSelectors").Append(std::move(selector));
        break;
      }
      case 'B': out.push_back(Binding("", Fields(rest)[0], Fields(rest)[1], Fields(rest)[2])); break;
      case 'N': out.push_back(Binding(words[0], words[1], Fields(rest)[1], Fields(rest)[2])); break;
      default: break;
    }
  }
  return out;
}

constexpr std::string_view kMetricsPolicy = R"(
C system:aggregated-metrics-reader rbac.authorization.k8s.io/aggregate-to-admin=true rbac.authorization.k8s.io/aggregate-to-edit=true rbac.authorization.k8s.io/aggregate-to-view=true
R get,list,watch ; metrics.k8s.io ; nodes,pods
)";

}  // namespace

std::vector<json::Value> BootstrapPolicy() { return Parse(kPolicy); }
std::vector<json::Value> MetricsPolicy() { return Parse(kMetricsPolicy); }

}  // namespace skerry::kube
