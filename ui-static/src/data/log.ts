import { signal } from '@preact/signals';
import type { Schedule } from './table.ts';
import { LineSplitter } from './lines.ts';

// The last lines of a container's log, followed. The server stamps every line, which makes going on after a broken connection exact.

export interface LogLine { time: string; text: string }
export type LogState = 'connecting' | 'following' | 'ended' | 'waiting' | 'failed';

export const kChunk = 100;       // lines drawn as one piece
const kMostChunks = 60;

// RFC 3339 with any number of fractional digits, as text that sorts.
export function sortable(time: string): string {
  const m = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?Z$/.exec(time);
  return m ? `${m[1]}.${(m[2] ?? '').padEnd(9, '0')}` : time;
}

export function parseLine(text: string): LogLine {
  const space = text.indexOf(' ');
  const time = space < 0 ? '' : text.slice(0, space);
  return /^\d{4}-\d\d-\d\dT/.test(time) ? { time, text: text.slice(space + 1) } : { time: '', text };
}

export class LogBuffer {
  chunks: { id: number; lines: LogLine[] }[] = [];
  dropped = 0;                   // lines that fell off the front
  readonly version = signal(0);
  private last = '';             // the newest stamp, sortable
  private sameStamp = 0;         // lines that carry it
  private skip = 0;
  private resumeAt = '';
  private nextId = 0;
  private dirty = false;

  constructor(private readonly schedule: Schedule) {}

  get count(): number { return this.chunks.reduce((sum, c) => sum + c.lines.length, 0); }
  get since(): string { return this.last === '' ? '' : `${this.last.slice(0, 19)}Z`; }

  // The next lines repeat some that are here: the server resumes at a whole second.
  reopened(): void {
    this.resumeAt = this.last;
    this.skip = this.sameStamp;
  }

  append(lines: LogLine[]): void {
    for (const line of lines) {
      const stamp = sortable(line.time);
      if (this.resumeAt !== '' && line.time !== '') {
        if (stamp < this.resumeAt) continue;
        if (stamp === this.resumeAt && this.skip > 0) { this.skip--; continue; }
        if (stamp > this.resumeAt) this.resumeAt = '';
      }
      if (line.time !== '') {
        this.sameStamp = stamp === this.last ? this.sameStamp + 1 : 1;
        this.last = stamp;
      }
      const tail = this.chunks[this.chunks.length - 1];
      // A chunk is replaced, never changed: whoever drew it can tell.
      if (tail && tail.lines.length < kChunk) this.chunks[this.chunks.length - 1] = { id: tail.id, lines: [...tail.lines, line] };
      else this.chunks.push({ id: this.nextId++, lines: [line] });
      if (this.chunks.length > kMostChunks) this.dropped += this.chunks.shift()!.lines.length;
    }
    this.changed();
  }

  clear(): void {
    this.chunks = [];
    this.dropped = this.sameStamp = this.skip = 0;
    this.last = this.resumeAt = '';
    this.changed();
  }

  text(stamps: boolean): string {
    return this.chunks.flatMap(c => c.lines).map(l => (stamps && l.time ? `${l.time} ` : '') + l.text).join('\n') + '\n';
  }

  private changed(): void {
    if (this.dirty) return;
    this.dirty = true;
    this.schedule(() => { this.dirty = false; this.version.value++; });
  }
}

export interface LogWorld {
  open(url: string, abort: AbortSignal): Promise<Response>;
  after(ms: number, call: () => void): () => void;
  schedule: Schedule;
}
export interface LogSource { ns: string; pod: string; container: string; previous: boolean }

export const logPath = (s: LogSource, more: string): string =>
  `/api/v1/namespaces/${encodeURIComponent(s.ns)}/pods/${encodeURIComponent(s.pod)}/log?container=${encodeURIComponent(s.container)}&timestamps=true${s.previous ? '&previous=true' : ''}${more}`;

const kTail = 2000;

// Follows one container until closed. A log that ends (the container stopped) is asked for again: a restarted container goes on in it.
export class LogFollower {
  readonly state = signal<LogState>('connecting');
  readonly message = signal('');
  readonly buffer: LogBuffer;
  private attempt: AbortController | null = null;
  private cancel: (() => void) | null = null;
  private failures = 0;
  private closed = false;

  constructor(private readonly world: LogWorld, private readonly source: LogSource) {
    this.buffer = new LogBuffer(world.schedule);
    this.connect();
  }

  close(): void {
    this.closed = true;
    this.cancel?.();
    this.attempt?.abort();
  }

  private connect(): void {
    if (this.closed) return;
    const attempt = this.attempt = new AbortController();
    const since = this.buffer.since;
    const more = (this.source.previous ? '' : '&follow=true') + (since ? `&sinceTime=${encodeURIComponent(since)}` : `&tailLines=${kTail}`);
    if (since) this.buffer.reopened();
    this.run(attempt, logPath(this.source, more)).then(
      () => this.again(this.source.previous ? null : 'ended', ''),
      (e: unknown) => this.again('waiting', e instanceof Error ? e.message : String(e)));
  }

  private async run(attempt: AbortController, path: string): Promise<void> {
    const response = await this.world.open(path, attempt.signal);
    if (!response.ok || !response.body) {
      const status = await response.json().catch(() => null) as { message?: string } | null;
      throw new Error(status?.message ?? `the server answered ${response.status}`);
    }
    this.state.value = 'following';
    this.message.value = '';
    const reader = response.body.getReader();
    const splitter = new LineSplitter();
    for (;;) {
      const { value, done } = await reader.read();
      if (this.closed) return;
      if (done) break;
      this.failures = 0;
      const lines = splitter.push(value);
      if (lines.length > 0) this.buffer.append(lines.map(parseLine));
    }
    const last = splitter.end();
    if (last !== '') this.buffer.append([parseLine(last)]);
  }

  private again(state: LogState | null, message: string): void {
    if (this.closed) return;
    this.state.value = state ?? 'ended';
    this.message.value = message;
    if (state === null) return;
    const delay = Math.min(10_000, 1000 * 1.6 ** this.failures++);
    this.cancel = this.world.after(delay, () => this.connect());
  }
}
