import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Row } from '../data/table.ts';

// A table of any length: only the rows in sight are drawn.

export interface GridColumn {
  name: string;
  min: number; grow: number;     // at least so many rem, and its share of what is left
  cell: (row: Row) => ComponentChildren;
}

const kRow = 40, kTallRow = 58, kSpare = 8;

// `stacked`: the first column has a line of its own above the others.
export function Grid({ label, columns, rows, by, down, stacked, onSort }: {
  label: string; columns: GridColumn[]; rows: Row[]; by: string; down: boolean; stacked: boolean; onSort: (by: string, down: boolean) => void;
}) {
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(800);
  useEffect(() => {
    const observer = new ResizeObserver(() => setHeight(box.current?.clientHeight ?? 800));
    observer.observe(box.current!);
    return () => observer.disconnect();
  }, []);
  const tall = stacked ? kTallRow : kRow;
  const first = Math.max(0, Math.min(Math.floor(top / tall), rows.length) - kSpare);
  const shown = rows.slice(first, first + Math.ceil(height / tall) + 2 * kSpare);
  const tracks = { gridTemplateColumns: columns.slice(stacked ? 1 : 0).map(c => c.grow ? `minmax(${c.min}rem,${c.grow}fr)` : `${c.min}rem`).join(' ') };
  // Narrower than this the table scrolls sideways inside its box; long texts never widen it.
  const least = { minWidth: `${columns.reduce((sum, c) => sum + c.min + 1, 1)}rem` };

  // Arrows walk from row to row; Enter is the link's own.
  const onKey = (event: KeyboardEvent): void => {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    if (step === 0 || !(event.target as Element).matches?.('a.name')) return;
    const links = [...box.current!.querySelectorAll<HTMLElement>('a.name')];
    const next = links[links.indexOf(event.target as HTMLElement) + step];
    if (!next) return;
    event.preventDefault();
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: 'nearest' });
  };

  return <div class={stacked ? 'grid stacked' : 'grid'} ref={box} role="table" aria-label={label} aria-rowcount={rows.length + 1} tabIndex={0} onKeyDown={onKey} onScroll={e => setTop(e.currentTarget.scrollTop)}>
    <div role="rowgroup" class="head" style={least}><div class="row" role="row" aria-rowindex={1} style={tracks}>
      {columns.map(c => <span role="columnheader" key={c.name} aria-sort={by === c.name ? (down ? 'descending' : 'ascending') : 'none'}>
        <button type="button" onClick={() => onSort(c.name, by === c.name && !down)}>{c.name}<span aria-hidden="true">{by === c.name ? (down ? ' ↓' : ' ↑') : ''}</span></button></span>)}
    </div></div>
    <div role="rowgroup" class="body" style={{ ...least, height: `${rows.length * tall}px` }}>
      <div style={{ transform: `translateY(${first * tall}px)` }}>
        {shown.map((row, i) => <div class={row.deleted ? 'row going' : 'row'} role="row" key={row.uid} aria-rowindex={first + i + 2} style={tracks}>
          {columns.map(c => <span role="cell" key={c.name}>{c.cell(row)}</span>)}
        </div>)}
      </div>
    </div>
  </div>;
}
