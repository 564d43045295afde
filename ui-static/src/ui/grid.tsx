import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Row } from '../data/table.ts';

// A table of any length: only the rows in sight are drawn.

export interface GridColumn {
  name: string;
  width: string;                 // a grid track
  cell: (row: Row) => ComponentChildren;
}

const kRow = 40, kSpare = 8;

export function Grid({ label, columns, rows, by, down, onSort }: {
  label: string; columns: GridColumn[]; rows: Row[]; by: string; down: boolean; onSort: (by: string, down: boolean) => void;
}) {
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(800);
  useEffect(() => {
    const observer = new ResizeObserver(() => setHeight(box.current?.clientHeight ?? 800));
    observer.observe(box.current!);
    return () => observer.disconnect();
  }, []);
  const first = Math.max(0, Math.min(Math.floor(top / kRow), rows.length) - kSpare);
  const shown = rows.slice(first, first + Math.ceil(height / kRow) + 2 * kSpare);
  const tracks = { gridTemplateColumns: columns.map(c => c.width).join(' ') };

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

  return <div class="grid" ref={box} role="table" aria-label={label} aria-rowcount={rows.length + 1} tabIndex={0} onKeyDown={onKey} onScroll={e => setTop(e.currentTarget.scrollTop)}>
    <div role="rowgroup" class="head"><div class="row" role="row" aria-rowindex={1} style={tracks}>
      {columns.map(c => <span role="columnheader" key={c.name} aria-sort={by === c.name ? (down ? 'descending' : 'ascending') : 'none'}>
        <button type="button" onClick={() => onSort(c.name, by === c.name && !down)}>{c.name}<span aria-hidden="true">{by === c.name ? (down ? ' ↓' : ' ↑') : ''}</span></button></span>)}
    </div></div>
    <div role="rowgroup" class="body" style={{ height: `${rows.length * kRow}px` }}>
      <div style={{ transform: `translateY(${first * kRow}px)` }}>
        {shown.map((row, i) => <div class={row.deleted ? 'row going' : 'row'} role="row" key={row.uid} aria-rowindex={first + i + 2} style={tracks}>
          {columns.map(c => <span role="cell" key={c.name}>{c.cell(row)}</span>)}
        </div>)}
      </div>
    </div>
  </div>;
}
