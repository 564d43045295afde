import { linkTo, place, useTable } from '../app.ts';
import { fraction, plural, podTone, toneOf } from '../data/format.ts';
import { kindNamed, kindOf, pathOf } from '../data/kinds.ts';
import type { Row, RowTable } from '../data/table.ts';
import { Age, Card, Command, Empty, Loading, Pill } from './parts.tsx';

// Home: is it well? If not, what and where.

const kMost = 8;
const pods = kindOf('pods')!, deployments = kindOf('deployments')!, events = kindOf('events')!, nodes = kindOf('nodes')!, services = kindOf('services')!;

const behind = (table: RowTable): Row[] => [...table.rows.values()].filter(r => { const f = fraction(table.cell(r, 'Ready')); return f !== null && f[0] < f[1]; });
const unwell = (table: RowTable): Row[] => [...table.rows.values()].filter(r => { const tone = podTone(table.cell(r, 'Status'), table.cell(r, 'Ready')); return tone === 'bad' || tone === 'warn' || tone === 'info'; });

function Figure({ title, href, value, of }: { title: string; href: string; value: string; of?: string }) {
  return <a class="card figure" href={href}><span class="muted">{title}</span><b>{value}</b><span class="muted">{of ?? '\u00a0'}</span></a>;
}

export function Home() {
  const ns = place.value.ns;
  const podTable = useTable({ path: pathOf(pods, ns) })!;
  const deploymentTable = useTable({ path: pathOf(deployments, ns) })!;
  const serviceTable = useTable({ path: pathOf(services, ns) })!;
  const warnings = useTable({ path: pathOf(events, ns), fields: 'type=Warning', cells: false, extra: [['reason'], ['message'], ['lastTimestamp'], ['eventTime'], ['involvedObject'], ['count']] })!;
  const nodeTable = useTable(ns === '' ? { path: pathOf(nodes, '') } : null);
  const refused = podTable.refusal.value && deploymentTable.refusal.value;
  const ready = podTable.complete.value || podTable.refusal.value;
  const late = behind(deploymentTable), sick = unwell(podTable);
  const running = [...podTable.rows.values()].filter(r => podTone(podTable.cell(r, 'Status'), podTable.cell(r, 'Ready')) === 'ok').length;
  const empty = podTable.complete.value && podTable.rows.size === 0 && deploymentTable.rows.size === 0;
  const badNodes = nodeTable ? [...nodeTable.rows.values()].filter(r => toneOf(nodeTable.cell(r, 'Status')) !== 'ok') : [];
  const troubles = late.length + sick.length + badNodes.length;
  const where = ns || 'all namespaces';
  return <>
    <div class="title"><h1>{ns || 'Everything'}</h1>{!ready || refused ? null : <Pill text={troubles === 0 ? 'All is well' : plural(troubles, 'thing needs', 'things need') + ' attention'} tone={troubles === 0 ? 'ok' : 'warn'}/>}</div>
    {refused ? <Empty title={`You may not see what runs in ${where}`}>{ns ? 'Choose another namespace at the top' : 'Name a namespace that you have access to at the top'}, or ask an administrator for a role like <code>view</code>.</Empty>
      : !ready ? <Loading/> : <>
      <div class="figures">
        <Figure title="Deployments" href={linkTo(deployments, ns)} value={String(deploymentTable.rows.size)} of={late.length ? `${late.length} behind` : deploymentTable.rows.size ? 'all ready' : 'none yet'}/>
        <Figure title="Pods" href={linkTo(pods, ns)} value={String(podTable.rows.size)} of={`${running} running`}/>
        <Figure title="Services" href={linkTo(services, ns)} value={String(serviceTable.rows.size)}/>
        {nodeTable && !nodeTable.refusal.value ? <Figure title="Nodes" href={linkTo(nodes, '')} value={String(nodeTable.rows.size)} of={badNodes.length ? `${badNodes.length} not ready` : nodeTable.rows.size ? 'all ready' : 'control plane only'}/> : null}
        {warnings.refusal.value ? null : <Figure title="Warnings" href={`${linkTo(events, ns)}?q=warning`} value={String(warnings.rows.size)} of="in the last hour"/>}
      </div>
      {empty ? <Empty title={ns ? `Nothing runs in ${ns} yet` : 'Nothing runs yet'} command={`kubectl create deployment web --image=127.0.0.1:5000/web:1${ns ? ` -n ${ns}` : ''}`}>Push an image to the built-in registry and deploy it. What you create appears here at once.</Empty>
        : <div class="cards">
          <Card title="Needs attention">{troubles === 0 ? <p class="muted">Nothing. Every workload has the pods it wants.</p> : <ul class="plain">
            {badNodes.slice(0, kMost).map(r => <li key={r.uid} class="line"><a class="cut grow" href={linkTo(nodes, '', r.name)}>{r.name}</a><Pill text={nodeTable!.cell(r, 'Status')}/></li>)}
            {late.slice(0, kMost).map(r => <li key={r.uid} class="line"><span class="tag">Deployment</span><a class="cut grow" href={linkTo(deployments, r.ns, r.name)}>{r.name}</a><Pill text={deploymentTable.cell(r, 'Ready')} tone="warn"/></li>)}
            {sick.slice(0, kMost).map(r => <li key={r.uid} class="line"><span class="tag">Pod</span><a class="cut grow" href={linkTo(pods, r.ns, r.name)}>{r.name}</a><Pill text={podTable.cell(r, 'Status')} tone={podTone(podTable.cell(r, 'Status'), podTable.cell(r, 'Ready'))}/></li>)}
          </ul>}</Card>
          <Warnings table={warnings} href={`${linkTo(events, ns)}?q=warning`}/>
        </div>}
    </>}
    <Command text={`kubectl get all ${ns ? `-n ${ns}` : '-A'}`}/>
  </>;
}

function Warnings({ table, href }: { table: RowTable; href: string }) {
  const told = [...table.rows.values()].map(r => ({ r, seen: Date.parse(String(r.extra[2] ?? r.extra[3] ?? '')) || r.created })).sort((a, b) => b.seen - a.seen);
  return <Card title="Recent warnings" aside={told.length > kMost ? <a href={href}>All {told.length}</a> : null}>
    {told.length === 0 ? <p class="muted">None.</p> : <ul class="plain">{told.slice(0, kMost).map(({ r, seen }) => {
      const o = (r.extra[4] ?? {}) as { kind?: string; name?: string; namespace?: string };
      const kind = kindNamed(o.kind ?? '');
      return <li key={r.uid}><div class="line"><Pill text={String(r.extra[0] ?? '')} tone="warn"/>{kind && o.name ? <a class="cut grow" href={linkTo(kind, o.namespace ?? '', o.name)}>{o.name}</a> : <span class="cut grow">{o.name}</span>}<span class="muted num"><Age from={seen}/></span></div>
        <p class="muted clamp">{String(r.extra[1] ?? '')}</p></li>;
    })}</ul>}</Card>;
}
