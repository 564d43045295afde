import { signal } from '@preact/signals';

// Rows of one subscription, by uid, as the server's row stream tells them. Components read `version` and are drawn at most once per frame.

export interface Column { name: string; type: string; format: string; priority: number }
export interface Row {
  uid: string; ns: string; name: string;
  created: number;               // milliseconds; NaN when unknown
  deleted: string;               // when deletion began; '' otherwise
  cells: unknown[];              // as the columns say
  extra: unknown[];              // as the subscription asked
}
export interface Refusal { code: number; reason: string; message: string }
export interface Line {
  id?: string; t: string; cols?: Column[]; rows?: unknown[][]; uids?: string[]; rv?: string; code?: number; reason?: string; message?: string;
}

const kFixed = 5;                // uid, namespace, name, created, deleted

export type Schedule = (flush: () => void) => void;
const nextFrame: Schedule = flush => { requestAnimationFrame(flush); };

export class RowTable {
  columns: Column[] = [];
  rows = new Map<string, Row>();
  readonly version = signal(0);
  readonly complete = signal(false);                 // a whole snapshot was seen at least once
  readonly refusal = signal<Refusal | null>(null);   // the server will not say more
  revision = '';                                     // resume after it; '' = from the start
  private staged: Map<string, Row> | null = null;    // a new snapshot that replaces rows when it is whole
  private dirty = false;

  constructor(private readonly schedule: Schedule = nextFrame) {}

  apply(line: Line): void {
    switch (line.t) {
      case 'reset':
        this.columns = line.cols ?? [];
        this.refusal.value = null;
        // What is on the screen stays until its successor is whole: never an empty table in between.
        if (this.rows.size > 0) this.staged = new Map();
        else this.staged = null;
        this.revision = '';
        break;
      case 'resume':
        this.columns = line.cols ?? [];
        this.refusal.value = null;
        this.staged = null;
        break;
      case 'U':
        for (const raw of line.rows ?? []) {
          const row = this.decode(raw);
          (this.staged ?? this.rows).set(row.uid, row);
        }
        break;
      case 'D':
        for (const uid of line.uids ?? []) (this.staged ?? this.rows).delete(uid);
        break;
      case 'S':
        if (this.staged) this.rows = this.staged;
        this.staged = null;
        this.revision = line.rv ?? '';
        if (!this.complete.value) this.complete.value = true;
        break;
      case 'E':
        this.refusal.value = { code: line.code ?? 0, reason: line.reason ?? '', message: line.message ?? '' };
        if (this.refusal.value.code === 403 || this.refusal.value.code === 404) this.rows = new Map();
        this.staged = null;
        break;
      default: return;
    }
    this.changed();
  }

  // The connection broke: a snapshot that was under way will start again.
  interrupted(): void { this.staged = null; }

  column(name: string): number { return this.columns.findIndex(c => c.name === name); }
  cell(row: Row, name: string): string {
    const at = this.column(name);
    const value = at < 0 ? '' : row.cells[at];
    return value === null || value === undefined ? '' : String(value);
  }

  private decode(raw: unknown[]): Row {
    const end = kFixed + this.columns.length;
    return {
      uid: String(raw[0]), ns: String(raw[1]), name: String(raw[2]), created: Date.parse(String(raw[3])), deleted: String(raw[4] ?? ''),
      cells: raw.slice(kFixed, end), extra: raw.slice(end),
    };
  }

  private changed(): void {
    if (this.dirty) return;
    this.dirty = true;
    this.schedule(() => { this.dirty = false; this.version.value++; });
  }
}

// Numbers by value, everything else as people count: pod-2 before pod-10.
const collator = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });
export const compare = (a: unknown, b: unknown): number =>
  typeof a === 'number' && typeof b === 'number' ? a - b : collator.compare(String(a ?? ''), String(b ?? ''));

// Every word must occur somewhere in the row; "!word" must not.
export function matches(row: Row, words: string[]): boolean {
  if (words.length === 0) return true;
  const text = `${row.name} ${row.ns} ${row.cells.join(' ')}`.toLowerCase();
  return words.every(w => w.startsWith('!') ? w.length === 1 || !text.includes(w.slice(1)) : text.includes(w));
}
export const wordsOf = (filter: string): string[] => filter.toLowerCase().split(/\s+/).filter(w => w !== '');

export function select(table: RowTable, filter: string, by: string, down: boolean): Row[] {
  const words = wordsOf(filter);
  const rows = [...table.rows.values()].filter(row => matches(row, words));
  const at = table.column(by);
  const key = (row: Row): unknown =>
    by === 'Age' ? -row.created : by === 'Namespace' ? row.ns : at < 0 || by === 'Name' ? row.name : row.cells[at];
  const sign = down ? -1 : 1;
  return rows.sort((a, b) => sign * compare(key(a), key(b)) || compare(a.ns, b.ns) || compare(a.name, b.name));
}
