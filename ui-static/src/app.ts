import { computed, effect, signal } from '@preact/signals';
import { useEffect, useMemo } from 'preact/hooks';
import { parsePlace, placePath, type Place } from './data/place.ts';
import { Session } from './data/session.ts';
import { Stream, type Handle, type Spec } from './data/stream.ts';
import type { RowTable } from './data/table.ts';

// The one session, the one stream and the one place of this tab.

export const after = (ms: number, call: () => void): (() => void) => { const id = setTimeout(call, ms); return () => clearTimeout(id); };
// A hidden tab draws no frames; its tables must go on all the same.
export const nextFrame = (flush: () => void): void => { if (document.hidden) setTimeout(flush, 100); else requestAnimationFrame(flush); };

const channel = 'BroadcastChannel' in window ? new BroadcastChannel('skerry-session') : null;
export const session = new Session((url, init) => fetch(url, init), sessionStorage, channel, (ms, call) => { after(ms, call); });

export const stream = new Stream({
  open: (body, abort) => session.request('/console/v1/stream', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body, signal: abort }),
  unauthorized: () => session.expired(),
  after, now: Date.now, random: Math.random, schedule: nextFrame,
});
effect(() => { if (session.token.value === '') stream.close(); });

// The place, and moving between places.
export const place = signal<Place>(parsePlace(location.pathname, location.search));
const arrive = (): void => { place.value = parsePlace(location.pathname, location.search); };
addEventListener('popstate', arrive);
export function go(path: string, how: 'push' | 'replace' = 'push'): void {
  if (path === location.pathname + location.search) return;
  if (how === 'push') history.pushState(null, '', path);
  else history.replaceState(history.state, '', path);
  arrive();
}
export function setQuery(change: Record<string, string>): void {
  const p = place.value;
  const search = new URLSearchParams(Object.entries({ ...p.query, ...change }).filter(([, v]) => v !== '')).toString();
  go(location.pathname + (search ? `?${search}` : ''), 'replace');
}
// Links of the console change the place instead of loading a page.
document.addEventListener('click', event => {
  const link = (event.target as Element).closest?.('a');
  if (!link || event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  if (link.origin !== location.origin || !link.pathname.startsWith('/console/') || link.target || link.pathname.endsWith('.txt')) return;
  event.preventDefault();
  go(link.pathname + link.search);
});

// The namespace that lists are about; '' is all of them. Pages of the cluster do not change it.
const remembered = signal(sessionStorage.getItem('skerry-namespace') ?? '');
effect(() => {
  const p = place.value;
  const scoped = p.ns !== '' || location.pathname.startsWith('/console/all/') || location.pathname === '/console/';
  if (!scoped || p.ns === remembered.peek()) return;
  remembered.value = p.ns;
  sessionStorage.setItem('skerry-namespace', p.ns);
});
export const namespace = computed(() => place.value.ns || remembered.value);
export const linkTo = (kind: { id: string; namespaced: boolean }, ns: string, name = '', tab = ''): string =>
  placePath({ ns: kind.namespaced ? ns : '', kind: kind.id, name, tab }, kind.namespaced);

// Seconds that pass, for ages.
export const now = signal(Date.now());
setInterval(() => { if (!document.hidden) now.value = Date.now(); }, 1000);

// A hidden tab pauses its stream after a minute.
const kHiddenPatience = 60_000;
let cancelPause: (() => void) | null = null;
document.addEventListener('visibilitychange', () => {
  cancelPause?.();
  cancelPause = null;
  if (document.hidden) cancelPause = after(kHiddenPatience, () => stream.pause());
  else { stream.resume(); stream.kick(); now.value = Date.now(); }
});
addEventListener('online', () => stream.kick());

// Light, dark, or what the system says.
export type Theme = 'auto' | 'light' | 'dark';
const stored = localStorage.getItem('skerry-theme');
export const theme = signal<Theme>(stored === 'light' || stored === 'dark' ? stored : 'auto');
effect(() => {
  if (theme.value === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
  localStorage.setItem('skerry-theme', theme.value);
});

// A phone.
const small = matchMedia('(max-width: 760px)');
export const narrow = signal(small.matches);
small.addEventListener('change', () => { narrow.value = small.matches; });

// A live table for as long as the component is shown. Null: not wanted now.
export function useTable(spec: Spec | null): RowTable | null {
  const key = spec ? JSON.stringify(spec) : '';
  const handle = useMemo<Handle | null>(() => spec ? stream.use(spec) : null, [key]);
  useEffect(() => () => handle?.release(), [handle]);
  if (handle) void handle.table.version.value;
  return handle?.table ?? null;
}

export async function copy(text: string): Promise<boolean> {
  try { await navigator.clipboard.writeText(text); return true; } catch { return false; }
}
