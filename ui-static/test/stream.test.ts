import assert from 'node:assert/strict';
import test from 'node:test';
import { Stream, type World } from '../src/data/stream.ts';

// A server and a clock in the hands of the test.
class Fake {
  requests: { subs: { id: string; path: string; rv: string }[]; abort: AbortSignal; say(line: object): void; bytes(b: Uint8Array): void; end(): void; fail(): void; answer(status: number): void }[] = [];
  timers: { at: number; call: () => void }[] = [];
  time = 1_000_000;
  lostSession = 0;
  readonly world: World = {
    open: (body, abort) => new Promise((resolve, reject) => {
      let control!: ReadableStreamDefaultController<Uint8Array>;
      const stream = new ReadableStream<Uint8Array>({ start: c => { control = c; } });
      abort.addEventListener('abort', () => { reject(new Error('aborted')); try { control.error(new Error('aborted')); } catch { /* it had ended */ } });
      let opened = false;
      const open = () => { if (!opened) resolve(new Response(stream)); opened = true; };
      const bytes = (b: Uint8Array) => { open(); control.enqueue(b); };
      this.requests.push({
        subs: JSON.parse(body).subs, abort, bytes, say: line => bytes(new TextEncoder().encode(`${JSON.stringify(line)}\n`)),
        end: () => { open(); control.close(); }, fail: () => reject(new Error('no connection')), answer: status => resolve(new Response('', { status })),
      });
    }),
    unauthorized: () => { this.lostSession++; },
    after: (ms, call) => {
      const timer = { at: this.time + ms, call };
      this.timers.push(timer);
      return () => { this.timers = this.timers.filter(t => t !== timer); };
    },
    now: () => this.time,
    random: () => 1,
    schedule: flush => flush(),
  };
  get last() { return this.requests[this.requests.length - 1]!; }
  async advance(ms: number) {
    this.time += ms;
    for (const timer of this.timers.filter(t => t.at <= this.time)) {
      this.timers = this.timers.filter(t => t !== timer);
      timer.call();
    }
    await settle();
  }
}
// Everything that promises of this process can do without the outside.
const settle = async () => { for (let i = 0; i < 5; i++) await new Promise(resolve => setImmediate(resolve)); };
const pods = { path: '/api/v1/pods' }, nodes = { path: '/api/v1/nodes' };
const cols = [{ name: 'Name', type: 'string', format: '', priority: 0 }];
const row = (uid: string) => [uid, 'default', `pod-${uid}`, '2026-11-21T10:00:00Z', '', `pod-${uid}`];

async function live(fake: Fake, stream: Stream, spec = pods) {
  const handle = stream.use(spec);
  await settle();
  const id = fake.last.subs.find(s => s.path === spec.path)!.id;
  fake.last.say({ id, t: 'reset', cols });
  fake.last.say({ id, t: 'U', rows: [row('1')] });
  fake.last.say({ id, t: 'S', rv: '5' });
  await settle();
  return { handle, id };
}

test('what a page asks for at once travels in one request', async () => {
  const fake = new Fake(), stream = new Stream(fake.world);
  stream.use(pods);
  stream.use(nodes);
  const again = stream.use({ ...pods });
  await settle();
  assert.equal(fake.requests.length, 1);
  assert.deepEqual(fake.last.subs.map(s => s.path).sort(), ['/api/v1/nodes', '/api/v1/pods']);
  again.release();
  await settle();
  assert.equal(fake.requests.length, 1);      // somebody else still reads it
});

test('lines reach their table, also cut in the middle of a character', async () => {
  const fake = new Fake(), stream = new Stream(fake.world);
  const { handle, id } = await live(fake, stream);
  const bytes = new TextEncoder().encode(`${JSON.stringify({ id, t: 'U', rows: [['2', 'default', 'grün', '', '', 'grün']] })}\n{"t":"B"}\n`);
  const middle = bytes.findIndex(b => b > 127) + 1;
  fake.last.bytes(bytes.slice(0, middle));
  await settle();
  fake.last.bytes(bytes.slice(middle));
  await settle();
  assert.equal(stream.health.value, 'live');
  assert.equal(handle.table.rows.get('2')!.name, 'grün');
});

