// The parts of objects that pages read. Everything is optional: what a server sends is believed, not assumed.

export interface Meta {
  name?: string; namespace?: string; uid?: string; creationTimestamp?: string; deletionTimestamp?: string; generation?: number;
  labels?: Record<string, string>; annotations?: Record<string, string>; ownerReferences?: { kind: string; name: string; controller?: boolean }[];
}
export interface Condition { type: string; status: string; reason?: string; message?: string; lastTransitionTime?: string; lastUpdateTime?: string }
export interface Port { name?: string; containerPort?: number; port?: number; targetPort?: string | number; nodePort?: number; protocol?: string }
export interface Container { name: string; image?: string; ports?: Port[]; resources?: { limits?: Record<string, string>; requests?: Record<string, string> } }
interface Ended { exitCode?: number; reason?: string; message?: string; startedAt?: string; finishedAt?: string; signal?: number }
export interface ContainerState { waiting?: { reason?: string; message?: string }; running?: { startedAt?: string }; terminated?: Ended }
export interface ContainerStatus { name: string; ready?: boolean; restartCount?: number; state?: ContainerState; lastState?: ContainerState; image?: string }

export interface Thing {
  kind?: string; apiVersion?: string; metadata?: Meta; type?: string; data?: Record<string, string>; stringData?: Record<string, string>;
  spec?: Record<string, unknown>; status?: Record<string, unknown> & { conditions?: Condition[] };
}
export interface PodSpec { nodeName?: string; serviceAccountName?: string; restartPolicy?: string; containers?: Container[]; initContainers?: Container[]; ephemeralContainers?: Container[] }
export interface PodStatus {
  phase?: string; reason?: string; message?: string; podIP?: string; hostIP?: string; qosClass?: string; startTime?: string; conditions?: Condition[];
  containerStatuses?: ContainerStatus[]; initContainerStatuses?: ContainerStatus[]; ephemeralContainerStatuses?: ContainerStatus[];
}

export const podSpec = (o: Thing): PodSpec => (o.spec ?? {}) as PodSpec;
export const podStatus = (o: Thing): PodStatus => (o.status ?? {}) as PodStatus;

export interface ContainerView { name: string; role: '' | 'init' | 'debug'; image: string; ports: string; status: ContainerStatus | undefined }

export function containersOf(o: Thing): ContainerView[] {
  const spec = podSpec(o), status = podStatus(o);
  const view = (role: ContainerView['role'], list: Container[] | undefined, statuses: ContainerStatus[] | undefined): ContainerView[] =>
    (list ?? []).map(c => ({
      name: c.name, role, image: c.image ?? '', status: statuses?.find(s => s.name === c.name),
      ports: (c.ports ?? []).map(p => `${p.containerPort}/${p.protocol ?? 'TCP'}`).join(', '),
    }));
  return [...view('', spec.containers, status.containerStatuses), ...view('init', spec.initContainers, status.initContainerStatuses), ...view('debug', spec.ephemeralContainers, status.ephemeralContainerStatuses)];
}

// One word for a container, as `kubectl get pods` would choose it.
export function containerWord(s: ContainerStatus | undefined): string {
  const state = s?.state;
  if (state?.waiting) return state.waiting.reason ?? 'Waiting';
  if (state?.terminated) return state.terminated.reason ?? (state.terminated.exitCode === 0 ? 'Completed' : 'Error');
  if (state?.running) return s?.ready === false ? 'NotReady' : 'Running';
  return 'Waiting';
}

// Why a container is where it is, in a sentence; '' when there is nothing to explain.
export function containerReason(s: ContainerStatus | undefined): string {
  const waiting = s?.state?.waiting, last = s?.lastState?.terminated, ended = s?.state?.terminated;
  const exit = (e: Ended): string => e.reason === 'OOMKilled' ? 'it used more memory than its limit allows' : e.signal ? `signal ${e.signal} ended it` : `it ended with exit code ${e.exitCode ?? '?'}`;
  if (waiting?.reason === 'CrashLoopBackOff') return `It keeps ending and is started again after a pause${last ? `: last time ${exit(last)}` : ''}. Its log says more.`;
  if (waiting?.reason === 'ImagePullBackOff' || waiting?.reason === 'ErrImagePull') return waiting.message ?? 'Its image cannot be pulled.';
  if (waiting?.message) return waiting.message;
  if (ended && ended.exitCode !== 0) return `${exit(ended)}${ended.message ? `: ${ended.message}` : ''}`.replace(/^./, c => c.toUpperCase());
  if (s?.state?.running && s.ready === false) return 'It runs, but its readiness probe does not succeed.';
  return '';
}

// Values of a secret are not for shoulders.
export function withoutSecrets(o: Thing): Thing {
  if (o.kind !== 'Secret') return o;
  const hide = (d: Record<string, string> | undefined) => d && Object.fromEntries(Object.keys(d).map(k => [k, '(hidden)']));
  const annotations = o.metadata?.annotations && Object.fromEntries(Object.entries(o.metadata.annotations).map(([k, v]) => [k, k === 'kubectl.kubernetes.io/last-applied-configuration' ? '(hidden)' : v]));
  const metadata = annotations ? { ...o.metadata, annotations } : o.metadata;
  return { ...o, ...(metadata ? { metadata } : {}), ...(o.data ? { data: hide(o.data)! } : {}) };
}

// Order in which people write manifests.
const kOrder = ['apiVersion', 'kind', 'metadata', 'type', 'spec', 'data', 'status'];
export function inReadingOrder(o: Thing): Record<string, unknown> {
  const rank = (k: string): number => { const at = kOrder.indexOf(k); return at < 0 ? kOrder.length - 1.5 : at; };
  return Object.fromEntries(Object.entries(o).sort(([a], [b]) => rank(a) - rank(b)));
}
