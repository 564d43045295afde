import { signal } from '@preact/signals';
import { LineSplitter } from './lines.ts';
import { RowTable, type Line, type Schedule } from './table.ts';

// One stream a tab. Pages say which tables they need; the stream carries all of them in one reply of the server, is opened again when a page
// needs more, and goes on from the revision that each table has seen. Tables of pages left behind stay warm for a while.

export interface Spec {
  path: string;                  // "/api/v1/namespaces/default/pods"
  labels?: string;
  fields?: string;
  cells?: boolean;
  extra?: string[][];
}
export interface Handle { table: RowTable; release(): void }

// idle: nothing is wanted. live: lines arrive. waiting: the connection broke, the next attempt is timed.
export type Health = 'idle' | 'connecting' | 'live' | 'waiting';

export interface World {
  open(body: string, abort: AbortSignal): Promise<Response>;
  unauthorized(): void;
  after(ms: number, call: () => void): () => void;   // answers how to cancel
  now(): number;
  random(): number;
  schedule?: Schedule;
}

const kMost = 16;                // subscriptions the server takes
const kWarm = 10;                // tables kept without a reader
const kSilence = 40_000;         // the server speaks at least every 15 s
const kFirstDelay = 300, kLongestDelay = 10_000;

interface Entry { id: string; spec: Spec; table: RowTable; users: number; used: number }

export class Stream {
  readonly health = signal<Health>('idle');
  readonly lostAt = signal(0);   // when the connection broke; 0 while it stands
  private readonly entries = new Map<string, Entry>();
  private carried = new Set<string>();               // ids in the running request
  private attempt: AbortController | null = null;
  private failures = 0;
  private serial = 0;
  private planned = false;
  private paused = false;
  private cancelRetry: (() => void) | null = null;
  private cancelWatchdog: (() => void) | null = null;

  constructor(private readonly world: World) {}

  use(spec: Spec): Handle {
    const key = JSON.stringify([spec.path, spec.labels ?? '', spec.fields ?? '', spec.cells ?? true, spec.extra ?? []]);
    let entry = this.entries.get(key);
    if (!entry) {
      entry = { id: `t${++this.serial}`, spec, table: new RowTable(this.world.schedule), users: 0, used: 0 };
      this.entries.set(key, entry);
    }
    entry.users++;
    entry.used = ++this.serial;
    this.plan();
    const held = entry;
    let open = true;
    return {
      table: entry.table,
      release: () => {
        if (!open) return;
        open = false;
        held.users--;
        this.trim();
        this.plan();
      },
    };
  }

  // Ends everything and forgets what was seen: another user logs in.
  close(): void {
    this.stop();
    this.entries.clear();
    this.carried.clear();
    this.health.value = 'idle';
    this.lostAt.value = 0;
  }

  // A hidden tab costs nothing; coming back, it resumes.
  pause(): void {
    this.paused = true;
    this.stop();
  }
  resume(): void {
    if (!this.paused) return;
    this.paused = false;
    this.carried.clear();
    this.plan();
  }
  // The network came back: no need to wait for the timer.
  kick(): void {
    if (this.health.value === 'waiting') this.connect();
  }

  private plan(): void {
    if (this.planned) return;
    this.planned = true;
    queueMicrotask(() => {
      this.planned = false;
      const wanted = this.wanted();
      if (this.paused || this.health.value === 'waiting') return;
      if (wanted.length === 0 && this.carried.size === 0) return;
      // Tables that nobody reads any more ride along until something new is needed.
      if (wanted.some(e => !this.carried.has(e.id))) this.connect();
    });
  }

  private wanted(): Entry[] {
    return [...this.entries.values()].filter(e => e.users > 0).sort((a, b) => b.used - a.used).slice(0, kMost);
  }

  private trim(): void {
    const warm = [...this.entries].filter(([, e]) => e.users === 0).sort(([, a], [, b]) => b.used - a.used);
    for (const [key, entry] of warm.slice(kWarm)) {
      this.entries.delete(key);
      this.carried.delete(entry.id);
    }
  }

  private stop(): void {
    this.cancelRetry?.();
    this.cancelWatchdog?.();
    this.cancelRetry = this.cancelWatchdog = null;
    this.attempt?.abort();
    this.attempt = null;
  }

  private connect(): void {
    this.stop();
    const wanted = this.wanted();
    if (wanted.length === 0) { this.health.value = 'idle'; return; }
    const attempt = this.attempt = new AbortController();
    for (const e of this.entries.values()) e.table.interrupted();
    this.carried = new Set(wanted.map(e => e.id));
    const body = JSON.stringify({ subs: wanted.map(e => ({ id: e.id, ...e.spec, rv: e.table.revision })) });
    if (this.health.value !== 'waiting' && this.health.value !== 'live') this.health.value = 'connecting';
    void this.run(attempt, body).catch(() => {}).then(() => {
      if (this.attempt !== attempt) return;          // a newer attempt took over
      this.attempt = null;
      this.cancelWatchdog?.();
      this.retry();
    });
  }

  private async run(attempt: AbortController, body: string): Promise<void> {
    this.listen(attempt);
    const response = await this.world.open(body, attempt.signal);
    if (this.attempt !== attempt) return;
    if (response.status === 401) {
      this.stop();
      this.health.value = 'idle';
      this.world.unauthorized();
      return;
    }
    if (!response.ok || !response.body) throw new Error(`the server answered ${response.status}`);
    const tables = new Map([...this.entries.values()].map(e => [e.id, e.table]));
    const reader = response.body.getReader();
    const splitter = new LineSplitter();
    for (;;) {
      const { value, done } = await reader.read();
      if (this.attempt !== attempt) return;
      if (done) return;
      this.listen(attempt);
      this.failures = 0;
      if (this.health.value !== 'live') this.health.value = 'live';
      if (this.lostAt.value !== 0) this.lostAt.value = 0;
      for (const text of splitter.push(value)) {
        if (text === '') continue;
        const line = JSON.parse(text) as Line;
        if (line.id !== undefined) tables.get(line.id)?.apply(line);
      }
    }
  }

  // Cuts a connection that has fallen silent: a machine that vanished sends no end.
  private listen(attempt: AbortController): void {
    this.cancelWatchdog?.();
    this.cancelWatchdog = this.world.after(kSilence, () => attempt.abort());
  }

  private retry(): void {
    const ceiling = Math.min(kLongestDelay, kFirstDelay * 2 ** this.failures);
    this.failures++;
    // An orderly end (the server's time limit) comes back at once; nobody needs to see it.
    if (this.health.value !== 'live' || this.failures > 1) {
      if (this.lostAt.value === 0) this.lostAt.value = this.world.now();
    }
    this.health.value = 'waiting';
    this.cancelRetry = this.world.after(ceiling * (0.5 + this.world.random() / 2), () => this.connect());
  }
}