test('a new page opens the stream again with every table\'s revision; a page left behind costs nothing', async () => {
  const fake = new Fake(), stream = new Stream(fake.world);
  const { handle } = await live(fake, stream);
  const first = fake.last;
  handle.release();
  await settle();
  assert.equal(fake.requests.length, 1);
  stream.use(nodes);
  const back = stream.use(pods);
  await settle();
  assert.equal(fake.requests.length, 2);
  assert.ok(first.abort.aborted);
  assert.equal(fake.last.subs.find(s => s.path === pods.path)!.rv, '5');
  assert.equal(fake.last.subs.find(s => s.path === nodes.path)!.rv, '');
  assert.equal(back.table.rows.size, 1);      // there at once
});

test('a broken connection keeps the rows, says since when, backs off, and resumes', async () => {
  const fake = new Fake(), stream = new Stream(fake.world);
  const { handle } = await live(fake, stream);
  fake.last.end();
  await settle();
  assert.equal(stream.health.value, 'waiting');
  assert.equal(stream.lostAt.value, 0);       // an orderly end comes back unseen
  await fake.advance(300);
  assert.equal(fake.requests.length, 2);
  fake.last.fail();
  await settle();
  assert.equal(stream.lostAt.value, fake.time);
  assert.equal(handle.table.rows.size, 1);
  await fake.advance(300);
  assert.equal(fake.requests.length, 2);      // the second pause is longer
  await fake.advance(300);
  assert.equal(fake.requests.length, 3);
  assert.equal(fake.last.subs[0]!.rv, '5');
  fake.last.say({ id: fake.last.subs[0]!.id, t: 'resume', cols });
  await settle();
  assert.equal(stream.health.value, 'live');
  assert.equal(stream.lostAt.value, 0);
});

test('pauses grow to ten seconds and no further; the network coming back ends one', async () => {
  const fake = new Fake(), stream = new Stream(fake.world);
  stream.use(pods);
  await settle();
  for (let i = 0; i < 12; i++) {
    fake.last.fail();
    await settle();
    const before = fake.requests.length;
    await fake.advance(10_000);
    assert.equal(fake.requests.length, before + 1, `attempt ${i}`);
  }
  fake.last.fail();
  await settle();
  const before = fake.requests.length;
  stream.kick();
  await settle();
  assert.equal(fake.requests.length, before + 1);
});

test('a silent connection is cut and opened again', async () => {
  const fake = new Fake(), stream = new Stream(fake.world);
  await live(fake, stream);
  const first = fake.last;
  await fake.advance(39_000);
  first.say({ t: 'B' });
  await settle();
  await fake.advance(39_000);
  assert.ok(!first.abort.aborted);
  await fake.advance(2_000);
  assert.ok(first.abort.aborted);
  await fake.advance(10_000);
  assert.equal(fake.requests.length, 2);
});

test('401 ends the session instead of trying again', async () => {
  const fake = new Fake(), stream = new Stream(fake.world);
  stream.use(pods);
  await settle();
  fake.last.answer(401);
  await settle();
  assert.equal(fake.lostSession, 1);
  await fake.advance(60_000);
  assert.equal(fake.requests.length, 1);
});

test('a hidden tab pauses and goes on where it was', async () => {
  const fake = new Fake(), stream = new Stream(fake.world);
  await live(fake, stream);
  stream.pause();
  assert.ok(fake.last.abort.aborted);
  await fake.advance(60_000);
  assert.equal(fake.requests.length, 1);
  stream.resume();
  await settle();
  assert.equal(fake.requests.length, 2);
  assert.equal(fake.last.subs[0]!.rv, '5');
});

test('no request carries more tables than the server takes, and few are kept warm', async () => {
  const fake = new Fake(), stream = new Stream(fake.world);
  const handles = Array.from({ length: 20 }, (_, i) => stream.use({ path: `/api/v1/namespaces/n${i}/pods` }));
  await settle();
  assert.equal(fake.last.subs.length, 16);
  for (const h of handles) h.release();
  await settle();
  const table = handles[0]!.table;
  assert.notEqual(stream.use({ path: '/api/v1/namespaces/n0/pods' }).table, table);        // the oldest was forgotten
  assert.equal(stream.use({ path: '/api/v1/namespaces/n19/pods' }).table, handles[19]!.table);
});
