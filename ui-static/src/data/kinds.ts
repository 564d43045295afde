// What the console knows about each kind beside what the server's columns say.

export interface Kind {
  id: string;                    // in the address, and the resource's plural
  title: string; one: string;
  api: string;                   // "/api/v1", "/apis/apps/v1"
  namespaced: boolean;
  about: string;                 // for an empty table: what belongs here
  hint?: string;                 // and how to make the first one
  narrow: string[];              // columns a phone shows beside the name
  hide?: string[];               // printed columns that the table leaves out
  extra?: string[][];
  pods?: string[];               // path of the selector of its pods
  tabs?: string[];               // beside Overview, Events, YAML
}

const apps = '/apis/apps/v1', batch = '/apis/batch/v1', core = '/api/v1';

export const kinds: Kind[] = [
  { id: 'deployments', title: 'Deployments', one: 'Deployment', api: apps, namespaced: true, narrow: ['Ready', 'Age'], pods: ['spec', 'selector'],
    about: 'A deployment keeps a number of equal pods running and rolls out new versions.', hint: 'kubectl create deployment web --image=127.0.0.1:5000/web:1' },
  { id: 'statefulsets', title: 'StatefulSets', one: 'StatefulSet', api: apps, namespaced: true, narrow: ['Ready', 'Age'], pods: ['spec', 'selector'],
    about: 'A stateful set runs pods that keep their name and their storage.' },
  { id: 'daemonsets', title: 'DaemonSets', one: 'DaemonSet', api: apps, namespaced: true, narrow: ['Desired', 'Ready'], pods: ['spec', 'selector'],
    about: 'A daemon set runs one pod on every node.' },
  { id: 'replicasets', title: 'ReplicaSets', one: 'ReplicaSet', api: apps, namespaced: true, narrow: ['Desired', 'Ready'], pods: ['spec', 'selector'],
    about: 'Deployments make replica sets, one for each version.' },
  { id: 'jobs', title: 'Jobs', one: 'Job', api: batch, namespaced: true, narrow: ['Status', 'Completions'], pods: ['spec', 'selector'],
    about: 'A job runs pods until they have succeeded.', hint: 'kubectl create job once --image=busybox -- date' },
  { id: 'cronjobs', title: 'CronJobs', one: 'CronJob', api: batch, namespaced: true, narrow: ['Schedule', 'Last Schedule'],
    about: 'A cron job makes jobs on a schedule.', hint: 'kubectl create cronjob tick --image=busybox --schedule="*/5 * * * *" -- date' },
  { id: 'pods', title: 'Pods', one: 'Pod', api: core, namespaced: true, narrow: ['Status', 'Age'], tabs: ['logs'],
    about: 'Pods are where containers run. Workloads make them.', hint: 'kubectl run hello --image=127.0.0.1:5000/hello:1' },
  { id: 'services', title: 'Services', one: 'Service', api: core, namespaced: true, narrow: ['Type', 'Cluster-IP'],
    about: 'A service gives pods one address and one name.', hint: 'kubectl expose deployment web --port=80 --target-port=8080' },
  { id: 'ingresses', title: 'Ingresses', one: 'Ingress', api: '/apis/networking.k8s.io/v1', namespaced: true, narrow: ['Hosts', 'Age'],
    about: 'An ingress gives a service a public host name.', hint: 'kubectl create ingress web --rule="web.apps.localhost/*=web:80"' },
  { id: 'routes', title: 'Routes', one: 'Route', api: '/apis/route.openshift.io/v1', namespaced: true, narrow: ['Host/Port', 'Services'],
    about: 'A route gives a service a public host name.' },
  { id: 'configmaps', title: 'ConfigMaps', one: 'ConfigMap', api: core, namespaced: true, narrow: ['Data', 'Age'], about: 'Configuration that pods read as files or environment.',
    hint: 'kubectl create configmap settings --from-literal=colour=blue' },
  { id: 'secrets', title: 'Secrets', one: 'Secret', api: core, namespaced: true, narrow: ['Type', 'Age'], about: 'Passwords, keys and certificates that pods need.',
    hint: 'kubectl create secret generic db --from-literal=password=…' },
  { id: 'persistentvolumeclaims', title: 'Volume claims', one: 'PersistentVolumeClaim', api: core, namespaced: true, narrow: ['Status', 'Capacity'],
    about: 'A claim asks for storage that outlives pods.' },
  { id: 'events', title: 'Events', one: 'Event', api: core, namespaced: true, narrow: ['Reason', 'Object'], hide: ['Last Seen'],
    extra: [['lastTimestamp'], ['eventTime'], ['count'], ['involvedObject']], about: 'What happened in the last hour, told by the components that did it.' },
  { id: 'nodes', title: 'Nodes', one: 'Node', api: core, namespaced: false, narrow: ['Status', 'Age'], about: 'The machines that run pods. None runs an agent here (--runtime=none).' },
  { id: 'namespaces', title: 'Namespaces', one: 'Namespace', api: core, namespaced: false, narrow: ['Status', 'Age'], about: 'Namespaces keep applications apart.',
    hint: 'kubectl create namespace shop' },
  { id: 'persistentvolumes', title: 'Volumes', one: 'PersistentVolume', api: core, namespaced: false, narrow: ['Status', 'Capacity'], about: 'Storage of the cluster.' },
];

export const kindOf = (id: string): Kind | undefined => kinds.find(k => k.id === id);
export const kindNamed = (one: string): Kind | undefined => kinds.find(k => k.one === one);

export const navigation: { title: string; kinds: string[] }[] = [
  { title: 'Workloads', kinds: ['deployments', 'statefulsets', 'daemonsets', 'replicasets', 'jobs', 'cronjobs', 'pods'] },
  { title: 'Network', kinds: ['services', 'ingresses', 'routes'] },
  { title: 'Configuration', kinds: ['configmaps', 'secrets', 'persistentvolumeclaims'] },
  { title: 'Cluster', kinds: ['events', 'nodes', 'namespaces', 'persistentvolumes'] },
];

export const pathOf = (kind: Kind, ns: string): string =>
  kind.namespaced && ns !== '' ? `${kind.api}/namespaces/${encodeURIComponent(ns)}/${kind.id}` : `${kind.api}/${kind.id}`;

export const commandFor = (kind: Kind, ns: string, verb = 'get', rest = ''): string =>
  `kubectl ${verb} ${kind.id}${rest}${kind.namespaced ? (ns === '' ? ' -A' : ` -n ${ns}`) : ''}`;
