import assert from 'node:assert/strict';
import test from 'node:test';
import { LineSplitter } from '../src/data/lines.ts';
import { LogBuffer, LogFollower, kChunk, logPath, parseLine, sortable, type LogWorld } from '../src/data/log.ts';

const settle = async () => { for (let i = 0; i < 5; i++) await new Promise(resolve => setImmediate(resolve)); };
const at = (fraction: string, text: string) => ({ time: `2026-11-21T10:00:00${fraction}Z`, text });
const now = (flush: () => void) => flush();
const texts = (b: LogBuffer) => b.chunks.flatMap(c => c.lines.map(l => l.text));

test('bytes become lines wherever they are cut', () => {
  const splitter = new LineSplitter();
  const bytes = new TextEncoder().encode('grün\nzwei\nrest');
  const out: string[] = [];
  for (const byte of bytes) out.push(...splitter.push(new Uint8Array([byte])));
  assert.deepEqual(out, ['grün', 'zwei']);
  assert.equal(splitter.end(), 'rest');
});

test('stamps sort as text whatever their precision', () => {
  assert.ok(sortable('2026-11-21T10:00:00.12Z') < sortable('2026-11-21T10:00:00.123Z'));
  assert.ok(sortable('2026-11-21T10:00:00Z') < sortable('2026-11-21T10:00:00.000000001Z'));
  assert.deepEqual(parseLine('2026-11-21T10:00:00.5Z  two  spaces'), { time: '2026-11-21T10:00:00.5Z', text: ' two  spaces' });
  assert.deepEqual(parseLine('no stamp here'), { time: '', text: 'no stamp here' });
});

test('a log taken up again at a whole second neither repeats nor loses a line', () => {
  const log = new LogBuffer(now);
  log.append([at('.1', 'a'), at('.2', 'b'), at('.2', 'b too')]);
  assert.equal(log.since, '2026-11-21T10:00:00Z');
  log.reopened();
  log.append([at('.1', 'a'), at('.2', 'b'), at('.2', 'b too'), at('.2', 'b as well'), at('.3', 'c')]);
  assert.deepEqual(texts(log), ['a', 'b', 'b too', 'b as well', 'c']);
  log.reopened();
  log.append([at('.9', 'later')]);            // the server kept nothing older
  assert.deepEqual(texts(log).slice(-2), ['c', 'later']);
});

test('a long log keeps its end, tells how much it dropped, and never changes a drawn piece', () => {
  const log = new LogBuffer(now);
  log.append(Array.from({ length: kChunk - 1 }, (_, i) => ({ time: '', text: `${i}` })));
  const piece = log.chunks[0]!;
  log.append([{ time: '', text: 'one more' }]);
  assert.notEqual(log.chunks[0], piece);
  assert.equal(piece.lines.length, kChunk - 1);
  log.append(Array.from({ length: 20_000 }, (_, i) => ({ time: '', text: `line ${i}` })));
  assert.ok(log.count <= 60 * kChunk);
  assert.equal(log.count + log.dropped, 20_000 + kChunk);
  assert.equal(texts(log).at(-1), 'line 19999');
});

test('a follower goes on after the container stopped, from where it was, and stops when closed', async () => {
  const asked: string[] = [], timers: (() => void)[] = [];
  let control!: ReadableStreamDefaultController<Uint8Array>;
  const world: LogWorld = {
    open: url => { asked.push(url); return Promise.resolve(new Response(new ReadableStream<Uint8Array>({ start: c => { control = c; } }))); },
    after: (_, call) => { timers.push(call); return () => {}; },
    schedule: now,
  };
  const follower = new LogFollower(world, { ns: 'a b', pod: 'p', container: 'c', previous: false });
  await settle();
  assert.match(asked[0]!, /^\/api\/v1\/namespaces\/a%20b\/pods\/p\/log\?container=c&timestamps=true&follow=true&tailLines=\d+$/);
  control.enqueue(new TextEncoder().encode('2026-11-21T10:00:00.5Z first\n2026-11-21T10:00:01Z last without end'));
  control.close();
  await settle();
  assert.equal(follower.state.value, 'ended');
  assert.deepEqual(texts(follower.buffer), ['first', 'last without end']);
  timers.pop()!();
  await settle();
  assert.match(asked[1]!, /&follow=true&sinceTime=2026-11-21T10%3A00%3A01Z$/);
  follower.close();
  control.close();
  await settle();
  assert.equal(timers.length, 0);
});

test('why there is no log yet is told in the server\'s words', async () => {
  const world: LogWorld = {
    open: () => Promise.resolve(new Response('{"message":"container \\"c\\" in pod \\"p\\" is waiting to start: ContainerCreating"}', { status: 400 })),
    after: () => () => {}, schedule: now,
  };
  const follower = new LogFollower(world, { ns: 'n', pod: 'p', container: 'c', previous: false });
  await settle();
  assert.equal(follower.state.value, 'waiting');
  assert.match(follower.message.value, /waiting to start/);
  assert.match(logPath({ ns: 'n', pod: 'p', container: 'c', previous: true }, ''), /previous=true/);
});
