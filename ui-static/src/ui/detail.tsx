import type { ComponentChildren } from 'preact';
import { linkTo, place, useTable } from '../app.ts';
import { bytesText, podTone, plural, selectorText, toYaml, toneOf, workloadStatus, type Selector, type Tone } from '../data/format.ts';
import { commandFor, kindNamed, kindOf, pathOf, type Kind } from '../data/kinds.ts';
import { containerReason, containerWord, containersOf, inReadingOrder, podSpec, podStatus, withoutSecrets, type Condition, type Port, type Thing } from '../data/objects.ts';
import type { RowTable } from '../data/table.ts';
import { Logs } from './logs.tsx';
import { Age, Card, Command, Copy, Empty, Facts, Labels, Loading, Pill, Refused } from './parts.tsx';

// One object: overview, what belongs to it, events, YAML, and for pods their logs.

const at = (o: unknown, ...path: string[]): unknown => path.reduce<unknown>((v, k) => (v as Record<string, unknown> | undefined)?.[k], o);
const number = (o: unknown, ...path: string[]): number => Number(at(o, ...path) ?? 0);
const words = (v: unknown): string => v === undefined || v === null ? '' : String(v);

function statusOf(kind: Kind, o: Thing): { word: string; tone: Tone } | null {
  const conditions = o.status?.conditions ?? [];
  const is = (type: string) => conditions.find(c => c.type === type)?.status === 'True';
  switch (kind.id) {
    case 'deployments': case 'statefulsets': case 'replicasets': {
      const wanted = Number(at(o, 'spec', 'replicas') ?? 1), ready = number(o, 'status', 'readyReplicas');
      const s = workloadStatus(ready, wanted);
      return { word: `${s.word} ${ready}/${wanted}`, tone: s.tone };
    }
    case 'daemonsets': {
      const wanted = number(o, 'status', 'desiredNumberScheduled'), ready = number(o, 'status', 'numberReady');
      const s = workloadStatus(ready, wanted);
      return { word: `${s.word} ${ready}/${wanted}`, tone: s.tone };
    }
    case 'jobs': return is('Failed') ? { word: 'Failed', tone: 'bad' } : is('Complete') ? { word: 'Complete', tone: 'ok' } : { word: 'Running', tone: 'info' };
    case 'nodes': return is('Ready') ? { word: at(o, 'spec', 'unschedulable') ? 'Ready,SchedulingDisabled' : 'Ready', tone: at(o, 'spec', 'unschedulable') ? 'warn' : 'ok' } : { word: 'NotReady', tone: 'bad' };
    default: {
      const phase = words(at(o, 'status', 'phase'));
      return phase ? { word: phase, tone: toneOf(phase) } : null;
    }
  }
}

// The word that kubectl prints for a pod comes with its row.
function podStatusOf(o: Thing, table: RowTable): { word: string; tone: Tone } {
  const row = table.rows.values().next().value;
  const word = row ? table.cell(row, 'Status') : podStatus(o).phase ?? '';
  return { word, tone: podTone(word, row ? table.cell(row, 'Ready') : '') };
}

