// Words, colours and ages.

export type Tone = 'ok' | 'info' | 'warn' | 'bad' | 'mute';

export function age(from: number, now: number): string {
  if (Number.isNaN(from)) return '';
  const s = Math.max(0, Math.floor((now - from) / 1000));
  if (s < 120) return `${s}s`;
  const m = Math.floor(s / 60);
  if (m < 10) return s % 60 ? `${m}m${s % 60}s` : `${m}m`;
  if (m < 180) return `${m}m`;
  const h = Math.floor(m / 60);
  if (h < 8) return m % 60 ? `${h}h${m % 60}m` : `${h}h`;
  if (h < 48) return `${h}h`;
  const d = Math.floor(h / 24);
  if (d < 8) return h % 24 ? `${d}d${h % 24}h` : `${d}d`;
  if (d < 730) return `${d}d`;
  return `${Math.floor(d / 365)}y`;
}

const kGood = new Set(['Running', 'Ready', 'Active', 'Bound', 'Available', 'Admitted', 'Complete', 'Normal', 'Healthy', 'True']);
const kDone = new Set(['Completed', 'Succeeded', 'Released', 'Suspended', 'Stopped', 'Idle']);
const kOnTheWay = new Set(['Pending', 'ContainerCreating', 'PodInitializing', 'Progressing', 'Waiting', 'SchedulingGated']);
const kHalting = new Set(['Terminating', 'NotReady', 'Unknown', 'SchedulingDisabled', 'Warning', 'Degraded']);

// The colour of a status word. Words nobody listed are reasons of failure more often than not.
export function toneOf(status: string): Tone {
  const head = status.split(',')[0]!;
  if (kGood.has(head)) return status.includes('SchedulingDisabled') ? 'warn' : 'ok';
  if (kDone.has(head)) return 'mute';
  if (kOnTheWay.has(head) || /^Init:\d+\/\d+$/.test(head)) return 'info';
  if (kHalting.has(head)) return 'warn';
  return head === '' || head === '<none>' ? 'mute' : 'bad';
}

// "1/2" as numbers; null when it is no such text.
export function fraction(text: string): [number, number] | null {
  const m = /^(\d+)\/(\d+)$/.exec(text);
  return m ? [Number(m[1]), Number(m[2])] : null;
}

// A pod that runs but does not pass its probes is no good news.
export function podTone(status: string, ready: string): Tone {
  const tone = toneOf(status);
  const f = fraction(ready);
  return tone === 'ok' && f && f[0] < f[1] ? 'warn' : tone;
}

export function workloadStatus(ready: number, wanted: number): { word: string; tone: Tone } {
  if (wanted === 0) return { word: 'Stopped', tone: 'mute' };
  if (ready >= wanted) return { word: 'Healthy', tone: 'ok' };
  return ready === 0 ? { word: 'Not ready', tone: 'bad' } : { word: 'Degraded', tone: 'warn' };
}

export const plural = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`;

// A quantity of bytes as a person says it; any other quantity as it is.
export function bytesText(quantity: string): string {
  const m = /^(\d+)(Ki|Mi|Gi|)$/.exec(quantity);
  if (!m) return quantity;
  let n = Number(m[1]) * 1024 ** ['', 'Ki', 'Mi', 'Gi'].indexOf(m[2]!), unit = 0;
  for (; n >= 1024 && unit < 4; unit++) n /= 1024;
  return `${n < 10 ? Number(n.toFixed(1)) : Math.round(n)} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][unit]}`;
}

// A label selector object as the API's text form.
export interface Selector { matchLabels?: Record<string, string>; matchExpressions?: { key: string; operator: string; values?: string[] }[] }
export function selectorText(s: Selector | undefined): string {
  const terms = Object.entries(s?.matchLabels ?? {}).map(([k, v]) => `${k}=${v}`);
  for (const e of s?.matchExpressions ?? []) {
    if (e.operator === 'In' || e.operator === 'NotIn') terms.push(`${e.key} ${e.operator === 'In' ? 'in' : 'notin'} (${(e.values ?? []).join(',')})`);
    else terms.push(e.operator === 'Exists' ? e.key : `!${e.key}`);
  }
  return terms.join(',');
}

// YAML as people read it. Texts that YAML would read as something else are quoted.
const kPlain = /^[A-Za-z_\/.][A-Za-z0-9 _\/.@+=~()-]*$/;
const kWords = /^(?:true|false|yes|no|on|off|null|y|n|~|\.(?:inf|nan))$/i;
function scalar(v: unknown, indent: string): string {
  if (typeof v !== 'string') return String(v);
  if (v.includes('\n') && !/[\t\r]|^\s/.test(v)) {
    const body = v.replace(/\n$/, '').split('\n').map(l => l === '' ? '' : indent + l).join('\n');
    return `|${v.endsWith('\n') ? '' : '-'}\n${body}`;
  }
  return kPlain.test(v) && !kWords.test(v) && !v.endsWith(' ') ? v : JSON.stringify(v);
}
export function toYaml(value: unknown, indent = ''): string {
  const list = Array.isArray(value);
  if (!list && (typeof value !== 'object' || value === null)) return `${indent}${scalar(value, indent)}\n`;
  let out = '';
  for (const [key, v] of Object.entries(value)) {
    const lead = list ? `${indent}-` : `${indent}${scalar(key, '')}:`;
    const empty = typeof v === 'object' && v !== null && Object.keys(v).length === 0;
    if (typeof v !== 'object' || v === null) out += `${lead} ${scalar(v, `${indent}  `)}\n`;
    else if (empty) out += `${lead} ${Array.isArray(v) ? '[]' : '{}'}\n`;
    else if (list) out += lead + toYaml(v, `${indent}  `).slice(indent.length + 1);
    else out += `${lead}\n${toYaml(v, Array.isArray(v) ? indent : `${indent}  `)}`;
  }
  return out;
}
