import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { go, linkTo, namespace, useTable } from '../app.ts';
import { kindOf, kinds, pathOf } from '../data/kinds.ts';
import { placePath } from '../data/place.ts';
import { wordsOf, type RowTable } from '../data/table.ts';

// Ctrl+K: go to any page, namespace or object by a few letters of its name.

interface Target { title: string; what: string; href: string }
const kMost = 12;
const searched = ['deployments', 'pods', 'services', 'statefulsets'].map(id => kindOf(id)!);

export function Palette({ namespaces, close }: { namespaces: string[]; close: () => void }) {
  const [text, setText] = useState('');
  const [chosen, setChosen] = useState(0);
  const dialog = useRef<HTMLDialogElement>(null);
  const ns = namespace.value;
  const tables: (RowTable | null)[] = searched.map(kind => useTable({ path: pathOf(kind, ns) }));
  useEffect(() => { dialog.current?.showModal(); }, []);
  const found = useMemo(() => {
    const all: Target[] = [
      ...kinds.map(k => ({ title: k.title, what: 'Page', href: linkTo(k, ns) })),
      ...namespaces.map(n => ({ title: n, what: 'Namespace', href: placePath({ ns: n }) })),
      ...searched.flatMap((kind, i) => [...tables[i]!.rows.values()].map(r => ({ title: r.name, what: `${kind.one}${ns ? '' : ` in ${r.ns}`}`, href: linkTo(kind, r.ns, r.name) }))),
    ];
    const words = wordsOf(text);
    const score = (t: Target): number => t.title.toLowerCase().startsWith(words[0] ?? '') ? 0 : 1;
    return all.filter(t => words.every(w => `${t.title} ${t.what}`.toLowerCase().includes(w))).sort((a, b) => score(a) - score(b)).slice(0, kMost);
  }, [text, ns, namespaces, ...tables.map(t => t!.version.value)]);
  const open = (target: Target | undefined): void => { if (target) { close(); go(target.href); } };
  const onKey = (e: KeyboardEvent): void => {
    if (e.key === 'ArrowDown' || e.key === 'ArrowUp') { e.preventDefault(); setChosen((chosen + (e.key === 'ArrowDown' ? 1 : -1) + found.length) % Math.max(1, found.length)); }
    if (e.key === 'Enter') { e.preventDefault(); open(found[chosen]); }
  };
  return <dialog ref={dialog} class="palette" aria-label="Go to" onClose={close} onClick={e => { if (e.target === dialog.current) close(); }}>
    <input type="text" role="combobox" aria-expanded="true" aria-controls="palette-list" aria-activedescendant={found.length ? `palette-${chosen}` : undefined} aria-label="Go to a page, namespace, workload or pod"
      placeholder="Go to a page, namespace, workload or pod" value={text} onInput={e => { setText(e.currentTarget.value); setChosen(0); }} onKeyDown={onKey}/>
    <ul id="palette-list" role="listbox" aria-label="Found">{found.map((t, i) => <li key={t.href} id={`palette-${i}`} role="option" aria-selected={i === chosen} onPointerDown={e => { e.preventDefault(); open(t); }}>
      <span class="cut">{t.title}</span><span class="muted">{t.what}</span></li>)}</ul>
    {found.length === 0 ? <p class="muted">Nothing is called that.</p> : null}
  </dialog>;
}
