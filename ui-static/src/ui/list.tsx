import { useMemo } from 'preact/hooks';
import { linkTo, narrow, place, setQuery, useTable } from '../app.ts';
import { fraction, podTone, toneOf, workloadStatus } from '../data/format.ts';
import { commandFor, kindNamed, pathOf, type Kind } from '../data/kinds.ts';
import { select, type Row, type RowTable } from '../data/table.ts';
import { Grid, type GridColumn } from './grid.tsx';
import { Age, Command, Empty, Loading, Pill, Refused } from './parts.tsx';

// One page for every kind: the columns are the server's.

const kStatusColumns = new Set(['Status', 'Phase', 'Type']);
const kStatusTypes = new Set(['pods', 'nodes', 'namespaces', 'persistentvolumes', 'persistentvolumeclaims', 'jobs']);
const text = (v: unknown): string => v === null || v === undefined ? '' : String(v);

function Cell({ kind, table, row, column }: { kind: Kind; table: RowTable; row: Row; column: string }) {
  const value = table.cell(row, column);
  if (column === 'Age') return <Age from={row.created}/>;
  if (kind.id === 'events' && column === 'Type') return <Pill text={value} tone={value === 'Warning' ? 'warn' : 'mute'}/>;
  if (kStatusColumns.has(column) && kStatusTypes.has(kind.id)) {
    return <Pill text={value} tone={kind.id === 'pods' ? podTone(value, table.cell(row, 'Ready')) : toneOf(value)}/>;
  }
  if (column === 'Ready') {
    const f = fraction(value);
    if (f && kind.id !== 'pods') return <Pill text={value} tone={workloadStatus(f[0], f[1]).tone}/>;
  }
  if (kind.id === 'events' && column === 'Object') {
    const o = row.extra[3] as { kind?: string; name?: string; namespace?: string } | null;
    const target = kindNamed(o?.kind ?? '');
    if (target && o?.name) return <a href={linkTo(target, o.namespace ?? '', o.name)}>{value}</a>;
  }
  if ((kind.id === 'routes' && column === 'Host/Port') || (kind.id === 'ingresses' && column === 'Hosts')) {
    if (/^[a-z0-9.-]+\.[a-z0-9.-]+$/.test(value)) return <a href={`http://${value}/`} target="_blank" rel="noreferrer">{value}</a>;
  }
  return <span title={value}>{value}</span>;
}

// Least width in rem and share of the rest. On a phone everything has to fit.
const widths: Record<string, [number, number]> = { Name: [12, 2.4], Namespace: [7, 1.1], Status: [9, 1.2], Type: [6.5, .8], Age: [4.5, .5], 'Last Seen': [5.5, .4], Ready: [5.5, .6], Reason: [9, 1], Message: [16, 4],
  Object: [11, 1.8], Selector: [10, 1.6], Restarts: [7, .8], 'Host/Port': [13, 2], Hosts: [13, 2], Roles: [8, 1], Version: [10, 1] };
const phoneWidths: Record<string, [number, number]> = { Name: [0, 1.7], Age: [4, 0], 'Last Seen': [4.5, 0], Ready: [5.5, 0], Object: [0, 1.2], Desired: [4.5, 0] };
const widthOf = (name: string, phone: boolean): { min: number; grow: number } => {
  const [min, grow] = (phone ? phoneWidths : widths)[name] ?? (phone ? [0, 1] : [6, 1]);
  return { min, grow };
};

const lastSeen = (row: Row): number => Date.parse(text(row.extra[0] ?? row.extra[1])) || row.created;

function columnsOf(kind: Kind, table: RowTable, ns: string, phone: boolean): GridColumn[] {
  const name: GridColumn = { name: 'Name', ...widthOf('Name', phone), cell: row => <a class="name" href={linkTo(kind, row.ns, row.name)} title={row.name}>{row.name}</a> };
  const where: GridColumn = { name: 'Namespace', ...widthOf('Namespace', phone), cell: row => <a class="quiet" href={linkTo(kind, row.ns)}>{row.ns}</a> };
  const printed = table.columns.filter(c => c.priority === 0 && c.name !== 'Name' && !kind.hide?.includes(c.name) && (!phone || kind.narrow.includes(c.name)));
  const rest = printed.map<GridColumn>(c => ({ name: c.name, ...widthOf(c.name, phone), cell: row => <Cell kind={kind} table={table} row={row} column={c.name}/> }));
  if (kind.id === 'events') {
    const seen: GridColumn = { name: 'Last Seen', ...widthOf('Last Seen', phone), cell: row => <Age from={lastSeen(row)}/> };
    // What happened comes first; an event's own name says nothing.
    return [seen, ...(ns === '' && !phone ? [where] : []), ...rest];
  }
  return [name, ...(kind.namespaced && ns === '' && !phone ? [where] : []), ...rest];
}

export function List({ kind }: { kind: Kind }) {
  const ns = kind.namespaced ? place.value.ns : '';
  const table = useTable({ path: pathOf(kind, ns), ...(kind.extra ? { extra: kind.extra } : {}) })!;
  const { q = '', by: wanted = '' } = place.value.query;
  const events = kind.id === 'events';
  const down = wanted.startsWith('-');
  const by = wanted.replace(/^-/, '') || (events ? 'Last Seen' : 'Name');
  const version = table.version.value;
  const phone = narrow.value;
  const rows = useMemo(() => {
    const found = select(table, q, by, down);
    if (by === 'Last Seen') found.sort((a, b) => (down ? -1 : 1) * (lastSeen(b) - lastSeen(a)));
    return found;
  }, [table, version, q, by, down]);
  const columns = useMemo(() => columnsOf(kind, table, ns, phone), [kind, table, table.columns, ns, phone]);
  const where = ns ? `in ${ns}` : 'in all namespaces';
  const refusal = table.refusal.value;
  const total = table.rows.size;
  return <>
    <div class="title"><h1>{kind.title}</h1>{kind.namespaced ? <span class="muted">{where}</span> : null}</div>
    {refusal ? <Refused refusal={refusal} what={kind.title.toLowerCase()} where={kind.namespaced ? where : ''}/> : <>
      <div class="bar">
        <input type="search" id="filter" aria-label={`Filter ${kind.title}`} placeholder={phone ? 'Filter' : 'Filter (press /)'} value={q} onInput={e => setQuery({ q: e.currentTarget.value })}/>
        <span class="muted" role={q ? 'status' : undefined}>{!table.complete.value ? '' : q ? `${rows.length} of ${total}` : `${total}`}</span>
      </div>
      {!table.complete.value && total === 0 ? <Loading/>
        : total === 0 ? <Empty title={`No ${kind.title.toLowerCase()} ${kind.namespaced ? where : ''}`} command={kind.hint && ns && kind.namespaced ? `${kind.hint} -n ${ns}` : kind.hint}>{kind.about}</Empty>
        : rows.length === 0 ? <Empty title={`None of ${total} matches`}><button class="btn" type="button" onClick={() => setQuery({ q: '' })}>Clear the filter</button></Empty>
        : <Grid label={kind.title} columns={columns} rows={rows} by={by} down={down} stacked={phone && !events} onSort={(name, d) => setQuery({ by: (d ? '-' : '') + name })}/>}
      <Command text={commandFor(kind, ns, 'get', ' -w')}/>
    </>}
  </>;
}
