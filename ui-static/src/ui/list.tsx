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
  if (kind.id === 'events' && column === 'Type') return <Pill text={value}/>;
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

const tracks: Record<string, string> = { Name: 'minmax(12rem,2.4fr)', Namespace: 'minmax(7rem,1.1fr)', Status: 'minmax(9rem,1.2fr)', Age: 'minmax(4.5rem,.5fr)', 'Last Seen': 'minmax(5.5rem,.5fr)',
  Ready: 'minmax(5.5rem,.6fr)', Message: 'minmax(16rem,4fr)', Object: 'minmax(11rem,1.6fr)', Selector: 'minmax(10rem,1.6fr)', Restarts: 'minmax(6rem,.8fr)', 'Host/Port': 'minmax(13rem,2fr)', Hosts: 'minmax(13rem,2fr)' };
const phoneTracks: Record<string, string> = { Name: 'minmax(0,1.7fr)', Age: '4rem', Ready: '5.5rem', Status: 'minmax(0,1fr)', Object: 'minmax(0,1.2fr)' };

const lastSeen = (row: Row): number => Date.parse(text(row.extra[0] ?? row.extra[1])) || row.created;

function columnsOf(kind: Kind, table: RowTable, ns: string, phone: boolean): GridColumn[] {
  const named = (name: string) => (phone ? phoneTracks : tracks)[name] ?? (phone ? 'minmax(0,1fr)' : 'minmax(6rem,1fr)');
  const name: GridColumn = { name: 'Name', width: named('Name'), cell: row => <a class="name" href={linkTo(kind, row.ns, row.name)} title={row.name}>{row.name}</a> };
  const where: GridColumn = { name: 'Namespace', width: named('Namespace'), cell: row => <a class="quiet" href={linkTo(kind, row.ns)}>{row.ns}</a> };
  const printed = table.columns.filter(c => c.priority === 0 && c.name !== 'Name' && !kind.hide?.includes(c.name) && (!phone || kind.narrow.includes(c.name)));
  const rest = printed.map<GridColumn>(c => ({ name: c.name, width: named(c.name), cell: row => <Cell kind={kind} table={table} row={row} column={c.name}/> }));
  if (kind.id === 'events') {
    const seen: GridColumn = { name: 'Last Seen', width: phone ? '4.5rem' : tracks['Last Seen']!, cell: row => <Age from={lastSeen(row)}/> };
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
        <input type="search" id="filter" aria-label={`Filter ${kind.title}`} placeholder="Filter (press /)" value={q} onInput={e => setQuery({ q: e.currentTarget.value })}/>
        <span class="muted" role="status">{!table.complete.value ? '' : q ? `${rows.length} of ${total}` : `${total}`}</span>
      </div>
      {!table.complete.value && total === 0 ? <Loading/>
        : total === 0 ? <Empty title={`No ${kind.title.toLowerCase()} ${kind.namespaced ? where : ''}`} command={kind.hint && ns && kind.namespaced ? `${kind.hint} -n ${ns}` : kind.hint}>{kind.about}</Empty>
        : rows.length === 0 ? <Empty title={`None of ${total} matches`}><button class="btn" type="button" onClick={() => setQuery({ q: '' })}>Clear the filter</button></Empty>
        : <Grid label={kind.title} columns={columns} rows={rows} by={by} down={down} onSort={(name, d) => setQuery({ by: (d ? '-' : '') + name })}/>}
      <Command text={commandFor(kind, ns, 'get', ' -w')}/>
    </>}
  </>;
}
