import { useEffect, useRef, useState } from 'preact/hooks';
import { go, linkTo, namespace, narrow, now, place, session, stream, theme, useTable, type Theme } from '../app.ts';
import { kindOf, navigation, pathOf } from '../data/kinds.ts';
import { placePath, root } from '../data/place.ts';
import { Detail } from './detail.tsx';
import { Home } from './home.tsx';
import { List } from './list.tsx';
import { Login } from './login.tsx';
import { Palette } from './palette.tsx';
import { Empty, Icon, Logo } from './parts.tsx';

const namespacesKind = kindOf('namespaces')!;
const typing = (target: EventTarget | null): boolean => target instanceof HTMLElement && (target.isContentEditable || /^(?:INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

// The page of the same kind in another namespace; an object's page becomes its list.
function inNamespace(ns: string): string {
  const p = place.value;
  const kind = kindOf(p.kind);
  return placePath({ ns, kind: kind?.namespaced ? p.kind : '' }, true);
}

function NamespacePicker({ names, refused }: { names: string[]; refused: boolean }) {
  const ns = namespace.value;
  const [text, setText] = useState('');
  // Without the right to list namespaces a person still knows the name of her own.
  if (refused) return <form class="chip" onSubmit={e => { e.preventDefault(); if (text.trim()) go(inNamespace(text.trim())); }}>
    <label for="namespace">Namespace</label><input id="namespace" value={text || ns} placeholder="type its name" spellcheck={false} onInput={e => setText(e.currentTarget.value)}/></form>;
  const known = ns === '' || names.includes(ns) ? names : [...names, ns].sort();
  return <div class="chip"><label for="namespace">Namespace</label>
    <select id="namespace" value={ns} onChange={e => go(inNamespace(e.currentTarget.value))}>
      <option value="">all</option>{known.map(n => <option key={n} value={n}>{n}</option>)}
    </select></div>;
}

function Health() {
  if (stream.health.value === 'live' || stream.lostAt.value === 0) return null;
  // A connection that comes back at once needs no words.
  if (now.value - stream.lostAt.value < 1500) return null;
  return <div class="banner" role="status">Connection lost. This is the state of {new Date(stream.lostAt.value).toLocaleTimeString()}; reconnecting…</div>;
}

const themes: Record<Theme, { next: Theme; word: string }> = { auto: { next: 'light', word: 'Auto' }, light: { next: 'dark', word: 'Light' }, dark: { next: 'auto', word: 'Dark' } };

function Nav({ close }: { close: () => void }) {
  const p = place.value, ns = namespace.value;
  const item = (href: string, title: string, current: boolean) => <a key={href} href={href} aria-current={current ? 'page' : undefined} onClick={close}>{title}</a>;
  return <nav class="side" aria-label="Main" id="nav">
    {item(placePath({ ns }), 'Home', p.kind === '')}
    {navigation.map(group => <div key={group.title}><h2>{group.title}</h2>{group.kinds.map(id => { const kind = kindOf(id)!; return item(linkTo(kind, ns), kind.title, p.kind === id); })}</div>)}
  </nav>;
}

function Page() {
  const p = place.value;
  const kind = kindOf(p.kind);
  if (!p.kind) return <Home key={p.ns}/>;
  if (!kind) return <Empty title="There is no such page">The address names the kind “{p.kind}”, which the console does not know. <a href={root}>Home</a></Empty>;
  if (kind.namespaced && p.name && !p.ns) return <Empty title="Which namespace?">The address names one {kind.one}, but not its namespace. <a href={linkTo(kind, '')}>All {kind.title.toLowerCase()}</a></Empty>;
  return p.name ? <Detail key={`${p.ns}/${p.kind}/${p.name}`} kind={kind}/> : <List key={`${p.ns}/${p.kind}`} kind={kind}/>;
}

function titleOf(): string {
  const p = place.value, kind = kindOf(p.kind);
  return [p.name, kind?.title ?? (p.kind ? '' : 'Home'), p.ns, 'skerry'].filter(Boolean).join(' · ');
}

function Frame() {
  const table = useTable({ path: pathOf(namespacesKind, ''), cells: false })!;
  const names = [...table.rows.values()].map(r => r.name).sort();
  const [nav, setNav] = useState(false);
  const [palette, setPalette] = useState(false);
  const main = useRef<HTMLElement>(null);
  const { kind, name, ns, tab } = place.value;
  useEffect(() => { document.title = titleOf(); });
  // A new page starts at its top, and for a screen reader at its heading.
  const first = useRef(true);
  useEffect(() => {
    setNav(false);
    if (first.current) { first.current = false; return; }
    main.current?.scrollTo(0, 0);
    main.current?.focus({ preventScroll: true });
  }, [kind, name, ns, tab]);
  useEffect(() => {
    const onKey = (e: KeyboardEvent): void => {
      if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === 'k') { e.preventDefault(); setPalette(true); return; }
      if (e.ctrlKey || e.metaKey || e.altKey) return;
      if (e.key === 'Escape') setNav(false);
      if (e.key === '/' && !typing(e.target)) { const filter = document.getElementById('filter'); if (filter) { e.preventDefault(); filter.focus(); } }
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
  const t = themes[theme.value];
  return <div class={nav ? 'app open' : 'app'}>
    <a class="skip" href="#main" onClick={e => { e.preventDefault(); e.stopPropagation(); main.current?.focus(); }}>Skip to content</a>
    <header class="top">
      <button type="button" class="menu" aria-expanded={nav} aria-controls="nav" aria-label="Menu" onClick={() => setNav(!nav)}>☰</button>
      <a class="brand" href={root} aria-label="skerry, home"><Logo/><span>skerry</span></a>
      <NamespacePicker names={names} refused={table.refusal.value !== null}/>
      <span class="grow"/>
      <button type="button" class="chip" onClick={() => setPalette(true)}><Icon d="M7 2.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9ZM10.5 10.5 14 14"/><span class="word">Search</span> <kbd>Ctrl K</kbd></button>
      <button type="button" class="chip" onClick={() => { theme.value = t.next; }} aria-label={`Colours: ${t.word}`}><span aria-hidden="true">◐</span> <span class="word">{t.word}</span></button>
      <details class="who"><summary class="chip"><Icon d="M8 2a3 3 0 1 1 0 6 3 3 0 0 1 0-6ZM2.5 14a5.5 4.5 0 0 1 11 0"/><span class="cut word">{session.user.value || 'you'}</span></summary>
        <div class="popup"><p>Logged in as <b>{session.user.value}</b></p><button type="button" class="btn" onClick={() => session.logout()}>Log out</button><p><a href="/console/licenses.txt" target="_blank">Licences</a></p></div></details>
    </header>
    <Nav close={() => setNav(false)}/>
    {nav && narrow.value ? <div class="shade" onClick={() => setNav(false)}/> : null}
    <main id="main" ref={main} tabIndex={-1}><Health/><Page/></main>
    {palette ? <Palette namespaces={names} close={() => setPalette(false)}/> : null}
  </div>;
}

export function App() {
  if (session.starting.value) return null;
  if (session.token.value === '') return <Login/>;
  return <Frame key={session.token.value}/>;
}
