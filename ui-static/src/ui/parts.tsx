import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import { copy, now } from '../app.ts';
import { age, toneOf, type Tone } from '../data/format.ts';
import type { Refusal } from '../data/table.ts';

// Small pieces that every page uses.

const glyphs: Record<Tone, string> = { ok: '✓', info: '…', warn: '!', bad: '✕', mute: '–' };

// Never colour alone: a sign and a word.
export function Pill({ text, tone }: { text: string; tone?: Tone }) {
  const t = tone ?? toneOf(text);
  return <span class={`pill ${t}`} title={text}><span aria-hidden="true">{glyphs[t]}</span><span class="cut">{text}</span></span>;
}

export function Age({ from }: { from: number }) {
  if (Number.isNaN(from)) return null;
  return <time dateTime={new Date(from).toISOString()} title={new Date(from).toLocaleString()}>{age(from, now.value)}</time>;
}

export function Copy({ text, label }: { text: string; label: string }) {
  const [done, setDone] = useState(false);
  return <button type="button" class="copy" aria-label={label} title={label} onClick={async () => { setDone(await copy(text)); setTimeout(() => setDone(false), 1500); }}>{done ? 'copied' : 'copy'}</button>;
}

// Everything the console shows has a command that shows it too.
export function Command({ text }: { text: string }) {
  return <p class="command"><span aria-hidden="true">$</span><code>{text}</code><Copy text={text} label="Copy this command"/></p>;
}

export function Empty({ title, children, command }: { title: string; children?: ComponentChildren; command?: string | undefined }) {
  return <div class="empty"><h2>{title}</h2><div>{children}</div>{command ? <Command text={command}/> : null}</div>;
}

export function Refused({ refusal, what, where }: { refusal: Refusal; what: string; where: string }) {
  if (refusal.code === 404) return <Empty title={`This server has no ${what}`}>The kind is not served here. A custom resource may be missing.</Empty>;
  if (refusal.code !== 403) return <Empty title={`${what} cannot be shown`}>{refusal.message}</Empty>;
  return <Empty title={`You may not see ${what} ${where}`}>
    <p>Choose a namespace that you have access to, or ask an administrator for the right to watch them: a role like <code>view</code> is enough.</p>
    <details><summary>What the server said</summary><p class="mono">{refusal.message}</p></details>
  </Empty>;
}

export function Card({ title, children, aside, wide }: { title: string; children: ComponentChildren; aside?: ComponentChildren; wide?: boolean }) {
  return <section class={wide ? 'card wide' : 'card'}><header><h2>{title}</h2>{aside}</header>{children}</section>;
}

export function Facts({ of }: { of: [string, ComponentChildren][] }) {
  const shown = of.filter(([, v]) => v !== undefined && v !== null && v !== '' && v !== false);
  return <dl class="facts">{shown.map(([k, v]) => <div key={k}><dt>{k}</dt><dd>{v}</dd></div>)}</dl>;
}

export function Labels({ of }: { of: Record<string, string> | undefined }) {
  const all = Object.entries(of ?? {});
  if (all.length === 0) return null;
  return <span class="labels">{all.map(([k, v]) => <span class="tag" key={k}>{v === '' ? k : `${k}=${v}`}</span>)}</span>;
}

// Said only when waiting takes long enough to be noticed.
export const Loading = () => <p class="loading" role="status">Loading…</p>;

export const Logo = () => <svg viewBox="0 0 32 32" width="26" height="26" aria-hidden="true"><path d="M5 19 12 7l5 7 3-4 7 9z" fill="var(--accent)"/>
  <path d="M2 24q3.5-3.5 7 0t7 0 7 0 7 0" fill="none" stroke="var(--accent2)" stroke-width="3" stroke-linecap="round"/></svg>;

export const Icon = ({ d }: { d: string }) => <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><path d={d} fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round"/></svg>;
