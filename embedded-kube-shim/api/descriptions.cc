#include "embedded-kube-shim/api/descriptions.h"

#include <unordered_map>

#include "core/base/strings.h"

namespace skerry::kube::openapi {
namespace {

struct Row { std::string_view definition, field, text; };   // the definition without "io.k8s.api." or "io.k8s.apimachinery.pkg.apis."; "*" = any type

constexpr Row kRows[] = {
    {"*", "apiVersion", "APIVersion defines the group and version in which this object is written, such as \"v1\" or \"apps/v1\"."},
    {"*", "kind", "Kind names the type of this object, in CamelCase. It never changes."},
    {"*", "metadata", "Standard object's metadata: name, labels, annotations, owners, revision."},
    {"*", "items", "The objects of this list."},
    {"meta.v1.ObjectMeta", "", "Standard object's metadata: what identifies an object and what every kind of object has in common."},
    {"meta.v1.ObjectMeta", "name", "Name of the object, unique within its namespace and kind. It cannot be changed."},
    {"meta.v1.ObjectMeta", "generateName", "Prefix of a name that the server completes with five random characters when no name is given."},
    {"meta.v1.ObjectMeta", "namespace", "Namespace the object lives in. Empty for objects of the whole cluster."},
    {"meta.v1.ObjectMeta", "labels", "Keys and values to organize and select objects by. Controllers and services find their pods by labels."},
    {"meta.v1.ObjectMeta", "annotations", "Free keys and values for tools. They cannot be used to select objects."},
    {"meta.v1.ObjectMeta", "uid", "Identity of this very object, set by the server. A new object of the same name has another one."},
    {"meta.v1.ObjectMeta", "resourceVersion", "Revision of the last change, set by the server. An update that carries it fails when somebody else was faster."},
    {"meta.v1.ObjectMeta", "generation", "Counts changes of the desired state, set by the server."},
    {"meta.v1.ObjectMeta", "creationTimestamp", "CreationTimestamp is a timestamp of the moment when the server created the object, in UTC."},
    {"meta.v1.ObjectMeta", "deletionTimestamp", "When the object will be gone, set by the server once somebody asked for its deletion."},
    {"meta.v1.ObjectMeta", "deletionGracePeriodSeconds", "How many seconds the object has to end in order before it is removed."},
    {"meta.v1.ObjectMeta", "finalizers", "Names of those who have something to do before the object may go. It is removed when the list is empty."},
    {"meta.v1.ObjectMeta", "ownerReferences", "Objects that this one depends on. When all of them are gone, it is collected."},
    {"meta.v1.ObjectMeta", "managedFields", "Who set which field, kept by the server for server-side apply."},
    {"meta.v1.OwnerReference", "controller", "True for the one owner that manages this object."},
    {"meta.v1.OwnerReference", "blockOwnerDeletion", "Whether a deletion of the owner in the foreground waits for this object."},
    {"meta.v1.LabelSelector", "", "Selects objects by their labels. An empty selector matches everything, none matches nothing."},
    {"meta.v1.LabelSelector", "matchLabels", "Labels that must all be there with exactly these values."},
    {"meta.v1.LabelSelector", "matchExpressions", "Requirements on labels (In, NotIn, Exists, DoesNotExist) that must all hold."},
    {"core.v1.Pod", "", "A group of containers that run together on one node and share its network address and volumes."},
    {"core.v1.Pod", "spec", "What should run: containers, volumes, where and how."},
    {"core.v1.Pod", "status", "What runs: phase, conditions, addresses and the state of each container."},
    {"core.v1.PodSpec", "", "Desired state of a pod."},
    {"core.v1.PodSpec", "containers", "The containers of the pod, at least one. The list cannot be changed."},
    {"core.v1.PodSpec", "initContainers", "Containers that run to their end, one after the other, before the others start; with restartPolicy Always they stay beside them."},
    {"core.v1.PodSpec", "ephemeralContainers", "Containers that were added to a running pod to look into it (kubectl debug)."},
    {"core.v1.PodSpec", "volumes", "Volumes that containers of the pod can mount."},
    {"core.v1.PodSpec", "restartPolicy", "What happens when a container ends: Always, OnFailure or Never."},
    {"core.v1.PodSpec", "nodeName", "Node the pod is bound to. The scheduler sets it."},
    {"core.v1.PodSpec", "nodeSelector", "Labels that a node must have to run the pod."},
    {"core.v1.PodSpec", "affinity", "Rules that attract the pod to nodes and to other pods, or keep it away from them."},
    {"core.v1.PodSpec", "tolerations", "Taints of nodes that the pod puts up with."},
    {"core.v1.PodSpec", "topologySpreadConstraints", "How evenly pods are spread over zones, nodes or other domains."},
    {"core.v1.PodSpec", "serviceAccountName", "Service account the pod acts as towards the API."},
    {"core.v1.PodSpec", "automountServiceAccountToken", "Whether containers find a token of the service account."},
    {"core.v1.PodSpec", "imagePullSecrets", "Secrets with credentials for the registries of the images."},
    {"core.v1.PodSpec", "terminationGracePeriodSeconds", "Seconds between the request to end and the kill. 30 by default."},
    {"core.v1.PodSpec", "activeDeadlineSeconds", "Seconds the pod may run before it is ended as failed."},
    {"core.v1.PodSpec", "dnsPolicy", "Which DNS the containers use: ClusterFirst, ClusterFirstWithHostNet, Default or None."},
    {"core.v1.PodSpec", "dnsConfig", "Name servers, search domains and options in addition to those of the policy."},
    {"core.v1.PodSpec", "hostNetwork", "Whether the pod uses the network of its node."},
    {"core.v1.PodSpec", "hostname", "Host name in the pod, instead of the pod's name."},
    {"core.v1.PodSpec", "subdomain", "With it the pod has the name hostname.subdomain.namespace.svc in the cluster's DNS."},
    {"core.v1.PodSpec", "securityContext", "User, groups and other security settings of all containers."},
    {"core.v1.PodSpec", "priorityClassName", "Class that says how important the pod is. More important pods may displace others."},
    {"core.v1.PodSpec", "schedulerName", "Scheduler that binds the pod."},
    {"core.v1.PodSpec", "readinessGates", "Conditions that must be true, besides ready containers, for the pod to be ready."},
    {"core.v1.PodSpec", "runtimeClassName", "Runtime class that runs the pod."},
    {"core.v1.Container", "", "One container of a pod."},
    {"core.v1.Container", "name", "Name of the container, unique in the pod."},
    {"core.v1.Container", "image", "Image to run, such as \"127.0.0.1:5000/app:1\"."},
    {"core.v1.Container", "imagePullPolicy", "When the image is pulled: Always, IfNotPresent or Never. Always by default for the tag latest."},
    {"core.v1.Container", "command", "What is executed instead of the image's entry point. $(NAME) stands for a variable of the environment."},
    {"core.v1.Container", "args", "Arguments instead of those of the image."},
    {"core.v1.Container", "workingDir", "Directory to start in, instead of the image's."},
    {"core.v1.Container", "env", "Environment variables."},
    {"core.v1.Container", "envFrom", "Config maps and secrets whose keys all become environment variables."},
    {"core.v1.Container", "ports", "Ports that the container listens on. Names can be used by services and probes."},
    {"core.v1.Container", "resources", "CPU, memory and other resources that are set aside (requests) and that may be used at most (limits)."},
    {"core.v1.Container", "volumeMounts", "Volumes of the pod and where the container sees them."},
    {"core.v1.Container", "livenessProbe", "Check whose failure restarts the container."},
    {"core.v1.Container", "readinessProbe", "Check whose failure takes the pod out of its services."},
    {"core.v1.Container", "startupProbe", "Check that must succeed once before the other probes begin."},
    {"core.v1.Container", "lifecycle", "What to do after the start and before the end of the container."},
    {"core.v1.Container", "securityContext", "Security settings of this container; they win over those of the pod."},
    {"core.v1.Container", "terminationMessagePath", "File whose content is shown as the reason when the container ended."},
    {"core.v1.ResourceRequirements", "limits", "The most that may be used. A container above its memory limit is killed."},
    {"core.v1.ResourceRequirements", "requests", "What is set aside. The scheduler counts it."},
    {"core.v1.Probe", "initialDelaySeconds", "Seconds from the start to the first check."},
    {"core.v1.Probe", "periodSeconds", "Seconds between checks. 10 by default."},
    {"core.v1.Probe", "timeoutSeconds", "Seconds after which a check has failed. 1 by default."},
    {"core.v1.Probe", "failureThreshold", "Failures in a row that count. 3 by default."},
    {"core.v1.Probe", "successThreshold", "Successes in a row that count. 1 by default."},
    {"core.v1.Service", "", "A stable address and name for a changing set of pods."},
    {"core.v1.ServiceSpec", "selector", "Labels of the pods that get the traffic. Without it, endpoints are up to you."},
    {"core.v1.ServiceSpec", "ports", "Ports of the service and where they lead."},
    {"core.v1.ServiceSpec", "type", "How it can be reached: ClusterIP, NodePort, LoadBalancer or ExternalName."},
    {"core.v1.ServiceSpec", "clusterIP", "Address in the cluster; None makes the service headless: its name leads to the pods themselves."},
    {"core.v1.ServiceSpec", "sessionAffinity", "ClientIP keeps a client at the same pod."},
    {"core.v1.ServiceSpec", "externalTrafficPolicy", "Cluster spreads traffic from outside over all pods, Local keeps it on the node it reached."},
    {"core.v1.ServicePort", "port", "Port of the service."},
    {"core.v1.ServicePort", "targetPort", "Port of the pods, as a number or by name."},
    {"core.v1.ServicePort", "nodePort", "Port on every node, for the types NodePort and LoadBalancer."},
    {"core.v1.ConfigMap", "", "Configuration that pods can use, as environment variables or files."},
    {"core.v1.ConfigMap", "data", "Text by key."},
    {"core.v1.ConfigMap", "binaryData", "Bytes by key, in base64."},
    {"core.v1.ConfigMap", "immutable", "Whether the content can never be changed again."},
    {"core.v1.Secret", "", "Small confidential data, such as passwords, tokens and keys."},
    {"core.v1.Secret", "data", "The data by key, in base64."},
    {"core.v1.Secret", "stringData", "The same as plain text, for writing only."},
    {"core.v1.Secret", "type", "What the secret is for; some types require certain keys."},
    {"core.v1.Namespace", "", "A part of the cluster with names of its own, to which rights and quotas can be tied."},
    {"core.v1.Node", "", "A machine that runs pods."},
    {"core.v1.NodeSpec", "unschedulable", "Whether new pods stay away (kubectl cordon)."},
    {"core.v1.NodeSpec", "taints", "What keeps pods away that do not tolerate it."},
    {"core.v1.PersistentVolumeClaimSpec", "accessModes", "How the volume may be mounted."},
    {"core.v1.PersistentVolumeClaimSpec", "resources", "How much storage is wanted."},
    {"core.v1.PersistentVolumeClaimSpec", "storageClassName", "Class of storage; \"\" asks for a volume without one."},
    {"apps.v1.Deployment", "", "Keeps a number of equal pods running and replaces them step by step when their template changes."},
    {"apps.v1.DeploymentSpec", "replicas", "How many pods. 1 by default."},
    {"apps.v1.DeploymentSpec", "selector", "Selects the pods that belong to the deployment; must match the template's labels and cannot be changed."},
    {"apps.v1.DeploymentSpec", "template", "What the pods look like."},
    {"apps.v1.DeploymentSpec", "strategy", "How pods are replaced: RollingUpdate or Recreate."},
    {"apps.v1.DeploymentSpec", "minReadySeconds", "Seconds a new pod must be ready to count as available."},
    {"apps.v1.DeploymentSpec", "revisionHistoryLimit", "How many old replica sets are kept to go back to. 10 by default."},
    {"apps.v1.DeploymentSpec", "progressDeadlineSeconds", "Seconds without progress after which a rollout is reported as failed. 600 by default."},
    {"apps.v1.DeploymentSpec", "paused", "Whether changes of the template wait."},
    {"apps.v1.RollingUpdateDeployment", "maxSurge", "How many pods there may be above the wanted number during an update."},
    {"apps.v1.RollingUpdateDeployment", "maxUnavailable", "How many pods may be missing during an update."},
    {"apps.v1.StatefulSet", "", "Runs pods with an identity of their own: a stable name, stable storage, an order."},
    {"apps.v1.StatefulSetSpec", "serviceName", "Headless service that gives the pods their names."},
    {"apps.v1.StatefulSetSpec", "volumeClaimTemplates", "Claims that are made for every pod and stay when it goes."},
    {"apps.v1.DaemonSet", "", "Runs a pod on every node, or on every node that is selected."},
    {"apps.v1.ReplicaSet", "", "Keeps a number of equal pods running. Usually made by a deployment."},
    {"batch.v1.Job", "", "Runs pods until enough of them have succeeded."},
    {"batch.v1.JobSpec", "completions", "How many pods must succeed."},
    {"batch.v1.JobSpec", "parallelism", "How many pods may run at once."},
    {"batch.v1.JobSpec", "backoffLimit", "How many failures are tried again. 6 by default."},
    {"batch.v1.CronJob", "", "Starts jobs at certain times."},
    {"batch.v1.CronJobSpec", "schedule", "When, in cron's five fields: minute, hour, day, month, weekday."},
    {"batch.v1.CronJobSpec", "timeZone", "Time zone of the schedule, such as \"Europe/Berlin\"."},
    {"networking.v1.Ingress", "", "Leads HTTP requests to services, by host and path."},
    {"networking.v1.IngressSpec", "rules", "Hosts and paths and the services behind them."},
    {"networking.v1.IngressSpec", "tls", "Hosts that are served with TLS and the secrets with their certificates."},
    {"networking.v1.IngressSpec", "ingressClassName", "Class of the controller that serves it."},
};

using Table = std::unordered_map<std::string, std::string_view>;

const Table& Texts() {
  static const Table table = [] {
    Table out;
    for (const Row& row : kRows) out.emplace(Cat(row.definition, "#", row.field), row.text);
    return out;
  }();
  return table;
}

}  // namespace

std::string_view DescriptionOf(std::string_view definition, std::string_view field) {
  for (const std::string_view prefix : {"io.k8s.api.", "io.k8s.apimachinery.pkg.apis."})
    if (definition.starts_with(prefix)) definition.remove_prefix(prefix.size());
  const Table& texts = Texts();
  auto found = texts.find(Cat(definition, "#", field));
  if (found == texts.end() && !field.empty()) found = texts.find(Cat("*#", field));
  return found == texts.end() ? std::string_view() : found->second;
}

std::vector<std::pair<std::string, std::string_view>> DescribedFields() {
  std::vector<std::pair<std::string, std::string_view>> out;
  for (const Row& row : kRows)
    if (row.definition != "*") out.emplace_back(Cat(row.definition.starts_with("meta.") ? "io.k8s.apimachinery.pkg.apis." : "io.k8s.api.", row.definition), row.field);
  return out;
}

}  // namespace skerry::kube::openapi