export function Detail({ kind }: { kind: Kind }) {
  const { ns, name, tab } = place.value;
  const table = useTable({ path: pathOf(kind, ns), fields: `metadata.name=${name}`, extra: [[]] })!;
  const refusal = table.refusal.value;
  const row = table.rows.values().next().value;
  const crumbs = <nav class="crumbs" aria-label="Breadcrumb"><a href={linkTo(kind, ns)}>{kind.title}</a>{ns ? <> <span aria-hidden="true">/</span> <span>{ns}</span></> : null}</nav>;
  if (refusal) return <>{crumbs}<h1>{name}</h1><Refused refusal={refusal} what={kind.title.toLowerCase()} where={ns ? `in ${ns}` : ''}/></>;
  if (!row) {
    if (!table.complete.value) return <>{crumbs}<h1>{name}</h1><Loading/></>;
    return <>{crumbs}<h1>{name}</h1><Empty title={`There is no ${kind.one} ${name}${ns ? ` in ${ns}` : ''}`}>It may have been deleted while you were here. <a href={linkTo(kind, ns)}>All {kind.title.toLowerCase()}</a></Empty></>;
  }
  const o = { apiVersion: kind.api.replace(/^\/apis?\//, ''), kind: kind.one, ...(row.extra[0] as Thing) };
  const status = kind.id === 'pods' ? podStatusOf(o, table) : statusOf(kind, o);
  const tabs: [string, string][] = [['', 'Overview'], ...(kind.tabs?.includes('logs') ? [['logs', 'Logs'] as [string, string]] : []), ['events', 'Events'], ['yaml', 'YAML']];
  return <>
    {crumbs}
    <div class="title"><h1>{name}</h1>{row.deleted ? <Pill text="Terminating" tone="warn"/> : status ? <Pill text={status.word} tone={status.tone}/> : null}</div>
    <nav class="tabs" aria-label={`${kind.one} ${name}`}>{tabs.map(([id, title]) => <a key={id} href={linkTo(kind, ns, name, id)} aria-current={tab === id ? 'page' : undefined}>{title}</a>)}</nav>
    {tab === 'logs' && kind.id === 'pods' ? <Logs object={o}/>
      : tab === 'events' ? <Events kind={kind} ns={ns} name={name}/>
      : tab === 'yaml' ? <Yaml object={o} kind={kind} ns={ns} name={name}/>
      : <Overview kind={kind} object={o}/>}
  </>;
}

function Overview({ kind, object: o }: { kind: Kind; object: Thing }) {
  const meta = o.metadata ?? {};
  const ns = meta.namespace ?? '';
  const owner = meta.ownerReferences?.find(r => r.controller) ?? meta.ownerReferences?.[0];
  const ownerKind = owner ? kindNamed(owner.kind) : undefined;
  const facts: [string, ComponentChildren][] = [
    ...factsOf(kind, o),
    ['Controlled by', owner ? <>{owner.kind} {ownerKind ? <a href={linkTo(ownerKind, ns, owner.name)}>{owner.name}</a> : owner.name}</> : ''],
    ['Created', meta.creationTimestamp ? <><Age from={Date.parse(meta.creationTimestamp)}/> ago</> : ''],
    ['Labels', meta.labels ? <Labels of={meta.labels}/> : ''],
  ];
  const selector = kind.pods ? selectorText(at(o, ...kind.pods) as Selector) : kind.id === 'services' ? selectorText({ matchLabels: (at(o, 'spec', 'selector') ?? {}) as Record<string, string> }) : '';
  return <div class="cards">
    {kind.id === 'pods' ? <Containers object={o}/> : null}
    <Card title="Details"><Facts of={facts}/></Card>
    {selector ? <Pods ns={ns} selector={selector}/> : null}
    {kind.id === 'nodes' ? <Pods ns="" node={meta.name ?? ''}/> : null}
    {kind.id === 'configmaps' || kind.id === 'secrets' ? <Keys object={o}/> : null}
    <Conditions of={o.status?.conditions}/>
    {kind.id === 'events' ? null : <Recent kind={kind} ns={ns} name={meta.name ?? ''}/>}
  </div>;
}

const portText = (p: Port): string => `${p.port}${p.targetPort !== undefined && p.targetPort !== p.port ? ` → ${p.targetPort}` : ''}/${p.protocol ?? 'TCP'}${p.nodePort ? ` (node port ${p.nodePort})` : ''}`;
const link = (host: string, secure = false) => host ? <a href={`${secure ? 'https' : 'http'}://${host}/`} target="_blank" rel="noreferrer">{host}</a> : '';

function factsOf(kind: Kind, o: Thing): [string, ComponentChildren][] {
  const spec = o.spec;
  switch (kind.id) {
    case 'pods': {
      const s = podSpec(o), st = podStatus(o);
      return [['Problem', st.message ? `${st.reason ?? ''} ${st.message}` : ''], ['Node', s.nodeName ? <a href={linkTo(kindOf('nodes')!, '', s.nodeName)}>{s.nodeName}</a> : ''], ['Pod address', st.podIP],
        ['Service account', s.serviceAccountName], ['Restart policy', s.restartPolicy], ['Quality of service', st.qosClass]];
    }
    case 'deployments': case 'statefulsets': case 'replicasets': {
      const images = ((at(spec, 'template', 'spec', 'containers') ?? []) as { image?: string }[]).map(c => c.image ?? '');
      return [['Replicas', `${number(o, 'status', 'readyReplicas')} ready of ${words(at(spec, 'replicas') ?? 1)}`], ['Strategy', words(at(spec, 'strategy', 'type') ?? at(spec, 'updateStrategy', 'type'))],
        ['Image', images.length ? <>{images.map(i => <code key={i}>{i}</code>)}</> : ''], ['Revision', words(o.metadata?.annotations?.['deployment.kubernetes.io/revision'])]];
    }
    case 'services': return [['Type', words(at(spec, 'type'))], ['Cluster address', words(at(spec, 'clusterIP'))], ['Ports', ((at(spec, 'ports') ?? []) as Port[]).map(p => <div key={portText(p)}>{portText(p)}</div>)],
      ['Name in the cluster', `${o.metadata?.name}.${o.metadata?.namespace}.svc`]];
    case 'ingresses': return [['Hosts', ((at(spec, 'rules') ?? []) as { host?: string }[]).map(r => <div key={r.host}>{link(r.host ?? '')}</div>)], ['Class', words(at(spec, 'ingressClassName'))]];
    case 'routes': return [['Host', link(words(at(spec, 'host')), at(spec, 'tls') !== undefined)], ['Path', words(at(spec, 'path'))], ['Service', words(at(spec, 'to', 'name'))], ['TLS', words(at(spec, 'tls', 'termination'))]];
    case 'nodes': {
      const info = (at(o, 'status', 'nodeInfo') ?? {}) as Record<string, string>;
      const capacity = (at(o, 'status', 'capacity') ?? {}) as Record<string, string>;
      return [['Address', ((at(o, 'status', 'addresses') ?? []) as { type: string; address: string }[]).map(a => <div key={a.type + a.address}>{a.address}</div>)],
        ['Capacity', `${capacity['cpu'] ?? '?'} CPUs, ${capacity['memory'] ? bytesText(capacity['memory']) : '?'} memory, ${capacity['pods'] ?? '?'} pods`], ['System', info['osImage']], ['Kernel', info['kernelVersion']],
        ['Containers by', info['containerRuntimeVersion']], ['Version', info['kubeletVersion']]];
    }
    case 'jobs': return [['Completions', `${number(o, 'status', 'succeeded')} of ${words(at(spec, 'completions') ?? 1)}`], ['Failed', number(o, 'status', 'failed') || '']];
    case 'cronjobs': return [['Schedule', words(at(spec, 'schedule'))], ['Last run', words(at(o, 'status', 'lastScheduleTime'))], ['Suspended', at(spec, 'suspend') ? 'yes' : '']];
    case 'events': {
      const e = o as unknown as { type?: string; reason?: string; message?: string; note?: string; count?: number; involvedObject?: { kind?: string; name?: string } };
      return [['Type', <Pill text={e.type ?? ''}/>], ['Reason', e.reason], ['Message', e.message ?? e.note], ['Times', e.count], ['Object', `${e.involvedObject?.kind ?? ''} ${e.involvedObject?.name ?? ''}`]];
    }
    case 'persistentvolumeclaims': return [['Volume', words(at(spec, 'volumeName'))], ['Class', words(at(spec, 'storageClassName'))], ['Asked for', words(at(spec, 'resources', 'requests', 'storage'))]];
    case 'secrets': return [['Type', o.type]];
    default: return [];
  }
}

function Containers({ object: o }: { object: Thing }) {
  const kind = kindOf('pods')!;
  const ns = o.metadata?.namespace ?? '', pod = o.metadata?.name ?? '';
  return <Card title="Containers">
    <ul class="plain">{containersOf(o).map(c => {
      const word = containerWord(c.status), reason = containerReason(c.status);
      return <li key={c.name}>
        <div class="line"><b>{c.name}</b>{c.role ? <span class="tag">{c.role}</span> : null}<Pill text={word}/><span class="grow"/><a href={`${linkTo(kind, ns, pod, 'logs')}?container=${encodeURIComponent(c.name)}`}>Logs</a></div>
        <div class="line muted"><code>{c.image}</code>{c.ports ? <span>{c.ports}</span> : null}{c.status?.restartCount ? <span>{plural(c.status.restartCount, 'restart')}</span> : null}</div>
        {reason ? <p class="reason">{reason}</p> : null}
      </li>;
    })}</ul>
  </Card>;
}

function Pods({ ns, selector, node }: { ns: string; selector?: string; node?: string }) {
  const kind = kindOf('pods')!;
  const table = useTable({ path: pathOf(kind, ns), ...(selector ? { labels: selector } : {}), ...(node ? { fields: `spec.nodeName=${node}` } : {}) })!;
  const rows = [...table.rows.values()].sort((a, b) => a.name < b.name ? -1 : 1);
  const refusal = table.refusal.value;
  return <Card title="Pods" aside={<span class="muted">{table.complete.value ? rows.length : ''}</span>}>
    {refusal ? <p class="muted">{refusal.message}</p> : rows.length === 0 ? <p class="muted">{table.complete.value ? 'None.' : 'Loading…'}</p>
      : <ul class="plain">{rows.slice(0, 100).map(r => <li key={r.uid} class="line"><a class="cut grow" href={linkTo(kind, r.ns, r.name)}>{r.name}</a>
        <Pill text={table.cell(r, 'Status')} tone={podTone(table.cell(r, 'Status'), table.cell(r, 'Ready'))}/><span class="muted num"><Age from={r.created}/></span></li>)}</ul>}
  </Card>;
}

function Keys({ object: o }: { object: Thing }) {
  const all = Object.entries(o.data ?? {});
  const secret = o.kind === 'Secret';
  return <Card title="Data" wide>{all.length === 0 ? <p class="muted">Nothing in it.</p>
    : <ul class="plain">{all.map(([k, v]) => <li key={k}><div class="line"><b class="mono">{k}</b><span class="muted">{secret ? `${Math.floor(v.length * 3 / 4)} bytes, hidden` : plural(v.length, 'character')}</span></div>
      {secret ? null : <pre class="value">{v.length > 4000 ? `${v.slice(0, 4000)}…` : v}</pre>}</li>)}</ul>}</Card>;
}

// Conditions whose name says trouble are good news when false.
const kTroubles = /Pressure$|^Failed$|Failure$|Unavailable$|^Suspended$|^DisruptionTarget$|^FailureTarget$/;
function Conditions({ of }: { of: Condition[] | undefined }) {
  if (!of?.length) return null;
  return <Card title="Conditions"><ul class="plain">{of.map(c => {
    const good = (c.status === 'True') !== kTroubles.test(c.type);
    return <li key={c.type}><div class="line"><b>{c.type}</b><Pill text={c.status} tone={c.status === 'Unknown' ? 'warn' : good ? 'ok' : kTroubles.test(c.type) ? 'bad' : 'warn'}/><span class="grow"/><span class="muted num"><Age from={Date.parse(c.lastTransitionTime ?? '')}/></span></div>
      {c.reason || c.message ? <p class="muted">{[c.reason, c.message].filter(Boolean).join(': ')}</p> : null}</li>;
  })}</ul></Card>;
}

const kEventPaths = [['type'], ['reason'], ['message'], ['count'], ['lastTimestamp'], ['eventTime'], ['source', 'component'], ['reportingComponent']];
interface Told { uid: string; type: string; reason: string; message: string; count: number; seen: number; from: string }
function useEvents(kind: Kind, ns: string, name: string): { table: RowTable; told: Told[] } {
  // Events about objects of the cluster are kept in the namespace "default".
  const table = useTable({ path: pathOf(kindOf('events')!, ns || 'default'), fields: `involvedObject.kind=${kind.one},involvedObject.name=${name}`, cells: false, extra: kEventPaths })!;
  const told = [...table.rows.values()].map(r => {
    const [type, reason, message, count, last, at, component, reporting] = r.extra.map(words);
    return { uid: r.uid, type: type!, reason: reason!, message: message!, count: Number(count) || 1, seen: Date.parse(last || at!) || r.created, from: component || reporting || '' };
  });
  return { table, told: told.sort((a, b) => b.seen - a.seen) };
}

function EventList({ told }: { told: Told[] }) {
  return <ul class="plain">{told.map(e => <li key={e.uid}>
    <div class="line"><Pill text={e.reason} tone={e.type === 'Warning' ? 'warn' : 'mute'}/>{e.count > 1 ? <span class="muted">{e.count} times</span> : null}<span class="grow"/><span class="muted num"><Age from={e.seen}/></span></div>
    <p>{e.message}{e.from ? <span class="muted"> · {e.from}</span> : null}</p></li>)}</ul>;
}

function Recent({ kind, ns, name }: { kind: Kind; ns: string; name: string }) {
  const { table, told } = useEvents(kind, ns, name);
  if (table.refusal.value || told.length === 0) return null;
  return <Card title="Recent events" aside={<a href={linkTo(kind, ns, name, 'events')}>All {told.length}</a>}><EventList told={told.slice(0, 5)}/></Card>;
}

function Events({ kind, ns, name }: { kind: Kind; ns: string; name: string }) {
  const { table, told } = useEvents(kind, ns, name);
  const refusal = table.refusal.value;
  if (refusal) return <Refused refusal={refusal} what="events" where={ns ? `in ${ns}` : ''}/>;
  if (told.length === 0) return table.complete.value ? <Empty title="No events">Nothing was told about this {kind.one} in the last hour. Events are kept for an hour.</Empty> : <Loading/>;
  return <><section class="card"><EventList told={told}/></section><Command text={`kubectl events${ns ? ` -n ${ns}` : ''} --for ${kind.one.toLowerCase()}/${name} --watch`}/></>;
}

function Yaml({ object, kind, ns, name }: { object: Thing; kind: Kind; ns: string; name: string }) {
  const text = toYaml(inReadingOrder(withoutSecrets(object)));
  return <><div class="codebox"><Copy text={text} label="Copy the YAML"/><pre class="code" tabIndex={0} role="region" aria-label={`YAML of ${name}`}>{text}</pre></div><Command text={commandFor(kind, ns, 'get', ` ${name} -o yaml`).replace(' -A', '')}/></>;
}
