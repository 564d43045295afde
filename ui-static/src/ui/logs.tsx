import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { after, nextFrame, place, session, setQuery } from '../app.ts';
import { LogFollower, type LogLine, type LogSource } from '../data/log.ts';
import { containersOf, type Thing } from '../data/objects.ts';
import { plural } from '../data/format.ts';
import { Command, Empty } from './parts.tsx';

// The log of one container, followed. Scrolling up stops following; the button, or the end, starts it again.

const escapes = /\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|[\x00-\x08\x0b-\x1f]/g;
const level = (text: string): string => /\b(?:error|fatal|panic|exception)\b/i.test(text) ? 'bad' : /\bwarn(?:ing)?\b/i.test(text) ? 'warn' : '';

function Chunk({ lines, stamps, find }: { lines: LogLine[]; stamps: boolean; find: string }) {
  return useMemo(() => <div class="chunk">{lines.map((l, i) => {
    const text = l.text.replace(escapes, '');
    if (find && !text.toLowerCase().includes(find)) return null;
    return <div key={i} class={`log ${level(text)}`}>{stamps && l.time ? <span class="stamp">{l.time.slice(11, 23).replace('Z', '')} </span> : null}{text}{'\n'}</div>;
  })}</div>, [lines, stamps, find]);
}

export function Logs({ object: o }: { object: Thing }) {
  const { ns, name, query } = place.value;
  const containers = containersOf(o);
  const container = query['container'] ?? containers[0]?.name ?? '';
  const previous = query['previous'] === '1';
  const chosen = containers.find(c => c.name === container);
  if (!chosen) return <Empty title="No such container">This pod has {containers.map(c => c.name).join(', ') || 'no containers'}.</Empty>;
  return <>
    <div class="bar">
      <label class="pick">Container <select value={container} onChange={e => setQuery({ container: e.currentTarget.value })}>
        {containers.map(c => <option key={c.name} value={c.name}>{c.role ? `${c.name} (${c.role})` : c.name}</option>)}</select></label>
      <label class="check"><input type="checkbox" checked={previous} disabled={!previous && !chosen.status?.restartCount} onChange={e => setQuery({ previous: e.currentTarget.checked ? '1' : '' })}/> Before the last restart</label>
      <label class="check"><input type="checkbox" checked={query['stamps'] === '1'} onChange={e => setQuery({ stamps: e.currentTarget.checked ? '1' : '' })}/> Times</label>
      <input type="search" id="filter" class="small" aria-label="Lines that contain" placeholder="Lines that contain…" value={query['find'] ?? ''} onInput={e => setQuery({ find: e.currentTarget.value })}/>
    </div>
    <View key={`${ns}/${name}/${container}/${previous}/${o.metadata?.uid}`} source={{ ns, pod: name, container, previous }} stamps={query['stamps'] === '1'} find={(query['find'] ?? '').toLowerCase()}/>
    <Command text={`kubectl logs -n ${ns} ${name}${containers.length > 1 ? ` -c ${container}` : ''}${previous ? ' --previous' : ' -f'}`}/>
  </>;
}

const kNear = 24;                // pixels from the end that count as the end

function View({ source, stamps, find }: { source: LogSource; stamps: boolean; find: string }) {
  const follower = useMemo(() => new LogFollower({ open: (url, signal) => session.request(url, { signal }), after, schedule: nextFrame }, source), []);
  useEffect(() => () => follower.close(), []);
  const box = useRef<HTMLDivElement>(null);
  const [following, setFollowing] = useState(true);
  const { buffer } = follower;
  const version = buffer.version.value;
  const toEnd = (): void => { const b = box.current; if (b) b.scrollTop = b.scrollHeight; };
  useEffect(() => { if (following) toEnd(); }, [version, following, stamps, find]);
  const onScroll = (): void => { const b = box.current!; setFollowing(b.scrollHeight - b.scrollTop - b.clientHeight < kNear); };
  const download = (): void => {
    const url = URL.createObjectURL(new Blob([buffer.text(stamps)], { type: 'text/plain' }));
    const link = Object.assign(document.createElement('a'), { href: url, download: `${source.pod}-${source.container}.log` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  };
  const state = follower.state.value, message = follower.message.value;
  const words = { connecting: 'Opening…', following: source.previous ? 'Read' : following ? 'Following' : 'Following stopped: you scrolled up', ended: source.previous ? 'Whole log' : 'The container has stopped', waiting: message || 'Connection lost; trying again', failed: message }[state];
  return <section class="logbox" aria-label={`Log of ${source.container}`}>
    <div class="loghead"><span role="status" class={state === 'following' && following ? 'dot live' : 'dot'}>{words}</span><span class="grow"/><span>{plural(buffer.count, 'line')}{buffer.dropped ? `, ${buffer.dropped} older ones left out` : ''}</span>
      <button type="button" onClick={download} disabled={buffer.count === 0}>Download</button>
      {following ? null : <button type="button" onClick={() => { setFollowing(true); toEnd(); }}>To the end ↓</button>}</div>
    <div class="loglines" ref={box} tabIndex={0} role="log" aria-live="off" aria-label="Lines" onScroll={onScroll}>
      {buffer.chunks.map(c => <Chunk key={c.id} lines={c.lines} stamps={stamps} find={find}/>)}
      {buffer.count === 0 && (state === 'following' || state === 'ended') ? <div class="log quietline">Nothing has been written yet.</div> : null}
    </div>
  </section>;
}
